"""Pictures of forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.forecasting.backtest import Backtest, Forecast
from fastlstm.plot.figure import finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH, FORECAST, FUTURE = "#22272e", "#c8382c", "#1f6fb2"
NAIVE = ("#8a8f98", "#b58a2f")


def forecast_figure(
    backtest: Backtest,
    future: Forecast | None = None,
    *,
    dates: Any = None,
    coverage: float = 0.9,
    title: str = "",
    label: str = "value",
    names: Mapping[str, str] | None = None,
    most: int = 400,
) -> Figure:
    """True values, forecasts and error band over the held-out steps, with some steps before and, if given, after them.

    Parameters
    ----------
    backtest : Backtest
        Of one series, with origins as far apart as the forecasts are long; see `Backtest.of`.
    future : Forecast, optional
        The forecast of the steps after the series.
    dates : (T,) datetime64, or (T + horizon,) with a future, optional
        Dates for the horizontal axis. Without them the steps are numbered.
    coverage : float, default 0.9
        The coverage of the band, for the legend.
    title : str, default ""
    label : str, default "value"
        Label of the vertical axis: what is measured, and its unit.
    names : dict of str, optional
        Names of the naive forecasts in the legend, by their names in the backtest.
    most : int, default 400
        Number of held-out steps to show at most: the last ones.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.forecasting import LSTMForecaster
    >>> values = np.sin(np.arange(60.0))
    >>> figure = forecast_figure(LSTMForecaster(epochs=1).backtest(values, fh=6), label="metres")
    >>> figure.axes[0].get_ylabel()
    'metres'
    """
    figure = new_figure()
    axes = figure.add_subplot()
    values, first = backtest.panel.values[0], int(backtest.origins[0, 0])
    forecast, lower, upper = (backtest.in_a_row(part) for part in (backtest.forecast, backtest.lower, backtest.upper))
    steps = np.arange(1, len(values) + 1 + (0 if future is None else len(future.mean))) if dates is None else dates
    end = len(values)
    start = max(first, end - most)
    shown = slice(start - first, None)
    before = max(0, start - max(12, (end - start) // 2))
    dot = "." if np.isnan(values[before:end]).any() else None  # a line alone would not show a value between two gaps
    axes.plot(steps[before:end], values[before:end], color=TRUTH, lw=1.8, marker=dot, label="truth", zorder=4)
    axes.plot(steps[start:end], forecast[shown], color=FORECAST, lw=1.6, label="fastlstm", zorder=5)
    axes.fill_between(
        steps[start:end],
        lower[shown],
        upper[shown],
        color=FORECAST,
        alpha=0.18,
        lw=0,
        label=f"{coverage:.0%} band",
    )
    for (key, naive), color in zip(backtest.naive.items(), NAIVE, strict=False):
        name = (names or {}).get(key, key)
        axes.plot(steps[start:end], backtest.in_a_row(naive)[shown], color=color, lw=0.9, ls="--", label=name, zorder=2)
    if start == first:
        axes.axvline(steps[start], color=TRUTH, lw=0.8, ls=":")
        axes.annotate(
            "held out",
            (steps[start], 1),
            xycoords=("data", "axes fraction"),
            xytext=(6, -14),
            textcoords="offset points",
            fontsize=11,
            color=TRUTH,
        )
    if future is not None:
        after = steps[end : end + len(future.mean)]
        axes.fill_between(after, future.low, future.high, color=FUTURE, alpha=0.2, lw=0)
        axes.plot(after, future.mean, color=FUTURE, lw=1.8, label="coming steps", zorder=5)
    finish(axes, title, label, "step" if dates is None else "")
    return figure
