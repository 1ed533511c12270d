"""Forecasts of values that are already known, from several origins, as one would have made them then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting import shown
from fastlstm.forecasting.panel import DATE, ID, VALUE, Panel
from fastlstm.forecasting.skill import Skill

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

OWN, LAST_VALUE, LAST_SEASON = "fastlstm", "last value", "last season"
"""The names of the forecasts: the forecaster's own, and the naive ones."""


@dataclass(frozen=True)
class Forecast:
    """What comes of one series.

    Attributes
    ----------
    mean, low, high : (horizon,)
        The forecast, and the ends of its interval.
    quantiles : dict of (horizon,)
        By their levels.
    """

    mean: Floats
    low: Floats
    high: Floats
    quantiles: dict[float, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """Mean absolute error and root mean squared error, in the units of the series."""

    mae: float
    rmse: float

    @classmethod
    def of(cls, forecast: Floats, truth: Floats) -> Score:
        """The errors where the truth is known, which is not NaN; NaN if it is nowhere."""
        error = (forecast - truth)[~np.isnan(truth)]
        return cls(float(np.abs(error).mean()), float(np.sqrt(np.square(error).mean()))) if error.size else cls(*NONE)


NONE = np.nan, np.nan


@dataclass(frozen=True)
class Backtest:
    """Forecasts of values that are already known, each made from the values before its origin.

    Attributes
    ----------
    panel : Panel
        The series.
    origins : (O, S) int
        The number of the first value that is forecast, from 0, for each origin of each series.
    truth, forecast, lower, upper : (O, S, fh)
        The values, NaN where none was measured or the series has ended; the forecasts, and the ends of their intervals.
    naive : dict of (O, S, fh)
        Naive forecasts made at the same moments: ``"last value"`` and, if there is a season, ``"last season"``.
    scale : (S,)
        The mean absolute error of the last season, or else the last value, again within the values before.
    step : int
        Steps from one origin to the next.
    """

    panel: Panel
    origins: Ints
    truth: Floats
    forecast: Floats
    lower: Floats
    upper: Floats
    naive: dict[str, Floats] = field(repr=False)
    scale: Floats
    step: int

    def __repr__(self) -> str:
        """How much was forecast, and how well."""
        origins, series, steps = self.truth.shape
        return f"Backtest({series} series from {origins} origins, {steps} steps each: MASE {self.mase:.3g})"

    def of(self, series: Any) -> Backtest:
        """The backtest of one series.

        Parameters
        ----------
        series : name
            The column of a DataFrame or array, or the ``unique_id``.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if series not in self.panel.ids:
            raise ValueError(f"series: expected one of {shortened(self.panel.ids)}, got {series!r}")
        at = [self.panel.ids.index(series)]
        parts = {name: getattr(self, name)[:, at] for name in ("origins", "truth", "forecast", "lower", "upper")}
        naive = {name: values[:, at] for name, values in self.naive.items()}
        return replace(self, panel=self.panel.row(at[0]), naive=naive, scale=self.scale[at], **parts)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which values were measured, (O, S, fh)."""
        return ~np.isnan(self.truth)

    @property
    def scores(self) -> dict[str, Score]:
        """Errors by name: ``"fastlstm"`` first, then each naive forecast."""
        return {name: Score.of(values, self.truth) for name, values in self._forecasts.items()}

    @property
    def _forecasts(self) -> dict[str, Floats]:
        return {OWN: self.forecast, **self.naive}

    @property
    def mae(self) -> float:
        """The mean absolute error, over what was measured."""
        return self.scores[OWN].mae

    @property
    def mase(self) -> float:
        """The mean absolute scaled error (Hyndman and Koehler 2006): a mean over the series.

        The error of each series is divided by that of the seasonal naive forecast within the values before.
        """
        return self._scaled(self.forecast)

    @property
    def naive_mase(self) -> float:
        """The same of the seasonal naive forecast."""
        return self._scaled([*self.naive.values()][-1])

    def _scaled(self, forecast: Floats) -> float:
        return _mean(_mean_without_nan(np.abs(self.truth - forecast)) / self.scale)

    @property
    def coverage(self) -> float:
        """The share of the measured values within the intervals."""
        return _mean(np.where(self.measured, (self.lower <= self.truth) & (self.truth <= self.upper), np.nan))

    def skill(self, over: str = LAST_VALUE) -> Skill:
        """The skill over one of the naive forecasts: each origin is one observation, and several series are scaled.

        Parameters
        ----------
        over : str, default "last value"
            One of the names in `naive`.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if over not in self.naive:
            raise ValueError(f"over: expected one of {shortened([*self.naive])}, got {over!r:.80}")
        unit = np.where(np.isnan(self.scale), 1.0, self.scale)[:, None] if len(self.scale) > 1 else 1.0
        errors = [
            ((part - self.truth) / unit).reshape(len(self.truth), -1) for part in (self.forecast, self.naive[over])
        ]
        return Skill.of(errors[0], errors[1], block=-(-self.truth.shape[2] // self.step))

    @property
    def beats_naive(self) -> bool:
        """Whether both errors, MAE and RMSE, are below those of every naive forecast."""
        own, *others = self.scores.values()
        return all(own.mae < other.mae and own.rmse < other.rmse for other in others)

    def _repr_html_(self) -> str:
        """The errors and the forecasts, for a notebook."""
        return shown.html_of_backtest(self)

    def in_a_row(self, values: Floats) -> Floats:
        """The values (O, 1, fh) of one series whose origins are fh apart or nearer, up to its end: (T,).

        Parameters
        ----------
        values : (O, 1, fh)
            Such as `forecast` or `lower`.

        Raises
        ------
        ValueError
            If there are several series, or steps between the forecasts.
        """
        if len(self.panel) > 1 or self.step > self.truth.shape[2]:
            raise ValueError(
                f"backtest: expected one series, see of(), with origins at most {self.truth.shape[2]} steps apart, got "
                f"{len(self.panel)} series and {self.step} steps"
            )
        steps = len(self.panel.values[0]) - int(self.origins[0, 0])
        return values[:, 0, : self.step].reshape(-1)[:steps]

    def to_frame(self) -> Any:
        """A row for each value: a pandas DataFrame with unique_id, ds, cutoff, y, forecast, lower, upper and naive.

        The naive forecast is that of the last season, or else that of the last value.
        """
        import pandas

        columns = {"forecast": self.forecast, "lower": self.lower, "upper": self.upper}
        columns["naive"] = [*self.naive.values()][-1]
        parts = []
        for row, (label, start, own) in enumerate(
            zip(self.panel.ids, self.panel.starts, self.panel.values, strict=True)
        ):
            for at, origin in enumerate(self.origins[:, row]):
                steps = min(self.truth.shape[2], len(own) - int(origin))
                if steps > 0:
                    moments = self.panel.grid.index(start + int(origin) - 1, steps + 1)
                    frame = {ID: label, DATE: moments[1:], "cutoff": moments[0], VALUE: self.truth[at, row, :steps]}
                    parts.append(
                        pandas.DataFrame(frame | {name: part[at, row, :steps] for name, part in columns.items()})
                    )
        return pandas.concat(parts, ignore_index=True)


def shortened(names: Any, most: int = 10) -> str:
    """Names for an error, not too many of them."""
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")


def _mean(values: Floats) -> float:
    """The mean of what is not NaN; NaN if that is nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _mean_without_nan(errors: Floats) -> Floats:
    """The mean error of each series, (S,), NaN where nothing was measured."""
    measured = ~np.isnan(errors)
    counts = measured.sum((0, 2))
    return np.where(counts > 0, np.where(measured, errors, 0.0).sum((0, 2)) / np.maximum(counts, 1), np.nan)
