"""The base of the metrics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]
Function = Callable[..., float]


class Measure:
    """Base of the metrics that are not a mean over steps. They gather what they need from all batches of an epoch.

    A subclass has a ``name`` and the five methods `start`, `update`, `value`, `state` and `restore`. Calling a measure
    measures a single batch. A trainer works on copies, so that one object may serve a training and its validation.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.metrics import Measure
    >>> class Largest(Measure):
    ...     name = "largest_error"
    ...     def start(self):
    ...         self.largest = np.zeros(1)
    ...     def update(self, pred, target, weights):
    ...         error = np.abs(pred - target).max(-1)
    ...         self.largest = np.maximum(self.largest, error[weights > 0].max())
    ...     def value(self):
    ...         return float(self.largest[0])
    ...     def state(self):
    ...         return {"largest": self.largest}
    ...     def restore(self, state):
    ...         self.largest = state["largest"]
    >>> Largest()(np.array([[1.0], [5.0]]), np.array([[2.0], [2.0]]))
    3.0
    """

    name: str

    def start(self) -> None:
        """Forget all batches."""
        raise NotImplementedError

    def update(self, pred: Array, target: Array, weights: Array) -> None:
        """Add a batch.

        Parameters
        ----------
        pred : (N, F) or (N, T, F)
            What the model gives.
        target : array
        weights : (N,) or (N, T)
            What each step counts, from 0.
        """
        raise NotImplementedError

    def value(self) -> float:
        """The measure of all batches since the start; NaN if no step has a weight above 0."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """What `restore` needs to go on from here: arrays by name, with the same names at any time."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from the arrays that `state` has returned.

        Parameters
        ----------
        state : dict of arrays
        """
        raise NotImplementedError

    def merge(self, state: Mapping[str, Array]) -> None:
        """Add what another measure of the same kind has gathered. Only trainings on several ranks need it.

        Parameters
        ----------
        state : dict of arrays
            What `state` of the other one has returned.

        Raises
        ------
        NotImplementedError
            If the class has not written it.
        """
        raise NotImplementedError(f"metrics: {self.name} cannot be put together from several ranks: write merge")

    def __call__(self, pred: Array, target: Array, weights: Array | None = None) -> float:
        """The measure of a single batch.

        Parameters
        ----------
        pred : (N, F) or (N, T, F)
            What the model gives.
        target : array
        weights : (N,) or (N, T), optional
            What each sequence or step counts, from 0; by default 1.

        Returns
        -------
        float
            NaN if no weight is above 0.

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        own = copy.deepcopy(self)
        own.start()
        own.update(pred, target, step_weights(pred, weights))
        return own.value()

    def __repr__(self) -> str:
        return f"<metric {self.name}>"


class Mean(Measure):
    """A weighted mean over all steps of all batches, or a function of that mean.

    Parameters
    ----------
    function : function of (pred, target, weights)
        Returns the weighted mean over the steps of one batch.
    name : str, optional
        By default the name of the function.
    then : function of a float, optional
        Is applied to the mean over all batches, such as the square root for a root mean square.
    doc : str, optional
        The docstring; by default that of the function.
    """

    def __init__(
        self,
        function: Function,
        name: str | None = None,
        then: Callable[[float], float] | None = None,
        doc: str | None = None,
    ) -> None:
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self.__doc__ = doc or function.__doc__
        self._function, self._then = function, then
        self.start()

    def start(self) -> None:
        self._sums = np.zeros(2)

    def update(self, pred: Array, target: Array, weights: Array) -> None:
        counted = float(weights.sum(dtype=np.float64))
        if counted:
            found = _check.scalar(self._function(pred, target, weights), f"metric {self.name}")
            self._sums += [found * counted, counted]

    def value(self) -> float:
        total, counted = self._sums.tolist()
        if not counted:
            return math.nan
        return total / counted if self._then is None else self._then(total / counted)

    def state(self) -> dict[str, Array]:
        return {"sums": self._sums.copy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._sums = np.array(state["sums"], np.float64)

    def merge(self, state: Mapping[str, Array]) -> None:
        self._sums = self._sums + state["sums"]


def step_weights(pred: Array, weights: Array | None) -> Array:
    """The weight of every step.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
    weights : (N,) or (N, T), optional
        The weight of a sequence is that of all its steps. By default 1 everywhere.

    Returns
    -------
    (N,) or (N, T)

    Raises
    ------
    TypeError
        If pred is no array.
    ValueError
        If the shape of the weights does not fit.
    """
    _check.instance(pred, np.ndarray, "pred", "an array")
    shape = pred.shape[:-1]
    if weights is None:
        return np.ones(shape)
    weights = np.asarray(weights)
    if weights.shape == shape[:1]:
        weights = np.broadcast_to(weights.reshape(-1, *[1] * (len(shape) - 1)), shape)
    _check.shape_of(weights, "weights", shape)
    return weights
