"""Evaluation from rolling origins, patches, and what `update` does, of the forecaster of series."""

import signal

import numpy as np
import pytest

from fastlstm.callbacks import Callback
from fastlstm.forecasting import LSTMForecaster
from fastlstm.forecasting.naive import last_season, naive_error

QUICK = {"epochs": 2, "hidden_size": 4, "distribution": "normal"}


def seasonal(count=150, seed=0):
    t = np.arange(count)
    return 50 + 10 * np.sin(2 * np.pi * t / 12) + 0.1 * t + np.random.default_rng(seed).normal(size=count)


def test_naive_forecasts_look_back_alone():
    values = seasonal(40)
    values[[20, 33]] = np.nan
    origins = np.array([1, 5, 13, 21, 34, 40])
    found = last_season(values, 12, origins, 15)
    for row, origin in zip(found, origins, strict=True):
        known = values[:origin]
        for step, value in enumerate(row):
            same = [x for x in known[::-1][11 - step % 12 :: 12] if not np.isnan(x)]
            assert value == (same[0] if same else known[~np.isnan(known)][-1])
    assert (last_season(values, 1, origins, 3) == last_season(values, 1, origins, 1)).all()
    assert naive_error(np.array([1.0, 2, 4, np.nan]), 1) == 1.5 and naive_error(np.full(5, 3.0), 2) == 1e-12
    assert np.isnan(naive_error(np.array([1.0]), 1))


@pytest.mark.parametrize("options", [{}, {"scaling": "log"}, {"patch": 4, "window": 12}, {"strategy": "recursive"}])
@pytest.mark.parametrize("step", [None, 2])
def test_each_origin_forecasts_what_update_and_predict_would(options, step):
    values = seasonal()
    forecaster = LSTMForecaster(12, **QUICK | options).fit(values[:130], fh=5)
    test = forecaster.evaluate(values[130:], step=step, coverage=0.8)
    step = step or 5
    assert test.origins[:, 0].tolist() == list(range(130, 150, step)) and test.step == step
    for at, origin in enumerate(test.origins[:, 0]):
        forecaster.update(values[130 + step * (at - 1) : origin]) if at else None
        np.testing.assert_allclose(test.forecast[at, 0], forecaster.predict(), rtol=1e-6)
        ends = forecaster.predict_interval(coverage=0.8)
        np.testing.assert_allclose(test.lower[at, 0], ends[:, 0], rtol=1e-6)
        np.testing.assert_allclose(test.upper[at, 0], ends[:, 1], rtol=1e-6)
        left = min(5, 150 - origin)
        np.testing.assert_allclose(test.truth[at, 0, :left], values[origin : origin + left], rtol=1e-12)
        assert np.isnan(test.truth[at, 0, left:]).all()
    if step == 5:
        np.testing.assert_allclose(test.in_a_row(test.truth), values[130:], rtol=1e-12)
    assert 0 < test.coverage <= 1 and test.skill().value < 1


@pytest.mark.parametrize(
    ("options", "fh", "known"),
    [
        ({}, 3, True),
        ({"distribution": "point"}, 2, True),
        ({"patch": 4, "window": 12}, 3, False),
        ({"strategy": "recursive"}, 8, True),
    ],
)
def test_evaluation_of_other_horizons_is_of_what_predict_says(options, fh, known):
    values, columns = seasonal(), np.arange(150.0)[:, None] % 3
    past, new, X = (columns[part] if known else None for part in (slice(130), slice(130, None), slice(130, 130 + fh)))
    forecaster = LSTMForecaster(12, **QUICK | options).fit(values[:130], past, fh=5)
    test = forecaster.evaluate(values[130:], new, fh=fh, coverage=0.8)
    np.testing.assert_allclose(test.forecast[0, 0], forecaster.predict(fh, X), rtol=1e-6)
    ends = forecaster.predict_interval(fh, X, coverage=0.8)
    np.testing.assert_allclose(np.stack([test.lower[0, 0], test.upper[0, 0]], axis=1), ends, rtol=1e-6)


def panel(counts, seed=0):
    pd = pytest.importorskip("pandas")
    parts = [
        pd.DataFrame(
            {"unique_id": f"s{k}", "ds": pd.date_range("2015-01", periods=n, freq="MS"), "y": seasonal(n, seed + k)}
        )
        for k, n in enumerate(counts)
    ]
    return pd.concat(parts, ignore_index=True)


def test_series_may_have_different_numbers_of_new_values():
    whole = panel((100, 90, 60))
    known = whole[whole.groupby("unique_id").cumcount() < whole["unique_id"].map({"s0": 88, "s1": 86, "s2": 60})]
    forecaster = LSTMForecaster(12, **QUICK).fit(known, fh=6)
    test = forecaster.evaluate(whole)
    assert test.origins.tolist() == [[88, 86, 60], [94, 90, 60]]
    assert test.measured.sum((0, 2)).tolist() == [12, 4, 0]
    frame = test.to_frame()
    assert len(frame) == 16 and frame["y"].notna().all()
    one = test.of("s1")
    assert one.truth.shape == (2, 1, 6) and one.panel.ids == ["s1"] and len(one.to_frame()) == 4
    np.testing.assert_array_equal(one.in_a_row(one.truth), whole["y"][whole["unique_id"] == "s1"].to_numpy()[86:])
    scores = [test.of(name).mae for name in ("s0", "s1")]
    scales = [naive_error(known["y"][known["unique_id"] == name].to_numpy(), 12) for name in ("s0", "s1")]
    np.testing.assert_allclose(test.mase, np.mean(np.divide(scores, scales)))
    with pytest.raises(ValueError, match="series: expected one of 's0', 's1', 's2', got 'north'"):
        test.of("north")
    with pytest.raises(ValueError, match="y: expected values after the 88 that are known, got none"):
        forecaster.evaluate(known)


def test_nothing_is_said_where_nothing_was_measured():
    whole = panel((60,))
    forecaster = LSTMForecaster(12, epochs=1, hidden_size=4).fit(whole[:50], fh=5)
    whole.loc[50:, "y"] = np.nan
    test = forecaster.evaluate(whole)
    figures = [test.mae, test.mase, test.naive_mase, test.coverage, test.skill().value]
    assert np.isnan(figures).all() and not test.beats_naive and len(test.to_frame()) == 10


def test_known_columns_are_those_of_each_origin():
    rng = np.random.default_rng(0)
    promotion = rng.integers(0, 2, 160).astype(float)
    values = seasonal(160) + 8 * promotion
    forecaster = LSTMForecaster(12, epochs=2, hidden_size=4).fit(values[:140], promotion[:140, None], fh=5)
    test = forecaster.evaluate(values[140:], promotion[140:, None])
    for at, origin in enumerate((140, 145, 150, 155)):
        if at:
            forecaster.update(values[origin - 5 : origin], promotion[origin - 5 : origin, None])
        X = promotion[origin : origin + 5, None]
        np.testing.assert_allclose(test.forecast[at, 0], forecaster.predict(X=X), rtol=1e-6)


@pytest.mark.parametrize("distribution", ["point", "quantile", "negative_binomial"])
@pytest.mark.parametrize(("fh", "patch"), [(5, 4), (1, 3), (12, 12)])
def test_a_step_of_the_network_reads_and_gives_a_patch(distribution, fh, patch, tmp_path):
    values = np.round(seasonal())
    options = {"epochs": 2, "hidden_size": 4, "distribution": distribution, "patch": patch}
    forecaster = LSTMForecaster(12, **options).fit(values[:-12], fh=fh)
    assert forecaster.predict().shape == (fh,) and np.isfinite(forecaster.predict_interval()).all()
    forecaster.save(tmp_path / "a")
    again = LSTMForecaster.load(tmp_path / "a")
    assert again.patch == patch and (again.predict() == forecaster.predict()).all()


def test_a_patch_of_one_step_is_none():
    values = seasonal()
    found = [LSTMForecaster(12, window=24, **QUICK | more).fit(values, fh=6).predict() for more in ({}, {"patch": 1})]
    np.testing.assert_array_equal(*found)


def test_the_classical_half_can_be_fitted_again():
    values = seasonal(200)
    values[120:] += 4 * np.arange(80)
    options = {"epochs": 1, "hidden_size": 4}
    old, new = (LSTMForecaster(12, **options).fit(values[:110], fh=12) for _ in range(2))
    old.update(values[110:190])
    new.update(values[110:190], refit=True)
    truth = values[190:]
    assert np.abs(new.predict(10) - truth).mean() < np.abs(old.predict(10) - truth).mean()
    assert new.season_ == old.season_ == 12


def test_an_interrupted_training_goes_on_from_its_folder(tmp_path):
    class Stop(Callback):
        def on_epoch_end(self, progress):
            if progress.epoch == 2:
                signal.raise_signal(signal.SIGINT)

    values = seasonal(200)

    def forecaster():
        return LSTMForecaster(12, epochs=4, hidden_size=4, distribution="normal", patience=9)

    whole = forecaster().fit(values, fh=6, progress=False)
    parted = forecaster().fit(values, fh=6, progress=False, resume=tmp_path, callbacks=[Stop()])
    assert parted.interrupted and parted.history_.epochs == 2 and not whole.interrupted
    parted.fit(values, fh=6, progress=False, resume=tmp_path)
    assert not parted.interrupted and parted.history_["loss"] == whole.history_["loss"]
    np.testing.assert_array_equal(parted.predict(), whole.predict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 5, "window": 12}, "window: expected a multiple of patch=5, got 12"),
        (
            {"patch": 2, "strategy": "recursive"},
            "patch: expected 1 with strategy='recursive', which",
        ),
        ({"patch": 0}, "patch: expected at least 1, got 0"),
        ({"patch": 10**6}, "patch: expected at most 1000, got 1000000"),
    ],
)
def test_patches_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        LSTMForecaster(**options)


def test_a_backtest_says_how_much_it_is_and_draws_one_series_alone():
    values = np.stack([seasonal(60), 1000 * seasonal(60, 1)], axis=1)
    test = LSTMForecaster(12, **QUICK).backtest(values, fh=4, origins=2, step=6)
    assert repr(test).startswith("Backtest(2 series from 2 origins, 4 steps each: MASE ")
    for wrong, got in ((test, "2 series and 6"), (test.of(0), "1 series and 6")):
        with pytest.raises(ValueError, match=f"backtest: expected one series.* at most 4 steps apart, got {got} steps"):
            wrong.in_a_row(wrong.truth)
    errors = [(part - test.truth) / test.scale[:, None] for part in (test.forecast, test.naive["last value"])]
    np.testing.assert_allclose(test.skill().value, 1 - np.square(errors[0]).mean() / np.square(errors[1]).mean())


def test_a_naive_forecast_that_is_not_there_is_named():
    test = LSTMForecaster(1, epochs=1).backtest(np.arange(60.0) % 7, fh=4, origins=2)
    with pytest.raises(ValueError, match="over: expected one of 'last value', got 'last season'"):
        test.skill("last season")
