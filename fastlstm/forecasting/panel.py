"""Series of a user, in whatever container, as a panel; and forecasts in the container that came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.grid import Grid, grid_of

Floats = NDArray[np.float64]

ID, DATE, VALUE = "unique_id", "ds", "y"
"""The columns of a long panel, as Nixtla's libraries call them."""

MOST_SPARSE = 100
"""Steps of a series for each row that is there, at most; `LEAST_STEPS` are always allowed."""

LEAST_STEPS = 10_000

LARGEST = 1e100
"""The largest number of a series: the squares of larger ones might overflow."""


@dataclass(frozen=True)
class Panel:
    """Several series on one grid of moments.

    Attributes
    ----------
    layout : "array", "arrays", "series", "wide" or "long"
        The container that the series came in: an array (T,), an array (T, C), a Series, a DataFrame with a column for
        each series, or a DataFrame with a row for each value.
    ids : list
        The name of each series.
    values : list of (T_i,) float64
        NaN where a value is missing. Neither the first nor the last is a gap of a long panel.
    starts : list of int
        The position of each series' first value on the grid.
    grid : Grid
    polars : bool
        Whether the container was one of polars.
    """

    layout: str
    ids: list[Any]
    values: list[Floats]
    starts: list[int]
    grid: Grid
    polars: bool = False
    name: Any = None
    extra: dict[str, list[Floats]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def ends(self) -> list[int]:
        """The position after the last value of each series."""
        return [start + len(values) for start, values in zip(self.starts, self.values, strict=True)]

    def cut(self, back: int) -> Panel:
        """The series without their last `back` steps."""
        values = [own[: len(own) - back] for own in self.values]
        extra = {key: [part[: len(part) - back] for part in parts] for key, parts in self.extra.items()}
        return replace(self, values=values, extra=extra)

    def row(self, at: int) -> Panel:
        """One of the series."""
        extra = {key: parts[at : at + 1] for key, parts in self.extra.items()}
        part = slice(at, at + 1)
        return replace(self, ids=self.ids[part], values=self.values[part], starts=self.starts[part], extra=extra)

    def given_back(self, forecast: Floats, labels: Sequence[Any] = ()) -> Any:
        """Forecasts (S, fh), or (S, fh, K) with a label for each of the K, in the container that the series came in."""
        steps = forecast.shape[1]
        if self.layout == "array":
            return forecast[0]
        if self.layout == "arrays":
            return np.moveaxis(forecast, 0, 1)
        import pandas

        if self.layout == "series" and self.polars:
            return _polars({str(label): forecast[0, :, k] for k, label in enumerate(labels)} or forecast[0], self.name)
        if self.layout in ("series", "wide"):
            index = self.grid.index(self.ends[0], steps)
            if self.layout == "series":
                if labels:
                    return pandas.DataFrame(forecast[0], index, list(labels))
                return pandas.Series(forecast[0], index, name=self.name)
            if not labels:
                return pandas.DataFrame(forecast.T, index, self.ids)
            columns = pandas.MultiIndex.from_product([self.ids, list(labels)])
            return pandas.DataFrame(np.moveaxis(forecast, 0, 1).reshape(steps, -1), index, columns)
        frame = {
            ID: np.repeat(np.asarray(self.ids, object if isinstance(self.ids[0], str) else None), steps),
            DATE: self._dates(steps),
        }
        if labels:
            frame |= {label: forecast[..., k].reshape(-1) for k, label in enumerate(labels)}
        else:
            frame[VALUE] = forecast.reshape(-1)
        return _polars({str(key): part for key, part in frame.items()}) if self.polars else pandas.DataFrame(frame)

    def _dates(self, steps: int) -> Any:
        """The moments of all forecasts of a long panel, one series after the other."""
        low = min(self.ends)
        whole = self.grid.index(low, max(self.ends) - low + steps)
        places = np.asarray(self.ends)[:, None] - low + np.arange(steps)
        return whole[places.reshape(-1)]


def _polars(columns: Any, name: Any = None) -> Any:
    import polars

    if isinstance(columns, dict):
        plain = {key: part.to_numpy() if hasattr(part, "to_numpy") else part for key, part in columns.items()}
        return polars.DataFrame({key: part.tolist() if part.dtype == object else part for key, part in plain.items()})
    return polars.Series(name or "", columns)


def numbers_of(values: Any, name: str) -> Floats:
    """Real numbers as float64, in which NaN and None are missing values."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: expected rows of the same length, got {type(values).__name__} of different ones"
        ) from None
    if array.dtype == object:
        array = np.asarray([np.nan if each is None else each for each in array.reshape(-1)]).reshape(array.shape)
    array = _check.as_numbers(array, name, "fiub", "real numbers").astype(np.float64)
    wrong = ~(np.abs(array) <= LARGEST) & ~np.isnan(array)
    if wrong.any():
        at = int(wrong.reshape(-1).argmax())
        raise ValueError(f"{name}: expected numbers up to {LARGEST:g}, or NaN, got {array.reshape(-1)[at]} at [{at}]")
    return array


def panel_of(y: Any, name: str = "y", freq: Any = None) -> Panel:
    """The panel of some series.

    Parameters
    ----------
    y : (T,) or (T, C) numbers; pandas or polars Series; DataFrame
        A DataFrame with the columns ``unique_id``, ``ds`` and ``y`` is a long panel; any other one of pandas is wide,
        with a column for each series. NaN is a missing value.
    name : str
        What errors call it.
    freq : str, optional
        The frequency of the dates; by default found out.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If there is no value, a date is there twice, or dates are not evenly spaced.
    """
    module = type(y).__module__.split(".")[0]
    if module == "polars":
        return _of_polars(y, name, freq)
    if module == "pandas":
        import pandas

        if isinstance(y, pandas.Series):
            return _wide(y.to_frame(), name, freq, "series", y.name)
        if isinstance(y, pandas.DataFrame):
            return _long(y, name, freq, False) if {ID, DATE, VALUE} <= set(y.columns) else _wide(y, name, freq, "wide")
    array = numbers_of(y, name)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(f"{name}: expected shape (T,) or (T, C), got {_check.describe(array.shape)}")
    columns = array.reshape(len(array), -1)
    layout = "array" if array.ndim == 1 else "arrays"
    ids = list(range(columns.shape[1]))
    return _trimmed(layout, ids, list(columns.T), [0] * len(ids), Grid(0, 1), name)


def _of_polars(y: Any, name: str, freq: Any) -> Panel:
    import pandas

    if not hasattr(y, "columns"):
        panel = panel_of(y.to_numpy(), name)
        return Panel("series", panel.ids, panel.values, panel.starts, panel.grid, True, y.name)
    if not {ID, DATE, VALUE} <= set(y.columns):
        raise ValueError(f"{name}: expected columns {ID}, {DATE} and {VALUE} of a polars DataFrame, got {y.columns}")
    return _long(pandas.DataFrame({column: y[column].to_numpy() for column in y.columns}), name, freq, True)


def _wide(y: Any, name: str, freq: Any, layout: str, title: Any = None) -> Panel:
    import pandas

    if not len(y) or not len(y.columns):
        raise ValueError(f"{name}: expected at least one value, got an empty {'Series' if title else 'DataFrame'}")
    y = y if y.index.is_monotonic_increasing else y.sort_index()
    if y.index.has_duplicates:
        raise ValueError(f"{name}: expected each moment once, got {y.index[y.index.duplicated()][0]} several times")
    if isinstance(y.columns, pandas.MultiIndex):
        raise ValueError(f"{name}: expected one level of columns, got {y.columns.nlevels}")
    check_columns(y, name)
    grid = grid_of(y.index, name, freq)
    places = grid.positions(y.index, name)
    check_filled(len(y), int(places[-1]) + 1, grid, name)
    columns = []
    for label in y.columns:
        values = np.full(places[-1] + 1, np.nan)
        values[places] = numbers_of(plain(y[label], f"{name}, {label!r}"), f"{name}, {label!r}")
        columns.append(values)
    return _trimmed(layout, list(y.columns), columns, [0] * len(columns), grid, name, title=title)


def check_columns(frame: Any, name: str) -> None:
    """Require that the columns of a DataFrame have different names."""
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"{name}: expected columns of different names, got {twice!r} twice")


def check_filled(rows: int, steps: int, grid: Grid, name: str) -> None:
    """Require that series are not almost all gaps, as those are that have another frequency than they are taken for."""
    if steps > max(LEAST_STEPS, MOST_SPARSE * rows):
        raise ValueError(
            f"{name}: expected a row for at least one in {MOST_SPARSE} steps of {grid.described}, got {rows:,} rows "
            f"for {steps:,} steps; resample first, or give freq="
        )


def plain(column: Any, name: str) -> Any:
    """A column of pandas as NumPy's numbers: nullable ones have NaN where they have NA."""
    import pandas

    numeric = pandas.api.types.is_numeric_dtype(column) and not pandas.api.types.is_complex_dtype(column)
    if not numeric and column.dtype != object:
        raise TypeError(f"{name}: expected real numbers, got {column.dtype}")
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected real numbers, got {column.dtype}, such as {column.iloc[0]!r}") from None


def _long(y: Any, name: str, freq: Any, polars: bool) -> Panel:
    import pandas

    if not len(y):
        raise ValueError(f"{name}: expected at least one value, got an empty DataFrame")
    check_columns(y, name)
    for column in (ID, DATE):
        if y[column].isna().any():
            raise ValueError(f"{name}: expected no missing {column}, got one in row {int(y[column].isna().argmax())}")
    codes, ids = pandas.factorize(y[ID], sort=True)
    moments = pandas.Index(y[DATE])
    if moments.dtype == object or isinstance(moments.dtype, pandas.StringDtype):
        raise TypeError(
            f"{name}: expected dates or whole numbers in {DATE}, got {moments.dtype}, such as {moments[0]!r}; use "
            "pandas.to_datetime first"
        )
    order = np.lexsort((moments.argsort().argsort(), codes))
    codes, moments = codes[order], moments[order]
    bounds = np.searchsorted(codes, np.arange(len(ids) + 1))
    longest = int(np.diff(bounds).argmax())
    sample = moments[bounds[longest] : bounds[longest + 1]].unique()
    grid = grid_of(moments.unique().sort_values(), f"{name}, {DATE}", freq, sample)
    places = grid.positions(moments, f"{name}, {DATE}")
    again = (np.diff(codes) == 0) & (np.diff(places) == 0)
    if again.any():
        at = int(again.argmax())
        raise ValueError(f"{name}: expected each moment once for {ids[codes[at]]!r}, got {moments[at]} several times")
    starts = [int(places[low]) for low in bounds[:-1]]
    for label, low, high in zip(ids, bounds, bounds[1:], strict=False):
        check_filled(int(high - low), int(places[high - 1] - places[low]) + 1, grid, f"{name}, {label!r}")
    columns: dict[Any, list[Floats]] = {VALUE: [], **{key: [] for key in y.columns if key not in (ID, DATE, VALUE)}}
    for key, parts in columns.items():
        numbers = numbers_of(plain(y[key], f"{name}, {key!r}"), f"{name}, {key!r}")[order]
        for low, high in zip(bounds, bounds[1:], strict=False):
            values = np.full(places[high - 1] - places[low] + 1, np.nan)
            values[places[low:high] - places[low]] = numbers[low:high]
            parts.append(values)
    return _trimmed("long", list(ids), columns.pop(VALUE), starts, grid, name, polars=polars, extra=columns)


def _trimmed(
    layout: str,
    ids: list[Any],
    values: list[Floats],
    starts: list[int],
    grid: Grid,
    name: str,
    *,
    title: Any = None,
    polars: bool = False,
    extra: dict[str, list[Floats]] | None = None,
) -> Panel:
    """A panel whose series begin with their first measured value."""
    firsts = []
    for label, column in zip(ids, values, strict=True):
        measured = np.flatnonzero(~np.isnan(column))
        if not len(measured):
            raise ValueError(f"{name}: expected at least one value of each series, got none of {label!r}")
        firsts.append(int(measured[0]))
    values = [column[first:] for column, first in zip(values, firsts, strict=True)]
    starts = [start + first for start, first in zip(starts, firsts, strict=True)]
    beside = {key: [part[f:] for part, f in zip(parts, firsts, strict=True)] for key, parts in (extra or {}).items()}
    return Panel(layout, ids, values, starts, grid, polars, title, beside)
