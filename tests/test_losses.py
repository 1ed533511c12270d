"""What every registered loss promises, and each one's own formula."""

import numpy as np
import pytest
from gradcheck import relative_error
from loss_cases import STEPWISE, formula, problem
from scipy import stats

import fastlstm as fl
from fastlstm.losses import Loss, gaussian_parameters, quantiles, student_t_parameters

LOSSES = list(Loss.registry.values())
SHAPES = [(3, 2), (2, 4, 5), (1, 1, 1), (4, 17), (2, 3, 33)]


@pytest.mark.parametrize("loss", STEPWISE, ids=lambda loss: loss.name)
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
    if loss._per_step_target:
        target[hidden] = 10**6 if target.dtype.kind == "i" else np.nan
    again, dagain = loss(pred, target, weight)
    assert again == value
    np.testing.assert_array_equal(dagain, dpred)
    assert not dpred[hidden].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_smallest_weight_that_counts_is_the_smallest_normal_number(dtype):
    pred, target = problem(fl.mse, (2, 4), dtype)
    tiny = np.finfo(dtype).tiny
    value, dpred = fl.mse(pred, target, np.array([tiny, np.nextafter(tiny, 0)], dtype))
    np.testing.assert_allclose(value, fl.mse(pred[:1], target[:1])[0], rtol=1e-6)
    assert dpred[0].all()
    assert not dpred[1].any()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_a_weight_for_each_sequence_counts_for_all_its_steps(loss):
    pred, target = problem(loss, (3, 4, 5))
    assert loss(pred, target, [1, 0, 2])[0] == loss(pred, target, np.repeat([[1], [0], [2]], 4, 1))[0]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_may_lie_across_the_bounds_of_their_numbers(loss, dtype):
    pred, target = problem(loss, (3, 4, 5), dtype)
    weight = np.ones((3, 4), dtype)
    expected = loss(pred, target, weight)
    value, dpred = loss(*map(misaligned, (pred, target, weight)))
    assert value == expected[0]
    np.testing.assert_array_equal(dpred, expected[1])


def misaligned(array):
    """The same numbers in one record, a byte after its beginning."""
    found = np.zeros((), [("byte", "u1"), ("numbers", array.dtype, array.shape)])["numbers"]
    found[...] = array
    assert not found.flags.aligned
    return found


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite(loss, dtype):
    pred, target = problem(loss, (4, 6), dtype)
    value, dpred = loss(np.sign(pred) * np.asarray(1e4, dtype), target)
    assert np.isfinite(value)
    assert np.isfinite(dpred).all()


@pytest.mark.parametrize("loss", STEPWISE, ids=lambda loss: loss.name)
def test_against_pytorch(loss):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    of = torch.nn.functional

    def focal(x, t):
        entropy = of.cross_entropy(x, t, reduction="none")
        return ((1 - torch.exp(-entropy)) ** 2 * entropy).mean()

    def quantile(x, t):
        levels, over = torch.tensor([0.1, 0.5, 0.9], dtype=x.dtype), t[..., None] - x.unflatten(-1, (-1, 3))
        return torch.maximum(levels * over, (levels - 1) * over).mean()

    def gaussian(x, t):
        mean, raw = x.unflatten(-1, (-1, 2)).unbind(-1)
        return of.gaussian_nll_loss(mean, t, (of.softplus(raw) + 1e-4) ** 2, full=True)

    def student_t(x, t):
        mean, raw, degrees = x.unflatten(-1, (-1, 3)).unbind(-1)
        return -torch.distributions.StudentT(of.softplus(degrees) + 2, mean, of.softplus(raw) + 1e-4).log_prob(t).mean()

    theirs = {
        "mse": of.mse_loss,
        "mae": of.l1_loss,
        "huber": of.huber_loss,
        "softmax_cross_entropy": of.cross_entropy,
        "sigmoid_cross_entropy": of.binary_cross_entropy_with_logits,
        "focal": focal,
        "quantile": quantile,
        "gaussian_nll": gaussian,
        "student_t_nll": student_t,
    }[loss.name]
    pred, target = problem(loss, (5, 7))
    value, dpred = loss(pred, target)
    tensor = torch.tensor(pred, requires_grad=True)
    expected = theirs(tensor, torch.tensor(target))
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(dpred, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_focal_takes_its_gamma(gamma):
    loss = fl.focal.with_options(gamma=gamma)
    pred, target = problem(loss, (4, 5))
    value, dpred = loss(pred, target)
    np.testing.assert_allclose(value, formula(loss, pred, target).mean(), rtol=1e-12)
    assert relative_error(lambda: loss(pred, target)[0], pred, dpred) < 1e-7
    if gamma == 0:
        assert value == fl.softmax_cross_entropy(pred, target)[0]


def test_focal_of_a_class_that_is_certain_or_cannot_be():
    pred = np.array([[800.0, 0.0]])
    assert fl.focal(pred, [0])[0] == 0
    assert fl.focal(pred, [1])[0] == 800
    np.testing.assert_array_equal(fl.focal(pred, [1])[1], [[1, -1]])
    value, dpred = fl.focal(np.array([[0.0, -np.inf]]), [1])
    assert value == np.inf
    np.testing.assert_array_equal(dpred, [[1, -1]])


@pytest.mark.parametrize("levels", [(0.5,), (0.9, 0.1), (0.05, 0.25, 0.5, 0.75, 0.95)])
def test_quantile_takes_its_levels(levels):
    loss = fl.quantile.with_options(levels=levels)
    pred, target = problem(loss, (3, 4))
    assert pred.shape == (3, 4 * len(levels))
    value, dpred = loss(pred, target)
    np.testing.assert_allclose(value, formula(loss, pred, target).mean(), rtol=1e-12)
    assert relative_error(lambda: loss(pred, target)[0], pred, dpred) < 1e-7


def test_what_has_the_least_loss_of_a_level_is_the_quantile():
    target = np.random.default_rng(0).normal(size=(999, 1))
    for level in (0.1, 0.5, 0.8):
        loss = fl.quantile.with_options(levels=[level])
        guesses = np.sort(target[:, 0])
        values = [loss(np.full((999, 1), guess), target)[0] for guess in guesses]
        np.testing.assert_allclose(guesses[np.argmin(values)], np.quantile(target, level), atol=0.01)


def test_outputs_become_parameters():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(6, 2))
    pred = rng.normal(size=(6, 4)).astype("f4")
    mean, std = gaussian_parameters(pred)
    assert mean.dtype == std.dtype == np.float32
    expected = -stats.norm.logpdf(target, mean.astype("f8"), std.astype("f8")).mean()
    np.testing.assert_allclose(fl.gaussian_nll(pred.astype("f8"), target)[0], expected, rtol=1e-5)
    pred = rng.normal(size=(6, 6))
    mean, scale, degrees = student_t_parameters(pred)
    assert (degrees > 2).all()
    expected = -stats.t.logpdf(target, degrees, mean, scale).mean()
    np.testing.assert_allclose(fl.student_t_nll(pred, target)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(quantiles([[3, 2, 1, 4, 5, 6]], (0.9, 0.5, 0.1)), [[[3, 2, 1], [6, 5, 4]]])


def test_a_density_learns_how_sure_it_may_be():
    """The spread of the target doubles with a feature; the model finds both."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (256, 3, 1)).astype(float)
    y = (1 + x[:, -1]) * rng.normal(size=(256, 1))
    model = fl.Model([fl.Last(), fl.Dense(1, 2)], seed=0)
    fl.Trainer(model, fl.gaussian_nll, fl.Adam(0.05)).fit(x, y, epochs=40, seed=0)
    mean, std = gaussian_parameters(model.predict(np.array([[[0.0]], [[1.0]]])))
    np.testing.assert_allclose(mean, 0, atol=0.3)
    np.testing.assert_allclose(std[:, 0], [1, 2], rtol=0.2)


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
    (lambda: fl.softmax_cross_entropy(np.ones((2, 4)), [[0, 1]] * 2), r"target: expected shape \(2,\), got \(2, 2\)"),
    (lambda: fl.sigmoid_cross_entropy(np.ones((1, 2)), [[0.5, 1.5]]), r"target: expected 0 to 1"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [1, -1]), r"weight: expected no negative numbers, got -1"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [0, 0]), r"weight: expected at least one above 0"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [1e-309, 0]), r"weight: expected at least one above 0"),
    (lambda: fl.mse(np.ones((2, 1), "f4"), np.ones((2, 1)), [1e-38, 0]), r"weight: expected at least one above 0"),
    (lambda: fl.mse(np.ones((2, 1)), np.ones((2, 1)), [1, 1, 1]), r"weight: expected shape \(2,\), got \(3,\)"),
    (lambda: fl.mse.with_options(time="median"), r"time: expected 'mean' or 'sum', got 'median'"),
    (lambda: fl.huber.with_options(delta=-1), r"delta: expected at least"),
    (lambda: fl.focal.with_options(gamma=-1), r"gamma: expected at least 0, got -1"),
    (lambda: fl.focal(np.ones((2, 4)), [0, 4]), r"target: expected 0 to 3, got 4 at \[1\]"),
    (lambda: fl.quantile.with_options(levels=()), r"levels: expected different numbers above 0 and below 1, got \(\)"),
    (lambda: fl.quantile.with_options(levels=(0.5, 0.5)), r"levels: expected different numbers"),
    (lambda: fl.quantile.with_options(levels=(0.5, 1.5)), r"levels: expected at least 0 and at most 1, got 1.5"),
    (lambda: fl.quantile(np.ones((2, 4)), np.ones((2, 1))), r"quantile: expected 3 outputs for each .*, got 4 in all"),
    (lambda: fl.gaussian_nll(np.ones((2, 4)), np.ones((2, 1))), r"target: expected shape \(2, 2\), got \(2, 1\)"),
    (lambda: gaussian_parameters(np.ones((2, 3))), r"pred: expected shape \(..., 2F\), 2 outputs .* got \(2, 3\)"),
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

    with pytest.raises(ValueError, match=r"loss: expected one of \['ctc', .*\], got 'mes'"):
        losses.get("mes")
    assert losses.get("mse") is fl.mse
