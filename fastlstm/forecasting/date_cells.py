"""Dates as people write them in a column of text, where their order and their years can be told."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.dates import Dates, find_step
from fastlstm.forecasting.table import NUMBER
from fastlstm.forecasting.zones import offsets_of

YEAR_FIRST = re.compile(r"\s*\d{4}\D")
NO_YEAR = re.compile(r"\d{1,3}[-/. ](\d{1,2}|[A-Za-z]{3,9})|[A-Za-z]{3,9}[-/. ]\d{1,3}")
TWO_DIGITS = re.compile(r"\d{1,2}-\d{1,2}-\d{1,2}\b.*")
DAY_NUMBER = re.compile(r"[12]\d{3}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
FIRST = np.datetime64("1000-01-01", "s")
LONE = re.compile(r"(?<!\d)\d(?!\d)")

ORDERS: dict[str, dict[str, Any]] = {
    "month first": {},
    "day first": {"dayfirst": True},
    "year first": {"yearfirst": True},
}
"""The orders in which day, month and year may be written, as options of pandas."""

ANY = "a date"

WAYS = "--date-format says how they are written, such as '%d/%m/%Y'; --date none takes the rows as equal steps"


@dataclass(frozen=True)
class Parsed:
    """Dates of a column.

    Attributes
    ----------
    dates : (T,) datetime64[s]
        On local clocks.
    offsets : (T,) int64, or None
        Seconds by which these clocks are ahead of UTC; None if the column does not say so.
    zulu : bool
        Whether UTC is written as Z.
    """

    dates: Dates
    offsets: NDArray[np.int64] | None = None
    zulu: bool = False


@dataclass(frozen=True)
class Refused:
    """Why a column is not read as dates: the row of the first cell that is none, and what was expected instead."""

    row: int
    expected: str = ANY


def parse(cells: list[str], date_format: str | None = None) -> Parsed | Refused:
    """The dates that a column of text means.

    Parameters
    ----------
    cells : list of str
    date_format : str, optional
        How they are written, in the codes of `datetime.strptime`. A lone digit before or behind a two-digit year may
        lack its zero: ``"%y-%m"`` reads "1-01" as January 2001.
    """
    one = offsets_of(cells)
    if isinstance(one, int):
        return Refused(one, "an offset from UTC, such as +01:00, behind every date or behind none")
    if date_format is not None:
        found = _by_format(cells, date_format)
    elif all(map(NUMBER.fullmatch, cells)):
        found = _numbers(cells)
    elif all(map(NO_YEAR.fullmatch, cells)):
        return _without_year(cells, 0)
    else:
        found = _zoned(cells, {"format": "ISO8601"}) or _by_order(cells)
    if isinstance(found, Parsed) and found.dates.min() < FIRST:
        return _without_year(cells, int(found.dates.argmin()))
    return found


def _without_year(cells: list[str], row: int) -> Refused:
    suggested = "%y-%m" if cells[row][-1].isdigit() else "%y-%b"
    return Refused(row, f"a date with a year of four digits ({WAYS.replace('%d/%m/%Y', suggested)})")


def _by_format(cells: list[str], date_format: str) -> Parsed | Refused:
    found = _zoned(cells, {"format": date_format})
    if found is None and "%y" in date_format:
        found = _zoned([LONE.sub(r"0\g<0>", cell) for cell in cells], {"format": date_format})
    return found or Refused(_first_bad(cells, {"format": date_format}), f"a date like {date_format!r}")


def _by_order(cells: list[str]) -> Parsed | Refused:
    """Dates whose order of day, month and year is found by trying: the one that gives an evenly spaced series."""
    names = ["month first"]
    if not any(map(YEAR_FIRST.match, cells)):  # where the year comes first, the month is before the day
        names += ["day first", *(["year first"] if all(map(TWO_DIGITS.fullmatch, cells)) else [])]
    found: dict[str, Parsed] = {}
    for name in names:
        parsed = _zoned(cells, ORDERS[name])
        if parsed is not None and not any(np.array_equal(parsed.dates, other.dates) for other in found.values()):
            found[name] = parsed
    if not found:
        return Refused(max(_first_bad(cells, ORDERS[name]) for name in names))
    ranks = {name: _rank(parsed.dates) for name, parsed in found.items()}
    best = [name for name, rank in ranks.items() if rank == max(ranks.values())]
    if len(best) > 1:
        shown = " or ".join(f"{found[name].dates[0].astype('M8[D]')} ({name})" for name in best)
        return Refused(0, f"dates that can be read in one way only, not as {shown}: {WAYS}")
    return found[best[0]]


def _rank(dates: Dates) -> int:
    """How likely a reading is: 2 for an evenly spaced series in order, 1 for one in order, 0 for any other."""
    gaps = np.diff(dates).astype(np.int64)
    if len(gaps) and not ((gaps > 0).all() or (gaps < 0).all()):
        return 0
    return 2 if len(gaps) > 1 and find_step(np.sort(dates)) is not None else 1


def _zoned(cells: list[str], options: dict[str, Any]) -> Parsed | None:
    """Dates on local clocks, with the offsets that are written; None if a cell is no such date."""
    parsed = _timestamps(cells, options)
    if parsed.isna().any():
        return None
    dates: Dates = parsed.tz_localize(None).to_numpy().astype("M8[s]")
    offsets = offsets_of(cells)
    if not isinstance(offsets, tuple):
        return Parsed(dates)
    return Parsed(dates + offsets[0].astype("m8[s]"), *offsets)


def _timestamps(cells: list[str], options: dict[str, Any]) -> Any:
    pandas = import_pandas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns if it has to guess
        return pandas.to_datetime(cells, errors="coerce", utc=True, **options)


def _first_bad(cells: list[str], options: dict[str, Any]) -> int:
    bad = np.flatnonzero(_timestamps(cells, options).isna())
    return int(bad[0]) if len(bad) else 0


def _numbers(cells: list[str]) -> Parsed | Refused:
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
                    return Refused(i)
                try:
                    dates[i] = np.datetime64(write(cell), "s")
                except ValueError:  # such as 31 February
                    return Refused(i)
            return Parsed(dates)
    if all(re.fullmatch(r"\d{9,10}", cell) for cell in cells):
        return Parsed(np.array([int(cell) for cell in cells]).astype("M8[s]"))
    return Refused(0)


def import_pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError("reading dates needs pandas: pip install 'fastlstm[demo]'") from None
    return pandas
