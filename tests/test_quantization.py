"""Weights with fewer bits: exact by their own definition, on every instruction set, and as a user has them."""

import copy

import numpy as np
import pytest
from conftest import instruction_sets
from reference import CELLS

import fastlstm as fl
from fastlstm import quantization
from fastlstm._kernels import cpu
from fastlstm.layers import packed
from fastlstm.layers.matrix import NARROW

isa = instruction_sets(["avx512_bf16", "avx512_vnni", "avx512", "avx2", "armv8_6", "baseline"])
kind = pytest.fixture(params=NARROW)(lambda request: request.param)


@pytest.fixture
def always(monkeypatch):
    """Weights have the kind that is asked for, even where it is not faster."""
    monkeypatch.setattr(packed, "worth", lambda format, *sizes: format)


packed_only = pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path has weights as they are")

LAYERS = {
    "lstm": fl.LSTM,
    "gru": fl.GRU,
    "tanh": fl.SimpleRNN,
    "relu": lambda *sizes, **more: fl.SimpleRNN(*sizes, activation="relu", **more),
}


def to_bfloat16(a):
    bits = np.asarray(a, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32).astype(float)


def to_int8(a):
    """Each row of inputs by its own scale."""
    a = np.asarray(a, np.float32)
    return in_steps(a, np.abs(a).max(-1, keepdims=True) / np.float32(127))


def to_int16(a):
    """Likewise, by as many steps as the exact sum of as many products by 127 has room for."""
    a = np.asarray(a, np.float32)
    return in_steps(a, np.abs(a).max(-1, keepdims=True) / np.float32(min((2**31 - 1) // 127 // a.shape[-1], 2**15 - 1)))


def weights_to_int8(a):
    """Each row of weights by its own scale, which has 16 bits, rounded up."""
    a = np.asarray(a, np.float32)
    part, power = np.frexp(np.abs(a).max(-1, keepdims=True) / np.float32(127))
    return in_steps(a, np.ldexp(np.ceil(part * 2.0**16), power - 16).astype(np.float32))


def in_steps(a, scale):
    return np.rint(a * np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)).astype(float) * scale


def rounding(kind):
    """What becomes of weights and of inputs."""
    of_weights = to_bfloat16 if kind == "bfloat16" else weights_to_int8
    of_inputs = {"bfloat16": to_bfloat16, "int8x16": to_int16, "int8": to_int8}[kind]
    return of_weights, of_inputs if cpu.multiplies(kind) else lambda a: np.asarray(a, float)


def expected(cell, layer, x, kind):
    """The outputs of a layer of one direction, in float64 but for what the kind rounds."""
    of_weights, of_inputs = rounding(kind)
    w, u, b = (parameter.value for parameter in layer.parameters())
    w, u, known = of_weights(w), of_weights(u), CELLS[cell]
    y = np.empty((*x.shape[:2], layer.hidden_size))
    for n, row in enumerate(x):
        state = tuple(np.zeros(layer.hidden_size) for _ in known.parts)
        for t, inputs in enumerate(row):
            rounded = of_inputs(state[0])
            before, (state, tape) = state[0], known.forward(of_inputs(inputs), (rounded, *state[1:]), w, u, b)
            if cell == "gru":  # past the products, h goes on as it is
                z = tape[3]
                state = (state[0] + z * (before - rounded),)
            y[n, t] = state[0]
    return y


@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize(("rows", "inputs", "hidden"), [(1, 33, 33), (2, 3, 1), (3, 1, 40), (7, 17, 64), (13, 70, 65)])
def test_a_layer_is_exact_by_the_definition_of_its_weights(isa, kind, always, cell, rows, inputs, hidden):
    layer = LAYERS[cell](inputs, hidden, seed=1, weights=kind)
    for parameter in layer.parameters():
        parameter.value = np.random.default_rng(2).normal(size=parameter.shape).astype(np.float32) * 0.2
    x = np.random.default_rng(3).normal(size=(rows, 4, inputs)).astype(np.float32)
    want, (y, _) = expected(cell, layer, x, kind), layer(x)
    size = np.abs(want).max()
    assert np.abs(y[:, 0] - want[:, 0]).max() < 2e-6 * size + 2e-6  # no state to round yet
    assert np.abs(y - want).max() < 0.02 * size  # where a state is rounded, the last bit may tip
    exact = LAYERS[cell](inputs, hidden, seed=1)
    for own, other in zip(exact.parameters(), layer.parameters(), strict=True):
        own.value = other.value
    assert not np.array_equal(exact(x)[0], y)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 33, 33), (5, 130, 70), (40, 64, 17), (200, 36, 129)])
def test_dense_is_exact_by_the_definition_of_its_weights(isa, kind, always, rows, inputs, outputs):
    dense = fl.Dense(inputs, outputs, seed=1, weights=kind)
    dense.parameter("bias").value = np.random.default_rng(2).normal(size=outputs)
    x = np.random.default_rng(3).normal(size=(rows, inputs)).astype(np.float32)
    of_weights, of_inputs = rounding(kind)
    want = of_inputs(x) @ of_weights(dense.parameter("weight").value).T + dense.parameter("bias").value
    assert np.abs(dense(x) - want).max() < 1e-5


@pytest.mark.parametrize("make", [fl.LSTM, fl.GRU, fl.SimpleRNN])
def test_rows_threads_lengths_and_streams_change_no_bit(isa, kind, always, make, default_threads):
    model = fl.Model([make(20, 48, num_layers=2), fl.Dense(48, 36)], seed=0, weights=kind)
    x = np.random.default_rng(0).normal(size=(19, 40, 20)).astype(np.float32)
    fl.set_num_threads(1)
    y = model.predict(x)
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        assert np.array_equal(model.predict(x), y)
        assert np.array_equal(model.predict(x[4:5]), y[4:5])
        assert np.array_equal(model.predict(x[:7]), y[:7])
        lengths = np.arange(19) % 40 + 1
        ragged = model.predict(x, lengths=lengths)
        for n, length in enumerate(lengths):
            assert np.array_equal(ragged[n, :length], y[n, :length])
        stream = model.stream(19)
        steps = np.stack([stream.step(x[:, t]) for t in range(5)], 1)
        assert np.array_equal(np.concatenate([steps, stream.run(x[:, 5:])], 1), y)


ACROSS = {"num_layers": 3}, 33, (2, 3)
"""Layers, the steps from which on few rows go through them side by side, and as many threads as there are layers."""

BOTH_WAYS = {"bidirectional": True, "num_layers": 2}, 5, (2, 3, 4)
"""Directions: side by side on one thread each, one after the other, and side by side on two threads each."""


@pytest.mark.parametrize(("options", "steps", "threads"), [ACROSS, BOTH_WAYS], ids=["layers", "directions"])
@pytest.mark.parametrize("rows", [1, 3, 60])
def test_layers_and_units_side_by_side_change_no_bit(isa, kind, always, options, steps, threads, rows, default_threads):
    layer = fl.LSTM(40, 260, seed=0, init="uniform", weights=kind, **options)
    steps = min(steps, 120 // rows)
    x = np.random.default_rng(0).normal(size=(rows, steps, 40)).astype(np.float32)
    kinds = [kind, None] * (len(layer._matrices()) // 2) + [kind] * (len(layer._matrices()) % 2)
    for weights in (kind, kinds):
        layer.weights = weights
        fl.set_num_threads(1)
        y, _ = layer(x)
        for team in threads:
            fl.set_num_threads(team)
            assert np.array_equal(layer(x)[0], y)


@packed_only
def test_what_is_prepared_follows_a_change(always):
    x = np.random.default_rng(0).normal(size=(4, 10, 40)).astype(np.float32)
    model = fl.Model([fl.LSTM(40, 64), fl.Dense(64, 40)], seed=0)
    exact, stream = model.predict(x), model.stream(4)
    first = np.stack([stream.step(x[:, t]) for t in range(5)], 1)
    assert np.array_equal(first, exact[:, :5])
    fl.quantize(model, "bfloat16")
    y, second = model.predict(x), np.stack([stream.step(x[:, t]) for t in range(5, 10)], 1)
    for found in (y[:, 5:], second):
        assert 0 < np.abs(found - exact[:, 5:]).max() < 0.02
    fl.quantize(model, None)
    assert np.array_equal(model.predict(x), exact)


def test_a_state_may_be_given(isa, kind, always):
    layer = fl.LSTM(20, 48, bidirectional=True, seed=0, weights=kind)
    x = np.random.default_rng(0).normal(size=(5, 12, 20)).astype(np.float32)
    one = fl.LSTM(20, 48, seed=0, weights=kind)
    y, _ = one(x)
    first, state = one(x[:, :7])
    assert np.array_equal(np.concatenate([first, one(x[:, 7:], state)[0]], 1), y)
    assert np.abs(layer(x)[0] - fl.LSTM(20, 48, bidirectional=True, seed=0)(x)[0]).max() < 0.02


def test_zeros_and_numbers_near_the_ends(isa, kind, always):
    dense = fl.Dense(64, 40, seed=0, weights=kind)
    weight = dense.parameter("weight").value.copy()
    weight[3] = 0
    dense.parameter("weight").value = weight
    ones = np.ones((9, 64))
    assert np.array_equal(dense(ones)[:, 3], np.zeros(9))
    assert np.array_equal(dense(0 * ones), np.zeros((9, 40)))
    for size in (2.0**-66, 2.0**100):
        assert np.abs(dense(size * ones).astype(float) / size - dense(ones)).max() < 1e-5
    assert np.abs(dense(1e-38 * ones)).max() < 1e-36
    weight[4] = 1e-38
    dense.parameter("weight").value = weight
    assert np.abs(dense(ones)[:, 4]).max() < 1e-35


@pytest.mark.parametrize("inputs", [515, 516, 517, 4096, 65536])
def test_sums_of_the_largest_numbers_fit(inputs, kind, always):
    dense, of = fl.Dense(inputs, 33, seed=0, weights=kind), rounding(kind)
    signs = np.sign(np.random.default_rng(0).normal(size=(33, inputs)))
    signs[0], signs[1] = 1, -1
    dense.parameter("weight").value = 3 * signs
    for x in (np.ones((2, inputs)), signs[:5], -signs[:5], np.full((1, inputs), 0.7)):
        expected = of[1](x) @ of[0](3 * signs).T
        if cpu.isa() == "plain":
            expected = x @ (3 * signs).T
        np.testing.assert_allclose(dense(x), expected, rtol=1e-5 + 3e-8 * inputs, atol=1e-5 * inputs)


def test_large_inputs_are_not_beyond_the_largest_number_before_they_are_scaled(kind):
    rng = np.random.default_rng(0)
    dense = fl.Dense(256, 64, seed=0, weights=kind)
    dense.parameter("weight").value = 0.06 * rng.normal(size=(64, 256))
    found, exact = dense(np.full((2, 256), 1e35)), dense.parameter("weight").value.astype(float).sum(1) * 1e35
    np.testing.assert_allclose(found, [exact] * 2, atol=0.01 * np.abs(exact).max())


def test_a_nan_of_any_bits_is_none_in_what_it_feeds(kind):
    dense, x = fl.Dense(128, 128, seed=0, weights=kind), np.ones((3, 128))
    clean, weight = dense(x), dense.parameter("weight").writable()
    weight.view(np.uint32)[[5, 7], [9, 11]] = [0xFFFFFFFF, 0x7FFFFFFF]
    dense.parameter("weight").touch()
    found = dense(x)
    assert np.isnan(found[:, [5, 7]]).all()
    assert np.array_equal(np.delete(found, [5, 7], 1), np.delete(clean, [5, 7], 1))


def test_small_layers_are_used_as_they_are():
    x = np.ones((3, 5, 4))
    for kind in NARROW:
        assert np.array_equal(fl.LSTM(4, 4, seed=0, weights=kind)(x)[0], fl.LSTM(4, 4, seed=0)(x)[0])
        assert np.array_equal(fl.Dense(4, 1, seed=0, weights=kind)(x), fl.Dense(4, 1, seed=0)(x))


def test_the_plain_path_has_weights_as_they_are(kind):
    before = cpu.isa()
    x = np.ones((3, 5, 40))
    try:
        cpu.choose("plain")
        assert np.array_equal(fl.LSTM(40, 40, seed=0, weights=kind)(x)[0], fl.LSTM(40, 40, seed=0)(x)[0])
    finally:
        cpu.choose(before)


def model_of(**more):
    return fl.Model([fl.Embedding(50, 40), fl.LSTM(40, 64, num_layers=2), fl.Last(), fl.Dense(64, 40)], seed=0, **more)


TOKENS = np.random.default_rng(0).integers(0, 50, (16, 12))


def test_a_model_keeps_its_weights_in_its_file_and_copies(tmp_path, kind):
    model = model_of(weights=kind)
    assert [model.layers[k].weights for k in (1, 3)] == [kind, kind]
    assert f"weights={kind!r}" in repr(model)
    y = model.predict(TOKENS)
    fl.save(model, tmp_path / "m.safetensors")
    for other in (fl.load(tmp_path / "m.safetensors"), copy.deepcopy(model)):
        assert other.layers[1].weights == kind
        assert np.array_equal(other.predict(TOKENS), y)


@packed_only
def test_each_matrix_may_have_a_kind_of_its_own(tmp_path, always):
    model = model_of()
    model.layers[1].weights = ["int8", None]
    assert model.layers[1].weights == ["int8", None]
    fl.save(model, tmp_path / "m.safetensors")
    other = fl.load(tmp_path / "m.safetensors")
    assert other.layers[1].weights == ["int8", None]
    assert np.array_equal(other.predict(TOKENS), model.predict(TOKENS))
    both = fl.LSTM(40, 64, bidirectional=True, seed=0)
    x = np.random.default_rng(0).normal(size=(70, 20, 40))
    exact = both(x)[0]
    both.weights = [None, "int8"]
    y = both(x)[0]
    assert np.array_equal(y[..., :64], exact[..., :64])
    assert not np.array_equal(y[..., 64:], exact[..., 64:])


@pytest.mark.parametrize("damage", ["int4", 8, ["int8"], ["int8", "int8", "int8"], {"a": 1}])
def test_a_file_with_other_weights_is_refused(tmp_path, damage, monkeypatch):
    model = model_of()
    monkeypatch.setattr(type(model.layers[1]), "weights", damage)
    path = tmp_path / "m.safetensors"
    fl.save(model, path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="weights"):
        fl.load(path)


def test_weights_follow_their_parameters(kind):
    model = model_of(weights=kind)
    before = model.predict(TOKENS)
    for parameter in model.parameters():
        parameter.value = parameter.value * 2
    after = model.predict(TOKENS)
    assert np.abs(after - before).max() > 0.1
    fl.quantize(model, None)
    assert np.abs(model.predict(TOKENS) - after).max() < 0.05 * np.ptp(after)


def test_training_is_as_without(kind):
    found = []
    for weights in (None, kind):
        model = model_of(weights=weights)
        fl.Trainer(model, loss="softmax_cross_entropy", optimizer=fl.Adam(0.01)).fit(
            TOKENS, TOKENS[:, 0] % 40, epochs=2, batch_size=8, seed=0, progress=False
        )
        found.append([parameter.value for parameter in model.parameters()])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@packed_only
def test_quantize_says_what_it_has_done(always):
    model = model_of()
    exact = model.predict(TOKENS)
    done = fl.quantize(model, "int8", sample=TOKENS)
    assert done.weights == {"0.weight": "int8", "1.weight_ih_l0": "int8", "1.weight_ih_l1": "int8", "3.weight": "int8"}
    error = np.abs(model.predict(TOKENS).astype(float) - exact).max() / np.ptp(exact.astype(float))
    assert done.error == pytest.approx(error)
    assert 0 < error < 0.05
    assert "3.weight" in str(done)
    assert "of the outputs' range" in str(done)
    unknown = fl.quantize(model, "bfloat16")
    assert unknown.error is None
    assert "not known" in str(unknown)
    assert set(fl.quantize(model, None, sample=TOKENS).weights.values()) == {None}
    assert np.array_equal(model.predict(TOKENS), exact)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0])
@packed_only
def test_quantize_keeps_the_bound(share, always):
    model = model_of()
    free = fl.quantize(model, "int8", sample=TOKENS).error
    bound = share * free
    done = fl.quantize(model, "int8", sample=TOKENS, bound=bound)
    assert done.error <= bound
    assert any(kind != "int8" for kind in done.weights.values())
    if share == 0:
        assert done.error == 0
    exact = copy.deepcopy(model)
    fl.quantize(exact, None)
    y = exact.predict(TOKENS).astype(float)
    assert np.abs(model.predict(TOKENS) - y).max() / np.ptp(y) == pytest.approx(done.error, abs=1e-9)


@packed_only
def test_inputs_of_16_bits_come_before_weights_of_16(always):
    if not cpu.multiplies("int8x16"):
        pytest.skip("this processor does not multiply 8 bits by 16")
    model = model_of()
    wide, free = (fl.quantize(model, kind, sample=TOKENS).error for kind in ("int8x16", "int8"))
    assert wide < 0.9 * free
    done = fl.quantize(model, "int8", sample=TOKENS, bound=(wide + free) / 2)
    assert "int8x16" in done.weights.values()
    assert set(done.weights.values()) <= {"int8x16", "int8"}


@pytest.mark.parametrize("multiplied", [True, False])
@packed_only
def test_kinds_that_do_not_differ_are_passed_over(multiplied, always, monkeypatch):
    model, seen = model_of(), {}
    measure = quantization._outputs

    def watched(*arguments):
        for name, kind in kinds_of(model).items():
            seen.setdefault(name, set()).add(kind)
        return measure(*arguments)

    monkeypatch.setattr(quantization, "_outputs", watched)
    monkeypatch.setattr(cpu, "multiplies", lambda kind: multiplied)
    fl.quantize(model, "int8", sample=TOKENS, bound=0)
    every = {None, "int8", "int8x16", "bfloat16"}
    assert seen.pop(0) <= every - {"int8x16"}  # the table
    assert all(kinds == (every if multiplied else every - {"int8x16"}) for kinds in seen.values())


def kinds_of(model):
    packed = [packed for layer in model.layers if hasattr(layer, "_matrices") for packed in layer._matrices()]
    return {k: None if each.format == "exact" else each.format for k, each in enumerate(packed)}


@pytest.mark.skipif(
    not cpu.multiplies("int8"), reason="elsewhere weights are used as they are, and rounded in the file"
)
def test_a_bound_is_kept_in_a_narrow_file(tmp_path):
    model = fl.Model([fl.Embedding(2000, 64), fl.LSTM(64, 128), fl.Last(), fl.Dense(128, 40)], seed=0)
    tokens = np.random.default_rng(0).integers(0, 2000, (16, 12))
    exact = model.predict(tokens).astype(float)
    free = fl.quantize(model, "int8", sample=tokens).error
    for share in (1, 0.7, 0.4):
        fl.quantize(model, "int8", sample=tokens, bound=share * free)
        fl.save(model, tmp_path / "m", narrow=True)
        y = fl.load(tmp_path / "m").predict(tokens)
        assert np.abs(y - exact).max() / np.ptp(exact) <= share * free * 1.0001


@packed_only
def test_a_decoder_is_measured_on_the_same_tokens(always):
    decoder = fl.Decoder(64, 48, num_tokens=50, max_steps=6, end_token=49)
    model = fl.Model([fl.Embedding(50, 40), fl.LSTM(40, 64), decoder], seed=0)
    for parameter in decoder.parameters():
        parameter.value = 4 * parameter.value
    free = fl.quantize(model, "int8", sample=TOKENS).error
    assert 0 < free < 0.1  # other tokens would make it about a half
    done = fl.quantize(model, "int8", sample=TOKENS, bound=free / 2)
    assert done.error <= free / 2
    assert any(done.weights.values())


@packed_only
def test_the_error_is_that_of_real_steps(always):
    model = fl.Model([fl.LSTM(40, 64), fl.Dense(64, 40)], seed=0)
    model.layers[1].parameter("bias").value = np.full(40, 100.0)
    x, lengths = np.random.default_rng(0).normal(size=(6, 9, 40)), [9, 1, 4, 3, 2, 5]
    exact, error = model.predict(x, lengths=lengths).astype(float), fl.quantize(model, sample=x, lengths=lengths).error
    real = np.arange(9) < np.array(lengths)[:, None]
    difference = np.abs(model.predict(x, lengths=lengths) - exact)[real].max()
    assert error == pytest.approx(difference / np.ptp(exact[real]))


def test_quantize_says_what_is_used_as_it_is():
    done = fl.quantize(fl.Model([fl.LSTM(4, 4)], seed=0))
    assert done.weights == {"0.weight_ih_l0": "int8"}
    assert done.in_use == {"0.weight_ih_l0": None}
    assert "int8, used as it is" in str(done)


def test_outputs_that_are_all_the_same_have_no_error():
    model = fl.Model([fl.LSTM(4, 4), fl.Last(), fl.Dense(4, 1)], seed=0)
    with pytest.raises(ValueError, match="sample: expected finite outputs that differ"):
        fl.quantize(model, sample=np.ones((3, 5, 4)))


def test_quantize_leaves_a_model_as_it_was_if_it_fails():
    model = model_of(weights="bfloat16")
    with pytest.raises(ValueError, match="x: "):
        fl.quantize(model, "int8", sample=TOKENS + 1000)
    assert [model.layers[k].weights for k in (1, 3)] == ["bfloat16", "bfloat16"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: fl.Dense(3, 4, weights="int4"),
            ValueError,
            r"weights: expected one of .*'bfloat16', 'int8x16', 'int8'.*'int4'",
        ),
        (lambda: setattr(fl.LSTM(3, 4), "weights", ["int8", None]), ValueError, "one for each of 1 matrices"),
        (lambda: fl.quantize(model_of(), np.array(["int8"])), ValueError, "weights: expected one of .* got array"),
        (lambda: setattr(fl.Dense(3, 4), "weights", [np.array(["int8"])]), ValueError, "weights: expected one of"),
        (lambda: setattr(fl.LSTM(3, 4), "weights", 8), TypeError, "weights: expected a list of kinds, got 8"),
        (lambda: fl.LSTM(3, 4, dtype="float64", weights="int8"), ValueError, "weights: expected None for .* float64"),
        (lambda: fl.Model([fl.LSTM(3, 4, weights="int8")], dtype="float64"), ValueError, "weights: expected None"),
        (lambda: fl.Model([fl.LSTM(3, 4)], dtype="float64", weights="int8"), ValueError, "weights: expected None"),
        (lambda: fl.Model([fl.LSTM(3, 4)], weights="half"), ValueError, "weights: expected one of"),
        (lambda: fl.quantize(fl.LSTM(3, 4)), TypeError, "model: expected a Model, got LSTM"),
        (lambda: fl.quantize(model_of(), "float16"), ValueError, "weights: expected one of"),
        (lambda: fl.quantize(model_of(), bound=0.1), ValueError, "bound: expected a sample"),
        (lambda: fl.quantize(model_of(), sample=TOKENS, bound=-1), ValueError, "bound: "),
        (lambda: fl.quantize(fl.Model([fl.LSTM(3, 4)], dtype="float64")), ValueError, "model: expected float32"),
        (lambda: fl.quantize(fl.Model([fl.Last()])), ValueError, "model: expected a layer with matrices"),
    ],
)
def test_errors_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()
