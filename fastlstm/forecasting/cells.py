"""Columns of a table of text as numbers or dates."""

from __future__ import annotations

import re
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.date_cells import ANY, DAY_NUMBER, Parsed, Refused, parse
from fastlstm.forecasting.dates import DAY, Dates
from fastlstm.forecasting.number_cells import BOTH_WAYS, parse_numbers
from fastlstm.forecasting.number_cells import Refused as NoNumber
from fastlstm.forecasting.table import DATE, NUMBER, Table, is_missing

Floats = NDArray[np.float64]

DATE_NAME = re.compile(r"ds|dt|day|week|month|quarter|year|period|.*(date|time).*", re.IGNORECASE)
NO_DATES = "none"
"""The name of a column of dates that means that there is none."""

PARTS = ("year", "month", "day", "hour", "minute")


def numbers(table: Table, column: int, decimal: str | None, notes: list[str]) -> Floats:
    """A column as numbers. A missing value is NaN."""
    cells = table.column(column)
    values = parse_numbers(cells, decimal, table.separator, notes, table.names[column])
    if isinstance(values, NoNumber):
        _refuse(table, column, values)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        _refuse(table, column, NoNumber(int(infinite[0]), "a finite number"))
    return values


def constant(table: Table, column: int, group: str, rows: NDArray[np.intp]) -> str:
    """The cell that a column has in all rows of a group, but for missing ones."""
    filled = [row for row in rows.tolist() if not is_missing(table.rows[row][column])]
    if not filled:
        place = f"{table.path}, column {table.names[column]!r:.80}"
        raise ValueError(f"{place}: expected a value for each group, got only missing ones in {group!r:.80}")
    cell: str = table.rows[filled[0]][column]
    for row in filled:
        if table.rows[row][column] != cell:
            raise ValueError(
                f"{_place(table, column, row)}: expected one value for each group, got {table.rows[row][column]!r:.80} "
                f"after {cell!r:.80} in {group!r:.80}"
            )
    return cell


def numbers_or_words(
    table: Table, column: int, cells: list[str], decimal: str | None, notes: list[str]
) -> list[float] | list[str]:
    """Cells of a column as numbers, or as they are if one of them is none."""
    values = parse_numbers(cells, decimal, table.separator, notes, table.names[column])
    if not isinstance(values, NoNumber):
        infinite = np.flatnonzero(np.isinf(values))
        if not len(infinite):
            return [float(value) for value in values]
        values = NoNumber(int(infinite[0]), "finite numbers")
    elif values.expected != BOTH_WAYS:
        return cells
    place = f"{table.path}, column {table.names[column]!r:.80}"
    raise ValueError(f"{place}: expected {values.expected}, got {cells[values.row]!r:.80}")


def _place(table: Table, column: int, row: int) -> str:
    return f"{table.path}, line {table.lines[row]}, column {table.names[column]!r:.80}"


def dates_of(table: Table, target: int, wanted: str | None, date_format: str | None, notes: list[str]) -> Parsed | None:
    """Dates of the rows, from the wanted column or else from one that looks like dates; None if there is none."""
    if wanted == NO_DATES and NO_DATES not in table.names:
        return None
    if wanted is not None:
        column = table.find(wanted, "date")
        if column == target:
            raise ValueError(f"date: expected another column than the target, got {wanted!r} for both")
        parsed = parse(table.column(column), date_format)
        return parsed if isinstance(parsed, Parsed) else _refuse(table, column, parsed)
    places = {name.lower(): i for i, name in enumerate(table.names)}
    parts = [part for part in PARTS if part in places]
    if parts[:2] == ["year", "month"]:
        notes.append(f"The dates are taken from the columns {', '.join(parts)}.")
        return Parsed(_assemble(table, [places[part] for part in parts]))
    for column, name in enumerate(table.names):
        cells = table.column(column)
        looks = bool(DATE.fullmatch(cells[0])) and not NUMBER.fullmatch(cells[0])
        if column != target and (looks or DATE_NAME.fullmatch(name)):
            parsed = parse(cells, date_format)
            if isinstance(parsed, Parsed):
                notes.append(f"The dates are taken from the column {name!r}.")
                return parsed
            if looks or parsed.expected != ANY or all(map(DAY_NUMBER.fullmatch, cells)):  # a gap would be missed
                _refuse(table, column, parsed)
    notes.append("No column of dates was found: the rows are taken as steps of equal length, in the order of the file.")
    return None


def _refuse(table: Table, column: int, refused: Refused | NoNumber) -> NoReturn:
    cell = table.rows[refused.row][column]
    raise ValueError(f"{_place(table, column, refused.row)}: expected {refused.expected}, got {cell!r:.80}")


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
