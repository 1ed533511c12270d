"""Every recurrent cell against central differences, the plain reference and PyTorch."""

from itertools import product

import numpy as np
import pytest
from gradcheck import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_cases import (
    CELLS,
    TORCH_CELLS,
    Case,
    called,
    each_cell,
    gradients,
    loss_of,
    named,
    parts_of,
    random_case,
    run,
    run_reference,
)

import fastlstm as fl

CASES = [
    Case(t, n, 3, h, layers, bidirectional, ragged)
    for t, n, h, layers, bidirectional, ragged in product(
        [1, 2, 5], [1, 3], [1, 4, 17], [1, 2], [False, True], [False, True]
    )
    if not ragged or (n > 1 and t > 1)
]
ODD = [
    *(Case(6, n, 3, 17) for n in (1, 2, 3, 5, 7, 13)),
    *(Case(4, 2, inputs, 5) for inputs in (1, 17, 33)),
    *(Case(3, 4, 3, hidden, 2, True, True) for hidden in (1, 2, 4, 8, 15, 16, 33)),
    *(Case(40, 1, 5, 16), Case(3, 3, 2, 131), Case(9, 5, 3, 8, 3, False, True, bias=False)),
]


@pytest.mark.parametrize("case", each_cell(CASES, ["lstm", "gru", "tanh"]), ids=str)
def test_gradients_against_central_differences(case):
    """Relu, which has none at its corner, is held against the reference alone."""
    problem = random_case(case)
    layer, found = problem.layer(), run(problem)
    arrays = {"dx": problem.x}
    arrays.update(zip((f"d{part}0" for part in problem.parts), problem.state, strict=True))
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    tape = fl.Workspace(0)

    def value():
        for parameter in layer.parameters():
            parameter.touch()
        return loss_of(
            problem, *layer.forward_with_state(problem.x, problem.state, tape, training=True, lengths=lengths)
        )

    for name, array in arrays.items():
        assert relative_error(value, array, found[name]) < 1e-7, name
    for name in layer.parameter_shapes():
        assert relative_error(value, layer.parameter(name).writable(), found[name]) < 1e-7, name


@pytest.mark.parametrize("case", each_cell(CASES), ids=str)
def test_everything_equals_the_reference(case):
    problem = random_case(case, seed=1)
    found, expected = run(problem), run_reference(problem)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("case", each_cell(ODD), ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_gives_what_the_reference_gives(isa, case, dtype):
    """In inference and in training; what relu lets grow is compared with the largest number of an array."""
    problem = random_case(case)
    expected = run_reference(problem)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for found in (called(problem, dtype), run(problem, dtype)):
        for name, value in found.items():
            assert value.dtype == dtype
            scale = max(1, np.abs(expected[name]).max())
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * scale, err_msg=name)


@settings(max_examples=100, deadline=None, derandomize=True)
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
        cell=st.sampled_from(["lstm", "gru", "tanh"]),
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_shape_equals_the_reference(case, seed):
    problem = random_case(case, seed)
    expected = run_reference(problem)
    for name, value in run(problem).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)
    for name, value in called(problem).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg="inference: " + name)


@pytest.mark.parametrize(
    "case", each_cell([Case(5, 3, 2, 4, 2, True, True), Case(4, 2, 3, 17), Case(1, 1, 1, 1)]), ids=str
)
def test_inference_gives_what_training_gives(case):
    problem = random_case(case)
    trained = run(problem)
    for name, value in called(problem).items():
        np.testing.assert_allclose(value, trained[name], rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_inference_over_several_chunks_of_time(monkeypatch, cell):
    problem = random_case(Case(50, 3, 5, 17, 2, True, True, cell=cell))
    whole = called(problem)
    monkeypatch.setattr("fastlstm.layers.recurrent.direction.SUMS_BUFFER", 4 * 17 * 8 * 7)  # 7 rows at a time
    monkeypatch.setattr("fastlstm.layers.recurrent.plan.PROJECTION_BUFFER", 4 * 24 * 8 * 3 * 7)  # 7 steps at a time
    for name, value in called(problem).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-12, atol=1e-12 * max(1, np.abs(value).max()))


def poison(tape):
    for buffer in tape._buffers.values():
        if buffer.dtype.kind == "f":
            buffer.fill(np.nan)
    for child in tape._children.values():
        poison(child)


@pytest.mark.parametrize("case", each_cell([Case(5, 3, 2, 4, 2, True, True), Case(4, 2, 3, 17, 2)]), ids=str)
def test_buffers_are_written_before_they_are_read(case):
    problem = random_case(case)
    tape = fl.Workspace(0)
    first = run(problem, tape=tape)
    poison(tape)
    for name, value in run(problem, tape=tape).items():
        np.testing.assert_array_equal(value, first[name], err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_a_tape_serves_batches_of_any_size_in_turn(cell):
    tape = fl.Workspace(0)
    for case in (Case(5, 3, 2, 4, 2, True, True), Case(2, 1, 2, 4, 2, True), Case(9, 4, 2, 4, 2, True, True)):
        problem = random_case(*each_cell([case], [cell]))
        expected = run_reference(problem)
        for name, value in run(problem, tape=tape).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_looked_at(cell):
    problem = random_case(Case(6, 4, 2, 3, 2, True, True, cell=cell))
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


@pytest.mark.parametrize("cell", CELLS)
def test_nan_spoils_its_own_row_from_its_step_on(isa, cell):
    problem = random_case(Case(5, 4, 3, 17, cell=cell))
    problem.x[2, 3] = np.nan
    y = problem.layer().forward(problem.x, fl.Workspace(0), training=False, lengths=None)
    assert np.isnan(y[2, 3:]).all()
    assert np.isfinite(y[2, :3]).all()
    assert np.isfinite(np.delete(y, 2, 0)).all()


@pytest.mark.parametrize("cell", CELLS)
def test_state_carries_a_sequence_over_a_cut(cell):
    problem = random_case(Case(10, 3, 2, 5, 2, cell=cell))
    layer = problem.layer()
    whole, end = layer(problem.x)
    first, state = layer(problem.x[:, :4])
    second, state = layer(problem.x[:, 4:], state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-12)
    for part, expected in zip(parts_of(state), parts_of(end), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_added_up(cell):
    problem = random_case(Case(4, 2, 3, 5, cell=cell))
    layer, tape = problem.layer(), fl.Workspace(0)
    x, state, dy, dstate = problem.arrays()
    for _ in range(2):
        layer.forward_with_state(x, state, tape, training=True, lengths=None)
        layer.backward_with_state(dy, dstate, tape)
    once = run(problem)
    for name in layer.parameter_shapes():
        np.testing.assert_allclose(layer.parameter(name).grad, 2 * once[name], rtol=1e-12)


@pytest.mark.parametrize("kind", [fl.LSTM, fl.GRU, fl.SimpleRNN])
def test_dropout_between_layers_backward_against_differences(kind):
    problem = random_case(Case(4, 3, 2, 5, 3, True, True))
    layer = kind(2, 5, num_layers=3, bidirectional=True, dropout=0.4, dtype="float64", seed=0)
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


@pytest.mark.parametrize("cell", CELLS)
def test_streams_and_carries_what_the_whole_is(isa, cell):
    layers = [Case(0, 0, 3, 5, 2, cell=cell).layer(), Case(0, 0, 5, 4, cell=cell).layer(), fl.Dense(4, 2)]
    model = fl.Model(layers, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    whole = model.predict(x)
    stream, tape = model.stream(batch=2), model.tape(carry=True)
    for t in range(7):
        np.testing.assert_allclose(stream.step(x[:, t]), whole[:, t], atol=1e-12)
    stream.reset([1])
    again = stream.run(x)
    np.testing.assert_allclose(again[1], whole[1], atol=1e-12)
    assert not np.allclose(again[0], whole[0])
    parts = [model.forward(x[:, a:b], tape, training=True).copy() for a, b in ((0, 3), (3, 7))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-12)
    model.carry([1, -1, -1], tape)
    new = np.random.default_rng(1).normal(size=(3, 2, 3))
    found = model.forward(new, tape)
    np.testing.assert_allclose(found[1:], model.predict(new)[1:], atol=1e-12)
    longer = model.predict(np.concatenate([x[1], new[0]])[None])
    np.testing.assert_allclose(found[0], longer[0, 7:], atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_learns_with_truncated_back_propagation(cell):
    x = np.random.default_rng(0).normal(size=(400, 1))
    y = np.concatenate([[[0.0]], x[:-1]])  # the input of the step before
    model = fl.Model([Case(0, 0, 1, 8, cell=cell).layer(), fl.Dense(8, 1)], seed=0)
    history = fl.Trainer(model, "mse", fl.Adam(0.01)).fit_sequence(x, y, window=10, batch_size=4, epochs=60)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


TORCH_CASES = each_cell(
    [
        *(Case(5, 3, 3, 4, 2, True, True), Case(7, 4, 17, 33, 1, False, True), Case(3, 1, 1, 1, 3, True)),
        *(Case(6, 2, 3, 5, 2, bias=False), Case(4, 6, 33, 17, 1, True, True)),
    ],
    TORCH_CELLS,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", TORCH_CASES, ids=str)
def test_outputs_and_gradients_equal_pytorch(isa, case, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    problem = random_case(case)
    found, module = run(problem, dtype), fl.io.to_torch(problem.layer(dtype))
    x, state, dy, dstate = problem.arrays(dtype)
    x, *state = (torch.tensor(a, requires_grad=True) for a in (x, *state))
    lengths = torch.tensor([case.t] * case.n if problem.lengths is None else problem.lengths)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, final = module(packed, tuple(state) if len(state) > 1 else state[0])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=case.t)
    loss = (y * torch.tensor(dy)).sum()
    for part, gradient in zip(parts_of(final), dstate, strict=True):
        loss = loss + (part * torch.tensor(gradient)).sum()
    loss.backward()
    expected = named(problem, y.detach().numpy(), [part.detach().numpy() for part in parts_of(final)])
    expected.update(gradients(problem, x.grad.numpy(), [part.grad.numpy() for part in state]))
    rows = found["weight_hh_l0"].shape[0]
    for name in problem.parameters:
        if name.startswith("bias"):  # the first blocks are the inputs' biases; one more is the last of the state's
            of_inputs, of_state = (getattr(module, name.replace("bias", part)).grad for part in ("bias_ih", "bias_hh"))
            more = len(found[name]) - rows
            expected[name] = np.concatenate([of_inputs.numpy(), of_state.numpy()[rows - more :]])
        else:
            expected[name] = getattr(module, name).grad.numpy()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1, np.abs(value).max())
        tolerance = (2e-5 if dtype == "float32" else 1e-12) * scale
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("positive", [False, True])
def test_gates_of_a_minimal_lstm_that_are_all_but_shut(isa, dtype, positive):
    """Sums of 20 and 40: f or i is next to nothing, and their quotient is not."""
    case = Case(4, 3, 2, 16, cell="min_lstm", options=(("positive", positive),))
    problem = random_case(case)
    bias = problem.parameters["bias_l0"]
    bias[:16] = np.repeat([-40, -18, 5, 40], 4)
    bias[16:32] = np.tile([-40, -18, 5, 40], 4)
    expected = run_reference(problem)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for name, value in run(problem, dtype).items():
        scale = max(1, np.abs(expected[name]).max())
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_of_a_minimal_lstm_that_are_shut(isa, dtype):
    """Sums of 2,000, of which no number has the exponential."""
    problem = random_case(Case(4, 3, 2, 16, cell="min_lstm"))
    bias = problem.parameters["bias_l0"]
    bias[:16] = np.repeat([-2000, -500, 5, 2000], 4)
    bias[16:32] = np.tile([-2000, -500, 5, 2000], 4)
    for name, value in run(problem, dtype).items():
        assert np.isfinite(value).all(), name
