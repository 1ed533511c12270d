"""The command line, from its arguments to its files."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import cli
from fastlstm.forecasting import LSTMForecaster

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")


@pytest.fixture
def sales(tmp_path):
    """Ten years of months with a trend and a season."""
    t = np.arange(120)
    values = 10 + 0.2 * t + 3 * np.sin(t * 2 * np.pi / 12) + np.random.default_rng(0).standard_normal(120)
    rows = [f"{2005 + i // 12}-{i % 12 + 1:02d},{value:.3f}" for i, value in enumerate(values)]
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(["month,sales", *rows]) + "\n")
    return path


def error_of(capsys, *arguments, status=1):
    """The one line on stderr of a command that fails."""
    assert cli.main(list(map(str, arguments))) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("fastlstm: error: ")
    return lines[0]


@pytest.mark.slow
def test_the_demo_beats_both_naive_forecasts_and_writes_model_and_picture(tmp_path, capsys):
    assert cli.main(["demo", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    scores = {line[2:24].strip(): [float(cell) for cell in line[24:].split()] for line in table(printed)}
    for naive in ("last value", "same season last year"):
        assert scores["fastlstm"][0] < 0.6 * scores[naive][0]
        assert scores["fastlstm"][1] < 0.6 * scores[naive][1]
    assert "fastlstm beats both naive forecasts" in printed
    assert (tmp_path / "out/forecast.png").read_bytes().startswith(b"\x89PNG")
    assert len(LSTMForecaster.load(tmp_path / "out/model.safetensors").predict()) == 12
    assert fl.load(tmp_path / "out/model.safetensors").output_shape == ("N", "T", 1)


def table(printed):
    lines = printed.splitlines()
    start = next(i for i, line in enumerate(lines) if "MAE" in line) + 1
    return lines[start : start + 3]


def test_a_demo_that_does_not_beat_a_naive_forecast_says_so_and_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(LSTMForecaster, "fit", spoilt)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 1
    assert "fastlstm does not beat: last value and same season last year" in capsys.readouterr().out


def spoilt(forecaster, y, X, fit=LSTMForecaster.fit, **options):
    """A training whose effects of every moment are far too large."""
    forecaster.epochs = 1
    fit(forecaster, y, X, **options)
    learned = forecaster._learned_parts
    for parameter in learned.model.layers[-1].parameters():
        parameter.value = np.full(parameter.shape, 9.0)
    forecaster._learned_parts = replace(learned, share=1.0)
    return forecaster


def test_a_file_is_tested_on_forecast_and_drawn(sales, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["forecast", sales, "--target", "sales", "--horizon", "6", "--epochs", "30", "--hidden", "8"]
    assert cli.main(list(map(str, [*arguments, "--output", out]))) == 0
    printed = capsys.readouterr().out
    assert "Season: 12 steps." in printed and "same season last year" in printed
    with open(out / "forecast.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [f"2015-{month:02d}" for month in range(1, 7)]
    for row in rows:
        assert float(row["low"]) < float(row["forecast"]) < float(row["high"])
    assert (out / "forecast.png").stat().st_size > 10_000
    again = LSTMForecaster.load(out / "model.safetensors")
    np.testing.assert_allclose(again.predict()["y"], [float(row["forecast"]) for row in rows], rtol=1e-6)


def test_the_same_seed_forecasts_the_same(sales, tmp_path):
    arguments = ["forecast", str(sales), "--target", "2", "--horizon", "3", "--epochs", "3", "--distribution", "normal"]
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert cli.main([*arguments, "--seed", seed, "--output", str(tmp_path / name)]) == 0
    first, second, other = ((tmp_path / name / "forecast.csv").read_bytes() for name in "abc")
    assert first == second != other
    weights = [fl.load(tmp_path / name / "model.safetensors").parameters()[0].value.tobytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_a_file_without_dates_and_options_of_the_network_work(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(f"{np.sin(i):.3f}" for i in range(80)))
    arguments = [
        "--target",
        "1",
        "--horizon",
        "4",
        "--season",
        "6",
        "--window",
        "10",
        "--holdout",
        "9",
        "--epochs",
        "2",
    ]
    assert cli.main(["forecast", str(path), *arguments, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "The file has no header: its columns are numbered 1 to 1." in printed
    assert "Season: 6 steps." in printed and "value 6 steps before" in printed
    assert "Errors on the 9 held-out values, rows 72 to 80" in printed
    assert (tmp_path / "out/forecast.csv").read_text().splitlines()[1].startswith("81,")


def test_a_constant_column_is_forecast(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("x\n" + "5\n" * 300)
    arguments = ["--target", "x", "--horizon", "2", "--epochs", "1", "--hidden", "4"]
    assert cli.main(["forecast", str(path), *arguments, "--output", str(tmp_path / "out")]) == 0
    assert "does not beat: last value" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "price", "--horizon", "3"], "target: expected one of the columns"),
        (["--target", "sales", "--horizon", "120"], "horizon: expected less than the 120 values of the series"),
        (
            ["--target", "sales", "--horizon", "120", "--holdout", "3"],
            "horizon: expected less than the 120 values of the",
        ),
        (["--target", "sales", "--horizon", "3", "--group", "shop"], "group: expected one of the columns"),
        (["--target", "sales", "--horizon", "3", "--inputs", "wind"], "inputs: expected one of the columns"),
        (["--target", "1", "--date", "none", "--horizon", "3"], "expected a number, got '2005-01'"),
        (["--target", "sales", "--horizon", "3", "--holdout", "120"], "holdout: expected less than the 120 values"),
        (["--target", "sales", "--horizon", "3", "--date", "when"], "date: expected one of the columns"),
    ],
)
def test_errors_are_one_line_without_a_traceback(sales, tmp_path, capsys, arguments, message):
    assert message in error_of(capsys, "forecast", sales, *arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_and_an_output_that_is_a_file_are_errors(sales, tmp_path, capsys):
    options = ["--target", "sales", "--horizon", "3"]
    assert "nothing.csv: no such file" in error_of(capsys, "forecast", tmp_path / "nothing.csv", *options)
    assert "output: expected a folder, got the file" in error_of(capsys, "forecast", sales, *options, "--output", sales)


def test_an_output_folder_that_cannot_be_made_is_an_error(sales, tmp_path, capsys):
    options = ["--target", "sales", "--horizon", "3", "--epochs", "1"]
    line = error_of(capsys, "forecast", sales, *options, "--output", sales / "below")
    assert line == f"fastlstm: error: output: cannot write to {sales / 'below'}: Not a directory"


@pytest.mark.parametrize("command", [["demo"], ["forecast", "a.csv", "--target", "1", "--horizon", "1"]])
def test_without_matplotlib_the_extra_is_named(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'fastlstm[plot]'" in error_of(capsys, *command, "--output", tmp_path / "out")


def test_ctrl_c_ends_quietly(capsys, monkeypatch, tmp_path):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(LSTMForecaster, "fit", interrupt)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "fastlstm: stopped"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["forecast", "a.csv", "--target", "x", "--horizon", "0"],
            "--horizon: expected a whole number from 1, got '0'",
        ),
        (
            ["forecast", "a.csv", "--target", "x", "--horizon", "1", "--coverage", "1"],
            "expected a number above 0 and below",
        ),
        (
            ["forecast", "a.csv", "--target", "x", "--horizon", "1", "--distribution", "gamma"],
            "invalid choice: 'gamma'",
        ),
        (["forecast", "a.csv", "--target", "x"], "the following arguments are required: --horizon"),
        (["demo", "--seed", "-1"], "--seed: expected a whole number from 0, got '-1'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert exit.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["forecast", "--help"], ["demo", "--help"]])
def test_help_is_there(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    printed = capsys.readouterr().out
    assert exit.value.code == 0 and "usage: fastlstm" in printed
    if arguments[0] != "demo":
        assert "fastlstm forecast sales.csv --target sales --horizon 12" in printed


def test_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"fastlstm {fl.__version__}\n"
