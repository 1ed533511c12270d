"""What is the gated recurrent unit's own. Else see test_cells.py."""

import numpy as np
import pytest
from recurrent_cases import Case, random_case

import fastlstm as fl


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_equations():
    problem = random_case(Case(4, 2, 3, 5, cell="gru"))
    y, h = problem.layer()(problem.x, problem.state[0])
    w_r, w_z, w_n = problem.parameters["weight_ih_l0"].reshape(3, 5, 3)
    u_r, u_z, u_n = problem.parameters["weight_hh_l0"].reshape(3, 5, 5)
    b_r, b_z, b_n, b_m = problem.parameters["bias_l0"].reshape(4, 5)
    state = problem.state[0][0]
    for t in range(4):
        x = problem.x[:, t]
        r = sigmoid(x @ w_r.T + state @ u_r.T + b_r)
        z = sigmoid(x @ w_z.T + state @ u_z.T + b_z)
        n = np.tanh(x @ w_n.T + b_n + r * (state @ u_n.T + b_m))
        state = (1 - z) * n + z * state
        np.testing.assert_allclose(y[:, t], state, rtol=1e-12)
    np.testing.assert_allclose(h[0], state, rtol=1e-12)


def test_starting_values():
    layer = fl.GRU(3, 8, dtype="float64", seed=0)
    for block in layer.parameter("weight_hh_l0").value.reshape(3, 8, 8):
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-12)
    weight, limit = layer.parameter("weight_ih_l0").value, np.sqrt(6 / (3 + 8))
    assert 0.8 * limit < np.abs(weight).max() <= limit
    assert not layer.parameter("bias_l0").value.any()
    assert layer.num_parameters == 3 * 8 * (3 + 8) + 4 * 8
    assert fl.GRU(3, 8, bias=False).num_parameters == 3 * 8 * (3 + 8)


def test_it_keeps_what_came_long_ago():
    """With the update gate at 1 but at the first step, h holds a value for 1000 steps."""
    layer = fl.GRU(2, 1, dtype="float64")
    weights = {"weight_ih_l0": [[0.0, 0], [-100, 0], [0, 1]], "weight_hh_l0": [[0.0]] * 3}
    layer.load_parameters({**weights, "bias_l0": np.array([0.0, 50, 0, 0])}, "float64")
    x = np.zeros((1, 1000, 2))
    x[0, 0] = [1, 0.5]
    y, _ = layer(x)
    np.testing.assert_allclose(y[0, -1, 0], np.tanh(0.5), rtol=1e-12)


def test_the_reset_gate_shuts_out_the_state_with_its_bias():
    layer = fl.GRU(1, 1, dtype="float64")
    weights = {"weight_ih_l0": [[100.0], [-100.0], [0.5]], "weight_hh_l0": [[0.0], [0], [3]]}
    layer.load_parameters({**weights, "bias_l0": np.array([0.0, 0, 0, 2])}, "float64")
    h = np.full((1, 1, 1), 0.25)
    opened, _ = layer(np.ones((1, 1, 1)), h)
    np.testing.assert_allclose(opened, np.tanh(0.5 + (3 * 0.25 + 2)), rtol=1e-12)
    layer.parameter("weight_ih_l0").value = [[-100.0], [-100.0], [0.5]]
    shut, _ = layer(np.ones((1, 1, 1)), h)
    np.testing.assert_allclose(shut, np.tanh(0.5), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 3, 7])
def test_a_state_stays_exactly_where_the_update_gate_saturates(isa, n, dtype):
    gru = fl.GRU(3, 20, dtype=dtype, seed=0)
    bias = gru.parameter("bias_l0").value.copy()
    bias[20:40] = 60  # z is 1
    gru.parameter("bias_l0").value = bias
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(n, 30, 3)).astype(dtype), rng.uniform(-1, 1, (1, n, 20)).astype(dtype)
    y, end = gru(x, h)
    np.testing.assert_array_equal(y, np.broadcast_to(h[0][:, None], y.shape))
    np.testing.assert_array_equal(end, h)
