"""Layers that hold chains of layers: Residual and Concat, also within each other."""

import copy
import json

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm import tensors
from fastlstm._kernels import cpu
from fastlstm.layers import packed
from fastlstm.model.memory import activations


def residual():
    return fl.Residual(
        [fl.LayerNorm(4), fl.LSTM(4, 3), fl.Residual([fl.Dense(3, 3), fl.Activation("tanh")]), fl.Dense(3, 4)]
    )


def concat():
    return fl.Concat([], [fl.Conv1d(4, 2, 3, padding="causal"), fl.Activation("gelu")], [fl.GRU(4, 3, num_layers=2)])


def pooled():
    return fl.Concat([fl.Last()], [fl.MeanPool(), fl.Dense(9, 2)], [fl.AttentionPool(9, 3)])


def model_of(**options):
    return fl.Model([fl.Dense(3, 4), residual(), concat(), pooled(), fl.Dense(20, 2)], **{"seed": 0, **options})


def by_hand(model, x, lengths=None):
    """What such a model gives, each layer called by itself."""

    def after(layers, x):
        for layer in layers:
            x = layer(x) if x.ndim == 2 else fl.Model([layer], dtype="float64")(x, lengths=lengths)
        return x

    first, one, *sides, last = model.layers
    x = first(x)
    norm, lstm, inner, dense = one.chains[0].layers
    h = after([norm, lstm], x)
    x = x + dense(h + after(inner.chains[0].layers, h))
    for side in sides:
        x = np.concatenate([after(chain.layers, x) for chain in side.chains], axis=-1)
    return last(x)


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


LENGTHS = [None, [6, 2, 0, 4]]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_chains_give_what_their_layers_give(path, lengths):
    model, x = model_of(dtype="float64"), random_numbers(4, 6, 3)
    for k in range(3):  # made, and kept
        expected = by_hand(model, x + k, lengths)
        np.testing.assert_allclose(model.predict(x + k, lengths=lengths), expected, rtol=1e-11, atol=1e-13)
    found = model.forward(x, model.tape(), training=True, lengths=lengths)
    np.testing.assert_allclose(found, by_hand(model, x, lengths), rtol=1e-11, atol=1e-13)


def test_kept_programs_follow_other_lengths(path):
    model, x = model_of(dtype="float64"), random_numbers(4, 6, 3)
    for lengths in ([6, 1, 3, 4], [2, 5, 6, 1], [6, 6, 6, 2]):
        found = model.predict(x, lengths=lengths)
        np.testing.assert_allclose(found, by_hand(model, x, lengths), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients(path, lengths):
    model, x = model_of(dtype="float64"), random_numbers(4, 6, 3)
    tape = model.tape()
    dy = random_numbers(*model.forward(x, tape, training=True, lengths=lengths).shape, seed=2)
    dx = model.backward(dy, tape)

    def value():
        return (model.forward(x, model.tape(), training=True, lengths=lengths) * dy).sum()

    assert relative_error(value, x, dx, entries=4) < 1e-7
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-7, parameter.name


def test_passes_that_are_run_again_draw_and_give_the_same(path):
    layers = [fl.Residual([fl.Dropout(0.5), fl.GRU(3, 3)]), fl.Concat([fl.Dropout(0.3)], [fl.Dense(3, 2)])]
    first, second = fl.Model(copy.deepcopy(layers), seed=0), fl.Model(layers, seed=0)
    x, dy = random_numbers(4, 6, 3).astype(np.float32), random_numbers(4, 6, 5).astype(np.float32)
    tape, other = first.tape(seed=3), second.tape(seed=3)
    drawn = []
    for _ in range(4):  # one is run again from the third pass on, the other sees new arrays
        y, again = first.forward(x, tape, training=True), second.forward(x.copy(), other, training=True)
        np.testing.assert_array_equal(y, again)
        np.testing.assert_array_equal(first.backward(dy, tape), second.backward(dy.copy(), other))
        drawn.append(y.copy())
    assert all((one != other).any() for one, other in zip(drawn[1:], drawn, strict=False))
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, two.grad)


def test_what_is_frozen_stays_and_spares_what_is_below():
    model, x = model_of(), random_numbers(4, 6, 3)
    model.layers[0].trainable = model.layers[1].trainable = False
    model.layers[2].chains[2].layers[0].trainable = False
    assert not model.layers[1].trainable and model.layers[2].trainable
    before = {name: parameter.value.copy() for name, parameter in model.named_parameters().items()}
    fl.Trainer(model, "mse", optimizer=fl.SGD(0.1)).fit(x, np.ones((4, 2)), epochs=2, progress=False)
    for name, parameter in model.named_parameters().items():
        stays = name.startswith(("0.", "1.", "2.2."))
        assert (parameter.value == before[name]).all() == stays, name


def test_parameters_have_the_names_of_their_places():
    model = model_of()
    named = model.named_parameters()
    assert [parameter.name for parameter in model.parameters()] == list(named)
    for name in ("1.0.weight", "1.1.weight_hh_l0", "1.2.0.bias", "2.1.0.weight", "2.2.0.bias_l1", "3.1.1.weight"):
        assert name in named
    assert named["1.2.0.bias"] is model.layers[1].chains[0].layers[2].chains[0].layers[0].parameter("bias")
    buffers = fl.Model([fl.Concat([fl.BatchNorm(3)], [])]).named_buffers()
    assert list(buffers) == ["0.0.0.running_mean", "0.0.0.running_var"]


def test_the_seed_says_how_layers_start():
    one, two, other = model_of(seed=4), model_of(seed=4), model_of(seed=5)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert (one.named_parameters()["2.1.0.weight"].value != other.named_parameters()["2.1.0.weight"].value).any()
    same = [fl.Residual([fl.Dense(3, 3), fl.Dense(3, 3)], seed=7) for _ in range(2)]
    x = random_numbers(2, 4, 3)
    np.testing.assert_array_equal(same[0](x), same[1](x))
    first, second = same[0].parameters()[0].value, same[0].parameters()[2].value
    assert (first != second).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_is_the_same(dtype, tmp_path):
    model, x = model_of(dtype=dtype), random_numbers(4, 6, 3)
    model.layers[1].chains[0].layers[3].trainable = False
    fl.save(model, tmp_path / "m")
    again = fl.load(tmp_path / "m")
    assert repr(again) == repr(model) and str(again) == str(model)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert [parameter.trainable for parameter in again.parameters()] == [one.trainable for one in model.parameters()]
    np.testing.assert_array_equal(copy.deepcopy(model).predict(x), model.predict(x))


@pytest.mark.skipif(cpu.isa() == "plain", reason="no packed kernels here")
def test_files_keep_the_bits_of_held_matrices(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "worth", lambda format, *sizes: format)  # even where that is not faster
    layers = [fl.Residual([fl.Dense(48, 48)]), fl.Concat([fl.LSTM(48, 45)], [fl.Conv1d(48, 40, 3, padding="same")])]
    model, x = fl.Model(layers, seed=0), random_numbers(2, 5, 48)
    found = fl.quantize(model, "bfloat16", sample=x)
    assert list(found.weights) == ["0.0.weight", "1.0.0.weight_ih_l0", "1.1.0.weight"] and found.error < 0.03
    for narrow in (False, True):
        fl.save(model, tmp_path / "m", narrow=narrow)
        again = fl.load(tmp_path / "m")
        assert again.layers[0].chains[0].layers[0].weights == "bfloat16"
        np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-5, atol=1e-5)
    assert fl.Model([residual()], weights="int8").layers[0].chains[0].layers[3].weights == "int8"


def test_a_stream_gives_what_a_call_gives(path, tmp_path):
    model, x = model_of(dtype="float64"), random_numbers(3, 9, 3)
    expected = [model.predict(x[:, : t + 1]) for t in range(9)]
    stream, close = model.stream(3), {"rtol": 1e-10, "atol": 1e-12}
    fresh = stream.state_dict()
    for t in range(4):
        np.testing.assert_allclose(stream.step(x[:, t]), expected[t], **close)
    state, clone = stream.state_dict(), stream.clone(rows=[2, 0])
    assert {"1.1.h", "1.1.c", "2.1.0.inputs", "2.2.0.h", "3.1.0.total"} < {*state}
    stream.save(tmp_path / "state")
    np.testing.assert_allclose(stream.run(x[:, 4:])[:, -1], expected[-1], **close)
    np.testing.assert_allclose(clone.run(x[[2, 0], 4:])[:, -1], expected[-1][[2, 0]], **close)
    for load in (lambda one: one.load_state_dict(state), lambda one: one.load(tmp_path / "state")):
        other = model.stream(3)
        load(other)
        np.testing.assert_allclose(other.step(x[:, 4]), expected[4], **close)
    other.load_state_dict(fresh)  # pools have no state yet
    np.testing.assert_allclose(other.run(x[:, :3])[:, -1], expected[2], **close)
    other.reset()
    np.testing.assert_allclose(other.run(x)[:, -1], expected[-1], **close)
    assert model.stream(2).states() == [None] * 5


def test_states_that_do_not_fit_are_refused():
    stream = model_of().stream(2)
    stream.step(np.ones((2, 3)))
    state = stream.state_dict()
    for name in ("1.1.c", "2.1.0.inputs", "3.1.0.count"):
        with pytest.raises(ValueError, match=f"state: expected an array '{name}', got none"):
            stream.load_state_dict({key: part for key, part in state.items() if key != name})
    with pytest.raises(ValueError, match="state: expected 1.1.h, .* got '1.h'"):
        stream.load_state_dict({**state, "1.h": state["1.1.h"]})


def test_a_carried_state_goes_through_chains(path):
    layers = [fl.Residual([fl.LSTM(3, 3)]), fl.Concat([fl.GRU(3, 2)], [fl.Dense(3, 2)])]
    model, x = fl.Model(layers, dtype="float64", seed=0), random_numbers(3, 8, 3)
    tape = model.tape(carry=True)
    parts = [model.forward(x[:, a : a + 2], tape, training=True).copy() for a in range(0, 8, 2)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), model.predict(x), rtol=1e-11)
    model.carry([2, -1], tape)
    y = model.forward(x[:2], tape)
    np.testing.assert_allclose(y[1], model.predict(x)[1], rtol=1e-11)
    assert abs(y[0] - model.predict(x)[0]).max() > 1e-3


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path):
    def train(folder, epochs):
        layers = [fl.Residual([fl.LSTM(2, 2), fl.Dropout(0.3)]), fl.Concat([fl.GRU(2, 2)], []), fl.Dense(4, 1)]
        model = fl.Model(layers, seed=0)
        x = random_numbers(60, 2)
        trainer = fl.Trainer(model, "mse")
        trainer.fit_sequence(
            x, x[:, :1], window=6, batch_size=2, epochs=epochs, seed=0, progress=False, resume=tmp_path / folder
        )
        return [parameter.value for parameter in model.parameters()]

    train("parts", 1)
    for one, other in zip(train("parts", 3), train("whole", 3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_penalties_of_held_layers_count():
    inner = [fl.Dense(3, 3), fl.ActivityRegularization(fl.regularizers.L2(0.1))]
    model, flat = fl.Model([fl.Concat(inner, [])], seed=0), fl.Model([*copy.deepcopy(inner)], seed=0)
    flat.layers[0].load_parameters(
        {name: model.named_parameters()[f"0.0.0.{name}"].value for name in ("weight", "bias")}, "float32"
    )
    x, tapes = random_numbers(2, 4, 3).astype(np.float32), [model.tape(), flat.tape()]
    for _ in range(4):  # the passes are recorded, and run again
        for one, tape in zip((model, flat), tapes, strict=True):
            one.backward(np.zeros_like(one.forward(x, tape, training=True)), tape)
        assert tapes[0].penalty() == pytest.approx(tapes[1].penalty()) and tapes[0].penalty() > 0
        np.testing.assert_allclose(model.parameters()[0].grad, flat.parameters()[0].grad, rtol=1e-5)
        x *= 2
    mixing = fl.Model([fl.Concat([fl.BatchNorm(3)], [])])
    assert mixing.layers[0].mixes_rows and not model.layers[0].mixes_rows


def test_the_estimate_of_memory_counts_what_is_held():
    flat = [fl.LSTM(4, 4), fl.Dense(4, 4)]
    assert activations([fl.Residual(flat)], 2, 9) == activations(flat, 2, 9) + 2 * 2 * 9 * 4


def test_a_summary_shows_what_is_held():
    lines = str(model_of()).splitlines()
    assert lines[3].split() == ["1", "Residual", "(N,", "T,", "4)", "132"]
    assert [line.split()[0] for line in lines[2:-2]] == [
        *("0", "1", "1.0", "1.1", "1.2", "1.2.0", "1.2.1", "1.3", "2", "2.1.0", "2.1.1", "2.2.0"),
        *("3", "3.0.0", "3.1.0", "3.1.1", "3.2.0", "4"),
    ]


def test_chains_behind_layers_without_time():
    model = fl.Model(
        [fl.Last(), fl.Residual([fl.Dense(3, 3)]), fl.Concat([fl.Dense(3, 2)], [])], dtype="float64", seed=0
    )
    x = random_numbers(4, 5, 3)
    inner, side = model.layers[1].chains[0].layers[0], model.layers[2].chains[0].layers[0]
    last = x[[0, 1, 2, 3], [4, 0, 2, 3]]
    expected = last + inner(last)
    np.testing.assert_allclose(
        model.predict(x, lengths=[5, 1, 3, 4]), np.concatenate([side(expected), expected], axis=1), rtol=1e-12
    )


def test_lengths_go_through_chains_that_change_them(path):
    layers = [fl.Concat([fl.Conv1d(3, 2, 2, stride=2)], [fl.MaxPool1d(2)]), fl.LSTM(5, 3), fl.MeanPool()]
    model, x, lengths = fl.Model(layers, dtype="float64", seed=0), random_numbers(3, 8, 3), [8, 3, 6]
    y = model.predict(x, lengths=lengths)
    for k, length in enumerate(lengths):
        np.testing.assert_allclose(y[k], model.predict(x[k : k + 1, :length])[0], rtol=1e-11)
    assert model.output_lengths([8, 3, 6, 1]).tolist() == [4, 1, 3, 0]
    pools = fl.Model([fl.Concat([fl.Conv1d(3, 2, 3), fl.MaxPool()], [fl.Last()])], dtype="float64", seed=0)
    np.testing.assert_allclose(pools.predict(x, lengths=lengths)[1], pools.predict(x[1:2, :3])[0], rtol=1e-12)


BAD = {
    "none": (lambda: fl.Residual([]), ValueError, "layers: expected at least one, got none"),
    "no list": (lambda: fl.Residual(fl.Dense(3, 3)), TypeError, "layers: expected a list of layers, got Dense"),
    "no layer": (lambda: fl.Residual([fl.Last]), TypeError, "layers: expected layers, got <class .* at 0"),
    "width": (
        lambda: fl.Residual([fl.Dense(3, 4)]),
        ValueError,
        r"layers: expected a chain whose output has the shape of its input, \(N, T, 3\), got \(N, T, 4\)",
    ),
    "time": (lambda: fl.Residual([fl.Conv1d(3, 3, 2)]), ValueError, r"got \(N, T', 3\)"),
    "pooled": (lambda: fl.Residual([fl.Last()]), ValueError, r"got \(N, F\)"),
    "chain": (
        lambda: fl.Residual([fl.Dense(3, 4), fl.LSTM(3, 3)]),
        ValueError,
        r"layer 1 \(LSTM\): input_size: expected 4, the size of what comes in, got 3",
    ),
    "in a model": (
        lambda: fl.Model([fl.Dense(2, 4), fl.Residual([fl.Dense(3, 3)])]),
        ValueError,
        r"layer 1 \(Residual\): layer 0 \(Dense\): input_size: expected 4",
    ),
    "one": (lambda: fl.Concat([fl.Last()]), ValueError, "chains: expected at least two, got 1"),
    "no chains": (lambda: fl.Concat(fl.Last(), []), TypeError, "chain 0: expected a list of layers, got Last"),
    "axes": (
        lambda: fl.Concat([], [fl.Last()]),
        ValueError,
        r"chains: expected outputs with the same axes but .*, got \(N, T, F\) of chain 0 and \(N, F\) of chain 1",
    ),
    "sizes": (
        lambda: fl.Concat([fl.Dense(3, 2)], [fl.Dense(4, 2)]),
        ValueError,
        r"chain 1: layer 0 \(Dense\): input_size: expected 3, the size of what comes in, got 4",
    ),
    "tokens": (
        lambda: fl.Concat([fl.Embedding(3, 2)], []),
        ValueError,
        "expected layers from numbers .* got Embedding at 0.0",
    ),
    "decoder": (
        lambda: fl.Concat([], [fl.Decoder(3, 2, 3, max_steps=2, end_token=0)]),
        ValueError,
        "layers: expected layers from numbers to numbers with parameters of their own, got Decoder at 1.0",
    ),
    "one added": (lambda: fl.Add([fl.Last()]), ValueError, "chains: expected at least two, got 1"),
    "no chains added": (lambda: fl.Add(fl.Last(), []), TypeError, "chain 0: expected a list of layers, got Last"),
    "added shapes": (
        lambda: fl.Add([fl.Dense(3, 3)], [], [fl.Dense(3, 2)]),
        ValueError,
        r"chains: expected outputs of one shape, got \(N, T, 3\), and \(N, T, 2\) of chain 2",
    ),
    "dtype": (
        lambda: fl.Concat([fl.Dense(3, 2, dtype="float64")], [fl.Dense(3, 2, dtype="float32")]),
        ValueError,
        "dtype: expected float64 of all layers, got float32 of the one at 1.0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_chains_that_do_not_fit_are_refused(name):
    make, error, message = BAD[name]
    with pytest.raises(error, match=message):
        make()


def test_a_layer_stands_once():
    dense = fl.Dense(3, 3)
    for make in (
        lambda: fl.Residual([dense, dense]),
        lambda: fl.Residual([dense, fl.Residual([dense])]),
        lambda: fl.Model([dense, fl.Residual([dense])]),
    ):
        with pytest.raises(ValueError, match="layers: expected every layer once, got one twice"):
            make()


def test_what_cannot_stream_or_carry_is_named():
    model = fl.Model([fl.Residual([fl.LSTM(4, 2, bidirectional=True)])])
    with pytest.raises(ValueError, match=r"layer 0 \(Residual\): layer 0 \(LSTM\): .*cannot stream"):
        model.stream()
    with pytest.raises(ValueError, match=r"layer 0 \(Residual\): layer 0 \(LSTM\): .*cannot carry"):
        model.tape(carry=True)


def test_chains_with_other_numbers_of_steps_are_refused():
    model = fl.Model([fl.Concat([fl.Conv1d(3, 2, 2)], [fl.Conv1d(3, 2, 3)])])
    with pytest.raises(ValueError, match=r"got \(2, 4, 2\) of chain 0 and \(2, 3, 2\) of chain 1"):
        model.predict(np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match="Concat: expected chains that make the same lengths of those of x"):
        model.output_lengths([5, 3])


def entry(kind, **config):
    return {"type": kind, "config": config}


def nested(depth):
    found = entry("Dropout", rate=0.5)
    for _ in range(depth):
        found = entry("Residual", layers=[found])
    return found


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nested(18)], "within it: expected layers within at most 16 others"),
        (
            [entry("Residual", layers=[entry("Dropout", rate=0.5)] * 1000)],
            "expected at most 1000, got 1001 with those within",
        ),
        ([entry("Residual", layers=3)], "layer 0: layers: expected a list of layers, got 3"),
        ([entry("Residual", layers=[3])], "layer 0, within it: expected a type and a config, got 3"),
        ([entry("Concat", chains=[[], [[]]])], r"layer 0, within it: expected a type and a config, got \[\]"),
        (
            [entry("Residual", layers=[entry("LSTM", input_size=1, hidden_size=1, num_layers=900)])],
            r"layer 0, within it \(LSTM\): num_layers: expected at most 1 for the arrays that are there, got 900",
        ),
        ([entry("Residual", layers=[entry("Nothing")])], "unknown layer 'Nothing'"),
        (
            [entry("Residual", layers=[{**entry("Dropout", rate=0.5), "weights": "int8"}])],
            "Dropout: has no matrix for weights='int8'",
        ),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(layers, message, tmp_path):
    fl.save(fl.Model([fl.Dropout(0.5)], seed=0), tmp_path / "m")
    words, arrays = tensors.read(tmp_path / "m")
    words = {key: word for key, word in words.items() if key != tensors.CHECKSUM}
    words["model"] = json.dumps({"dtype": "float32", "layers": layers})
    tensors.write(tmp_path / "m", arrays, words)
    with pytest.raises(ValueError, match=message):
        fl.load(tmp_path / "m")


def test_layers_within_sixteen_others_are_read(tmp_path):
    layer = fl.Dropout(0.5)
    for _ in range(16):
        layer = fl.Residual([layer])
    fl.save(fl.Model([layer], seed=0), tmp_path / "m")
    np.testing.assert_allclose(fl.load(tmp_path / "m").predict(np.ones((1, 1, 1))), 17)
    with pytest.raises(ValueError, match="expected layers within at most 16 others"):
        fl.save(fl.Model([fl.Residual([layer])], seed=0), tmp_path / "m")
