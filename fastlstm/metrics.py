"""Metrics: functions of (pred, target, weights) that give a mean over the steps, weighted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]
Metric = Callable[[Array, Array, Array], float]


def accuracy(pred: Array, target: Array, weights: Array) -> float:
    """Share of right answers.

    Where the target holds whole numbers of pred's shape without its last axis, the class of the highest score counts;
    where it has pred's own shape, each score by its sign: above 0 means 1.
    """
    if target.shape == pred.shape:
        right = ((pred > 0) == (target > 0.5)).mean(-1)
    else:
        _check.shape_of(target, "target", pred.shape[:-1])
        right = pred.argmax(-1) == target
    return float(np.average(right, weights=weights))


def mae(pred: Array, target: Array, weights: Array) -> float:
    """Mean absolute error."""
    return float(np.average(np.abs(_difference(pred, target, weights)).mean(-1), weights=weights))


def mse(pred: Array, target: Array, weights: Array) -> float:
    """Mean squared error."""
    return float(np.average(np.square(_difference(pred, target, weights)).mean(-1), weights=weights))


def _difference(pred: Array, target: Array, weights: Array) -> Array:
    """pred - target, 0 where it does not count, whatever stands there."""
    _check.shape_of(target, "target", pred.shape)
    return np.subtract(pred, target, where=weights[..., None] != 0, out=np.zeros(pred.shape))


METRICS: dict[str, Metric] = {"accuracy": accuracy, "mae": mae, "mse": mse}


def get(metric: Any) -> tuple[str, Metric]:
    """Name and function, from either."""
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(f"metrics: expected some of {sorted(METRICS)}, got {metric!r}")
        return metric, METRICS[metric]
    if not callable(metric):
        raise TypeError(f"metrics: expected names or functions, got {metric!r}")
    return getattr(metric, "__name__", type(metric).__name__), metric
