"""Exponential smoothing with a damped trend and a season, for many series at once.

The models are ETS(A,N,N), (A,Ad,N), (A,N,A), (A,Ad,A) and, for values above 0, (M,N,N), (M,Ad,N), (M,N,M), (M,Ad,M) of
Hyndman, Koehler, Ord and Snyder, "Forecasting with exponential smoothing" (2008), weighed by Akaike's criterion
(Kolassa, "Combining exponential smoothing forecasts using Akaike weights", 2011).
Series are columns (T, S) that begin with their first value at time 0; NaN where a value is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.akaike import criterion
from fastlstm.forecasting.decomposition import indices
from fastlstm.forecasting.least_squares import SMALL, Problem, logistic, minimize
from fastlstm.forecasting.per_series import PERIOD, PerSeries, per_series

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Four models: which have a trend, which a season, and which of the parameters alpha, beta, gamma, phi, level, slope.
TREND: NDArray[np.bool_] = np.array([False, True, False, True])
SEASON: NDArray[np.bool_] = np.array([False, False, True, True])
ACTIVE: NDArray[np.bool_] = np.array(
    [[1, 0, 0, 0, 1, 0], [1, 1, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1]], np.bool_
)

# What parameters are expected to be, on the whole real line, and where fits begin; level and slope count in units.
CENTRE = np.array([-0.5, -2.0, -2.0, 1.5, 0.0, 0.0])
WIDTH = np.array([2.0, 1.5, 1.5, 1.5, 3.0, 1.0])
STARTS = [np.array([level, -2.0, -2.0, 1.5, 0.0, 0.0]) for level in (-2.0, 0.0, 2.0)]
ROUNDS = 12

BEGINNING = 40
"""Seasons from which the first states are taken."""


@dataclass(frozen=True)
class Rates:
    """Smoothing parameters and first states, each (S, K); `season` is (m, S, K)."""

    alpha: Floats
    beta: Floats
    gamma: Floats
    phi: Floats
    level: Floats
    slope: Floats
    season: Floats


@dataclass(frozen=True)
class Exponential(PerSeries):
    """The four models with one kind of error, fitted to each series.

    Attributes
    ----------
    level, slope, scale, floor : (S,)
        First states by a glance at the beginning of the series, the unit in which `parameters` move them, and what a
        multiplicative level is at least.
    season : (S, m)
        What the season adds at first, or by what it multiplies.
    parameters : (S, 4, 6)
        Of each model: alpha, beta, gamma and phi on the whole real line, and how far level and slope are moved.
    """

    multiplicative: ClassVar[bool] = False

    level: Floats = per_series()
    slope: Floats = per_series()
    scale: Floats = per_series()
    floor: Floats = per_series()
    season: Floats = per_series(PERIOD)
    parameters: Floats = per_series(*ACTIVE.shape)

    @classmethod
    def fit(cls, values: Floats, season: int) -> tuple[Self, Floats]:
        """The models for columns (T, S), and Akaike's criterion of each, (S, 4)."""
        begun = cls._begun(values, season)
        walk = Walk(values, begun)
        problem = Problem(walk.errors, ACTIVE, CENTRE, WIDTH, walk.count, walk.size)
        parameters, squares = minimize(problem, STARTS, ROUNDS)
        count = walk.count[:, None]
        squares = squares / np.maximum(count, 1) + (walk.size[:, None] * SMALL + np.finfo(np.float64).tiny)
        criteria = criterion(squares, ACTIVE.sum(1) + SEASON * (season - 1) + 1.0, count)
        seasonal: NDArray[np.bool_] = np.ptp(begun.season, axis=1, keepdims=True) > 0
        unfit = ~seasonal & SEASON
        if cls.multiplicative:
            unfit |= np.where(np.isfinite(values), values, 1.0).min(0)[:, None] <= 0
        return replace(begun, parameters=parameters), np.where(unfit, np.inf, criteria)

    def restarted(self, values: Floats, moved: NDArray[np.bool_]) -> Self:
        """The same for longer columns (T, S), whose beginning is another one where `moved` (S,)."""
        begun = self._begun(values, self.season.shape[1])
        parameters = self.parameters.copy()
        parameters[moved, :, 4:] = 0
        return replace(begun, parameters=parameters)

    @classmethod
    def _begun(cls, values: Floats, season: int) -> Self:
        beginning = values[: BEGINNING * season if season > 1 else len(values)]
        pattern = indices(beginning, season, multiplicative=cls.multiplicative)
        head = values[: max(10, season)]
        own = pattern[np.arange(len(head)) % season]
        level, slope = line(head / own if cls.multiplicative else head - own)
        size = np.abs(np.where(np.isfinite(values), values, 0.0)).max(0)
        floor = np.where(size > 0, size * 1e-3, 1.0)
        if cls.multiplicative:
            level = np.maximum(level, floor)
        parameters = np.zeros((values.shape[1], *ACTIVE.shape))
        return cls(level, slope, typical_change(values), floor, np.ascontiguousarray(pattern.T), parameters)

    def rates(self, parameters: Floats, models: Ints) -> Rates:
        """What parameters (S, K, 6) of these models (K,) mean."""
        alpha, beta, gamma, phi = (logistic(parameters[..., at]) for at in range(4))
        trend, seasonal = TREND[models].astype(np.float64), SEASON[models].astype(np.float64)
        level = self.level[:, None] + self.scale[:, None] * parameters[..., 4]
        slope = trend * (self.slope[:, None] + self.scale[:, None] * parameters[..., 5])
        season = self.season.T[..., None]
        season = 1 + seasonal * (season - 1) if self.multiplicative else seasonal * season
        level = np.maximum(level, self.floor[:, None]) if self.multiplicative else level
        phi = 1 - trend * (0.2 - 0.18 * phi)
        return Rates(alpha, trend * alpha * beta, seasonal * (1 - alpha) * gamma, phi, level, slope, season)

    def forecasts(self, values: Floats, horizon: int, at: Ints) -> Floats:
        """Forecasts (O, S, horizon, 4) of each model after `at` (O, S) steps of columns (T, S)."""
        models = np.arange(len(ACTIVE))
        levels, slopes, seasons = Walk(values, self).states(self.parameters, models)
        phi = self.rates(self.parameters, models).phi
        series = np.arange(values.shape[1])
        level, slope = levels[at, series], slopes[at, series]
        result = np.empty((*at.shape, horizon, len(models)))
        for step in range(horizon):
            slope = slope * phi
            level = level + slope
            season = seasons[at + step % self.season.shape[1], series]
            if self.multiplicative:
                result[:, :, step] = np.maximum(level, self.floor[:, None]) * season
            else:
                result[:, :, step] = level + season
        return result


class Multiplicative(Exponential):
    """The models whose errors and seasons multiply, for series above 0."""

    multiplicative = True


def typical_change(values: Floats) -> Floats:
    """The root mean square of the changes of each column, (S,), or a thousandth of the column's size, or 1."""
    changes = np.diff(values, axis=0)
    known = np.isfinite(changes)
    scale = np.sqrt(np.square(np.where(known, changes, 0.0)).sum(0) / np.maximum(known.sum(0), 1))
    size = np.abs(np.where(np.isfinite(values), values, 0.0)).max(0)
    return np.where(scale > 0, scale, np.where(size > 0, size * 1e-3, 1.0))


def line(values: Floats) -> tuple[Floats, Floats]:
    """The least-squares line of each column: its value one step before the first, and its slope, (S,) each."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    steps = np.arange(1, len(values) + 1)[:, None]
    mean = np.where(known, values, 0.0).sum(0) / count
    middle = np.where(known, steps, 0).sum(0) / count
    away = np.where(known, steps - middle, 0.0)
    slope = (away * np.where(known, values - mean, 0.0)).sum(0) / np.maximum(np.square(away).sum(0), 1e-9)
    return mean - slope * middle, slope


class Walk:
    """The recursions over columns (T, S), for K models of each series at once."""

    def __init__(self, values: Floats, model: Exponential) -> None:
        self.model = model
        known: NDArray[np.bool_] = np.isfinite(values)
        self.count = known.sum(0).astype(np.float64)
        self.values = np.where(known, values, 0.0)[..., None]
        self.size = np.square(self.values).sum((0, 2))
        self.known = known[..., None].astype(np.float64)
        self.whole: list[bool] = known.min(1).tolist()

    def errors(self, parameters: Floats, models: Ints) -> Floats:
        """Errors of the next value (T, S, K); those of a multiplicative model in units of the series."""
        rates = self.model.rates(parameters, models)
        shape = (len(self.values), *rates.alpha.shape)
        errors = np.empty(shape)
        if not self.model.multiplicative:
            self._run(rates, errors)
            return errors
        size = self._run(rates, errors)
        errors *= np.exp(size / np.maximum(self.count, 1)[:, None])
        return errors

    def states(self, parameters: Floats, models: Ints) -> tuple[Floats, Floats, Floats]:
        """Level and slope (T + 1, S, K) before each step, and seasons (T + m, S, K), each where it is next used."""
        rates = self.model.rates(parameters, models)
        steps, season = len(self.values), len(rates.season)
        levels, slopes = (np.empty((steps + 1, *rates.alpha.shape)) for _ in range(2))
        seasons = np.empty((steps + season, *rates.alpha.shape))
        self._run(rates, np.empty(levels.shape), (levels, slopes, seasons))
        return levels, slopes, seasons

    def _run(self, rates: Rates, errors: Floats, keep: tuple[Floats, Floats, Floats] | None = None) -> Floats:
        """Fills `errors` and `keep`; gives the sums of the logarithms of the forecasts of a multiplicative model."""
        shape = rates.alpha.shape
        level, slope = rates.level + np.zeros(shape), rates.slope + np.zeros(shape)
        seasons = np.array(np.broadcast_to(rates.season, (len(rates.season), *shape)))
        period, floor = len(seasons), self.model.floor[:, None]
        sizes = Logarithms(shape)
        if keep:
            keep[2][:period] = seasons
        for t, (value, error) in enumerate(zip(self.values, errors, strict=False)):
            if keep:
                keep[0][t], keep[1][t] = level, slope
            season, known = seasons[t % period], None if self.whole[t] else self.known[t]
            slope = slope * rates.phi
            level = level + slope
            if self.model.multiplicative:
                level = np.maximum(level, floor)
                change = _multiply(value, error, known, level, season, rates.gamma, sizes)
            else:
                change = _add(value, error, known, level, season, rates.gamma)
            level = level + rates.alpha * change
            slope = slope + rates.beta * change
            if keep:
                keep[2][t + period] = season
        if keep:
            keep[0][-1], keep[1][-1] = level, slope
        return sizes.sum()


def _add(value: Floats, error: Floats, known: Floats | None, level: Floats, season: Floats, gamma: Floats) -> Floats:
    """One step of the additive models, e = y - l - s and s + gamma e; gives what level and slope follow."""
    np.subtract(value, level, out=error)
    error -= season
    if known is not None:
        error *= known
    season += gamma * error
    return error


def _multiply(
    value: Floats,
    error: Floats,
    known: Floats | None,
    level: Floats,
    season: Floats,
    gamma: Floats,
    sizes: Logarithms,
) -> Floats:
    """One step of the multiplicative models, e = y / ls - 1 and s (1 + gamma e); gives what level and slope follow."""
    mean = level * season
    np.divide(value, mean, out=error)
    error -= 1.0
    if known is not None:
        error *= known
        mean = np.where(known > 0, mean, 1.0)
    sizes.add(mean)
    season += gamma * (season * error)
    np.maximum(season, 1e-6, out=season)
    return level * error


class Logarithms:
    """Sums of logarithms of numbers not far from 1, taken of eight factors at a time, because a logarithm is slow."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total, self.product, self.factors = np.zeros(shape), np.ones(shape), 0

    def add(self, numbers: Floats) -> None:
        self.product *= numbers
        self.factors += 1
        if self.factors % 8 == 0:
            self.total += np.log(self.product)
            self.product.fill(1.0)

    def sum(self) -> Floats:
        total: Floats = self.total + np.log(self.product)
        return total
