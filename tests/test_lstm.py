"""The LSTM layer against central differences, the plain reference and PyTorch."""

from itertools import product

import numpy as np
import pytest
from gradcheck import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from lstm_cases import Case, random_case, run, run_reference

import fastlstm as fl
from fastlstm._kernels import cpu

CASES = [
    Case(t, n, 3, h, layers, bidirectional, ragged)
    for t, n, h, layers, bidirectional, ragged in product(
        [1, 2, 5], [1, 3], [1, 4, 17], [1, 2], [False, True], [False, True]
    )
    if not ragged or (n > 1 and t > 1)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_against_central_differences(case):
    problem = random_case(case)
    layer, found = problem.layer(), run(problem)
    arrays = {"dx": problem.x, "dh0": problem.h0, "dc0": problem.c0}
    state = (problem.h0, problem.c0)
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    tape = fl.Workspace(0)

    def value():
        for parameter in layer.parameters():
            parameter.touch()
        y, (h, c) = layer.forward_with_state(problem.x, state, tape, training=True, lengths=lengths)
        return (y * problem.dy).sum() + (h * problem.dh).sum() + (c * problem.dc).sum()

    entries = 8 if case.hidden == 17 else None  # of each array; None: all, and else a direction that moves all
    for name, array in arrays.items():
        assert relative_error(value, array, found[name], entries) < 1e-7, name
    for name in layer.parameter_shapes():
        assert relative_error(value, layer.parameter(name).writable(), found[name], entries) < 1e-7, name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_equals_the_reference(case):
    problem = random_case(case, seed=1)
    found, expected = run(problem), run_reference(problem)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-12, err_msg=name)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(
        Case,
        t=st.integers(1, 9),
        n=st.integers(1, 8),
        inputs=st.sampled_from([1, 3, 17, 33]),
        hidden=st.sampled_from([1, 2, 3, 17, 33, 65]),
        layers=st.integers(1, 3),
        bidirectional=st.booleans(),
        ragged=st.booleans(),
        bias=st.booleans(),
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_shape_equals_the_reference(case, seed):
    problem = random_case(case, seed)
    expected = run_reference(problem)
    for name, value in run(problem).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)
    y, (h, c) = problem.layer()(problem.x, (problem.h0, problem.c0), problem.lengths)
    for name, value in {"y": y, "h": h, "c": c}.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg="inference: " + name)


@pytest.mark.parametrize("case", [Case(5, 3, 17, 33, 2, True, True), Case(20, 4, 1, 3), Case(3, 2, 33, 17)], ids=str)
def test_float32_is_within_1e5_of_float64(case):
    problem = random_case(case)
    exact, found = run(problem, "float64"), run(problem, "float32")
    for name, value in exact.items():
        assert found[name].dtype == np.float32
        error = np.abs(found[name] - value).max() / max(1, np.abs(value).max())
        assert error < 1e-5, (name, error)


@pytest.mark.parametrize("case", [Case(5, 3, 2, 4, 2, True, True), Case(4, 2, 3, 17), Case(1, 1, 1, 1)], ids=str)
def test_inference_gives_what_training_gives(case):
    problem = random_case(case)
    layer = problem.layer()
    x, state, _, _ = problem.arrays()
    y, (h, c) = layer(x, state, problem.lengths)
    trained = run(problem)
    for name, value in {"y": y, "h": h, "c": c}.items():
        np.testing.assert_allclose(value, trained[name], rtol=1e-12, atol=1e-14, err_msg=name)


def test_inference_over_several_chunks_of_time(monkeypatch):
    problem = random_case(Case(50, 3, 5, 17, 2, True, True))
    whole = problem.layer()(problem.x, (problem.h0, problem.c0), problem.lengths)
    monkeypatch.setattr("fastlstm.layers.recurrent.direction.SUMS_BUFFER", 4 * 17 * 8 * 7)  # 7 rows at a time
    monkeypatch.setattr("fastlstm.layers.recurrent.plan.PROJECTION_BUFFER", 4 * 24 * 8 * 3 * 7)  # 7 steps at a time
    y, (h, c) = problem.layer()(problem.x, (problem.h0, problem.c0), problem.lengths)
    np.testing.assert_allclose(y, whole[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(h, whole[1][0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(c, whole[1][1], rtol=1e-12, atol=1e-14)


def poison(tape):
    for buffer in tape._buffers.values():
        if buffer.dtype.kind == "f":
            buffer.fill(np.nan)
    for child in tape._children.values():
        poison(child)


@pytest.mark.parametrize("case", [Case(5, 3, 2, 4, 2, True, True), Case(4, 2, 3, 17, 2)], ids=str)
def test_buffers_are_written_before_they_are_read(case):
    problem = random_case(case)
    tape = fl.Workspace(0)
    first = run(problem, tape=tape)
    poison(tape)
    for name, value in run(problem, tape=tape).items():
        np.testing.assert_array_equal(value, first[name], err_msg=name)


def test_a_tape_serves_batches_of_any_size_in_turn():
    tape = fl.Workspace(0)
    for case in (Case(5, 3, 2, 4, 2, True, True), Case(2, 1, 2, 4, 2, True), Case(9, 4, 2, 4, 2, True, True)):
        problem = random_case(case)
        expected = run_reference(problem)
        for name, value in run(problem, tape=tape).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)


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


def test_padding_is_never_looked_at():
    problem = random_case(Case(6, 4, 2, 3, 2, True, True))
    expected = run(problem)
    for s, length in enumerate(problem.lengths):
        problem.x[s, length:] = 1e30
        problem.dy[s, length:] = 1e30
    found = run(problem)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    for s, length in enumerate(problem.lengths):
        assert not found["y"][s, length:].any()
        assert not found["dx"][s, length:].any()


def test_state_carries_a_sequence_over_a_cut():
    problem = random_case(Case(10, 3, 2, 5, 2))
    layer = problem.layer()
    whole, end = layer(problem.x)
    first, state = layer(problem.x[:, :4])
    second, state = layer(problem.x[:, 4:], state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-12)
    np.testing.assert_allclose(state[0], end[0], rtol=1e-12)
    np.testing.assert_allclose(state[1], end[1], rtol=1e-12)


def test_gradients_are_added_up():
    problem = random_case(Case(4, 2, 3, 5))
    layer, tape = problem.layer(), fl.Workspace(0)
    x, state, dy, dstate = problem.arrays()
    for _ in range(2):
        layer.forward_with_state(x, state, tape, training=True, lengths=None)
        layer.backward_with_state(dy, dstate, tape)
    once = run(problem)
    for name in layer.parameter_shapes():
        np.testing.assert_allclose(layer.parameter(name).grad, 2 * once[name], rtol=1e-12)


def test_dropout_between_layers_backward_against_differences():
    case = Case(4, 3, 2, 5, 3, True, True)
    problem = random_case(case)
    layer = fl.LSTM(2, 5, num_layers=3, bidirectional=True, dropout=0.4, dtype="float64", seed=0)
    lengths = np.asarray(problem.lengths, np.intp)

    def forward(tape):
        return layer.forward_with_state(problem.x, None, tape, training=True, lengths=lengths)[0]

    tape = fl.Workspace(7)
    dropped = forward(tape).copy()
    assert np.abs(dropped - layer(problem.x, lengths=lengths)[0]).max() > 0.01
    dx = layer.backward_with_state(problem.dy, None, tape)[0].copy()

    def value():
        return (forward(fl.Workspace(7)) * problem.dy).sum()  # the same seed, the same masks

    assert relative_error(value, problem.x, dx) < 1e-7


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


TORCH_CASES = [Case(5, 3, 3, 4, 2, True, True), Case(7, 4, 17, 33, 1, False, True), Case(3, 1, 1, 1, 3, True)]


@pytest.mark.parametrize("case", [*TORCH_CASES, Case(6, 2, 3, 5, 2, bias=False)], ids=str)
def test_outputs_and_gradients_equal_pytorch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    problem = random_case(case)
    found = run(problem)
    module = fl.io.to_torch(problem.layer())
    x, h0, c0 = (torch.tensor(a, requires_grad=True) for a in (problem.x, problem.h0, problem.c0))
    lengths = torch.tensor([case.t] * case.n if problem.lengths is None else problem.lengths)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, (h, c) = module(packed, (h0, c0))
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=case.t)
    dy, dh, dc = (torch.tensor(a) for a in (problem.dy, problem.dh, problem.dc))
    ((y * dy).sum() + (h * dh).sum() + (c * dc).sum()).backward()
    expected = {"y": y, "h": h, "c": c, "dx": x.grad, "dh0": h0.grad, "dc0": c0.grad}
    for name in problem.parameters:
        expected[name] = getattr(module, name.replace("bias", "bias_ih")).grad
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.detach().numpy(), rtol=1e-10, atol=1e-10, err_msg=name)
