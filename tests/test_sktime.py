"""`LSTMForecaster` as a forecaster of sktime: sktime's own tests, its tools, and the numbers of our own class."""

import pytest

pytest.importorskip("sktime", reason="sktime is not installed")

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler
from sktime.forecasting.compose import EnsembleForecaster
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.adapt import TabularToSeriesAdaptor
from sktime.transformations.boxcox import LogTransformer
from sktime.transformations.detrend import Deseasonalizer
from sktime.utils.estimator_checks import check_estimator

from fastlstm import forecasting
from fastlstm.forecasting.sktime import LSTMForecaster

SMALL = {"hidden_size": 4, "epochs": 2, "window": 6}


def series(count=60, name="sales", seed=0):
    months = pd.period_range("2015-01", periods=count, freq="M")
    rng = np.random.default_rng(seed)
    wave = 10 * np.sin(np.arange(count) * np.pi / 6)
    return pd.Series(100 + np.arange(count) + wave + rng.normal(0, 2, count), months, name=name)


def panel(lengths=(50, 60, 40), width=1, seed=0):
    """Instances of different lengths, the second of which ends last."""
    parts = {}
    for at, count in enumerate(lengths):
        columns = {f"c{k}": series(count, seed=seed + 10 * at + k).to_numpy() * (1 + k) for k in range(width)}
        parts[f"shop {at}"] = pd.DataFrame(columns, pd.period_range("2015-01", periods=count, freq="M"))
    return pd.concat(parts, names=["shop", "month"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what sktime says of itself
def test_the_tests_that_sktime_has_for_forecasters():
    found = check_estimator(LSTMForecaster, raise_exceptions=True, verbose=0)
    assert {*found.values()} == {"PASSED"}
    assert len(found) > 400
    assert sum("test_predict_time_index" in name for name in found) > 100  # of forecasters, not only of any object


def test_a_forecast_is_that_of_the_forecaster_itself():
    y = series()
    ours = forecasting.LSTMForecaster(**SMALL).fit(y, fh=5)
    theirs = LSTMForecaster(**SMALL).fit(y, fh=[1, 2, 3, 4, 5])
    pd.testing.assert_series_equal(theirs.predict(), ours.predict(), check_freq=False)
    interval, band = theirs.predict_interval(coverage=[0.8]), ours.predict_interval(coverage=0.8)
    np.testing.assert_allclose(interval[("sales", 0.8, "lower")], band["lower"])
    np.testing.assert_allclose(interval[("sales", 0.8, "upper")], band["upper"])
    quantiles, expected = theirs.predict_quantiles(alpha=[0.9, 0.1]), ours.predict_quantiles([0.1, 0.9])
    assert [*quantiles.columns] == [("sales", 0.9), ("sales", 0.1)]
    np.testing.assert_allclose(quantiles, expected[[0.9, 0.1]])


@pytest.mark.parametrize("fh", [[2, 5], pd.PeriodIndex(["2020-02", "2020-05"], freq="M")], ids=["relative", "absolute"])
def test_a_horizon_may_have_gaps(fh):
    whole = LSTMForecaster(**SMALL).fit(series(), fh=range(1, 6)).predict()
    some = LSTMForecaster(**SMALL).fit(series(), fh=fh).predict()
    pd.testing.assert_series_equal(some, whole.iloc[[1, 4]], check_freq=False)


def test_only_a_recursive_forecaster_is_told_the_horizon_late():
    found = LSTMForecaster(strategy="recursive", **SMALL).fit(series()).predict(fh=[1, 30])
    assert found.index.astype(str).tolist() == ["2020-01", "2022-06"]
    with pytest.raises(ValueError, match="`fh` must be passed to `fit`"):
        LSTMForecaster(**SMALL).fit(series())


def test_columns_are_several_series_of_one_network():
    y = pd.concat([series(name="a"), 2 * series(name="b", seed=1)], axis=1)
    y.iloc[7, 0] = y.iloc[-1, 1] = np.nan
    ours = forecasting.LSTMForecaster(**SMALL).fit(y, fh=3).predict()
    pd.testing.assert_frame_equal(LSTMForecaster(**SMALL).fit(y, fh=[1, 2, 3]).predict(), ours, check_freq=False)


@pytest.mark.parametrize("width", [1, 2])
def test_instances_of_a_panel_are_several_series_of_one_network(width):
    y = panel(width=width)
    found = LSTMForecaster(**SMALL).fit(y, fh=[2, 3]).predict()
    assert found.index.names == ["shop", "month"] and [*found.columns] == [*y.columns]
    wide = y.unstack(level=0)
    wide.columns = range(wide.shape[1])  # all instances of the first column, then those of the next
    order = np.arange(3 * width).reshape(width, 3).T.reshape(-1)
    ours = forecasting.LSTMForecaster(**SMALL).fit(wide[order], fh=3).predict()
    for shop in range(3):
        columns = order[width * shop : width * (shop + 1)]
        np.testing.assert_allclose(found.loc[f"shop {shop}"], ours[columns].iloc[1:])
        pd.testing.assert_index_equal(found.loc[f"shop {shop}"].index, ours.index[1:], check_names=False)


def test_the_levels_of_a_hierarchy_stay():
    y = pd.concat({"north": panel((40, 40)), "south": panel((40, 40, 40), seed=5)}, names=["region"])
    found = LSTMForecaster(**SMALL).fit(y, fh=[1, 2])
    expected = y.index.droplevel(-1).unique()
    for table in (found.predict(), found.predict_quantiles(alpha=[0.5])):
        assert table.index.names == ["region", "shop", "month"]
        pd.testing.assert_index_equal(table.index.droplevel(-1).unique(), expected)
    assert len(found.forecaster_.predict()) == 5 * 2


def test_columns_beside_the_series():
    y, rng = series(), np.random.default_rng(1)
    months = pd.period_range("2015-01", periods=63, freq="M")
    X = pd.DataFrame({"price": rng.normal(size=63), "weather": rng.normal(size=63)}, months)
    y = y + 30 * X["price"][:60]
    forecaster = LSTMForecaster(past_covariates=("weather",), **SMALL).fit(y, X[:60], fh=[1, 2, 3])
    ours = forecasting.LSTMForecaster(past_covariates=("weather",), **SMALL).fit(y, X[:60], fh=3)
    expected = ours.predict(X=X[["price"]][60:])
    for known in (X, X[["price"]][60:]):  # what is before the end is not read, nor is what is not known
        np.testing.assert_allclose(forecaster.predict(X=known), expected)
    with pytest.raises(ValueError, match=r"X: expected rows of 0 from 2020-01 to 2020-03, got only some of them"):
        forecaster.predict(X=X[["price"]][60:62])
    with pytest.raises(ValueError, match=r"X: expected rows of the steps of fh, got none of 2020-02"):
        forecaster.predict(X=X[["price"]].iloc[[60, 62]])


def test_columns_of_steps_that_the_horizon_leaves_out_may_be_missing():
    months = pd.period_range("2015-01", periods=65, freq="M")
    X = pd.DataFrame({"price": np.random.default_rng(1).normal(size=65)}, months)
    y = series() + 30 * X["price"][:60]
    forecaster = LSTMForecaster(**SMALL).fit(y, X[:60], fh=[2, 5])
    held = X[60:].where([[False], [True], [False], [False], [True]]).ffill()
    held.iloc[0] = X["price"].iloc[59]  # the value before the first
    np.testing.assert_allclose(forecaster.predict(X=X.iloc[[61, 64]]), forecaster.predict(X=held))


def test_columns_beside_each_instance():
    """The forecasts show that none has another's."""
    whole = panel((43, 43, 43))
    X = pd.DataFrame({"price": np.random.default_rng(1).normal(size=len(whole))}, whole.index)
    whole["c0"] += 30 * X["price"]
    y, rows = whole.groupby(level=0).head(40), X.groupby(level=0)
    forecaster = LSTMForecaster(season=1, **SMALL).fit(y, rows.head(40), fh=[1, 2])
    coming = rows.tail(3)
    found = forecaster.predict(X=coming)
    turned = forecaster.predict(X=coming.loc[["shop 2", "shop 0", "shop 1"]])
    pd.testing.assert_frame_equal(turned, found)
    other = coming.copy()
    other.loc["shop 1"] += 1
    changed = (forecaster.predict(X=other) - found).abs().groupby(level=0).max()["c0"]
    assert changed["shop 1"] > 20 and changed["shop 0"] == changed["shop 2"] == 0
    with pytest.raises(ValueError, match=r"X: expected rows of each instance, got none of 'shop 2'"):
        forecaster.predict(X=coming.loc[["shop 0", "shop 1"]])


@pytest.mark.parametrize("params", [True, False])
def test_new_values(params):
    y = series()
    forecaster = LSTMForecaster(**SMALL).fit(y[:50], fh=[1, 2])
    learned = forecaster.forecaster_
    forecaster.update(y[50:55], update_params=params)
    assert (forecaster.forecaster_ is learned) is not params
    if params:
        expected = forecasting.LSTMForecaster(**SMALL).fit(y[:55], fh=2)
    else:
        expected = forecasting.LSTMForecaster(**SMALL).fit(y[:50], fh=2).update(y[50:55])
    pd.testing.assert_series_equal(forecaster.predict(), expected.predict(), check_freq=False)


def test_new_values_of_some_instances_and_new_instances():
    y = panel()
    old = LSTMForecaster(**SMALL).fit(y.loc[["shop 0", "shop 2"]], fh=[1])
    with pytest.raises(
        ValueError, match=r"y: expected instances that fit has seen with update_params=False, got 'shop 1'"
    ):
        old.update(y, update_params=False)
    moments = old.update(y, update_params=True).predict().index.to_frame(index=False)
    assert moments["shop"].tolist() == ["shop 0", "shop 1", "shop 2"] and {*moments["month"].astype(str)} == {"2020-01"}
    later = pd.concat({"shop 1": series(61).iloc[60:].to_frame("c0")}, names=["shop", "month"])
    assert {*old.update(later, update_params=False).predict().index.get_level_values(1).astype(str)} == {"2020-02"}


def test_dates_with_a_time_zone_and_days_left_out():
    days = pd.date_range("2021-03-01", periods=60, tz="Europe/Berlin")
    y = pd.Series(np.arange(60.0), days).drop(days[[5, 20]])
    assert y.index.freq is None
    found = LSTMForecaster(**SMALL).fit(y, fh=[1, 3]).predict()
    assert found.index.equals(pd.DatetimeIndex(["2021-04-30", "2021-05-02"], tz="Europe/Berlin"))


def test_what_it_does_not_take():
    with pytest.raises(
        ValueError, match=r"y: expected whole numbers one apart as index, as fh counts them, got steps of 2"
    ):
        LSTMForecaster(**SMALL).fit(pd.Series(np.arange(30.0), range(0, 60, 2)), fh=[1])
    X = pd.DataFrame({"y": np.zeros(60)}, series().index)
    with pytest.raises(
        ValueError, match=r"X: expected no column called 'y', which has a meaning of its own; rename it"
    ):
        LSTMForecaster(**SMALL).fit(series(), X, fh=[1])
    with pytest.raises(NotImplementedError, match="in-sample"):
        LSTMForecaster(**SMALL).fit(series(), fh=[0, 1])
    with pytest.raises(ValueError, match="epochs: expected at least 1, got 0"):
        LSTMForecaster(epochs=0)
    with pytest.raises(TypeError, match="units"):
        LSTMForecaster(units=3)
    with pytest.raises(ValueError, match="epochs: expected at least 1, got 0"):
        LSTMForecaster().set_params(epochs=0)


def test_parameters_are_those_of_our_forecaster():
    ours = forecasting.LSTMForecaster().get_params()
    assert LSTMForecaster().get_params() == ours
    assert repr(LSTMForecaster(12, epochs=3)) == "LSTMForecaster(epochs=3, season=12)"


@pytest.mark.filterwarnings("ignore:The default of config:FutureWarning")  # of sktime, about its own forecasters
class TestTools:
    def test_pipelines_of_the_series(self):
        y = series()
        pipeline = LogTransformer() * Deseasonalizer(sp=12) * LSTMForecaster(**SMALL)
        found = pipeline.fit(y.to_timestamp(), fh=[1, 2, 3]).predict()
        assert found.index.equals(pd.date_range("2020-01-01", periods=3, freq="MS"))
        np.testing.assert_allclose(found, series(63).to_numpy()[60:], rtol=0.1)

    def test_pipelines_of_columns(self):
        X = pd.DataFrame({"a": np.random.default_rng(0).normal(size=63)}, series(63).index)
        pipeline = TabularToSeriesAdaptor(StandardScaler()) ** LSTMForecaster(**SMALL)
        assert len(pipeline.fit(series(), X[:60], fh=[1, 2, 3]).predict(X=X[60:])) == 3

    @pytest.mark.parametrize("strategy", ["refit", "update", "no-update_params"])
    def test_evaluation(self, strategy):
        cv = ExpandingWindowSplitter(initial_window=48, step_length=6, fh=[1, 2, 3])
        found = evaluate(LSTMForecaster(**SMALL), cv, series(), strategy=strategy, error_score="raise")
        assert len(found) == 2 and found["test_MeanAbsolutePercentageError"].max() < 0.2

    def test_grids_and_ensembles(self):
        cv = ExpandingWindowSplitter(initial_window=48, step_length=12, fh=[1])
        grid = {"scaling": ["instance", "log"]}
        search = ForecastingGridSearchCV(LSTMForecaster(**SMALL), cv, grid, error_score="raise", backend="None")
        assert search.fit(series(), fh=[1]).best_params_["scaling"] in grid["scaling"]
        both = EnsembleForecaster([("ours", LSTMForecaster(**SMALL)), ("naive", NaiveForecaster(sp=12))])
        assert len(both.fit(series(), fh=[1, 2]).predict()) == 2
