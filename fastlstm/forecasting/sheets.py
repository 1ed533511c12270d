"""Excel workbooks and Parquet files as rows of text, so that one reader decides what their columns mean."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

from fastlstm.files import Damaged, reading
from fastlstm.separated import CELL
from fastlstm.unpack import DAMAGE, TooLarge

WORKBOOK, PARQUET = b"PK\x03\x04", b"PAR1"
"""How these files begin."""

Rows = list[list[str]]


def is_sheet(content: bytes) -> bool:
    return content.startswith((WORKBOOK, PARQUET))


def rows_of_sheet(content: bytes, path: str, max_bytes: int, notes: list[str]) -> tuple[Rows, list[int]]:
    """The rows of a workbook's first sheet, or of a Parquet file below the names of its columns; and their numbers.

    Raises
    ------
    ValueError
        If the file is damaged, another archive, or too large.
    ImportError
        If the package that reads such files is not installed.
    """
    if content.startswith(PARQUET):
        rows = list(_parquet(content, path, max_bytes, notes))
    else:
        rows = list(_workbook(content, path, max_bytes, notes))
    width = max(map(len, rows), default=0)
    if len(rows) * (width + 1) > max_bytes // CELL:
        raise _too_many(path, max_bytes)
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    return [row + [""] * (width - len(row)) for _, row in numbered], [number for number, _ in numbered]


def _too_many(path: str, max_bytes: int) -> Damaged:
    return Damaged(
        f"{path}: expected at most {max_bytes // CELL:,} cells and rows, got more; a higher max_bytes "
        "(--max-megabytes) allows it"
    )


def _workbook(content: bytes, path: str, max_bytes: int, notes: list[str]) -> Iterator[list[str]]:
    what = "an Excel workbook"
    with reading(path, zipfile.BadZipFile, what=what):
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    if not any(part.filename.startswith("xl/") for part in parts):
        raise ValueError(f"{path}: expected a CSV file, a workbook or a Parquet file, got another archive")
    if sum(part.file_size for part in parts) > max_bytes:
        raise TooLarge(path, max_bytes)
    try:
        import openpyxl  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        raise ImportError("reading Excel workbooks needs openpyxl: pip install openpyxl") from None
    left = max_bytes // CELL
    with reading(path, *DAMAGE, zipfile.BadZipFile, NotImplementedError, what=what), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that do not matter here
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        if len(book.worksheets) > 1:
            notes.append(f"The workbook has {len(book.worksheets)} sheets: the first one, {sheet.title!r}, is read.")
        sheet.reset_dimensions()  # what the file says of its size may be wrong
        for values in sheet.iter_rows(values_only=True):
            left -= 1 + len(values)
            if left < 0:
                raise _too_many(path, max_bytes)
            row = [_text(value) for value in values]
            while row and not row[-1]:
                row.pop()
            yield row


def _parquet(content: bytes, path: str, max_bytes: int, notes: list[str]) -> Iterator[list[str]]:
    try:
        import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        raise ImportError("reading Parquet files needs pyarrow: pip install pyarrow") from None
    with reading(path, *DAMAGE, pyarrow.ArrowException, what="a Parquet file"):
        schema = pyarrow.parquet.read_schema(io.BytesIO(content))
        texts = [field.name for field in schema if _is_text(pyarrow, field.type)]
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts)  # equal texts take memory once
        if file.metadata.num_rows * (len(schema) + 1) > max_bytes // CELL:
            raise _too_many(path, max_bytes)
        flat = [field.name for field in schema if not pyarrow.types.is_nested(field.type)]
        if len(flat) < len(schema):
            notes.append(f"Columns of lists or structures, left out: {len(schema) - len(flat)}.")
        columns = [_cells(pyarrow, column) for column in file.read(columns=flat).columns]
        yield flat
        for row in zip(*columns, strict=True):
            yield list(row)


def _is_text(pyarrow: Any, kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_binary(kind))


def _cells(pyarrow: Any, column: Any) -> list[str]:
    """A column as text."""
    if pyarrow.types.is_timestamp(column.type):  # Python's dates have no nanoseconds
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    if not pyarrow.types.is_dictionary(column.type):
        return [_text(value) for value in column.to_pylist()]
    cells: list[str] = []
    for chunk in column.chunks:
        words = [_text(word) for word in chunk.dictionary.to_pylist()]
        cells += ["" if at is None else words[at] for at in chunk.indices.to_pylist()]
    return cells


def _text(value: Any) -> str:
    """A cell as a CSV file would have it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat().replace("T", " ")
    return str(value).strip()
