"""Windows, naive forecasts, the forecaster, its band and its files."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.data import windows
from fastlstm.forecasting import Forecaster
from fastlstm.forecasting.backtest import Backtest, conformal_quantile
from fastlstm.forecasting.naive import last_season, last_value

QUICK = {"season": 12, "hidden_size": 8, "epochs": 15, "seed": 3}


@pytest.fixture(scope="module")
def series():
    t = np.arange(180)
    return 0.05 * t + np.sin(t * 2 * np.pi / 12) + 0.05 * np.random.default_rng(0).standard_normal(180)


@pytest.fixture(scope="module")
def fitted(series):
    forecaster = Forecaster(6, **QUICK)
    forecaster.fit(series[:150])
    return forecaster


def test_windows_are_followed_by_their_targets():
    series = np.arange(22).reshape(11, 2)
    x, y = windows(series, 3, 2, stride=2)
    assert x.shape == (4, 3, 2) and y.shape == (4, 2, 2)
    for i in range(4):
        assert np.array_equal(x[i], series[2 * i : 2 * i + 3])
        assert np.array_equal(y[i], series[2 * i + 3 : 2 * i + 5])


def test_windows_are_views_that_cannot_be_written_to():
    series = np.arange(10.0)
    x, y = windows(series, 4, 2)
    assert np.shares_memory(x, series) and np.shares_memory(y, series)
    assert not x.flags.writeable and not y.flags.writeable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4), 3, 2), r"series: expected at least length \+ horizon = 3 \+ 2 = 5 steps, got 4"),
        ((np.zeros((4, 2, 2)), 1, 1), r"series: expected shape \(T,\) or \(T, F\), got \(4, 2, 2\)"),
        ((np.zeros(4), 0, 1), "length: expected at least 1, got 0"),
        ((np.zeros(4), 1, -1), "horizon: expected at least 1, got -1"),
        ((np.zeros(4), 1, 1, 0), "stride: expected at least 1, got 0"),
    ],
)
def test_windows_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        windows(*arguments)


def test_windows_want_numbers():
    with pytest.raises(TypeError, match="series: expected real numbers, got dtype <U1"):
        windows(["a", "b"], 1, 1)


def test_naive_forecasts_repeat_the_last_value_and_the_last_season():
    history = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert last_value(history, 2).tolist() == [[4, 4], [8, 8]]
    assert last_season(history, 5, 3).tolist() == [[2, 3, 4, 2, 3], [6, 7, 8, 6, 7]]


def test_validation_windows_forecast_only_what_training_windows_do_not_reach():
    forecaster = Forecaster(6, season=12, window=20)
    split = forecaster.split(150)
    starts = np.arange(150 - split.context - 6 + 1)
    last_trained = starts[split.train][-1] + split.context + 6 - 1
    first_validated = starts[split.later][0] + split.context
    assert last_trained == 119 and first_validated == 120


def test_the_stride_of_a_long_series_meets_every_part_of_the_season():
    split = Forecaster(24, season=24, max_windows=100).split(1000)
    assert split.train_windows <= 100
    assert len({start % 24 for start in range(0, split.train.stop, split.stride)}) == 24


def test_both_naive_forecasts_are_beaten(series, fitted):
    result = fitted.backtest(series, 30)
    own, *others = result.scores.values()
    assert list(result.scores) == ["fastlstm", "last value", "last season"]
    assert all(own.mae < 0.5 * other.mae and own.rmse < 0.5 * other.rmse for other in others)
    assert result.beats_naive


def test_a_backtest_uses_only_the_values_before_each_block(series, fitted):
    result = fitted.backtest(series, 20)  # three blocks of six and a part of one
    assert result.start == 160 and len(result.truth) == len(result.forecast) == len(result.naive["last value"]) == 20
    for block in range(0, 20, 6):
        expected = fitted.forecast(series[: 160 + block])
        part = slice(block, min(block + 6, 20))
        size = part.stop - part.start
        np.testing.assert_allclose(result.forecast[part], expected.mean[:size], rtol=0, atol=1e-5)
        np.testing.assert_allclose(result.low[part], expected.low[:size], rtol=0, atol=1e-5)
        assert (result.naive["last value"][part] == series[159 + block]).all()
        assert np.array_equal(result.naive["last season"][part], series[148 + block :][:size])


def test_what_follows_does_not_change_a_forecast(series, fitted):
    changed = series.copy()
    changed[156:] += 1000
    before, after = fitted.backtest(series, 30), fitted.backtest(changed, 30)
    assert np.array_equal(before.forecast[:6], after.forecast[:6])


def test_the_same_seed_gives_the_same_bits(series, fitted):
    again, other = Forecaster(6, **QUICK), Forecaster(6, **{**QUICK, "seed": 4})
    again.fit(series[:150])
    other.fit(series[:150])
    assert again.forecast(series).mean.tobytes() == fitted.forecast(series).mean.tobytes()
    assert other.forecast(series).mean.tobytes() != fitted.forecast(series).mean.tobytes()


def test_a_saved_forecaster_forecasts_the_same(series, fitted, tmp_path):
    path = tmp_path / "f.safetensors"
    fitted.save(path)
    loaded = Forecaster.load(path)
    expected, got = fitted.forecast(series), loaded.forecast(series)
    for name in ("mean", "low", "high"):
        assert getattr(expected, name).tobytes() == getattr(got, name).tobytes()
    assert fl.load(path).num_parameters == fitted.fitted.model.num_parameters


def test_a_model_without_a_forecaster_is_told_apart(tmp_path):
    fl.save(fl.Model([fl.LSTM(1, 2)], seed=0), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="holds a model, but no forecaster; read it with fastlstm.load"):
        Forecaster.load(tmp_path / "m.safetensors")


def test_a_constant_series_is_forecast_as_it_is():
    forecaster = Forecaster(4, hidden_size=4, epochs=2)
    forecaster.fit(np.full(60, 7.0))
    result = forecaster.backtest(np.full(60, 7.0), 4)
    np.testing.assert_allclose(result.forecast, 7, rtol=0, atol=0.5)
    assert np.isfinite(result.low).all()


def test_the_logarithm_keeps_forecast_and_band_positive():
    t = np.arange(120)
    series = np.exp(0.03 * t + 0.3 * np.sin(t * 2 * np.pi / 12))
    forecaster = Forecaster(6, **QUICK, log=True)
    forecaster.fit(series[:100])
    result = forecaster.backtest(series, 20)
    assert result.low.min() > 0 and result.beats_naive
    assert np.array_equal(result.truth, series[100:]) or np.allclose(result.truth, series[100:])


def test_without_a_season_the_last_value_is_the_only_naive_forecast():
    series = np.cumsum(np.random.default_rng(1).standard_normal(100))
    forecaster = Forecaster(3, hidden_size=4, epochs=2)
    forecaster.fit(series[:80])
    assert list(forecaster.backtest(series, 20).naive) == ["last value"]


def test_the_band_is_wider_the_fewer_observations_it_rests_on():
    errors = np.abs(np.random.default_rng(0).standard_normal((200, 3)))
    many, few = conformal_quantile(errors, 0.9, 200), conformal_quantile(errors, 0.9, 12)
    assert (many < few).all() and (few <= errors.max(0)).all()
    assert (np.mean(errors <= many, axis=0) >= 0.9).all()


def test_coverage_counts_what_lies_in_the_band():
    truth = np.array([0.0, 1, 2, 3])
    result = Backtest(1, truth, truth, truth - [1, 1, -1, 1], truth + 1, {"last value": truth})
    assert result.coverage == 0.75
    assert not result.beats_naive  # equal is not better


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(20), "series: expected at least 34 values to learn to forecast 6 steps with a season of 12, got 20"),
        (np.zeros((50, 2, 2)), r"series: expected shape \(T,\), got \(50, 2, 2\)"),
        ([1.0, float("nan"), 2.0], r"series: expected finite numbers, got nan at \[1\]"),
        (np.full(50, 1e200), r"series: expected numbers up to 1e\+100, got 1e\+200"),
    ],
)
def test_fit_says_what_is_wrong_with_a_series(values, message):
    with pytest.raises(ValueError, match=message):
        Forecaster(6, season=12).fit(values)


def test_as_many_values_as_asked_for_are_enough():
    for horizon, season, window in ((6, 12, None), (1, 1, None), (12, 4, 30)):
        forecaster = Forecaster(horizon, season=season, window=window)
        with pytest.raises(ValueError) as error:
            forecaster.split(5)
        needed = int(str(error.value).split("at least ")[1].split()[0])
        assert forecaster.split(needed).train_windows >= 8
        with pytest.raises(ValueError, match=f"at least {needed} values"):
            forecaster.split(needed - 1)


def test_forecast_and_backtest_say_what_is_wrong(series, fitted):
    with pytest.raises(RuntimeError, match="call fit first"):
        Forecaster(3).forecast(series)
    with pytest.raises(ValueError, match="series: expected at least 24 values, got 5"):
        fitted.forecast(series[:5])
    with pytest.raises(ValueError, match="holdout: expected at most 156, so that 24 of the 180 values come before"):
        fitted.backtest(series, 170)
    with pytest.raises(ValueError, match=r"expected positive numbers for log=True, got 0 at \[3\]"):
        Forecaster(3, log=True).fit([1, 2, 3, 0, 4])
    with pytest.raises(ValueError, match="coverage: expected at least 0 and below 1, got 1"):
        Forecaster(3, coverage=1)
