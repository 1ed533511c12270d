"""What every registered loss promises, and each one's own formula."""

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm.losses import Loss

LOSSES = list(Loss.registry.values())
SHAPES = [(3, 2), (2, 4, 5), (1, 1, 1), (4, 17), (2, 3, 33)]


def problem(loss, shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    pred = rng.normal(0, 2, shape).astype(dtype)
    if loss.name == "softmax_cross_entropy":
        return pred, rng.integers(0, shape[-1], shape[:-1])
    if loss.name == "sigmoid_cross_entropy":
        return pred, rng.random(shape)
    return pred, rng.normal(0, 2, shape)


def formula(loss, pred, target):
    """Loss of each step, (N,) or (N, T), in plain NumPy."""
    if loss.name == "softmax_cross_entropy":
        log_p = pred - np.log(np.exp(pred).sum(-1, keepdims=True))
        return -np.take_along_axis(log_p, target[..., None], -1)[..., 0]
    d = pred - target
    p = 1 / (1 + np.exp(-pred))
    return {
        "mse": lambda: d**2,
        "mae": lambda: abs(d),
        "huber": lambda: np.where(abs(d) <= 1, d**2 / 2, abs(d) - 0.5),
        "sigmoid_cross_entropy": lambda: -target * np.log(p) - (1 - target) * np.log(1 - p),
    }[loss.name]().mean(-1)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("time", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradient(loss, shape, time, weighted):
    loss = loss.with_options(time=time)
    pred, target = problem(loss, shape)
    weight = np.random.default_rng(1).random(shape[:-1]) if weighted else np.ones(shape[:-1])
    value, dpred = loss(pred, target, weight if weighted else None)
    total = weight.sum() if time == "mean" else len(pred)
    np.testing.assert_allclose(value, (formula(loss, pred, target) * weight).sum() / total, rtol=1e-12, atol=1e-15)
    assert relative_error(lambda: loss(pred, target, weight)[0], pred, dpred) < 1e-7


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_float32_is_close_to_float64(loss):
    pred, target = problem(loss, (5, 7, 33))
    exact, dexact = loss(pred, target)
    value, dpred = loss(pred.astype("float32"), target)
    assert dpred.dtype == np.float32
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    np.testing.assert_allclose(dpred, dexact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_steps_of_weight_zero_are_not_looked_at(loss):
    pred, target = problem(loss, (2, 3, 4))
    weight = np.array([[1.0, 1, 0], [1, 0, 0]])
    value, dpred = loss(pred, target, weight)
    hidden = weight == 0
    pred[hidden] = np.nan
    target[hidden] = 10**6 if target.dtype.kind == "i" else np.nan
    again, dagain = loss(pred, target, weight)
    assert again == value
    np.testing.assert_array_equal(dagain, dpred)
    assert not dpred[hidden].any()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_a_weight_for_each_sequence_counts_for_all_its_steps(loss):
    pred, target = problem(loss, (3, 4, 5))
    assert loss(pred, target, [1, 0, 2])[0] == loss(pred, target, np.repeat([[1], [0], [2]], 4, 1))[0]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite(loss, dtype):
    pred, target = problem(loss, (4, 6), dtype)
    value, dpred = loss(np.sign(pred) * np.asarray(1e4, dtype), target)
    assert np.isfinite(value)
    assert np.isfinite(dpred).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_against_pytorch(loss):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = {
        "mse": torch.nn.functional.mse_loss,
        "mae": torch.nn.functional.l1_loss,
        "huber": torch.nn.functional.huber_loss,
        "softmax_cross_entropy": torch.nn.functional.cross_entropy,
        "sigmoid_cross_entropy": torch.nn.functional.binary_cross_entropy_with_logits,
    }[loss.name]
    pred, target = problem(loss, (5, 7))
    value, dpred = loss(pred, target)
    tensor = torch.tensor(pred, requires_grad=True)
    expected = theirs(tensor, torch.tensor(target))
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(dpred, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_huber_takes_its_delta():
    value, dpred = fl.huber.with_options(delta=2.0)(np.array([[5.0]]), [[0.0]])
    assert value == 2 * (5 - 1)
    assert dpred == [[2.0]]
    assert fl.huber(np.array([[5.0]]), [[0.0]])[0] == 4.5


BAD = [
    (lambda: fl.mse(np.ones((2, 3)), np.ones((2, 4))), r"target: expected shape \(2, 3\), got \(2, 4\)"),
    (lambda: fl.mse(np.ones(3), np.ones(3)), r"pred: expected shape \(N, F\) or \(N, T, F\), got \(3,\)"),
    (lambda: fl.mse(np.ones((2, 1)), [[1.0], [np.nan]]), r"target: expected finite numbers, got nan at \[1, 0\]"),
    (
        lambda: fl.softmax_cross_entropy(np.ones((1, 2, 4)), [[0, 4]]),
        r"target: expected 0 to 3, got 4 at \[0, 1\]",
    ),
    (lambda: fl.softmax_cross_entropy(np.ones((2, 4)), [0, -1]), r"target: expected 0 to 3, got -1 at \[1\]"),
    (lambda: fl.softmax_cross_entropy(np.ones((2, 4)), [[0], [1]]), r"target: expected shape \(2,\), got \(2, 1\)"),
    (lambda: fl.sigmoid_cross_entropy(np.ones((1, 2)), [[0.5, 1.5]]), r"target: expected 0 to 1"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [1, -1]), r"weight: expected no negative numbers, got -1"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [0, 0]), r"weight: expected at least one above 0"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [1, 1, 1]), r"weight: expected shape \(2,\), got \(3,\)"),
    (lambda: fl.mse.with_options(time="median"), r"time: expected 'mean' or 'sum', got 'median'"),
    (lambda: fl.huber.with_options(delta=-1), r"delta: expected at least"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_bad_types_are_named():
    with pytest.raises(TypeError, match="target: expected whole numbers, got dtype float64"):
        fl.softmax_cross_entropy(np.ones((2, 4)), [0.0, 1.0])
    with pytest.raises(TypeError, match="pred: expected float32 or float64, got int64"):
        fl.mse(np.ones((2, 4), int), np.ones((2, 4)))
    with pytest.raises(TypeError, match="mse has no option 'delta'"):
        fl.mse.with_options(delta=1.0)


def test_a_loss_that_is_not_there_is_answered_with_those_that_are():
    from fastlstm import losses

    with pytest.raises(ValueError, match=r"loss: expected one of \['huber', .*\], got 'mes'"):
        losses.get("mes")
    assert losses.get("mse") is fl.mse
