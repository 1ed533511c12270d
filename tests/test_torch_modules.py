"""fastlstm.torch beside torch's own modules: outputs, states and gradients of random configurations."""

import copy
import gc
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from peer_cases import Draw, on_both_paths

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch.nn.utils.rnn import PackedSequence  # noqa: E402
from torch_cases import KINDS, LAYOUTS, assert_same, pair, random_input, random_pair, results  # noqa: E402

import fastlstm.torch  # noqa: E402
from fastlstm.torch import modules, obstacles  # noqa: E402
from fastlstm.torch.engine import Ticket  # noqa: E402

DOUBLE = {"dtype": torch.float64}


@pytest.fixture(autouse=True)
def one_thread(default_threads):
    """Small work, which several threads of a busy machine would wait with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_tape_is_left_behind():
    yield
    gc.collect()
    assert not Ticket.leases


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_random_configurations(kind, layout):
    for number in range(21):
        draw = Draw([KINDS.index(kind), LAYOUTS.index(layout), number])
        theirs, ours = random_pair(kind, draw)
        given = random_input(ours, draw, layout)
        without = draw.of((), (), (0,), (1, 2))
        expected = results(theirs, *given, without=without)
        for found in on_both_paths(lambda given=given, ours=ours, no=without: results(ours, *given, without=no)):
            assert_same(found, expected)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh", "relu"])
@pytest.mark.parametrize("shape", [(3, 5), (5,), (40, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_in_a_loop(kind, shape, bias, monkeypatch):
    monkeypatch.setattr(modules, "WORTH_A_STEP", 0)
    options = {"bias": bias, **DOUBLE}
    theirs = torch.nn.RNNCell(5, 4, nonlinearity=kind, **options) if kind.islower() else None
    theirs = theirs or getattr(torch.nn, kind + "Cell")(5, 4, **options)
    ours = copy.deepcopy(theirs)
    fastlstm.torch.accelerate(ours)
    xs = torch.randn(4, *shape, **DOUBLE)

    def run(cell):
        state, found = None, []
        for x in xs:
            state = cell(x, state)
            found += state if isinstance(state, tuple) else (state,)
        return {str(k): part for k, part in enumerate(found)}

    with torch.no_grad():
        for found in on_both_paths(lambda: run(ours)):
            assert_same(found, run(theirs))
    assert "_fastlstm_engines" in vars(ours)


@pytest.mark.parametrize(("rows", "ours"), [(1, False), (15, False), (16, True)])
def test_a_step_of_a_cell_is_torchs_where_that_is_faster(rows, ours):
    cell, x = fastlstm.torch.LSTMCell(3, 64), torch.randn(rows, 3)
    h, _ = cell(x)
    assert h.requires_grad
    assert "_fastlstm_engines" not in vars(cell)
    with torch.no_grad():
        torch.testing.assert_close(cell(x)[0], h.detach())
    assert ("_fastlstm_engines" in vars(cell)) == ours


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_other_dtypes(kind, dtype, tolerance):
    theirs, ours = pair(kind, input_size=7, hidden_size=9, num_layers=2, dtype=dtype)
    x = torch.randn(6, 3, 7).to(dtype)
    found, expected = [], []
    for module, outputs in ((theirs, expected), (ours, found)):
        y, _ = module(x)
        y.float().square().sum().backward()
        outputs += [y.detach(), *[parameter.grad for parameter in module.parameters()]]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype is other.dtype is dtype
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


def loop(module, steps, make):
    """The losses of a training loop."""
    torch.manual_seed(1)
    head = torch.nn.Linear(module.hidden_size, 3, **DOUBLE)
    optimizer = make([*module.parameters(), *head.parameters()])
    losses = []
    for _ in range(steps):
        x, y = torch.randn(6, 4, 5, **DOUBLE), torch.randint(3, (6, 4))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(module(x)[0]).flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, **DOUBLE)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_losses_of_a_training_loop_are_those_without_it(kind):
    theirs, ours = pair(kind, input_size=5, hidden_size=7, num_layers=2, **DOUBLE)
    expected = loop(theirs, 50, torch.optim.Adam)
    assert expected[-1] < expected[0]
    torch.testing.assert_close(loop(ours, 50, torch.optim.Adam), expected, rtol=0, atol=1e-9)


class OfData(torch.optim.Optimizer):
    """As optimizers of old: a change through .data, which torch does not count."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(parameter.grad, alpha=-0.1)


def test_changes_through_data_are_noticed():
    theirs, ours = pair("LSTM", input_size=5, hidden_size=7, **DOUBLE)
    torch.testing.assert_close(loop(ours, 5, OfData), loop(theirs, 5, OfData), rtol=0, atol=1e-12)
    x = torch.randn(6, 4, 5, **DOUBLE)
    with torch.inference_mode():
        for change in (lambda w: w.data.mul_(0.5), lambda w: w.data.copy_(w.flip(0)), lambda w: w.zero_()):
            for module in (theirs, ours):
                change(module.weight_hh_l0)
            torch.testing.assert_close(ours(x), theirs(x))


def test_the_weights_are_torchs_memory():
    _, ours = pair("LSTM", input_size=5, hidden_size=7)
    with torch.no_grad():
        ours(torch.zeros(2, 3, 5))
    (engine,) = ours.__dict__["_fastlstm_engines"].values()
    for parameter, name in zip(engine.seen.parameters, engine.spec.names, strict=True):
        assert parameter.read().ctypes.data == getattr(ours, name).data_ptr()


def test_new_weights_and_another_dtype_are_noticed():
    theirs, ours = pair("GRU", input_size=5, hidden_size=7)
    x = torch.randn(2, 3, 5)
    other = torch.nn.GRU(5, 7)
    for assign in (False, True):
        for module in (theirs, ours):
            module(x)
            module.load_state_dict(other.state_dict(), assign=assign)
        torch.testing.assert_close(ours(x), theirs(x))
    ours.double()
    torch.testing.assert_close(ours(x.double()), theirs.double()(x.double()))
    ours.weight_hh_l0 = torch.nn.Parameter(torch.zeros(21, 7, **DOUBLE))
    theirs.weight_hh_l0 = torch.nn.Parameter(torch.zeros(21, 7, **DOUBLE))
    torch.testing.assert_close(ours(x.double()), theirs(x.double()))


def test_weights_that_are_computed():
    theirs, ours = pair("LSTM", input_size=5, hidden_size=7, **DOUBLE)
    x = torch.randn(2, 3, 5, **DOUBLE)
    found = []
    for module in (theirs, ours):
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        module(x)[0].square().sum().backward()
        found.append({name: parameter.grad for name, parameter in module.named_parameters()})
    assert_same(found[1], found[0])


def test_frozen_weights_have_no_gradient_and_the_others_have_theirs():
    theirs, ours = pair("LSTM", input_size=5, hidden_size=7, num_layers=2, **DOUBLE)
    x = torch.randn(4, 3, 5, **DOUBLE)
    for frozen in ([], ["weight_ih_l0", "bias_hh_l1"], [name for name, _ in theirs.named_parameters()][:-1]):
        found = []
        for module in (theirs, ours):
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(name not in frozen)
                parameter.grad = None
            module(x)[0].square().sum().backward()
            found.append({name: parameter.grad for name, parameter in module.named_parameters()})
        assert_same(found[1], found[0])
        assert [found[1][name] for name in frozen] == [None] * len(frozen)


def test_gradients_that_torch_holds_stay_what_they_are():
    _, ours = pair("LSTM", input_size=5, hidden_size=7)
    x = torch.randn(4, 3, 5)
    ours(x)[0].sum().backward()
    kept = {name: parameter.grad.clone() for name, parameter in ours.named_parameters()}
    for parameter in [*ours.parameters()][:-1]:
        parameter.requires_grad_(False)
    ours(x)[0].sum().backward()
    torch.testing.assert_close(
        {name: p.grad for name, p in [*ours.named_parameters()][:-1]}, {n: kept[n] for n in [*kept][:-1]}
    )


def both(run, kind="LSTM", **options):
    """What `run` returns for both modules must be the same."""
    theirs, ours = pair(kind, input_size=5, hidden_size=7, **DOUBLE, **options)
    expected, found = run(theirs), run(ours)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_two_passes_before_one_backward_pass():
    def run(module):
        torch.manual_seed(0)
        first, second = (module(torch.randn(3, 2, 5, **DOUBLE))[0] for _ in range(2))
        (first * second).sum().backward()
        return [parameter.grad for parameter in module.parameters()]

    both(run)


def test_a_second_backward_pass_over_a_graph_that_is_kept():
    def run(module):
        torch.manual_seed(0)
        x = torch.randn(3, 2, 5, **DOUBLE, requires_grad=True)
        loss = module(x)[0].square().sum()
        for _ in range(3):
            loss.backward(retain_graph=True)
        return [x.grad, *[parameter.grad for parameter in module.parameters()]]

    both(run)


def test_a_second_backward_pass_over_a_graph_that_is_gone():
    _, ours = pair("LSTM", input_size=5, hidden_size=7)
    loss = ours(torch.randn(3, 2, 5))[0].sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_weights_or_inputs_that_change_before_the_backward_pass():
    _, ours = pair("LSTM", input_size=5, hidden_size=7)
    x = torch.randn(3, 2, 5)
    for change in (ours.weight_hh_l0, x):
        loss = ours(x)[0].sum()
        with torch.no_grad():
            change.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    del loss


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant):
    def run(module):
        torch.manual_seed(0)
        x = torch.randn(3, 2, 5, **DOUBLE, requires_grad=True)
        middle = torch.utils.checkpoint.checkpoint(lambda x: module(x)[0], x, use_reentrant=reentrant)
        middle.square().sum().backward()
        return [x.grad, *[parameter.grad for parameter in module.parameters()]]

    both(run)


def test_saved_tensors_that_hooks_keep_elsewhere():
    def run(module):
        torch.manual_seed(0)
        x = torch.randn(3, 2, 5, **DOUBLE, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
            losses = [module(x)[0].square().sum() for _ in range(2)]
        sum(losses).backward()
        return [x.grad, *[parameter.grad for parameter in module.parameters()]]

    both(run)


def test_passes_with_other_weights_in_between():
    def run(module):
        torch.manual_seed(0)
        x, others = torch.randn(3, 2, 5, **DOUBLE), {n: p.detach() * 2 for n, p in module.named_parameters()}
        first = module(x)[0].square().sum()
        second = torch.func.functional_call(module, others, (x,))[0].square().sum()
        (first + second).backward()
        return [parameter.grad for parameter in module.parameters()]

    both(run, "GRU")


def test_outputs_may_be_changed_in_place():
    def run(module):
        torch.manual_seed(0)
        y, _ = module(torch.randn(3, 2, 5, **DOUBLE))
        y.mul_(2).square().sum().backward()
        return [parameter.grad for parameter in module.parameters()]

    both(run)


def test_a_second_derivative_is_torchs_and_is_said_to_be(monkeypatch):
    monkeypatch.setattr(obstacles, "_told", set())

    def run(module):
        torch.manual_seed(0)
        x = torch.randn(3, 2, 5, **DOUBLE, requires_grad=True)
        y, (h, _) = module(x)
        (dx,) = torch.autograd.grad(y.square().sum() + h.sum(), x, create_graph=True)
        (dx.square().sum()).backward()
        return [dx, x.grad, *[parameter.grad for parameter in module.parameters()]]

    theirs, ours = pair("LSTM", input_size=5, hidden_size=7, num_layers=2, **DOUBLE)
    with pytest.warns(UserWarning, match="it has no derivatives of gradients"):
        found = run(ours)
    torch.testing.assert_close(found, run(theirs), rtol=1e-10, atol=1e-10)


def test_dropout_is_repeated_by_torchs_seed_and_left_out_in_evaluation():
    _, ours = pair("LSTM", input_size=5, hidden_size=400, num_layers=2, dropout=0.25)
    x = torch.randn(3, 2, 5)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(ours(x)[0].detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    with torch.no_grad():
        assert not torch.equal(ours(x)[0], ours(x)[0])
        torch.testing.assert_close(ours.eval()(x), copy.deepcopy(ours)(x))
        fastlstm.torch.restore(theirs := copy.deepcopy(ours))
        torch.testing.assert_close(ours(x), theirs(x))


def test_gradients_with_dropout_are_those_of_central_differences():
    _, ours = pair("GRU", input_size=3, hidden_size=4, num_layers=3, dropout=0.5, **DOUBLE)

    def run(x):
        torch.manual_seed(3)
        return ours(x)[0]

    assert torch.autograd.gradcheck(run, torch.randn(4, 2, 3, **DOUBLE, requires_grad=True))
    torch.manual_seed(3)
    y, _ = ours(torch.randn(4, 2, 3, **DOUBLE))
    with pytest.raises(RuntimeError, match="double backward: dropout's masks"):
        torch.autograd.grad(y.sum(), ours.weight_hh_l0, create_graph=True)
    del y


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "relu"])
def test_inputs_that_are_not_finite(kind):
    theirs, ours = pair(kind, input_size=5, hidden_size=7, num_layers=2)
    x = torch.randn(6, 2, 5)
    x[3, 0, 1] = float("nan")
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), equal_nan=True)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], equal_nan=True)


def test_weights_that_no_layer_can_read_are_named():
    _, ours = pair("LSTM", input_size=5, hidden_size=7)
    ours.weight_hh_l0 = torch.nn.Parameter(torch.zeros(28, 6))
    with pytest.raises(ValueError, match=r"weight_hh_l0: expected \(28, 7\) of torch.float32 on cpu, got \(28, 6\) of"):
        ours(torch.zeros(2, 3, 5))


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(6, [1, 2, 3]), (8, [2, 3, 1, 2]), (6, [3, 3, 3]), (6, [100, 1]), (6, [7, -1]), (6, []), (6, [[3, 2, 1]])],
)
@pytest.mark.parametrize("grad", [False, True])
def test_packed_sequences_whose_parts_do_not_fit_are_named(rows, sizes, grad):
    given = PackedSequence(torch.ones(rows, 3), torch.tensor(sizes, dtype=torch.int64))
    message = rf"input: expected a PackedSequence .*, got data \({rows}, 3\) and batch_sizes {re.escape(str(sizes))}$"
    with torch.set_grad_enabled(grad), pytest.raises(ValueError, match=message):
        fastlstm.torch.LSTM(3, 4)(given)


@pytest.mark.parametrize("sizes", [[3, 2], [3, 2, 0]])
def test_packed_sequences_that_torch_takes_though_steps_or_rows_are_left_over(sizes):
    theirs, ours = pair("LSTM", input_size=3, hidden_size=4)
    given = PackedSequence(torch.randn(6, 3), torch.tensor(sizes))
    for found, expected in zip(ours(given)[0][:2], theirs(given)[0][:2], strict=True):
        torch.testing.assert_close(found, expected)


def test_threads_share_a_module():
    theirs, ours = pair("GRU", input_size=5, hidden_size=70, num_layers=2, **DOUBLE)
    xs = [torch.randn(9, n, 5, **DOUBLE) for n in range(1, 5)]

    def run(module, x):
        with torch.no_grad():
            y, _ = module(x)
        return y, *torch.autograd.grad(module(x)[0].square().sum(), [*module.parameters()])

    with ThreadPoolExecutor(4) as pool:
        for x, found in zip(xs * 5, pool.map(lambda x: run(ours, x), xs * 5), strict=True):
            torch.testing.assert_close(found, run(theirs, x), rtol=1e-9, atol=1e-9)


def test_gradients_of_inputs_and_states_alone():
    def run(module):
        torch.manual_seed(0)
        module.requires_grad_(False)
        x, h = (torch.randn(*shape, **DOUBLE, requires_grad=True) for shape in ((4, 3, 5), (4, 3, 7)))
        alone = torch.autograd.grad(module(x)[0].square().sum(), x)
        return *alone, *torch.autograd.grad(module(x.detach(), h)[0].square().sum(), h)

    both(run, "GRU", num_layers=2, bidirectional=True)


def test_a_training_loop_uses_one_tape():
    _, ours = pair("LSTM", input_size=5, hidden_size=7, **DOUBLE)
    loop(ours, 4, torch.optim.Adam)
    (engine,) = ours.__dict__["_fastlstm_engines"].values()
    assert len(engine.free) == 1
