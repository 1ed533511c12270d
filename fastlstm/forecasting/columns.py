"""The columns of a series as a forecaster reads them: targets and inputs, with what is missing filled from the past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.backtest import Backtest, Forecast
from fastlstm.forecasting.gaps import carry
from fastlstm.forecasting.series import Series

Whole = TypeVar("Whole", Backtest, Forecast)


@dataclass(frozen=True)
class Columns:
    """The columns of a file: the targets, (T,) or (T, C), with their names, and the other inputs, (T, I).

    What is missing is filled from the past. `measured` says where the targets were not; None if nothing was missing.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    inputs: NDArray[np.float64] | None = None
    measured: NDArray[np.bool_] | None = None

    def each(self, whole: Whole) -> dict[str, Whole]:
        """The parts of a forecast or backtest by target."""
        if self.values.ndim == 1:
            return {self.names[0]: whole}
        return {name: whole.column(at) for at, name in enumerate(self.names)}


def columns_of(series: Series, targets: int, season: int) -> tuple[Series, Columns]:
    """The columns of a series, whose first are the targets, and the series from the first step that has all of them."""
    others = np.empty((len(series.values), 0)) if series.others is None else series.others
    every = np.column_stack([series.values, others])
    start, filled = carry(every, season)
    notes = [f"Steps before the first value of every column, dropped: {start} of {len(every)}."] if start else []
    series = replace(
        series,
        values=series.values[start:],
        dates=None if series.dates is None else series.dates[start:],
        others=others[start:],
        notes=[*series.notes, *notes],
    )
    known = ~np.isnan(every[start:, :targets])
    values, inputs = filled[:, :targets], filled[:, targets:] if filled.shape[1] > targets else None
    if targets == 1:
        values, known = values[:, 0], known[:, 0]
    names = (series.name, *series.other_names[: targets - 1])
    return series, Columns(names, values, inputs, None if known.all() else known)
