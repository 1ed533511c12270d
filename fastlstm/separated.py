"""Rows of separated values with their line numbers. Errors name the line that is too long or too much."""

from __future__ import annotations

import codecs
import csv
import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MOST = 128_000_000
"""Bytes that a file of separated values may have when unpacked."""

CELL = 20
"""Bytes of `MOST` that each cell and each row counts for: a short cell takes more room in memory than in a file."""

LONGEST = 1 << 24
"""Characters that a line or a cell may have."""

CHUNK = 1 << 20


def is_utf8(content: bytes) -> bool:
    """Whether the content is UTF-8. It is decoded in chunks, as the whole text can take four times as much memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), CHUNK):
            decoder.decode(content[start : start + CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def lines_of(content: bytes, encoding: str, name: str) -> Iterator[str]:
    """The lines of a file with their line ends.

    Raises
    ------
    ValueError
        If a line is too long; the message has its number.
    """
    text = io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace", newline="")
    number = 0
    while line := text.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise ValueError(f"{name}, line {number}: expected at most {LONGEST:,} characters in a line, got more")
        yield line


def rows_of(
    lines: Iterable[str], separator: str, name: str, *, before: int = 0, max_bytes: int = MOST, spaces: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Rows of cells, each with the number of the line on which it ends.

    Parameters
    ----------
    lines : iterable of str
    separator : str
    name : str
        What errors call the file.
    before : int, default 0
        Number of lines of the file before these.
    max_bytes : int, default 128000000
        Each cell and each row counts for 20 of them.
    spaces : bool, default True
        Whether spaces after a separator belong to the cell.

    Yields
    ------
    line : int
    row : list of str

    Raises
    ------
    ValueError
        If a cell is too long or there are too many; the message has the line.
    """
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=not spaces)
    left = max_bytes // CELL
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            long = f"expected cells of at most {csv.field_size_limit():,} characters, got more; is a quote left open?"
            why = long if "larger than field limit" in str(error) else error
            raise ValueError(f"{name}, line {before + reader.line_num}: {why}") from None
        if row is None:
            return
        left -= 1 + len(row)
        if left < 0:
            raise ValueError(
                f"{name}, line {before + reader.line_num}: expected at most {max_bytes // CELL:,} cells and "
                "rows, got more; a higher max_bytes (--max-megabytes) allows it"
            )
        yield before + reader.line_num, row


@contextmanager
def long_cells() -> Iterator[None]:
    """Allow cells that are as long as lines. The limit of `csv` is global, so one thread at a time changes it."""
    with _limit:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, LONGEST))
        try:
            yield
        finally:
            csv.field_size_limit(before)


_limit = threading.Lock()
