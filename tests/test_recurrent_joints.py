"""How directions and layers come together: merge, residual, go_backwards."""

import gc
import weakref
from itertools import product

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm._kernels import cpu

KINDS = [fl.LSTM, fl.GRU, fl.SimpleRNN]
JOIN = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}
LENGTHS = [None, [6, 2, 4]]


def copied(layer, k, inputs, **options):
    """Layer k of a layer, by itself."""
    one = type(layer)(inputs, layer.hidden_size, dtype="float64", **options)
    names = one.parameter_shapes()
    one.load_parameters({name: layer.parameter(name.replace("_l0", f"_l{k}")).value for name in names}, "float64")
    return one


def composed(layer, x, lengths):
    """The outputs, layer by layer and direction by direction."""
    first, outputs = x, []
    for k in range(layer.num_layers):
        read = np.concatenate([x, first], -1) if k and layer.skip in ("input", "both") else x
        one = copied(layer, k, read.shape[2], bidirectional=layer.bidirectional, go_backwards=layer.go_backwards)
        both, _ = one(read, lengths=lengths)
        if layer.bidirectional:
            both = JOIN[layer.merge](both[..., : layer.hidden_size], both[..., layer.hidden_size :])
        x = both + x if layer.residual and k else both
        outputs.append(x)
    return np.concatenate(outputs, -1) if layer.skip in ("output", "both") else x


@pytest.fixture(params=["packed", "plain"])
def path(request):
    """Joints are the same for every instruction set, but not on packed weights and on the plain path."""
    best = cpu.isa()
    if request.param == "plain":
        cpu.choose("plain")
    yield
    cpu.choose(best)


OPTIONS = [
    *({"bidirectional": True, "merge": merge, "num_layers": layers} for merge, layers in product(JOIN, [1, 3])),
    {"num_layers": 3, "residual": True},
    {"num_layers": 2, "residual": True, "bidirectional": True},
    {"num_layers": 3, "residual": True, "bidirectional": True, "merge": "ave"},
    *({"num_layers": 3, "skip": skip} for skip in ("input", "output", "both")),
    {"num_layers": 3, "skip": "both", "bidirectional": True, "merge": "mul"},
    {"num_layers": 3, "skip": "both", "residual": True, "go_backwards": True},
    {"num_layers": 2, "skip": "both", "residual": True, "bidirectional": True},
]
DROPPED = [
    {"num_layers": 3, "residual": True, "dropout": 0.4},
    {"num_layers": 3, "skip": "both", "dropout": 0.4, "input_dropout": 0.3},
    {"num_layers": 2, "skip": "input", "bidirectional": True, "dropout": 0.4, "variational": True},
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=["full", "ragged"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_layers_by_themselves(path, kind, options, lengths):
    layer = kind(3, 5, dtype="float64", seed=0, **options)
    x = np.random.default_rng(0).normal(size=(3, 6, 3))
    y, state = layer(x, lengths=lengths)
    expected = composed(layer, x, lengths)
    np.testing.assert_allclose(y, expected, atol=1e-13)
    assert layer.output_shape(("N", "T", 3)) == ("N", "T", y.shape[2])
    model = fl.Model([layer, fl.Dense(y.shape[2], 2)], dtype="float64", seed=0)
    assert model.predict(x, lengths=lengths).shape == (3, 6, 2)
    again = layer(x, lengths=lengths)
    np.testing.assert_array_equal(again[0], y)  # by the program that was kept
    assert len(state) == 2 if kind is fl.LSTM else state.shape[0] == layer.num_layers * layer.directions


@pytest.mark.parametrize("lengths", LENGTHS, ids=["full", "ragged"])
@pytest.mark.parametrize("options", [*OPTIONS, *DROPPED], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_against_central_differences(path, kind, options, lengths):
    layer = kind(3, 5, dtype="float64", seed=0, **options)
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(3, 6, 3)), rng.normal(size=(3, 6, layer.output_size))
    lengths = None if lengths is None else np.asarray(lengths, np.intp)

    def forward(tape):
        for parameter in layer.parameters():
            parameter.touch()
        return layer.forward(x, tape, training=True, lengths=lengths)

    tape = fl.Workspace(2)
    forward(tape)
    begin = tape.state()  # from where every pass goes on, so that the masks are the same
    forward(tape)
    dx = layer.backward(dy.copy(), tape).copy()
    found = {name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()}

    def value():
        tape.restore(begin)
        return (forward(tape) * dy).sum()

    assert relative_error(value, x, dx) < 1e-7
    for name, gradient in found.items():
        assert relative_error(value, layer.parameter(name).writable(), gradient) < 1e-7, name


@pytest.mark.parametrize("options", DROPPED, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_leave_out_the_same(kind, options):
    found, best = [], cpu.isa()
    for isa in (best, "plain"):
        cpu.choose(isa)
        layer, tape = kind(3, 5, dtype="float64", seed=0, **options), fl.Workspace(2)
        y = layer.forward(np.ones((3, 6, 3)), tape, training=True, lengths=None)
        found.append([y.copy(), layer.backward(np.ones_like(y), tape).copy()])
        cpu.choose(best)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_each_direction_by_itself(kind):
    layer = kind(3, 5, bidirectional=True, merge="none", seed=0)
    x = np.ones((2, 4, 3))
    (forward, backward), _ = layer(x)
    both, _ = kind(3, 5, bidirectional=True, seed=0)(x)
    np.testing.assert_array_equal(np.concatenate([forward, backward], -1), both)
    with pytest.raises(ValueError, match="merge: 'none' gives two outputs"):
        fl.Model([kind(3, 5, bidirectional=True, merge="none"), fl.Dense(10, 1)])


@pytest.mark.parametrize("lengths", LENGTHS, ids=["full", "ragged"])
@pytest.mark.parametrize("kind", KINDS)
def test_go_backwards_is_the_reverse_direction_alone(isa, kind, lengths):
    both = kind(3, 5, bidirectional=True, dtype="float64", seed=0)
    layer = kind(3, 5, go_backwards=True, dtype="float64")
    layer.load_parameters(
        {name: both.parameter(name + "_reverse").value for name in layer.parameter_shapes()}, "float64"
    )
    x = np.random.default_rng(0).normal(size=(3, 6, 3))
    y, state = layer(x, lengths=lengths)
    expected, ends = both(x, lengths=lengths)
    np.testing.assert_allclose(y, expected[..., 5:], atol=1e-14)
    for part, end in zip(*((s if isinstance(s, tuple) else (s,)) for s in (state, ends)), strict=True):
        np.testing.assert_allclose(part[0], end[1], atol=1e-14)
    with pytest.raises(ValueError, match="with go_backwards cannot stream: it begins at the end"):
        fl.Model([kind(3, 5, go_backwards=True)]).stream()


@pytest.mark.parametrize("options", [*OPTIONS, {"go_backwards": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_they_train_and_survive_a_file(tmp_path, kind, options):
    layer = kind(3, 8, **options)
    model = fl.Model([layer, fl.Dense(layer.output_size, 1)], seed=0)
    x = np.random.default_rng(0).normal(size=(32, 5, 3)).astype(np.float32)
    y = x.sum(2, keepdims=True) / 3
    history = fl.Trainer(model, "mse", fl.Adam(0.01)).fit(x, y, epochs=30, batch_size=8, seed=0, progress=False)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert loaded.layers[0].config() == layer.config()
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize(
    "options", [{"residual": True}, {"skip": "input"}, {"skip": "both", "residual": True}], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
def test_they_stream(isa, kind, options):
    model = fl.Model([kind(3, 5, num_layers=3, **options)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    stream, whole = model.stream(batch=2), model.predict(x)
    for t in range(6):
        np.testing.assert_allclose(stream.step(x[:, t].copy()), whole[:, t], atol=1e-13)
    stream.reset()
    np.testing.assert_allclose(stream.run(x), whole, atol=1e-13)
    state = tuple(np.ones((3, 2, 5)) for _ in model.layers[0].parts)
    given = state if len(state) > 1 else state[0]
    layer = model.layers[0]
    found, _ = layer(x, given)
    assert (found != layer(x)[0]).any()
    np.testing.assert_allclose(
        layer.forward_with_state(x, state, fl.Workspace(0), training=True, lengths=None)[0], found, atol=1e-13
    )


def test_pytorch_has_none_of_them():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for options in (
        {"num_layers": 2, "residual": True},
        {"num_layers": 2, "skip": "both"},
        {"peephole": True},
        {"zoneout": 0.1},
        {"go_backwards": True},
    ):
        with pytest.raises(ValueError, match="layer: expected no options that PyTorch does not have, got"):
            fl.io.to_torch(fl.LSTM(3, 4, **options))


@pytest.mark.parametrize(
    "options",
    [{"bidirectional": True, "merge": "sum"}, {"num_layers": 2, "residual": True}, {"num_layers": 2, "skip": "both"}],
    ids=str,
)
def test_an_input_is_not_kept(options):
    layer, x = fl.LSTM(3, 5, seed=0, **options), np.ones((2, 4, 3), np.float32)
    layer(x)
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


WRONG = [
    ({"merge": "add", "bidirectional": True}, ValueError, "merge: expected one of 'concat', 'sum', .* got 'add'"),
    ({"merge": "sum"}, ValueError, "merge: expected 'concat' without bidirectional=True, got 'sum'"),
    (
        {"merge": "none", "bidirectional": True, "num_layers": 2},
        ValueError,
        "merge: expected a single layer with 'none'",
    ),
    ({"merge": np.array(["sum", "mul"]), "bidirectional": True}, ValueError, "merge: expected one of 'concat'"),
    ({"residual": True}, ValueError, "residual: expected num_layers of at least 2"),
    ({"skip": "input"}, ValueError, "skip: expected num_layers of at least 2, past which connections go, got 1"),
    ({"skip": True, "num_layers": 2}, ValueError, "skip: expected 'input', 'output', 'both' or None, got True"),
    ({"skip": "dense", "num_layers": 2}, ValueError, "skip: expected 'input', 'output', 'both' or None, got 'dense'"),
    ({"skip": ["input"], "num_layers": 2}, ValueError, "skip: expected 'input', 'output', 'both' or None, got"),
    ({"residual": 1}, TypeError, "residual: expected True or False, got 1"),
    ({"go_backwards": True, "bidirectional": True}, ValueError, "go_backwards: expected False with bidirectional=True"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=[str(options) for options, *_ in WRONG])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_is_named(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(3, 4, **options)
