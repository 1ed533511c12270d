"""Connectionist temporal classification: by enumeration of all paths, by differences, and against PyTorch."""

import numpy as np
import pytest
from ctc_cases import probabilities
from gradcheck import relative_error

import fastlstm as fl
from fastlstm._kernels import ctc as kernels
from fastlstm.workspace import Workspace

DTYPES = ["float32", "float64"]


pytestmark = pytest.mark.usefixtures("default_threads")


def ragged(n=4, t=9, c=5, s=3, blank=0, dtype="float64", seed=0):
    """Scores, targets and weights of sequences of different lengths that have room for their labels."""
    rng = np.random.default_rng(seed)
    pred = rng.normal(0, 2, (n, t, c)).astype(dtype)
    steps, count = rng.integers(2 * s, t + 1, n), rng.integers(0, s + 1, n)
    steps[0], count[0] = t, s
    target = rng.choice([k for k in range(c) if k != blank], (n, s))
    target[0, :2] = target[0, 0]
    target[np.arange(s) >= count[:, None]] = -1
    weight = (0.5 + rng.random(n))[:, None] * (np.arange(t) < steps[:, None])
    return pred, target, weight, steps, count


@pytest.mark.parametrize(("t", "c", "blank"), [(1, 2, 0), (1, 3, 2), (4, 2, 1), (4, 3, 0), (5, 3, 1)])
def test_every_labelling_has_the_probability_of_its_paths(isa, t, c, blank):
    loss = fl.ctc.with_options(blank=blank, time="sum")
    scores = np.random.default_rng(0).normal(0, 2, (t, c))
    found = probabilities(scores, blank)
    for labels, probability in found.items():
        value, _ = loss(scores[None], np.array([labels], int).reshape(1, -1))
        np.testing.assert_allclose(value, -np.log(probability), rtol=1e-12, atol=1e-14)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("time", ["mean", "sum"])
def test_gradient(isa, blank, time):
    pred, target, weight, *_ = ragged(blank=blank)
    loss = fl.ctc.with_options(blank=blank, time=time)
    dpred = loss(pred, target, weight)[1]
    assert relative_error(lambda: loss(pred, target, weight)[0], pred, dpred) < 1e-7
    np.testing.assert_allclose(dpred.sum(-1), 0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize(("n", "t", "c", "s"), [(1, 1, 2, 0), (5, 12, 5, 4), (3, 60, 40, 20), (2, 30, 6, 1)])
def test_against_pytorch(n, t, c, s, blank, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    blank = min(blank, c - 1)
    pred, target, weight, steps, count = ragged(n, t, c, s, blank, dtype) if s else one_blank(dtype)
    tensor = torch.tensor(pred, requires_grad=True)
    theirs = torch.nn.functional.ctc_loss(
        tensor.log_softmax(-1).transpose(0, 1),
        torch.tensor(np.where(target < 0, 0, target)),
        torch.tensor(steps),
        torch.tensor(count),
        blank=blank,
        reduction="none",
    )
    for time, of_one in (("mean", np.maximum(count, 1)), ("sum", np.ones(n))):
        tensor.grad = None
        of_all = weight[:, 0].sum() if time == "mean" else n
        expected = (theirs * torch.tensor(weight[:, 0] / of_one / of_all)).sum()
        expected.backward(retain_graph=True)
        value, dpred = fl.ctc.with_options(blank=blank, time=time)(pred, target, weight)
        assert dpred.dtype == dtype
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(value, expected.item(), rtol=tolerance)
        np.testing.assert_allclose(dpred, tensor.grad.numpy(), rtol=10 * tolerance, atol=tolerance)


def one_blank(dtype):
    pred = np.array([[[0.5, -1.0]]], dtype)
    return pred, np.zeros((1, 0), int), np.ones((1, 1)), np.array([1]), np.array([0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads_and_whatever_the_workspace_held(isa, dtype):
    pred, target, weight, *_ = ragged(13, 40, 7, 9, dtype=dtype)
    expected = fl.ctc(pred, target, weight)
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        workspace = Workspace()
        for shorter in (slice(0, 7), slice(None)):
            fl.ctc(pred[shorter], target[shorter], weight[shorter], workspace)
            for name in ("dpred", "losses", "ctc"):
                workspace._buffers[name].fill(np.nan)
            value, dpred = fl.ctc(pred[shorter], target[shorter], weight[shorter], workspace)
        assert value == expected[0]
        np.testing.assert_array_equal(dpred, expected[1])


def test_nothing_is_allocated_for_a_shape_that_was_there():
    pred, target, weight, *_ = ragged()
    workspace = Workspace()
    first = fl.ctc(pred, target, weight, workspace)[1]
    buffers = {name: id(array) for name, array in workspace._buffers.items()}
    assert fl.ctc(pred, target, weight, workspace)[1] is first
    assert {name: id(array) for name, array in workspace._buffers.items()} == buffers


def test_what_is_beyond_a_sequence_or_of_weight_zero_is_not_looked_at():
    pred, target, weight, *_ = ragged()
    weight[2] = 0
    value, dpred = fl.ctc(pred, target, weight)
    assert not dpred[weight == 0].any()
    pred[weight == 0] = np.nan
    target[2] = 10**6
    again, dagain = fl.ctc(pred, target, weight)
    assert again == value
    np.testing.assert_array_equal(dagain, dpred)


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i4", "uint64"])
def test_labels_may_lie_in_any_order_and_be_of_any_whole_numbers(dtype):
    pred, target, *_ = ragged()
    target = np.abs(target)  # unsigned numbers have no -1
    expected = fl.ctc(pred, target)
    value, dpred = fl.ctc(pred, np.asfortranarray(target.astype(dtype)))
    assert value == expected[0]
    np.testing.assert_array_equal(dpred, expected[1])


def test_a_step_of_weight_zero_between_others_is_a_step():
    pred, target = np.random.default_rng(0).normal(size=(1, 5, 3)), [[1, 2]]
    assert fl.ctc(pred, target, [[2.0, 0, 1, 0, 0]])[0] == fl.ctc(pred[:, :3], target)[0]


def test_mean_is_per_label_and_over_the_weights_sum_over_the_sequences():
    pred, target, weight, _, count = ragged()
    each = np.array([fl.ctc.with_options(time="sum")(pred[k : k + 1], target[k : k + 1], weight[k : k + 1] > 0)[0]
                     for k in range(4)])  # fmt: skip
    w = weight[:, 0]
    np.testing.assert_allclose(fl.ctc(pred, target, weight)[0], (w * each / np.maximum(count, 1)).sum() / w.sum())
    np.testing.assert_allclose(fl.ctc.with_options(time="sum")(pred, target, weight)[0], (w * each).sum() / 4)


def test_too_few_steps_are_an_error_or_count_as_nothing():
    pred, target = np.zeros((2, 3, 4)), [[1, 2, -1], [2, 2, 1]]
    message = (
        r"target: expected labels that fit into their sequence, got 3, which want 4 steps, for the 3 of sequence 1"
    )
    with pytest.raises(ValueError, match=message):
        fl.ctc(pred, target)
    value, dpred = fl.ctc.with_options(zero_infinity=True)(pred, target)
    np.testing.assert_allclose(value, fl.ctc(pred[:1], target[:1])[0] / 2)
    assert not dpred[1].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_scores_stay_finite_and_precise(isa, dtype):
    """Scores that are wrong with confidence, for many steps: their probability is far below the smallest number."""
    pred = np.zeros((1, 300, 3), dtype)
    pred[..., 0] = 1e4
    value, dpred = fl.ctc.with_options(time="sum")(pred, [[1] * 150])
    ways = 151  # places for the one blank more than there must be
    np.testing.assert_allclose(value, 150 * 1e4 - np.log(ways), rtol=1e-9)
    assert np.isfinite(dpred).all()
    np.testing.assert_allclose(dpred.sum(), 0, atol=1e-3)


def test_scores_that_are_no_number_show(isa):
    for bad in (np.nan, np.inf):
        pred = np.zeros((2, 5, 4), "f4")
        pred[1, 3, 3] = bad
        assert np.isnan(fl.ctc(pred, [[1], [2]])[0])
    pred = np.zeros((1, 2, 3))
    pred[..., 2] = -np.inf  # a class that never comes
    np.testing.assert_allclose(fl.ctc.with_options(time="sum")(pred, [[1]])[0], -np.log(3 / 4))
    assert fl.ctc(pred, [[2]])[0] == np.inf
    assert fl.ctc.with_options(zero_infinity=True)(pred, [[2]])[0] == 0


BAD = [
    (lambda: fl.ctc(np.ones((2, 3)), [[1], [1]]), r"ctc: expected scores at every step of sequences, .*got \(2, 3\)"),
    (lambda: fl.ctc(np.ones((2, 3, 4)), [1, 2]), r"target: expected shape \(2, S\), labels, got \(2,\)"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), [[4]]), r"target: expected 0 to 3 but the blank 0.*got 4 at \[0, 0\]"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), [[1, 0]]), r"target: expected 0 to 3 but the blank 0.*got 0 at \[0, 1\]"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), [[1, -2]]), r"target: .*got -2 at \[0, 1\]"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), [[-1, 2]]), r"target: expected -1 alone after a -1, got 2 at \[0, 1\]"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), np.array([[2**64 - 1]], np.uint64)), rf"target: .*got {2**64 - 1} at"),
    (lambda: fl.ctc(np.ones((1, 3, 4)), np.array([[2**63]], np.uint64)), rf"target: .*got {2**63} at"),
    (lambda: fl.ctc(np.ones((1, 2, 4)), [[1]], [[0.0, 1]]), r"weight: expected at least one sequence whose first step"),
    (lambda: fl.ctc.with_options(blank=4)(np.ones((1, 3, 4)), [[1]]), r"blank: expected 0 to 3, the classes, got 4"),
    (lambda: fl.ctc.with_options(blank=-1), r"blank: expected at least 0, got -1"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_bad_types_are_named():
    with pytest.raises(TypeError, match="target: expected whole numbers, got dtype float64"):
        fl.ctc(np.ones((1, 3, 4)), [[1.0]])
    with pytest.raises(TypeError, match="blank: expected a whole number, got 0.5"):
        fl.ctc.with_options(blank=0.5)
    with pytest.raises(TypeError, match="zero_infinity: expected True or False, got 1"):
        fl.ctc.with_options(zero_infinity=1)


def kernel(**changes):
    a = {
        "pred": np.zeros((2, 3, 4)),
        "target": np.ones((2, 1), np.intp),
        "weight": np.ones((2, 3)),
        "dpred": np.zeros((2, 3, 4)),
        "losses": np.zeros(2),
        "room": np.zeros(kernels.room(2, 3, 1)),
    }
    return kernels.ctc(*{**a, **changes}.values(), 1.0, False, 0, False)


def test_the_kernel_refuses_what_does_not_fit():
    assert np.isfinite(kernel())
    for name, shape in {
        "pred": (2, 3, 5), "target": (1, 1), "weight": (2, 4), "dpred": (2, 2, 4), "losses": (3,), "room": (1, 20)
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match="ctc: sizes do not agree"):
            kernel(**{name: np.ones(shape, np.intp if name == "target" else float)})
    with pytest.raises(ValueError, match="target 4 in row 1 is outside 0 to 3"):
        kernel(target=np.array([[1], [4]]))
    assert np.isfinite(kernel(target=np.array([[1], [4]]), weight=np.array([[1.0] * 3, [0.0] * 3])))


def problem(n=24, t=12, seed=0):
    """Sequences that show a class in one to three steps each, with pauses: what came, in its order."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 0.1, (n, t, 3)), np.full((n, t), -1)
    lengths = rng.integers(8, t + 1, n)
    for k in range(n):
        at = 0
        for place in range(2):
            y[k, place] = rng.integers(1, 4)
            at += rng.integers(1, 3)
            x[k, at : at + 2, y[k, place] - 1] += 1
            at += 2
    return x, y, lengths


def test_a_trainer_learns_with_it_and_its_means_over_batches_are_exact():
    x, y, lengths = problem()
    for time in ("mean", "sum"):
        loss = fl.ctc.with_options(time=time)
        model = fl.Model([fl.LSTM(3, 16), fl.Dense(16, 4)], seed=0, dtype="float64")
        trainer = fl.Trainer(model, loss, fl.Adam(0.03))
        y2 = y[:, :2]
        whole = trainer.evaluate(x, y2, lengths=lengths, batch_size=24)["loss"]
        assert trainer.evaluate(x, y2, lengths=lengths, batch_size=5)["loss"] == pytest.approx(whole, rel=1e-12)
        weight = np.arange(12) < lengths[:, None]
        assert loss(model.predict(x, lengths=lengths), y2, weight)[0] == pytest.approx(whole, rel=1e-12)
        history = trainer.fit(x, y2, lengths=lengths, bucket=True, epochs=30, batch_size=8, seed=0)
        assert history["loss"][-1] < 0.2 * history["loss"][0]
