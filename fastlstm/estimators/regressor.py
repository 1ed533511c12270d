"""A number, or several, for each sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from fastlstm.estimators.base import Array, SequenceEstimator
from fastlstm.estimators.network import chosen
from fastlstm.estimators.sequences import Scale
from fastlstm.estimators.targets import check_given, check_weight
from fastlstm.losses import huber, mae, mse

LOSSES = {"squared_error": mse, "absolute_error": mae, "huber": huber}


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMRegressor(RegressorMixin, SequenceEstimator):
    """A number, or several, for each sequence: a recurrent network as an estimator of scikit-learn.

    Parameters
    ----------
    **shared
    pool : "last", "mean", "max" or "attention", default "last"
        How the outputs of all steps become one vector: what the layer ends with (of two directions, what each does),
        their mean or maximum, or a mean with learned weights.
    loss : "squared_error", "absolute_error" or "huber", default "squared_error"
        What is made small, of targets that are scaled.

    Attributes
    ----------
    model_ : Model
        The network. It takes and gives what is scaled: (n, T, F) in float32.
    input_scale_, target_scale_ : Scale or None
        The ``mean`` and ``deviation`` of each feature and each target; None with ``scale=False``.
    n_outputs_ : int
        Numbers for each sequence.
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
    >>> from fastlstm.estimators import LSTMRegressor
    >>> x = np.random.default_rng(0).normal(size=(80, 12))  # 12 steps of one feature
    >>> regressor = LSTMRegressor(16, random_state=0).fit(x, 10 * x[:, -3:].sum(1))
    >>> regressor.score(x, 10 * x[:, -3:].sum(1)) > 0.9
    True
    """

    pool: str = "last"
    loss: str = "squared_error"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from sequences and their numbers.

        Parameters
        ----------
        X : (n, T, F) numbers, list of (T_i, F) or (T_i,) arrays, or table (n, p)
            What a table means, `n_steps` says.
        y : (n,) or (n, k) numbers
        sample_weight : (n,) numbers, optional
            Weight of each sequence, from 0; by default 1.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If X, y or a weight does not fit or is not finite, or an argument of the constructor is not among what it
            may be.
        """
        return self._learn(X, y, sample_weight, once=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from these sequences for one epoch.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. The first call also decides about the scales.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As in `fit`.
        """
        return self._learn(X, y, sample_weight, once=True)

    def _learn(self, X: Any, y: Any, weight: Any, *, once: bool) -> Self:
        afresh = self._afresh(once)
        sequences = self._sequences(X, reset=afresh)
        check_given(self, sequences, y)
        given = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        target = given.reshape(len(given), -1)
        weight = check_weight(weight, sequences)
        if afresh:
            self.n_outputs_, self._flat = target.shape[1], given.ndim == 1
            self.target_scale_ = Scale.of(target, weight) if self.scale else None
        elif target.shape[1] != self.n_outputs_:
            raise ValueError(f"y: expected {self.n_outputs_} numbers for each sequence, got {target.shape[1]}")
        if self.target_scale_ is not None:
            target = (target - self.target_scale_.mean) / self.target_scale_.deviation
        return self._fit(sequences, target.astype(np.float32), weight, self.n_outputs_, afresh=afresh, once=once)

    def predict(self, X: Any) -> Array:
        """The numbers of each sequence, (n,) or (n, k), as y was.

        Parameters
        ----------
        X : as in `fit`
        """
        found, _ = self._output(X)
        if self.target_scale_ is not None:
            found = found * self.target_scale_.deviation + self.target_scale_.mean
        return found[:, 0] if self._flat else found

    def _loss(self) -> Any:
        return chosen(LOSSES, self.loss, "loss")
