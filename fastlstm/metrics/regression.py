"""Errors of predicted numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.metrics.base import Mean, Measure, step_weights

Array = NDArray[Any]


def mae(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Mean absolute error, in the units of the target.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
        Predictions.
    target : array of pred's shape
        True values.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a shape does not fit.
    ZeroDivisionError
        If no weight is above 0.
    """
    weights = step_weights(pred, weights)
    return _average(np.abs(_difference(pred, target, weights)), weights)


def mse(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Mean squared error, in the squared units of the target.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
        Predictions.
    target : array of pred's shape
        True values.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a shape does not fit.
    ZeroDivisionError
        If no weight is above 0.
    """
    weights = step_weights(pred, weights)
    return _average(np.square(_difference(pred, target, weights)), weights)


rmse: Measure = Mean(
    mse,
    "rmse",
    math.sqrt,
    """Root mean squared error over all batches, in the units of the target.

Parameters
----------
pred : (N, F) or (N, T, F)
    Predictions.
target : array of pred's shape
    True values.
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
""",
)


def smape(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Symmetric mean absolute percentage error: mean of ``200·|p - t| / (|p| + |t|)``, from 0 to 200.

    A step where both are 0 counts 0. This is the form of the M4 competition (Makridakis et al. 2020). Give it numbers
    on their own scale, not standardised ones.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
        Predictions.
    target : array of pred's shape
        True values.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a shape does not fit.
    ZeroDivisionError
        If no weight is above 0.
    """
    weights = step_weights(pred, weights)
    error = np.abs(_difference(pred, target, weights))
    size = np.add(np.abs(pred), np.abs(target), where=weights[..., None] != 0, out=np.zeros(pred.shape))
    return _average(200 * np.divide(error, size, where=size > 0, out=np.zeros(pred.shape)), weights)


def seasonal_scale(train: Any, season: int = 1) -> Array:
    """Mean absolute error of a forecast that repeats the last season: what `mase` divides by.

    Parameters
    ----------
    train : (T,) or (T, F) numbers
        The series of the training, in order of time, on the scale of the predictions.
    season : int, default 1
        Steps of a season, such as 12 for months or 24 for hours; 1 repeats the last value.

    Returns
    -------
    (F,) floats, or an array without axes for a series (T,)

    Raises
    ------
    TypeError
        If train is not of real numbers, or season is not a whole number.
    ValueError
        If season is below 1, the shape of train does not fit, or train has no more than season steps.
    """
    season = _check.positive_int(season, "season")
    values = _check.as_numbers(train, "train", "fiub", "real numbers").astype(np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"train: expected shape (T,) or (T, F), got {_check.describe(values.shape)}")
    if len(values) <= season:
        raise ValueError(f"train: expected more than season = {season} steps, got {len(values)}")
    return np.asarray(np.abs(values[season:] - values[:-season]).mean(0))


def mase(scale: Any = None, *, train: Any = None, season: int = 1) -> Measure:
    """Mean absolute scaled error: the mean absolute error divided by that of a naive forecast over the training series.

    Below 1 is better than a forecast that repeats the last season (Hyndman and Koehler 2006).

    Parameters
    ----------
    scale : float or (F,) floats, optional
        The divisor: one number, or one for each feature. Give either scale or train.
    train : (T,) or (T, F) numbers, optional
        The series of the training: the scale is then ``seasonal_scale(train, season)``.
    season : int, default 1
        Steps of a season; used with train only.

    Returns
    -------
    Measure

    Raises
    ------
    TypeError
        As in `seasonal_scale`.
    ValueError
        If both scale and train are given, or neither; if a scale is not above 0; or as in `seasonal_scale`. From the
        measure, if a shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import metrics
    >>> error = metrics.mase(train=[1.0, 3, 5, 7])
    >>> error(np.array([[9.0]]), np.array([[8.0]]))
    0.5
    """
    if (scale is None) == (train is None):
        raise ValueError("mase: expected either scale or train, got " + ("neither" if scale is None else "both"))
    scales = seasonal_scale(train, season) if scale is None else _check.as_numbers(scale, "scale", "fiu", "numbers")
    if scales.ndim > 1 or not (np.isfinite(scales) & (scales > 0)).all():
        what = "scale" if train is None else "train: a series that changes, so that its scale is"
        raise ValueError(f"{what}: expected a number above 0, or one for each feature, got {scales.tolist()}")

    def scaled(pred: Array, target: Array, weights: Array | None = None) -> float:
        """Mean absolute error, divided by the scale of each feature."""
        weights = step_weights(pred, weights)
        if scales.ndim and len(scales) != pred.shape[-1]:
            raise ValueError(f"scale: expected {pred.shape[-1]} numbers, one for each feature, got {len(scales)}")
        return _average(np.abs(_difference(pred, target, weights)) / scales, weights)

    return Mean(scaled, "mase")


def _difference(pred: Array, target: Array, weights: Array) -> Array:
    """pred - target, and 0 where the weight is 0."""
    _check.shape_of(np.asarray(target), "target", pred.shape)
    return np.subtract(pred, target, where=weights[..., None] != 0, out=np.zeros(pred.shape))


def _average(errors: Array, weights: Array) -> float:
    """Mean over the features, and by weight over the steps."""
    return float(np.average(errors.mean(-1), weights=weights))
