"""Models that stand, on the kernels and back; what torch's own code goes on doing; copies, files, hooks, compilers."""

import copy
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import fastlstm as fl

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch_cases import pair  # noqa: E402

import fastlstm.torch  # noqa: E402
from fastlstm.torch import modules, obstacles  # noqa: E402


@pytest.fixture(autouse=True)
def fresh(default_threads, monkeypatch):
    """One thread, and no warning that has been given before."""
    monkeypatch.setattr(obstacles, "_told", set())
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Own(torch.nn.LSTM):
    """A class of somebody's own."""


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = torch.nn.ModuleList([torch.nn.LSTM(3, 4, batch_first=True), torch.nn.GRUCell(4, 5), Own(3, 2)])
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x):
        y, _ = self.parts[0](x)
        return self.head(self.parts[1](y[:, -1])).sum() + self.parts[2](x)[0].sum()


def test_what_accelerate_replaces_and_restore_puts_back():
    torch.manual_seed(0)
    net, x = Net(), torch.randn(2, 5, 3)
    before, kinds = net(x), [type(module) for module in net.modules()]
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    done = fastlstm.torch.accelerate(net)
    assert (done.names, done.left) == (["parts.0", "parts.1"], ["parts.2"])
    assert str(done).splitlines() == [
        "Accelerated 2 modules",
        "  parts.0: LSTM(3, 4, batch_first=True)",
        "  parts.1: GRUCell(4, 5)",
        "  left as it is, being of a class of its own: parts.2",
    ]
    assert type(net.parts[0]) is fastlstm.torch.LSTM
    assert isinstance(net.parts[0], torch.nn.LSTM)
    assert optimizer.param_groups[0]["params"][0] is net.parts[0].weight_ih_l0
    torch.testing.assert_close(net(x), before)
    assert fastlstm.torch.accelerate(net).names == []
    fastlstm.torch.restore(net)
    assert [type(module) for module in net.modules()] == kinds
    assert not [name for module in net.modules() for name in vars(module) if "fastlstm" in name]
    torch.testing.assert_close(net(x), before, rtol=0, atol=0)


def test_a_block_ends_with_what_was_there():
    net = torch.nn.ModuleList([torch.nn.RNN(3, 4), fastlstm.torch.LSTM(3, 4)])
    with pytest.raises(KeyError), fastlstm.torch.accelerate(net):
        assert type(net[0]) is fastlstm.torch.RNN
        raise KeyError
    assert [type(module) for module in net] == [torch.nn.RNN, fastlstm.torch.LSTM]


@pytest.mark.parametrize("function", [fastlstm.torch.accelerate, fastlstm.torch.restore])
def test_what_is_no_module_is_named(function):
    with pytest.raises(TypeError, match=r"module: expected a torch.nn.Module, got list"):
        function([torch.nn.LSTM(3, 4)])


def test_modules_from_the_start():
    torch.manual_seed(0)
    ours = fastlstm.torch.RNN(3, 4, 2, "relu", dropout=0.5, device="cpu", dtype=torch.float64)
    torch.manual_seed(0)
    theirs = torch.nn.RNN(3, 4, 2, "relu", dropout=0.5, device="cpu", dtype=torch.float64)
    assert str(ours) == str(theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    with pytest.raises(ValueError, match="proj_size has to be smaller than hidden_size"):
        fastlstm.torch.LSTM(3, 4, proj_size=4)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((torch.zeros(2, 5, 4),), RuntimeError),
        ((torch.zeros(2, 5, 3, 1),), (RuntimeError, ValueError)),
        ((torch.zeros(2, 5, 3).double(),), ValueError),
        ((torch.zeros(2, 5, 3), torch.zeros(1, 5, 4)), (RuntimeError, IndexError)),
        ((torch.zeros(2, 5, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 5, 4))), RuntimeError),
        ((torch.zeros(2, 0, 3),), RuntimeError),
        (([[1.0]],), (AttributeError, TypeError)),
    ],
)
def test_errors_are_torchs(arguments, error):
    theirs, ours = pair("LSTM", input_size=3, hidden_size=4, batch_first=True)
    with pytest.raises(error) as expected:
        theirs(*arguments)
    if len(arguments) == 2 and isinstance(arguments[1], tuple):
        return  # the second state is right for the first axis alone
    with pytest.raises(error) as found:
        ours(*arguments)
    assert str(found.value) == str(expected.value)


def test_an_empty_batch_is_torchs():
    theirs, ours = pair("GRU", input_size=3, hidden_size=4)
    torch.testing.assert_close(ours(torch.zeros(5, 0, 3)), theirs(torch.zeros(5, 0, 3)))


def test_copies_and_files(tmp_path):
    _, ours = pair("LSTM", input_size=3, hidden_size=4, num_layers=2)
    x = torch.randn(5, 2, 3)
    y = ours(x)[0]
    whole, state = io.BytesIO(), io.BytesIO()
    torch.save(ours, whole)
    torch.save(ours.state_dict(), state)
    other = torch.nn.LSTM(3, 4, 2)
    other.load_state_dict(torch.load(io.BytesIO(state.getvalue()), weights_only=True))
    for copied in (copy.deepcopy(ours), torch.load(io.BytesIO(whole.getvalue()), weights_only=False), other):
        torch.testing.assert_close(copied(x)[0], y)
        assert "_fastlstm_engines" not in copied.__getstate__()
    with torch.no_grad():
        copied.weight_ih_l0.zero_()
    torch.testing.assert_close(ours(x)[0], y)


def test_hooks_run():
    _, ours = pair("LSTM", input_size=3, hidden_size=4)
    seen = []
    ours.register_forward_hook(lambda module, given, found: seen.append(found[0].shape))
    ours.register_full_backward_hook(lambda module, dx, dy: seen.append(dy[0].shape))
    ours(torch.randn(5, 2, 3, requires_grad=True))[0].sum().backward()
    assert seen == [(5, 2, 4), (5, 2, 4)]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes(mode):
    theirs, ours = pair("LSTM", input_size=3, hidden_size=4)
    with mode():
        x = torch.randn(5, 2, 3)
        y, (h, _) = ours(x)
        torch.testing.assert_close(y, theirs(x)[0])
    assert y.requires_grad == h.requires_grad == (mode is torch.enable_grad)
    assert y.is_inference() == (mode is torch.inference_mode)


def test_weights_that_were_made_in_inference_mode():
    with torch.inference_mode():
        theirs, ours = pair("GRU", input_size=3, hidden_size=4)
        x = torch.randn(5, 2, 3)
        for _ in range(3):
            torch.testing.assert_close(ours(x), theirs(x))
            for module in (theirs, ours):
                module.weight_hh_l0.mul_(2)


def test_threads_follow_torchs():
    _, ours = pair("LSTM", input_size=3, hidden_size=4)
    for n in (2, 1):
        torch.set_num_threads(n)
        ours(torch.zeros(5, 2, 3))
        assert fl.get_num_threads() == n


def others():
    """What the kernels cannot do: a name, what is done with a module, and what the warning says."""
    x = torch.randn(3, 5, 2, 3)
    tangent = torch.ones(5, 2, 3)

    def dual(module):
        with torch.autograd.forward_ad.dual_level():
            y, _ = module(torch.autograd.forward_ad.make_dual(x[0], tangent))
            return torch.autograd.forward_ad.unpack_dual(y)

    def cast(module):
        with torch.autocast("cpu", torch.bfloat16):
            return module(x[0])

    class Tensor(torch.Tensor):
        pass

    return {
        "vmap": (lambda module: torch.func.vmap(lambda x: module(x)[0])(x), "the transforms of torch.func"),
        "forward": (dual, "no derivatives in forward mode"),
        "autocast": (cast, "does not know torch.autocast"),
        "subclass": (
            lambda module: module(x[0].as_subclass(Tensor))[0].as_subclass(torch.Tensor),
            "of the type Tensor",
        ),
        "half": (lambda module: copy.deepcopy(module).half()(x[0].half()), "a tensor is of torch.float16"),
        "meta": (lambda module: copy.deepcopy(module).to("meta")(x[0].to("meta"))[0].shape, "a tensor is on meta"),
    }


@pytest.mark.parametrize("name", ["vmap", "forward", "autocast", "subclass", "half", "meta"])
@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
def test_what_the_kernels_cannot_do_is_torchs_and_is_said_once(kind, name, monkeypatch):
    monkeypatch.setattr(modules, "WORTH_A_STEP", 0)
    act, message = others()[name]
    act = same_error(act)
    theirs, ours = (torch.nn.GRU(3, 4), None) if kind == "GRU" else (torch.nn.GRUCell(3, 4), None)
    ours = copy.deepcopy(theirs)
    fastlstm.torch.accelerate(ours)
    if kind == "GRUCell":  # the same calls, for a step
        theirs, ours = (OfSteps(cell) for cell in (theirs, ours))
    theirs.requires_grad_(False)
    ours.requires_grad_(False)
    expected = act(theirs)
    with pytest.warns(UserWarning, match=f"torch's own code runs instead of fastlstm's: .*{message}"):
        found = act(ours)
    assert type(found) is type(expected)
    if isinstance(expected, str):
        assert found == expected
    else:
        torch.testing.assert_close(found, expected)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "torch's own code")
        act(ours)


def same_error(act):
    """The same, but that what torch cannot do either gives its error."""

    def attempt(module):
        try:
            return act(module)
        except RuntimeError as error:
            return str(error)

    return attempt


class OfSteps(torch.nn.Module):
    """A cell that is called as a module of sequences is."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        h = self.cell(x[0])
        return h, h


def test_what_is_exported_or_traced_is_torchs():
    theirs, ours = pair("LSTM", input_size=3, hidden_size=4)
    x = torch.randn(5, 2, 3)
    exported = torch.export.export(ours, (x,)).module()
    torch.testing.assert_close(exported(x), theirs(x))
    with pytest.warns(UserWarning, match="it cannot be traced"):
        traced = torch.jit.trace(ours, x, check_trace=False)
    torch.testing.assert_close(traced(x), theirs(x))


class Chain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.below = torch.nn.Linear(5, 6)
        self.lstm = torch.nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True)
        self.gru = torch.nn.GRU(14, 3)

    def forward(self, x):
        y, (h, _) = self.lstm(torch.relu(self.below(x)))
        y, _ = self.gru(y.swapaxes(0, 1), h[:1, :, :3] * 2)
        return y.sum(-1)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_code_is_one_graph_in_inference_and_trains(backend):
    dynamo = pytest.importorskip("torch._dynamo")
    theirs = Chain()
    ours, x = copy.deepcopy(theirs), torch.randn(4, 6, 5)
    fastlstm.torch.accelerate(ours)
    with dynamo.config.patch(allow_rnn=True), torch.no_grad():
        dynamo.reset()
        compiled = torch.compile(ours, backend=backend, fullgraph=True)
        for _ in range(2):
            torch.testing.assert_close(compiled(x), theirs(x))
            for module in (theirs, ours):
                module.lstm.weight_hh_l0.mul_(2)
        assert dynamo.explain(ours)(x).graph_break_count == 0
    for allowed in (True, False):
        with dynamo.config.patch(allow_rnn=allowed):
            dynamo.reset()
            compiled = torch.compile(ours, backend=backend)
            gradients = []
            for module, act in ((theirs, theirs), (ours, compiled)):
                module.zero_grad()
                act(x).square().sum().backward()
                gradients.append([parameter.grad for parameter in module.parameters()])
            torch.testing.assert_close(gradients[1], gradients[0])


def test_without_torch_the_error_says_what_to_install(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no module of this name')")
    code = "import fastlstm\ntry:\n    import fastlstm.torch\nexcept ImportError as error:\n    print(error)"
    path = os.pathsep.join([str(tmp_path), str(Path(fl.__file__).parent.parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "fastlstm.torch needs PyTorch, which is not installed: pip install torch"
