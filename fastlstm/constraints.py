"""Constraints: what a parameter is made to fulfil after each step of the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.named import Named

Array = NDArray[Any]


class Constraint(Named, family="constraint"):
    """Base of the constraints: a subclass is a frozen dataclass, and writes `apply`.

    Set it on a parameter, ``parameter.constraint = MaxNorm(2.0)``, or give a layer ``constraints={"weight": ...}``.
    """

    def apply(self, array: Array) -> None:
        """Change the numbers in place so that they fulfil the constraint.

        Parameters
        ----------
        array : array of the parameter's shape
        """
        raise NotImplementedError(f"{type(self).__name__} must write apply")

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise ValueError if it cannot serve a parameter of this name and shape.

        Parameters
        ----------
        name : str
        shape : tuple of int

        Raises
        ------
        ValueError
            If it cannot serve this parameter.
        """


@dataclass(frozen=True)
class NonNegative(Constraint):
    """Negative numbers become 0.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Dense(3, 2, constraints={"weight": "non_negative"}).parameter("weight").constraint
    NonNegative()
    """

    def apply(self, array: Array) -> None:
        np.maximum(array, 0, out=array)


class _OfNorms(Constraint, abstract=True):
    """Base of the constraints on the norms along an axis."""

    axis: int

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"axis: expected one of {name}, whose shape is {_check.describe(shape)}, got {self.axis}")

    def apply(self, array: Array) -> None:
        if array.ndim > 2:  # kernels of a convolution (O, I, K) are a matrix of I·K inputs
            array = array.reshape(len(array), -1)
        exact = array.astype(np.float64)
        largest = np.max(np.abs(exact), axis=self.axis, keepdims=True)
        exact /= np.where(largest > 0, largest, 1)  # no square is then too large, or too small, to be told
        scaled = np.sqrt(np.sum(np.square(exact), axis=self.axis, keepdims=True))
        norms = scaled * largest
        wanted = self._wanted(norms)
        changed = (wanted != norms) & (norms > 0)
        if changed.any():
            found = exact * np.divide(wanted, scaled, out=np.ones_like(norms), where=scaled > 0)
            np.copyto(array, found, where=changed, casting="same_kind")

    def _wanted(self, norms: Array) -> Array:
        """What these norms must become."""
        raise NotImplementedError(f"{type(self).__name__} must write wanted")


@dataclass(frozen=True)
class MaxNorm(_OfNorms):
    """Vectors whose Euclidean norm is above a limit are scaled down to it (Srebro and Shraibman 2005).

    Parameters
    ----------
    limit : float, default 2
        From 0 to 1e30.
    axis : int, default -1
        The axis along which a norm is taken. Matrices are (outputs, inputs), so that -1, the last axis, takes the
        weights that come into a unit, of a recurrent layer into a gate of a unit; of an embedding the vector of a
        token; of a bias the whole. 0 takes the weights that leave an input.

    Raises
    ------
    TypeError
        If limit is not a number, or axis not a whole one.
    ValueError
        If limit is not from 0 to 1e30, or axis not from -2 to 1; from a parameter, if it has no such axis.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> weight = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> fl.constraints.MaxNorm(1.0).apply(weight)
    >>> weight.round(3)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """

    limit: float = 2.0
    axis: int = -1

    def __post_init__(self) -> None:
        _check.number(self.limit, "limit", 0, 1e30)
        _check_axis(self.axis)

    def _wanted(self, norms: Array) -> Array:
        return np.minimum(norms, self.limit)


@dataclass(frozen=True)
class UnitNorm(_OfNorms):
    """Vectors are scaled to a Euclidean norm of 1; those of zeros stay as they are.

    Parameters
    ----------
    axis : int, default -1
        As in `MaxNorm`.

    Raises
    ------
    TypeError
        If axis is not a whole number.
    ValueError
        If axis is not from -2 to 1; from a parameter, if it has no such axis.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> weight = np.array([[3.0, 4.0], [0.0, 0.2]])
    >>> fl.constraints.UnitNorm().apply(weight)
    >>> weight.round(3)
    array([[0.6, 0.8],
           [0. , 1. ]])
    """

    axis: int = -1

    def __post_init__(self) -> None:
        _check_axis(self.axis)

    def _wanted(self, norms: Array) -> Array:
        return np.ones_like(norms)


@dataclass(frozen=True)
class MinMaxNorm(_OfNorms):
    """Vectors whose Euclidean norm is outside two limits are scaled to the nearer one; those of zeros stay.

    Parameters
    ----------
    low : float, default 0
        The lower limit, from 0 to 1e30.
    high : float, default 1
        The upper limit, from low to 1e30.
    axis : int, default -1
        As in `MaxNorm`.

    Raises
    ------
    TypeError
        If low or high is not a number, or axis not a whole one.
    ValueError
        If low or high is not from 0 to 1e30, high is below low, or axis is not from -2 to 1; from a parameter, if it
        has no such axis.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> weight = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> fl.constraints.MinMaxNorm(1.0, 2.5).apply(weight)
    >>> weight.round(3)
    array([[1.5, 2. ],
           [0.6, 0.8]])
    """

    low: float = 0.0
    high: float = 1.0
    axis: int = -1

    def __post_init__(self) -> None:
        _check.number(self.low, "low", 0, 1e30)
        _check.number(self.high, "high", 0, 1e30)
        if self.high < self.low:
            raise ValueError(f"high: expected at least low, {self.low:g}, got {self.high:g}")
        _check_axis(self.axis)

    def _wanted(self, norms: Array) -> Array:
        return np.clip(norms, self.low, self.high)


def _check_axis(axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"axis: expected a whole number, got {axis!r}")
    if not -2 <= axis <= 1:
        raise ValueError(f"axis: expected -2 to 1, got {axis}")
