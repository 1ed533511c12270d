"""What the estimators take: arrays, lists, tables, what others keep sequences in; and what they refuse."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 is not installed")

from fastlstm._kernels import cpu  # noqa: E402
from fastlstm.estimators import (  # noqa: E402
    LSTMClassifier,
    LSTMRegressor,
    SequenceTagger,
    from_channels_first,
    from_sktime,
    from_tslearn,
)


def data(n=12, steps=6, features=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, steps, features)), np.arange(n) % 2


def bits(x, y=None, **arguments):
    """What a short training makes of x, to compare."""
    y = np.arange(len(x)) % 2 if y is None else y
    return LSTMClassifier(4, max_iter=2, random_state=0, **arguments).fit(x, y).predict_proba(x).tolist()


def ragged(features=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(t, features)) for t in (3, 7, 1, 5, 2, 7, 4, 6)]


def test_a_table_is_steps_of_one_feature_or_as_many_steps_as_it_is_told():
    x, _ = data(features=1)
    assert bits(x) == bits(x[..., 0]) == bits(list(x)) == bits(x[..., 0].tolist()) == bits(list(x[..., 0]))
    x, _ = data(features=3)
    assert bits(x) == bits(x.reshape(12, 18), n_steps=6) != bits(x.reshape(12, 18), n_steps=3)
    assert bits(x, n_steps=2) == bits(x)  # it says nothing about sequences


def test_lists_of_one_dimension_are_sequences_of_one_feature():
    x = ragged(features=1)
    assert bits(x) == bits([sequence[:, 0] for sequence in x]) == bits([sequence[:, 0].tolist() for sequence in x])
    column = np.empty(len(x), object)
    column[:] = x
    assert bits(x) == bits(column)


@pytest.mark.usefixtures("path")
def test_a_ragged_sequence_is_predicted_as_it_is_alone():
    x = ragged()
    classifier = LSTMClassifier(4, max_iter=2, random_state=0, bidirectional=True).fit(x, np.arange(8) % 2)
    together = classifier.predict_proba(x)
    for k, sequence in enumerate(x):
        alone = classifier.predict_proba([sequence])[0]
        np.testing.assert_allclose(alone, together[k], rtol=1e-5 if cpu.isa() == "plain" else 0)
        np.testing.assert_array_equal(alone, classifier.predict_proba(sequence[None])[0])


def test_the_scale_of_ragged_sequences_counts_their_steps_alone():
    x = ragged()
    scale = LSTMClassifier(4, max_iter=1).fit(x, np.arange(8) % 2).input_scale_
    np.testing.assert_allclose(scale.mean, np.concatenate(x).mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale.deviation, np.concatenate(x).std(0), rtol=1e-12)


def test_a_feature_that_does_not_vary_is_shifted_only():
    x, y = data()
    x[..., 1] = 1e9 / 3
    classifier = LSTMClassifier(4, max_iter=1, random_state=0).fit(x, y)
    assert classifier.input_scale_.deviation[1] == 1
    assert np.isfinite(classifier.predict_proba(x)).all()


def test_float32_stays_a_number_of_the_same_meaning():
    x, _ = data()
    x = x.astype(np.float32)
    np.testing.assert_allclose(bits(x), bits(x.astype(np.float64)), rtol=1e-5)


def test_frames_give_their_names():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = data(features=1)
    frame = pd.DataFrame(x[..., 0], columns=list("abcdef"))
    classifier = LSTMClassifier(4, max_iter=1).fit(frame, pd.Series(y))
    assert classifier.feature_names_in_.tolist() == list("abcdef") and classifier.n_features_in_ == 6
    classifier.fit(x, y)
    assert not hasattr(classifier, "feature_names_in_") and classifier.n_features_in_ == 1
    frames = [pd.DataFrame(sequence) for sequence in ragged()]
    assert bits(frames) == bits(ragged())


def test_channels_first():
    x, _ = data()
    np.testing.assert_array_equal(from_channels_first(x.transpose(0, 2, 1)), x)
    with pytest.raises(ValueError, match=r"x: expected shape \(n, F, T\), got \(3, 4\)"):
        from_channels_first(np.zeros((3, 4)))


def test_containers_of_sktime():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    x = ragged()
    nested = pd.DataFrame({"a": [pd.Series(s[:, 0]) for s in x], "b": [pd.Series(s[:, 1]) for s in x]})
    for found, sequence in zip(from_sktime(nested), x, strict=True):
        np.testing.assert_array_equal(found, sequence)
    keys = [f"s{9 - k}" for k in range(8)]  # not in the order of the alphabet
    long = pd.concat({key: pd.DataFrame(sequence) for key, sequence in zip(keys, x, strict=True)})
    for found, sequence in zip(from_sktime(long), x, strict=True):
        np.testing.assert_array_equal(found, sequence)
    regular, _ = data()
    np.testing.assert_array_equal(from_sktime(regular.transpose(0, 2, 1)), regular)
    assert from_sktime(nested.iloc[[1, 5]]).shape == (2, 7, 2)


def test_what_is_no_container_of_sktime():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(TypeError, match=r"x: expected a DataFrame or an array \(n, F, T\), got list"):
        from_sktime([1])
    with pytest.raises(ValueError, match=r"a Series in each cell, .* got a DataFrame of shape \(2, 2\) with 1 level$"):
        from_sktime(pd.DataFrame([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(ValueError, match=r"x: expected cells of the same length in row 0, got \[1, 2\]"):
        from_sktime(pd.DataFrame({"a": [pd.Series([1.0])], "b": [pd.Series([1.0, 2.0])]}))
    nested = pd.DataFrame({"a": [pd.Series([1.0, 2.0])] * 4})
    with pytest.raises(TypeError, match=r"X: expected numbers, got a DataFrame .* pass from_sktime\(X\)"):
        LSTMClassifier().fit(nested, [0, 1, 0, 1])


def test_containers_of_tslearn():
    x = ragged()
    container = np.full((8, 7, 2), np.nan)
    for row, sequence in zip(container, x, strict=True):
        row[: len(sequence)] = sequence
    for found, sequence in zip(from_tslearn(container), x, strict=True):
        np.testing.assert_array_equal(found, sequence)
    regular, _ = data()
    np.testing.assert_array_equal(from_tslearn(regular), regular)
    within = regular.copy()
    within[0, 2] = np.nan
    assert from_tslearn(within).shape == (12, 6, 2)
    with pytest.raises(ValueError, match="x: expected a step in each sequence, got NaN alone at 3"):
        container[3] = np.nan
        from_tslearn(container)
    with pytest.raises(ValueError, match=r"x: expected shape \(n, T, F\), got \(3, 4\)"):
        from_tslearn(np.zeros((3, 4)))


X, Y = data()
HOLE = X.copy()
HOLE[1, 2, 0] = np.nan
REFUSED = [
    (HOLE, Y, {}, ValueError, r"X: expected finite numbers, got nan at \[1, 2, 0\]"),
    (X * 1e300, Y, {}, ValueError, r"x: expected finite numbers, got -?inf at \[0, 0, 0\]"),
    (X[:0], Y[:0], {}, ValueError, r"X: expected shape \(n, T, F\) with n and T and F at least 1, got \(0, 6, 2\)"),
    ([*X[:3], HOLE[1]], Y[:4], {}, ValueError, r"X\[3\]: expected finite numbers, got nan at \[2, 0\]"),
    ([X[0], X[1][:0]], [0, 1], {}, ValueError, r"X\[1\]: expected shape \(T, F\) with T and F at least 1"),
    ([X[0], X[1][:, :1]], [0, 1], {}, ValueError, r"X\[1\]: expected 2 features at each step, as X\[0\] has, got 1"),
    ([[["a"]], [["b"], ["c"]]], [0, 1], {}, TypeError, r"X\[0\]: expected real numbers, got dtype <U1"),
    ([[[{}]], [[1]]], [0, 1], {}, TypeError, r"X\[0\]: expected real numbers, got objects such as \{\}"),
    (X, Y[:5], {}, ValueError, "y: expected 12, one for each sequence of X, got 5"),
    (X, None, {}, ValueError, "y: LSTMClassifier requires y to be passed, but the target y is None"),
    (X, np.where(Y == 1, np.nan, 1.0), {}, ValueError, "y: expected labels, got nan at 1; input y contains NaN"),
    (X, np.zeros(12, int), {}, ValueError, r"y: expected at least two classes, got one class, \[0\]"),
    (X[..., 0], Y, {"n_steps": 4}, ValueError, "n_steps: expected a divisor of 6, the columns of X, got 4"),
    ([[1, 2], [3]], [0, 1], {"n_steps": 1}, ValueError, "n_steps: expected None for rows of different lengths, got 1"),
    (X[..., 0], Y, {"n_steps": 0}, ValueError, "n_steps: expected at least 1, got 0"),
    (X, Y, {"cell": "LSTM"}, ValueError, "cell: expected one of 'lstm', 'gru', 'rnn', 'min_lstm', 'slstm', got 'LSTM'"),
    (X, Y, {"pool": 1}, ValueError, "pool: expected one of 'last', 'mean', 'max', 'attention', got 1"),
    (X, Y, {"hidden_size": 0}, ValueError, "hidden_size: expected at least 1, got 0"),
    (X, Y, {"num_layers": 1.5}, TypeError, "num_layers: expected a whole number, got 1.5"),
    (X, Y, {"bidirectional": 1}, TypeError, "bidirectional: expected True or False, got 1"),
    (X, Y, {"dropout": 1.0}, ValueError, "dropout: expected at least 0 and below 1, got 1.0"),
    (X, Y, {"scale": None}, TypeError, "scale: expected True or False, got None"),
    (X, Y, {"max_iter": 0}, ValueError, "max_iter: expected at least 1, got 0"),
    (X, Y, {"batch_size": "all"}, ValueError, "batch_size: expected a whole number or 'auto', got 'all'"),
    (X, Y, {"learning_rate_init": -1}, ValueError, "learning_rate_init: expected at least 0"),
    (X, Y, {"learning_rate": 0.1}, ValueError, "learning_rate: expected 'cosine' or 'constant', got 0.1"),
    (X, Y, {"clip_norm": -1}, ValueError, "clip_norm: expected at least 0, got -1"),
    (X, Y, {"early_stopping": 1}, TypeError, "early_stopping: expected True or False, got 1"),
    (X, Y, {"early_stopping": True, "validation_fraction": 1}, ValueError, "validation_fraction: expected .* below 1"),
    (
        X,
        Y,
        {"early_stopping": True, "validation_fraction": 0},
        ValueError,
        "validation_fraction: expected above 0 with",
    ),
    (X, Y, {"n_iter_no_change": 0}, ValueError, "n_iter_no_change: expected at least 1, got 0"),
    (X, Y, {"tol": -1}, ValueError, "tol: expected at least 0, got -1"),
    (X, Y, {"warm_start": "yes"}, TypeError, "warm_start: expected True or False, got 'yes'"),
    (X, Y, {"random_state": "x"}, TypeError, "random_state: expected a whole number or None, got 'x'"),
    (X, Y, {"random_state": -1}, ValueError, "random_state: expected at least 0, got -1"),
    (X, Y, {"n_threads": 0}, ValueError, "n_threads: expected at least 1, got 0"),
    (X, Y, {"callbacks": [print]}, TypeError, "callbacks: expected objects of Callback, got <built-in"),
    (X, Y, {"class_weight": "even"}, ValueError, "class_weight: expected a dict, 'balanced' or None, got 'even'"),
    (X, Y, {"class_weight": {2: 1.0}}, ValueError, r"class_weight: expected some of the classes \[0, 1\], got 2"),
    (X, Y, {"class_weight": {1: -1}}, ValueError, "class_weight of 1: expected at least 0, got -1"),
    (X, Y, {"class_weight": 2}, TypeError, "class_weight: expected a dict, 'balanced' or None, got 2"),
]


@pytest.mark.parametrize(("x", "y", "arguments", "kind", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_is_refused_is_told(x, y, arguments, kind, message):
    with pytest.raises(kind, match=message):
        LSTMClassifier(**{"max_iter": 1, **arguments}).fit(x, y)


def test_what_does_not_fit_the_fit_is_told():
    classifier = LSTMClassifier(4, max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="X: expected 2 features at each step, as in fit, got 3"):
        classifier.predict(np.zeros((2, 5, 3)))
    with pytest.raises(ValueError, match="X: expected 2 features at each step, as in fit, got 1"):
        classifier.predict(np.zeros((2, 12)))
    assert classifier.set_params(n_steps=6).predict(X.reshape(12, 12)).tolist() == classifier.predict(X).tolist()
    with pytest.raises(ValueError, match=r"y: expected labels among \[0, 1\], the classes of the first fit, got 2"):
        classifier.partial_fit(X, Y + 1)
    with pytest.raises(ValueError, match=r"classes: expected those of the first call, \[0, 1\], got \[1, 2\]"):
        classifier.partial_fit(X, Y, classes=[1, 2])
    with pytest.raises(ValueError, match="classes: expected at least two classes, got one class"):
        LSTMClassifier().partial_fit(X, Y, classes=[1])


def test_what_the_regressor_refuses():
    with pytest.raises(ValueError, match="loss: expected one of 'squared_error', 'absolute_error', 'huber', got 'mse'"):
        LSTMRegressor(loss="mse").fit(X, Y)
    with pytest.raises(ValueError, match=r"Found y with dim 3|Found array with dim 3"):
        LSTMRegressor().fit(X, np.zeros((12, 1, 1)))
    regressor = LSTMRegressor(4).partial_fit(X, Y)
    with pytest.raises(ValueError, match="y: expected 1 numbers for each sequence, got 2"):
        regressor.partial_fit(X, np.zeros((12, 2)))


def test_what_the_tagger_refuses():
    x = ragged()
    y = [["a"] * len(sequence) for sequence in x]
    with pytest.raises(ValueError, match=r"y\[1\]: expected 7 labels, one for each step, got shape \(3,\)"):
        SequenceTagger().fit(x, [y[0], y[0], *y[2:]])
    with pytest.raises(TypeError, match=r"y\[0\]: expected labels \(str or int\), got dtype float64"):
        SequenceTagger().fit(x, [np.zeros(len(sequence)) for sequence in x])
    with pytest.raises(ValueError, match=r"y: expected at least two classes, got one class, \['a'\]"):
        SequenceTagger().fit(x, y)
    with pytest.raises(ValueError, match="y: expected 8, one for each sequence of X, got 1"):
        SequenceTagger().fit(x, y[:1])
