"""Classical forecasts of many series at once, from every origin: exponential smoothing and Theta, combined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.exponential import Exponential, Multiplicative, akaike_weights
from fastlstm.forecasting.per_series import PerSeries, Rows, keys, per_series
from fastlstm.forecasting.scaling import LONGEST
from fastlstm.forecasting.theta import Theta

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SIDE_BY_SIDE = 256
"""Series that are computed together; more would not fit into the caches."""

MOST_NUMBERS = 1_000_000
"""Numbers for each model that are in memory together."""

RECENT = 1000
"""Steps, from the end, that parameters are fitted to."""


@dataclass(frozen=True)
class Combination(PerSeries):
    """The unit of each series, and the weights of additive models, of multiplicative ones, and of Theta beside both."""

    unit: Floats = per_series()
    additive: Floats = per_series(4)
    multiplicative: Floats = per_series(4)
    theta: Floats = per_series()


KINDS: dict[str, type[PerSeries]] = {
    "combination": Combination,
    "additive": Exponential,
    "multiplicative": Multiplicative,
    "theta": Theta,
}


class Smoothing:
    """Exponential smoothing and Theta for each of many series, fitted to all of them at once.

    Nothing of the values is kept but parameters, so forecasts can be had for values that have grown since. Times count
    from the first value of a series that is not missing: a row may stand behind any number of NaN.

    Parameters
    ----------
    season : int
        Steps of a season; 1 for none.
    parts : dict
        What is known of each series, as `KINDS` names it.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([[np.nan, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
    >>> fitted = Smoothing.fit(values, season=1)
    >>> fitted.forecasts(values, horizon=2, origins=[11]).round(1)
    array([[[10.9, 11.8]]])
    """

    def __init__(self, season: int, parts: dict[str, Any]) -> None:
        self.season, self.parts = season, parts

    def __len__(self) -> int:
        return len(self.parts["combination"].unit)

    @classmethod
    def fit(cls, values: Any, season: int) -> Smoothing:
        """The methods fitted to each series.

        Parameters
        ----------
        values : (S, T)
            One series a row, in any unit; NaN before a series begins and where a value is missing.
        season : int
            Steps of a season; 1 for none.

        Raises
        ------
        ValueError
            If `values` are no numbers, have another number of dimensions or an infinity, or `season` is no whole
            number from 1 on.
        """
        season = _check.positive_int(season, "season", LONGEST)
        columns, _ = aligned(_matrix(values, "values"))
        done = [_fit(columns[:, part], season) for part in _blocks(columns.shape[1], len(columns) + season)]
        return cls(season, {name: kind.joined([part[name] for part in done]) for name, kind in KINDS.items()})

    def forecasts(self, values: Any, horizon: int, origins: Any) -> Floats:
        """Forecasts of all series from each origin, made of what stands before it.

        Parameters
        ----------
        values : (S, T)
            The series of `fit`, which may have grown since.
        horizon : int
            Steps ahead.
        origins : (O,)
            Numbers of steps, 0 to T, that are known.

        Returns
        -------
        (S, O, horizon)
            Forecasts in the units of the series; NaN from origins before which a series has no value.

        Raises
        ------
        ValueError
            If `values` have another number of series, or an origin lies outside them.
        """
        matrix = _matrix(values, "values", len(self))
        horizon = _check.positive_int(horizon, "horizon", LONGEST)
        origins = _check.int_array(origins, "origins", ("O",), 0, matrix.shape[1])
        result = np.empty((len(matrix), len(origins), horizon))
        for part in _blocks(len(matrix), matrix.shape[1] + self.season + len(origins) * horizon):
            columns, first = aligned(matrix[part])
            at = origins[:, None] - first
            ahead = self.rows(part)._ahead(columns, horizon, np.maximum(at, 0))
            begun = (at > 0) & ~np.isnan(columns).all(0)
            result[part] = np.where(begun[..., None], ahead, np.nan).swapaxes(0, 1)
        return result

    def _ahead(self, columns: Floats, horizon: int, at: Ints) -> Floats:
        """Forecasts (O, S, horizon) after `at` (O, S) steps of columns (T, S)."""
        combination = self.parts["combination"]
        columns = columns / combination.unit
        total = self.parts["theta"].forecasts(columns, horizon, at) * combination.theta[:, None]
        for name in ("additive", "multiplicative"):
            weights = getattr(combination, name)
            if weights.any():
                total += np.einsum("oshm,sm->osh", self.parts[name].forecasts(columns, horizon, at), weights)
        ahead: Floats = total * combination.unit[:, None]
        return ahead

    def spread(self, values: Any, horizon: int) -> Floats:
        """The root mean square of the errors of each step ahead, over all origins of these values, (S, horizon).

        It counts values that are there. Steps further ahead than the series is long have the spread of the last one
        that could be measured, and none is below a millionth of the size of the series.
        """
        matrix = _matrix(values, "values", len(self))
        result = np.empty((len(matrix), horizon))
        for part in _blocks(len(matrix), matrix.shape[1] * horizon):
            forecasts = self.rows(part).forecasts(matrix[part], horizon, np.arange(matrix.shape[1]))
            result[part] = _root_mean_square(matrix[part], forecasts)
        floor: Floats = self.parts["combination"].unit[:, None] * 1e-6
        return np.maximum(result, floor)

    def rows(self, part: Rows) -> Smoothing:
        """The same of some of the series, by a slice or their numbers."""
        return Smoothing(self.season, {name: kind.rows(part) for name, kind in self.parts.items()})

    def as_dict(self) -> dict[str, Any]:
        """All that is known as JSON can hold it; see `from_dict`."""
        parts = {name: kind.as_dict() for name, kind in self.parts.items()}
        return {"season": self.season, "count": len(self), **parts}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Smoothing:
        """The inverse of `as_dict`; ValueError or TypeError, with the name of the part, for anything else."""
        names = ["season", "count", *KINDS]
        if not isinstance(state, dict) or sorted(state) != sorted(names):
            raise ValueError(f"smoothing: expected a dict of {', '.join(names)}, got {keys(state)}")
        season = _check.positive_int(state["season"], "smoothing.season", LONGEST)
        count = _check.positive_int(state["count"], "smoothing.count")
        parts = {name: kind.from_dict(state[name], f"smoothing.{name}", count, season) for name, kind in KINDS.items()}
        return cls(season, parts)


def _fit(columns: Floats, season: int) -> dict[str, PerSeries]:
    """All parts for columns (T, S)."""
    known = np.isfinite(columns)
    unit = np.abs(np.where(known, columns, 0.0)).sum(0) / np.maximum(known.sum(0), 1)
    unit = np.where(unit > 0, unit, 1.0)
    columns = columns / unit
    ends = len(columns) - known[::-1].argmax(0)
    longest = -(-RECENT // season) * season
    begins = np.maximum(-(-(ends - longest) // season) * season, 0)  # whole seasons
    additive, first = Exponential.fit(columns, begins, longest, season)
    multiplicative, second = Multiplicative.fit(columns, begins, longest, season)
    weights = akaike_weights(np.concatenate([first, second], axis=1)) / 2
    return {
        "combination": Combination(unit, weights[:, :4], weights[:, 4:], np.full(len(unit), 0.5)),
        "additive": additive,
        "multiplicative": multiplicative,
        "theta": Theta.fit(columns, begins, longest, season),
    }


def _matrix(values: Any, name: str, count: int | None = None) -> Floats:
    """Numbers (S, T), of which some may be NaN."""
    matrix = np.asarray(_check.as_numbers(values, name, "fiu", "real numbers"), np.float64)
    _check.shape_of(matrix, name, ("S" if count is None else count, "T"))
    if np.isinf(matrix).any():
        row, step = np.unravel_index(int(np.isinf(matrix).argmax()), matrix.shape)
        raise ValueError(f"{name}: expected numbers or NaN, got {matrix[row, step]} at [{row}, {step}]")
    return matrix


def _root_mean_square(values: Floats, forecasts: Floats) -> Floats:
    """That of the errors of forecasts (S, T, horizon) from the origins 0 to T - 1, (S, horizon)."""
    result = np.zeros((len(values), forecasts.shape[2]))
    for step in range(min(forecasts.shape[1:])):
        errors = values[:, step:] - forecasts[:, : values.shape[1] - step, step]
        known = np.isfinite(errors)
        mean = np.square(np.where(known, errors, 0.0)).sum(1) / np.maximum(known.sum(1), 1)
        result[:, step] = np.where(known.any(1), np.sqrt(mean), result[:, max(step - 1, 0)])
    result[:, values.shape[1] :] = result[:, values.shape[1] - 1 :][:, :1]
    return result


def aligned(values: Floats) -> tuple[Floats, Ints]:
    """Rows (S, T) as columns (T, S) that begin with their first value, and where that was, (S,)."""
    known = ~np.isnan(values)
    first = known.argmax(1)
    steps = values.shape[1]
    at = np.arange(steps)[:, None] + first
    columns = np.take_along_axis(values.T, np.minimum(at, steps - 1), axis=0)
    return np.where(at < steps, columns, np.nan), first


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` series, each of which takes `size` numbers."""
    together = max(1, min(SIDE_BY_SIDE, MOST_NUMBERS // size))
    for low in range(0, count, together):
        yield slice(low, low + together)
