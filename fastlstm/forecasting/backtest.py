"""Forecasts, and their errors on values that are already known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm import html
from fastlstm.forecasting.skill import Skill

Floats = NDArray[np.float64]

MOST_SHOWN, MOST_ROWS = 6, 24
"""How many series, and how many steps of each, a notebook shows."""


@dataclass(frozen=True)
class Forecast:
    """Forecast values.

    Attributes
    ----------
    mean : (horizon,), or (horizon, C) for several series
    low, high : arrays of the same shape
        The error band.
    """

    mean: Floats
    low: Floats
    high: Floats

    def column(self, at: int) -> Forecast:
        """The forecast of one of several series."""
        return Forecast(self.mean[:, at], self.low[:, at], self.high[:, at])

    def _repr_html_(self) -> str:
        """A table and a picture of each series for a notebook, of the first few."""
        several = self.mean.ndim == 2
        parts = [self.column(at) for at in range(min(MOST_SHOWN, self.mean.shape[1]))] if several else [self]
        return "".join(part._table(f"Forecast {k}" if several else "Forecast") for k, part in enumerate(parts))

    def _table(self, title: str) -> str:
        rows = [(k + 1, *map(float, row)) for k, row in enumerate(zip(self.mean, self.low, self.high, strict=True))]
        left = [("...", f"{len(rows) - MOST_ROWS} more")] if len(rows) > MOST_ROWS else []
        table = html.table(("step", "mean", "low", "high"), [*rows[:MOST_ROWS], *left], title)
        return table + html.line({"mean": self.mean}, band=(self.low, self.high))


@dataclass(frozen=True)
class Score:
    """Mean absolute error and root mean squared error, in the units of the series."""

    mae: float
    rmse: float

    @classmethod
    def of(cls, forecast: Floats, truth: Floats) -> Score:
        """The errors where the truth is known, which is not NaN."""
        error = (forecast - truth)[~np.isnan(truth)]
        return cls(float(np.abs(error).mean()), float(np.sqrt(np.square(error).mean())))


@dataclass(frozen=True)
class Backtest:
    """Forecasts of values that are already known, each made from the values before it.

    Attributes
    ----------
    start : int
        Index of the first of these values in the series.
    truth, forecast, low, high : (holdout,), or (holdout, C) for several series
        The truth is NaN where nothing was measured: that counts neither for the errors nor for the coverage.
    naive : dict of arrays of the same shape
        Naive forecasts made at the same moments: ``"last value"`` and, if there is a season, ``"last season"``.
    """

    start: int
    truth: Floats
    forecast: Floats
    low: Floats
    high: Floats
    naive: dict[str, Floats]

    def column(self, at: int) -> Backtest:
        """The backtest of one of several series."""
        naive = {name: values[:, at] for name, values in self.naive.items()}
        truth, forecast, low, high = (part[:, at] for part in (self.truth, self.forecast, self.low, self.high))
        return Backtest(self.start, truth, forecast, low, high, naive)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which values were measured."""
        return ~np.isnan(self.truth)

    @property
    def scores(self) -> dict[str, Score]:
        """Errors by name: ``"fastlstm"`` first, then each naive forecast."""
        forecasts = {"fastlstm": self.forecast, **self.naive}
        return {name: Score.of(values, self.truth) for name, values in forecasts.items()}

    def skill(self, horizon: int, over: str = "last value") -> Skill:
        """Skill over one of the naive forecasts. Each block of `horizon` steps counts as one observation."""
        blocks = max(1, len(self.truth) // horizon)
        horizon = min(horizon, len(self.truth))
        errors = (
            values[: blocks * horizon] - self.truth[: blocks * horizon] for values in (self.forecast, self.naive[over])
        )
        own, other = (error.reshape(blocks, -1) for error in errors)
        return Skill.of(own, other)

    @property
    def coverage(self) -> float:
        """Share of the measured values that are within the band."""
        inside = (self.low <= self.truth) & (self.truth <= self.high)
        return float(np.mean(inside[self.measured]))

    def _repr_html_(self) -> str:
        """The errors, and a picture of each series for a notebook, of the first few."""
        several = self.truth.ndim == 2
        parts = [self.column(at) for at in range(min(MOST_SHOWN, self.truth.shape[1]))] if several else [self]
        rows = [(name, score.mae, score.rmse) for name, score in self.scores.items()]
        caption = f"Backtest of {len(self.truth)} values; {self.coverage:.1%} of them are within the band"
        curves = [
            html.line(
                {"forecast": part.forecast, "truth": part.truth},
                band=(part.low, part.high),
                title=f"series {k}:" if several else "",
            )
            for k, part in enumerate(parts)
        ]
        return html.table(("forecast", "MAE", "RMSE"), rows, caption) + "".join(curves)

    @property
    def beats_naive(self) -> bool:
        """Whether both errors, MAE and RMSE, are below those of every naive forecast."""
        own, *others = self.scores.values()
        return all(own.mae < other.mae and own.rmse < other.rmse for other in others)


def conformal_quantile(errors: Floats, coverage: float, observations: int) -> Floats:
    """The error in each column that a new one does not exceed with this probability, if their order means nothing.

    Parameters
    ----------
    errors : (M, ...)
        Absolute errors; NaN for one that is not known. A column of these only has the largest error that is found in
        its row of columns.
    coverage : float
        The probability, from 0 to below 1.
    observations : int
        How many of the M errors are independent of each other, if all are known.

    Returns
    -------
    (...) float64

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.arange(100.0)[:, None]
    >>> conformal_quantile(errors, 0.9, observations=100), conformal_quantile(errors, 0.9, observations=5)
    (array([91.]), array([99.]))
    """
    known = ~np.isnan(errors)
    if not known.all():
        return _of_known(errors, known, coverage, observations)
    level = min(1.0, math.ceil((observations + 1) * coverage) / observations)
    return np.asarray(np.quantile(errors, level, axis=0, method="higher"), np.float64)


def _of_known(errors: Floats, known: NDArray[np.bool_], coverage: float, observations: int) -> Floats:
    observations = max(1, round(observations * float(known.mean())))
    level = min(1.0, math.ceil((observations + 1) * coverage) / observations)
    found = np.full(errors.shape[1:], np.nan)
    for at in np.ndindex(found.shape):
        column = errors[(slice(None), *at)][known[(slice(None), *at)]]
        if len(column):
            found[at] = np.quantile(column, level, method="higher")
    largest = np.where(np.isnan(found), -np.inf, found).max(-1, keepdims=True)
    return np.where(np.isnan(found), largest, found)
