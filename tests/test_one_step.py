"""LSTMCell and GRUCell: loops of one's own beside the layers."""

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl

KINDS = {
    "LSTM": (fl.LSTMCell, fl.LSTM, {}),
    "LSTM with options": (fl.LSTMCell, fl.LSTM, {"peephole": True, "cell_clip": 0.5}),
    "GRU": (fl.GRUCell, fl.GRU, {}),
    "GRU with options": (fl.GRUCell, fl.GRU, {"activation": "softsign"}),
}
X = np.random.default_rng(0).normal(size=(5, 6, 3))
"""(N, T, I)"""


def as_parts(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize(("cell", "layer", "options"), KINDS.values(), ids=KINDS)
def test_steps_are_those_of_the_layer(isa, cell, layer, options):
    one, whole = (kind(3, 17, seed=0, dtype="float64", **options) for kind in (cell, layer))
    y, final = whole(X)
    state = None
    for t in range(6):
        state = one(X[:, t], state)
        np.testing.assert_allclose(as_parts(state)[0], y[:, t], atol=1e-13)
    for part, expected in zip(as_parts(state), as_parts(final), strict=True):
        np.testing.assert_allclose(part, expected[0], atol=1e-13)


@pytest.mark.parametrize(("cell", "layer", "options"), KINDS.values(), ids=KINDS)
def test_a_loop_trains_as_the_layer_does(isa, cell, layer, options):
    one, whole = (kind(3, 17, seed=0, dtype="float64", **options) for kind in (cell, layer))
    dy = np.random.default_rng(1).normal(size=(5, 6, 17))
    tape = fl.Workspace(0)
    whole.forward(X, tape, training=True, lengths=None)
    expected = whole.backward(dy, tape)
    tapes, state = [fl.Workspace(0) for _ in range(6)], None
    for t in range(6):
        state = one.forward(X[:, t], state, tapes[t])
    zeros = np.zeros((5, 17))
    dstate = (zeros, zeros) if cell is fl.LSTMCell else zeros
    for t in reversed(range(6)):
        dh, *others = as_parts(dstate)
        dstate = (dh + dy[:, t], *others) if others else dh + dy[:, t]
        dx, dstate = one.backward(dstate, tapes[t])
        np.testing.assert_allclose(dx, expected[:, t], atol=1e-12)
    for own, other in zip(one.parameters(), whole.parameters(), strict=True):
        np.testing.assert_allclose(own.grad, other.grad, atol=1e-11, err_msg=own.name)


@pytest.mark.parametrize(("cell", "layer", "options"), KINDS.values(), ids=KINDS)
def test_the_gradient_of_the_state(cell, layer, options):
    one, rng = cell(3, 4, seed=0, dtype="float64", **options), np.random.default_rng(2)
    parts = [rng.normal(size=(2, 4)) for _ in one.layer.parts]
    weights = [rng.normal(size=(2, 4)) for _ in parts]
    x, tape = rng.normal(size=(2, 3)), fl.Workspace(0)

    def state():
        return tuple(parts) if len(parts) > 1 else parts[0]

    def value():
        return sum((a * b).sum() for a, b in zip(as_parts(one(x, state())), weights, strict=True))

    one.forward(x, state(), tape)
    _, before = one.backward(tuple(weights) if len(weights) > 1 else weights[0], tape)
    for part, gradient in zip(parts, as_parts(before), strict=True):
        assert relative_error(value, part, gradient) < 1e-7


def test_the_same_as_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for ours, kind in ((fl.LSTMCell, torch.nn.LSTMCell), (fl.GRUCell, torch.nn.GRUCell)):
        one, theirs = ours(3, 5, seed=0, dtype="float64"), kind(3, 5, dtype=torch.float64)
        module = fl.io.to_torch(one.layer)
        theirs.load_state_dict({name.removesuffix("_l0"): value for name, value in module.state_dict().items()})
        state, expected = None, None
        for t in range(4):
            state, expected = one(X[:, t], state), theirs(torch.tensor(X[:, t]), expected)
        for part, other in zip(as_parts(state), as_parts(expected), strict=True):
            np.testing.assert_allclose(part, other.detach().numpy(), atol=1e-13)


def backward(cell, dstate):
    """The backward pass of a step of 2 sequences."""
    tape = fl.Workspace(0)
    cell.forward(np.ones((2, 3)), None, tape)
    return cell.backward(dstate, tape)


WRONG = [
    (lambda: fl.LSTMCell(3, 4)(np.ones((2, 5, 3))), ValueError, r"x: expected shape \(N, 3\), got \(2, 5, 3\)"),
    (lambda: backward(fl.LSTMCell(3, 4), None), TypeError, "dstate: expected the gradients of the state .*, got None"),
    (lambda: backward(fl.GRUCell(3, 4), None), TypeError, "dstate: expected the gradients of the state .*, got None"),
    (
        lambda: backward(fl.LSTMCell(3, 4), np.ones((2, 4))),
        TypeError,
        r"dstate: expected a tuple \(h, c\), got ndarray",
    ),
    (
        lambda: backward(fl.GRUCell(3, 4), np.ones((2, 3))),
        ValueError,
        r"dstate: expected shape \(2, 4\), got \(2, 3\)",
    ),
    (lambda: fl.LSTMCell(3, 4)(np.ones((2, 3)), np.ones((2, 4))), TypeError, r"state: expected a tuple \(h, c\)"),
    (
        lambda: fl.GRUCell(3, 4)(np.ones((2, 3)), np.ones((3, 4))),
        ValueError,
        r"state: expected shape \(2, 4\), got \(3, 4\)",
    ),
    (lambda: fl.GRUCell(3, 4)(np.full((2, 3), np.nan)), ValueError, "x: expected finite numbers"),
    (lambda: fl.GRUCell(3, 4)(np.ones((2, 3)), "h"), TypeError, "state: expected real numbers"),
    (lambda: fl.LSTMCell(0, 4), ValueError, "input_size: expected at least 1, got 0"),
]


@pytest.mark.parametrize(("act", "error", "message"), WRONG)
def test_what_is_wrong_is_named(act, error, message):
    with pytest.raises(error, match=message):
        act()


@pytest.mark.parametrize("kind", [fl.LSTMCell, fl.GRUCell])
def test_backward_belongs_to_the_forward_pass_before_it(kind):
    cell, other, tape, x = kind(3, 4, seed=0), kind(3, 4, seed=1), fl.Workspace(0), np.ones((2, 3))
    dstate = cell(x)
    for before in (
        lambda: None,
        lambda: (cell.forward(x, None, tape), cell.backward(dstate, tape)),
        lambda: (cell.forward(x, None, tape), other.forward(x, None, tape)),
    ):
        before()
        with pytest.raises(RuntimeError, match="backward needs a forward pass of this cell on the same tape"):
            cell.backward(dstate, tape)
    cell.forward(x, None, tape)
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        cell.forward(np.full((2, 3), np.nan), None, tape)
    with pytest.raises(RuntimeError, match="backward needs a forward pass of this cell on the same tape"):
        cell.backward(dstate, tape)
    cell.forward(x, None, tape)
    cell.parameters()[0].value = 2 * cell.parameters()[0].value
    with pytest.raises(RuntimeError, match="a parameter has changed since the forward pass"):
        cell.backward(dstate, tape)
    for act in (lambda: cell.forward(x, None, None), lambda: cell.backward(dstate, None)):
        with pytest.raises(TypeError, match="tape: expected a Workspace, got None"):
            act()


@pytest.mark.parametrize(
    ("cell", "options"), [(fl.LSTMCell, {"proj_size": 2, "layer_norm": True}), (fl.GRUCell, {"reset": "before"})]
)
def test_cells_of_several_phases(cell, options, isa):
    step = cell(3, 4, seed=0, dtype="float64", **options)
    x = np.random.default_rng(0).normal(size=(7, 2, 3))
    state = None
    for own in x:
        state = step(own, state)
    y, _ = step.layer(x.transpose(1, 0, 2))
    np.testing.assert_allclose(state[0] if isinstance(state, tuple) else state, y[:, -1], atol=1e-12)


@pytest.mark.parametrize("cell", [fl.LSTMCell, fl.GRUCell])
def test_a_cell_takes_no_argument_of_layers(cell):
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_layers'"):
        cell(3, 4, num_layers=2)
