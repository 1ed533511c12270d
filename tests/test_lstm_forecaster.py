"""LSTMForecaster: what it learns, its intervals, its containers and its files."""

import numpy as np
import pytest

from fastlstm.forecasting import LSTMForecaster
from fastlstm.forecasting.band import LEVELS, Band, wider_of
from fastlstm.forecasting.classical import Classical, groups_of
from fastlstm.forecasting.distributions import DISTRIBUTIONS
from fastlstm.forecasting.plan import plan_of
from fastlstm.forecasting.reading import AHEAD, EXPECTED, MEASURED, VALUE, flat_of, sequences

QUICK = {"epochs": 3, "hidden_size": 8}
RESIDUAL = ["point", "quantile", "normal", "student_t"]
COUNTS = ["negative_binomial", "zero_inflated", "tweedie"]


def seasonal(count=132, seed=0, noise=1.0):
    t = np.arange(count)
    rng = np.random.default_rng(seed)
    return 50 + 10 * np.sin(2 * np.pi * t / 12) + 0.1 * t + noise * rng.normal(size=count)


def frame(series=(70, 45, 60), freq="MS"):
    pd = pytest.importorskip("pandas")
    parts = [
        pd.DataFrame(
            {"unique_id": f"s{k}", "ds": pd.date_range("2015-01-01", periods=n, freq=freq), "y": seasonal(n, k)}
        )
        for k, n in enumerate(series)
    ]
    return pd.concat(parts, ignore_index=True)


def read(values, window, horizon, origin, centre=np.nan, width=np.nan, beside=0):
    """What the network reads at one origin of one series whose classical forecast is the value before."""
    following = np.concatenate([[np.nan], values])
    flat = flat_of([values], [following], [np.zeros((len(values) + horizon, beside))], window, horizon)
    ahead = np.full((1, horizon), values[:origin][~np.isnan(values[:origin])][-1])
    one = [np.array([x], float) for x in (1.0, centre, width)]
    return sequences(flat, np.array([0]), np.array([origin]), ahead, one[0], window, 1, one[1], one[2])


def test_what_the_network_reads():
    values = np.array([1.0, 2.0, 4.0, 7.0, 11.0, 16.0])
    known = read(values, 3, 2, 4)
    window = values[1:4]
    np.testing.assert_allclose(known.x[0, :3, VALUE], (window - window.mean()) / window.std(), rtol=1e-6)
    np.testing.assert_allclose(known.x[0, 3:, EXPECTED], (7 - window.mean()) / window.std(), rtol=1e-6)
    assert known.x[0, :, MEASURED].tolist() == [1, 1, 1, 0, 0] and known.x[0, :, AHEAD].tolist() == [0, 0, 0, 0.5, 1]
    scale = np.sqrt((8 * 1 + 1 + 4 + 9) / (8 + 3))
    np.testing.assert_allclose(known.scale, scale)
    np.testing.assert_allclose(known.target[0], [(11 - 7) / scale, (16 - 7) / scale])
    np.testing.assert_allclose(known.unit, scale / window.std())


def test_nothing_behind_the_origin_is_read():
    values = seasonal(40)
    later = values.copy()
    later[20:] += 100
    one, other = (read(each, 8, 4, 20) for each in (values, later))
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.scale, other.scale)


def test_a_missing_value_is_its_classical_forecast():
    values = np.array([1.0, 2.0, np.nan, 7.0, 11.0, np.nan])
    known = read(values, 4, 2, 4, centre=0.0, width=100.0)
    assert known.x[0, :, MEASURED].tolist() == [1, 1, 0, 1, 0, 0]
    np.testing.assert_allclose(known.x[0, 2, VALUE], 2 / 100)
    assert np.isnan(known.target[0, 1]) and not np.isnan(known.target[0, 0])


def test_series_that_are_shorter_than_the_window_begin_with_nothing():
    known = read(np.arange(4.0), 6, 1, 3)
    assert (known.x[0, :3] == 0).all() and known.x[0, 3:6, MEASURED].all()


def test_the_plan_holds_out_what_nothing_is_learned_from():
    lengths = np.array([120, 60, 9])
    plan = plan_of(lengths, 6, 12, None, 1, 0.2, 10_000, 0)
    for row in range(3):
        learned, held_out = (at[rows == row] for rows, at in (plan.train, plan.held_out))
        if len(learned):
            assert learned.max() + 6 <= plan.ends[row]
        if len(held_out):
            assert held_out.min() == plan.ends[row] and held_out.max() + 6 == lengths[row]
    assert len(plan_of(lengths, 6, 12, None, 1, 0.2, 10, 0).train[0]) == 10
    drawn = [plan_of(lengths, 6, 12, None, 1, 0.2, 10, seed).train[1].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_groups_hold_series_of_similar_lengths():
    groups = groups_of(np.array([100, 9, 90, 10, 62]))
    assert [group.tolist() for group in groups] == [[1, 3], [4, 2], [0]]


def test_classical_forecasts_are_the_same_for_one_series_or_many():
    series = [seasonal(70, 1), seasonal(40, 2), seasonal(66, 3)]
    both = Classical.fit(series, 12).roll(series, 3, np.array([0, 1, 2, 1]), np.array([70, 40, 30, 20]))
    alone = Classical.fit(series[1:2], 12).roll(series[1:2], 3, np.array([0, 0]), np.array([40, 20]))
    np.testing.assert_allclose(both.ahead[[1, 3]], alone.ahead, rtol=1e-9)
    np.testing.assert_allclose(both.next[1], alone.next[0], rtol=1e-9)


def test_the_band_has_the_quantiles_of_errors():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4000, 3)) * [1.0, 2.0, 3.0]
    band = Band.of(errors, errors, 1000.0, 1000.0)
    np.testing.assert_allclose(band.quantiles(np.array([0.05, 0.95])), np.outer([1, 2, 3], [-1.645, 1.645]), rtol=0.08)
    wide = Band.of(errors, 2 * errors, 1000.0, 1000.0)
    np.testing.assert_allclose(wide.wider / band.wider, 2, rtol=0.05)
    assert wider_of(np.empty((0, 3)), 1.0, 0.0, 1.5) == 1.5
    longer = band.longer(6)
    assert len(longer.growth) == 6 and (np.diff(longer.growth) > 0).all() and longer.ranks.shape[1] == 6
    assert len(band.shape) == len(LEVELS)
    again = Band.from_dict(band.as_dict())
    np.testing.assert_array_equal(again.quantiles(LEVELS), band.quantiles(LEVELS))


@pytest.mark.parametrize("distribution", COUNTS)
def test_losses_of_counts_have_the_gradients_of_their_values(distribution):
    rng = np.random.default_rng(1)
    head = DISTRIBUTIONS[distribution]()
    out = rng.normal(size=(3, 4, head.outputs))
    target = np.stack([rng.poisson(2.0, (3, 4)).astype(float), rng.uniform(0.5, 3, (3, 4))], axis=-1)
    weight = rng.uniform(0, 1, (3, 4)) * (rng.random((3, 4)) > 0.3)
    target[weight == 0] = 0  # nothing is known there, and nothing must come of it
    _, gradient = head.value_and_gradient(out, target, weight)
    numbers = np.zeros_like(out)
    for at in np.ndindex(out.shape):
        step = np.zeros_like(out)
        step[at] = 1e-6
        high, low = (head.value_and_gradient(out + sign * step, target, weight)[0] for sign in (1, -1))
        numbers[at] = (high - low) / 2e-6
    np.testing.assert_allclose(gradient, numbers, atol=1e-8)


def test_quantiles_of_counts_are_those_of_their_distributions():
    stats = pytest.importorskip("scipy.stats")
    out = np.zeros((1, 1, 3))
    shape = np.log(2) + 1e-4
    levels = np.array([0.2, 0.5, 0.9])
    own = DISTRIBUTIONS["negative_binomial"]().spread(out[..., :2], np.array([[4.0]]), levels)[0, 0]
    np.testing.assert_array_equal(own, stats.nbinom.ppf(levels, 1 / shape, 1 / (1 + 4 * shape)))
    zero = DISTRIBUTIONS["zero_inflated"]().spread(out, np.array([[4.0]]), np.array([0.2, 0.5, 0.75]))[0, 0]
    np.testing.assert_array_equal(zero, [0, 0, stats.nbinom.ppf(0.5, 1 / shape, 1 / (1 + 4 * shape))])
    amounts = DISTRIBUTIONS["tweedie"]().spread(out[..., :2], np.array([[4.0]]), np.linspace(0.001, 0.999, 999))
    assert abs(amounts.mean() - 4.0) < 0.4


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
@pytest.mark.parametrize("distribution", RESIDUAL)
def test_it_forecasts_a_season(distribution, strategy):
    values = seasonal()
    options = QUICK | {"epochs": 15}
    forecaster = LSTMForecaster(12, distribution=distribution, strategy=strategy, **options).fit(values[:-12], fh=12)
    assert np.abs(forecaster.predict() - values[-12:]).mean() < 2
    low, high = forecaster.predict_interval().T
    assert (low < high).all() and ((low <= values[-12:]) & (values[-12:] <= high)).mean() > 0.6
    quantiles = forecaster.predict_quantiles((0.05, 0.3, 0.5, 0.95))
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose(quantiles[:, [0, 3]], np.stack([low, high], axis=1))
    paths = forecaster.sample_paths(40)
    assert paths.shape == (40, 12)
    np.testing.assert_array_equal(paths, forecaster.sample_paths(40))
    assert (paths != forecaster.sample_paths(40, random_state=1)).any()


@pytest.mark.parametrize("distribution", COUNTS)
def test_counts_are_never_negative(distribution):
    counts = np.random.default_rng(0).poisson(0.7, 120)
    forecaster = LSTMForecaster(1, distribution=distribution, **QUICK).fit(counts, fh=4)
    assert (forecaster.predict() >= 0).all() and (forecaster.predict_interval() >= 0).all()
    assert (forecaster.sample_paths(30) >= 0).all()
    if distribution != "tweedie":
        assert (forecaster.sample_paths(30) % 1 == 0).all()
    with pytest.raises(ValueError, match="y: expected no negative numbers for distribution="):
        LSTMForecaster(distribution=distribution).fit(counts - 1.0, fh=4)


@pytest.mark.parametrize("scaling", ["instance", "standard", "robust", "log"])
def test_scalings_are_undone(scaling):
    values = seasonal()
    forecaster = LSTMForecaster(12, scaling=scaling, **QUICK).fit(values[:-12], fh=12)
    assert np.abs(forecaster.predict() - values[-12:]).mean() < 2


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_forecasts_move_and_grow_with_the_series(strategy):
    values = seasonal()
    one, other = (
        LSTMForecaster(12, strategy=strategy, **QUICK).fit(each, fh=6).predict_interval()
        for each in (values, 1000 * values)
    )
    np.testing.assert_allclose(other, 1000 * one, rtol=1e-2)


def test_the_same_number_gives_the_same_bits():
    values = seasonal()
    one, same, other = (LSTMForecaster(12, random_state=s, **QUICK).fit(values, fh=6).predict() for s in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_only_a_recursive_forecaster_goes_further():
    values = seasonal()
    direct, recursive = (LSTMForecaster(12, strategy=s, **QUICK).fit(values, fh=4) for s in ("direct", "recursive"))
    np.testing.assert_array_equal(direct.predict(2), direct.predict()[:2])
    assert recursive.predict(9).shape == (9,) and recursive.predict_interval(9).shape == (9, 2)
    np.testing.assert_allclose(recursive.predict(9)[:4], recursive.predict(), rtol=1e-6)
    with pytest.raises(
        ValueError, match="fh: expected at most 4, as fit was told, got 5; fit again with fh=5, or with"
    ):
        direct.predict(5)


def test_columns_that_are_known_help():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = 5 * X[:, 0] + 0.1 * rng.normal(size=600)
    known = LSTMForecaster(1, **QUICK).fit(y[:-24], X[:-24], fh=24)
    assert np.abs(known.predict(X=X[-24:]) - y[-24:]).mean() < 0.15
    unknown = LSTMForecaster(1, past_covariates=[0, 1], **QUICK).fit(y[:-24], X[:-24], fh=24)
    assert unknown.predict().shape == (24,)
    with pytest.raises(ValueError, match=r"X: expected the columns \[0, 1\] of the next 24 steps"):
        known.predict()


def test_missing_values_are_not_judged():
    rng = np.random.default_rng(0)
    values = 10 * rng.normal(size=400)
    values[rng.random(400) < 0.8] = np.nan
    back = LSTMForecaster(1, **QUICK).backtest(values, fh=10, origins=4)
    measured = ~np.isnan(back.truth)
    assert 0.1 < measured.mean() < 0.3
    assert 5 < back.mae < 12  # the floor of white noise is 0.8 deviations
    assert 0.7 < back.coverage <= 1


def test_a_panel_of_unequal_series(tmp_path):
    table = frame()
    forecaster = LSTMForecaster(**QUICK).fit(table, fh=5)
    found = forecaster.predict()
    assert found.columns.tolist() == ["unique_id", "ds", "y"] and len(found) == 15
    ends = table.groupby("unique_id").ds.max()
    assert (found.groupby("unique_id").ds.min() > ends).all()
    interval = forecaster.predict_interval()
    assert interval.columns.tolist() == ["unique_id", "ds", "lower", "upper"]
    assert ((interval.lower < found.y) & (found.y < interval.upper)).all()
    assert forecaster.predict_quantiles([0.25, 0.75]).columns.tolist() == ["unique_id", "ds", 0.25, 0.75]
    assert forecaster.sample_paths(7).shape == (3, 7, 5)
    forecaster.save(tmp_path / "f.safetensors")
    again = LSTMForecaster.load(tmp_path / "f.safetensors")
    assert again.predict().equals(found) and again.predict_interval().equals(interval)
    assert again.get_params() == forecaster.get_params()


def test_cold_series_are_forecast_beside_long_ones():
    found = LSTMForecaster(**QUICK).fit(frame((70, 3, 1, 60)), fh=4).predict_interval()
    assert len(found) == 16 and not found.isna().to_numpy().any()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 25])
def test_short_series(count):
    forecaster = LSTMForecaster(12, **QUICK).fit(np.arange(count) + 1.0, fh=3)
    assert np.isfinite(forecaster.predict_interval()).all() and forecaster.share_ >= 0


def test_a_constant_series_stays():
    found = LSTMForecaster(**QUICK).fit(np.full(60, 7.0), fh=3)
    np.testing.assert_allclose(found.predict(), 7, atol=1e-3)
    np.testing.assert_allclose(found.predict_interval(), 7, atol=1e-2)


def test_static_columns_and_dates(tmp_path):
    pd = pytest.importorskip("pandas")
    static = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "kind": ["a", "b", "a"], "size": [1.0, 2.0, 3.0]})
    forecaster = LSTMForecaster(**QUICK).fit(frame(), fh=3, static=static)
    forecaster.save(tmp_path / "f.safetensors")
    assert LSTMForecaster.load(tmp_path / "f.safetensors").predict().equals(forecaster.predict())
    index = pd.date_range("2024-01-01", periods=400, freq="h", tz="America/New_York")
    series = pd.Series(seasonal(400), index, name="load")
    forecaster = LSTMForecaster(**QUICK).fit(series, fh=24)
    forecaster.save(tmp_path / "g.safetensors")
    found = LSTMForecaster.load(tmp_path / "g.safetensors").predict()
    assert found.equals(forecaster.predict()) and found.index[0] == index[-1] + pd.Timedelta(hours=1)
    assert found.name == "load" and str(found.index.tz) == "America/New_York"


def test_new_values_need_no_training():
    pd = pytest.importorskip("pandas")
    series = pd.Series(seasonal(), pd.period_range("2010-01", periods=132, freq="M"))
    forecaster = LSTMForecaster(**QUICK).fit(series[:100], fh=6)
    before = forecaster.predict()
    forecaster.update(series[100:126])
    after = forecaster.predict()
    assert after.index[0] == series.index[126] and before.index[0] == series.index[100]
    assert np.abs(after - series[126:]).mean() < 2.5


def test_backtests_forecast_from_the_past():
    values = seasonal(150)
    forecaster = LSTMForecaster(12, **QUICK)
    back = forecaster.backtest(values, fh=6, origins=3)
    assert back.truth.shape == (3, 1, 6) and back.origins.tolist() == [[132], [138], [144]]
    np.testing.assert_array_equal(back.truth.reshape(-1), values[-18:])
    np.testing.assert_array_equal(back.naive["last season"][0, 0], values[120:126])
    np.testing.assert_array_equal(back.naive["last value"][0, 0], np.repeat(values[131], 6))
    assert back.mase < back.naive_mase and 0.6 < back.coverage <= 1 and back.mae < 2
    changed = values.copy()
    changed[-12:] += 50
    np.testing.assert_array_equal(forecaster.backtest(changed, fh=6, origins=3).forecast[0], back.forecast[0])
    with pytest.raises(RuntimeError, match="the forecaster has not learned anything yet: call fit first"):
        forecaster.predict()
    pytest.importorskip("pandas")
    assert len(back.to_frame()) == 18


def test_parameters_are_those_of_scikit_learn():
    forecaster = LSTMForecaster(12, hidden_size=5)
    assert forecaster.get_params()["hidden_size"] == 5 and forecaster.set_params(season=4) is forecaster
    with pytest.raises(ValueError, match="units: expected one of the parameters season, window"):
        forecaster.set_params(units=3)
    with pytest.raises(ValueError, match="season: expected at least 1, got 0"):
        forecaster.set_params(window=9, season=0)
    assert forecaster.season == 4 and forecaster.window is None
    base = pytest.importorskip("sklearn.base")
    assert base.clone(forecaster).get_params() == forecaster.get_params()


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"season": 0}, ValueError, "season: expected at least 1, got 0"),
        ({"window": 1.5}, TypeError, "window: expected a whole number, got 1.5"),
        ({"distribution": "gamma"}, ValueError, "distribution: expected one of point, quantile, normal"),
        ({"scaling": "minmax"}, ValueError, "scaling: expected one of instance, standard, robust, log, got 'minmax'"),
        ({"strategy": "both"}, ValueError, "strategy: expected one of direct, recursive, got 'both'"),
        ({"loss": "rmsle"}, ValueError, "loss: expected one of mae, mse, huber, got 'rmsle'"),
        ({"validation": 1}, ValueError, "validation: expected at least 0 and below 1, got 1"),
        ({"past_covariates": "a"}, TypeError, "past_covariates: expected a list of columns of X, got 'a'"),
        ({"distribution": "tweedie", "scaling": "log"}, ValueError, "distribution: expected strategy='direct' and"),
        ({"random_state": -1}, ValueError, "random_state: expected at least 0, got -1"),
    ],
)
def test_wrong_parameters_are_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        LSTMForecaster(**options)


def test_what_others_call_it_is_told():
    assert repr(LSTMForecaster(12, epochs=5)) == "LSTMForecaster(season=12, epochs=5)"
    for call, message in (
        (lambda: LSTMForecaster(horizon=12), r"LSTMForecaster.__init__\(\) got .* 'horizon'; here: fh of fit"),
        (lambda: LSTMForecaster(season_length=12), "'season_length'; here: season"),
        (lambda: LSTMForecaster().predict(h=3), "'h'; here: fh of fit"),
        (lambda: LSTMForecaster().predict_interval(level=90), "'level'; here: coverage=0.9"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_wrong_calls_are_refused():
    values = seasonal()
    with pytest.raises(ValueError, match="y: expected positive numbers for scaling='log', got -"):
        LSTMForecaster(scaling="log").fit(values - 100, fh=3)
    with pytest.raises(ValueError, match="fh: expected at least 1, got 0"):
        LSTMForecaster().fit(values, fh=0)
    with pytest.raises(ValueError, match="y: expected at least 32 windows to learn distribution='normal' from, got"):
        LSTMForecaster(12, distribution="normal").fit(values[:20], fh=3)
    with pytest.raises(
        ValueError, match="y: expected at least 39 values of each series for 3 origins of 12 steps, got 20"
    ):
        LSTMForecaster(12).backtest(values[:20], fh=12)
    forecaster = LSTMForecaster(12, **QUICK).fit(values, fh=3)
    for call, message in (
        (lambda: forecaster.predict_interval(coverage=1), "coverage: expected at least 0 and below 1, got 1"),
        (lambda: forecaster.predict_quantiles([0.0]), r"levels: expected numbers above 0 and below 1, got \[0.0\]"),
        (lambda: forecaster.sample_paths(0), "count: expected at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_much_that_is_missing_is_warned_of():
    values = seasonal(100)
    values[10:35] = np.nan
    with pytest.warns(UserWarning, match=r"much of y is missing \(25%\): forecasts rest on the few values there are"):
        LSTMForecaster(12, **QUICK).fit(values, fh=3)
