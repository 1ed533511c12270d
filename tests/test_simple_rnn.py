"""The simple recurrent network, beside PyTorch's and central differences."""

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl

ROUNDING = {"float32": 5e-5, "float64": 1e-12}
"""Of the largest number of an array: what relu lets grow is summed with both signs."""


def layer_of(hidden, activation, dtype="float64", **options):
    """A layer of 3 inputs with all parameters at random."""
    layer = fl.SimpleRNN(3, hidden, activation=activation, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    shapes = layer.parameter_shapes()
    layer.load_parameters({name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}, dtype)
    return layer


def problem(layer, n, t, seed=1):
    """x, h0, dy and the gradient of the final state."""
    rng = np.random.default_rng(seed)
    state = (layer.num_layers * layer.directions, n, layer.hidden_size)
    shapes = ((n, t, 3), state, (n, t, layer.directions * layer.hidden_size), state)
    return [rng.normal(size=shape).astype(layer.dtype) for shape in shapes]


def ragged(n, t):
    return np.random.default_rng(2).permutation(np.linspace(1, t, n).astype(np.intp)[::-1])


def passes(layer, x, h0, dy, dh, lengths=None):
    """Everything that a pass forward and one backward give, by name."""
    tape = fl.Workspace(0)
    y, (h,) = layer.forward_with_state(x, None if h0 is None else (h0,), tape, training=True, lengths=lengths)
    found = {"y": y.copy(), "h": h.copy()}
    dx, (dh0,) = layer.backward_with_state(dy, (dh,), tape)
    grads = {p.name: p.grad.copy() for p in layer.parameters()}
    return {**found, "dx": dx.copy(), "dh0": dh0.copy(), **grads}


def of_pytorch(layer, x, h0, dy, dh, lengths=None):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    options = {"num_layers": layer.num_layers, "bidirectional": layer.bidirectional, "nonlinearity": layer.activation}
    rnn = torch.nn.RNN(3, layer.hidden_size, batch_first=True, dtype=getattr(torch, layer.dtype.name), **options)
    with torch.no_grad():
        for name, own in layer._parameters.items():
            getattr(rnn, name.replace("bias", "bias_ih")).copy_(torch.tensor(own.value.copy()))
            if name.startswith("bias"):
                getattr(rnn, name.replace("bias", "bias_hh")).zero_()
    x, h0 = (torch.tensor(part, requires_grad=True) for part in (x, h0))
    if lengths is None:
        y, h = rnn(x, h0)
    else:
        utils = torch.nn.utils.rnn
        packed = utils.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        y, h = rnn(packed, h0)
        y, _ = utils.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    ((y * torch.tensor(dy)).sum() + (h * torch.tensor(dh)).sum()).backward()
    grads = {name: getattr(rnn, name.replace("bias", "bias_ih")).grad for name in layer._parameters}
    return {"y": y.detach(), "h": h.detach(), "dx": x.grad, "dh0": h0.grad, **grads}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("hidden", [1, 4, 17])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("t", [1, 2, 5])
def test_equals_pytorch(t, n, hidden, bidirectional, activation, dtype):
    layer = layer_of(hidden, activation, dtype, num_layers=2, bidirectional=bidirectional)
    arrays = problem(layer, n, t)
    for lengths in (None, ragged(n, t)) if n > 1 and t > 1 else (None,):
        for parameter in layer.parameters():
            parameter.zero_grad()
        expected = of_pytorch(layer, *arrays, lengths)
        for name, value in passes(layer, *arrays, lengths).items():
            largest = max(1.0, np.abs(value).max())
            np.testing.assert_allclose(value, expected[name], atol=ROUNDING[dtype] * largest, rtol=0, err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("lengths", [None, [2, 5, 1]])
def test_gradients_are_central_differences(isa, activation, options, lengths):
    layer = layer_of(4, activation, **options)
    arrays = problem(layer, 3, 5)
    lengths = None if lengths is None else np.array(lengths)
    x, h0, dy, dh = arrays
    found = passes(layer, *arrays, lengths)

    def value():
        y, (h,) = layer.forward_with_state(x, (h0,), fl.Workspace(0), training=True, lengths=lengths)
        return (y * dy).sum() + (h * dh).sum()

    moved = {"dx": x, "dh0": h0, **{p.name: p.writable() for p in layer.parameters()}}
    for name, array in moved.items():
        assert relative_error(value, array, found[name], entries=12) < 1e-7, name


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_equation(activation):
    layer = layer_of(4, activation)
    x, h0, _, _ = problem(layer, 2, 3)
    y, h = layer(x, h0)
    w, u, b = (layer.parameter(name).value for name in ("weight_ih_l0", "weight_hh_l0", "bias_l0"))
    phi = np.tanh if activation == "tanh" else lambda a: np.maximum(a, 0)
    state = h0[0]
    for t in range(3):
        state = phi(x[:, t] @ w.T + state @ u.T + b)
        np.testing.assert_allclose(y[:, t], state, rtol=1e-12)
    np.testing.assert_allclose(h[0], state, rtol=1e-12)


def test_buffers_may_hold_anything():
    layer = layer_of(5, "tanh", num_layers=2, bidirectional=True)
    arrays, lengths = problem(layer, 3, 4), np.array([4, 1, 2])
    expected = passes(layer, *arrays, lengths)
    tape = fl.Workspace(0)
    for poisoned in (False, True):
        for part in (tape, *tape._children.values()) if poisoned else ():
            for buffer in part._buffers.values():
                buffer.fill(np.nan)
        y, (h,) = layer.forward_with_state(arrays[0], (arrays[1],), tape, training=True, lengths=lengths)
        dx, (dh0,) = layer.backward_with_state(arrays[2], (arrays[3],), tape)
        for name, value in {"y": y, "h": h, "dx": dx, "dh0": dh0}.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_outputs_beyond_the_end_are_zero_and_the_state_is_that_of_the_last_real_step():
    layer = layer_of(4, "tanh")
    x, h0, _, _ = problem(layer, 2, 5)
    y, h = layer(x, h0, lengths=[5, 2])
    assert not y[1, 2:].any()
    np.testing.assert_array_equal(h[0], [y[0, 4], y[1, 1]])


def test_starting_values():
    tanh, relu = (fl.SimpleRNN(3, 6, activation=phi, dtype="float64", seed=0) for phi in ("tanh", "relu"))
    u = tanh.parameter("weight_hh_l0").value
    np.testing.assert_allclose(u @ u.T, np.eye(6), atol=1e-12)
    np.testing.assert_array_equal(relu.parameter("weight_hh_l0").value, np.eye(6))
    assert not tanh.parameter("bias_l0").value.any()


def test_streams_and_carries_what_the_whole_is():
    layers = [fl.SimpleRNN(3, 5, num_layers=2), fl.SimpleRNN(5, 4, activation="relu"), fl.Dense(4, 2)]
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


def test_learns_with_truncated_back_propagation():
    x = np.random.default_rng(0).normal(size=(400, 1))
    y = np.concatenate([[[0.0]], x[:-1]])  # the input of the step before
    trainer = fl.Trainer(fl.Model([fl.SimpleRNN(1, 8), fl.Dense(8, 1)], seed=0), "mse", fl.Adam(0.01))
    history = trainer.fit_sequence(x, y, window=10, batch_size=4, epochs=40)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: fl.SimpleRNN(3, 4, activation="elu"), "activation: expected 'tanh' or 'relu', got 'elu'"),
        (lambda: fl.SimpleRNN(0, 4), "input_size: expected at least 1, got 0"),
        (lambda: fl.SimpleRNN(3, 4)(np.ones((2, 5, 2))), r"x: expected shape \(N, T, 3\), got \(2, 5, 2\)"),
        (
            lambda: fl.SimpleRNN(3, 4)(np.ones((2, 5, 3)), np.ones((1, 2, 3))),
            r"state: expected shape \(1, 2, 4\), got \(1, 2, 3\)",
        ),
        (
            lambda: fl.Model([fl.SimpleRNN(3, 4, bidirectional=True)]).stream(),
            r"layer 0 \(SimpleRNN\): a bidirectional SimpleRNN cannot stream",
        ),
        (
            lambda: fl.Model([fl.SimpleRNN(3, 4, bidirectional=True)]).tape(carry=True),
            "a bidirectional SimpleRNN cannot carry its state",
        ),
        (lambda: fl.Model([fl.Last(), fl.SimpleRNN(3, 4)]), "SimpleRNN takes sequences"),
    ],
)
def test_what_is_wrong_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()
