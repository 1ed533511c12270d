"""Pools over time: against their formulas, padding, gradients of ties, weights of attention, streams."""

import numpy as np
import pytest

import fastlstm as fl

POOLS = {"mean": lambda: fl.MeanPool(), "max": lambda: fl.MaxPool(), "attention": lambda: fl.AttentionPool(3, 2)}
LENGTHS = np.array([5, 1, 3, 4])


def sequences(n=4, t=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, t, 3))


def attention(layer, x):
    """Weights and pool of one sequence (T, F), by the formula."""
    weight, bias, context = (layer.parameter(name).value for name in ("weight", "bias", "context"))
    scores = np.tanh(x @ weight.T + bias) @ context[0]
    weights = np.exp(scores) / np.exp(scores).sum()
    return weights, weights @ x


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
def test_pools_are_their_formulas(lengths):
    x = sequences()
    layer = fl.AttentionPool(3, 2, dtype="float64", seed=0)
    layer.parameter("bias").value = [0.3, -0.2]
    layer.parameter("context").value = [[3, -4]]
    parts = [row[:length] for row, length in zip(x, [5] * 4 if lengths is None else lengths, strict=True)]
    for pool, formula in (
        (fl.MeanPool(), lambda part: part.mean(0)),
        (fl.MaxPool(), lambda part: part.max(0)),
        (layer, lambda part: attention(layer, part)[1]),
    ):
        found = fl.Model([pool], dtype="float64").predict(x, lengths=lengths)
        np.testing.assert_allclose(found, [formula(part) for part in parts], rtol=1e-12)
    for row, part in zip(layer.weights(x, lengths), parts, strict=True):
        np.testing.assert_allclose(row[: len(part)], attention(layer, part)[0], rtol=1e-12)
        assert not row[len(part) :].any()


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("training", [False, True])
def test_padding_is_not_looked_at(name, training):
    model = fl.Model([POOLS[name]()], seed=0)
    x = sequences()
    other = x.copy()
    other[np.arange(5) >= LENGTHS[:, None]] = 1e9
    dy = sequences(4, 1, seed=1)[:, 0]
    found = []
    for array in (x, other):
        tape = model.tape()
        found.append(model.forward(array, tape, training=training, lengths=LENGTHS))
        if training:
            dx = model.backward(dy, tape)
            assert not dx[np.arange(5) >= LENGTHS[:, None]].any()
            found.append(dx)
    half = len(found) // 2
    for a, b in zip(found[:half], found[half:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradient_of_a_tie_goes_to_the_first():
    model = fl.Model([fl.MaxPool()])
    tape = model.tape()
    model.forward([[[1.0], [2], [2], [0]]], tape, training=True)
    np.testing.assert_array_equal(model.backward([[7.0]], tape), [[[0], [7], [0], [0]]])


def test_scores_of_any_size_are_weights():
    layer = fl.AttentionPool(1, 1, seed=0)
    for name, value in (("weight", [[1.0]]), ("context", [[1e30]])):
        layer.parameter(name).value = value
    np.testing.assert_array_equal(layer.weights([[[1], [9], [-1]]]), [[0, 1, 0]])
    np.testing.assert_array_equal(layer.weights([[[-1], [-1], [9]]], lengths=[2]), [[0.5, 0.5, 0]])


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_pools_the_steps_so_far(name, dtype):
    model = fl.Model([fl.LSTM(3, 3), POOLS[name](), fl.Dense(3, 2)], dtype=dtype, seed=0)
    x = sequences(2, 6)
    expected = np.stack([model.predict(x[:, : t + 1]) for t in range(6)], 1)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    stream = model.stream(2)
    stream.reset()
    for _ in range(2):  # the second time after a reset
        found = np.concatenate([stream.step(x[:, 0])[:, None], stream.run(x[:, 1:4]), stream.run(x[:, 4:])], 1)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        stream.reset()
    stream.run(x[:, :3])
    stream.reset(1)
    found = stream.step(x[:, 3])
    anew = model.predict(x[1:, 3:4])
    np.testing.assert_allclose(found[1:], anew, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found[0], expected[0, 3], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", POOLS)
def test_what_a_pool_cannot_do_is_named(name):
    kind = type(POOLS[name]()).__name__
    with pytest.raises(ValueError, match=rf"layer 1 \({kind}\): {kind} takes sequences"):
        fl.Model([fl.Last(), POOLS[name]()])
    with pytest.raises(ValueError, match=rf"layer 0 \({kind}\): {kind} cannot carry a state"):
        fl.Model([POOLS[name]()]).tape(carry=True)


def test_attention_learns_which_step_matters():
    """The target is the value of the one step that is marked."""
    rng = np.random.default_rng(0)
    value, marked = rng.normal(size=(256, 8)), rng.integers(0, 8, 256)
    x = np.stack([value, np.arange(8) == marked[:, None]], 2)
    y = value[np.arange(256), marked][:, None]
    model = fl.Model([fl.AttentionPool(2, 4), fl.Dense(2, 1)], seed=0)
    fl.Trainer(model, fl.mse, fl.Adam(lr=0.05)).fit(x, y, epochs=20, seed=0, progress=False)
    weights = model.layers[0].weights(x)
    assert (weights.argmax(1) == marked).all()
    assert weights[np.arange(256), marked].mean() > 0.8
