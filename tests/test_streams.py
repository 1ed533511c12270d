"""The state of a stream: told, taken back, cloned and kept in files."""

import numpy as np
import pytest
from conftest import instruction_sets

import fastlstm as fl

path = instruction_sets(["baseline", "plain"])
MODELS = {
    "lstm": lambda **kw: fl.Model([fl.LSTM(3, 5, num_layers=2), fl.Dense(5, 2)], seed=0, **kw),
    "gru": lambda **kw: fl.Model([fl.BatchNorm(3), fl.GRU(3, 7), fl.SimpleRNN(7, 4)], seed=0, **kw),
    "options": lambda **kw: fl.Model(
        [fl.LSTM(3, 4, peephole=True, zoneout=0.2, residual=True, num_layers=2)], seed=0, **kw
    ),
    "mean": lambda **kw: fl.Model([fl.LSTM(3, 4), fl.MeanPool(), fl.Dense(4, 1)], seed=0, **kw),
    "max": lambda **kw: fl.Model([fl.Dense(3, 4), fl.MaxPool()], seed=0, **kw),
    "attention": lambda **kw: fl.Model([fl.LSTM(3, 4), fl.AttentionPool(4)], seed=0, **kw),
    "free": lambda **kw: fl.Model([fl.MeanPool()], seed=0, **kw),
    "wide": lambda **kw: fl.Model([fl.LSTM(3, 100), fl.Last(), fl.LayerNorm(100)], seed=0, **kw),
}


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("before", [0, 1, 4])
def test_a_stream_goes_on_from_a_state(path, name, dtype, before, tmp_path):
    model, x = MODELS[name](dtype=dtype), random_numbers(3, 9, 3)
    stream = model.stream(3)
    for t in range(before):
        stream.step(x[:, t])
    used, new, filed = model.stream(3), model.stream(3), model.stream(3)
    used.run(random_numbers(3, 3, 3, seed=1))
    state = stream.state_dict()
    stream.save(tmp_path / "state.safetensors")
    clone = stream.clone()
    expected = [stream.run(x[:, before:7]), stream.step(x[:, 7]), stream.step(x[:, 8])]
    for other in (used, new):
        other.load_state_dict(state)
    filed.load(tmp_path / "state.safetensors")
    for part in state.values():
        part[...] = 7  # it was copied
    for other in (used, new, filed, clone):
        for found, wanted in zip(
            [other.run(x[:, before:7]), other.step(x[:, 7]), other.step(x[:, 8])], expected, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("weights", ["bfloat16", "int8", "int8x16"])
def test_narrow_weights_keep_the_state_too(weights):
    model, x = MODELS["wide"](weights=weights), random_numbers(2, 6, 3)
    stream = model.stream(2)
    stream.run(x[:, :3])
    clone = stream.clone(rows=[1, 0])
    np.testing.assert_array_equal(clone.run(x[::-1, 3:]), stream.run(x[:, 3:])[::-1])


@pytest.mark.parametrize("name", MODELS)
def test_a_clone_has_the_rows_that_it_is_asked_for(path, name):
    model, x = MODELS[name](dtype="float64"), random_numbers(4, 6, 3)
    stream = model.stream(4)
    stream.run(x[:, :3])
    for rows in ([0, 0, 3], 2, np.array([True, False, False, True]), [-1]):
        index = np.atleast_1d(np.arange(4)[rows])
        beam = stream.clone(rows)
        assert beam.batch == len(index)
        expected = model.stream(len(index)).run(x[index])[:, 3:]
        np.testing.assert_allclose(beam.run(x[index, 3:]), expected, rtol=1e-11, atol=1e-13)
    clone = stream.clone()
    clone.reset([1])
    np.testing.assert_allclose(stream.run(x[:, 3:]), model.stream(4).run(x)[:, 3:], rtol=1e-11, atol=1e-13)


def test_states_are_those_that_a_layer_gives(path):
    model = fl.Model([fl.LSTM(3, 5, num_layers=2), fl.Dense(5, 2), fl.GRU(2, 4)], dtype="float64", seed=0)
    stream, x = model.stream(2), random_numbers(2, 4, 3)
    assert not any(part.any() for part in (*stream.states()[0], stream.states()[2]))
    y = stream.run(x)
    inner, state = model.layers[0](x)
    (h, c), none, top = stream.states()
    assert none is None
    np.testing.assert_allclose(h, state[0], rtol=1e-12)
    np.testing.assert_allclose(c, state[1], rtol=1e-12)
    np.testing.assert_allclose(top[0], y[:, -1], rtol=1e-12)
    np.testing.assert_array_equal(top, model.layers[2](model.layers[1](inner))[1])
    h += 1
    np.testing.assert_allclose(stream.states()[0][0], state[0], rtol=1e-12)


def test_a_state_of_a_layer_begins_a_stream(path):
    model, x = fl.Model([fl.LSTM(3, 4)], dtype="float64", seed=0), random_numbers(2, 6, 3)
    _, (h, c) = model.layers[0](x[:, :3])
    stream = model.stream(2)
    stream.load_state_dict({"0.h": h, "0.c": c})
    np.testing.assert_allclose(stream.run(x[:, 3:]), model(x)[:, 3:], rtol=1e-12)


H = np.zeros((1, 2, 4))
BAD = {
    "no dict": (lambda s: s.load_state_dict([H, H]), TypeError, "state: expected a dict of arrays, got list"),
    "missing": (lambda s: s.load_state_dict({"0.h": H}), ValueError, "state: expected an array '0.c', got none"),
    "unknown": (
        lambda s: s.load_state_dict({"0.h": H, "0.c": H, "7.h": H}),
        ValueError,
        "state: expected 0.h, 0.c, 1.total, 1.count, got '7.h'",
    ),
    "shape": (
        lambda s: s.load_state_dict({**s.state_dict(), "0.c": H[:, :1]}),
        ValueError,
        r"state 0.c: expected shape \(1, 2, 4\), got \(1, 1, 4\)",
    ),
    "nan": (
        lambda s: s.load_state_dict({**s.state_dict(), "0.h": H * np.nan}),
        ValueError,
        r"state 0.h: expected finite numbers, got nan at \[0, 0, 0\]",
    ),
    "words": (
        lambda s: s.load_state_dict({**s.state_dict(), "0.h": "zero"}),
        TypeError,
        "state 0.h: expected real numbers, got dtype <U4",
    ),
    "pool": (
        lambda s: s.load_state_dict({**s.state_dict(), "1.total": np.ones((2, 3))}),
        ValueError,
        r"state 1.total: expected shape \(2, 4\), got \(2, 3\)",
    ),
    "rows": (lambda s: s.clone([2]), ValueError, r"rows: expected rows of a batch of 2, got \[2\]"),
    "a column of rows": (
        lambda s: s.clone([[0], [1]]),
        ValueError,
        r"rows: expected rows of a batch of 2, got \[\[0\], \[1\]\] \(they stand in one list, not .* shape \(2, 1\)\)",
    ),
    "a table of rows": (lambda s: s.reset([[0, 1]]), ValueError, r"rows: expected rows of a batch of 2, got \[\[0, 1"),
    "no rows": (lambda s: s.clone([]), ValueError, r"rows: expected at least one row of the batch, got \[\]"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_state_is_told_and_changes_nothing(name):
    model, x = fl.Model([fl.LSTM(3, 4), fl.MeanPool()], seed=0), random_numbers(2, 4, 3)
    stream = model.stream(2)
    stream.run(x[:, :2])
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call(stream)
    np.testing.assert_array_equal(stream.run(x[:, 2:]), model.stream(2).run(x)[:, 2:])


def test_a_pool_of_any_size_keeps_to_the_size_of_its_state():
    stream, other = fl.Model([fl.MeanPool()]).stream(), fl.Model([fl.MeanPool()]).stream()
    assert stream.state_dict() == {}
    stream.step([1.0, 2.0])
    other.load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="x: expected 2 features, as the state of the stream has, got 3"):
        other.step([1.0, 2.0, 3.0])


def test_files_that_are_no_state_are_told(tmp_path):
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    stream, file = model.stream(2), tmp_path / "state.safetensors"
    fl.save(model, file)
    with pytest.raises(ValueError, match="a safetensors file, but not the state of a stream"):
        stream.load(file)
    stream.save(file)
    with pytest.raises(ValueError, match=r"damaged: state 0.h: expected shape \(1, 3, 4\), got \(1, 2, 4\)"):
        model.stream(3).load(file)
    whole = file.read_bytes()
    for content in (whole[:-1], whole[:-4] + b"\x01\x02\x03\x04", whole.replace(b'"1"', b'"2"'), b""):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"state\.safetensors: "):
            stream.load(file)
    with pytest.raises(FileNotFoundError, match="no such file"):
        stream.load(tmp_path / "none")


@pytest.mark.thread_unsafe(reason="the registry of layers has one class of a name")
def test_a_layer_of_ones_own_that_keeps_its_state_to_itself_is_told():
    class Counting(fl.Layer):
        input_shape = ("N", "T", "F")

        def output_shape(self, shape):
            return shape

        def forward(self, x, tape, *, training, lengths):
            return x

        def reset(self, rows, tape):
            pass

    try:
        stream = fl.Model([Counting(), fl.LSTM(3, 4)], seed=0).stream()
        with pytest.raises(ValueError, match="Counting does not tell its running state: it must write running_kinds"):
            stream.state_dict()
        with pytest.raises(ValueError, match="Counting does not tell its running state"):
            stream.clone()
    finally:
        fl.Layer.registry.pop("Counting")


def test_a_stream_in_use_is_told_by_all_that_read_its_state():
    stream = fl.Model([fl.LSTM(3, 4)], seed=0).stream()
    state = stream.state_dict()
    with stream._turn:
        for call in (stream.state_dict, stream.states, stream.clone, lambda: stream.load_state_dict(state)):
            with pytest.raises(RuntimeError, match="this stream is in use by another call"):
                call()


@pytest.mark.parametrize(
    "options",
    [{"regularizers": "L2"}, {"init": {"weight_hh": "identity"}}, {"proj_size": 2}, {"layer_norm": True}],
)
def test_a_look_ahead_over_layers_that_are_told_of_their_parameters(options, path):
    model = fl.Model([fl.LSTM(3, 4, num_layers=2, bidirectional=True, **options)], seed=0, dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    stream = model.stream(2, look_ahead=9)
    chunks = [stream.run(x), stream.finish()]
    np.testing.assert_allclose(np.concatenate(chunks, 1), model.predict(x), atol=1e-12)


def test_a_look_ahead_begins_from_what_is_learned(path):
    layer = fl.LSTM(3, 4, bidirectional=True, learn_initial_state=True)
    model = fl.Model([layer], seed=0, dtype="float64")
    layer.parameter("h0_l0_reverse").value = np.full(4, 0.9)
    layer.parameter("c0_l0_reverse").value = np.full(4, 3.0)
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    stream = model.stream(2, look_ahead=3)
    y = np.concatenate([stream.run(x[:, :4]), stream.run(x[:, 4:]), stream.finish()], 1)
    np.testing.assert_allclose(y[:, -1], model.predict(x)[:, -1], atol=1e-12)


def test_a_look_ahead_refuses_connections_past_layers():
    model = fl.Model([fl.LSTM(3, 4, num_layers=2, bidirectional=True, skip="both")], seed=0)
    with pytest.raises(ValueError, match="look_ahead: expected a LSTM of both directions without skip, got 'both'"):
        model.stream(2, look_ahead=3)
