"""Pictures of what an `LSTMForecaster` says: what comes, and what it would have said before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastlstm import _check
from fastlstm.forecasting.shown import Shown, Stretch, ahead_of, judged_of
from fastlstm.plot.figure import COLORS, INK, finish, new_figure, short_dates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastlstm.forecasting import Backtest, LSTMForecaster


def outlook_figure(
    forecaster: LSTMForecaster,
    fh: int | None = None,
    X: Any = None,
    *,
    coverage: float = 0.9,
    series: Sequence[Any] | None = None,
    before: int | None = None,
    title: str = "",
    label: str = "value",
) -> Figure:
    """The last values of each series, its forecast and the interval around it: a panel for each series.

    Parameters
    ----------
    forecaster : LSTMForecaster
        One that has learned.
    fh : int, optional
    X : array (fh, K) or DataFrame, optional
        Both as in `LSTMForecaster.predict`.
    coverage : float, default 0.9
        Of the interval, from 0 to below 1.
    series : list, optional
        The names of the series to show; for arrays their numbers. By default the first 6.
    before : int, optional
        Values before the forecast; by default 24, or three times as many as are forecast if that is more.
    title : str, default ""
    label : str, default "value"
        Label of the vertical axes: what is measured, and its unit.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If series is not a list, or fh or before is not a whole number.
    ValueError
        If there is no series of a name, X does not fit, or a number is outside its range.
    RuntimeError
        If the forecaster has not learned anything yet.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.forecasting import LSTMForecaster
    >>> from fastlstm.plot import outlook_figure
    >>> forecaster = LSTMForecaster(epochs=1).fit(np.sin(np.arange(60)), fh=6)
    >>> figure = outlook_figure(forecaster, label="metres")
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['90% interval', 'measured', 'forecast']
    """
    coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
    found = ahead_of(forecaster, fh, X, coverage, series, before)
    return _panels(found, title, label, f"{coverage:.0%} interval", origins=False)


def backtest_figure(
    backtest: Backtest,
    *,
    series: Sequence[Any] | None = None,
    before: int | None = None,
    title: str = "",
    label: str = "value",
) -> Figure:
    """The last values of each series, and what was forecast of them from each origin, with its interval.

    Parameters
    ----------
    backtest : Backtest
        As `LSTMForecaster.backtest` and `evaluate` return it.
    series : list, optional
        The names of the series to show; for arrays their numbers. By default the first 6.
    before : int, optional
        Values before the first origin; by default 24, or three times as many as are forecast if that is more.
    title : str, default ""
    label : str, default "value"
        Label of the vertical axes: what is measured, and its unit.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If series is not a list, or before is not a whole number.
    ValueError
        If there is no series of a name, or before is below 1.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.forecasting import LSTMForecaster
    >>> from fastlstm.plot import backtest_figure
    >>> backtest = LSTMForecaster(epochs=1).backtest(np.sin(np.arange(60)), fh=6, origins=2)
    >>> figure = backtest_figure(backtest, title="A sine")
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['interval', 'measured', 'forecast', 'origin']
    """
    return _panels(judged_of(backtest, series, before), title, label, "interval", origins=True)


def _panels(found: list[Shown], title: str, label: str, band: str, *, origins: bool) -> Figure:
    figure = new_figure(11, 1.2 + 3.0 * len(found) if len(found) > 1 else 5.5)
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for k, (axes, one) in enumerate(zip(panels, found, strict=True)):
        said = {"band": band, "forecast": "forecast", "origin": "origin"}  # once each in the legend
        for stretch in one.stretches:
            _draw_band(axes, one, stretch, said.pop("band", ""))
        few = len(one.moments) <= 100  # a marker shows a value between two gaps, too
        axes.plot(one.moments, one.values, color=INK, lw=1.6, marker="o" if few else ".", ms=3, label="measured")
        for stretch in one.stretches:
            moments = one.moments[stretch.begin : stretch.begin + len(stretch.forecast)]
            marker = "o" if len(moments) == 1 else None
            name = said.pop("forecast", "")
            axes.plot(moments, stretch.forecast, color=COLORS[0], lw=2.2, marker=marker, ms=5, label=name, zorder=3)
            if origins:
                last = one.moments[max(0, stretch.begin - 1)]
                axes.axvline(last, color=INK, lw=0.9, ls=":", label=said.pop("origin", ""))
        heading = ": ".join(part for part in (title if k == 0 else "", one.name) if part)
        dated = one.moments.dtype.kind == "M"
        finish(axes, heading, label, "" if dated else "step")
        if dated:
            short_dates(axes)
        if k:
            axes.get_legend().remove()
    figure.align_ylabels()
    return figure


def _draw_band(axes: Axes, one: Shown, stretch: Stretch, label: str) -> None:
    moments = one.moments[stretch.begin : stretch.begin + len(stretch.forecast)]
    if len(moments) == 1:
        axes.vlines(moments, stretch.lower, stretch.upper, color=COLORS[0], alpha=0.2, lw=8, label=label)
    else:
        axes.fill_between(moments, stretch.lower, stretch.upper, color=COLORS[0], alpha=0.2, lw=0, label=label)
