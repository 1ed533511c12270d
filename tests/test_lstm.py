"""What is the LSTM's own: checkpoints, the forget gate, and its long memory. Else see test_cells.py."""

import numpy as np
import pytest
from recurrent_cases import Case, random_case, run

import fastlstm as fl
from fastlstm._kernels import cpu

CHECKPOINTED = [
    *(Case(6, n, 8, 64) for n in (1, 2, 3, 7)),
    *(Case(20, 5, 3, 17, 2, True, True), Case(20, 1, 3, 33), Case(19, 2, 5, 33, ragged=True)),
    *(Case(13, 1, 1, 1), Case(11, 2, 7, 31, 2, True, bias=False), Case(40, 30, 33, 5)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CHECKPOINTED, ids=str)
def test_checkpoints_change_no_bit_of_outputs_and_gradients(isa, case, dtype):
    problem = random_case(case)
    expected = run(problem, dtype)
    layer = problem.layer
    for every in (1, 2, 3, 5, 7, 100):
        problem.layer = lambda dtype, every=every: with_checkpoints(layer(dtype), every)
        for name, value in run(problem, dtype).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, every {every}")


def test_checkpoints_add_to_gradients_as_a_whole_pass_does(isa):
    problem = random_case(Case(7, 2, 3, 5))
    x, state, dy, dstate = problem.arrays()
    found = []
    for every in (None, 3):
        layer, tape = with_checkpoints(problem.layer(), every), fl.Workspace(0)
        for _ in range(2):
            layer.forward_with_state(x, state, tape, training=True, lengths=None)
            layer.backward_with_state(dy, dstate, tape)
        found.append([parameter.grad.copy() for parameter in layer.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def with_checkpoints(layer, every):
    layer.checkpoint_every = every
    return layer


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path keeps all gates")
def test_checkpoints_save_memory():
    def kept(tape):
        return sum(a.nbytes for a in tape._buffers.values()) + sum(map(kept, tape._children.values()))

    sizes = []
    for every in (None, 30):
        layer, tape = fl.LSTM(2, 64, checkpoint_every=every, seed=0), fl.Workspace(0)
        x = np.ones((2, 900, 2), np.float32)
        y = layer.forward(x, tape, training=True, lengths=None)
        layer.backward(y, tape, input_gradient=False)
        sizes.append(kept(tape) - y.nbytes)
    assert sizes[1] < sizes[0] / 4


def test_forget_bias_and_number_of_parameters():
    layer = fl.LSTM(3, 5, forget_bias=2.5, seed=0)
    np.testing.assert_array_equal(layer.parameter("bias_l0").value, [0] * 5 + [2.5] * 5 + [0] * 10)
    assert layer.num_parameters == 4 * (5 * (3 + 5) + 5)
    assert fl.LSTM(3, 5, bias=False).num_parameters == 4 * 5 * (3 + 5)


def test_recurrent_weights_start_orthogonal():
    weight = fl.LSTM(3, 8, dtype="float64", seed=0).parameter("weight_hh_l0").value
    for block in weight.reshape(4, 8, 8):
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-12)


def test_it_carries_what_came_long_ago():
    """With the forget gate open and the input gate closed but at the first step, c holds a value for 1000 steps."""
    layer = fl.LSTM(2, 1, dtype="float64")
    weights = {"weight_ih_l0": [[100.0, 0], [0, 0], [0, 1], [0, 0]], "weight_hh_l0": [[0.0]] * 4}
    layer.load_parameters({**weights, "bias_l0": np.array([-50.0, 50, 0, 50])}, "float64")
    x = np.zeros((1, 1000, 2))
    x[0, 0] = [1, 0.5]
    y, _ = layer(x)
    np.testing.assert_allclose(y[0, -1, 0], np.tanh(np.tanh(0.5)), rtol=1e-12)
