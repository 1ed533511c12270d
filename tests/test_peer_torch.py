"""Beside torch.nn.LSTM, GRU and RNN, live: outputs, final states and all gradients of random configurations."""

import numpy as np
import pytest
from peer_cases import Draw, assert_close, on_both_paths, ours

import fastlstm as fl

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torch.set_num_threads(1)  # its passes are small

KINDS = ("LSTM", "GRU", "tanh", "relu", "projected")
CASES = [(kind, number) for kind in KINDS for number in range(40)]


def random_module(kind, draw):
    """A module of PyTorch with random weights, in float64."""
    torch.manual_seed(int(draw.rng.integers(1 << 30)))
    options = {
        "input_size": draw.size(9),
        "hidden_size": draw.size(19),
        "num_layers": draw.size(3),
        "bidirectional": draw.of(False, True),
        "bias": draw.of(True, True, False),
        "batch_first": True,
        "dtype": torch.float64,
    }
    if kind in ("tanh", "relu"):
        return torch.nn.RNN(**options, nonlinearity=kind)
    if kind == "projected":
        options["hidden_size"] += 1
        return torch.nn.LSTM(**options, proj_size=draw.size(options["hidden_size"] - 1))
    return {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}[kind](**options)


def theirs(module, x, state, lengths, dy, dstate):
    """The same as `ours`, of a module. PyTorch takes lengths in any order as a packed sequence."""
    x = torch.tensor(x, requires_grad=True)
    state = None if state is None else [torch.tensor(part, requires_grad=True) for part in state]
    given = x
    if lengths is not None:
        options = {"batch_first": True, "enforce_sorted": False}
        given = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), **options)
    many = isinstance(module, torch.nn.LSTM)
    y, final = module(given, state if state is None else tuple(state) if many else state[0])
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    final = final if many else (final,)
    loss = (y * torch.tensor(dy)).sum()
    for part, gradient in zip(final, dstate, strict=True):
        loss = loss + (part * torch.tensor(gradient)).sum()
    module.zero_grad()
    loss.backward()
    found = {"y": y.detach().numpy(), "dx": x.grad.numpy()}
    for name, part in zip("hc", final, strict=False):
        found[f"{name}_n"] = part.detach().numpy()
    for name, part in zip("hc", state or (), strict=False):
        found[f"d{name}_0"] = part.grad.numpy()
    return {**found, **{name: parameter.grad.numpy() for name, parameter in module.named_parameters()}}


@pytest.mark.parametrize(("kind", "number"), CASES)
def test_outputs_states_and_gradients(kind, number):
    draw = Draw([KINDS.index(kind), number])
    module = random_module(kind, draw)
    layer = fl.io.from_torch(module)
    n, t = draw.size(6), draw.size(8)
    places = module.num_layers * (1 + module.bidirectional)
    x, dy = draw.normal(n, t, module.input_size), draw.normal(n, t, layer.output_size)
    lengths = draw.of(None, draw.lengths(n, t))
    widths = layer.cell.widths(module.hidden_size)
    states = [[draw.normal(places, n, width) for width in widths] for _ in range(2)]
    state = draw.of(None, states[0])
    expected = theirs(module, x, state, lengths, dy, states[1])
    for found in on_both_paths(lambda: ours(layer, x, state, lengths, dy.copy(), states[1])):
        assert_close(found, expected)
        assert set(found) - set(expected) <= {"dh_0", "dc_0"}
    back = fl.io.to_torch(layer)
    for name, value in module.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


@pytest.mark.parametrize("number", range(40))
def test_with_one_bias_the_gradient_is_that_of_each(number):
    """Where a sum has two biases, each has the gradient of the sum."""
    draw = Draw([99, number])
    kind = draw.of(*KINDS[:4])
    module = random_module(kind, draw)
    layer = fl.io.from_torch(module, two_biases=False)
    n, t, hidden = draw.size(4), draw.size(6), module.hidden_size
    x, dy = draw.normal(n, t, module.input_size), draw.normal(n, t, layer.output_size)
    zeros = [np.zeros((module.num_layers * layer.directions, n, hidden)) for _ in layer.parts]
    expected, found = theirs(module, x, None, None, dy, zeros), ours(layer, x, None, None, dy, zeros)
    for name in [name for name in expected if name.startswith("bias_ih")]:
        of_inputs, of_state = expected.pop(name), expected.pop(name.replace("ih", "hh"))
        more = len(found[name.replace("_ih", "")]) - len(of_inputs)
        expected[name.replace("_ih", "")] = np.concatenate([of_inputs, of_state[len(of_state) - more :]])
    assert_close(found, expected)


def test_what_the_page_of_conventions_says_of_pytorch():
    """docs/compatibility.md: starting values, empty sequences, hard_sigmoid."""
    torch.manual_seed(0)
    for value in torch.nn.LSTM(5, 16).parameters():
        assert 0.8 / 4 < value.abs().max() <= 1 / 4
    x = torch.zeros(2, 4, 3)
    with pytest.raises(RuntimeError, match="[Ll]ength"):
        torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([0, 4]), batch_first=True, enforce_sorted=False)
    state = np.ones((1, 2, 2))
    _, (h, c) = fl.LSTM(3, 2)(x.numpy(), (state, state), lengths=[0, 4])
    assert (h[:, 0] == 1).all()
    assert (c[:, 0] == 1).all()
    steps = torch.linspace(-4, 4, 33)
    expected = np.clip(steps.numpy() / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(torch.nn.functional.hardsigmoid(steps).numpy(), expected, atol=1e-6)
