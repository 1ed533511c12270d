"""A class for each sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin

from fastlstm.activations import softmax
from fastlstm.estimators.base import Array, SequenceEstimator
from fastlstm.estimators.labels import as_labels, classes_of, numbers_of, weights_of
from fastlstm.estimators.targets import check_given, check_weight


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMClassifier(ClassifierMixin, SequenceEstimator):
    """A class for each sequence: a recurrent network as an estimator of scikit-learn.

    Parameters
    ----------
    **shared
    pool : "last", "mean", "max" or "attention", default "last"
        How the outputs of all steps become one vector: what the layer ends with (of two directions, what each does),
        their mean or maximum, or a mean with learned weights.
    class_weight : dict, "balanced" or None, default None
        Weight of each class. With "balanced" all classes have the same total weight.

    Attributes
    ----------
    classes_ : (C,) array
        The labels, in the order of the probabilities.
    model_ : Model
        The network. It takes what is scaled: (n, T, F) in float32.
    input_scale_ : Scale or None
        The ``mean`` and ``deviation`` of each feature; None with ``scale=False``.
    n_features_in_ : int
        Columns of a table, or features of a step.
    feature_names_in_ : array of str
        Names of the columns, if X was a DataFrame.
    n_iter_ : int
        Number of epochs of all trainings.
    loss_curve_ : list of float
        The loss of each epoch.
    history_ : History
        All figures of each epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import LSTMClassifier
    >>> x = np.random.default_rng(0).normal(size=(80, 12, 2))
    >>> y = np.where(x[..., 0].sum(1) > 0, "up", "down")
    >>> classifier = LSTMClassifier(16, random_state=0).fit(x, y)
    >>> classifier.classes_.tolist(), classifier.score(x, y) > 0.9
    (['down', 'up'], True)
    >>> classifier.predict_proba(x[:3]).shape
    (3, 2)
    """

    pool: str = "last"
    class_weight: Any = None

    _metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from labelled sequences.

        Parameters
        ----------
        X : (n, T, F) numbers, list of (T_i, F) or (T_i,) arrays, or table (n, p)
            What a table means, `n_steps` says.
        y : (n,) labels
            str or int.
        sample_weight : (n,) numbers, optional
            Weight of each sequence, from 0; by default 1.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If X, y or a weight does not fit or is not finite, there is only one class, or an argument of the
            constructor is not among what it may be.
        """
        return self._learn(X, y, sample_weight, None, once=False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from these sequences for one epoch.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. The first call also decides about the scale.
        classes : (C,) labels, optional
            All that there will be. Needed in the first call, if y does not have all of them.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As in `fit`; also if y has a label that is not among the classes.
        """
        return self._learn(X, y, sample_weight, classes, once=True)

    def _learn(self, X: Any, y: Any, weight: Any, classes: Any, *, once: bool) -> Self:
        afresh = self._afresh(once)
        sequences = self._sequences(X, reset=afresh)
        check_given(self, sequences, y)
        labels = as_labels(y)
        self.classes_: Array = classes_of(labels, classes, None if afresh else self.classes_)
        target = numbers_of(labels, self.classes_)
        weight = check_weight(weight, sequences)
        by_class = weights_of(self.class_weight, self.classes_, labels)
        if by_class is not None:
            weight = by_class if weight is None else weight * by_class
        return self._fit(sequences, target, weight, len(self.classes_), afresh=afresh, once=once)

    def decision_function(self, X: Any) -> Array:
        """The scores of the classes, whose softmax the probabilities are.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        (n, C) array; of two classes (n,), the score of the second one less that of the first
        """
        scores, _ = self._output(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (n, C).

        Parameters
        ----------
        X : sequences as in `fit`

        Returns
        -------
        (n, C) floats
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit` refuses X, or if its features are others.
        """
        return softmax(self._output(X)[0])

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of the probability of each class, (n, C).

        Parameters
        ----------
        X : sequences as in `fit`

        Returns
        -------
        (n, C) floats
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit` refuses X, or if its features are others.
        """
        scores, _ = self._output(X)
        found: Array = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return found

    def predict(self, X: Any) -> Array:
        """The most probable class of each sequence, (n,).

        Parameters
        ----------
        X : sequences as in `fit`

        Returns
        -------
        (n,) labels

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit` refuses X, or if its features are others.
        """
        scores, _ = self._output(X)
        found: Array = self.classes_[scores.argmax(1)]
        return found

    def _strata(self, target: Array) -> Array:
        return target
