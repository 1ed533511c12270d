"""What is the simple recurrent network's own. Else see test_cells.py."""

import numpy as np
import pytest
from gradcheck import relative_error
from recurrent_cases import Case, loss_of, random_case, run

import fastlstm as fl

CORNERLESS = 2
"""Seed of problems none of whose sums comes so close to 0 that relu has a corner within the differences."""

RELU = [
    *(Case(5, 3, 3, 4, cell="relu"), Case(4, 2, 3, 3, 2, True, cell="relu")),
    *(Case(5, 3, 3, 4, ragged=True, cell="relu"), Case(5, 3, 3, 4, bias=False, cell="relu")),
]


@pytest.mark.parametrize("case", RELU, ids=str)
def test_gradients_of_relu_are_central_differences(isa, case):
    problem = random_case(case, CORNERLESS)
    layer, found = problem.layer(), run(problem)

    def value():
        tape = fl.Workspace(0)
        return loss_of(
            problem,
            *layer.forward_with_state(problem.x, problem.state, tape, training=True, lengths=problem.lengths),
        )

    moved = {"dx": problem.x, "dh0": problem.state[0], **{p.name: p.writable() for p in layer.parameters()}}
    for name, array in moved.items():
        assert relative_error(value, array, found[name]) < 1e-7, name


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_equation(activation):
    problem = random_case(Case(3, 2, 3, 4, cell=activation))
    y, h = problem.layer()(problem.x, problem.state[0])
    w, u, b = (problem.parameters[name] for name in ("weight_ih_l0", "weight_hh_l0", "bias_l0"))
    phi = np.tanh if activation == "tanh" else lambda a: np.maximum(a, 0)
    state = problem.state[0][0]
    for t in range(3):
        state = phi(problem.x[:, t] @ w.T + state @ u.T + b)
        np.testing.assert_allclose(y[:, t], state, rtol=1e-12)
    np.testing.assert_allclose(h[0], state, rtol=1e-12)


def test_starting_values():
    tanh, relu = (fl.SimpleRNN(3, 6, activation=phi, dtype="float64", seed=0) for phi in ("tanh", "relu"))
    u = tanh.parameter("weight_hh_l0").value
    np.testing.assert_allclose(u @ u.T, np.eye(6), atol=1e-12)
    np.testing.assert_array_equal(relu.parameter("weight_hh_l0").value, np.eye(6))
    assert not tanh.parameter("bias_l0").value.any()
    assert tanh.num_parameters == 6 * (3 + 6) + 6


@pytest.mark.parametrize(("activation", "error"), [("swish", ValueError), (None, TypeError), (["swish"], ValueError)])
def test_another_activation_is_named(activation, error):
    with pytest.raises(error, match="activation: expected (one of sigmoid, tanh|a name)"):
        fl.SimpleRNN(3, 4, activation=activation)
