"""Reading a file as evenly spaced series: one, or one for each group of its rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.cells import dates_of, numbers
from fastlstm.forecasting.gaps import missing_notes
from fastlstm.forecasting.groups import grouped_rows, static_of
from fastlstm.forecasting.parts import Part, check_gaps, on_grid, parts_of
from fastlstm.forecasting.series import Series
from fastlstm.forecasting.table import Table, read_table
from fastlstm.separated import MOST

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def read_series(
    path: str | os.PathLike[str],
    target: str,
    date: str | None = None,
    inputs: Sequence[str] = (),
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
    inputs : list of str, optional
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
    (series,), notes = read_groups(
        path, [target], (), date, inputs, date_format=date_format, decimal=decimal, max_bytes=max_bytes
    )
    return replace(series, notes=notes)


def read_groups(
    path: str | os.PathLike[str],
    targets: Sequence[str],
    groups: Sequence[str] = (),
    date: str | None = None,
    inputs: Sequence[str] = (),
    *,
    known: Sequence[str] = (),
    static: Sequence[str] = (),
    date_format: str | None = None,
    decimal: str | None = None,
    max_bytes: int = MOST,
) -> tuple[list[Series], list[str]]:
    """Read columns of a file: a series for each group of rows, and notes on all of them.

    Parameters
    ----------
    path, date, date_format, decimal, max_bytes
        As in `read_series`.
    targets : list of str
        Columns; a series has the first one as its values. It begins and ends where one of them has a value.
    groups : list of str
        Columns whose cells say to which series a row belongs.
    inputs, known : list of str
        More columns, in this order; `known` is what errors call the latter.
    static : list of str
        Columns of numbers or words that have one value in each group; they may be among `groups`.

    Returns
    -------
    list of Series, list of str

    Raises
    ------
    OSError, ValueError, ImportError
        As in `read_series`; if a column is asked for twice, the groups have different steps, or a static column has
        none or several values in one of them.
    """
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal: expected '.' or ',', got {decimal!r:.80}")
    table = read_table(path, max_bytes=max_bytes)
    notes = list(table.notes)
    columns: list[int] = []
    for option, wanted in (("target", targets), ("inputs", inputs), ("known", known)):
        for one in wanted:
            columns.append(table.find(one, option))
            if columns[-1] in columns[:-1]:
                raise ValueError(
                    f"{option}: expected each column once among targets, inputs and known ones, got "
                    f"{table.names[columns[-1]]!r} twice"
                )
    keys = [table.find(group, "group") for group in groups]
    if set(keys) & set(columns):
        name = table.names[min(set(keys) & set(columns))]
        raise ValueError(f"group: expected other columns than those that are read, got {name!r} for both")
    grouped = grouped_rows(table, keys)
    fixed = static_of(table, static, columns, grouped, decimal, notes)
    values = np.stack([numbers(table, at, decimal, notes) for at in columns], axis=1)
    parsed = dates_of(table, columns[0], date, date_format, notes)
    parts = parts_of(table, grouped, values, parsed, notes)
    longest = max(parts, key=lambda part: len(part.values))
    if parsed is not None and longest.step is None:
        assert longest.dates is not None
        check_gaps(table, longest.dates)
        notes.append("The dates are not evenly spaced: the rows are taken as steps of equal length.")
    names = [table.names[at] for at in columns]
    left_out, dropped, found, inside = 0, 0, [], []
    for part in parts:
        steps = replace(part, step=None) if longest.step is None else on_grid(table, part, longest)
        left_out += len(steps.values) - len(part.values)
        measured = np.flatnonzero(~np.isnan(steps.values[:, : len(targets)]).all(1))
        kept = slice(int(measured[0]), int(measured[-1]) + 1) if len(measured) else slice(0)
        beyond = steps.values[kept.stop :] if inputs or known else steps.values[:0]
        dropped += len(steps.values) - len(steps.values[kept]) - len(beyond)
        series = _series(table, names, replace(steps, values=steps.values[kept], before=kept.start), beyond)
        found.append(replace(series, static={name: column[part.group] for name, column in fixed.items()}))
        inside.append(steps.values[kept])
    for name, column in zip(names, np.concatenate(inside).T, strict=True):
        notes += missing_notes(column, name)
    if left_out and longest.step is not None:
        total = sum(len(one.values) for one in found) + dropped
        step = longest.step.name
        notes.append(f"Dates without a row ({step} by {step}), taken as missing values: {left_out} of {total}.")
    if dropped:
        total = sum(len(one.values) for one in found) + dropped
        notes.append(f"Missing values at the beginning or end, dropped: {dropped} of {total}.")
    return found, notes


def _series(table: Table, names: list[str], part: Part, beyond: Floats) -> Series:
    """A part as a series; ValueError if nearly all of a column is missing."""
    where = f", {part.group!r}" if part.group else ""
    for name, column in zip(names, part.values.T, strict=True):
        place = f"{table.path}{where}, column {name!r}"
        if np.isnan(column).all():
            raise ValueError(f"{place}: expected numbers, got only missing values")
        try:
            missing_notes(column, name)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    several = len(names) > 1
    count = part.before + len(part.values)
    return Series(
        names[0],
        part.values[:, 0],
        None if part.dates is None else part.dates[part.before : count],
        part.step,
        [],
        part.values[:, 1:] if several else None,
        tuple(names[1:]),
        part.zone,
        part.group,
        beyond[:, 1:],
    )
