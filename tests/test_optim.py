"""What every registered optimizer promises, and each one's own formula, against PyTorch where it is installed."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.optim import Optimizer
from fastlstm.parameter import Parameter

EXAMPLES = {
    "SGD": [
        (fl.SGD(0.1), "SGD", {"lr": 0.1}),
        (fl.SGD(0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
        (
            fl.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
            "SGD",
            {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        ),
    ],
    "RMSprop": [(fl.RMSprop(0.01, rho=0.8), "RMSprop", {"lr": 0.01, "alpha": 0.8})],
    "Adam": [(fl.Adam(0.01, betas=(0.8, 0.99)), "Adam", {"lr": 0.01, "betas": (0.8, 0.99)})],
    "AdamW": [(fl.AdamW(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1})],
}
ALL = [example for examples in EXAMPLES.values() for example in examples]
IDS = [f"{name}{i}" for name, examples in EXAMPLES.items() for i in range(len(examples))]
FACTORIES = {"SGD": fl.SGD, "RMSprop": fl.RMSprop, "Adam": fl.Adam, "AdamW": fl.AdamW}


def parameters(dtype, shapes=((3,), (17, 5), (1, 1))):
    rng = np.random.default_rng(0)
    made = []
    for i, shape in enumerate(shapes):
        parameter = Parameter(f"p{i}", shape, lambda rng, shape: rng.normal(size=shape))
        parameter._initialize(rng, np.dtype(dtype))
        made.append(parameter)
    return made


def fresh(optimizer):
    optimizer.steps, optimizer.state, optimizer._parameters = 0, [], []
    return optimizer


@pytest.mark.parametrize(("optimizer", "name", "options"), ALL, ids=IDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_ten_steps_against_pytorch(optimizer, name, options, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = parameters(dtype)
    theirs = [torch.tensor(p.value.copy(), requires_grad=True) for p in ours]
    peer = getattr(torch.optim, name)(theirs, **options)
    rng = np.random.default_rng(1)
    fresh(optimizer)
    for _ in range(10):
        for p, tensor in zip(ours, theirs, strict=True):
            p.grad[...] = rng.normal(size=p.shape)
            tensor.grad = torch.tensor(p.grad.copy())
        optimizer.step(ours)
        peer.step()
    for p, tensor in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.value, tensor.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.thread_unsafe(reason="the list has one optimizer of each kind, and one serves one model")
@pytest.mark.parametrize(("optimizer", "name", "options"), ALL, ids=IDS)
def test_it_finds_the_bottom_of_a_bowl(optimizer, name, options):
    ours = parameters("float64")
    fresh(optimizer)
    before = sum((p.value**2).sum() for p in ours)
    for _ in range(300):
        for p in ours:
            p.grad[...] = 2 * p.value
        optimizer.step(ours)
    assert sum((p.value**2).sum() for p in ours) < 0.1 * before


@pytest.mark.parametrize("name", EXAMPLES)
def test_first_steps_by_hand(name):
    p = parameters("float64", [(1,)])[0]
    p.value = [1.0]
    p.grad[...] = 0.5
    optimizer = FACTORIES[name](lr=0.1)
    optimizer.step([p])
    expected = {
        "SGD": 1 - 0.1 * 0.5,
        "RMSprop": 1 - 0.1 * 0.5 / (np.sqrt(0.1 * 0.25) + 1e-8),
        "Adam": 1 - 0.1 * 0.5 / (0.5 + 1e-8),
        "AdamW": 1 - 0.1 * 0.01 - 0.1 * 0.5 / (0.5 + 1e-8),
    }[name]
    np.testing.assert_allclose(p.value, expected, rtol=1e-14)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_learning_rate_may_change_between_steps(name):
    p = parameters("float64", [(4,)])[0]
    p.grad[...] = 1
    optimizer = FACTORIES[name](lr=0.1)
    optimizer.step([p])
    value = p.value.copy()
    optimizer.lr = 0.0
    optimizer.step([p])
    np.testing.assert_array_equal(p.value, value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_step_is_a_new_version_of_the_value(name):
    p = parameters("float64", [(4,)])[0]
    version = p.version
    FACTORIES[name]().step([p])
    assert p.version > version


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_optimizer_serves_one_model(name):
    optimizer = FACTORIES[name]()
    optimizer.step(parameters("float64", [(4,)]))
    with pytest.raises(ValueError, match="parameters: expected those of the first step"):
        optimizer.step(parameters("float64", [(4,)]))


@pytest.mark.parametrize("name", EXAMPLES)
def test_bad_numbers_are_named(name):
    with pytest.raises(ValueError, match=r"lr: expected at least 0 and at most 1e\+30, got -1"):
        FACTORIES[name](lr=-1)
    with pytest.raises(TypeError, match="lr: expected a number, got 'fast'"):
        FACTORIES[name](lr="fast")
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"lr: expected at least 0 and at most 1e\+30, got {value}"):
            FACTORIES[name](lr=value)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    ("lr", "error", "message"),
    [
        (float("nan"), ValueError, r"lr: expected at least 0 and at most 1e\+30, got nan"),
        (-1, ValueError, r"lr: expected at least 0 and at most 1e\+30, got -1"),
        ("fast", TypeError, "lr: expected a number, got 'fast'"),
    ],
)
def test_a_learning_rate_that_is_none_moves_nothing(name, lr, error, message):
    p = parameters("float32", [(4,)])[0]
    optimizer, before = FACTORIES[name](), p.value.copy()
    optimizer.lr = lr
    with pytest.raises(error, match=message):
        optimizer.step([p])
    np.testing.assert_array_equal(p.value, before)


class Momentum(Optimizer):
    """An optimizer of one's own."""

    slots = ("mean", "square")

    def update(self, value, grad, slots):
        slots["mean"] += grad
        value -= self.lr * slots["mean"]


FROZEN = pytest.mark.parametrize("frozen", [False, True], ids=["all", "one frozen"])


def after_a_step(kind, frozen):
    """An optimizer after a step, and its parameters, of which the last may be frozen."""
    ours, optimizer = tuple(parameters("float32")), kind(0.1)
    ours[2].trainable = not frozen
    optimizer.step(ours)
    return optimizer, ours


@FROZEN
@pytest.mark.parametrize("kind", [fl.Adam, Momentum])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(), "state: expected 3 dicts, one for each parameter, got 2"),
        (lambda state: state.append({}), "state: expected 3 dicts, one for each parameter, got 4"),
        (lambda state: state.__setitem__(0, np.ones(3)), r"state: expected a dict of .* for p0, got numpy\.ndarray"),
        (
            lambda state: state[1].pop("mean"),
            r"state: expected a dict of \['mean', 'square'\] for p1, got \['square'\]",
        ),
        (lambda state: state[0].update(mean=3), "state 'mean' of p0: expected an array of float32, got int"),
        (
            lambda state: state[0].update(mean=np.ones(3)),
            "state 'mean' of p0: expected an array of float32, got float6",
        ),
        (
            lambda state: state[0].update(square=np.ones(4, "f4")),
            r"state 'square' of p0: expected shape \(3,\), got \(4,\)",
        ),
        (
            lambda state: state[1].update(mean=np.ones((17, 5), "f4", order="F")),
            "state 'mean' of p1: expected a contiguous, aligned and writable array, got another",
        ),
    ],
)
def test_a_state_that_does_not_fit_any_more_is_named(kind, frozen, change, message):
    optimizer, ours = after_a_step(kind, frozen)
    change(optimizer.state)
    before = [p.value.copy() for p in ours]
    with pytest.raises(ValueError, match=message):
        optimizer.step(ours)
    for p, value in zip(ours, before, strict=True):
        np.testing.assert_array_equal(p.value, value)


@FROZEN
@pytest.mark.parametrize("kind", [fl.Adam, Momentum])
def test_what_is_put_into_the_state_counts(kind, frozen):
    found = []
    for change in (
        lambda optimizer, new: optimizer.state[0].update(new),
        lambda optimizer, new: optimizer.state.__setitem__(0, new),
        lambda optimizer, new: optimizer.state.__setitem__(0, dict(reversed(new.items()))),
        lambda optimizer, new: setattr(optimizer, "state", [new, *optimizer.state[1:]]),
    ):
        optimizer, ours = after_a_step(kind, frozen)
        old = ours[0].value.copy()
        change(optimizer, {"mean": np.full(3, 2, "f4"), "square": np.ones(3, "f4")})
        optimizer.step(ours)
        assert (ours[0].value < old).all()
        found.append(ours[0].value)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_betas_are_below_one():
    with pytest.raises(ValueError, match="betas: expected at least 0 and below 1, got 1.0"):
        fl.Adam(betas=(1.0, 0.9))


def test_betas_are_two():
    with pytest.raises(TypeError, match=r"betas: expected two numbers, got \(0.9,\)"):
        fl.Adam(betas=(0.9,))


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="momentum: expected above 0 for Nesterov, got 0"):
        fl.SGD(nesterov=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_grad_norm(dtype):
    ours = parameters(dtype)
    rng = np.random.default_rng(0)
    for p in ours:
        p.grad[...] = rng.normal(size=p.shape)
    before = [p.grad.copy() for p in ours]
    expected = np.sqrt(sum((g.astype("f8") ** 2).sum() for g in before))
    np.testing.assert_allclose(fl.clip_grad_norm(ours, 100.0), expected, rtol=1e-6)
    for p, g in zip(ours, before, strict=True):
        np.testing.assert_array_equal(p.grad, g)
    np.testing.assert_allclose(fl.clip_grad_norm(ours, 0.5), expected, rtol=1e-6)
    for p, g in zip(ours, before, strict=True):
        np.testing.assert_allclose(p.grad, g * (0.5 / expected), rtol=1e-5)


def test_clip_grad_norm_reports_what_is_not_finite():
    p = parameters("float32", [(2,)])[0]
    p.grad[...] = [np.inf, 1]
    assert fl.clip_grad_norm([p], 1.0) == np.inf
    np.testing.assert_array_equal(p.grad, [np.inf, 1])


def test_every_registered_optimizer_has_an_example():
    assert {name for name, kind in Optimizer.registry.items() if kind.__module__.startswith("fastlstm")} == set(
        EXAMPLES
    )
