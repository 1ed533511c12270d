"""Missing values: filled from the past alone, and counted neither as errors nor for the band."""

import re

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.forecasting import Forecaster
from fastlstm.forecasting.backtest import Backtest, Score, conformal_quantile
from fastlstm.forecasting.gaps import carry
from fastlstm.forecasting.report import coverage_line
from fastlstm.forecasting.skill import Skill

nan = np.nan


@pytest.mark.parametrize("season", [1, 3])
def test_what_is_filled_in_does_not_depend_on_what_comes_later(season):
    rng = np.random.default_rng(0)
    values = np.where(rng.random((50, 2)) < 0.4, nan, rng.standard_normal((50, 2)))
    start, filled = carry(values, season)
    assert not np.isnan(filled).any() and np.isnan(values[:start]).any(1).all()
    np.testing.assert_array_equal(filled[~np.isnan(values[start:])], values[start:][~np.isnan(values[start:])])
    for end in range(start + 1, 50):
        np.testing.assert_array_equal(carry(values[:end], season)[1], filled[: end - start])


def test_a_whole_series_is_left_as_it_is_and_an_empty_one_refused():
    values = np.array([1.0, 5, 2])
    assert carry(values) == (0, values)
    with pytest.raises(ValueError, match="expected numbers, got only missing values"):
        carry(np.full((3, 2), nan))


def test_errors_skill_and_coverage_count_measured_values_alone():
    truth, forecast = np.array([1.0, nan, 3, nan]), np.array([2.0, 50, 5, 60])
    assert Score.of(forecast, truth) == Score(1.5, np.sqrt(2.5))
    test = Backtest(0, truth, forecast, forecast - 1.5, forecast + 1.5, {"last value": np.array([3.0, 9, 3, 9])})
    assert test.coverage == 0.5 and test.measured.tolist() == [True, False, True, False]
    assert coverage_line(test, 0.9) == "The 90% band held 1 of the 2 held-out values that were measured (50%)."
    assert test.skill(2).value == 1 - 5 / 4
    errors = np.random.default_rng(0).standard_normal((2, 30, 2))
    gaps = errors.copy()
    gaps[:, 3] = nan
    assert Skill.of(gaps[0], gaps[1]) == Skill.of(*np.delete(errors, 3, axis=1))


def test_the_band_is_that_of_known_errors():
    errors = np.abs(np.random.default_rng(0).standard_normal((40, 2, 3)))
    gaps = np.concatenate([errors, np.full((40, 2, 3), nan)])
    np.testing.assert_array_equal(conformal_quantile(gaps, 0.9, 80), conformal_quantile(errors, 0.9, 40))
    gaps[:, 1, 2] = nan
    found = conformal_quantile(gaps, 0.9, 80)
    assert found[1, 2] == found[1, :2].max()


def test_a_forecaster_counts_measured_values_alone():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((160, 2))
    measured = rng.random((160, 2)) < 0.7
    other = np.where(measured, values, 0)
    forecaster = Forecaster(4, hidden_size=3, epochs=2, learning_rate=0.001)
    measured[119], spiked = [False, True], other[:120].copy()
    spiked[119, 0] = 1000.0  # the last value is a target only, and never read
    forecaster.fit(spiked)
    assert forecaster.fitted.band[0].max() > 900
    forecaster.fit(spiked, measured=measured[:120])
    assert forecaster.fitted.band.max() < 10
    test = forecaster.backtest(other, 40, measured=measured)
    np.testing.assert_array_equal(test.measured, measured[120:])
    assert test.column(1).scores["fastlstm"].mae == np.abs(test.forecast - values[120:])[measured[120:, 1], 1].mean()
    with pytest.raises(ValueError, match=re.escape("measured: expected an array of bool of shape (120, 2), got")):
        forecaster.fit(other[:120], measured=measured)
    with pytest.raises(ValueError, match="holdout: expected measured values among the last 40, got none"):
        forecaster.backtest(other, 40, measured=np.arange(160)[:, None] < [160, 120])


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
