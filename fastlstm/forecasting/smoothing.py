"""Classical forecasts of many series at once, from every origin: exponential smoothing, Theta and autoregression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.akaike import weights_of
from fastlstm.forecasting.autoregression import Autoregression
from fastlstm.forecasting.decomposition import ends, stretch
from fastlstm.forecasting.exponential import Exponential, Multiplicative
from fastlstm.forecasting.per_series import PerSeries, Rows, keys, per_series
from fastlstm.forecasting.theta import Theta

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LONGEST = 10_000_000
"""Steps that a season may have."""

SIDE_BY_SIDE = 256
"""Series that are computed together; more would not fit into the caches."""

MOST_NUMBERS = 1_000_000
"""Numbers for each model that are in memory together."""

RECENT = 1000
"""Steps, from the end, that parameters are fitted to; more if these are less than three seasons."""


AHEAD = 6
"""Steps ahead that methods are compared at, for series without a season; with one, the whole season."""

MOST_AHEAD = 24


@dataclass(frozen=True)
class Combination(PerSeries):
    """The unit of each series, the weights of the models of exponential smoothing, and the shares of the methods.

    The methods are exponential smoothing, Theta and autoregression. Each has a share by the inverse square of its mean
    absolute error; see Bates and Granger, "The combination of forecasts" (1969).
    """

    unit: Floats = per_series()
    models: Floats = per_series(8)
    shares: Floats = per_series(3)


KINDS: dict[str, type[PerSeries]] = {
    "combination": Combination,
    "additive": Exponential,
    "multiplicative": Multiplicative,
    "theta": Theta,
    "autoregression": Autoregression,
}


class Smoothing:
    """Exponential smoothing, Theta and autoregression for each of many series, fitted to all of them at once.

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
    array([[[11., 12.]]])
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
        steps = min(len(columns), _recent(season))
        done = [
            _fit(columns[:, part], season) for part in _blocks(columns.shape[1], steps * _compared(season) + season)
        ]
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
        total = np.zeros((*at.shape, horizon))
        methods = _methods(self.parts, columns / combination.unit, horizon, at)
        for ahead, share in zip(methods, combination.shares.T, strict=True):
            total += ahead * share[:, None]
        result: Floats = total * combination.unit[:, None]
        return result

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


def _fit(columns: Floats, season: int) -> dict[str, Any]:
    """All parts for columns (T, S), from the last `RECENT` steps of each."""
    known = np.isfinite(columns)
    unit = np.abs(np.where(known, columns, 0.0)).sum(0) / np.maximum(known.sum(0), 1)
    unit = np.where(unit > 0, unit, 1.0)
    columns = columns / unit
    longest = _recent(season)
    begins = np.maximum(-(-(ends(columns) - longest) // season) * season, 0)  # whole seasons
    recent = stretch(columns, begins, longest)
    additive, first = Exponential.fit(recent, season)
    multiplicative, second = Multiplicative.fit(recent, season)
    parts: dict[str, Any] = {
        "additive": additive,
        "multiplicative": multiplicative,
        "theta": Theta.fit(recent, season),
        "autoregression": Autoregression.fit(recent, season),
    }
    models = weights_of(np.concatenate([first, second], axis=1))
    parts["combination"] = Combination(unit, models, np.ones((len(unit), 3)))
    parts["combination"] = Combination(unit, models, _shares(parts, recent, season))
    if (begins > 0).any():
        for name in ("additive", "multiplicative", "theta"):
            parts[name] = parts[name].restarted(columns, begins > 0)
    return parts


def _recent(season: int) -> int:
    """Steps that parameters are fitted to, whole seasons."""
    return max(-(-RECENT // season), 3) * season


def _compared(season: int) -> int:
    """Steps ahead at which the methods are compared."""
    return min(season, MOST_AHEAD) if season > 1 else AHEAD


def _shares(parts: dict[str, Any], columns: Floats, season: int) -> Floats:
    """Weights of the methods, (S, 3), by their errors one to some steps ahead from all origins of columns (T, S)."""
    steps = len(columns)
    horizon = _compared(season)
    at = np.broadcast_to(np.arange(steps)[:, None], columns.shape)
    target = np.arange(steps)[:, None] + np.arange(horizon)
    target = np.where((target < steps)[..., None], columns[np.minimum(target, steps - 1)], np.nan).transpose(0, 2, 1)
    warm = at >= np.minimum(max(3, season + 1), ends(columns) // 2)
    counted = np.isfinite(target) & warm[..., None]
    works = parts["autoregression"].works
    sizes = []
    for ahead in _methods(parts, columns, horizon, at):
        errors = np.where(counted, np.abs(target - ahead), 0.0).sum((0, 2))
        sizes.append(errors / np.maximum(counted.sum((0, 2)), 1) + 1e-9)
    weights = np.array(sizes).T ** -2.0
    weights[:, 2] *= works
    shares: Floats = weights / weights.sum(1, keepdims=True)
    return shares


def _methods(parts: dict[str, Any], columns: Floats, horizon: int, at: Ints) -> Iterator[Floats]:
    """Forecasts (O, S, horizon) of each method after `at` (O, S) steps of columns (T, S)."""
    models = parts["combination"].models
    smoothed = np.zeros((*at.shape, horizon))
    for name, weights in (("additive", models[:, :4]), ("multiplicative", models[:, 4:])):
        if weights.any():
            smoothed += np.einsum("oshm,sm->osh", parts[name].forecasts(columns, horizon, at), weights)
    yield smoothed
    yield parts["theta"].forecasts(columns, horizon, at)
    yield parts["autoregression"].forecasts(columns, horizon, at, parts["additive"].season.shape[1])


def _matrix(values: Any, name: str, count: int | None = None) -> Floats:
    """Numbers (S, T), of which some may be NaN."""
    matrix = np.asarray(_check.as_numbers(values, name, "fiu", "real numbers"), np.float64)
    _check.shape_of(matrix, name, ("S" if count is None else count, "T"))
    if np.isinf(matrix).any():
        row, step = np.unravel_index(int(np.isinf(matrix).argmax()), matrix.shape)
        raise ValueError(f"{name}: expected numbers or NaN, got {matrix[row, step]} at [{row}, {step}]")
    return matrix


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
