"""From scores to probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import activations as kernels


def softmax(x: Any) -> NDArray[Any]:
    """exp(x) / sum of exp(x) over the last axis: scores of classes to their probabilities.

    Parameters
    ----------
    x : (..., classes)
        float32 stays float32; all else becomes float64.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.softmax([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    array = _as_real(x)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"x: expected at least one class, got shape {_check.describe(array.shape)}")
    y = np.empty_like(array)
    kernels.softmax(array.reshape(-1, array.shape[-1]), y.reshape(-1, array.shape[-1]))
    return y


def sigmoid(x: Any) -> NDArray[Any]:
    """1 / (1 + exp(-x)), element by element: scores of yes or no to the probability of yes.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.sigmoid([0.0, 1000.0])
    array([0.5, 1. ])
    """
    array = _as_real(x)
    y = np.empty_like(array)
    kernels.activate("sigmoid", array.reshape(-1), y.reshape(-1))
    return y


def _as_real(x: Any) -> NDArray[Any]:
    array = _check.as_numbers(x, "x", "fiub", "real numbers")
    return np.asarray(array, np.float32 if array.dtype == np.float32 else np.float64, order="C")
