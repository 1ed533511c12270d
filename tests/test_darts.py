"""`LSTMForecaster` as a model of darts: what darts asks of a global model, its tools, and our own class's numbers."""

import inspect

import pytest

pytest.importorskip("darts", reason="darts is not installed")

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.models import ConformalNaiveModel, LinearRegressionModel, NaiveEnsembleModel

from fastlstm import forecasting
from fastlstm.forecasting.darts import LSTMForecaster

SMALL = {"hidden_size": 4, "epochs": 2, "window": 6}


def series(count=60, width=1, seed=0, start="2015-01-01", static=None):
    rng = np.random.default_rng(seed)
    wave = 100 + np.arange(count) + 10 * np.sin(np.arange(count) * np.pi / 6)
    values = wave[:, None] * (1 + np.arange(width)) + rng.normal(0, 2, (count, width))
    months = pd.date_range(start, periods=count, freq="MS")
    return TimeSeries.from_times_and_values(months, values, static_covariates=static)


def several():
    """Series of different lengths and starts, of two components."""
    return [series(60, 2, 1), series(50, 2, 2), series(40, 2, 3, "2016-01-01")]


def frame(given):
    return pd.DataFrame(given.values(), given.time_index)


def flat(forecasts):
    return np.concatenate([forecast.values() for forecast in forecasts])


def test_a_forecast_is_that_of_the_forecaster_itself():
    y = series()
    ours = forecasting.LSTMForecaster(**SMALL).fit(frame(y), fh=4)
    model = LSTMForecaster(4, **SMALL).fit(y)
    found = model.predict(3)
    np.testing.assert_allclose(found.values(), ours.predict()[:3])
    assert found.start_time() == pd.Timestamp("2020-01-01") and found.freq == y.freq
    assert found.components.equals(y.components)
    paths = model.predict(4, num_samples=20, random_state=3)
    np.testing.assert_allclose(paths.all_values()[:, 0].T, ours.sample_paths(20, 4, random_state=3)[0])


def test_one_network_learns_from_all_components_of_all_series():
    told = several()
    model = LSTMForecaster(4, **SMALL).fit(told)
    found = model.predict(2, series=told)
    assert [each.start_time() for each in found] == [each.end_time() + each.freq for each in told]
    parts = [
        pd.DataFrame({"unique_id": 2 * at + k, "ds": each.time_index, "y": each.values()[:, k]})
        for at, each in enumerate(told)
        for k in range(2)
    ]
    ours = forecasting.LSTMForecaster(**SMALL).fit(pd.concat(parts), fh=4).predict()
    expected = ours["y"].to_numpy().reshape(3, 2, 4)[:, :, :2].swapaxes(1, 2).reshape(6, 2)
    np.testing.assert_allclose(flat(found), expected)
    np.testing.assert_array_equal(model.predict(2, series=told[1]).values(), found[1].values())
    turned = model.predict(2, series=told[::-1])
    np.testing.assert_array_equal(flat(turned), flat(found[::-1]))
    drawn = model.predict(3, series=told[:0:-1], num_samples=7)
    assert [each.all_values().shape for each in drawn] == [(3, 2, 7)] * 2
    with pytest.raises(ValueError, match="series: expected the series to forecast, as fit got several, got None"):
        model.predict(2)


def test_missing_values_and_steps_of_whole_numbers():
    values = series().values()
    values[3::7] = np.nan
    y = TimeSeries.from_times_and_values(pd.RangeIndex(10, 130, 2), values)
    found = LSTMForecaster(5, season=12, **SMALL).fit(y).predict(5)
    assert found.time_index.equals(pd.RangeIndex(130, 140, 2))
    ours = forecasting.LSTMForecaster(12, **SMALL).fit(values[:, 0], fh=5).predict()
    np.testing.assert_allclose(found.values()[:, 0], ours)


def test_only_a_recursive_model_goes_further_than_the_horizon():
    assert len(LSTMForecaster(4, strategy="recursive", **SMALL).fit(series()).predict(9)) == 9
    with pytest.raises(
        ValueError, match=r"n: expected at most 4, which is output_chunk_length, got 5; fit a model with"
    ):
        LSTMForecaster(4, **SMALL).fit(series()).predict(5)


def test_past_and_future_covariates():
    y, past, future = series(), series(60, 2, seed=7), series(70, 1, seed=8)
    y = y.with_values(y.values() + 0.5 * future.values()[:60])
    model = LSTMForecaster(4, **SMALL).fit(y, past_covariates=past, future_covariates=future)
    X = pd.concat([frame(past), frame(future)[:60]], axis=1)
    X.columns = ["a", "b", "known"]
    ours = forecasting.LSTMForecaster(past_covariates=("a", "b"), **SMALL).fit(frame(y), X, fh=4)
    coming = frame(future)[60:64].set_axis(["known"], axis=1)
    expected = ours.predict(X=coming).to_numpy()
    np.testing.assert_allclose(model.predict(4).values(), expected)
    given = model.predict(4, series=y, past_covariates=past, future_covariates=future[60:])
    np.testing.assert_allclose(given.values(), expected)
    with pytest.raises(ValueError, match="trained with past covariates"):
        model.predict(4, series=y, future_covariates=future)
    with pytest.raises(
        ValueError, match=r"future_covariates: expected values from 2020-01-01 .* to 2020-04-01 .* to 2019-12"
    ):
        model.predict(4, series=y, past_covariates=past, future_covariates=future[:60])


def test_covariates_stand_beside_their_own_series():
    told, future = several(), [series(70, 1, seed=4), series(70, 1, seed=5), series(70, 1, 6, "2016-01-01")]
    told = [y.with_values(y.values() + 3 * f.values()[: len(y)]) for y, f in zip(told, future, strict=True)]
    model = LSTMForecaster(4, season=1, **SMALL).fit(told, future_covariates=future)
    found = model.predict(3, series=told, future_covariates=future)
    alone = model.predict(3, series=told[1], future_covariates=future[1])
    np.testing.assert_allclose(alone.values(), found[1].values())
    other = [future[0], future[1] + 10, future[2]]
    changed = model.predict(3, series=told, future_covariates=other)
    apart = [np.abs(a.values() - b.values()).max() for a, b in zip(changed, found, strict=True)]
    assert apart[1] > 5 and apart[0] == apart[2] == 0


@pytest.mark.parametrize("rows", [1, 2], ids=["of the series", "of each component"])
def test_static_covariates(rows):
    told = []
    for seed in range(4):
        table = pd.DataFrame({"size": np.arange(rows) + 3.0 * seed, "kind": ["ab"[seed % 2]] * rows})
        told.append(series(50, 2, seed, static=table))
    model = LSTMForecaster(4, **SMALL).fit(told)
    found = model.predict(2, series=told)
    assert all(a.static_covariates.equals(b.static_covariates) for a, b in zip(found, told, strict=True))
    without = LSTMForecaster(4, use_static_covariates=False, **SMALL).fit(told)
    sizes = [each.forecaster_.history_["loss"][-1] for each in (model, without)]
    assert sizes[0] != sizes[1]
    with pytest.raises(ValueError, match="series: expected static covariates of each series, or of none"):
        LSTMForecaster(4, **SMALL).fit([told[0], series(50, 2)])


def test_a_series_that_goes_on_needs_no_new_training():
    y, past = series(), series(seed=3)
    model = LSTMForecaster(4, **SMALL).fit(y[5:50], past_covariates=past)
    found = model.predict(4, series=y, past_covariates=past)  # what is before the beginning of fit's is left out
    X, options = frame(past).set_axis(["a"], axis=1), {"past_covariates": ("a",), **SMALL}
    ours = forecasting.LSTMForecaster(**options).fit(frame(y)[5:50], X[5:50], fh=4)
    before = ours.predict()
    np.testing.assert_allclose(found.values(), ours.update(frame(y)[50:], X[50:]).predict())
    np.testing.assert_allclose(model.predict(4).values(), before)  # the model stays where it was


def test_a_second_fit_forgets_the_first():
    y, model = series(), LSTMForecaster(4, **SMALL)
    model.fit(y, past_covariates=y, future_covariates=series(70, seed=1)).fit([y, y + 1])
    expected = LSTMForecaster(4, **SMALL).fit([y, y + 1]).predict(4, series=[y, y + 1])
    np.testing.assert_array_equal(flat(model.predict(4, series=[y, y + 1])), flat(expected))
    with pytest.raises(ValueError, match="series: expected the series to forecast, as fit got several, got None"):
        model.predict(4)


def test_series_that_are_none_of_fit():
    told = several()
    model = LSTMForecaster(4, **SMALL).fit(told)
    message = r"series: expected series of fit, each once and with all values that fit has learned from, got one from"
    for other in (told[0] + 1, told[0][:-1], told[0]["0"], told[0][1:]):
        with pytest.raises(ValueError, match=message):
            model.predict(2, series=other)
    with pytest.raises(ValueError, match=message):
        model.predict(2, series=[told[0], told[0]])


@pytest.mark.parametrize("retrain", [True, 2, False])
@pytest.mark.parametrize("covariates", [False, True])
def test_historical_forecasts(retrain, covariates):
    y, beside = series(), {}
    if covariates:
        beside = {"past_covariates": series(60, seed=7), "future_covariates": series(64, seed=8)}
    told = {"start": 48, "start_format": "position", "forecast_horizon": 4, "stride": 4, "last_points_only": False}
    model = LSTMForecaster(4, **SMALL).fit(
        y[:48], past_covariates=beside.get("past_covariates"), future_covariates=beside.get("future_covariates")
    )
    found = model.historical_forecasts(y, retrain=retrain, **told, **beside)
    assert [each.start_time().strftime("%Y-%m") for each in found] == ["2019-01", "2019-05", "2019-09"]
    if not covariates:
        for begin, each in zip((48, 52, 56), found, strict=True):
            learned = begin if retrain is True or (retrain == 2 and begin == 56) else 48
            ours = forecasting.LSTMForecaster(**SMALL).fit(frame(y)[:learned], fh=4)
            ours = ours.update(frame(y)[learned:begin]) if begin > learned else ours
            np.testing.assert_allclose(each.values(), ours.predict())


def test_historical_forecasts_of_several_series_and_from_a_window():
    told = several()
    model = LSTMForecaster(4, **SMALL).fit([each[:-8] for each in told])
    options = {"start": -8, "start_format": "position", "forecast_horizon": 4, "stride": 4, "last_points_only": False}
    for found in (
        model.historical_forecasts(told, retrain=False, **options),
        model.historical_forecasts(told, retrain=True, train_length=30, **options),
    ):
        assert [[len(each) for each in forecasts] for forecasts in found] == [[4, 4]] * 3
        assert (
            np.mean(
                [
                    np.abs(f.values() / y.slice_intersect(f).values() - 1).mean()
                    for y, fs in zip(told, found, strict=True)
                    for f in fs
                ]
            )
            < 0.1
        )


def test_what_it_does_not_take():
    y, model = series(), LSTMForecaster(4, **SMALL)
    for given, error, message in (
        (np.arange(9.0), TypeError, r"series: expected a TimeSeries or a list of them, got float64"),
        ([], ValueError, "series: expected at least 1 TimeSeries, got 0"),
        (
            [y, series(50, 2)],
            ValueError,
            r"series: expected the same frequency and width, got 1 components by MS and 2",
        ),
        (
            LSTMForecaster(4, **SMALL).fit(y).predict(4, num_samples=3),
            ValueError,
            "one value for each step, got 3 samples",
        ),
    ):
        with pytest.raises(error, match=message):
            model.fit(given)
    with pytest.raises(ValueError, match="past_covariates: expected 2 TimeSeries, got 1"):
        model.fit([y, y + 1], past_covariates=[y])
    with pytest.raises(
        ValueError, match=r"past_covariates: expected values from 2015-01-01 .* by MS, got some from .* to 2019-02"
    ):
        model.fit(y, past_covariates=y[:50])
    with pytest.raises(ValueError, match="The model must be fit before"):
        LSTMForecaster(4, **SMALL).predict(2)
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        LSTMForecaster(4, **SMALL).fit(y).predict(0)
    with pytest.raises(ValueError, match="epochs: expected at least 1, got 0"):
        LSTMForecaster(epochs=0)
    with pytest.raises(ValueError, match="output_chunk_length: expected at least 1, got 0"):
        LSTMForecaster(0)
    with pytest.raises(TypeError, match="freq: expected none, which follows from what fit gets"):
        LSTMForecaster(freq="MS")
    with pytest.raises(TypeError, match="units"):
        LSTMForecaster(units=3)


def test_parameters_are_those_of_our_forecaster():
    shown = inspect.signature(LSTMForecaster.__init__).parameters
    own = {"self", "output_chunk_length", "use_static_covariates"}
    assert {*shown} - own == {*forecasting.LSTMForecaster().get_params()} - {"past_covariates", "freq"}
    assert str(LSTMForecaster(4, epochs=3)) == "LSTMForecaster(output_chunk_length=4, epochs=3)"
    model = LSTMForecaster(4, epochs=3, season=6).untrained_model()
    assert model.model_params["season"] == 6 and model.output_chunk_length == 4


class TestTools:
    def test_backtests_and_searches(self):
        options = {"start": 0.8, "forecast_horizon": 4, "stride": 4}
        error = LSTMForecaster(4, **SMALL).backtest(series(), data_transformers={"series": Scaler()}, **options)
        assert 0 < error < 10
        grid = {"output_chunk_length": [4], "hidden_size": [2, 4], "epochs": [1], "window": [6]}
        _, best, _ = LSTMForecaster.gridsearch(grid, series(), **options)
        assert best["hidden_size"] in (2, 4)

    def test_ensembles_and_conformal_intervals(self):
        y = series()
        both = NaiveEnsembleModel([LSTMForecaster(4, **SMALL), LinearRegressionModel(12)], show_warnings=False)
        parts = [LSTMForecaster(4, **SMALL).fit(y), LinearRegressionModel(12).fit(y)]
        expected = np.mean([part.predict(3).values() for part in parts], axis=0)
        np.testing.assert_allclose(both.fit(y).predict(3).values(), expected)
        model = ConformalNaiveModel(LSTMForecaster(4, **SMALL).fit(y[:40]), quantiles=[0.1, 0.5, 0.9], cal_length=10)
        low, middle, high = model.predict(3, series=y, predict_likelihood_parameters=True).values().T
        assert (low < middle).all() and (middle < high).all()

    def test_files(self, tmp_path):
        model = LSTMForecaster(4, **SMALL).fit(series())
        for name, clean in (("whole", False), ("clean", True)):
            model.save(tmp_path / name, clean=clean)
            known = inspect.signature(LSTMForecaster.load).parameters  # earlier darts trusted every file
            loaded = LSTMForecaster.load(tmp_path / name, **{"trusted": True} if "trusted" in known else {})
            np.testing.assert_array_equal(loaded.predict(4, series=series()).values(), model.predict(4).values())
        model.forecaster_.save(tmp_path / "ours")
        ours = forecasting.LSTMForecaster.load(tmp_path / "ours").predict()
        np.testing.assert_allclose(ours["y"], model.predict(4).values()[:, 0], rtol=1e-6)
