"""What every loss is: the value, and its gradient by the predictions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import describe
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
        Of pred's shape, but where a loss says otherwise: whole numbers of pred's shape without its last axis for
        classes, fewer features for a density or quantiles, labels (N, S) for `ctc`.
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
    per_step_target : bool
        Whether the target's second axis are the steps of pred, where pred has steps.
    """

    registry: ClassVar[dict[str, Loss]] = {}
    per_step_target: ClassVar[bool] = True

    def __init__(self, kernel: Callable[..., float], doc: str, **options: Any) -> None:
        self.__doc__ = doc
        self.name = kernel.__name__
        self.options = options
        self.time = "mean"
        self._kernel = kernel
        Loss.registry.setdefault(self.name, self)

    def with_options(self, *, time: str | None = None, **options: Any) -> Self:
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
        other = copy.copy(self)
        other.options = {**self.options, **{key: self.as_option(key, value) for key, value in options.items()}}
        other.time = time or self.time
        return other

    def as_option(self, key: str, value: Any) -> Any:
        """An option's value, checked; a number above 0 unless the loss says otherwise."""
        _check.number(value, key, float(np.finfo(np.float32).tiny))
        return value

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
        array = _check.as_numbers(target, name, "fiub", "real numbers")
        _check.shape_of(array, name, shape)
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype)
        _check.finite(array if seen.all() else np.where(seen[..., None], array, 0), name)
        return array


def inside(array: Array, seen: Array, low: int, high: int, name: str) -> None:
    """Raise ValueError with the position of the first number that is seen and not from low to high."""
    refuse(array, seen & ((array < low) | (array > high)), name, f"{low} to {high}")


def refuse(array: Array, wrong: Array, name: str, expected: str) -> None:
    """Raise ValueError with the position of the first number that is wrong, if any is."""
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), array.shape)
        position = ", ".join(str(int(k)) for k in at)
        raise ValueError(f"{name}: expected {expected}, got {array[at]} at [{position}]")


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
