"""Forecasts, and how they are judged: by their errors on values that are already known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.skill import Skill

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """The coming values: ``mean``, and the band from ``low`` to ``high``, each (horizon,) or (horizon, C)."""

    mean: Floats
    low: Floats
    high: Floats

    def column(self, at: int) -> Forecast:
        """Of one of several series."""
        return Forecast(self.mean[:, at], self.low[:, at], self.high[:, at])


@dataclass(frozen=True)
class Score:
    """Mean absolute error and root mean squared error, in the units of the series."""

    mae: float
    rmse: float

    @classmethod
    def of(cls, forecast: Floats, truth: Floats) -> Score:
        error = forecast - truth
        return cls(float(np.abs(error).mean()), float(np.sqrt(np.square(error).mean())))


@dataclass(frozen=True)
class Backtest:
    """Forecasts of values that are already known, each made from the values before it.

    Attributes
    ----------
    start : int
        Index of the first of them in the series.
    truth, forecast, low, high : (holdout,), or (holdout, C) for several series
    naive : dict of str to such arrays
        ``"last value"`` and, where there is a season, ``"last season"``, made at the same moments.
    """

    start: int
    truth: Floats
    forecast: Floats
    low: Floats
    high: Floats
    naive: dict[str, Floats]

    def column(self, at: int) -> Backtest:
        """Of one of several series."""
        naive = {name: values[:, at] for name, values in self.naive.items()}
        truth, forecast, low, high = (part[:, at] for part in (self.truth, self.forecast, self.low, self.high))
        return Backtest(self.start, truth, forecast, low, high, naive)

    @property
    def scores(self) -> dict[str, Score]:
        """Errors of ``"fastlstm"``, first, and of each naive forecast."""
        forecasts = {"fastlstm": self.forecast, **self.naive}
        return {name: Score.of(values, self.truth) for name, values in forecasts.items()}

    def skill(self, horizon: int, over: str = "last value") -> Skill:
        """By how much the mean squared error is below a naive one's; blocks of `horizon` steps count as one each."""
        blocks = max(1, len(self.truth) // horizon)
        horizon = min(horizon, len(self.truth))
        errors = (
            values[: blocks * horizon] - self.truth[: blocks * horizon] for values in (self.forecast, self.naive[over])
        )
        own, other = (error.reshape(blocks, -1) for error in errors)
        return Skill.of(own, other)

    @property
    def coverage(self) -> float:
        """Share of the true values that lie within the band."""
        return float(np.mean((self.low <= self.truth) & (self.truth <= self.high)))

    @property
    def beats_naive(self) -> bool:
        """Whether both errors are below those of every naive forecast."""
        own, *others = self.scores.values()
        return all(own.mae < other.mae and own.rmse < other.rmse for other in others)


def conformal_quantile(errors: Floats, coverage: float, observations: int) -> Floats:
    """The error, in each column, that a new one stays below with this chance, if errors come in no particular order.

    Parameters
    ----------
    errors : (M, ...), not negative
    coverage : float
    observations : int
        How many of the M errors are independent of each other.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.arange(100.0)[:, None]
    >>> conformal_quantile(errors, 0.9, observations=100), conformal_quantile(errors, 0.9, observations=5)
    (array([91.]), array([99.]))
    """
    level = min(1.0, math.ceil((observations + 1) * coverage) / observations)
    return np.asarray(np.quantile(errors, level, axis=0, method="higher"), np.float64)
