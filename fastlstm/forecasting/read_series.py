"""Reading a file as evenly spaced series: one, or one for each group of its rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.cells import dates_of, numbers
from fastlstm.forecasting.date_cells import WAYS, Parsed
from fastlstm.forecasting.dates import DAY, Dates, Step, find_step, mostly_gaps
from fastlstm.forecasting.gaps import missing_notes
from fastlstm.forecasting.series import Series, date_text
from fastlstm.forecasting.table import Table, is_missing, read_table
from fastlstm.forecasting.zones import Zone
from fastlstm.separated import MOST

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


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
    (series,), notes = read_groups(
        path, [target], (), date, others, date_format=date_format, decimal=decimal, max_bytes=max_bytes
    )
    return replace(series, notes=notes)


def read_groups(
    path: str | os.PathLike[str],
    targets: Sequence[str],
    groups: Sequence[str] = (),
    date: str | None = None,
    others: Sequence[str] = (),
    *,
    known: Sequence[str] = (),
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
    others, known : list of str
        More columns, in this order; `known` is what errors call the latter.

    Returns
    -------
    list of Series, list of str

    Raises
    ------
    OSError, ValueError, ImportError
        As in `read_series`; if a column is asked for twice, or the groups have different steps.
    """
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal: expected '.' or ',', got {decimal!r:.80}")
    table = read_table(path, max_bytes=max_bytes)
    notes = list(table.notes)
    columns: list[int] = []
    for option, wanted in (("target", targets), ("inputs", others), ("known", known)):
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
    values = np.stack([numbers(table, at, decimal, notes) for at in columns], axis=1)
    parsed = dates_of(table, columns[0], date, date_format, notes)
    parts = [_part(table, label, rows, values, parsed, notes) for label, rows in _grouped(table, keys).items()]
    longest = max(parts, key=lambda part: len(part.values))
    if parsed is not None and longest.step is None:
        assert longest.dates is not None
        _check_gaps(table, longest.dates)
        notes.append("The dates are not evenly spaced: the rows are taken as steps of equal length.")
    names = [table.names[at] for at in columns]
    left_out, dropped, found, inside = 0, 0, [], []
    for part in parts:
        steps = replace(part, step=None) if longest.step is None else _on_grid(table, part, longest)
        left_out += len(steps.values) - len(part.values)
        measured = np.flatnonzero(~np.isnan(steps.values[:, : len(targets)]).all(1))
        kept = slice(int(measured[0]), int(measured[-1]) + 1) if len(measured) else slice(0)
        beyond = steps.values[kept.stop :] if others or known else steps.values[:0]
        dropped += len(steps.values) - len(steps.values[kept]) - len(beyond)
        found.append(_series(table, names, replace(steps, values=steps.values[kept], before=kept.start), beyond))
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


@dataclass(frozen=True)
class Part:
    """The rows of a group in order: values (T, K), and their dates if there are any; `before` have been dropped."""

    group: str
    values: Floats
    dates: Dates | None
    step: Step | None
    zone: Zone | None
    before: int = 0


def _grouped(table: Table, keys: Sequence[int]) -> dict[str, Ints]:
    """The rows of each group, in the order in which they come."""
    if not keys:
        return {"": np.arange(len(table.rows))}
    rows: dict[tuple[str, ...], list[int]] = {}
    for at, row in enumerate(table.rows):
        cells = [row[key] for key in keys]
        empty = next((k for k, cell in enumerate(cells) if is_missing(cell)), None)
        if empty is not None:
            raise ValueError(
                f"{table.path}, line {table.lines[at]}: expected a group in each row, got {cells[empty]!r} in "
                f"the column {table.names[keys[empty]]!r}"
            )
        rows.setdefault(tuple(cells), []).append(at)
    labels = {cells: " / ".join(cells) for cells in rows}
    check_labels(list(labels.values()))
    return {labels[cells]: np.array(found) for cells, found in rows.items()}


def check_labels(labels: Sequence[str]) -> None:
    """Require that series can be told apart by their labels."""
    if len(set(labels)) < len(labels):
        twice = next(label for k, label in enumerate(labels) if label in labels[:k])
        raise ValueError(f"group: expected groups that can be told apart, got {twice!r} for two; rename one of them")


def _part(table: Table, group: str, rows: Ints, values: Floats, parsed: Parsed | None, notes: list[str]) -> Part:
    if parsed is None:
        return Part(group, values[rows], None, None, None)
    offsets = None if parsed.offsets is None else parsed.offsets[rows]
    lines = [table.lines[at] for at in rows]
    own, sorted_dates = _sorted(
        table.path, lines, values[rows], Parsed(parsed.dates[rows], offsets, parsed.zulu), notes
    )
    return Part(group, own, *_clock(sorted_dates))


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


def _sorted(path: str, lines: list[int], values: Floats, parsed: Parsed, notes: list[str]) -> tuple[Floats, Parsed]:
    """The rows in order of elapsed time."""
    dates, offsets = parsed.dates, parsed.offsets
    elapsed = dates if offsets is None else dates - offsets.astype("m8[s]")
    order = np.argsort(elapsed, kind="stable")
    if (np.diff(order) != 1).any():
        note = "The rows were sorted by date."
        notes += [note] if note not in notes else []
    values, dates, elapsed = values[order], dates[order], elapsed[order]
    same = np.flatnonzero(elapsed[1:] == elapsed[:-1])
    if len(same):
        at = int(same[0])
        first, second = (lines[order[at + k]] for k in (0, 1))
        raise ValueError(
            f"{path}: expected each date once, got {date_text(dates[at : at + 1], None)[0]} in lines {first} and "
            f"{second}; if the file has several series, --group names the column that tells them apart"
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


def _on_grid(table: Table, part: Part, longest: Part) -> Part:
    """A part with a row for each step of the longest one, NaN where there was none.

    Raises
    ------
    ValueError
        If its dates are none of those steps.
    """
    assert part.dates is not None and longest.step is not None
    step = longest.step
    if step.months:  # a group may have its own day of the month
        step = replace(step, origin=part.dates[0])
    ordinals = step.ordinals(part.dates)
    first = int(ordinals[0])
    ordinals = ordinals - first
    length = int(ordinals[-1]) + 1
    dates = step.dates(first + np.arange(length))
    astray = not step.months and (dates[ordinals] != part.dates).any()  # a month may have its value on any day
    if part is not longest and (astray or len(np.unique(ordinals)) < len(ordinals)):
        raise ValueError(
            f"{table.path}: expected steps of a {step.name} in each group, as in {longest.group!r}, got others in "
            f"{part.group!r}"
        )
    if length > 2 * len(part.values) + LEAST_STEPS:
        raise ValueError(
            f"{table.path}: expected rows for at least half of the steps in each group, got {len(part.values)} for "
            f"{length} in {part.group!r}"
        )
    grid = np.full((length, part.values.shape[1]), np.nan)
    grid[ordinals] = part.values
    return replace(part, values=grid, dates=dates, step=step)


LEAST_STEPS = 100
"""Steps that a group may have of which most lack a row."""
