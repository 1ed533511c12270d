"""Columns of a table of text as numbers or dates."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.dates import DAY, Dates
from fastlstm.forecasting.table import DATE, NUMBER, Table, is_missing

Floats = NDArray[np.float64]

DATE_NAME = re.compile(r"ds|dt|day|week|month|quarter|year|period|.*(date|time).*", re.IGNORECASE)
YEAR_FIRST = re.compile(r"\s*\d{4}\D")
DAY_NUMBER = re.compile(r"[12]\d{3}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
PARTS = ("year", "month", "day", "hour", "minute")


def numbers(table: Table, column: int) -> Floats:
    """A column as numbers. A missing value is NaN."""
    cells = table.column(column)
    decimal_comma = table.separator != "," and any("," in cell for cell in cells) and not any("." in c for c in cells)
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        text = cell.replace(",", ".") if decimal_comma else cell
        try:
            values[i] = np.nan if is_missing(cell) else float(text)
        except ValueError:
            raise ValueError(f"{_place(table, column, i)}: expected a number, got {cell!r:.80}") from None
        if np.isinf(values[i]):
            raise ValueError(f"{_place(table, column, i)}: expected a finite number, got {cell!r:.80}")
    return values


def _place(table: Table, column: int, row: int) -> str:
    return f"{table.path}, line {table.lines[row]}, column {table.names[column]!r:.80}"


def dates_of(table: Table, target: int, wanted: str | None, notes: list[str]) -> Dates | None:
    """Dates of the rows, from the wanted column or else from one that looks like dates; None if there is none."""
    if wanted is not None:
        column = table.find(wanted, "date")
        if column == target:
            raise ValueError(f"date: expected another column than the target, got {wanted!r} for both")
        dates = _parse(table.column(column))
        if isinstance(dates, int):
            cell = table.rows[dates][column]
            raise ValueError(f"{_place(table, column, dates)}: expected a date, got {cell!r:.80}")
        return dates
    places = {name.lower(): i for i, name in enumerate(table.names)}
    parts = [part for part in PARTS if part in places]
    if parts[:2] == ["year", "month"]:
        notes.append(f"The dates are taken from the columns {', '.join(parts)}.")
        return _assemble(table, [places[part] for part in parts])
    for column, name in enumerate(table.names):
        cells = table.column(column)
        looks = bool(DATE.fullmatch(cells[0])) and not NUMBER.fullmatch(cells[0])
        if column != target and (looks or DATE_NAME.fullmatch(name)):
            dates = _parse(cells)
            if not isinstance(dates, int):
                notes.append(f"The dates are taken from the column {name!r}.")
                return dates
            if looks or all(map(DAY_NUMBER.fullmatch, cells)):  # without dates, a gap would be missed
                raise ValueError(f"{_place(table, column, dates)}: expected a date, got {cells[dates]!r:.80}")
    notes.append("No column of dates was found: the rows are taken as steps of equal length, in the order of the file.")
    return None


def _assemble(table: Table, columns: list[int]) -> Dates:
    """Dates from columns of years and months, and of days, hours and minutes if there are any."""
    limits = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59))
    found = np.zeros((len(limits), len(table.rows)), np.int64)
    found[2] = 1
    for k, column in enumerate(columns):
        for i, cell in enumerate(table.column(column)):
            if not cell.isdecimal() or len(cell) > 9 or not limits[k][0] <= int(cell) <= limits[k][1]:
                raise ValueError(f"{_place(table, column, i)}: expected a {PARTS[k]}, got {cell!r:.80}")
            found[k, i] = int(cell)
    year, month, day, hour, minute = found
    months = np.asarray((year - 1970) * 12 + month - 1).astype("M8[M]")
    last = ((months + np.timedelta64(1, "M")).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    for i in np.flatnonzero(day > last)[:1]:
        written = f"{year[i]:04}-{month[i]:02}-{day[i]:02}"
        raise ValueError(f"{table.path}, line {table.lines[i]}: expected a date, got {written}, which does not exist")
    seconds = (day - 1) * DAY + hour * 3600 + minute * 60
    return np.asarray(months.astype("M8[s]") + seconds.astype("m8[s]"))


def _parse(cells: list[str]) -> Dates | int:
    """The dates, or the row of the first cell that is no date."""
    numeric = [i for i, cell in enumerate(cells) if NUMBER.fullmatch(cell)]
    if len(numeric) == len(cells):
        return _parse_numbers(cells)
    pandas = import_pandas()
    best: Dates | int = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns if it has to guess
        ways: list[dict[str, Any]] = [{}, {"dayfirst": True}, {"format": "ISO8601"}]
        if any(map(YEAR_FIRST.match, cells)):  # then the month comes before the day
            ways.pop(1)
        for options in ways:
            parsed: Any = pandas.to_datetime(cells, errors="coerce", utc=True, **options)
            bad = np.flatnonzero(parsed.isna())
            if len(bad):
                best = max(best, int(bad[0])) if isinstance(best, int) else best
                continue
            dates: Dates = parsed.tz_localize(None).to_numpy().astype("M8[s]")
            if (np.diff(dates).astype(np.int64) > 0).all():
                return dates
            best = dates if isinstance(best, int) else best
    return best


def _parse_numbers(cells: list[str]) -> Dates | int:
    """Dates that are written as one number: 2024, 202401, 20240131, or seconds since 1970."""
    patterns = (
        (r"[12]\d{3}", lambda cell: cell),
        (r"[12]\d{3}(0[1-9]|1[0-2])", lambda cell: f"{cell[:4]}-{cell[4:]}"),
        (DAY_NUMBER.pattern, lambda cell: f"{cell[:4]}-{cell[4:6]}-{cell[6:]}"),
    )
    for pattern, write in patterns:
        if re.fullmatch(pattern, cells[0]):
            dates = np.empty(len(cells), "M8[s]")
            for i, cell in enumerate(cells):
                if not re.fullmatch(pattern, cell):
                    return i
                try:
                    dates[i] = np.datetime64(write(cell), "s")
                except ValueError:  # such as 31 February
                    return i
            return dates
    if all(re.fullmatch(r"\d{9,10}", cell) for cell in cells):
        return np.array([int(cell) for cell in cells]).astype("M8[s]")
    return 0


def import_pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError("reading dates needs pandas: pip install 'fastlstm[demo]'") from None
    return pandas
