"""A label for each step of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from fastlstm.activations import softmax
from fastlstm.estimators.base import Array, SequenceEstimator
from fastlstm.estimators.labels import classes_of, numbers_of, weights_of
from fastlstm.estimators.sequences import Sequences, in_rows
from fastlstm.estimators.targets import check_given, check_weight


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceTagger(SequenceEstimator):
    """A label for each step of each sequence: a recurrent network as an estimator of scikit-learn.

    Parameters
    ----------
    **shared
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
    >>> from fastlstm.estimators import SequenceTagger
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.normal(size=(t, 1)) for t in rng.integers(3, 9, 60)]
    >>> y = [["up" if now > 0 else "down" for now in sequence[:, 0]] for sequence in x]
    >>> tagger = SequenceTagger(8, random_state=0).fit(x, y)
    >>> tagger.score(x, y) > 0.95
    True
    >>> tagger.predict([[[2.0], [-2.0], [2.0]]])[0].tolist()
    ['up', 'down', 'up']
    """

    bidirectional: bool = True
    class_weight: Any = None

    _metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from sequences with a label for each step.

        Parameters
        ----------
        X : (n, T, F) numbers, list of (T_i, F) or (T_i,) arrays, or table (n, p)
            What a table means, `n_steps` says.
        y : list of n sequences of T_i labels, or (n, T) labels
            str or int.
        sample_weight : (n,) numbers, optional
            Weight of each sequence, from 0; by default 1. Each of its steps has it.

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
        labels = self._labels(y, sequences)
        self.classes_: Array = classes_of(labels, classes, None if afresh else self.classes_)
        real = np.arange(sequences.x.shape[1]) < np.array(sequences.steps)[:, None]
        target = np.zeros(real.shape, np.intp)
        target[real] = numbers_of(labels, self.classes_)
        of_sequence, by_class = check_weight(weight, sequences), weights_of(self.class_weight, self.classes_, labels)
        weights = None
        if of_sequence is not None or by_class is not None:
            weights = np.ones(real.shape) if of_sequence is None else np.repeat(of_sequence[:, None], real.shape[1], 1)
            weights[real] *= 1.0 if by_class is None else by_class
        return self._fit(sequences, target, weights, len(self.classes_), afresh=afresh, once=once)

    def _labels(self, y: Any, sequences: Sequences) -> Array:
        """The labels of all steps in one row."""
        check_given(self, sequences, y)
        rows = [np.asarray(row) for row in (y if isinstance(y, list | tuple) else np.asarray(y))]
        for k, (row, count) in enumerate(zip(rows, sequences.steps, strict=True)):
            if row.shape != (count,):
                raise ValueError(f"y[{k}]: expected {count} labels, one for each step, got shape {row.shape}")
            if row.dtype.kind not in "iubUSO":
                raise TypeError(f"y[{k}]: expected labels (str or int), got dtype {row.dtype}")
        return np.concatenate(rows)

    def predict_proba(self, X: Any) -> list[Array]:
        """The probability of each class at each step: for each sequence (T_i, C).

        Parameters
        ----------
        X : sequences as in `fit`

        Returns
        -------
        list of n arrays (T_i, C)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit` refuses X, or if its features are others.
        """
        scores, sequences = self._output(X)
        return in_rows(softmax(scores), sequences.steps)

    def predict(self, X: Any) -> list[Array]:
        """The most probable label of each step: for each sequence (T_i,).

        Parameters
        ----------
        X : sequences as in `fit`

        Returns
        -------
        list of n arrays (T_i,)

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `fit` refuses X, or if its features are others.
        """
        scores, sequences = self._output(X)
        return in_rows(self.classes_[scores.argmax(2)], sequences.steps)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of steps whose label is right.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        """
        scores, sequences = self._output(X)
        found = np.concatenate(in_rows(self.classes_[scores.argmax(2)], sequences.steps))
        weight = check_weight(sample_weight, sequences)
        of_step = None if weight is None else np.repeat(weight, sequences.steps)
        return float(np.average(found == self._labels(y, sequences), weights=of_step))
