"""Workbooks and Parquet files for fuzzing, where what reads them is installed."""

import io
from datetime import date, datetime, timedelta
from importlib.util import find_spec

import numpy as np

from fastlstm.forecasting import read_series

DAYS = [date(2024, 1, 1) + timedelta(days=k) for k in range(40)]
SALES = [None if k == 7 else round(20 + 5 * float(np.sin(k)), 2) for k in range(40)]


def workbooks(folder):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["day", "sales", "note"])
    for day, value in zip(DAYS, SALES, strict=True):
        book.active.append([day, value, "open"])
    content = io.BytesIO()
    book.save(content)
    yield content.getvalue()


def parquets(folder):
    import pyarrow
    import pyarrow.parquet

    zoned = pyarrow.array(
        [datetime(day.year, day.month, day.day) for day in DAYS], pyarrow.timestamp("ns", "Europe/Berlin")
    )
    words = pyarrow.array(["open"] * 40).dictionary_encode()
    for columns in ({"day": DAYS, "sales": SALES}, {"day": zoned, "sales": SALES, "note": words}):
        for compression in ("none", "snappy"):
            content = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.table(columns), content, compression=compression)
            yield content.getvalue()


def read(path):
    read_series(path, "sales")


def kinds_of_sheets(kind):
    found = [kind("xlsx", ".xlsx", workbooks, read)] if find_spec("openpyxl") else []
    return found + ([kind("parquet", ".parquet", parquets, read)] if find_spec("pyarrow") else [])
