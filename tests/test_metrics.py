"""Metrics: beside scikit-learn where it has them, whatever the batches, with masks, and kept in a checkpoint."""

import math
import sys

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import metrics
from fastlstm.metrics import METRICS, Accumulator

sk = pytest.importorskip("sklearn.metrics")

rng = np.random.default_rng(0)
N, T, C = 12, 5, 3
SCORES = rng.normal(size=(N, T, C))
LABELS = rng.integers(0, C, (N, T))
NUMBERS = rng.normal(size=(N, T, C))
WEIGHTS = rng.integers(0, 4, (N, T)).astype(float)
FLAT = SCORES.reshape(-1, C), LABELS.reshape(-1), WEIGHTS.reshape(-1)


def softmax(scores):
    powers = np.exp(scores)
    return powers / powers.sum(-1, keepdims=True)


def targets_of(name):
    return NUMBERS if name in ("mae", "mse", "rmse", "smape", "mase") else LABELS


def example(name):
    """Predictions, targets and weights that a metric takes."""
    pred = SCORES[..., :2] if name == "f1_binary" else SCORES
    return pred, np.minimum(targets_of(name), 1) if name == "f1_binary" else targets_of(name), WEIGHTS


EVERY = [*sorted(METRICS), "top_2"]


@pytest.mark.parametrize("name", EVERY)
def test_the_value_does_not_depend_on_the_batches(name):
    pred, target, weights = example(name)
    whole, parts = Accumulator([name]), Accumulator([name])
    whole.add(pred, target, weights)
    for part in (slice(0, 1), slice(1, 7), slice(7, 12)):
        parts.add(pred[part], target[part], weights[part])
    assert parts.means() == pytest.approx(whole.means(), rel=1e-12)
    assert metrics.get(name)[1](pred, target, weights) == pytest.approx(whole.means()[name], rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_what_stands_in_masked_steps_is_not_looked_at(name):
    pred, target, weights = example(name)
    other = pred.copy(), target.copy()
    other[0][weights == 0], other[1][weights == 0] = np.nan, -1
    expected = metrics.get(name)[1](pred, target, weights)
    assert metrics.get(name)[1](*other, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_a_weight_of_two_is_as_good_as_two_sequences(name):
    pred, target, _ = example(name)
    twice = np.append(np.arange(N), 0)
    weights = np.where(np.arange(N) == 0, 2, 1)
    metric = metrics.get(name)[1]
    assert metric(pred, target, weights) == pytest.approx(metric(pred[twice], target[twice]), rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_half_of_a_training_epoch_is_kept_and_restored(name):
    pred, target, weights = example(name)
    straight, first, second = (Accumulator([name], figures=["loss"]) for _ in range(3))
    for part in (slice(0, 4), slice(4, 12)):
        straight.add(pred[part], target[part], weights[part])
        straight.count("loss", 3.0, 2.0)
    first.add(pred[:4], target[:4], weights[:4])
    first.count("loss", 3.0, 2.0)
    kept = first.state()
    assert all(isinstance(value, np.ndarray) for value in kept.values())
    first.add(pred[:4], target[:4], weights[:4])  # what comes after does not change what was kept
    second.restore(kept)
    second.add(pred[4:], target[4:], weights[4:])
    second.count("loss", 3.0, 2.0)
    assert second.means() == straight.means()


@pytest.mark.parametrize("name", EVERY)
def test_nothing_counted_gives_nan_also_after_a_restore(name):
    empty, again = Accumulator([name]), Accumulator([name])
    empty.add(*example(name)[:2], np.zeros((N, T)))
    again.restore(empty.state())
    assert math.isnan(empty.means()[name]) and math.isnan(again.means()[name])


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_f1_of_classes_is_that_of_scikit_learn(average):
    scores, labels, weights = FLAT
    expected = sk.f1_score(labels, scores.argmax(-1), average=average, sample_weight=weights)
    assert metrics.f1(average)(SCORES, LABELS, WEIGHTS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_f1_of_labels_is_that_of_scikit_learn(average):
    truth = (NUMBERS > 0).reshape(-1, C)
    expected = sk.f1_score(truth, FLAT[0] > 0, average=average, sample_weight=FLAT[2])
    assert metrics.f1(average)(SCORES, NUMBERS > 0, WEIGHTS) == pytest.approx(expected, rel=1e-12)


def test_binary_f1_is_that_of_scikit_learn():
    scores, labels, weights = FLAT[0][:, :2], FLAT[1] // 2, FLAT[2]
    expected = sk.f1_score(labels, scores.argmax(-1), sample_weight=weights)
    assert metrics.f1("binary")(scores, labels, weights) == pytest.approx(expected, rel=1e-12)
    sign = scores[:, 1:] - scores[:, :1]
    assert metrics.f1("binary")(sign, labels[:, None], weights) == pytest.approx(expected, rel=1e-12)
    assert metrics.f1()(sign, labels[:, None], weights) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"pred: expected two classes or one label for the binary F1, got shape"):
        metrics.f1("binary")(SCORES, LABELS)


def test_an_f1_without_any_right_answer_is_zero():
    assert metrics.f1("binary")(np.array([[1.0, 0], [1, 0]]), np.array([1, 0])) == 0.0


def test_auc_is_that_of_scikit_learn():
    scores, labels, weights = FLAT
    expected = sk.roc_auc_score(labels, softmax(scores), multi_class="ovr", sample_weight=weights)
    assert metrics.auc(SCORES, LABELS, WEIGHTS) == pytest.approx(expected, rel=1e-12)
    seen = weights > 0
    expected = sk.roc_auc_score(labels[seen] // 2, scores[seen, 1] - scores[seen, 0], sample_weight=weights[seen])
    assert metrics.auc(scores[:, :2], labels // 2, weights) == pytest.approx(expected, rel=1e-12)
    truth = (NUMBERS > 0).reshape(-1, C)
    expected = sk.roc_auc_score(truth[seen], scores[seen], sample_weight=weights[seen])
    assert metrics.auc(SCORES, NUMBERS > 0, WEIGHTS) == pytest.approx(expected, rel=1e-12)


def test_auc_leaves_out_classes_without_both_answers():
    scores = np.array([[2.0, 1, 0], [0, 1, 0], [0, 2, 5]])
    assert metrics.auc(scores, np.array([0, 1, 1])) == 0.75
    assert math.isnan(metrics.auc(scores, np.array([1, 1, 1])))


def test_auc_is_not_the_mean_over_batches():
    gathered = Accumulator(["auc"])
    for scores, labels in (([[1.0], [2.0]], [[0], [1]]), ([[3.0], [4.0]], [[0], [1]])):
        gathered.add(np.array(scores), np.array(labels))
    assert gathered.means() == {"auc": 0.75}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_is_that_of_scikit_learn(k):
    scores, labels, weights = np.pad(FLAT[0], ((0, 0), (0, 1)), constant_values=-9), FLAT[1], FLAT[2]
    expected = sk.top_k_accuracy_score(labels, scores, k=k, sample_weight=weights, labels=range(4))
    assert metrics.get(f"top_{k}")[1](scores, labels, weights) == pytest.approx(expected, rel=1e-12)


def test_top_1_is_accuracy_also_where_scores_are_equal():
    scores, labels = rng.integers(0, 2, (50, 4)).astype(float), rng.integers(0, 4, 50)
    assert metrics.top_k(1)(scores, labels) == metrics.accuracy(scores, labels)
    assert metrics.top_k(9)(scores, labels) == 1.0


def test_errors_of_numbers_are_those_of_scikit_learn():
    pred, target, weights = FLAT[0], NUMBERS.reshape(-1, C), FLAT[2]
    expected = {
        "mae": sk.mean_absolute_error(target, pred, sample_weight=weights),
        "mse": sk.mean_squared_error(target, pred, sample_weight=weights),
        "rmse": math.sqrt(sk.mean_squared_error(target, pred, sample_weight=weights)),
    }
    for name, value in expected.items():
        assert METRICS[name](SCORES, NUMBERS, WEIGHTS) == pytest.approx(value, rel=1e-12)


def test_perplexity_and_bits_per_character_follow_from_the_log_loss():
    nats = sk.log_loss(FLAT[1], softmax(FLAT[0]), sample_weight=FLAT[2])
    assert metrics.perplexity(SCORES, LABELS, WEIGHTS) == pytest.approx(math.exp(nats), rel=1e-12)
    assert metrics.bits_per_character(SCORES, LABELS, WEIGHTS) == pytest.approx(nats / math.log(2), rel=1e-12)
    assert metrics.perplexity(np.zeros((4, 7)), np.arange(4)) == pytest.approx(7, rel=1e-12)
    assert metrics.perplexity(np.array([[0.0, 1e4]]), np.array([0])) == math.inf


def test_smape_by_hand():
    pred, target = np.array([[3.0], [0], [1]]), np.array([[1.0], [0], [-1]])
    assert metrics.smape(pred, target) == pytest.approx((100 + 0 + 200) / 3)


def test_mase_by_hand():
    train = np.array([1.0, 2, 5, 4, 9, 8])
    assert metrics.seasonal_scale(train, 2) == pytest.approx((4 + 2 + 4 + 4) / 4)
    pred, target = np.array([[7.0], [1.0]]), np.array([[0.0], [1.0]])
    assert metrics.mase(train=train, season=2)(pred, target) == pytest.approx(1.0)
    assert metrics.mase(7)(pred, target) == pytest.approx(0.5)
    both = metrics.mase([1, 10])
    assert both(np.array([[1.0, 10]]), np.zeros((1, 2))) == pytest.approx(1.0)
    assert metrics.mase(train=np.stack([train, 10 * train], 1))(*[np.ones((1, 2))] * 2) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mase(), "mase: expected either scale or train, got neither"),
        (lambda: metrics.mase(1, train=[1, 2]), "mase: expected either scale or train, got both"),
        (lambda: metrics.mase(0), r"scale: expected a number above 0, or one for each feature, got 0$"),
        (lambda: metrics.mase(train=[2, 2, 2]), "train: a series that changes, so that its scale is: expected"),
        (lambda: metrics.mase(train=[1, 2], season=2), r"train: expected more than season = 2 steps, got 2"),
        (lambda: metrics.mase([1, 2])(np.ones((2, 3)), np.ones((2, 3))), "scale: expected 3 numbers, one for each"),
        (lambda: metrics.top_k(0), "k: expected at least 1, got 0"),
        (lambda: metrics.f1("weighted"), "average: expected 'macro', 'micro' or 'binary', got 'weighted'"),
        (lambda: metrics.top_k(2)(np.ones((1, 3)), np.array([3])), "target: expected 0 to 2, got 3"),
        (lambda: metrics.perplexity(np.ones((1, 3)), np.ones((2,), int)), r"target: expected shape \(1,\), got \(2,\)"),
        (lambda: metrics.rmse(np.ones((2, 3)), np.ones((2, 3)), np.ones(3)), r"weights: expected shape \(2,\)"),
        (lambda: metrics.error_rate([("a", "")]), "pairs: expected at least one true item, got none"),
        (lambda: metrics.get("top_0"), "metrics: expected some of .*'top_k for a number k'.*got 'top_0'"),
        (lambda: Accumulator(["mae", "loss"]), "metrics: expected some of"),
        (lambda: Accumulator(["mae", metrics.mae]), "metrics: expected names of their own, got 'mae' twice"),
        (lambda: Accumulator(["mae"]).restore({}), r"state: expected 'mae\.sums' among its keys, got \[\]"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("made", [metrics.f1, metrics.top_k, metrics.mase, metrics.label_error_rate, metrics.Measure])
def test_what_has_to_be_called_first_is_said(made):
    with pytest.raises(TypeError, match=rf"metrics: expected {made.__name__}\(\.\.\.\), got {made.__name__} itself"):
        metrics.get(made)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ([1, 2, 3], np.array([2, 3, 4]), 2),
        (["to", "be"], ("to", "see"), 1),
    ],
)
def test_edit_distances_that_are_known(a, b, distance):
    assert metrics.edit_distance(a, b) == metrics.edit_distance(b, a) == distance


def test_edit_distance_is_that_of_the_textbook():
    def textbook(a, b):
        if not a or not b:
            return len(a) + len(b)
        costs = textbook(a[1:], b) + 1, textbook(a, b[1:]) + 1, textbook(a[1:], b[1:]) + (a[0] != b[0])
        return min(costs)

    for _ in range(40):
        a, b = (rng.integers(0, 3, rng.integers(0, 6)).tolist() for _ in range(2))
        assert metrics.edit_distance(a, b) == textbook(a, b)


def test_label_error_rate_of_each_step():
    pred = np.eye(4)[[[1, 2, 3, 0], [1, 1, 1, 1]]]
    target = np.array([[1, 2, 0, 0], [2, 1, -1, -1]])
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    assert metrics.label_error_rate()(pred, target, mask) == pytest.approx(2 / 5)


def test_label_error_rate_after_runs_and_blanks_are_taken_out():
    pred = np.eye(4)[[[1, 1, 0, 1, 2, 2], [0, 3, 3, 0, 0, 1]]]
    target = np.array([[1, 1, 3], [3, 0, 0]])
    assert metrics.label_error_rate(blank=0)(pred, target, np.ones((2, 6))) == pytest.approx(2 / 4)
    lengths = np.arange(6) < np.array([[6], [5]])
    assert metrics.label_error_rate(blank=0)(pred, target, lengths * 1.0) == pytest.approx(1 / 4)


def test_an_object_serves_two_accumulations():
    mine = metrics.mase(2.0)
    first, second = Accumulator([mine]), Accumulator([mine])
    first.add(np.ones((1, 1)), np.zeros((1, 1)))
    assert first.means() == {"mase": 0.5} and math.isnan(second.means()["mase"])


def test_functions_of_ones_own_are_averaged_by_weight():
    def bias(pred, target, weights):
        return float(np.average((pred - target)[:, 0], weights=weights))

    gathered = Accumulator([bias])
    gathered.add(np.array([[1.0], [3.0]]), np.zeros((2, 1)), np.array([1, 3]))
    gathered.add(np.array([[10.0]]), np.zeros((1, 1)), np.array([6]))
    assert gathered.means() == {"bias": pytest.approx(7.0)}


@pytest.mark.parametrize("name", ["f1", "auc"])
def test_without_scikit_learn_the_extra_is_named_at_once(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=rf"the metric {name} needs scikit-learn: pip install 'fastlstm\[sklearn\]'"):
        Accumulator([name])


def test_a_trainer_reports_them():
    x = rng.normal(size=(20, 4, 2)).astype("f4")
    y = (x.sum((1, 2)) > 0).astype(int)
    model = fl.Model([fl.LSTM(2, 4), fl.Last(), fl.Dense(4, 2)], seed=0)
    trainer = fl.Trainer(model, "softmax_cross_entropy", metrics=["f1_binary", "auc", "perplexity", metrics.top_k(1)])
    found = trainer.evaluate(x, y, batch_size=3)
    scores = model.predict(x)
    assert found["f1_binary"] == pytest.approx(sk.f1_score(y, scores.argmax(-1)))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, scores[:, 1] - scores[:, 0]))
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]), rel=1e-6)
    assert found["top_1"] == pytest.approx((scores.argmax(-1) == y).mean())


def test_a_trainer_counts_real_steps_only():
    x, y = rng.normal(size=(9, 6, 1)).astype("f4"), rng.normal(size=(9, 6, 1))
    lengths = rng.integers(1, 7, 9)
    real = np.arange(6) < lengths[:, None]
    y[~real] = np.nan
    model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], seed=0)
    found = fl.Trainer(model, "mse", metrics=["rmse", "mae"]).evaluate(x, y, lengths=lengths, batch_size=2)
    errors = (model.predict(x, lengths=lengths) - y)[real]
    assert found["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
