"""How the estimators are trained: on and on, stopped early, with weights, watched, pickled."""

import pickle
import signal

import numpy as np
import pytest

import fastlstm as fl

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402

from fastlstm.estimators import LSTMClassifier, LSTMRegressor, SequenceTagger  # noqa: E402


def drifts(n=48, steps=7, seed=0):
    """Sequences of two features, and which way the first one goes."""
    x = np.random.default_rng(seed).normal(size=(n, steps, 2))
    return x, np.where(x[..., 0].sum(1) > 0, "up", "down")


def tags(n=24, seed=0):
    """Ragged sequences, and whether each step lies above zero."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(t, 1)) for t in rng.integers(1, 8, n)]
    return x, [np.where(sequence[:, 0] > 0, "above", "below") for sequence in x]


CASES = {
    "classifier": (LSTMClassifier(5, dropout=0.1, random_state=0), *drifts()),
    "regressor": (LSTMRegressor(5, dropout=0.1, random_state=0), drifts()[0], drifts()[0][:, -2:, 0]),
    "tagger": (SequenceTagger(5, dropout=0.1, random_state=0), *tags()),
}
each = pytest.mark.parametrize(("estimator", "x", "y"), CASES.values(), ids=CASES)


def outputs(estimator, x):
    return np.concatenate([np.ravel(row) for row in getattr(estimator, "predict_proba", estimator.predict)(x)])


@each
def test_a_pickled_estimator_predicts_and_learns_on_as_the_original(estimator, x, y):
    original = clone(estimator).partial_fit(x, y).partial_fit(x, y)
    copy = pickle.loads(pickle.dumps(original))
    np.testing.assert_array_equal(outputs(copy, x), outputs(original, x))
    assert dict(copy.history_) == dict(original.history_)
    for _ in range(2):
        original.partial_fit(x, y)
        copy.partial_fit(x, y)
    np.testing.assert_array_equal(outputs(copy, x), outputs(original, x))


@each
def test_partial_fit_is_an_epoch_with_the_optimizer_of_the_last_one(estimator, x, y):
    """At a constant rate and with no dropout on one batch, it is what fit does in an epoch."""
    settings = {"learning_rate": "constant", "batch_size": 1000, "dropout": 0.0}
    whole = clone(estimator).set_params(max_iter=3, **settings).fit(x, y)
    parts = clone(estimator).set_params(**settings)
    for _ in range(3):
        parts.partial_fit(x, y)
    assert parts.n_iter_ == whole.n_iter_ == len(parts.loss_curve_) == 3
    np.testing.assert_allclose(outputs(parts, x), outputs(whole, x), atol=2e-5)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-4)


@each
def test_a_warm_start_goes_on_and_a_cold_one_begins_anew(estimator, x, y):
    warm = clone(estimator).set_params(max_iter=4, warm_start=True).fit(x, y)
    first, model = warm.loss_curve_, warm.model_
    warm.fit(x, y)
    assert warm.model_ is model and warm.n_iter_ == 8
    assert warm.loss_curve_[:4] == first and np.mean(warm.loss_curve_[4:]) < np.mean(first)
    cold = clone(warm).set_params(warm_start=False).fit(x, y)
    assert cold.loss_curve_ == first == cold.fit(x, y).loss_curve_


@each
def test_before_fit_there_is_nothing_to_predict_with(estimator, x, y):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        clone(estimator).predict(x)


@each
def test_a_fit_that_fails_leaves_nothing_to_predict_with(estimator, x, y):
    fitted = clone(estimator).set_params(max_iter=1).fit(x, y)
    with pytest.raises(ValueError, match="batch_size"):
        fitted.set_params(batch_size=0).fit(x, y)
    with pytest.raises(NotFittedError):
        fitted.predict(x)
    fitted.set_params(batch_size=8, warm_start=True).fit(x, y)
    assert fitted.n_iter_ == 1


def test_ctrl_c_ends_a_fit_and_leaves_what_it_has_learned(capsys):
    class Interrupt(fl.Callback):
        def on_batch_end(self, progress):
            signal.raise_signal(signal.SIGINT)

    x, y = drifts()
    classifier = LSTMClassifier(4, callbacks=[Interrupt()], random_state=0).fit(x, y)
    assert classifier.n_iter_ == 0 and classifier.predict(x).shape == (48,)
    told = "fastlstm: stopped after step 1 (epoch 1 of 100, batch 1 of 6); the estimator keeps what it has learned\n"
    assert capsys.readouterr().err == told


def test_classes_may_be_told_before_they_come():
    x, y = drifts()
    classifier = LSTMClassifier(5, random_state=0).partial_fit(x, y, classes=["up", "still", "down"])
    assert classifier.classes_.tolist() == ["down", "still", "up"]
    assert classifier.partial_fit(x, np.full(48, "still")).predict_proba(x).shape == (48, 3)
    x, y = tags()
    tagger = SequenceTagger(5, random_state=0).partial_fit(x, y, classes=["above", "at", "below"])
    assert tagger.predict_proba(x)[3].shape == (len(x[3]), 3)


def test_early_stopping_keeps_the_best_epoch():
    x, y = drifts()
    noise = np.random.default_rng(1).permutation(y)  # there is nothing to learn but these
    classifier = LSTMClassifier(16, early_stopping=True, validation_fraction=0.25, n_iter_no_change=3, random_state=0)
    classifier.set_params(learning_rate="constant", learning_rate_init=0.02, tol=0.0).fit(x, noise)
    losses = classifier.history_["val_loss"]
    assert classifier.n_iter_ == len(losses) == np.argmin(losses) + 1 + 3 < 100
    assert len(classifier.history_["val_accuracy"]) == classifier.n_iter_


def test_without_validation_the_loss_of_the_training_ends_it():
    x, y = drifts()
    classifier = LSTMClassifier(4, tol=10.0, n_iter_no_change=2, random_state=0).fit(x, y)
    assert classifier.n_iter_ == 3 and "val_loss" not in classifier.history_


def test_the_part_that_is_set_aside_has_all_classes():
    x, _ = drifts()
    y = np.arange(48) % 8  # 6 of each
    seen = []

    class Watch(fl.Callback):
        def on_fit_begin(self, progress):
            seen.append(progress.epoch_sequences)

    classifier = LSTMClassifier(4, max_iter=1, early_stopping=True, validation_fraction=8 / 48, callbacks=[Watch()])
    classifier.fit(x, y)
    assert seen == [40]
    with pytest.raises(ValueError, match="least populated class"):
        classifier.fit(x, np.where(np.arange(48) == 0, "a", "b"))


@pytest.mark.parametrize("kind", ["classifier", "regressor", "tagger"])
def test_a_weight_of_k_is_k_copies(kind):
    """Where a batch is all there is: else batches are others. Up to the rounding of float32."""
    estimator, x, y = CASES[kind]
    estimator = clone(estimator).set_params(batch_size=1000, max_iter=3, dropout=0.0)
    weight = np.random.default_rng(0).integers(0, 3, len(x))
    rows = np.repeat(np.arange(len(x)), weight)
    weighted = clone(estimator).fit(x, y, sample_weight=weight)
    repeated = clone(estimator).fit([x[k] for k in rows], [y[k] for k in rows])
    np.testing.assert_allclose(weighted.input_scale_.mean, repeated.input_scale_.mean, rtol=1e-9)
    np.testing.assert_allclose(outputs(weighted, x), outputs(repeated, x), atol=2e-5)
    assert np.abs(outputs(weighted, x) - outputs(clone(estimator).fit(x, y), x)).max() > 1e-3


def test_weights_of_classes_are_weights_of_their_sequences():
    x, y = drifts()
    y[:36] = "up"
    balanced = LSTMClassifier(5, class_weight="balanced", max_iter=3, random_state=0).fit(x, y)
    share = (y == "up").mean()
    told = {"up": 0.5 / share, "down": 0.5 / (1 - share)}
    by_dict = LSTMClassifier(5, class_weight=told, max_iter=3, random_state=0).fit(x, y)
    by_row = LSTMClassifier(5, max_iter=3, random_state=0).fit(x, y, sample_weight=[told[label] for label in y])
    np.testing.assert_array_equal(by_dict.predict_proba(x), by_row.predict_proba(x))
    np.testing.assert_allclose(balanced.predict_proba(x), by_row.predict_proba(x), atol=1e-6)


def test_weights_of_classes_of_a_tagger_are_those_of_its_steps():
    x, y = tags()
    steps = np.concatenate(y)
    told = {label: len(steps) / 2 / (steps == label).sum() for label in ("above", "below")}
    balanced = SequenceTagger(5, class_weight="balanced", max_iter=2, random_state=0).fit(x, y)
    by_dict = SequenceTagger(5, class_weight=told, max_iter=2, random_state=0).fit(x, y)
    np.testing.assert_allclose(outputs(balanced, x), outputs(by_dict, x), atol=1e-6)
    heavy = SequenceTagger(5, class_weight={"above": 100.0}, max_iter=4, random_state=0).fit(x, y)
    assert (np.concatenate(heavy.predict(x)) == "above").mean() > 0.9


def test_a_tagger_learns_labels_of_its_own_kind_in_the_lengths_of_its_sequences(path):
    x, y = tags(60)
    for labels in (y, [(row == "above").astype(int).tolist() for row in y]):
        tagger = SequenceTagger(8, max_iter=40, random_state=0).fit(x, labels)
        found = tagger.predict(x)
        assert [len(row) for row in found] == [len(row) for row in x]
        assert tagger.score(x, labels) > 0.9
        right = [np.mean(row == np.asarray(truth)) for row, truth in zip(found, labels, strict=True)]
        steps = np.array([len(row) for row in x])
        assert tagger.score(x, labels) == pytest.approx(np.average(right, weights=steps))
        weight = np.arange(60.0)
        assert tagger.score(x, labels, weight) == pytest.approx(np.average(right, weights=steps * weight))
        for shares, row in zip(tagger.predict_proba(x), found, strict=True):
            np.testing.assert_allclose(shares.sum(1), 1)
            assert (tagger.classes_[shares.argmax(1)] == row).all()


def test_a_tagger_takes_arrays_and_reads_both_ways():
    x = np.random.default_rng(0).normal(size=(40, 6, 1))
    y = np.roll(x[..., 0] > 0, -1, axis=1)  # the sign of the next step
    y[:, -1] = False
    assert SequenceTagger(8, max_iter=80, random_state=0).fit(x, y).score(x, y) > 0.95
    assert SequenceTagger(8, max_iter=80, random_state=0, bidirectional=False).fit(x, y).score(x, y) < 0.9


def test_verbose_prints_a_line_for_each_epoch(capsys):
    LSTMClassifier(4, max_iter=2, verbose=True, random_state=0).fit(*drifts())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2 of 2: loss ") and ", accuracy " in lines[1]
    LSTMClassifier(4, max_iter=2).fit(*drifts())
    assert capsys.readouterr().out == ""


def test_threads_are_those_it_is_told_while_it_works(default_threads):
    x, y = drifts()
    seen = []

    class Watch(fl.Callback):
        def on_epoch_begin(self, progress):
            seen.append(fl.get_num_threads())

    fl.set_num_threads(3)
    classifier = LSTMClassifier(4, max_iter=1, n_threads=1, callbacks=[Watch()], random_state=0).fit(x, y)
    assert seen == [1] and fl.get_num_threads() == 3
    one = classifier.predict_proba(x)
    np.testing.assert_array_equal(one, classifier.set_params(n_threads=2).predict_proba(x))
    with pytest.raises(ValueError):
        classifier.predict(x[:, :, :1])
    assert fl.get_num_threads() == 3


@each
def test_the_number_of_threads_changes_no_bit(estimator, x, y, default_threads):
    one = clone(estimator).set_params(max_iter=3, n_threads=1).fit(x, y)
    two = clone(estimator).set_params(max_iter=3, n_threads=2).fit(x, y)
    np.testing.assert_array_equal(outputs(one, x), outputs(two, x))


def test_the_network_alone_is_saved_as_any_model(tmp_path):
    x, y = drifts()
    classifier = LSTMClassifier(4, max_iter=1, random_state=0).fit(x, y)
    fl.save(classifier.model_, tmp_path / "network.safetensors")
    scaled = classifier.input_scale_
    scores = fl.load(tmp_path / "network.safetensors").predict((x - scaled.mean) / scaled.deviation)
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], classifier.decision_function(x), atol=1e-6)
