"""Chains over each step by itself, and the magnitudes of spectra."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.model.memory import activations


def encoder(**options):
    layers = [
        fl.Conv1d(2, 6, 3, stride=2, padding=1),
        fl.Magnitude(),
        fl.Conv1d(3, 4, 2),
        fl.Activation("relu"),
    ]
    return fl.EachStep(layers, steps=7, channels=2, **options)


def model(dtype="float64"):
    return fl.Model([encoder(), fl.GRU(12, 5), fl.Dense(5, 1)], dtype=dtype, seed=0)


X = np.random.default_rng(0).normal(size=(3, 5, 14))


def test_each_step_is_what_the_chain_makes_of_it_alone(isa):
    layer = encoder(dtype="float64", seed=0)
    chain = fl.Model(layer.chains[0].layers, dtype="float64")
    y = layer(X)
    assert y.shape == (3, 5, 12)
    for n in range(3):
        for t in range(5):
            alone = chain.predict(X[n, t].reshape(1, 7, 2)).reshape(-1)
            np.testing.assert_allclose(y[n, t], alone, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(layer(X[:, 2]), y[:, 2])  # rows without steps


def test_a_chain_may_end_without_steps(isa):
    layer = fl.EachStep([fl.Conv1d(2, 3, 2), fl.MaxPool()], 7, 2, dtype="float64", seed=0)
    weight, bias = (layer.parameter(name).value for name in ("0.weight", "0.bias"))
    steps = X.reshape(15, 7, 2)
    wanted = np.stack([(np.einsum("ntk,ok->nto", steps[:, k : k + 6], weight[:, :, k])) for k in range(2)]).sum(0)
    np.testing.assert_allclose(layer(X), (wanted + bias).max(1).reshape(3, 5, 3), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_and_a_ragged_batch_give_what_whole_sequences_give(dtype, isa):
    whole = model(dtype)
    y = whole.predict(X)
    close = {"rtol": 1e-5, "atol": 1e-6}
    stream = whole.stream(batch=3)
    np.testing.assert_allclose(stream.run(X[:, :2]), y[:, :2], **close)
    for t in range(2, 5):
        np.testing.assert_allclose(stream.step(X[:, t]), y[:, t], **close)
    ragged = whole.predict(X, lengths=[5, 2, 4])
    for n, length in enumerate([5, 2, 4]):
        np.testing.assert_allclose(ragged[n, :length], y[n, :length], **close)


def test_nothing_of_the_chain_is_carried_to_the_next_pass():
    """In truncated back-propagation the chain begins anew; what stands behind it goes on."""
    layers = [fl.EachStep([fl.LSTM(2, 3), fl.Conv1d(3, 2, 2, padding="causal"), fl.Last()], 7, 2), fl.GRU(2, 3)]
    whole = fl.Model(layers, dtype="float64", seed=0)
    tape = whole.tape(carry=True)
    parts = [whole.forward(X[:, part], tape, training=True).copy() for part in (slice(2), slice(2, 5))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole.predict(X), rtol=1e-12, atol=1e-14)


def test_the_same_call_again_and_another_batch_read_their_own_x():
    layer = encoder(dtype="float64", seed=0)
    first = layer(X).copy()
    np.testing.assert_array_equal(layer(X[::-1].copy()), first[::-1])
    np.testing.assert_array_equal(layer(X), first)


@pytest.mark.parametrize(("dtype", "scale"), [("f4", 1e19), ("f4", 1e-25), ("f8", 1e300), ("f8", 1e-200)])
def test_magnitudes_of_large_and_small_numbers(dtype, scale, isa):
    x = (np.array([[[3.0, 0.0, 4.0, 0.0]]]) * scale).astype(dtype)
    np.testing.assert_allclose(fl.Magnitude(dtype=dtype)(x), np.array([[[5, 0]]]) * scale, rtol=1e-6)


def test_magnitude_is_the_absolute_value_and_has_no_slope_at_zero(isa):
    x = np.random.default_rng(1).normal(size=(2, 3, 10))
    x[0, 0] = 0
    layer = fl.Magnitude(dtype="float64")
    wanted = np.abs(x[..., :5] + 1j * x[..., 5:])
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-14)
    np.testing.assert_allclose(layer(x[0]), wanted[0], rtol=1e-14)
    tape = fl.Workspace()
    layer.forward(x, tape, training=True, lengths=None)
    dx = layer.backward(np.ones_like(wanted), tape)
    assert np.isfinite(dx).all() and not dx[0, 0].any()
    np.testing.assert_allclose(dx[1, :, :5], x[1, :, :5] / wanted[1], rtol=1e-12)


def test_a_summary_shows_the_chain_and_the_memory_of_training_counts_it(capsys):
    model().summary()
    shown = capsys.readouterr().out
    assert "0 EachStep     (N, T, 12)" in shown and "0.1 Magnitude  (N, 4, 3)" in shown
    within = fl.Model(encoder().chains[0].layers)
    inside = activations(within.layers, sequences=15, steps=7)
    assert activations([encoder()], sequences=3, steps=5) == inside + 2 * 3 * 5 * 12


def test_a_chain_learns():
    x = np.random.default_rng(0).normal(size=(64, 5, 8))
    layers = [fl.EachStep([fl.Conv1d(1, 4, 3), fl.Activation("tanh"), fl.MeanPool()], 8), fl.GRU(4, 4), fl.Last()]
    trained = fl.Model([*layers, fl.Dense(4, 1)], seed=0)
    history = fl.Trainer(trained, "mse", fl.Adam(0.02)).fit(
        x, x.mean((1, 2))[:, None], epochs=20, batch_size=8, progress=False, seed=0
    )
    assert history["loss"][-1] < 0.5 * history["loss"][0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fl.EachStep([], 3), ValueError, "layers: expected at least one, got none"),
        (lambda: fl.EachStep(3, 3), TypeError, "layers: expected a list of layers, got 3"),
        (lambda: fl.EachStep([fl.Dense(1, 2)], 0), ValueError, "steps: expected at least 1, got 0"),
        (lambda: fl.EachStep([fl.Dense(1, 2)], 3, 1.5), TypeError, "channels: expected a whole number, got 1.5"),
        (lambda: fl.EachStep([fl.Dense(4, 2)], 3, 2), ValueError, r"layer 0 \(Dense\): input_size: expected 2.*got 4"),
        (lambda: fl.EachStep([fl.BatchNorm(2)], 3, 2), ValueError, "layers: .* got one that mixes those of a batch"),
        (lambda: fl.EachStep([fl.Embedding(3, 2)], 3), ValueError, "layers: expected layers from numbers to numbers"),
        (lambda: fl.EachStep([fl.Conv1d(1, 2, 5)], 3), ValueError, "expected at least 5 steps"),
        (
            lambda: fl.Model([fl.Dense(2, 5), encoder()]),
            ValueError,
            r"layer 1 \(EachStep\): steps \* channels: expected 5, the size of what comes in, got 14",
        ),
        (lambda: fl.Model([fl.Dense(2, 5), fl.Magnitude()]), ValueError, "Magnitude takes an even number .* got 5"),
        (lambda: fl.Magnitude()(np.ones((1, 2, 3))), ValueError, "Magnitude takes an even number of features.*got 3"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
