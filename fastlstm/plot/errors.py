"""A picture of what a regression says beside what is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.plot.figure import COLORS, INK, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]


def prediction_error_figure(
    target: Any, pred: Any, names: Sequence[str] | None = None, *, title: str = "", label: str = "value"
) -> Figure:
    """True numbers over predicted ones: a dot for each, and a line where they are the same.

    Parameters
    ----------
    target : (N,) or (N, K) numbers
        The true ones. NaN is left out.
    pred : numbers of target's shape
    names : (K,) str, optional
        Names of the K numbers, each of which has a panel of its own; by default none.
    title : str, default ""
    label : str, default "value"
        What is predicted, and its unit.

    Returns
    -------
    matplotlib.figure.Figure
        The title of a panel has the mean absolute error and R², the share of the variance that is explained.

    Raises
    ------
    TypeError
        If target or pred are not numbers.
    ValueError
        If the shapes do not fit, there are too few names, or all of a column is missing.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import prediction_error_figure
    >>> figure = prediction_error_figure([1.0, 2.0, 3.0], [1.0, 2.5, 3.0], label="metres")
    >>> figure.axes[0].get_title(loc="left")
    'MAE 0.1667, R² 0.875'
    """
    truth = _check.as_numbers(target, "target", "fiu", "real numbers").astype(np.float64)
    told = _check.as_numbers(pred, "pred", "fiu", "real numbers").astype(np.float64)
    _check.shape_of(truth, "target", ("N",) if truth.ndim == 1 else ("N", "K"))
    _check.shape_of(told, "pred", truth.shape)
    truth, told = truth.reshape(len(truth), -1), told.reshape(len(truth), -1)
    columns = truth.shape[1]
    called = [""] * columns if names is None else [str(name) for name in _check.items(names, "names", "names")]
    if len(called) != columns:
        raise ValueError(f"names: expected {columns}, one for each number, got {len(called)}")
    wide = min(columns, 3)
    high = -(-columns // wide)
    figure = new_figure(4.6 * wide + 1.2, 4.8 * high)
    for k, name in enumerate(called):
        axes = figure.add_subplot(high, wide, k + 1)
        _draw(axes, truth[:, k], told[:, k], name or (title if columns == 1 else ""), label)
    if title and columns > 1:
        figure.suptitle(title, fontsize=15, x=0.02, ha="left")
    return figure


def _draw(axes: Axes, truth: Floats, told: Floats, name: str, label: str) -> None:
    there = np.isfinite(truth) & np.isfinite(told)
    truth, told = truth[there], told[there]
    if not len(truth):
        raise ValueError("target: expected at least one pair of finite numbers in each column, got none")
    error, spread = truth - told, float(np.square(truth - truth.mean()).sum())
    scores = f"MAE {np.abs(error).mean():.4g}"
    if spread > 0:
        scores += f", R² {1 - float(np.square(error).sum()) / spread:.3g}"
    low, high = float(min(truth.min(), told.min())), float(max(truth.max(), told.max()))
    room = 0.04 * (high - low) or 1.0
    many = len(truth) > 500
    axes.plot([low - room, high + room], [low - room, high + room], color=INK, lw=1.2, ls="--")
    axes.scatter(told, truth, s=8 if many else 28, color=COLORS[0], alpha=0.35 if many else 0.7, lw=0)
    finish(axes, f"{name}\n{scores}" if name else scores, f"true {label}", f"predicted {label}")
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(low - room, high + room)
    axes.set_aspect("equal")
