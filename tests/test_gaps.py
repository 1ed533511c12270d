"""Missing values are counted neither as errors nor for the band."""

import re

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.forecasting.backtest import Backtest, Score
from fastlstm.forecasting.panel import panel_of
from fastlstm.forecasting.report import coverage_line
from fastlstm.forecasting.skill import Skill

nan = np.nan


def test_errors_skill_and_coverage_count_measured_values_alone():
    truth, forecast = np.array([1.0, nan, 3, nan]), np.array([2.0, 50, 5, 60])
    assert Score.of(forecast, truth) == Score(1.5, np.sqrt(2.5))
    shape = (2, 1, 2)
    parts = [part.reshape(shape) for part in (truth, forecast, forecast - 1.5, forecast + 1.5)]
    naive = {"last value": np.array([3.0, 9, 3, 9]).reshape(shape)}
    test = Backtest(panel_of(np.arange(4.0)), np.array([[0], [2]]), *parts, naive, np.ones(1), 2)
    assert test.coverage == 0.5 and test.measured.reshape(-1).tolist() == [True, False, True, False]
    assert coverage_line(test, 0.9, 4) == "The 90% band held 1 of the 2 held-out values that were measured (50%)."
    assert test.skill().value == 1 - 5 / 4 and test.mae == test.mase == 1.5 and test.naive_mase == 1
    assert not test.beats_naive
    errors = np.random.default_rng(0).standard_normal((2, 30, 2))
    gaps = errors.copy()
    gaps[:, 3] = nan
    assert Skill.of(gaps[0], gaps[1]) == Skill.of(*np.delete(errors, 3, axis=1))


def test_noise_of_which_most_is_missing_is_no_better_forecast_than_noise(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    cells = [f"{x:.3f}" if i == 0 or rng.random() < 0.1 else "" for i, x in enumerate(10 * rng.standard_normal(1500))]
    cells[-1] = "1.0"
    path = tmp_path / "noise.csv"
    path.write_text("k;x\n" + "".join(f"a;{cell}\n" for cell in cells))
    out = str(tmp_path / "out")
    assert cli.main(["forecast", str(path), "--target", "x", "--horizon", "7", "--epochs", "3", "--output", out]) == 0
    printed = capsys.readouterr().out
    error = float(re.search(r"fastlstm +([\d.]+)", printed)[1])
    assert error > 7 and "Warning: much of 'x' is missing (8" in printed
    held = re.search(r"held (\d+) of the (\d+) held-out values that were measured", printed)
    assert int(held[2]) == sum(map(bool, cells[-int(re.search(r"ones of the (\d+) held-out", printed)[1]) :])) < 60
