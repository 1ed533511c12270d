"""What known columns add to series, found beside the smoothing."""

import numpy as np
import pytest

from fastlstm.forecasting import LSTMForecaster
from fastlstm.forecasting.regression import Regression, _shocks

KNOWN = np.array([True])


def season(count, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(count)
    return 50 + 8 * np.sin(2 * np.pi * t / 12) + 0.1 * t + rng.normal(size=count), rng


@pytest.mark.parametrize("size", [4.0, -7.0])
def test_the_effect_of_a_promotion_is_found(size):
    values, rng = season(96, 0)
    promotion = (rng.random(96) < 0.2).astype(float)[:, None]
    found = Regression.fit([values + size * promotion[:, 0]], [promotion], KNOWN, 12).effect
    np.testing.assert_allclose(found, [[size]], rtol=0.25)


def test_a_column_that_adds_nothing_stays_out():
    found = []
    for seed in range(10):
        values, rng = season(96, seed)
        found.append(Regression.fit([values], [rng.normal(size=(96, 1))], KNOWN, 12).effect.any())
    assert sum(found) <= 3


def test_columns_that_are_not_known_have_no_effect():
    values, rng = season(96, 0)
    columns = rng.normal(size=(96, 2))
    found = Regression.fit([values + 5 * columns.sum(1)], [columns], np.array([True, False]), 12).effect
    assert found[0, 0] != 0 and found[0, 1] == 0
    assert not Regression.fit([values], [columns], np.array([False, False]), 12).effect.any()


def test_short_series_take_the_effect_from_all():
    parts = [season(n, n) for n in (90, 80, 100, 8)]
    columns = [(rng.random((len(values), 1)) < 0.3).astype(float) for values, rng in parts]
    columns[-1][5] = 1
    series = [values + 6 * column[:, 0] for (values, _), column in zip(parts, columns, strict=True)]
    found = Regression.fit(series, columns, KNOWN, 12).effect[:, 0]
    np.testing.assert_allclose(found[:3], 6, rtol=0.3)
    assert 3 < found[3] < 12  # in units of its own errors, of which eight values say little


def test_missing_values_count_for_nothing():
    values, rng = season(120, 1)
    columns = rng.normal(size=(120, 1))
    series = values + 5 * columns[:, 0]
    series[rng.random(120) < 0.2] = np.nan
    np.testing.assert_allclose(Regression.fit([series], [columns], KNOWN, 12).effect, [[5]], rtol=0.25)


def test_shocks_are_what_differs_from_the_steps_before():
    rows = np.arange(10.0)[:, None]
    np.testing.assert_allclose(_shocks(rows)[6:, 0], 3.5)  # 6 minus the mean of 0 to 5
    assert _shocks(np.ones((4, 2))).tolist() == np.zeros((4, 2)).tolist()


def test_a_forecast_knows_of_the_coming_promotion(tmp_path):
    values, rng = season(120, 2)
    promotion = (rng.random((120, 1)) < 0.25).astype(float)
    series = values * np.exp(0.3 * promotion[:, 0])
    options = {"season": 12, "epochs": 2, "hidden_size": 8, "scaling": "log"}
    forecaster = LSTMForecaster(**options).fit(series[:108], promotion[:108], fh=12)
    found = forecaster.predict(X=promotion[108:])
    without = LSTMForecaster(**options).fit(series[:108], fh=12).predict()
    assert np.abs(found - series[108:]).mean() < 0.5 * np.abs(without - series[108:]).mean()
    none, all_of_them = (forecaster.predict(X=np.full((12, 1), size)) for size in (0.0, 1.0))
    np.testing.assert_allclose(np.log(all_of_them / none).mean(), 0.3, rtol=0.35)
    forecaster.save(tmp_path / "f.safetensors")
    again = LSTMForecaster.load(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(again.predict(X=promotion[108:]), found)
    interval = forecaster.predict_interval(X=promotion[108:])
    assert ((interval[:, 0] < found) & (found < interval[:, 1])).all()
