"""The base of the losses: a value and its gradient by the predictions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints
from fastlstm._check import describe
from fastlstm.named import plain
from fastlstm.workspace import Workspace

Array = NDArray[Any]


class Loss:
    """A loss over a batch, with a weight (or mask) for each sequence or step.

    Calling it gives the value and its gradient by the predictions, see `__call__`::

        value, dpred = loss(pred, target, weight=None, workspace=None)

    The loss of one step is the mean over its features. With ``time="mean"``, the default, the value is the weighted
    mean over all steps of all sequences, so that it does not grow with T. With ``time="sum"``, the textbook's way,
    the loss is summed over the steps of each sequence, and averaged over the N sequences.

    Parameters
    ----------
    kernel : function
        Computes the value and writes the gradient. Its name is that of the loss.
    doc : str
        The docstring.
    **options : numbers
        The numbers in the formula, with their defaults, in the order in which the kernel takes them.

    Attributes
    ----------
    name : str
    time : "mean" or "sum"
    options : dict
    registry : dict
        All losses by name.
    _per_step_target : bool
        Whether the second axis of the target is that of the steps, if pred has steps.
    """

    registry: ClassVar[dict[str, Loss]] = {}
    _per_step_target: ClassVar[bool] = True

    def __init__(self, kernel: Callable[..., float], doc: str, **options: Any) -> None:
        self.__doc__ = doc
        self.name = kernel.__name__
        self.options = options
        self.time = "mean"
        self._kernel = kernel
        Loss.registry.setdefault(self.name, self)

    def with_options(self, *, time: str | None = None, **options: Any) -> Self:
        """A copy of the loss with other options.

        Parameters
        ----------
        time : "mean" or "sum", optional
            How the steps are put together, see `Loss`; None leaves it as it is.
        **options
            Other numbers in the formula, such as ``delta`` of `huber`.

        Raises
        ------
        TypeError
            If the loss has no such option, or a value is of the wrong type.
        ValueError
            If a value is outside its range.

        Examples
        --------
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
        other.options = {**self.options, **{key: self._as_option(key, value) for key, value in options.items()}}
        other.time = time or self.time
        return other

    def _as_option(self, key: str, value: Any) -> Any:
        """The value of an option, checked. It is a number above 0 unless a loss defines it otherwise.

        Parameters
        ----------
        key : str
            The option's name.
        value : float

        Raises
        ------
        TypeError
            If it is not a number.
        ValueError
            If it is not above 0, or NaN.
        """
        _check.number(value, key, float(np.finfo(np.float32).tiny))
        return value

    def __repr__(self) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        return f"{self.name}(time={self.time!r}{options})"

    def __call__(
        self, pred: Array, target: Any, weight: Any = None, workspace: Workspace | None = None
    ) -> tuple[float, Array]:
        """The value of the loss and its gradient by the predictions.

        Parameters
        ----------
        pred : (N, F) or (N, T, F)
            Predictions, float32 or float64.
        target : array
            Of pred's shape, unless the loss defines it otherwise: whole numbers of pred's shape without its last axis
            for classes, fewer features for densities and quantiles, labels (N, S) for `ctc`.
        weight : (N,) or (N, T), optional
            What each sequence or step counts, from 0; by default 1. Where it is 0, predictions and targets may be
            anything. A weight below the smallest normal number of pred's dtype, 1.2e-38 of float32, is 0.
        workspace : Workspace, optional
            Holds the gradient until the next call with it. By default the gradient is a new array.

        Returns
        -------
        value : float
        dpred : array
            Of pred's shape and dtype.

        Raises
        ------
        TypeError
            If pred is not float32 or float64, or the target or weight are not numbers of the right kind.
        ValueError
            If a shape does not fit, a target or weight that counts is not finite or outside its range, or no weight is
            above 0.
        """
        pred = _check.as_array(pred, "pred")
        if pred.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise TypeError(f"pred: expected float32 or float64, got {pred.dtype}")
        if pred.ndim not in (2, 3) or 0 in pred.shape:
            raise ValueError(f"pred: expected shape (N, F) or (N, T, F), got {describe(pred.shape)}")
        weights = step_weights(weight, pred.shape[:-1], pred.dtype)
        if not weights.any():
            raise ValueError("weight: expected at least one above 0, got none")
        wanted = self._as_target(target, pred.shape, weights != 0, pred.dtype)
        return self._prepared(np.require(pred, None, ["C", "A"]), wanted, weights, workspace or Workspace())

    def _prepared(self, pred: Array, target: Array, weight: Array, workspace: Workspace) -> tuple[float, Array]:
        """The same as a call, but for arrays that have been checked: it checks and allocates nothing.

        Parameters
        ----------
        pred : (N, F) or (N, T, F)
            Contiguous and aligned.
        target : array
            As `_as_target` gives it.
        weight : (N,) or (N, T)
            One for each step, contiguous and of pred's dtype.
        workspace : Workspace
            Holds the gradient.

        Returns
        -------
        value : float
        dpred : array
        """
        dpred = workspace.array("dpred", pred.shape, pred.dtype)
        divisor = 0.0 if self.time == "mean" else float(len(weight))  # 0: the sum of the weights
        return self._kernel(pred, target, weight, dpred, divisor, *self.options.values()), dpred

    def _normaliser(self, weights: Array) -> float:
        """The divisor of the weighted sum over all steps: the sum of their weights, or the number of sequences.

        Parameters
        ----------
        weights : (N, T)
            Weights of the steps.
        """
        return float(weights.sum(dtype=np.float64)) if self.time == "mean" else float(len(weights))

    def _as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        """The target, checked and converted.

        Parameters
        ----------
        target : array
        shape : tuple of int
            Of the predictions.
        seen : (N,) or (N, T) bool
            Where the target counts; it is checked only there.
        dtype : dtype
            Of the predictions.
        name : str, default "target"
            What errors call the target.

        Returns
        -------
        array
            Contiguous and aligned, of the dtype that the kernel takes.

        Raises
        ------
        TypeError
            If the target is not of numbers of the right kind.
        ValueError
            If its shape does not fit, or a number that counts is not finite or outside its range.
        """
        array = _check.as_numbers(target, name, "fiub", "real numbers")
        if array.shape == shape[:-1] and shape[-1] == 1:
            array = array[..., None]
        _check.shape_of(array, name, shape)
        with np.errstate(over="ignore"):
            array = np.require(array, dtype, ["C", "A"])  # contiguous and aligned, as the kernels need it
        _check.finite(array if seen.all() else np.where(seen[..., None], array, 0), name)
        return array


def described(formula: str, target: str, options: str = "", outputs: str = "") -> str:
    """The docstring of a loss: its formula, target, options beside ``time``, and outputs for each feature."""
    return f"""{formula}

Other Parameters
----------------
time : "mean" or "sum", default "mean"
    How the steps are put together, see `Loss`.
{options}
Parameters
----------
pred : (N, {outputs}F) or (N, T, {outputs}F)
    Predictions, float32 or float64.
target : {target}
weight : (N,) or (N, T), optional
    What each sequence or step counts, from 0; by default 1.
workspace : Workspace, optional
    Holds the gradient until the next call with it.

Returns
-------
value : float
dpred : array of pred's shape

Raises
------
TypeError, ValueError
    As in `Loss.__call__`.
"""


def inside(array: Array, seen: Array, low: int, high: int, name: str) -> None:
    """Raise ValueError with the position of the first number that counts and is not from low to high."""
    refuse(array, seen & ((array < low) | (array > high)), name, f"{low} to {high}")


def refuse(array: Array, wrong: Array, name: str, expected: str) -> None:
    """Raise ValueError with the position of the first number that is wrong, if any is."""
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), array.shape)
        position = ", ".join(str(int(k)) for k in at)
        raise ValueError(f"{name}: expected {expected}, got {array[at]} at [{position}]")


def step_weights(weight: Any, shape: tuple[int, ...], dtype: Any, name: str = "weight") -> Array:
    """The weight of every step.

    Parameters
    ----------
    weight : (N,) or (N, T), optional
        From 0; that of a sequence is the weight of all its steps. By default 1 everywhere. A subnormal one becomes 0,
        as which the kernels count it.
    shape : (N,) or (N, T)
        The shape that is wanted.
    dtype : dtype
    name : str, default "weight"
        What errors call the weights.

    Returns
    -------
    array of that shape and dtype

    Raises
    ------
    TypeError
        If the weights are not real numbers.
    ValueError
        If their shape does not fit, or one is negative or not finite.
    """
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
    return np.where(array < np.finfo(dtype).tiny, 0, array)


def get(loss: Any) -> Loss | Callable[..., tuple[float, Array]]:
    """A loss by its name.

    Parameters
    ----------
    loss : str, Loss or function
        A name, in any case, also one that Keras or PyTorch has for the same loss, such as "MeanSquaredError". A `Loss`,
        or a function of (pred, target, weight), is returned as it is.

    Returns
    -------
    Loss or function

    Raises
    ------
    ValueError
        If there is no loss of this name.
    TypeError
        If it is neither a name nor a function, or one of PyTorch's or Keras'.
    """
    if isinstance(loss, str):
        return _named(loss, repr(loss))
    if not callable(loss):
        raise TypeError(f"loss: expected a loss or its name, got {loss!r}")
    if str(getattr(loss, "__module__", "")).startswith(("torch.", "keras.", "sklearn.")):
        name = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(f"loss: expected one of fastlstm, got {name} of another package{_hint(name)}")
    chosen: Loss | Callable[..., tuple[float, Array]] = loss
    return chosen


def _named(name: str, got: str) -> Loss:
    """The loss of a name, in any case, or of one that others have for it."""
    known = {plain(one): loss for one, loss in Loss.registry.items()}
    word = plain(name)
    found = known.get(plain(hints.LOSSES.get(word, word)))
    if found is None:
        raise ValueError(f"loss: expected one of {sorted(Loss.registry)}, got {got}{_hint(name)}")
    return found


def _hint(name: str) -> str:
    """What a loss of another package is here."""
    word = plain(name)
    ours = hints.OTHER_LOSSES.get(word) or (repr(hints.LOSSES[word]) if word in hints.LOSSES else None)
    return "" if ours is None else f"; here: {ours}"
