"""Regularizers: penalties on the numbers of a parameter, or of a layer's outputs, that are added to the loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.named import Named

Array = NDArray[Any]


class Regularizer(Named, family="regularizer"):
    """Base of the regularizers: a subclass is a frozen dataclass, and writes `value` and `gradient`.

    Set it on a parameter, ``parameter.regularizer = L2(1e-4)``, or give a layer ``regularizers={"weight": ...}``.
    """

    def value(self, array: Array) -> float:
        """The penalty for these numbers.

        Parameters
        ----------
        array : array of any shape

        Returns
        -------
        float
        """
        raise NotImplementedError(f"{type(self).__name__} must write value")

    def gradient(self, array: Array) -> Array:
        """The gradient of the penalty with respect to each number.

        Parameters
        ----------
        array : array of any shape

        Returns
        -------
        array of this shape
            A new one.
        """
        raise NotImplementedError(f"{type(self).__name__} must write gradient")


@dataclass(frozen=True)
class L1(Regularizer):
    """rate · Σ|w|, which draws weights to exactly 0 (Tibshirani 1996).

    Parameters
    ----------
    rate : float, default 0.01
        From 0 to 1e30.

    Raises
    ------
    TypeError
        If rate is not a number.
    ValueError
        If rate is not from 0 to 1e30.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.regularizers.L1(0.5).value(np.array([1.0, -3.0]))
    2.0
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        _check.number(self.rate, "rate", 0, 1e30)

    def value(self, array: Array) -> float:
        return float(self.rate * np.sum(np.abs(array), dtype=np.float64))

    def gradient(self, array: Array) -> Array:
        return np.asarray(np.sign(array) * array.dtype.type(self.rate))


@dataclass(frozen=True)
class L2(Regularizer):
    """rate · Σw², as in Keras; weight decay of 2 · rate in plain gradient descent (Krogh and Hertz 1992).

    Parameters
    ----------
    rate : float, default 0.01
        From 0 to 1e30.

    Raises
    ------
    TypeError
        If rate is not a number.
    ValueError
        If rate is not from 0 to 1e30.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.regularizers.L2(0.5).value(np.array([1.0, -3.0]))
    5.0
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        _check.number(self.rate, "rate", 0, 1e30)

    def value(self, array: Array) -> float:
        return float(self.rate * np.sum(np.square(array), dtype=np.float64))

    def gradient(self, array: Array) -> Array:
        return np.asarray(array * array.dtype.type(2 * self.rate))


@dataclass(frozen=True)
class L1L2(Regularizer):
    """l1 · Σ|w| + l2 · Σw², the elastic net (Zou and Hastie 2005).

    Parameters
    ----------
    l1 : float, default 0.01
        From 0 to 1e30.
    l2 : float, default 0.01
        From 0 to 1e30.

    Raises
    ------
    TypeError
        If l1 or l2 is not a number.
    ValueError
        If l1 or l2 is not from 0 to 1e30.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.regularizers.L1L2(l1=0.5, l2=0.5).value(np.array([1.0, -3.0]))
    7.0
    """

    l1: float = 0.01
    l2: float = 0.01

    def __post_init__(self) -> None:
        _check.number(self.l1, "l1", 0, 1e30)
        _check.number(self.l2, "l2", 0, 1e30)

    def value(self, array: Array) -> float:
        return L1(self.l1).value(array) + L2(self.l2).value(array)

    def gradient(self, array: Array) -> Array:
        return np.asarray(L1(self.l1).gradient(array) + L2(self.l2).gradient(array))


class _Regularized(Protocol):
    """What is asked of a `fastlstm.Parameter` here."""

    @property
    def regularizer(self) -> Regularizer | None: ...
    @property
    def trainable(self) -> bool: ...
    @property
    def grad(self) -> Array: ...
    def read(self) -> Array: ...


def penalty(parameters: Iterable[_Regularized]) -> float:
    """The sum of the penalties of all parameters, for a training loop of one's own; a `Trainer` adds it by itself.

    Parameters
    ----------
    parameters : iterable of Parameter
        Frozen ones do not count.

    Returns
    -------
    float

    Examples
    --------
    >>> import fastlstm as fl
    >>> layer = fl.Dense(2, 3, init={"weight": "ones"}, regularizers={"weight": fl.regularizers.L2(0.5)})
    >>> fl.regularizers.penalty(layer.parameters())
    3.0
    """
    parameters = _listed(parameters)
    return sum((p.regularizer.value(p.read()) for p in parameters if p.trainable and p.regularizer), 0.0)


def add_gradients(parameters: Iterable[_Regularized], scale: float = 1.0) -> None:
    """Add the gradients of the penalties to those of the parameters.

    Parameters
    ----------
    parameters : iterable of Parameter
        Frozen ones do not count.
    scale : float, default 1
        The gradients of the penalties are multiplied by it.
    """
    for parameter in _listed(parameters):
        if parameter.trainable and parameter.regularizer:
            grad, own = parameter.grad, parameter.regularizer.gradient(parameter.read())
            grad += own if scale == 1 else own * own.dtype.type(scale)


def _listed(parameters: Any) -> list[_Regularized]:
    found = _check.items(parameters, "parameters", "those of a model, model.parameters()")
    for one in found:
        if not hasattr(one, "regularizer"):
            raise TypeError(f"parameters: expected those of a model, model.parameters(), got {one!r:.80}")
    return found
