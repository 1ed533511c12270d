"""The dynamic optimised Theta method for many series at once.

Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler, "Models for optimising the theta method and their relationship
to state space models" (2016), after Assimakopoulos and Nikolopoulos, "The theta model" (2000). A season that a
test finds is taken out by the classical decomposition.
Series are columns (T, S) that begin with their first value at time 0; NaN where a value is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.decomposition import indices, is_seasonal
from fastlstm.forecasting.exponential import typical_change
from fastlstm.forecasting.least_squares import Problem, logistic, minimize
from fastlstm.forecasting.per_series import PERIOD, PerSeries, per_series

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CENTRE = np.array([0.0, 0.0, 0.0])
WIDTH = np.array([2.0, 1.0, 3.0])
STARTS = [np.array([level, 0.0, 0.0]) for level in (-2.0, 0.0, 2.0)]
ROUNDS = 10


@dataclass(frozen=True)
class Theta(PerSeries):
    """The method fitted to each series.

    Attributes
    ----------
    parameters : (S, 3)
        alpha and 1 - 1/theta on the whole real line, and how far the first level is moved.
    level, scale : (S,)
        The first value, and the unit in which `parameters` move it.
    season : (S, m)
        What the season adds, or by what it multiplies.
    positive : (S,)
        1 where the season multiplies, otherwise 0.
    """

    parameters: Floats = per_series(3)
    level: Floats = per_series()
    scale: Floats = per_series()
    season: Floats = per_series(PERIOD)
    positive: Floats = per_series()

    @classmethod
    def fit(cls, values: Floats, season: int) -> Theta:
        """The method fitted to columns (T, S)."""
        positive = np.where(np.isfinite(values), values, 1.0).min(0) > 0
        multiplied, added = (indices(values, season, multiplicative=kind) for kind in (True, False))
        pattern = np.where(positive, multiplied, added)
        pattern = np.where(is_seasonal(values, season), pattern, np.where(positive, 1.0, 0.0))
        adjusted = _adjusted(values, pattern, positive)
        first, scale = _first(adjusted), typical_change(adjusted)
        walk = Walk(adjusted, first, scale)
        problem = Problem(walk.errors, np.ones((1, 3), np.bool_), CENTRE, WIDTH, walk.count, walk.size)
        parameters = minimize(problem, STARTS, ROUNDS)[0][:, 0]
        return cls(parameters, first, scale, np.ascontiguousarray(pattern.T), positive.astype(np.float64))

    def restarted(self, values: Floats, moved: NDArray[np.bool_]) -> Theta:
        """The same for longer columns (T, S), whose beginning is another one where `moved` (S,)."""
        parameters = self.parameters.copy()
        parameters[moved, 2] = 0
        first = _first(_adjusted(values, self.season.T, self.positive > 0))
        return replace(self, parameters=parameters, level=np.where(moved, first, self.level))

    def forecasts(self, values: Floats, horizon: int, at: Ints) -> Floats:
        """Forecasts (O, S, horizon) after `at` (O, S) steps of columns (T, S)."""
        positive = self.positive > 0
        base, slope = Walk(_adjusted(values, self.season.T, positive), self.level, self.scale).states(self.parameters)
        series = np.arange(values.shape[1])
        ahead = base[at, series][..., None] + slope[at, series][..., None] * np.arange(horizon)
        steps = (at[..., None] + np.arange(horizon)) % self.season.shape[1]
        season = self.season[series[:, None], steps]
        result: Floats = np.where(positive[:, None], ahead * season, ahead + season)
        return result


def _first(values: Floats) -> Floats:
    """The first value of each column that is not missing, (S,), or 0."""
    known = np.isfinite(values)
    first: Floats = np.take_along_axis(np.where(known, values, 0.0), known.argmax(0)[None], 0)[0]
    return first


def _adjusted(values: Floats, season: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Columns without their seasons (m, S)."""
    pattern = season[np.arange(len(values)) % len(season)]
    return np.where(positive, values / np.where(positive, pattern, 1.0), values - pattern)


class Walk:
    """The recursions over columns (T, S), for K sets of parameters of each series at once."""

    def __init__(self, values: Floats, level: Floats, scale: Floats) -> None:
        known = np.isfinite(values)
        self.values, self.known = np.where(known, values, 0.0), known
        self.level, self.scale = level[:, None], scale[:, None]
        self.count = known.sum(0).astype(np.float64)
        self.size = np.square(self.values).sum(0)
        self.line = _lines(self.values, known, level)

    def errors(self, parameters: Floats, models: Ints) -> Floats:
        """Errors of the next value (T, S, K)."""
        alpha, share, first = self._rates(parameters)
        return np.where(self.known[..., None], self.values[..., None] - self._base(alpha, share, first)[:-1], 0.0)

    def states(self, parameters: Floats) -> tuple[Floats, Floats]:
        """The next forecast and what each further step adds, (T + 1, S)."""
        alpha, share, first = self._rates(parameters[:, None])
        return self._base(alpha, share, first)[..., 0], share[:, 0] * self.line[1]

    def _rates(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """The smoothing parameter, 1 - 1/theta and the first level, (S, K) each."""
        alpha, share = logistic(parameters[..., 0]), logistic(parameters[..., 1])
        return alpha, share, (1 - share) * self.level + self.scale * parameters[..., 2]

    def _base(self, alpha: Floats, share: Floats, level: Floats) -> Floats:
        """Forecasts one step ahead, (T + 1, S, K)."""
        result = np.empty((len(self.values) + 1, *alpha.shape))
        left = np.ones(alpha.shape)
        keep = 1 - alpha
        intercepts, slopes = self.line
        for t in range(len(result)):
            line = left * intercepts[t][:, None] + (1 - left * keep) / alpha * slopes[t][:, None]
            result[t] = level + share * line
            if t < len(self.values):
                value = self.values[t][:, None]
                level = keep * level + alpha * (
                    value if self.known[t].all() else np.where(self.known[t][:, None], value, level)
                )
                left = left * keep
        return result


def _lines(values: Floats, known: NDArray[np.bool_], first: Floats) -> tuple[Floats, Floats]:
    """Intercepts and slopes (T + 1, S) of the least-squares lines through the values before each step.

    Time counts from 1 for the first value. Before two values are there the line is level.
    """
    time = np.arange(1, len(values) + 1, dtype=np.float64)[:, None] * known
    shifted = np.where(known, values - first, 0.0)
    count, total, times, squares, products = (
        np.concatenate([np.zeros((1, values.shape[1])), part.cumsum(0)])
        for part in (known.astype(np.float64), shifted, time, time * time, time * shifted)
    )
    spread = count * squares - times * times
    slope = np.where(count > 1, (count * products - times * total) / np.where(spread > 0, spread, 1.0), 0.0)
    return first + (total - slope * times) / np.maximum(count, 1), slope
