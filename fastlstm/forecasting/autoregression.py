"""Autoregression with ridge penalties for many series at once.

The coefficients are drawn to those of a naive forecast, the last value or the last season, or to a constant, as far as
the data do not tell otherwise, those of longer lags the more (Litterman, "Forecasting with Bayesian vector
autoregressions", 1986). Akaike's criterion for small samples, with the effective number of parameters, chooses the
penalty and the naive forecast.
Series are columns (T, S) that begin with their first value at time 0; NaN where a value is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.akaike import criterion
from fastlstm.forecasting.decomposition import ends
from fastlstm.forecasting.exponential import typical_change
from fastlstm.forecasting.per_series import PerSeries, per_series

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PLAIN = 8
"""Lags from 1 on, beside those around the season."""

LAGS = PLAIN + 3
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
LEAST = 6
"""Values that a fit takes beyond those that are only looked back at."""


@dataclass(frozen=True)
class Autoregression(PerSeries):
    """The regression of each series on its own past.

    Attributes
    ----------
    coefficients : (S, 11)
        Of the lags 1 to 8 and season - 1 to season + 1; 0 for one that is not used.
    constant : (S,)
    reach : (S,)
        How far from the last value a forecast may go: twice what the series spanned.
    works : (S,)
        1 for a series that is long enough, otherwise 0.
    """

    coefficients: Floats = per_series(LAGS)
    constant: Floats = per_series()
    reach: Floats = per_series()
    works: Floats = per_series()

    @classmethod
    def fit(cls, values: Floats, season: int) -> Autoregression:
        """The regressions for columns (T, S)."""
        lags = lags_of(season)
        used = _used(lags, ends(values), season)
        filled = interpolated(values)
        rows = np.isfinite(values) & (np.arange(len(values))[:, None] >= np.where(used, lags, 0).max(1))
        count = rows.sum(0)
        past = np.stack([_back(filled, lag) for lag in lags], axis=2) * used
        means, mean = _mean(past, rows[..., None], count[:, None]), _mean(filled, rows, count)
        unit = typical_change(values)
        tight = np.where(_near(lags, season), 1, np.maximum(lags, 1))  # how strongly drawn to the naive coefficient
        past = np.where(rows[..., None], past - means, 0.0) / unit[:, None] / tight
        target = np.where(rows, filled - mean, 0.0) / unit
        chosen, found = _ridge(past, target, count, _naive(lags, used, season) * tight)
        coefficients = np.where(found[:, None], chosen / tight, 0.0)
        constant = mean - (means * coefficients).sum(1)
        return cls(coefficients, constant, 2 * np.asarray(np.ptp(filled, axis=0)), found.astype(np.float64))

    def forecasts(self, values: Floats, horizon: int, at: Ints, season: int) -> Floats:
        """Forecasts (O, S, horizon) after `at` (O, S) steps of columns (T, S)."""
        terms = self._terms(season)
        deepest = season + 1 + PLAIN
        series = np.arange(values.shape[1])
        past = np.concatenate([np.zeros((deepest, len(series))), self._filled(values, season)])
        past[:deepest] = past[deepest]
        last = past[np.maximum(at - 1, 0) + deepest, series]
        low, high = last - self.reach, last + self.reach
        result = np.empty((horizon, *at.shape))
        for step in range(horizon):
            total = np.broadcast_to(self.constant, at.shape).copy()
            for lag, coefficient in terms:
                before = result[step - lag] if lag <= step else past[at + step - lag + deepest, series]
                total += coefficient * before
            result[step] = np.clip(total, low, high)
        return result.transpose(1, 2, 0)

    def _terms(self, season: int) -> list[tuple[int, Floats]]:
        """The lags that any series uses, each with its coefficients (S,)."""
        pairs = zip(lags_of(season).tolist(), self.coefficients.T, strict=True)
        return [(lag, coefficient) for lag, coefficient in pairs if lag and coefficient.any()]

    def _filled(self, values: Floats, season: int) -> Floats:
        """The columns with forecasts where a value is missing, each from what stands before it."""
        filled = values.copy()
        for t in np.flatnonzero(np.isnan(values).any(1)).tolist():
            expected = self.constant.copy()
            for lag, coefficient in self._terms(season):
                expected += coefficient * filled[max(t - lag, 0)]
            last = filled[max(t - 1, 0)]
            expected = np.clip(expected, last - self.reach, last + self.reach)
            filled[t] = np.where(np.isnan(values[t]), expected, values[t])
        return np.nan_to_num(filled)


def lags_of(season: int) -> Ints:
    """The lags 1 to 8 and those around the season, (11,); 0 stands for one that is among the former."""
    return np.array([*range(1, PLAIN + 1), *(lag if lag > PLAIN else 0 for lag in (season - 1, season, season + 1))])


def _near(lags: Ints, season: int) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (season > 1) & (np.abs(lags - season) <= 1)
    return near


def _used(lags: Ints, lengths: Ints, season: int) -> NDArray[np.bool_]:
    """Which lags series use that end there, (S, 11)."""
    near = _near(lags, season) & (lengths[:, None] >= 3 * season)
    used: NDArray[np.bool_] = (lags > 0) & (near | (lags <= np.minimum(lengths[:, None] // 4, PLAIN)))
    return used


def _naive(lags: Ints, used: NDArray[np.bool_], season: int) -> Floats:
    """Coefficients of the naive forecasts, (3, S, 11): a constant, the last value, the last season."""
    return np.stack([used & (lags == lag) for lag in (0, 1, season)]).astype(np.float64)


def _ridge(past: Floats, target: Floats, count: Ints, naive: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The best coefficients (S, L) and whether there are any, for centred past (T, S, L) and target (T, S)."""
    rows = past.transpose(1, 2, 0)
    gram = rows @ rows.swapaxes(1, 2)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    best = np.full(len(count), np.inf)
    chosen = np.zeros(naive.shape[1:])
    for start in naive:
        rest = target.T - (rows * start[..., None]).sum(1)
        size = np.square(rest).sum(1)
        turned = ((rows @ rest[..., None]).swapaxes(1, 2) @ vectors)[:, 0]
        for penalty in PENALTIES:
            inside = turned / (values + penalty)
            squares = size - 2 * (inside * turned).sum(1) + (values * np.square(inside)).sum(1)
            free = (values / (values + penalty)).sum(1) + 1
            found = criterion(np.maximum(squares / np.maximum(count, 1), 1e-12), free, count.astype(np.float64))
            better = (found < best) & (count >= LEAST)
            best = np.where(better, found, best)
            chosen = np.where(better[:, None], start + (vectors @ inside[..., None])[..., 0], chosen)
    return chosen, np.isfinite(best)


def _mean(values: Floats, rows: NDArray[np.bool_], count: Ints) -> Floats:
    mean: Floats = np.where(rows, values, 0.0).sum(0) / np.maximum(count, 1)
    return mean


def _back(values: Floats, lag: int) -> Floats:
    """The columns `lag` steps later; 0 before."""
    result = np.zeros(values.shape)
    if 0 < lag < len(values):
        result[lag:] = values[:-lag]
    return result


def interpolated(values: Floats) -> Floats:
    """Columns with lines where values are missing, level ones at the ends; 0 in a column without any value."""
    known = np.isfinite(values)
    steps = np.arange(len(values))[:, None]
    before = np.maximum.accumulate(np.where(known, steps, -1), 0)
    after = np.minimum.accumulate(np.where(known, steps, len(values))[::-1], 0)[::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(values), before, after)
    series = np.arange(values.shape[1])
    numbers = np.where(known, values, 0.0)
    low, high = (numbers[np.clip(at, 0, len(values) - 1), series] for at in (before, after))
    share = np.where(after > before, (steps - before) / np.maximum(after - before, 1), 0.0)
    result: Floats = low + share * (high - low)
    return result
