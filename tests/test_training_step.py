"""A step of training but for the LSTM: the same bits for any number of threads, and nothing is allocated."""

import copy
import tracemalloc

import numpy as np
import pytest
from loss_cases import problem

import fastlstm as fl
from fastlstm import optim
from fastlstm._kernels import blas, cpu, rows
from fastlstm.losses import Loss
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

DTYPES = ["float32", "float64"]
FIRST = [fl.mse, fl.mae, fl.huber, fl.softmax_cross_entropy, fl.sigmoid_cross_entropy]


pytestmark = pytest.mark.usefixtures("default_threads")


def each_number_of_threads(act):
    """What act returns, a list of arrays, is the same to the last bit on one, two and three threads."""
    found = []
    for count in (1, 2, 3):
        fl.set_num_threads(count)
        found.append([np.array(part) for part in act()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    return found[0]


def tolerance(dtype):
    return 1e-5 if dtype == "float32" else 1e-12


def parameters(dtype, shapes):
    rng = np.random.default_rng(0)
    made = [Parameter(str(i), shape, lambda rng, shape: rng.normal(size=shape)) for i, shape in enumerate(shapes)]
    for parameter in made:
        parameter._initialize(rng, np.dtype(dtype))
        parameter.grad[...] = rng.normal(size=parameter.shape)
    return made


RULES = {
    "sgd": lambda: fl.SGD(0.1, weight_decay=0.1),
    "momentum": lambda: fl.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda: fl.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: fl.RMSprop(0.1),
    "adam": lambda: fl.AdamW(0.1, weight_decay=0.1),
}
SHAPES = [(1,), (3,), (17, 5), (33, 7), (1 << 14,), (101, 1003)]


def in_numpy(name, value, grad, steps):
    """So many steps with one gradient, in double."""
    v, m, s = value.astype("f8"), 0.0, 0.0
    for k in range(1, steps + 1):
        g = grad.astype("f8")
        if name == "sgd":
            v -= 0.1 * (g + 0.1 * v)
        elif name in ("momentum", "nesterov"):
            g = g + (0.1 * v if name == "momentum" else 0)
            m = 0.9 * m + g
            v -= 0.1 * (m if name == "momentum" else g + 0.9 * m)
        elif name == "rmsprop":
            s = 0.9 * s + 0.1 * g**2
            v -= 0.1 * g / (np.sqrt(s) + 1e-8)
        else:
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
            v = v * (1 - 0.01) - 0.1 * m / (1 - 0.9**k) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
    return v


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_steps_against_numpy(isa, name, dtype):
    """With gradients that are scaled on the way."""

    def act():
        ours, optimizer = parameters(dtype, SHAPES), RULES[name]()
        for _ in range(3):
            optimizer.step(ours, 0.25)
        for p, start in zip(ours, parameters(dtype, SHAPES), strict=True):
            np.testing.assert_array_equal(p.grad, start.grad)
        return [p.value for p in ours]

    for value, start in zip(each_number_of_threads(act), parameters(dtype, SHAPES), strict=True):
        expected = in_numpy(name, start.value, 0.25 * start.grad, 3)
        np.testing.assert_allclose(value, expected, rtol=10 * tolerance(dtype), atol=10 * tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_norm(isa, dtype):
    ours = parameters(dtype, SHAPES)
    expected = np.sqrt(sum((p.grad.astype("f8") ** 2).sum() for p in ours))
    (norm,) = each_number_of_threads(lambda: [optim.grad_norm(ours)])
    np.testing.assert_allclose(norm, expected, rtol=1e-12)
    assert optim.grad_norm([]) == 0


def test_the_norm_of_two_dtypes():
    ours = [*parameters("float32", SHAPES), *parameters("float64", [(5,)])]
    expected = np.hypot(optim.grad_norm(ours[:-1]), optim.grad_norm(ours[-1:]))
    np.testing.assert_allclose(fl.clip_grad_norm(ours, 1.0), expected, rtol=1e-12)
    np.testing.assert_allclose(optim.grad_norm(ours), 1, rtol=1e-6)


class Plain(optim.Optimizer):
    slots = ("seen",)

    def update(self, value, grad, slots):
        value -= self.lr * grad
        slots["seen"] += grad


class Louder(fl.SGD):
    def update(self, value, grad, slots):
        super().update(value, 2 * grad, slots)


def test_an_update_of_ones_own_is_given_scaled_gradients():
    for optimizer, factor in ((Plain(0.5), 0.5), (Louder(0.5), 1.0)):
        p = parameters("float64", [(3, 2)])[0]
        value, grad = p.value.copy(), p.grad.copy()
        optimizer.step([p], 0.1)
        np.testing.assert_allclose(p.value, value - factor * 0.1 * grad, rtol=1e-14)
    for kind in (Plain, Louder):
        del optim.Optimizer.registry[kind.__name__]


def test_new_arrays_are_noticed():
    """Of a value, a gradient or a slot, between two steps."""
    p = parameters("float64", [(4,)])[0]
    optimizer = fl.Adam(0.1)
    optimizer.step([p])
    p.assign(np.ones(4), np.dtype("float64"))
    p.grad = np.full(4, 2.0)
    optimizer.state[0]["mean"] = np.zeros(4)
    optimizer.state[0]["square"] = np.zeros(4)
    optimizer.steps = 0
    optimizer.step([p])
    np.testing.assert_allclose(p.value, 0.9, rtol=1e-7)
    np.testing.assert_allclose(optimizer.state[0]["mean"], 0.2)


def test_an_optimizer_can_be_copied_with_its_parameters():
    p = parameters("float64", [(4,)])[0]
    optimizer = fl.Adam(0.1)
    optimizer.step([p])
    other, q = copy.deepcopy((optimizer, p))
    optimizer.step([p])
    other.step([q])
    np.testing.assert_array_equal(p.value, q.value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (33, 33), (7000, 1), (60, 11, 37), (5, 70000)], ids=str)
@pytest.mark.parametrize("loss", FIRST, ids=lambda loss: loss.name)
def test_losses_on_every_instruction_set(isa, loss, shape, dtype):
    rng = np.random.default_rng(0)
    pred, weight = rng.normal(0, 3, shape), rng.random(shape[:-1])
    target = rng.integers(0, shape[-1], shape[:-1]) if loss.name.startswith("softmax") else rng.random(shape)
    pred.flat[::7] *= 30
    weight.flat[1::3] = 0

    def act():
        return loss(pred.astype(dtype), target.astype("f4") if target.dtype == "f8" else target, weight.astype("f4"))

    value, dpred = each_number_of_threads(act)
    x, w = pred.astype(dtype).astype("f8"), weight.astype("f4").astype("f8")
    t = target.astype("f4").astype("f8")
    if loss.name.startswith("softmax"):
        e = np.exp(x - x.max(-1, keepdims=True))
        p = e / e.sum(-1, keepdims=True)
        hot = np.arange(shape[-1]) == target[..., None]
        each, slope = -np.log(np.maximum((p * hot).sum(-1), 1e-300)), p - hot
    else:
        d, s, f = x - t, 1 / (1 + np.exp(-x)), shape[-1]
        every, slope = {
            "mse": lambda: (d**2, 2 * d),
            "mae": lambda: (abs(d), np.sign(d)),
            "huber": lambda: (np.where(abs(d) < 1, d * d / 2, abs(d) - 0.5), np.clip(d, -1, 1)),
            "sigmoid_cross_entropy": lambda: (np.logaddexp(0, x) - x * t, s - t),
        }[loss.name]()
        each, slope = every.mean(-1), slope / f
    np.testing.assert_allclose(value, (w * each).sum() / w.sum(), rtol=2 * tolerance(dtype))
    np.testing.assert_allclose(dpred, w[..., None] * slope / w.sum(), rtol=20 * tolerance(dtype), atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 2), (3, 17), (700, 5), (60, 11, 37)], ids=str)
@pytest.mark.parametrize("loss", [loss for loss in Loss.registry.values() if loss not in FIRST], ids=lambda x: x.name)
def test_further_losses_on_every_instruction_set(isa, loss, shape, dtype):
    """As on none, and the same bits for any number of threads."""
    pred, target = problem(loss, shape, "float32")
    pred.flat[::7] *= 30
    weight = np.random.default_rng(1).random(pred.shape[:-1]).astype("f4")
    weight.flat[1::3] = 0
    value, dpred = each_number_of_threads(lambda: loss(pred.astype(dtype), target, weight))
    cpu.choose("plain")
    true, dtrue = loss(pred.astype("f8"), target, weight)
    np.testing.assert_allclose(value, true, rtol=2 * tolerance(dtype))
    np.testing.assert_allclose(dpred, dtrue, rtol=20 * tolerance(dtype), atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropies_keep_their_relative_precision(isa, dtype):
    """Far from the target's side of zero the loss of a good score is exp(-score), not 0."""
    pred = np.array([[1.0], [5.0], [12.0], [30.0], [80.0]], dtype)
    for row in pred:
        value, _ = fl.sigmoid_cross_entropy(row[None], np.ones((1, 1)))
        np.testing.assert_allclose(value, np.log1p(np.exp(-row[0].astype("f8"))), rtol=4 * np.finfo(dtype).eps)


def test_masked_scores_and_those_that_are_no_number(isa):
    """Scores of minus infinity are never chosen, though they fill whole chunks; a NaN or an infinity shows."""
    pred = np.full((1, 5000), -np.inf, "f4")
    pred[0, 3000:3003] = 1
    value, dpred = fl.softmax_cross_entropy(pred, [3001])
    np.testing.assert_allclose(value, np.log(3), rtol=1e-6)
    np.testing.assert_allclose(dpred[0, 3000:3003], [1 / 3, -2 / 3, 1 / 3], rtol=1e-6)
    assert np.count_nonzero(dpred) == 3
    for bad in (np.nan, np.inf):
        for loss in Loss.registry.values():
            wrong, target = problem(loss, (2, 40), "f4")
            wrong.flat[-7] = bad
            assert not np.isfinite(loss(wrong, target)[0])


def test_the_gradient_lies_in_the_workspace_if_there_is_one():
    workspace = Workspace()
    pred, target = np.ones((3, 2)), np.zeros((3, 2))
    first = fl.mse(pred, target, None, workspace)[1]
    assert fl.mse(pred, target, [1, 2, 3], workspace)[1] is first
    assert fl.mse(pred, target)[1] is not first


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 3, 17), (33, 17, 3), (17, 1, 33), (3, 33, 1), (200, 40, 1001), (2, 5, 64)]
)
def test_dense_against_numpy(isa, m, k, n, dtype):
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (n, k), (n,), (m, n)))
    exact = [part.astype("f8") for part in (x, w, b, dy)]
    expected = (exact[0] @ exact[1].T + exact[2], exact[3].T @ exact[0], exact[3].sum(0), exact[3] @ exact[1])

    def act(start, add):
        y, dx = np.full((m, n), np.nan, dtype), np.full((m, k), np.nan, dtype)
        dw, db = np.full((n, k), start, dtype), np.full(n, start, dtype)
        blas.affine(x, w, b, y)
        blas.affine_backward(dy, x, w, dw, db, dx, add, add)
        return y, dw, db, dx

    for start, add in ((np.nan, False), (1.0, True)):
        found = each_number_of_threads(lambda start=start, add=add: act(start, add))
        for part, (mine, true) in enumerate(zip(found, expected, strict=True)):
            true = true + (part in (1, 2) and add)
            np.testing.assert_allclose(mine, true, rtol=20 * tolerance(dtype), atol=20 * tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("count", "width", "tokens"), [(1, 1, 1), (17, 3, 5), (33, 17, 4), (3000, 33, 1000), (6000, 64, 50)]
)
def test_embedding_rows(isa, count, width, tokens, dtype):
    rng = np.random.default_rng(0)
    table, source = rng.normal(size=(tokens, width)).astype(dtype), rng.normal(size=(count, width)).astype(dtype)
    index = rng.integers(0, tokens, count)

    def act():
        out, added, written = np.empty((count, width), dtype), np.ones_like(table), np.full_like(table, np.nan)
        rows.gather(table, index, out)
        rows.scatter_add(source, index, added)
        rows.scatter_add(source, index, written, add=False)
        return out, added, written

    out, added, written = each_number_of_threads(act)
    expected = np.zeros_like(table)
    np.add.at(expected, index, source)
    np.testing.assert_array_equal(out, table[index])
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_allclose(added, 1 + expected, rtol=100 * tolerance(dtype), atol=tolerance(dtype))


def test_a_step_allocates_nothing(isa):
    """Forward, loss, backward, norm and update: the arrays of the first steps serve all later ones."""
    model = fl.Model([fl.Embedding(500, 64), fl.Dropout(0.2), fl.Dense(64, 500)], seed=0)
    parameters, tape, workspace = model.parameters(), model.tape(0), Workspace()
    optimizer, loss = fl.Adam(), fl.softmax_cross_entropy
    x = np.random.default_rng(0).integers(0, 500, (20, 30))
    y, weights = loss._as_target(x, (20, 30, 500), np.ones((20, 30), bool), model.dtype), np.ones((20, 30), "f4")

    def step():
        pred = model._pass_forward(x, tape, training=True, lengths=None)
        value, dpred = loss._prepared(pred, y, weights, workspace)
        model.zero_grad()
        model.backward(dpred, tape, input_gradient=False)
        norm = optim.grad_norm(parameters)
        optimizer.step(parameters, min(1.0, 0.1 / norm))
        return value

    first = [step() for _ in range(3)][0]
    tracemalloc.start()
    try:
        for _ in range(30):
            last = step()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10000  # the smallest of the arrays has 2,000 bytes, the next 128,000
    assert last < first
