"""Reading people's CSV files: what is understood, what is mended and said, what is refused and how."""

import sys

import numpy as np
import pytest

from fastlstm.forecasting.dates import find_step
from fastlstm.forecasting.read_series import read_series

pytest.importorskip("pandas")

MONTHS = [f"{2010 + i // 12}-{i % 12 + 1:02d}" for i in range(30)]
ROWS = [f"{month},{i}.5" for i, month in enumerate(MONTHS)]


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.csv"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(content) + "\n"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def with_header(rows):
    return ["month,sales", *rows]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["year,month,day,x", "2024,2,29,1", "2024,2,31,2"],
            "a.csv, line 3: expected a date, got 2024-02-31, which does",
        ),
        (
            ["year,month,day,x", "2023,2,29,1", "2023,3,1,2"],
            "a.csv, line 2: expected a date, got 2023-02-29, which does",
        ),
        (
            ["year,month,day,hour,x", "2023,11,30,5,1", "2023,11,31,5,2"],
            "a.csv, line 3: expected a date, got 2023-11-31",
        ),
        (
            ["date,x", "20240229,1", "20240301,2", "20240231,3"],
            "a.csv, line 4, column 'date': expected a date, got '20240231'",
        ),
        (["date,x", "2024-02-29,1", "2024-02-31,2"], "a.csv, line 3, column 'date': expected a date, got '2024-02-31'"),
        (
            ["date,x", *(f"2005-{month:02}-01,{month}" for month in (1, 2, 3, 13))],
            "a.csv, line 5, column 'date': expected a date, got '2005-13-01'",
        ),
        (["date,x", "31/11/2024,1", "01/12/2024,2"], "a.csv, line 2, column 'date': expected a date, got '31/11/2024'"),
    ],
)
def test_a_date_that_does_not_exist_is_named_with_its_line(rows, message, write):
    with pytest.raises(ValueError, match=message):
        read_series(write(rows), "x")


def test_the_last_days_of_months_exist(write):
    rows = [f"{year},{month},{day},1" for year in (1900, 2000, 2024) for month, day in ((1, 31), (2, 28), (4, 30))]
    dates = read_series(write(["year,month,day,x", *rows, "2024,2,29,1"]), "x").dates
    assert str(dates[-2])[:10] == "2024-02-29" and len(dates) == 10


def test_a_plain_file_is_read_by_name_or_number_of_the_column(write):
    path = write(with_header(ROWS))
    by_name, by_number = read_series(path, "sales"), read_series(path, "2")
    assert by_name.name == by_number.name == "sales"
    assert by_name.values.tolist() == by_number.values.tolist() == [i + 0.5 for i in range(30)]
    assert by_name.season == 12 and by_name.step.name == "month"
    assert by_name.label(0) == "2010-01" and by_name.future(2) == ["2012-07", "2012-08"]
    assert by_name.notes == ["The dates are taken from the column 'month'."]


def test_missing_values_stay_missing_inside_are_dropped_at_the_ends_and_counted(write):
    rows = ROWS.copy()
    for i, missing in ((0, ""), (5, "NA"), (6, "nan"), (29, "?")):
        rows[i] = f"{MONTHS[i]},{missing}"
    series = read_series(write(with_header(rows)), "sales")
    expected = np.arange(1, 29) + 0.5
    expected[4:6] = np.nan
    np.testing.assert_array_equal(series.values, expected)
    assert series.measured.tolist() == (~np.isnan(expected)).tolist()
    assert series.label(0) == "2010-02" and series.label(27) == "2012-05"
    assert series.notes[1:] == [
        "Missing values in 'sales': 2 of 28. They count neither as errors nor for the band.",
        "Missing values at the beginning or end, dropped: 2 of 30.",
    ]


def test_rows_that_are_not_there_count_as_missing_values(write):
    series = read_series(write(with_header(ROWS[:4] + ROWS[6:])), "sales")
    assert np.flatnonzero(~series.measured).tolist() == [4, 5] and len(series.values) == 30
    assert "Dates without a row (month by month), taken as missing values: 2 of 30." in series.notes


def test_much_that_is_missing_is_warned_of_and_nearly_all_refused(write):
    def rows(known):
        return ["k;x", *(f"{i};{i if i % known == 0 else ''}" for i in range(100)), "100;1"]

    notes = read_series(write(rows(4)), "x").notes
    assert "Warning: much of 'x' is missing (74%). Forecasts rest on the few values there are." in notes
    assert not any("Warning" in note for note in read_series(write(with_header(ROWS[:4] + ROWS[6:])), "sales").notes)
    message = "a.csv, column 'x': expected at least 5% of the values to be measured, got 3 of 101"
    with pytest.raises(ValueError, match=message):
        read_series(write(rows(50)), "x")


def test_rows_are_sorted_by_date(write):
    series = read_series(write(with_header(ROWS[::-1])), "sales")
    assert series.values.tolist() == [i + 0.5 for i in range(30)]
    assert "The rows were sorted by date." in series.notes


def test_a_file_without_a_header_has_numbered_columns(write):
    series = read_series(write(ROWS), "2")
    assert len(series.values) == 30 and series.season == 12
    assert series.notes[0] == "The file has no header: its columns are numbered 1 to 2."
    with pytest.raises(ValueError, match=r"target: expected one of the columns of .*a.csv \(1, 2\), got 'sales'"):
        read_series(write(ROWS), "sales")


def test_a_single_column_without_dates_is_taken_in_its_order(write):
    series = read_series(write(["x", *map(str, range(10))]), "x")
    assert series.values.tolist() == list(range(10)) and series.dates is None and series.season == 1
    assert series.future(2) == ["11", "12"] and series.span(0, 10) == "rows 1 to 10"
    assert "No column of dates was found" in series.notes[0]


def test_semicolons_decimal_commas_and_days_first_are_understood(write):
    rows = [f"{i % 28 + 1:02d}.{i // 28 + 1:02d}.2021;{i},25" for i in range(28)]
    series = read_series(write(["Datum;Preis", *rows]), "preis")
    assert series.values[:2].tolist() == [0.25, 1.25]
    assert series.label(1) == "2021-01-02" and series.step.name == "day" and series.season == 7


def test_dates_in_several_columns_are_put_together(write):
    rows = [f"{i},2020,2,{28 + i // 24 if i < 48 else i // 24 - 1},{i % 24},{i}" for i in range(72)]
    rows = [row.replace(",2020,2,1,", ",2020,3,1,") for row in rows]
    series = read_series(write(["no,year,month,day,hour,x", *rows]), "x")
    assert series.step.name == "hour" and series.season == 24
    assert series.label(0) == "2020-02-28 00:00" and series.future(1) == ["2020-03-02 00:00"]
    with pytest.raises(ValueError, match="line 2, column 'month': expected a month, got '13'"):
        read_series(write(["year,month,x", "2020,13,1", "2020,2,1"]), "x")


@pytest.mark.parametrize(
    ("dates", "name", "season", "following"),
    [
        ([f"20{i:02d}-12-31" for i in range(9)], "year", 1, "2009-12-31"),
        (["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30"], "month", 12, "2020-05-31"),
        (["2020-01-01", "2020-04-01", "2020-07-01", "2020-10-01"], "quarter", 4, "2021-01-01"),
        (["2020-01-06", "2020-01-13", "2020-01-20", "2020-01-27"], "week", 52, "2020-02-03"),
        (["2024-01-04", "2024-01-05", "2024-01-08", *[f"2024-01-{d:02d}" for d in (9, 10, 11, 12, 15, 16)]],
         "business day", 5, "2024-01-17"),
        (["2020-01-01T00:00", "2020-01-01T00:30", "2020-01-01T01:00"], "30 minutes", 48, "2020-01-01T01:30"),
    ],
)  # fmt: skip
def test_the_step_and_the_season_follow_from_the_dates(dates, name, season, following):
    array = np.array(dates, "M8[s]")
    step = find_step(array)
    assert (step.name, step.season) == (name, season)
    assert np.array_equal(step.dates(step.ordinals(array)), array)
    assert step.dates(step.ordinals(array[-1:]) + 1)[0] == np.datetime64(following)


def test_uneven_dates_are_said_to_be_taken_as_even(write):
    days = (1, 3, 5, 8, 10, 19, 21)
    series = read_series(write(["date,x", *(f"2020-01-{d:02d},{d}" for d in days)]), "x")
    assert series.step is None and series.season == 1 and series.values.tolist() == list(days)
    assert series.label(2) == "2020-01-05" and series.future(1) == ["8"]
    assert "The dates are not evenly spaced: the rows are taken as steps of equal length." in series.notes


def test_years_and_compact_dates_are_dates(write):
    years = read_series(write(["YEAR,x", *(f"{1900 + i},{i}" for i in range(10))]), "x")
    assert years.step.name == "year" and years.future(1) == ["1910"]
    days = read_series(write(["date,x", *(f"202003{i + 1:02d},{i}" for i in range(10))]), "x")
    assert days.step.name == "day" and days.future(1) == ["2020-03-11"]


def test_other_encodings_are_read_or_said(write):
    text = "month,größe\n" + "\n".join(ROWS)
    assert read_series(write(text.encode("utf-8-sig")), "größe").notes[0].startswith("The dates")
    assert read_series(write(text.encode("utf-16")), "größe").values[0] == 0.5
    latin = read_series(write(text.encode("latin-1")), "größe")
    assert latin.notes[0] == "The file is not UTF-8: it is read as Latin-1, so that some letters may look wrong."


def test_comments_above_and_blank_lines_do_not_move_the_lines_of_errors(write):
    rows = ["# a comment", "", *with_header(ROWS[:3]), "", "2010-04,abc"]
    with pytest.raises(ValueError, match="a.csv, line 8, column 'sales': expected a number, got 'abc'"):
        read_series(write(rows), "sales")


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", "x", "the file is empty"),
        ("\n \n", "x", "the file is empty"),
        ("date,x\n", "x", "expected rows of data, got only a header"),
        (bytes(range(256)), "x", "expected a CSV file, got a binary file"),
        (b"PK\x03\x04 and so on", "x", "a.csv: expected an Excel workbook that is whole"),
        (b"\xd0\xcf\x11\xe0", "x", r"got an \.xls one; save it as \.xlsx or CSV"),
        (with_header(ROWS), "sale", r"target: .*\(month, sales\), got 'sale'; did you mean 'sales'\?"),
        (with_header(ROWS), "7", "target: .*got '7'"),
        (with_header([*ROWS, "2012-07,a lot"]), "sales", "line 32, column 'sales': expected a number, got 'a lot'"),
        (
            with_header([*ROWS, "2012-07,-inf"]),
            "sales",
            "line 32, column 'sales': expected a finite number, got '-inf'",
        ),
        (
            with_header([*ROWS, "2012-07,1,2"]),
            "sales",
            "line 32: expected 2 cells separated by ',', as in line 1, got 3",
        ),
        (with_header([*ROWS, "soon,1"]), "sales", "line 32, column 'month': expected a date, got 'soon'"),
        (with_header([*ROWS, "2010-03,1"]), "sales", "expected each date once, got 2010-03-01 in lines 4 and 32"),
        (
            with_header([f"{m},NA" for m in MONTHS]),
            "sales",
            "column 'sales': expected numbers, got only missing values",
        ),
        (["month,a,a", "2010-01,1,2"], "a", "columns 2 and 3 are both called 'a'; give the number"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(write, content, target, message):
    with pytest.raises(ValueError, match=message):
        read_series(write(content), target)


def test_a_date_column_that_is_asked_for_is_checked(write):
    path = write(with_header(ROWS))
    assert read_series(path, "sales", date="month").notes == []
    with pytest.raises(ValueError, match="date: expected one of the columns .*got 'day'"):
        read_series(path, "sales", date="day")
    with pytest.raises(ValueError, match="date: expected another column than the target, got 'sales' for both"):
        read_series(path, "sales", date="sales")
    path = write(["month,sales,kind", *(f"{row},a" for row in ROWS)])
    with pytest.raises(ValueError, match="line 2, column 'kind': expected a date, got 'a'"):
        read_series(path, "sales", date="kind")


def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="b.csv: no such file"):
        read_series(tmp_path / "b.csv", "x")
    with pytest.raises(IsADirectoryError, match="expected a CSV file, got a folder"):
        read_series(tmp_path, "x")


def test_without_pandas_the_extra_is_named(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlstm\[demo\]'"):
        read_series(write(with_header(ROWS)), "sales")
