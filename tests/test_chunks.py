"""Streams with a look-ahead: against whole passes, and against single directions that are walked by hand."""

import numpy as np
import pytest
from conftest import instruction_sets

import fastlstm as fl

path = instruction_sets(["baseline", "plain"])
CUTS = [[11], [1] * 11, [3, 1, 5, 2], [6, 5]]


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def streamed(model, x, cuts, look_ahead):
    stream, parts, at = model.stream(len(x), look_ahead=look_ahead), [], 0
    for cut in cuts:
        parts.append(stream.run(x[:, at : at + cut]))
        at += cut
        assert sum(part.shape[1] for part in parts) == max(0, at - look_ahead)
    return np.concatenate([*parts, stream.finish()], axis=1), stream


MODELS = {
    "bidirectional": lambda **kw: [fl.LSTM(3, 4, bidirectional=True, **kw), fl.Dense(8, 2)],
    "deep": lambda **kw: [fl.LSTM(3, 4, num_layers=3, bidirectional=True, residual=True, **kw), fl.LayerNorm(8)],
    "merged": lambda **kw: [fl.GRU(3, 4, num_layers=2, bidirectional=True, merge="mul", **kw), fl.SimpleRNN(4, 3)],
    "backwards": lambda **kw: [fl.GRU(3, 4, num_layers=2, go_backwards=True, **kw), fl.LSTM(4, 5, num_layers=2)],
    "peephole": lambda **kw: [fl.LSTM(3, 4, peephole=True, num_layers=2, bidirectional=True, zoneout=0.2, **kw)],
}


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_look_ahead_to_the_end_is_the_whole_pass(path, name, cuts):
    model, x = fl.Model(MODELS[name](), dtype="float64", seed=0), random_numbers(2, 11, 3)
    y, stream = streamed(model, x, cuts, 11)
    np.testing.assert_allclose(y, model(x), rtol=1e-10, atol=1e-13)
    assert stream.finish().shape == (2, 0, y.shape[2])
    stream.run(x)
    np.testing.assert_allclose(stream.finish(), y, rtol=1e-10, atol=1e-13)  # from zeros again


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("look_ahead", [0, 1, 4])
def test_what_reads_forwards_alone_is_the_whole_pass_with_any_look_ahead(path, cuts, look_ahead):
    layers = [fl.LSTM(3, 4, num_layers=2), fl.BatchNorm(4), fl.GRU(4, 5), fl.MeanPool(), fl.Dense(5, 2)]
    model, x = fl.Model(layers, dtype="float64", seed=0), random_numbers(2, 11, 3)
    y, _ = streamed(model, x, cuts, look_ahead)
    np.testing.assert_allclose(y, model.stream(2).run(x), rtol=1e-10, atol=1e-13)


def one_direction(layer, k, reverse):
    """A layer of one direction with the weights of one of another layer."""
    inputs = layer.input_size if k == 0 else layer.output_size
    one = fl.LSTM(inputs, layer.hidden_size, dtype="float64")
    suffix = f"_l{k}" + ("_reverse" if reverse else "")
    one.load_parameters({n: layer.parameter(n.replace("_l0", suffix)).value for n in one.parameter_shapes()}, "float64")
    return one


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("look_ahead", [0, 1, 4])
def test_the_forward_direction_carries_on_and_the_reverse_one_begins_at_the_last_step(path, cuts, look_ahead):
    layer = fl.LSTM(3, 4, num_layers=2, bidirectional=True)
    model, x = fl.Model([layer], dtype="float64", seed=0), random_numbers(2, 11, 3)
    y, _ = streamed(model, x, cuts, look_ahead)
    given, come, states, expected = 0, 0, [None, None], []
    for cut in [*cuts, 0]:
        come += cut
        count = (come if not cut else max(given, come - look_ahead)) - given
        if not count:
            continue
        inputs = x[:, given:come]
        for k in range(2):
            ahead, behind = one_direction(layer, k, False), one_direction(layer, k, True)
            forwards, _ = ahead(inputs, states[k])
            _, states[k] = ahead(inputs[:, :count], states[k])
            backwards, _ = behind(inputs[:, ::-1])
            inputs = np.concatenate([forwards, backwards[:, ::-1]], axis=2)
        expected.append(inputs[:, :count])
        given += count
    np.testing.assert_allclose(y, np.concatenate(expected, 1), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("weights", ["int8", "bfloat16"])
def test_narrow_weights_read_ahead_too(weights):
    layers = [
        fl.LSTM(40, 64, num_layers=2, bidirectional=True, weights=["int8", None, weights, weights]),
        fl.Dense(128, 2),
    ]
    model, x = fl.Model(layers, seed=0), random_numbers(2, 9, 40).astype("f4")
    y, _ = streamed(model, x, [4, 5], 9)
    np.testing.assert_array_equal(y, model(x))


def test_it_sees_new_weights_and_tokens_and_resets():
    model = fl.Model([fl.Embedding(9, 3), fl.LSTM(3, 4, num_layers=2, bidirectional=True)], dtype="float64", seed=0)
    tokens = np.random.default_rng(0).integers(9, size=(2, 7))
    stream = model.stream(2, look_ahead=7)
    stream.run(tokens[:, :3])
    stream.reset()
    for parameter in model.parameters():
        parameter.value = 0.5 * parameter.value
    stream.run(tokens)
    np.testing.assert_allclose(stream.finish(), model(tokens), rtol=1e-10)


BAD = {
    "no look-ahead": (
        lambda m: m.stream(),
        ValueError,
        r"layer 0 \(LSTM\): a bidirectional LSTM cannot stream: its reverse direction begins at the end; "
        r"stream\(look_ahead=k\) reads k steps ahead instead",
    ),
    "below 0": (lambda m: m.stream(look_ahead=-1), ValueError, "look_ahead: expected at least 0, got -1"),
    "no number": (lambda m: m.stream(look_ahead=1.5), TypeError, "look_ahead: expected a whole number, got 1.5"),
    "decoder": (
        lambda m: fl.Model([fl.GRU(3, 4), fl.Decoder(4, 4, num_tokens=3, max_steps=2, end_token=0)], seed=0).stream(
            look_ahead=1
        ),
        ValueError,
        r"layer 1 \(Decoder\): a Decoder cannot stream",
    ),
    "shape": (
        lambda m: m.stream(2, look_ahead=1).run(np.ones((1, 4, 3))),
        ValueError,
        r"x: expected shape \(2, T, 3\), got \(1, 4, 3\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call(fl.Model([fl.LSTM(3, 4, bidirectional=True)], seed=0))


def test_nothing_reads_backwards_behind_a_layer_of_ones_own_with_a_state():
    class Differences(fl.Layer):
        input_shape = ("N", "T", "F")

        def output_shape(self, shape):
            return shape

        def forward(self, x, tape, *, training, lengths):
            return np.diff(x, axis=1, prepend=0)

        def start(self, batch, tape):
            tape.notes["last"] = 0

        def step(self, x, tape):
            found = np.diff(x, axis=1, prepend=tape.notes["last"] + np.zeros_like(x[:, :1]))
            tape.notes["last"] = x[:, -1:].copy()
            return found

    try:
        model = fl.Model([Differences(), fl.GRU(3, 4, bidirectional=True)], seed=0)
        message = r"look_ahead: layer 1 \(GRU\) reads backwards behind Differences, which gives one step at a time"
        with pytest.raises(ValueError, match=message):
            model.stream(look_ahead=2)
        model, x = fl.Model([Differences(), fl.GRU(3, 4)], dtype="float64", seed=0), random_numbers(2, 11, 3)
        np.testing.assert_allclose(streamed(model, x, [3, 8], 2)[0], model(x), rtol=1e-10, atol=1e-13)
    finally:
        fl.Layer.registry.pop("Differences")


def test_a_stream_in_use_is_told():
    stream = fl.Model([fl.LSTM(3, 4, bidirectional=True)], seed=0).stream(look_ahead=1)
    with stream._turn:
        for call in (stream.finish, stream.reset, lambda: stream.run(np.ones((1, 2, 3)))):
            with pytest.raises(RuntimeError, match="this stream is in use by another call"):
                call()
