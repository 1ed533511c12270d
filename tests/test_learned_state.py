"""Initial states that are trained: `learn_initial_state`."""

import copy

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl

KINDS = [fl.LSTM, fl.GRU, fl.SimpleRNN]
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True, "merge": "sum"},
    {"go_backwards": True, "zoneout": 0.2},
    {"num_layers": 3, "residual": True},
]
LENGTHS = [None, [6, 2, 4]]
both_lengths = pytest.mark.parametrize("lengths", LENGTHS, ids=["full", "ragged"])
kinds = pytest.mark.parametrize("kind", KINDS)
X = np.random.default_rng(0).normal(size=(3, 6, 3))


def of(kind, hidden=5, dtype="float64", **options):
    """A layer whose initial states are random, each other ones."""
    layer = kind(3, hidden, learn_initial_state=True, dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    for name, shape in layer.parameter_shapes().items():
        if name[:2] in ("h0", "c0"):
            assert shape == (hidden,)
            assert not layer.parameter(name).value.any()
            layer.parameter(name).value = rng.normal(size=shape)
    return layer


def without(layer, kind, **options):
    """The same layer, and its initial states, as a call of it takes them for three sequences."""
    plain = kind(3, layer.hidden_size, dtype=layer.dtype, **options)
    plain.load_parameters({name: layer.parameter(name).value for name in plain.parameter_shapes()}, layer.dtype)
    return plain, as_given(layer)


def as_given(layer, n=3):
    suffixes = [f"_l{k}{way}" for k in range(layer.num_layers) for way in ("", "_reverse")[: layer.directions]]
    parts = [
        np.stack([np.tile(layer.parameter(f"{part}0{s}").value, (n, 1)) for s in suffixes]) for part in layer.parts
    ]
    return tuple(parts) if len(parts) > 1 else parts[0]


def as_parts(state):
    return state if isinstance(state, tuple) else (state,)


@both_lengths
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@kinds
def test_every_sequence_begins_there(isa, kind, options, lengths):
    layer = of(kind, 17, **options)
    plain, start = without(layer, kind, **options)
    y, state = layer(X, lengths=lengths)
    expected, ends = plain(X, start, lengths)
    np.testing.assert_array_equal(y, expected)
    for part, end in zip(as_parts(state), as_parts(ends), strict=True):
        np.testing.assert_array_equal(part, end)
    model = fl.Model([layer], dtype=layer.dtype)
    for _ in range(2):  # by a new program, and by the one that was kept
        np.testing.assert_array_equal(model.predict(X, lengths=lengths), expected)
    shorter = None if lengths is None else [1, 6, 3]
    np.testing.assert_array_equal(model.predict(X[::-1], lengths=shorter), plain(X[::-1], start, shorter)[0])
    layer.parameter("h0_l0").value = layer.parameter("h0_l0").value + 1
    assert (model.predict(X, lengths=lengths) != expected).any()
    np.testing.assert_array_equal(model.predict(X, lengths=lengths), plain(X, as_given(layer), lengths)[0])


@kinds
def test_a_state_that_is_given_counts_instead(isa, kind):
    layer, rng = of(kind, num_layers=2), np.random.default_rng(2)
    plain, _ = without(layer, kind, num_layers=2)
    state = tuple(rng.normal(size=(2, 3, 5)) for _ in layer.parts)
    given = state if len(state) > 1 else state[0]
    np.testing.assert_array_equal(layer(X, given)[0], plain(X, given)[0])
    tape = fl.Workspace(0)
    y, _ = layer.forward_with_state(X, state, tape, training=True, lengths=None)
    layer.backward_with_state(np.ones_like(y), None, tape)
    assert not layer.parameter("h0_l1").grad.any()


@pytest.mark.parametrize("threads", [1, 2])
@kinds
def test_streams_begin_there_and_rows_begin_again(isa, kind, threads, default_threads):
    fl.set_num_threads(threads)
    model = fl.Model([of(kind, 17, num_layers=2)], dtype="float64")
    whole = model.predict(X)
    stream = model.stream(batch=3)
    np.testing.assert_allclose(stream.run(X[:, :4]), whole[:, :4], atol=1e-14)
    np.testing.assert_allclose(stream.step(X[:, 4]), whole[:, 4], atol=1e-14)
    stream.reset([2, 0])
    np.testing.assert_allclose(stream.step(X[:, 0])[[0, 2]], whole[[0, 2], 0], atol=1e-14)
    np.testing.assert_allclose(stream.run(X[:, 1:3])[[0, 2]], whole[[0, 2], 1:3], atol=1e-14)
    stream.reset(1)
    np.testing.assert_allclose(stream.step(X[:, 0])[1], whole[1, 0], atol=1e-14)
    model.layers[0].parameter("h0_l1").value = np.zeros(17)
    stream.reset()
    np.testing.assert_allclose(stream.step(X[:, 0]), model.predict(X)[:, 0], atol=1e-14)


@both_lengths
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@kinds
def test_gradients_against_central_differences(isa, kind, options, lengths):
    layer = of(kind, **options)
    dy = np.random.default_rng(3).normal(size=(3, 6, layer.output_size))
    lengths = None if lengths is None else np.asarray(lengths, np.intp)

    def forward(tape):
        for parameter in layer.parameters():
            parameter.touch()
        return layer.forward(X, tape, training=True, lengths=lengths)

    tape = fl.Workspace(2)
    forward(tape)
    begin = tape.state()  # from where every pass goes on, so that the masks are the same

    def value():
        tape.restore(begin)
        return 2 * (forward(tape) * dy).sum()

    for _ in range(2):  # gradients add up
        value()
        layer.backward(dy.copy(), tape)

    for name in layer.parameter_shapes():
        parameter = layer.parameter(name)
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-7, name


def test_checkpoints_change_no_bit(isa):
    found = []
    for every in (None, 2):
        layer = of(fl.LSTM, num_layers=2, checkpoint_every=every)
        tape = fl.Workspace(0)
        y = layer.forward(X, tape, training=True, lengths=None)
        layer.backward(np.ones_like(y), tape)
        found.append([parameter.grad.copy() for parameter in layer.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@kinds
def test_only_the_first_pass_of_a_carried_sequence_begins_there(isa, kind):
    model = fl.Model([of(kind, num_layers=2)], dtype="float64")
    tape, h0 = model.tape(carry=True), model.layers[0].parameter("h0_l1")

    def passed(x, rows):
        """Outputs of the next pass, whose gradients by h0 are those of these rows as they begin."""
        model.zero_grad()
        y = model.forward(x, tape, training=True).copy()
        model.backward(np.ones_like(y), tape)
        found = h0.grad.copy()
        model.zero_grad()
        if rows:
            alone = model.tape()
            model.backward(np.ones_like(model.forward(x[rows], alone, training=True)), alone)
        np.testing.assert_allclose(found, h0.grad, atol=1e-12)
        return y

    whole = model.predict(X)
    np.testing.assert_allclose(passed(X[:, :2], [0, 1, 2]), whole[:, :2], atol=1e-12)
    np.testing.assert_allclose(passed(X[:, 2:4], []), whole[:, 2:4], atol=1e-12)
    model.carry([2, -1, 0], tape)
    model.carry([0, 1, -1, 2], tape)  # before the next pass, again: rows 1 and 2 begin
    state = copy.deepcopy(tape.state())  # a checkpoint
    h0.value = h0.value + 0.5  # by a step of an optimizer
    x = np.concatenate([X[[2], 4:], X[[1, 1], :2], X[[0], 4:]])
    y = passed(x, [1, 2])
    np.testing.assert_allclose(y[[1, 2]], model.predict(x[1:3]), atol=1e-12)
    tape = model.tape(carry=True)
    tape.restore(state)
    np.testing.assert_array_equal(passed(x, [1, 2]), y)
    passed(x, [])


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@kinds
def test_it_is_learned_and_survives_a_file(tmp_path, kind, options):
    """The first outputs are always the same: nothing but the initial state can say them without an input."""
    layer = kind(3, 8, learn_initial_state=True, bias=False, **options)
    model = fl.Model([layer, fl.Dense(layer.output_size, 1, bias=False)], seed=0)
    x, y = np.zeros((32, 2, 3), np.float32), np.full((32, 2, 1), 0.5, np.float32)
    history = fl.Trainer(model, "mse", fl.Adam(0.02)).fit(x, y, epochs=30, batch_size=8, seed=0, progress=False)
    if options or kind is not fl.SimpleRNN:
        assert history["loss"][-1] < 0.1 * history["loss"][0]
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert loaded.layers[0].config() == layer.config()
    assert loaded.layers[0].config()["learn_initial_state"] is True
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    assert "learn_initial_state" not in kind(3, 8).config()


@pytest.mark.parametrize("format", ["bfloat16", "int8x16", "int8"])
@kinds
def test_quantized(kind, format):
    layer = of(kind, 64, "float32", num_layers=2)
    exact = fl.Model([layer], dtype=layer.dtype).predict(X)
    layer.weights = format
    plain, start = without(layer, kind, num_layers=2)
    plain.weights = format
    found = fl.Model([layer], dtype=layer.dtype).predict(X)
    np.testing.assert_array_equal(found, plain(X, start)[0])
    np.testing.assert_allclose(found, exact, atol=0.05)


@pytest.mark.parametrize(("cell", "kind"), [(fl.LSTMCell, fl.LSTM), (fl.GRUCell, fl.GRU)])
def test_cells_begin_there(isa, cell, kind):
    layer = of(kind)
    one = cell(3, 5, learn_initial_state=True, dtype="float64")
    one.layer.load_parameters({name: layer.parameter(name).value for name in layer.parameter_shapes()}, "float64")
    y, _ = layer(X)
    state = one(X[:, 0])
    np.testing.assert_allclose(as_parts(state)[0], y[:, 0], atol=1e-14)
    np.testing.assert_allclose(as_parts(one(X[:, 1], state))[0], y[:, 1], atol=1e-14)
    tapes, dh = [fl.Workspace(0), fl.Workspace(0)], np.ones((3, 5))
    state = one.forward(X[:, 1], one.forward(X[:, 0], None, tapes[0]), tapes[1])
    zeros = [np.zeros((3, 5)) for _ in one.layer.parts[1:]]
    _, before = one.backward((dh, *zeros) if zeros else dh, tapes[1])
    _, before = one.backward(before, tapes[0])
    for part, gradient in zip(one.layer.parts, as_parts(before), strict=True):
        np.testing.assert_allclose(one.layer.parameter(f"{part}0_l0").grad, gradient.sum(0), atol=1e-14)


def test_a_program_keeps_its_state_beside_passes_that_train(isa):
    model = fl.Model([of(fl.LSTM, num_layers=2)], dtype="float64")
    tape, expected = model.tape(), model.predict(X)
    for _ in range(2):
        np.testing.assert_array_equal(model.forward(X, tape), expected)
        model.forward(X[:2], tape, training=True)


def test_gates_begin_there():
    layer = of(fl.LSTM)
    plain, start = without(layer, fl.LSTM)
    np.testing.assert_array_equal(layer.gates(X).forget, plain.gates(X, start).forget)


def test_what_is_wrong_is_named():
    with pytest.raises(TypeError, match="learn_initial_state: expected True or False, got 1"):
        fl.GRU(3, 4, learn_initial_state=1)
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(ValueError, match="options that PyTorch does not have, got learn_initial_state"):
        fl.io.to_torch(fl.GRU(3, 4, learn_initial_state=True))
