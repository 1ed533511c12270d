"""Tables of vectors, and the layers within a decoder, whose weights inference holds with fewer bits."""

import numpy as np
import pytest
from conftest import instruction_sets

import fastlstm as fl
from fastlstm._kernels import cpu, rows
from fastlstm.layers.matrix import NARROW
from fastlstm.narrow import Narrow

kind = pytest.fixture(params=NARROW)(lambda request: request.param)
isa = instruction_sets(["avx512", "avx2", "baseline", "plain"])
SIZE = 33
COUNT = 1000
TOKENS = np.random.default_rng(0).integers(0, COUNT, (3, 17))


def test_vectors_are_those_of_the_rounded_table(isa, kind):
    table = fl.Embedding(COUNT, SIZE, seed=0, weights=kind)
    weight = table.parameter("weight").value
    expected = weight if isa == "plain" else Narrow.of(kind, weight).widened()
    found = table(TOKENS)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected[TOKENS])
    model = fl.Model([table, fl.Last()])
    for _ in range(3):  # the third pass is a prepared one
        assert np.array_equal(model.predict(TOKENS), expected[TOKENS[:, -1]])
    stream = fl.Model([table]).stream(batch=3)
    assert np.array_equal(stream.step(TOKENS[:, 4]), expected[TOKENS[:, 4]])


def test_a_changed_vector_is_seen_and_training_has_the_table_itself(kind):
    table = fl.Embedding(COUNT, SIZE, seed=0, weights=kind)
    model = fl.Model([table])
    weight = table.parameter("weight").value.copy()
    before = model.predict(TOKENS)
    assert np.array_equal(model.forward(TOKENS, model.tape(), training=True), weight[TOKENS])
    weight[TOKENS[0, 0]] *= -2
    table.parameter("weight").value = weight
    changed = model.predict(TOKENS) != before
    assert changed[TOKENS == TOKENS[0, 0]].any()
    assert not changed[TOKENS != TOKENS[0, 0]].any()


ALL_ONES = np.array(2**32 - 1, np.uint32).view(np.float32)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, ALL_ONES])
def test_what_is_not_finite_stays_in_its_row(kind, poison):
    table = fl.Embedding(COUNT, SIZE, seed=0, weights=kind)
    clean = table(TOKENS)
    table.parameter("weight").writable()[TOKENS[1, 2], 5] = poison
    found, there = table(TOKENS), TOKENS == TOKENS[1, 2]
    assert not np.isfinite(found[1, 2, 5])
    if kind != "bfloat16" and cpu.isa() != "plain":  # its scale is not finite, and so is all of the row
        assert not np.isfinite(found[there]).any()
    assert np.array_equal(found[~there], clean[~there])


def test_a_small_table_is_used_as_it_is(kind):
    tables = [fl.Embedding(20, 8, seed=0, weights=each) for each in (kind, None)]
    assert np.array_equal(*(table([[1, 19]]) for table in tables))


def test_a_table_from_a_narrow_file_stays_narrow(kind, tmp_path):
    model = fl.Model([fl.Embedding(COUNT, SIZE)], seed=0, weights=kind)
    fl.save(model, tmp_path / "m", narrow=True)
    small = fl.load(tmp_path / "m")
    assert small.layers[0].weights == kind
    found = small.predict(TOKENS)
    if cpu.isa() != "plain":
        assert np.array_equal(found, model.predict(TOKENS))
        assert small.layers[0].parameter("weight")._value is None
    assert np.array_equal(small.layers[0].parameter("weight").value[TOKENS], found)


def test_a_shared_matrix_has_the_more_bits_in_a_file(tmp_path):
    def kinds_in_file(of_table, of_product):
        table = fl.Embedding(300, 40, weights=of_table)
        model = fl.Model([table, fl.LSTM(40, 40), fl.TiedDense(table, weights=of_product)], seed=0)
        fl.save(model, tmp_path / "m", narrow=True)
        narrow = fl.load(tmp_path / "m").layers[0].parameter("weight")._narrow
        return None if narrow is None else narrow.kind

    assert kinds_in_file("int8", "int8") == "int8"
    assert kinds_in_file("int8", "bfloat16") == kinds_in_file("bfloat16", "int8") == "bfloat16"
    assert kinds_in_file("int8x16", "int8") == "int8"
    assert kinds_in_file(None, "int8") is None
    assert kinds_in_file("int8", None) is None


def test_the_kernel_checks_what_it_is_given():
    index, out = np.zeros(2, np.intp), np.empty((2, 3), np.float32)
    upper, whole, scale = np.zeros((4, 3), np.uint16), np.zeros((4, 3), np.int8), np.ones(4, np.float32)
    for numbers, scales in [(upper, scale), (whole, scale[:3]), (whole[:, :2].copy(), scale)]:
        with pytest.raises(ValueError, match=r"sizes do not agree"):
            rows.widen_stage(numbers, scales, index, out)
    with pytest.raises(ValueError, match="index 4 at 0"):
        rows.widen_stage(whole, scale, index + 4, out)
    with pytest.raises(ValueError, match="sizes do not agree"):
        rows.widen_stage(whole, scale, index[:1], out)
    whole[:], scale[2] = 5, 0.5
    rows.widen_stage(whole, scale, index + 2, out).go()
    assert (out == 2.5).all()


def decoding_model(weights=None, **options):
    decoder = fl.Decoder(64, 48, num_tokens=50, max_steps=6, end_token=49, num_layers=2, weights=weights, **options)
    return fl.Model([fl.Embedding(50, 32), fl.LSTM(32, 64), decoder], seed=0)


@pytest.mark.parametrize("attention", [True, False])
def test_the_layers_of_a_decoder_have_kinds(kind, attention, tmp_path):
    names = ["embedding_weight", "lstm_weight_ih_l0", "lstm_weight_ih_l1", "bridge_weight"]
    names += ["keys_weight", "combine_weight", "output_weight"] if attention else ["output_weight"]
    model, sources = decoding_model(attention=attention), np.random.default_rng(0).integers(0, 50, (4, 9))
    exact = model.predict(sources)
    done = fl.quantize(model, kind, sample=sources)
    assert list(done.weights) == ["0.weight", "1.weight_ih_l0", *(f"2.{name}" for name in names)]
    assert 0 < done.error or cpu.isa() == "plain" or not cpu.multiplies(kind)
    decoder = model.layers[2]
    assert decoder.weights == kind
    decoder.weights = [*[None] * (len(names) - 1), kind]
    assert fl.quantize(model, None, sample=sources).error == 0
    assert np.array_equal(model.predict(sources), exact)
    model = decoding_model(weights=kind, attention=attention)
    decoder = model.layers[2]
    assert f"weights={kind!r}" in repr(model)
    for narrow in (False, True):
        fl.save(model, tmp_path / "m", narrow=narrow)
        again = fl.load(tmp_path / "m")
        assert again.layers[2].weights == kind
        assert narrow == (again.layers[2].parameter("lstm_weight_hh_l0")._narrow is not None)
        found = [each.predict(sources) for each in (model, again)]
        multiplied = cpu.isa() != "plain" and all(packed.used() == kind for packed in decoder._matrices()[1:])
        if multiplied or not narrow:
            assert np.array_equal(*found)
            first, second = (fl.generate(each, sources, beam=2)[0] for each in (model, again))
            assert str(first) == str(second)


def test_a_decoder_in_float64_has_no_kinds(kind):
    with pytest.raises(ValueError, match="weights: expected None for a layer in float64"):
        decoding_model(weights=kind, dtype="float64")
    with pytest.raises(ValueError, match="one for each of 7 matrices"):
        decoding_model(weights=[kind])
