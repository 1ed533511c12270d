"""Metrics: functions of (pred, target, weights) that give a mean over the steps, weighted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Metric = Callable[[Array, Array, Array], float]


def accuracy(pred: Array, target: Array, weights: Array) -> float:
    """Share of steps whose highest score is the target's; with a single score, whose sign tells 1 from 0."""
    if pred.shape[-1] == 1:
        right = (pred[..., 0] > 0) == (target.reshape(pred.shape[:-1]) > 0.5)
    else:
        right = pred.argmax(-1) == target
    return float(np.average(right, weights=weights))


def mae(pred: Array, target: Array, weights: Array) -> float:
    """Mean absolute error."""
    return float(np.average(np.abs(_seen(pred - target, weights)).mean(-1), weights=weights))


def mse(pred: Array, target: Array, weights: Array) -> float:
    """Mean squared error."""
    return float(np.average(np.square(_seen(pred - target, weights)).mean(-1), weights=weights))


def _seen(difference: Array, weights: Array) -> Array:
    return np.where(weights[..., None] != 0, difference, 0)


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
