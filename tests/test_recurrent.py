"""What the recurrent layers do at the edges of what they take."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl

KINDS = [fl.LSTM, fl.GRU, fl.SimpleRNN]
LARGEST = {"float32": 3.4e38, "float64": 1.7e308}


def signs(shape, seed):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


def layers(dtype):
    """Of several sizes, so that sums are cut up in all ways."""
    sizes = ((1, 1), (3, 8), (17, 33), (64, 100))
    init = {"weight_hh": "glorot_uniform"}  # orthogonal matrices take long to draw
    return [kind(i, h, dtype=dtype, seed=k, init=init) for kind in KINDS for k, (i, h) in enumerate(sizes)]


def passes(layer, x, state):
    """In inference, and while training, where the layer takes what it has checked."""
    yield layer(x, state)[0]
    tape = fl.Workspace(0)
    y, _ = layer.forward_with_state(x, layer._as_state(state, len(x)), tape, training=True, lengths=None)
    yield y.copy()
    yield layer.backward_with_state(np.ones_like(y), None, tape)[0]
    for parameter in layer.parameters():
        yield parameter.grad
        parameter.zero_grad()


def large_state(layer, n, dtype, seed):
    parts = [(LARGEST[dtype] * signs((1, n, layer.hidden_size), seed + 50 * k)) for k in range(len(layer.parts))]
    parts = [part.astype(dtype) for part in parts]
    return tuple(parts) if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_states_near_the_largest_number_saturate(isa, n, dtype):
    """The sums of products overflow, to both sides of zero; the outputs are still within -1 and 1, or finite.

    A GRU keeps what its update gate lets through of the state itself.
    """
    for seed, layer in enumerate(layers(dtype)):
        x = np.ones((n, 3, layer.input_size), dtype)
        y, again, *gradients = passes(layer, x, large_state(layer, n, dtype, seed))
        for outputs in (y, again):
            assert np.isfinite(outputs).all() if isinstance(layer, fl.GRU) else (np.abs(outputs) <= 1).all()
        for gradient in gradients:
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_inputs_near_the_largest_number_saturate(isa, n, dtype):
    for seed, layer in enumerate(layers(dtype)):
        x = (LARGEST[dtype] * signs((n, 3, layer.input_size), seed)).astype(dtype)
        y, again, *gradients = passes(layer, x, None)
        assert (np.abs(y) <= 1).all() and (np.abs(again) <= 1).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_one_large_number_of_a_state_decides(isa):
    layer = fl.LSTM(2, 4, seed=0)
    h = np.zeros((1, 1, 4))
    h[0, 0, 2] = 3e38
    y, _ = layer(np.zeros((1, 1, 2)), (h, np.zeros((1, 1, 4))))
    i, _, g, o = np.sign(layer.parameter("weight_hh_l0").value[:, 2]).reshape(4, 4)
    np.testing.assert_allclose(y[0, 0], (o > 0) * np.tanh((i > 0) * g), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_one_layer_says_that_it_has_none(kind):
    with pytest.warns(UserWarning, match=rf"dropout: 0.5 .* {kind.__name__} of one layer.*fl.Dropout\(0.5\)") as found:
        kind(3, 8, dropout=0.5)
    assert len(found) == 1
    assert Path(found[0].filename) == Path(__file__)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_warned_of_dropout_without_need(kind, tmp_path):
    with pytest.warns(UserWarning, match="dropout"):
        model = fl.Model([kind(3, 8, dropout=0.5)], seed=0)
    kind(3, 8, dropout=0.5, num_layers=2)
    kind(3, 8)
    fl.save(model, tmp_path / "model.safetensors")
    loaded = fl.load(tmp_path / "model.safetensors")
    x = np.ones((2, 3, 3))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_frameworks_are_not_a_reason_to_warn():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = torch.nn.LSTM(3, 8, dropout=0.5), fl.LSTM(3, 8, dropout=0.5)
    assert fl.io.from_torch(theirs).dropout == 0
    assert fl.io.to_torch(ours).dropout == 0


WRONG = {
    "input size": (lambda kind: kind(0, 4), "input_size: expected at least 1, got 0"),
    "layers": (lambda kind: kind(3, 4, num_layers=0), "num_layers: expected at least 1, got 0"),
    "features": (lambda kind: kind(3, 4)(np.ones((2, 5, 2))), r"x: expected shape \(N, T, 3\), got \(2, 5, 2\)"),
    "lengths": (
        lambda kind: kind(3, 4)(np.ones((2, 5, 3)), lengths=[6, 1]),
        r"lengths: expected 0 to 5, got 6 at \[0\]",
    ),
    "stream": (
        lambda kind: fl.Model([kind(3, 4, bidirectional=True)]).stream(),
        r"layer 0 \((\w+)\): a bidirectional \1 cannot stream",
    ),
    "carry": (
        lambda kind: fl.Model([kind(3, 4, bidirectional=True)]).tape(carry=True),
        r"layer 0 \((\w+)\): a bidirectional \1 cannot carry its state",
    ),
    "rows": (lambda kind: fl.Model([fl.Last(), kind(3, 4)]), r"layer 1 \((\w+)\): \1 takes sequences"),
}


@pytest.mark.parametrize(("act", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_is_named(kind, act, message):
    with pytest.raises(ValueError, match=message):
        act(kind)


@pytest.mark.parametrize("kind", [fl.GRU, fl.SimpleRNN])
@pytest.mark.parametrize("state", [np.ones((1, 2, 3)), (np.ones((1, 2, 4)),), np.full((1, 2, 4), np.nan)])
def test_a_state_of_h_alone_that_is_wrong_is_named(kind, state):
    with pytest.raises(ValueError, match=r"state: expected (shape \(1, 2, 4\)|finite numbers), got"):
        kind(3, 4)(np.ones((2, 5, 3)), state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_may_be_integers_or_lists(kind):
    layer, x = kind(3, 4, seed=0), np.ones((2, 5, 3))
    zeros = np.zeros((1, 2, 4), int).tolist()
    y, _ = layer(x, (zeros, zeros) if kind is fl.LSTM else zeros)
    np.testing.assert_array_equal(y, layer(x)[0])
