"""The norm of gradients, and what keeps them small."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import optim as kernels
from fastlstm.parameter import Parameter, parameters_of

Array = NDArray[Any]


def grad_norm(parameters: Iterable[Parameter]) -> float:
    """The Euclidean norm of all gradients together.

    Parameters
    ----------
    parameters : iterable of Parameter

    Returns
    -------
    float
        0 if there are none; infinite or NaN if a gradient is.
    """
    return math.hypot(*[blocks.norm() for blocks in _grads(parameters)])


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients so that the Euclidean norm of all together is at most max_norm (Pascanu et al. 2013).

    Parameters
    ----------
    parameters : iterable of Parameter
    max_norm : float
        From 0.

    Returns
    -------
    float
        The norm before the scaling. If it is not finite, nothing is scaled.

    Raises
    ------
    TypeError
        If max_norm is not a number.
    ValueError
        If max_norm is negative or NaN.
    """
    max_norm = _check.number(max_norm, "max_norm", 0)
    parameters = parameters_of(parameters)
    norm = grad_norm(parameters)
    if max_norm < norm < np.inf:
        for blocks in _grads(parameters):
            blocks.update(kernels.SCALE, (), max_norm / norm)
    return norm


def clip_grad_value(parameters: Iterable[Parameter], max_value: float) -> None:
    """Limit every number of all gradients to the range from -max_value to max_value (Graves 2013).

    Parameters
    ----------
    parameters : iterable of Parameter
    max_value : float
        From 0.

    Raises
    ------
    TypeError
        If max_value is not a number.
    ValueError
        If max_value is negative or NaN.
    """
    max_value = _check.number(max_value, "max_value", 0)
    for parameter in filter(_is_trained, parameters_of(parameters)):
        grad = parameter.grad
        np.clip(grad, -max_value, max_value, out=grad)


def _grads(parameters: Iterable[Parameter]) -> list[kernels.Blocks]:
    """The gradients, as one table of the kernel for each dtype."""
    by_dtype: dict[Any, list[Array]] = {}
    for parameter in filter(_is_trained, parameters_of(parameters)):
        grad = parameter.grad
        by_dtype.setdefault(grad.dtype, []).append(grad)
    return [kernels.Blocks(grads, 1) for grads in by_dtype.values()]


def _is_trained(parameter: Parameter) -> bool:
    return parameter.trainable
