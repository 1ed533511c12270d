"""Dates as people write them: which are understood, which are refused and what to do then, and their time zones."""

import re

import numpy as np
import pytest

from fastlstm.forecasting.read_series import read_series

pytest.importorskip("pandas")

SHAMPOO = [f"{year}-{month:02}" for year in (1, 2, 3) for month in range(1, 13)]


@pytest.fixture
def read(tmp_path):
    def read(dates, **options):
        path = tmp_path / "a.csv"
        path.write_text("Month,x\n" + "".join(f"{date},{i}\n" for i, date in enumerate(dates)))
        return read_series(path, "x", **options)

    return read


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (SHAMPOO, "line 2, column 'Month': expected a date with a year of four digits (--date-format says how they are "
         "written, such as '%y-%m'; --date none takes the rows as equal steps), got '1-01'"),
        (["1-Jan", "1-Feb", "1-Mar"], "such as '%y-%b'; --date none takes the rows as equal steps), got '1-Jan'"),
        (["0203-01-01", "0204-01-01"], "line 2, column 'Month': expected a date with a year of four digits"),
        ([f"01/{k:02}/2020" for k in range(2, 11)], "not as 2020-01-02 (month first) or 2020-02-01 (day first)"),
        ([f"21-03-{k:02}" for k in range(1, 32)], "not as 2001-03-21 (month first) or 2021-03-01 (year first)"),
        ([f"0{k}/01/2020" for k in range(2, 9)],
         "line 2, column 'Month': expected dates that can be read in one way only, not as 2020-02-01 (month first) or "
         "2020-01-02 (day first): --date-format says how they are written, such as '%d/%m/%Y'"),
        (["2020-01-01T00:00Z", "2020-01-01T01:00", "2020-01-01T02:00Z"],
         "line 3, column 'Month': expected an offset from UTC, such as +01:00, behind every date or behind none, got "),
        ([f"2020-{m:02}-{d:02}" for m, d in ((1, 1), (1, 2), (1, 3), (3, 9), (5, 20), (5, 21))],
         "expected a row for at least half of the steps from 2020-01-01 to 2020-05-21, got none for 136 of 142 (if"),
    ],
)  # fmt: skip
def test_dates_that_may_mean_something_else_are_refused_with_what_to_do(dates, message, read):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(dates)
    assert read(dates, date="none").dates is None


@pytest.mark.parametrize(
    ("dates", "date_format", "first", "name", "following"),
    [
        (SHAMPOO, "%y-%m", "2001-01", "month", "2004-01"),
        (["1-Jan", "1-Feb", "1-Mar"], "%y-%b", "2001-01", "month", "2001-04"),
        ([f"0{k}/01/2020" for k in range(2, 9)], "%d/%m/%Y", "2020-01-02", "day", "2020-01-09"),
        ([f"0{k}/01/2020" for k in range(2, 9)], "%m/%d/%Y", "2020-02", "month", "2020-09"),
        ([f"18-01-0{k}" for k in range(2, 9)], "%y-%m-%d", "2018-01-02", "day", "2018-01-09"),
    ],
)
def test_a_format_says_how_dates_are_written(dates, date_format, first, name, following, read):
    series = read(dates, date_format=date_format)
    assert (series.label(0), series.step.name, series.future(1)[0]) == (first, name, following)


def test_a_date_that_does_not_fit_the_format_is_named(read):
    with pytest.raises(ValueError, match=r"line 3, column 'Month': expected a date like '%d/%m/%Y', got '13.02.2020'"):
        read(["01/02/2020", "13.02.2020"], date_format="%d/%m/%Y")


@pytest.mark.parametrize(
    ("dates", "following"),
    [
        ([f"01/{m:02}/{y}" for y in (2020, 2021) for m in range(1, 13)], "2022-01"),
        ([f"{m:02}/01/{y}" for y in (2020, 2021) for m in range(1, 13)], "2022-01"),
        ([f"{d:02}.03.21" for d in range(1, 32)], "2021-04-01"),
        ([*(f"21-03-{d:02}" for d in range(1, 32)), "21-04-01"], "2021-04-02"),
    ],
)
def test_the_order_of_day_and_month_follows_from_the_whole_column(dates, following, read):
    assert read(dates).future(1) == [following]


def hours(first, count, offset):
    """Hours of local clocks in Central Europe from an hour of UTC on, with the offset that holds there."""
    utc = np.datetime64(first, "h") + np.arange(count)
    return [f"{h + np.timedelta64(offset(h), 'h')}:00+0{offset(h)}:00".replace("T", " ") for h in utc]


@pytest.mark.parametrize("month", ["2024-03-30", "2024-10-26"])
def test_hours_are_regular_in_elapsed_time_where_the_clock_is_changed(month, read):
    begin, end = np.datetime64("2024-03-31T01", "h"), np.datetime64("2024-10-27T01", "h")
    dates = hours(f"{month}T00", 72, lambda hour: 2 if begin <= hour < end else 1)
    series = read(dates[:-3])
    assert len(series.values) == 69 and series.step.name == "hour" and series.season == 24
    assert [series.label(i) for i in range(72)] == dates


@pytest.mark.parametrize("suffix", ["Z", "+00:00", "+01:00", "-05:30"])
def test_the_offset_is_kept(suffix, read):
    dates = [f"2024-01-{day:02} 00:00{suffix}" for day in range(1, 20)]
    series = read(dates[:-2])
    assert series.step.name == "day" and [series.label(i) for i in range(19)] == dates


def test_days_of_local_clocks_stay_days_where_the_clock_is_changed(read):
    dates = [f"2024-03-{day} 00:00+0{1 + (day > 31)}:00" for day in range(20, 32)]
    dates += [f"2024-04-{day:02} 00:00+02:00" for day in range(1, 9)]
    series = read(dates[:-1])
    assert series.step.name == "day" and [series.label(i) for i in range(20)] == dates


def test_seconds_are_written_where_the_step_needs_them(read):
    series = read([f"2024-01-01 00:{s // 60:02}:{s % 60:02}" for s in range(0, 150, 15)])
    assert series.label(1) == "2024-01-01 00:00:15" and series.future(1) == ["2024-01-01 00:02:30"]
