"""Forecasts of values that are already known, from several origins, as one would have made them then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.panel import DATE, ID, VALUE, Panel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RollingBacktest:
    """Forecasts of values that are already known, each made from the values before its origin.

    Attributes
    ----------
    panel : Panel
        The series.
    origins : list of int
        The steps of each origin before the end of each series.
    truth, forecast, lower, upper, naive : (O, S, fh)
        The values, NaN where none was measured; the forecasts, the ends of their intervals; and the last season again.
    season : int
    """

    panel: Panel
    origins: list[int]
    truth: Floats
    forecast: Floats
    lower: Floats
    upper: Floats
    naive: Floats
    scale: Floats

    @property
    def mae(self) -> float:
        """The mean absolute error, over what was measured."""
        return float(np.nanmean(np.abs(self.truth - self.forecast)))

    @property
    def mase(self) -> float:
        """The mean absolute scaled error (Hyndman and Koehler 2006): a mean over the series.

        The error of each series is divided by that of the seasonal naive forecast within its training values.
        """
        errors = _mean_without_nan(np.abs(self.truth - self.forecast))
        return float(np.nanmean(errors / self.scale))

    @property
    def naive_mase(self) -> float:
        """The same of the seasonal naive forecast."""
        return float(np.nanmean(_mean_without_nan(np.abs(self.truth - self.naive)) / self.scale))

    @property
    def coverage(self) -> float:
        """The share of the measured values within the intervals."""
        measured = ~np.isnan(self.truth)
        return float(((self.lower <= self.truth) & (self.truth <= self.upper))[measured].mean())

    def to_frame(self) -> Any:
        """A row for each value: a pandas DataFrame with unique_id, ds, cutoff, y, forecast, lower, upper and naive."""
        import pandas

        parts = []
        grid, steps = self.panel.grid, self.truth.shape[2]
        for at, back in enumerate(self.origins):
            for row, (label, end) in enumerate(zip(self.panel.ids, self.panel.ends, strict=True)):
                moments = grid.index(end - back - 1, steps + 1)
                columns = {"forecast": self.forecast, "lower": self.lower, "upper": self.upper, "naive": self.naive}
                parts.append(
                    pandas.DataFrame(
                        {ID: label, DATE: moments[1:], "cutoff": moments[0], VALUE: self.truth[at, row]}
                        | {name: values[at, row] for name, values in columns.items()}
                    )
                )
        return pandas.concat(parts, ignore_index=True)


def _mean_without_nan(errors: Floats) -> Floats:
    """The mean error of each series, (S,), NaN where nothing was measured."""
    measured = ~np.isnan(errors)
    counts = measured.sum((0, 2))
    return np.where(counts > 0, np.where(measured, errors, 0.0).sum((0, 2)) / np.maximum(counts, 1), np.nan)


def last_season(values: Floats, season: int, horizon: int) -> Floats:
    """The last measured value of each step of the season again, (horizon,)."""
    found = np.full(horizon, values[~np.isnan(values)][-1])
    for step in range(horizon):
        same = values[len(values) - season + step % season :: -season] if len(values) >= season else values[:0]
        same = same[~np.isnan(same)]
        if len(same):
            found[step] = same[0]
    return found


def naive_error(values: Floats, season: int) -> float:
    """The mean absolute error of the last season again within a series, never 0."""
    lag = season if len(values) > season else 1
    missed = np.abs(values[lag:] - values[:-lag])
    missed = missed[~np.isnan(missed)]
    return max(float(missed.mean()), 1e-12) if len(missed) else np.nan
