"""A CSV file as an evenly spaced series, with notes on what was decided and what is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.cells import dates_of, numbers
from fastlstm.forecasting.date_cells import WAYS, Parsed
from fastlstm.forecasting.dates import DAY, Dates, Step, find_step, mostly_gaps
from fastlstm.forecasting.gaps import missing_notes
from fastlstm.forecasting.table import Table, read_table
from fastlstm.forecasting.zones import Zone
from fastlstm.separated import MOST

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Values at evenly spaced steps.

    Attributes
    ----------
    name : str
    values : (T,)
        Numbers; NaN where nothing was measured, but not at the ends.
    dates : (T,) datetime64[s], or None
    step : Step or None
        The step between two dates; None if there are no dates, or they are not evenly spaced.
    notes : list of str
        A sentence for each thing that was decided or is missing.
    others : (T, K), or None
        Other columns of the file that were asked for; NaN where nothing was measured.
    other_names : tuple of str
    zone : Zone, or None
        What the dates say of their offset from UTC.
    """

    name: str
    values: Floats
    dates: Dates | None
    step: Step | None
    notes: list[str]
    others: Floats | None = None
    other_names: tuple[str, ...] = ()
    zone: Zone | None = None

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which values are not missing, (T,)."""
        return ~np.isnan(self.values)

    @property
    def season(self) -> int:
        """Number of steps in the season that the step suggests; 1 for none."""
        return self.step.season if self.step else 1

    def label(self, at: int) -> str:
        """The date of a value, also of one after the end; without dates its number, from 1."""
        if self.step is not None:
            assert self.dates is not None
            last = self.step.ordinals(self.dates[-1:])
            return self._written(self.step.dates(last + (at - len(self.values) + 1)))
        if self.dates is not None and at < len(self.dates):
            return self._written(self.dates[at : at + 1])
        return str(at + 1)

    def _written(self, date: Dates) -> str:
        return date_text(date, self.step)[0] if self.zone is None else self.zone.text(date[0])

    def span(self, start: int, stop: int) -> str:
        """The range of some values in words, such as "2020-01 to 2020-12"; `stop` is excluded."""
        return f"{'' if self.dates is not None else 'rows '}{self.label(start)} to {self.label(stop - 1)}"

    def future(self, steps: int) -> list[str]:
        """The labels of the steps after the last value."""
        return [self.label(len(self.values) + i) for i in range(steps)]


def date_text(dates: Dates, step: Step | None) -> list[str]:
    """Dates as people write them: no day for months, no time for days."""
    days = dates.astype("M8[D]")
    if step is not None and step.months and (days == days.astype("M8[M]")).all():
        return [str(date) for date in (days.astype("M8[Y]") if step.months == 12 else days.astype("M8[M]"))]
    if (dates == days).all() and (step is None or not step.seconds % DAY):
        return [str(day) for day in days]
    end = 16 if (dates == dates.astype("M8[m]")).all() and (step is None or not step.seconds % 60) else 19
    return [str(date).replace("T", " ")[:end] for date in dates]


def read_series(
    path: str | os.PathLike[str],
    target: str,
    date: str | None = None,
    others: Sequence[str] = (),
    *,
    date_format: str | None = None,
    decimal: str | None = None,
    max_bytes: int = MOST,
) -> Series:
    """Read one column of a CSV file, and other columns beside it if asked for.

    Rows are sorted by date. Dates without a row count as missing values. Missing values at both ends are dropped, those
    inside stay missing (NaN) and are counted in the notes.

    Parameters
    ----------
    path : path
    target : str
        The column, by its name or by its number from 1.
    date : str, optional
        The column of the dates. By default it is looked for; "none" takes the rows as steps of equal length.
    others : list of str, optional
        More columns, by name or number.
    date_format : str, optional
        How the dates are written, in the codes of `datetime.strptime`, such as ``"%d/%m/%Y"``. By default it is found
        out, and refused where it could be one or the other.
    decimal : "." or ",", optional
        The decimal mark. By default it is found from each column, and refused where it could be one or the other.
    max_bytes : int, default 128000000
        See `read_table`.

    Returns
    -------
    Series

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If the file cannot be read as a table, a column does not exist, or a cell is no number or date; the message has
        the file, the column and the line. If nearly all values are missing.
    ImportError
        If pandas, which reads the dates, is not installed.
    """
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal: expected '.' or ',', got {decimal!r:.80}")
    table = read_table(path, max_bytes=max_bytes)
    notes = list(table.notes)
    column = table.find(target, "target")
    name = table.names[column]
    extra = [table.find(other, "target or inputs") for other in others]
    values = np.stack([numbers(table, at, decimal, notes) for at in (column, *extra)], axis=1)
    parsed = dates_of(table, column, date, date_format, notes)
    dates, step, zone = None, None, None
    if parsed is not None:
        values, parsed = _sorted(table, values, parsed, notes)
        dates, step, zone = _clock(parsed)
        if step is not None:
            values, dates = _on_grid(values, dates, step, notes)
        else:
            _check_gaps(table, dates)
            notes.append("The dates are not evenly spaced: the rows are taken as steps of equal length.")
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    kept = slice(int(known[0]), int(known[-1]) + 1) if len(known) else slice(0)
    ends = len(values) - len(values[kept])
    if len(known) and ends:
        notes.append(f"Missing values at the beginning or end, dropped: {ends} of {len(values)}.")
    values, names = values[kept], (name, *(table.names[at] for at in extra))
    for each, part in zip(names, values.T, strict=True):
        if np.isnan(part).all():
            raise ValueError(f"{path}, column {each!r}: expected numbers, got only missing values")
        try:
            notes += missing_notes(part, each)
        except ValueError as error:
            raise ValueError(f"{path}, column {each!r}: {error}") from None
    more = values[:, 1:] if extra else None
    return Series(name, values[:, 0], None if dates is None else dates[kept], step, notes, more, names[1:], zone)


def _sorted(table: Table, values: Floats, parsed: Parsed, notes: list[str]) -> tuple[Floats, Parsed]:
    """The rows in order of elapsed time."""
    dates, offsets = parsed.dates, parsed.offsets
    elapsed = dates if offsets is None else dates - offsets.astype("m8[s]")
    order = np.argsort(elapsed, kind="stable")
    if (np.diff(order) != 1).any():
        notes.append("The rows were sorted by date.")
    values, dates, elapsed = values[order], dates[order], elapsed[order]
    same = np.flatnonzero(elapsed[1:] == elapsed[:-1])
    if len(same):
        at = int(same[0])
        first, second = (table.lines[order[at + k]] for k in (0, 1))
        raise ValueError(
            f"{table.path}: expected each date once, got {date_text(dates[at : at + 1], None)[0]} in lines {first} and "
            f"{second}; give a file with the rows of a single series"
        )
    return values, Parsed(dates, None if offsets is None else offsets[order], parsed.zulu)


def _clock(parsed: Parsed) -> tuple[Dates, Step | None, Zone | None]:
    """Dates by the clock on which they are evenly spaced, their step, and their zone.

    That is the local clock for days and longer steps. It is UTC, which has no hour twice, for shorter ones.
    """
    dates, offsets = parsed.dates, parsed.offsets
    if offsets is None:
        return dates, find_step(dates), None
    local = not np.ptp(offsets)
    step = find_step(dates) if (np.diff(dates).astype(np.int64) > 0).all() else None
    local = local or (step is not None and (step.business or step.seconds % DAY == 0))
    if not local:
        dates = dates - offsets.astype("m8[s]")
        step = find_step(dates)
    begin = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 1))
    return dates, step, Zone(dates[begin], offsets[begin], local, parsed.zulu)


def _check_gaps(table: Table, dates: Dates) -> None:
    gaps = mostly_gaps(dates)
    if gaps is not None:
        raise ValueError(
            f"{table.path}: expected a row for at least half of the steps from {date_text(dates[:1], None)[0]} to "
            f"{date_text(dates[-1:], None)[0]}, got none for {gaps[0]:,} of {gaps[1]:,} (if the dates mean something "
            f"else, {WAYS})"
        )


def _on_grid(values: Floats, dates: Dates, step: Step, notes: list[str]) -> tuple[Floats, Dates]:
    """Values at every step from the first date to the last, NaN where there was no row; and the dates."""
    ordinals = step.ordinals(dates)
    ordinals = ordinals - ordinals[0]
    length = int(ordinals[-1]) + 1
    left_out = length - len(values)
    if left_out:
        notes.append(
            f"Dates without a row ({step.name} by {step.name}), taken as missing values: {left_out} of {length}."
        )
    grid = np.full((length, *values.shape[1:]), np.nan)
    grid[ordinals] = values
    return grid, step.dates(step.ordinals(dates[:1]) + np.arange(length))
