"""Layers without parameters: functions of each number, softmax, and the states that sequences end with."""

import math

import numpy as np
import pytest
from gradcheck import along, relative_error
from scipy.special import erf

import fastlstm as fl
from fastlstm.layers.elementwise import DEFAULTS

FORMULAS = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.where(x > 0, x, 0),
    "hard_sigmoid": lambda x, a=0.2, b=0.5: np.clip(a * x + b, 0, 1),
    "softsign": lambda x: x / (1 + abs(x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "leaky_relu": lambda x, a=0.01: np.where(x > 0, x, a * x),
    "thresholded_relu": lambda x, a=1.0: np.where(x > a, x, 0),
    "elu": lambda x, a=1.0: np.where(x > 0, x, a * (np.exp(np.minimum(x, 0)) - 1)),
    "affine": lambda x, a=1.0, b=0.0: a * x + b,
    "scaled_tanh": lambda x, a=1.0, b=1.0: a * np.tanh(b * x),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "exp": np.exp,
}
ASKED = [*FORMULAS, *[(name, *(0.7, 0.4)[: len(numbers)]) for name, numbers in DEFAULTS.items() if numbers]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ASKED, ids=str)
def test_an_activation_is_its_formula_and_its_slope(path, function, dtype):
    name, *numbers = (function,) if isinstance(function, str) else function
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5, 7)) * 2
    x[abs(x - 1) < 0.02] = 0.5  # away from where a function has no slope
    model = fl.Model([fl.Activation(function)], dtype=dtype)
    close = {"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(model.predict(x), FORMULAS[name](x, *numbers), **close)
    tape, dy = model.tape(), rng.normal(size=x.shape)
    model.forward(x, tape, training=True)
    dx = model.backward(dy, tape)
    slope = (FORMULAS[name](x + 1e-6, *numbers) - FORMULAS[name](x - 1e-6, *numbers)) / 2e-6
    np.testing.assert_allclose(dx, dy * slope, rtol=1e-4, atol=1e-6)


def test_every_function_of_a_recurrent_layer_is_one_of_an_activation():
    assert FORMULAS.keys() == DEFAULTS.keys()
    for name in FORMULAS.keys() - {"gelu", "gelu_tanh", "silu", "exp"}:
        fl.LSTM(2, 3, activation=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", FORMULAS)
def test_huge_numbers_give_finite_outputs_and_slopes(function, dtype):
    x = np.array([[[-1e4, -90.0, 0.0, 85.0 if function == "exp" else 1e4]]])
    model = fl.Model([fl.Activation(function)], dtype=dtype)
    tape = model.tape()
    assert np.isfinite(model.forward(x, tape, training=True)).all()
    assert np.isfinite(model.backward(np.ones_like(x), tape)).all()


def test_a_function_by_another_name():
    assert fl.Activation("swish").config() == {"function": "silu"}
    assert fl.Activation(("leaky_relu", 0.3)).config() == {"function": ["leaky_relu", 0.3]}
    assert fl.Activation(["elu", 1.0]).config() == {"function": "elu"}


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("rleu", ValueError, "function: expected one of sigmoid, .*gelu, .* got 'rleu'"),
        (3, TypeError, "function: expected a name, or a tuple of a name, alpha and beta, got 3"),
        (("relu", 2.0), ValueError, r"function: relu takes no numbers, got \('relu', 2.0\)"),
        (("elu", "a"), TypeError, "function: elu: expected a number, got 'a'"),
    ],
)
def test_a_function_that_is_none_is_refused(function, error, message):
    with pytest.raises(error, match=message):
        fl.Activation(function)


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 6)])
def test_softmax_is_its_formula_and_its_gradient(path, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=shape) * 3, rng.normal(size=shape)
    layer, tape = fl.Softmax(dtype="float64"), fl.Workspace(0)
    y = layer(x)
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(-1, keepdims=True), rtol=1e-12)
    layer.forward(x, tape, training=True, lengths=None)
    dx = layer.backward(dy, tape)
    direction = rng.normal(size=shape)
    found = along(lambda: (layer(x) * dy).sum(), x, direction)
    assert found == pytest.approx((dx * direction).sum(), rel=1e-8)


def test_probabilities_come_from_a_model_trained_on_scores():
    scores = fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 3)], seed=0)
    model, x = fl.Model([*scores.layers, fl.Softmax()]), np.random.default_rng(0).normal(size=(6, 5, 3))
    np.testing.assert_allclose(model.predict(x), fl.softmax(scores.predict(x)), rtol=1e-6)
    fl.Trainer(scores, "softmax_cross_entropy").fit(x, np.arange(6) % 3, epochs=1, progress=False)
    np.testing.assert_allclose(model.predict(x), fl.softmax(scores.predict(x)), rtol=1e-6)


@pytest.mark.parametrize("kind", [fl.LSTM, fl.GRU])
@pytest.mark.parametrize("lengths", [None, [4, 1, 6, 0]])
def test_final_states_are_those_that_the_layer_returns(path, kind, lengths):
    layer = kind(3, 5, num_layers=2, bidirectional=True)
    model = fl.Model([layer, fl.FinalState()], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    _, state = layer(x, lengths=lengths)
    h = state[0] if isinstance(state, tuple) else state
    for _ in range(2):  # made, and kept
        np.testing.assert_array_equal(model.predict(x, lengths=lengths), np.concatenate([h[2], h[3]], axis=-1))


@pytest.mark.parametrize("lengths", [None, [4, 1, 6, 0]])
def test_the_gradients_of_final_states(path, lengths):
    model = fl.Model([fl.SimpleRNN(3, 2, bidirectional=True), fl.FinalState()], dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, dy, direction = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 4)), rng.normal(size=(4, 6, 3))
    tape = model.tape()
    model.forward(x, tape, training=True, lengths=lengths)
    dx = model.backward(dy, tape)
    found = along(lambda: (model.predict(x, lengths=lengths) * dy).sum(), x, direction)
    assert found == pytest.approx((dx * direction).sum(), rel=1e-8)


def test_the_final_state_of_one_direction_is_the_last_step(path):
    final, last = (fl.Model([fl.GRU(3, 5), layer], seed=0) for layer in (fl.FinalState(bidirectional=False), fl.Last()))
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    np.testing.assert_array_equal(final.predict(x, lengths=[1, 2, 6, 0]), last.predict(x, lengths=[1, 2, 6, 0]))
    np.testing.assert_array_equal(final.stream(4).run(x), last.stream(4).run(x))


def test_what_a_final_state_refuses():
    with pytest.raises(
        ValueError, match=r"layer 1 \(FinalState\): bidirectional: expected an even number .* got 5; pass"
    ):
        fl.Model([fl.LSTM(3, 5), fl.FinalState()])
    with pytest.raises(ValueError, match="bidirectional: expected an even number of features"):
        fl.FinalState()(np.ones((2, 3, 5)))
    with pytest.raises(
        ValueError, match=r"layer 1 \(FinalState\): FinalState takes sequences \(N, T, F\), got \(N, 5\)"
    ):
        fl.Model([fl.MeanPool(), fl.FinalState(), fl.Dense(5, 1)])
    with pytest.raises(TypeError, match="bidirectional: expected True or False, got 2"):
        fl.FinalState(2)
    with pytest.raises(ValueError, match="merge: expected 'concat', 'sum', 'mul' or 'ave', got 'none'"):
        fl.FinalState(merge="none")
    with pytest.raises(ValueError, match="merge: expected 'concat' behind a layer of one direction, got 'sum'"):
        fl.FinalState(bidirectional=False, merge="sum")
    with pytest.raises(ValueError, match="go_backwards: expected False behind two directions, got True"):
        fl.FinalState(go_backwards=True)
    with pytest.raises(ValueError, match=r"layer 0 \(FinalState\): FinalState cannot stream behind two directions"):
        fl.Model([fl.FinalState()]).stream()


MERGED = {"sum": np.add, "mul": np.multiply, "ave": lambda a, b: (a + b) / 2}


@pytest.mark.parametrize("merge", MERGED)
@pytest.mark.parametrize("lengths", [None, [4, 1, 0]])
def test_final_states_of_both_directions_come_together(path, merge, lengths):
    lstm = fl.LSTM(2, 3, bidirectional=True)
    model = fl.Model([lstm, fl.FinalState(merge=merge)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    _, (h, _) = lstm(x, lengths=lengths)
    for _ in range(2):
        np.testing.assert_allclose(model.predict(x, lengths=lengths), MERGED[merge](*h), rtol=1e-12)
    tape = model.tape()
    dy = np.random.default_rng(1).normal(size=model.forward(x, tape, training=True, lengths=lengths).shape)
    dx = model.backward(dy, tape)

    def value():
        return (model.forward(x, model.tape(), training=True, lengths=lengths) * dy).sum()

    assert relative_error(value, x, dx) < 1e-7
    assert fl.FinalState.from_config(model.layers[1].config()).merge == merge


@pytest.mark.parametrize("lengths", [None, [4, 1, 0]])
def test_final_state_behind_a_layer_that_reads_backwards(path, lengths):
    lstm = fl.LSTM(2, 3, go_backwards=True)
    model = fl.Model([lstm, fl.FinalState(bidirectional=False, go_backwards=True)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    _, (h, _) = lstm(x, lengths=lengths)
    np.testing.assert_allclose(model.predict(x, lengths=lengths), h[0], rtol=1e-12)
