"""The classical half of a forecast for series of any lengths: exponential smoothing, Theta and autoregression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.smoothing import Smoothing

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_NUMBERS = 20_000_000
"""Forecasts that are in memory at a time."""


def groups_of(lengths: Ints) -> list[Ints]:
    """Series of similar lengths, by their places: each at least two thirds as long as the longest of its group."""
    order = np.argsort(lengths, kind="stable")
    groups: list[list[int]] = []
    for at in order:
        if groups and lengths[groups[-1][0]] * 3 >= lengths[at] * 2:
            groups[-1].append(int(at))
        else:
            groups.append([int(at)])
    return [np.array(group) for group in groups]


def side_by_side(series: Sequence[Floats]) -> Floats:
    """Series as the rows of a matrix that end together; NaN stands before the shorter ones."""
    matrix = np.full((len(series), max(map(len, series))), np.nan)
    for row, values in zip(matrix, series, strict=True):
        row[len(row) - len(values) :] = values
    return matrix


@dataclass(frozen=True)
class Rolled:
    """Classical forecasts of some series.

    Attributes
    ----------
    next : list of (T_i + 1,)
        The forecast of each value from the values before it, and of the first one after the end.
    ahead : (M, horizon)
        The forecasts from the origins that were asked for.
    """

    next: list[Floats]
    ahead: Floats


class Classical:
    """Smoothing of series of any lengths, in groups of similar lengths."""

    def __init__(self, groups: list[Ints], fitted: list[Smoothing]) -> None:
        self.groups, self.fitted = groups, fitted

    @classmethod
    def fit(cls, series: Sequence[Floats], season: int) -> Classical:
        groups = groups_of(np.array([len(values) for values in series]))
        return cls(groups, [Smoothing.fit(side_by_side([series[at] for at in group]), season) for group in groups])

    def roll(self, series: Sequence[Floats], horizon: int, rows: Ints, origins: Ints) -> Rolled:
        """Forecasts of the series of these rows from these origins, each made of the values before its origin.

        Parameters
        ----------
        series : list of (T_i,)
            As many as in `fit`; they may have grown since.
        horizon : int
        rows, origins : (M,)
        """
        following: list[Floats] = [np.empty(0)] * len(series)
        ahead = np.empty((len(rows), horizon))
        wanted = _by_row(rows, len(series))
        for group, fitted in zip(self.groups, self.fitted, strict=True):
            for part, smoothing in _parts(group, fitted, max(len(series[at]) for at in group) * horizon):
                matrix = side_by_side([series[at] for at in part])
                steps = matrix.shape[1]
                forecasts = smoothing.forecasts(matrix, horizon, np.arange(steps + 1))
                for row, at in enumerate(part):
                    before = steps - len(series[at])
                    following[at] = forecasts[row, before:, 0].copy()
                    ahead[wanted[at]] = forecasts[row, before + origins[wanted[at]]]
        return Rolled(following, ahead)

    def as_dict(self) -> dict[str, Any]:
        """The parameters as JSON can hold them; see `from_dict`."""
        return {
            "groups": [group.tolist() for group in self.groups],
            "fitted": [fitted.as_dict() for fitted in self.fitted],
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any], series: int) -> Classical:
        """The parameters of so many series; ValueError if they are those of others."""
        groups = [_check.int_array(group, "groups", ("S",), 0, series - 1) for group in state["groups"]]
        fitted = [Smoothing.from_dict(each) for each in state["fitted"]]
        if [len(group) for group in groups] != [len(each) for each in fitted]:
            raise ValueError(f"fitted: expected as many series as in the groups, got {len(fitted)} groups of others")
        if np.sort(np.concatenate(groups)).tolist() != list(range(series)):
            raise ValueError(f"groups: expected each of {series} series once")
        return cls(groups, fitted)


def _by_row(rows: Ints, count: int) -> list[Ints]:
    """The places of each number from 0 to count - 1 among the rows."""
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(count + 1))
    return [order[low:high] for low, high in zip(bounds, bounds[1:], strict=False)]


def _parts(group: Ints, fitted: Smoothing, size: int) -> Iterator[tuple[Ints, Smoothing]]:
    """A group in parts whose forecasts fit into memory together; `size` is the number of forecasts of one series."""
    most = max(1, MOST_NUMBERS // max(size, 1))
    for low in range(0, len(group), most):
        yield group[low : low + most], fitted.rows(slice(low, low + most)) if len(group) > most else fitted
