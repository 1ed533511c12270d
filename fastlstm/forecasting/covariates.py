"""Other columns that a forecaster reads beside the series: past, known for the future, and one for each series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.panel import DATE, ID, VALUE, Panel, check_columns, numbers_of, panel_of, plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Covariates:
    """The columns that stand beside the series, and how they are scaled.

    Attributes
    ----------
    names : list
    known : (K,) bool
        Whether a column is known for the steps to come.
    mean, deviation : (K,)
        Of the values that were learned from.
    """

    names: list[Any]
    known: NDArray[np.bool_]
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, names: list[Any], parts: Sequence[Floats], past: Sequence[Any]) -> Covariates:
        """The scaling of columns; `past` has the names of those that are not known for the steps to come."""
        strange = [name for name in past if name not in names]
        if strange:
            raise ValueError(f"past_covariates: expected columns of X, {names}, got {strange[0]!r}")
        whole = np.concatenate(parts) if parts else np.zeros((1, 0))
        counts = np.maximum((~np.isnan(whole)).sum(0), 1)
        mean = np.nansum(whole, 0) / counts
        deviation = np.sqrt(np.nansum(np.square(whole - mean), 0) / counts)
        known = np.array([name not in past for name in names], bool)
        return cls(names, known, mean, np.where(deviation > 0, deviation, 1.0))

    def scaled(self, past: Floats, future: Floats | None, horizon: int) -> Floats:
        """The columns of a series and of the steps to come, (T + horizon, K), scaled.

        A missing value is the one before it. Behind the end, columns that are not known, and those of a training, are
        their means: zero.
        """
        rows = np.zeros((len(past) + horizon, len(self.names)))
        rows[: len(past)] = (held(past) - self.mean) / self.deviation
        if future is not None:
            filled = held(np.concatenate([past, future]))[len(past) :]
            rows[len(past) :] = np.where(self.known, (filled - self.mean) / self.deviation, 0.0)
        return np.nan_to_num(rows)


def held(values: Floats) -> Floats:
    """Columns in which the last known value stands for a missing one."""
    steps = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    return np.asarray(np.take_along_axis(values, np.maximum.accumulate(steps, axis=0), axis=0))


def columns_of(X: Any, panel: Panel) -> tuple[list[Any], list[Floats]]:
    """The names of the columns of X, and their values at the steps of each series, (T_i, K)."""
    if X is None:
        names = list(panel.extra)
        return names, [np.stack(parts, axis=1) for parts in zip(*panel.extra.values(), strict=True)] if names else []
    if panel.layout == "long":
        frame = _frame(X, "X", (ID, DATE))
        if not set(frame.columns) - {ID, DATE, VALUE}:
            raise ValueError(f"X: expected at least one column beside {ID}, {DATE} and {VALUE}, got none")
        whole = panel_of(frame.assign(**{VALUE: 0.0}), "X", panel.grid.step)
        return list(whole.extra), _of_rows(
            whole, panel, [(s, e) for s, e in zip(panel.starts, panel.ends, strict=True)]
        )
    names, rows = _columns(X, panel, 0, max(panel.ends), gaps=True)
    return names, [rows[s:e] for s, e in zip(panel.starts, panel.ends, strict=True)]


def future_of(X: Any, panel: Panel, covariates: Covariates, horizon: int) -> list[Floats] | None:
    """The columns of the steps to come, (horizon, K) for each series; None if none is known for them."""
    if not covariates.known.any():
        return None
    wanted = [name for name, known in zip(covariates.names, covariates.known, strict=True) if known]
    if X is None:
        raise ValueError(
            f"X: expected the columns {wanted} of the next {horizon} steps, as fit has read them, got None; "
            "name those that nobody knows yet in past_covariates"
        )
    spans = [(end, end + horizon) for end in panel.ends]
    if panel.layout == "long":
        frame = _frame(X, "X", (ID, DATE, *wanted))
        whole = panel_of(frame.assign(**{VALUE: 0.0}), "X", panel.grid.step)
        return [_ordered(rows, list(whole.extra), covariates) for rows in _of_rows(whole, panel, spans)]
    end = max(panel.ends)
    names, rows = _columns(X, panel, end, end + horizon, gaps=False)
    names = wanted if len(names) == len(wanted) and all(isinstance(n, int) for n in names) else names
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"X: expected the columns {wanted}, got none called {missing[0]!r}")
    whole_rows = _ordered(rows, names, covariates)
    return [whole_rows for _ in panel.values]


def _ordered(rows: Floats, names: list[Any], covariates: Covariates) -> Floats:
    """Columns in the order of those that were learned from; the mean where there is none."""
    found = np.broadcast_to(covariates.mean, (len(rows), len(covariates.names))).copy()
    for at, name in enumerate(covariates.names):
        if name in names:
            found[:, at] = rows[:, names.index(name)]
    return found


def _frame(X: Any, name: str, wanted: Sequence[Any]) -> Any:
    import pandas

    if type(X).__module__.split(".")[0] == "polars":
        X = pandas.DataFrame({column: X[column].to_numpy() for column in X.columns})
    if not isinstance(X, pandas.DataFrame):
        raise TypeError(f"{name}: expected a DataFrame with {', '.join(map(str, wanted))}, got {type(X).__name__}")
    missing = [column for column in wanted if column not in X.columns]
    if missing:
        raise ValueError(f"{name}: expected the columns {list(wanted)}, got none called {missing[0]!r}")
    return X


def _of_rows(whole: Panel, panel: Panel, spans: list[tuple[int, int]]) -> list[Floats]:
    """The rows of each series of a panel from one position to another; ValueError if some are not there."""
    offset = panel.grid.place(whole.grid.first, "X")
    places = {label: at for at, label in enumerate(whole.ids)}
    found = []
    for label, (low, high) in zip(panel.ids, spans, strict=True):
        if label not in places:
            raise ValueError(f"X: expected rows of each series, got none of {label!r}")
        at = places[label]
        rows = np.stack([parts[at] for parts in whole.extra.values()], axis=1)
        begin = low - offset - whole.starts[at]
        if begin < 0 or begin + high - low > len(rows):
            first, last = panel.grid.index(low, high - low)[[0, -1]]
            raise ValueError(f"X: expected rows of {label!r} from {first} to {last}, got only some of them")
        found.append(rows[begin : begin + high - low])
    return found


def _columns(X: Any, panel: Panel, low: int, high: int, *, gaps: bool) -> tuple[list[Any], Floats]:
    """The columns of X between two positions of the grid, (high - low, K). With `gaps` some may lack: NaN."""
    frame = X.to_frame() if hasattr(X, "to_frame") and type(X).__module__.startswith("pandas") else X
    if type(frame).__module__.startswith("pandas"):
        names = list(frame.columns)
        check_columns(frame, "X")
        if not names:
            raise ValueError("X: expected at least one column, got none")
        if panel.layout in ("series", "wide") and not panel.polars:
            if frame.index.has_duplicates:
                raise ValueError(
                    f"X: expected each moment once, got {frame.index[frame.index.duplicated()][0]} several times"
                )
            moments = panel.grid.index(low, high - low)
            absent = ~moments.isin(frame.index)
            if absent.all() or (absent.any() and not gaps):
                raise ValueError(
                    f"X: expected rows from {moments[0]} to {moments[-1]}, got none of {moments[absent][0]}"
                )
            frame = frame.reindex(moments)
        parts = [numbers_of(plain(frame[key], f"X, {key!r}"), f"X, {key!r}") for key in names]
        values = np.stack(parts, axis=1)
    else:
        values = numbers_of(X.to_numpy() if hasattr(X, "to_numpy") else X, "X")
        values = values[:, None] if values.ndim == 1 else values
        names = list(X.columns) if hasattr(X, "columns") else list(range(values.shape[-1]))
    _check.shape_of(values, "X", (high - low, len(names)))
    return names, values
