"""Groups of rows, several targets and covariates of a file: reading them, and the command that forecasts them."""

import csv

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.forecasting import LSTMForecaster, read_series
from fastlstm.forecasting.frames import Frames
from fastlstm.forecasting.read_series import read_groups

pytest.importorskip("pandas")
QUICK = ["--epochs", "2", "--hidden", "4", "--force"]


def month(k):
    return f"{2012 + k // 12}-{k % 12 + 1:02d}"


@pytest.fixture
def shops(tmp_path):
    """Three shops whose rows are mixed; the last six months have a price, but no sales yet."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(66):
        for name, size, first in (("north", 1, 0), ("south", 3, 10), ("new", 0.5, 50)):
            if k >= first and (name, k) != ("south", 20):
                sales = size * (100 + 10 * np.sin(k * np.pi / 6) + rng.normal())
                rows.append(
                    f"{month(k)},{name},EU,{sales:.2f},{k % 2},{k}" if k < 60 else f"{month(k)},{name},EU,,{k % 2},"
                )
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(["month,shop,region,sales,price,visits", *rows]) + "\n")
    return path


def test_each_group_is_a_series_of_its_own(shops):
    found, notes = read_groups(shops, ["sales"], ["shop", "region"], inputs=["price"])
    assert [one.group for one in found] == ["north / EU", "south / EU", "new / EU"]
    assert [len(one.values) for one in found] == [60, 50, 10]
    assert [one.label(0) for one in found] == ["2012-01", "2012-11", "2016-03"]
    assert [one.future(2) for one in found] == [["2017-01", "2017-02"]] * 3
    assert np.flatnonzero(np.isnan(found[1].values)).tolist() == [10]
    for one in found:
        np.testing.assert_array_equal(one.coming[:, 0], [0, 1, 0, 1, 0, 1])
    assert "Dates without a row (month by month), taken as missing values: 1 of 120." in notes
    without, notes = read_groups(shops, ["sales"], ["shop"])
    assert len(without[0].coming) == 0 and "Missing values at the beginning or end, dropped: 18 of 138." in notes


def test_missing_values_of_groups_are_counted_together(shops):
    lines = shops.read_text().splitlines()
    for at in range(5, 70, 2):
        lines[at] = ",".join([*lines[at].split(",")[:3], "", *lines[at].split(",")[4:]])
    shops.write_text("\n".join(lines) + "\n")
    found, notes = read_groups(shops, ["sales"], ["shop"])
    missing, total = (
        sum(each) for each in zip(*((np.isnan(one.values).sum(), len(one.values)) for one in found), strict=True)
    )
    assert f"Missing values in 'sales': {missing} of {total}. They count neither as errors nor for the band." in notes
    assert any(note.startswith("Warning: much of 'sales' is missing") for note in notes) and missing == 34


def test_frames_have_a_row_for_each_step_of_each_target_of_each_group(shops):
    found, _ = read_groups(shops, ["sales", "visits"], ["shop"], inputs=["price"])
    frames = Frames.of(found, 2)
    assert frames.ids == [f"{shop} / {target}" for shop in ("north", "south", "new") for target in ("sales", "visits")]
    assert len(frames.y) == 2 * 120 and len(frames.X) == 2 * 138 and list(frames.X) == ["unique_id", "ds", "price"]
    assert str(frames.y["ds"].iloc[0]) == "2012-01" and len(frames.before(3)) == 2 * 111


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("2012-03,north,", "2012-03,,"), "expected a group in each row, got ''"),
        (
            lambda text: text.replace("2012-11,south", "2012-12,south"),
            "expected each date once, got 2012-12-01 in lines",
        ),
        (
            lambda text: (
                "d,shop,sales\n" + "".join(f"2020-01-{k + 1:02d},a,{k}\n" for k in range(9)) + "2020-01-01 12:00,b,1\n"
                "2020-01-02 12:00,b,2\n2020-01-02 18:00,b,2\n"
            ),
            "expected steps of a day in each group, as in 'a', got others in 'b'",
        ),
        (
            lambda text: (
                "d,shop,sales\n" + "".join(f"2020-01-{k + 1:02d},a,{k}\n" for k in range(9)) + "2010-01-01,b,1\n"
                "2010-01-02,b,2\n2020-01-02,b,2\n"
            ),
            "expected rows for at least half of the steps in each group, got 3 for 3654 in 'b'",
        ),
        (
            lambda text: (
                "d,shop,sales\n"
                + "".join(f"2020-01-{k:02d},a,{k}\n" for k in range(6, 28) if k % 7 not in (4, 5))
                + "2020-01-11,b,1\n2020-01-13,b,2\n"
            ),
            "expected steps of a business day in each group, as in 'a', got others in 'b'",
        ),
        (
            lambda text: (
                "d,shop,sales\n"
                + "".join(f"2021-02-{k:02d},a,{k}\n" for k in (1, 8, 15, 22))
                + "2021-02-02,b,1\n2021-02-09,b,2\n"
            ),
            "expected steps of a week in each group, as in 'a', got others in 'b'",
        ),
        (lambda text: text + "2012-01,empty,EU,,1,\n", "'empty', column 'sales': expected numbers, got only missing"),
    ],
)
def test_groups_that_do_not_fit_are_named(shops, edit, message):
    shops.write_text(edit(shops.read_text()))
    with pytest.raises(ValueError) as error:
        read_groups(shops, ["sales"], ["shop"])
    assert message in str(error.value)


def test_rows_of_several_series_without_a_group_are_told(shops):
    with pytest.raises(ValueError, match="expected each date once, got 2012-11-01 .*--group names the column"):
        read_series(shops, "sales")


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_forecasts_groups_with_covariates_and_quantiles(shops, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    words = ["--target", "sales", "--group", "shop", "--horizon", "6", "--holdout", "6", "--known", "price"]
    words += ["--inputs", "visits", "--quantiles", "0.1", "0.5", "--coverage", "0.8"]
    assert cli.main(["forecast", str(shops), *words, *QUICK, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "3 series, 120 values." in printed and printed.count("The 80% band held") == 3
    rows = rows_of(tmp_path / "forecast.csv")
    assert list(rows[0]) == ["series", "step", "forecast", "low", "high", "0.1", "0.5"] and len(rows) == 18
    assert [row["series"] for row in rows[::6]] == ["north", "south", "new"]
    for row in rows:
        assert row["low"] == row["0.1"] and float(row["low"]) < float(row["0.5"]) < float(row["high"])
    assert {path.name for path in tmp_path.glob("*.png")} == {f"forecast-{k}.png" for k in (1, 2, 3)}
    again = LSTMForecaster.load(tmp_path / "model.safetensors")
    assert again.past_covariates == ("visits",) and len(again._data.panel) == 3


def test_known_columns_need_rows_behind_the_end(shops, tmp_path, capsys):
    words = ["--target", "sales", "--group", "shop", "--horizon", "7", "--holdout", "3", "--known", "price"]
    assert cli.main(["forecast", str(shops), *words, "--output", str(tmp_path / "out")]) == 1
    assert "known: expected 7 rows behind the last value of each series, in which 'price'" in capsys.readouterr().err


def test_known_columns_must_be_filled_in_there(shops, tmp_path, capsys):
    lines = shops.read_text().splitlines()
    part = [",".join([*line.split(",")[:4], "", ""]) if line.startswith("2017-06,south") else line for line in lines]
    shops.write_text("\n".join(part) + "\n")
    words = ["--target", "sales", "--group", "shop", "--horizon", "6", "--holdout", "3", "--known", "PRICE"]
    assert cli.main(["forecast", str(shops), *words, "--output", str(tmp_path / "out")]) == 1
    message = "known: expected 6 rows behind the last value of each series, in which 'PRICE' is filled in, got 5"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "sales", "--known", "no"], "known: expected one of the columns of"),
        (["--target", "sales", "--target", "4"], "target: expected each column once among targets"),
        (["--target", "sales", "--inputs", "visits", "--known", "6"], "known: expected each column once among targets"),
        (["--target", "sales", "--holdout", "60"], "holdout: expected less than the 60 values of the longest series"),
    ],
)
def test_what_does_not_fit_is_named_by_its_option(shops, words, message, tmp_path, capsys):
    words = ["--group", "shop", "--horizon", "12", *words, "--output", str(tmp_path / "out")]
    assert cli.main(["forecast", str(shops), *words]) == 1
    assert message in capsys.readouterr().err


def test_columns_may_be_given_by_number_and_called_like_those_of_a_panel(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.csv"
    path.write_text("x,y,Z\n" + "".join(f"{k % 7},{k % 5},{k % 3}\n" for k in range(60)))
    words = ["--target", "x", "--date", "none", "--horizon", "3", "--inputs", "2", "z", *QUICK]
    assert cli.main(["forecast", str(path), *words, "--output", str(tmp_path)]) == 0
    assert LSTMForecaster.load(tmp_path / "model.safetensors").past_covariates == ("y'", "Z")


def test_a_target_of_which_nothing_held_out_was_measured_is_forecast(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{k % 7},{k % 5 if k < 40 else ''}\n" for k in range(60)))
    words = ["--target", "a", "--target", "b", "--date", "none", "--horizon", "6", *QUICK, "--output", str(tmp_path)]
    assert cli.main(["forecast", str(path), *words]) == 0
    printed = capsys.readouterr().out
    assert printed.count("The 90% band held") == 1
    assert "None of the 12 held-out values, rows 49 to 60, was measured: how good" in printed


def test_many_series_are_judged_together(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    path = tmp_path / "many.csv"
    path.write_text("k,x\n" + "".join(f"{k},{v:.2f}\n" for k in range(8) for v in 50 + np.cumsum(rng.normal(size=30))))
    words = ["--target", "x", "--group", "k", "--date", "none", "--horizon", "3", *QUICK]
    assert cli.main(["forecast", str(path), *words, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Mean absolute scaled error over 8 series: " in printed and printed.count("The 90% band held") == 1
    assert len(rows_of(tmp_path / "forecast.csv")) == 24 and len(list(tmp_path.glob("*.png"))) == 6


def test_several_targets_are_forecast_by_one_network(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    t = np.arange(200)
    columns = [np.sin(t * np.pi / 12), 5 + np.cos(t * np.pi / 12), 20 + np.sin(t * np.pi / 12 + 1)]
    lines = [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00,{','.join(f'{c[i]:.3f}' for c in columns)}" for i in t]
    lines[50] = ",".join([*lines[50].split(",")[:3], ""])
    (tmp_path / "load.csv").write_text("\n".join(["date,a,b,temp", *lines[::-1]]) + "\n")
    words = ["--target", "a", "--target", "b", "--inputs", "temp", "--horizon", "12", "--patch", "12", "--window", "24"]
    assert cli.main(["forecast", str(tmp_path / "load.csv"), *words, *QUICK, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "a, b, 200 values" in printed and printed.count("Skill over the last value") == 2
    assert "Missing values in 'temp': 1 of 200. They count neither as errors nor for the band." in printed
    rows = rows_of(tmp_path / "forecast.csv")
    assert [row["series"] for row in rows[::12]] == ["a", "b"] and rows[0]["step"] == "2024-01-09 08:00"


def test_a_series_without_a_season_is_held_against_one_naive_forecast(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.csv"
    path.write_text("x\n" + "".join(f"{value:.3f}\n" for value in np.random.default_rng(0).normal(size=80)))
    words = ["--target", "x", "--date", "none", "--horizon", "4", "--season", "1", *QUICK, "--output", str(tmp_path)]
    assert cli.main(["forecast", str(path), *words]) == 0
    printed = capsys.readouterr().out
    assert "fastlstm beats the naive forecast: its mean absolute error is" in printed and "below that one's." in printed


def test_series_that_are_too_short_are_forecast_and_not_judged(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    lines = [f"2020-01-{k + 1:02d},{name},{k % 5}" for name, n in (("a", 30), ("b", 28), ("c", 1)) for k in range(n)]
    (tmp_path / "a.csv").write_text("\n".join(["day,shop,x", *lines]))
    words = ["--target", "x", "--group", "shop", "--horizon", "3", "--holdout", "6", *QUICK]
    assert cli.main(["forecast", str(tmp_path / "a.csv"), *words, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Series of 6 values or fewer, of which none is held out: 1." in printed
    assert "The series is too short to hold values out" in printed and printed.count("held 6 of the 6") <= 2
    assert len(rows_of(tmp_path / "forecast.csv")) == 9


@pytest.mark.parametrize(("step", "local"), [("hour", False), ("day", True)])
def test_all_groups_are_read_by_the_same_clock(tmp_path, step, local):
    """Clocks change at shop a only: hours are those of UTC for both shops, days those of local clocks."""
    change = np.datetime64("2024-03-31T02", "h")
    lines, labels = [], []
    for name, first in (("a", "2024-03-30T00"), ("b", "2024-03-28T00")):
        clock = np.datetime64(first, "h") + np.arange(30 if step == "hour" else 3) * np.timedelta64(
            1 if step == "hour" else 24, "h"
        )
        late = clock >= change
        clock += late & (step == "hour")  # the hour from 2 to 3 is left out
        written = [f"{hour}:00+0{1 + at}:00".replace("T", " ") for hour, at in zip(clock, late, strict=True)]
        lines += [f"{date},{name},{k}" for k, date in enumerate(written)]
        labels.append(written)
    (tmp_path / "a.csv").write_text("\n".join(["time,shop,x", *lines]) + "\n")
    found, _ = read_groups(tmp_path / "a.csv", ["x"], ["shop"])
    assert [(one.step.name, one.zone.local) for one in found] == [(step, local)] * 2
    assert [[one.label(k) for k in range(len(one.values))] for one in found] == labels
