"""Excel workbooks and Parquet files are read like text, within the same bounds."""

import datetime as dt
import io
import re
import sys
import zipfile

import numpy as np
import pytest

from fastlstm.forecasting.read_series import read_series
from fastlstm.forecasting.sheets import rows_of_sheet

DAYS = [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(30)]


@pytest.fixture
def workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")

    def workbook(rows, sheets=1):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        for _ in range(sheets - 1):
            book.create_sheet()
        book.save(tmp_path / "a.xlsx")
        return tmp_path / "a.xlsx"

    return workbook


@pytest.fixture
def parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    def parquet(**columns):
        write_table(pyarrow.table(columns), tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    return parquet


def test_a_sheet_is_read_with_its_dates_numbers_and_gaps(workbook):
    rows = [[day, None if i == 7 else i + 0.5, f"{i},5 %"] for i, day in enumerate(DAYS)]
    series = read_series(workbook([[], ["When", "sold", "share"], *rows], sheets=2), "sold", inputs=["share"])
    assert series.step.name == "day" and series.future(1) == ["2024-01-31"]
    assert np.flatnonzero(~series.measured).tolist() == [7] and series.values[8] == 8.5
    assert series.others[3, 0] == 3.5
    assert series.notes[0] == "The workbook has 2 sheets: the first one, 'Sheet', is read."
    path = workbook([["When", "sold"], *([day, "a" if i == 4 else i] for i, day in enumerate(DAYS))])
    with pytest.raises(ValueError, match="a.xlsx, line 6, column 'sold': expected a number, got 'a'"):
        read_series(path, "sold")


def test_a_parquet_file_is_read_with_its_dates_zone_numbers_and_gaps(parquet):
    pyarrow = pytest.importorskip("pyarrow")
    hours = np.datetime64("2024-03-30T20", "ns") + np.arange(30).astype("m8[h]")
    when = pyarrow.array(hours).cast(pyarrow.timestamp("ns", "Europe/Berlin"))
    path = parquet(
        when=when,
        x=[None if i == 7 else float(i) for i in range(30)],
        text=pyarrow.array(["$1,200", "$7"] * 15),
        more=[[1]] * 30,
    )
    series = read_series(path, "x", inputs=["text"])
    assert series.step.name == "hour" and np.flatnonzero(~series.measured).tolist() == [7]
    assert [series.label(i) for i in (0, 4, 5, 30)] == [
        "2024-03-30 21:00+01:00",
        "2024-03-31 01:00+01:00",
        "2024-03-31 03:00+02:00",
        "2024-04-01 04:00+02:00",
    ]
    assert series.others[:2, 0].tolist() == [1200, 7]
    assert series.notes[0] == "Columns of lists or structures, left out: 1."


def test_years_that_a_sheet_holds_as_numbers_are_years(workbook):
    series = read_series(workbook([["year", "x"], *([2000.0 + i, i] for i in range(9))]), "x")
    assert series.step.name == "year" and series.future(1) == ["2009"]


def test_sheets_are_read_within_bounds(workbook, parquet, tmp_path):
    path = workbook([["x"], *([i] for i in range(3000))])
    with pytest.raises(ValueError, match=r"a.xlsx: expected at most 20,000 bytes, unpacked, got more"):
        read_series(path, "x", max_bytes=20_000)
    path = parquet(x=np.zeros(3000))
    with pytest.raises(
        ValueError, match=r"a.parquet: expected at most 1,000 cells and rows, got more; a higher max_by"
    ):
        read_series(path, "x", max_bytes=20_000)


def test_a_cell_far_out_takes_no_memory(workbook, tmp_path):
    path = workbook([["x"], [1]])
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b'r="2"', b'r="1048576"').replace(b'"A2"', b'"XFD1048576"')
    with zipfile.ZipFile(path, "w") as book:
        for name, part in parts.items():
            book.writestr(name, part)
    with pytest.raises(ValueError, match=r"a.xlsx: expected at most 5,000 cells and rows, got more"):
        read_series(path, "x", max_bytes=100_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 and so on", "a: expected a Parquet file that is whole, got ArrowInvalid"),
        (b"PK\x03\x04 and so on", "a: expected an Excel workbook that is whole, got BadZipFile"),
    ],
)
def test_damaged_sheets_are_named(content, message):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=message):
        rows_of_sheet(content, "a", 10**6, [])


def test_another_archive_is_told_apart():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", "x\n1\n")
    message = "a: expected a CSV file, a workbook or a Parquet file, got another archive"
    with pytest.raises(ValueError, match=message):
        rows_of_sheet(archive.getvalue(), "a", 10**6, [])


@pytest.mark.parametrize(("package", "name"), [("openpyxl", "xl/workbook.xml"), ("pyarrow", None)])
def test_the_package_that_is_missing_is_named(package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name or "x", "")
    content = archive.getvalue() if name else b"PAR1"
    with pytest.raises(ImportError, match=re.escape(f"needs {package}: pip install {package}")):
        rows_of_sheet(content, "a", 10**6, [])
