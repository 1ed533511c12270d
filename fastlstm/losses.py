"""Losses: the value, and its gradient by the predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import describe
from fastlstm._kernels import losses as kernels
from fastlstm.workspace import Workspace

Array = NDArray[Any]


class Loss:
    """A loss over a batch, with a weight (or mask) for each sequence or step.

    Calling it gives the value and its gradient by the predictions::

        value, dpred = loss(pred, target, weight=None, workspace=None)

    Parameters of the call
    ----------------------
    pred : (N, F) or (N, T, F)
        float32 or float64.
    target : array
        Of pred's shape; for `softmax_cross_entropy` whole numbers of pred's shape without its last axis.
    weight : (N,) or (N, T), optional
        What each sequence or step counts, not negative. Where it is 0, neither prediction nor target is looked at.
    workspace : Workspace, optional
        Where the gradient then lies, until the next call with it; else it is a new array.

    The loss of one step is the mean over its features. With ``time="mean"``, the default, the value is the weighted
    mean over all steps of all sequences, so that it does not grow with T. With ``time="sum"``, the textbook's way,
    it is summed over the steps of each sequence, and averaged over the N sequences.

    Attributes
    ----------
    registry : dict
        All losses by name.
    """

    registry: ClassVar[dict[str, Loss]] = {}

    def __init__(self, kernel: Callable[..., float], doc: str, *, labels: bool = False, **options: float) -> None:
        self.__doc__ = doc
        self.name = kernel.__name__
        self.options = options
        self.time = "mean"
        self._kernel = kernel
        self._labels = labels
        Loss.registry.setdefault(self.name, self)

    def with_options(self, *, time: str | None = None, **options: float) -> Loss:
        """A copy that treats time otherwise ("mean" or "sum"), or has other numbers in its formula.

        >>> import fastlstm as fl
        >>> fl.huber.with_options(delta=0.5, time="sum")
        huber(time='sum', delta=0.5)
        """
        unknown = options.keys() - self.options.keys()
        if unknown:
            raise TypeError(f"{self.name} has no option {sorted(unknown)[0]!r}; it has {['time', *self.options]}")
        if time not in (None, "mean", "sum"):
            raise ValueError(f"time: expected 'mean' or 'sum', got {time!r}")
        for key, value in options.items():
            _check.number(value, key, float(np.finfo(np.float32).tiny))
        copy = Loss(self._kernel, self.__doc__ or "", labels=self._labels, **{**self.options, **options})
        copy.time = time or self.time
        return copy

    def __repr__(self) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        return f"{self.name}(time={self.time!r}{options})"

    def __call__(
        self, pred: Array, target: Any, weight: Any = None, workspace: Workspace | None = None
    ) -> tuple[float, Array]:
        pred = np.asarray(pred)
        if pred.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise TypeError(f"pred: expected float32 or float64, got {pred.dtype}")
        if pred.ndim not in (2, 3) or 0 in pred.shape:
            raise ValueError(f"pred: expected shape (N, F) or (N, T, F), got {describe(pred.shape)}")
        weights = step_weights(weight, pred.shape[:-1], pred.dtype)
        if not weights.any():
            raise ValueError("weight: expected at least one above 0, got none")
        wanted = self.as_target(target, pred.shape, weights != 0, pred.dtype)
        return self.prepared(np.ascontiguousarray(pred), wanted, weights, workspace or Workspace())

    def prepared(self, pred: Array, target: Array, weight: Array, workspace: Workspace) -> tuple[float, Array]:
        """The same for arrays that are known to be right, so that nothing is checked or allocated.

        All are contiguous and of pred's dtype, but for whole numbers; the target is from `as_target`, and there is a
        weight for each step. The gradient lies in the workspace.
        """
        dpred = workspace.array("dpred", pred.shape, pred.dtype)
        divisor = 0.0 if self.time == "mean" else float(len(weight))  # 0: the sum of the weights
        return self._kernel(pred, target, weight, dpred, divisor, *self.options.values()), dpred

    def normaliser(self, weights: Array) -> float:
        """What the weighted sum of the steps' losses is divided by: their weights, or the number of sequences."""
        return float(weights.sum(dtype=np.float64)) if self.time == "mean" else float(len(weights))

    def as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        """The target for predictions of this shape, checked where it is seen, (N,) or (N, T), and converted."""
        if self._labels:
            array = _check.as_numbers(target, name, "iu", "whole numbers")
            _check.shape_of(array, name, shape[:-1])
            self._inside(array, seen, 0, shape[-1] - 1, name)
            return np.ascontiguousarray(np.where(seen, array, 0), np.intp)
        array = _check.as_numbers(target, name, "fiub", "real numbers")
        _check.shape_of(array, name, shape)
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype)
        _check.finite(array if seen.all() else np.where(seen[..., None], array, 0), name)
        if self.name == "sigmoid_cross_entropy":
            self._inside(array, seen[..., None], 0, 1, name)
        return array

    @staticmethod
    def _inside(array: Array, seen: Array, low: int, high: int, name: str) -> None:
        outside = seen & ((array < low) | (array > high))
        if outside.any():
            at = np.unravel_index(int(outside.argmax()), array.shape)
            position = ", ".join(str(int(k)) for k in at)
            raise ValueError(f"{name}: expected {low} to {high}, got {array[at]} at [{position}]")


def step_weights(weight: Any, shape: tuple[int, ...], dtype: Any, name: str = "weight") -> Array:
    """Weight of every step, (N,) or (N, T), from None, (N,) or (N, T)."""
    if weight is None:
        return np.ones(shape, dtype)
    array = _check.as_numbers(weight, name, "fiub", "real numbers").astype(dtype)
    if array.shape == shape[:1]:
        array = np.broadcast_to(array.reshape(-1, *[1] * (len(shape) - 1)), shape)
    if array.shape != shape:
        either = " or ".join(dict.fromkeys(describe(s) for s in (shape[:1], shape)))
        raise ValueError(f"{name}: expected shape {either}, got {describe(array.shape)}")
    array = np.ascontiguousarray(array)
    _check.finite(array, name)
    if (array < 0).any():
        raise ValueError(f"{name}: expected no negative numbers, got {array.min()}")
    return array


mse = Loss(kernels.mse, "Squared error, (p - t)².")
mae = Loss(kernels.mae, "Absolute error, |p - t|.")
huber = Loss(
    kernels.huber,
    "Squared near zero, absolute beyond delta: d²/2 where |d| <= delta, delta·(|d| - delta/2) elsewhere (Huber 1964).",
    delta=1.0,
)
softmax_cross_entropy = Loss(
    kernels.softmax_cross_entropy, "-log softmax(p)[t] in nats, for scores p and a whole number t.", labels=True
)
sigmoid_cross_entropy = Loss(
    kernels.sigmoid_cross_entropy,
    "-t log s(p) - (1 - t) log(1 - s(p)) in nats, s the logistic function, for scores p and t from 0 to 1.",
)


def get(loss: Any) -> Loss | Callable[..., tuple[float, Array]]:
    """A loss by its name, or the callable itself."""
    if isinstance(loss, str):
        if loss not in Loss.registry:
            raise ValueError(f"loss: expected one of {sorted(Loss.registry)}, got {loss!r}")
        return Loss.registry[loss]
    if not callable(loss):
        raise TypeError(f"loss: expected a loss or its name, got {loss!r}")
    chosen: Loss | Callable[..., tuple[float, Array]] = loss
    return chosen
