"""Reading a table of text whose encoding, separator and header are not known."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, islice

from fastlstm import _check
from fastlstm.forecasting.sheets import is_sheet, rows_of_sheet
from fastlstm.separated import MOST, is_utf8, lines_of, rows_of
from fastlstm.unpack import read_bytes

MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "-", "."})
"""Cells that mean a missing value, in lower case."""

SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'", ",": "','"}

ENOUGH = 1_000_000
"""Characters of the first lines from which the separator is found."""

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
CURRENCY = "[$€£¥₹]"
DRESSED = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[+\-\u2212])?\s*(?P<before>{CURRENCY})?\s*"
    r"(?P<inner>[+-]?[\d.,](?:[\d.,'\u2019\s]*[\d.,])?(?:[eE][+-]?\d+)?)"
    rf"\s*(?P<percent>%)?\s*(?P<behind>{CURRENCY})?\s*(?P<close>\))?"
)
"""A number with what may stand around it: a currency, a per cent sign, the brackets of a negative one."""

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T]\d{1,2}:\d{2}.*)?|\d{4}-?Q[1-4]")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    path : str
    names : list of str
        Names of the columns; ``"1"``, ``"2"``, ... if the file has no header.
    rows : list of list of str
        Cells without the spaces around them. Each row is as long as `names`.
    lines : list of int
        The line of the file on which each row ends, from 1; in a sheet its number, in Parquet that of the row plus 1.
    separator : str
        Empty for a sheet.
    notes : list of str
        A sentence for each thing that the reader has decided.
    """

    path: str
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    separator: str
    notes: list[str] = field(default_factory=list)

    def column(self, at: int) -> list[str]:
        return [row[at] for row in self.rows]

    def find(self, wanted: str, option: str) -> int:
        """The place of a column, from 0.

        Parameters
        ----------
        wanted : str
            The name of the column, or its number from 1.
        option : str
            What errors call this argument.

        Raises
        ------
        ValueError
            If there is no such column, or several have this name.
        """
        if self.names.count(wanted) == 1:
            return self.names.index(wanted)
        if wanted in self.names:
            places = [str(i) for i, name in enumerate(self.names, start=1) if name == wanted]
            raise ValueError(f"{option}: columns {' and '.join(places)} are both called {wanted!r}; give the number")
        loose = [i for i, name in enumerate(self.names) if name.casefold() == wanted.strip().casefold()]
        if len(loose) == 1:
            return loose[0]
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.names):
            return int(wanted) - 1
        close = difflib.get_close_matches(wanted, self.names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        shown = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        raise ValueError(f"{option}: expected one of the columns of {self.path} ({shown}), got {wanted!r}{hint}")


def read_table(path: str | os.PathLike[str], *, max_bytes: int = MOST) -> Table:
    """Read a file of separated values. The separator, the header and the encoding are found from its content.

    Excel workbooks (.xlsx, by openpyxl) and Parquet files (by pyarrow) are read, too: their cells as text.

    Parameters
    ----------
    path : path
        The file may be compressed as .gz, .bz2 or .xz.
    max_bytes : int, default 128000000
        Bytes that the file may have when unpacked. It may have a twentieth as many cells and rows.

    Returns
    -------
    Table

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If it is empty, is no text, has rows of different lengths (the message has the line), or is too large.
    ImportError
        If openpyxl or pyarrow, which it takes, is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.csv")
    ...     _ = path.write_text("day;price\\n2024-01-01;3,5\\n")
    ...     table = read_table(path)
    >>> table.names, table.rows, table.separator
    (['day', 'price'], [['2024-01-01', '3,5']], ';')
    """
    notes: list[str] = []
    content = read_bytes(path, "a CSV file", _check.positive_int(max_bytes, "max_bytes"))
    if is_sheet(content):
        return _named(str(path), *rows_of_sheet(content, str(path), max_bytes, notes), "", notes)
    lines = _lines(content, path, notes)
    skipped = 0
    for line in lines:
        if line.strip() and not line.startswith("#"):
            break
        skipped += 1
    else:
        raise ValueError(f"{path}: the file is empty")
    rows_in = partial(rows_of, name=str(path), before=skipped, max_bytes=max_bytes, spaces=False)
    first = [line, *islice(lines, 99)]
    separator = _separator(_beginning(first), rows_in)
    rows: list[list[str]] = []
    numbers: list[int] = []
    for number, row in rows_in(chain(first, lines), separator):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if rows and len(cells) != len(rows[0]):
            raise ValueError(
                f"{path}, line {number}: expected {len(rows[0])} cells separated by {SEPARATORS[separator]}, as in "
                f"line {numbers[0]}, got {len(cells)}"
            )
        rows.append(cells)
        numbers.append(number)
    return _named(str(path), rows, numbers, separator, notes)


def _named(path: str, rows: list[list[str]], numbers: list[int], separator: str, notes: list[str]) -> Table:
    """The table of some rows, the first of which may be a header."""
    if not rows:
        raise ValueError(f"{path}: expected rows of data, got only separators")
    if _has_header(rows):
        names = [name or str(i) for i, name in enumerate(rows[0], start=1)]
        rows, numbers = rows[1:], numbers[1:]
    else:
        names = [str(i) for i in range(1, len(rows[0]) + 1)]
        notes.append(f"The file has no header: its columns are numbered 1 to {names[-1]}.")
    if not rows:
        raise ValueError(f"{path}: expected rows of data, got only a header")
    return Table(path, names, rows, numbers, separator, notes)


def is_missing(cell: str) -> bool:
    return cell.lower() in MISSING


def _lines(content: bytes, path: str | os.PathLike[str], notes: list[str]) -> Iterator[str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", errors="replace").encode()
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError(f"{path}: expected a CSV file or an .xlsx workbook, got an .xls one; save it as .xlsx or CSV")
    if re.search(rb"[\x00-\x08\x0e-\x1f]", content[:1_000_000]):
        raise ValueError(f"{path}: expected a CSV file, got a binary file")
    if is_utf8(content):
        return lines_of(content, "utf-8-sig", str(path))
    notes.append("The file is not UTF-8: it is read as Latin-1, so that some letters may look wrong.")
    return lines_of(content, "latin-1", str(path))


def _beginning(lines: list[str]) -> list[str]:
    """The first lines that are not blank, at least one and not many more than `ENOUGH` characters."""
    total = list(accumulate(map(len, lines)))
    return [line for line, after in zip(lines, total, strict=True) if line.strip() and after - len(line) < ENOUGH]


def _separator(lines: list[str], rows_in: Callable[[list[str], str], Iterator[tuple[int, list[str]]]]) -> str:
    """The separator that cuts most of the first lines into equally many cells, at least two; a comma if none does."""
    best, share = ",", 0.8
    for separator in SEPARATORS:
        widths = Counter(len(row) for _, row in rows_in(lines, separator))
        width, count = widths.most_common(1)[0]
        if width >= 2 and count / widths.total() > share:
            best, share = separator, count / widths.total()
    return best


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row is a header: a column has data below but not in it, or the row has no data at all."""
    data = [_is_data(cell) for cell in rows[0]]
    for at, first in enumerate(data):
        below = [_is_data(row[at]) for row in rows[1:50] if not is_missing(row[at])]
        if not first and not is_missing(rows[0][at]) and 2 * sum(below) > len(below):
            return True
    return not any(data)


def _is_data(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell) or DATE.fullmatch(cell) or (len(cell) <= 40 and DRESSED.fullmatch(cell)))
