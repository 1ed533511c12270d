"""The names of the metrics."""

from __future__ import annotations

import re
from typing import Any

from fastlstm.hints import METRICS as METRICS_OF_OTHERS
from fastlstm.metrics.base import Function, Measure
from fastlstm.metrics.classification import accuracy, auc, bits_per_character, f1, perplexity, top_k
from fastlstm.metrics.edit import label_error_rate
from fastlstm.metrics.regression import mae, mase, mse, rmse, smape
from fastlstm.named import plain

Metric = Function | Measure
"""A metric: a function of (pred, target, weights) that returns a number, or a `Measure`."""

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "auc": auc,
    "bits_per_character": bits_per_character,
    "f1": f1(),
    "f1_binary": f1("binary"),
    "f1_micro": f1("micro"),
    "label_error_rate": label_error_rate(),
    "mae": mae,
    "mse": mse,
    "perplexity": perplexity,
    "rmse": rmse,
    "smape": smape,
}
"""Metrics that a `Trainer` knows by name."""
NOT_YET = (f1, label_error_rate, mase, top_k)
"""Functions that return a metric, but are none themselves."""


def get(metric: Any) -> tuple[str, Metric]:
    """The name of a metric, and the metric.

    Parameters
    ----------
    metric : str, function or Measure
        One of the names in `METRICS`, also as Keras has it, a name such as ``"top_5"``, or a metric itself.

    Returns
    -------
    name : str
    metric : function or Measure

    Raises
    ------
    ValueError
        If there is no metric of this name.
    TypeError
        If it is neither a name nor a metric: also for a function that returns one, such as `top_k`.
    """
    if isinstance(metric, str):
        top = re.fullmatch(r"top_([1-9]\d*)", metric)
        if top:
            return metric, top_k(int(top[1]))
        metric = METRICS_OF_OTHERS.get(plain(metric), metric)
        if metric not in METRICS:
            raise ValueError(f"metrics: expected some of {sorted([*METRICS, 'top_k for a number k'])}, got {metric!r}")
        return metric, METRICS[metric]
    if isinstance(metric, Measure):
        return metric.name, metric
    if not callable(metric):
        raise TypeError(f"metrics: expected names or functions, got {metric!r}")
    if metric in NOT_YET or isinstance(metric, type):
        raise TypeError(f"metrics: expected {metric.__name__}(...), got {metric.__name__} itself; call it")
    return getattr(metric, "__name__", type(metric).__name__), metric
