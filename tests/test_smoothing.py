"""Classical forecasts: each recursion against a slow one, and what holds for every series."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fastlstm.forecasting import decomposition
from fastlstm.forecasting.akaike import weights_of
from fastlstm.forecasting.autoregression import Autoregression, interpolated, lags_of
from fastlstm.forecasting.exponential import Exponential, Multiplicative
from fastlstm.forecasting.least_squares import Problem, minimize
from fastlstm.forecasting.smoothing import Smoothing, aligned
from fastlstm.forecasting.theta import Theta

MODELS = np.arange(4)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def some_series(steps=61, season=7, count=5, seed=3):
    """Rows above 0 with trends, seasons and noise."""
    random = np.random.default_rng(seed)
    time = np.arange(steps)
    size = random.uniform(0.5, 3, (count, 1))
    pattern = random.normal(size=(count, season))[:, time % season]
    walk = random.normal(size=(count, steps)).cumsum(1)
    return (20 + 0.1 * time * random.normal(size=(count, 1)) + pattern + 0.3 * walk).clip(5) * size


def with_gaps(values, seed=4, share=0.15):
    """The same, rows of different beginnings, with values missing."""
    random = np.random.default_rng(seed)
    values = np.where(random.random(values.shape) < share, np.nan, values)
    for row, begin in zip(values, random.integers(0, 12, len(values)), strict=True):
        row[:begin] = np.nan
    return values


def slow_exponential(values, fitted, series, model, horizon):
    """Forecasts of one model from all origins by the equations of Hyndman et al. (2008), one number at a time."""
    own = fitted.parameters[series, model]
    trend, seasonal = model in (1, 3), model in (2, 3)
    alpha, star, share = (logistic(number) for number in own[:3])
    beta, gamma = alpha * star, (1 - alpha) * share
    phi = 0.8 + 0.18 * logistic(own[3]) if trend else 1.0
    level = fitted.level[series] + fitted.scale[series] * own[4]
    slope = fitted.slope[series] + fitted.scale[series] * own[5] if trend else 0.0
    multiplicative = fitted.multiplicative
    season = list(fitted.season[series]) if seasonal else [float(multiplicative)] * fitted.season.shape[1]
    result = []
    for t in range(len(values) + 1):
        ahead = []
        damped = 0.0
        for h in range(horizon):
            damped += phi ** (h + 1)
            s = season[t + h % fitted.season.shape[1]]
            base = level + damped * slope
            ahead.append(base * s if multiplicative else base + s)
        result.append(ahead)
        if t == len(values):
            return np.array(result)
        base, s = level + phi * slope, season[t]
        if np.isnan(values[t]):
            level, slope = base, phi * slope
            season.append(s)
        elif multiplicative:
            error = (values[t] - base * s) / (base * s)
            level, slope = base * (1 + alpha * error), phi * slope + (beta * base * error if trend else 0.0)
            season.append(s * (1 + (gamma * error if seasonal else 0.0)))
        else:
            error = values[t] - base - s
            level, slope = base + alpha * error, phi * slope + (beta * error if trend else 0.0)
            season.append(s + (gamma * error if seasonal else 0.0))


@pytest.mark.parametrize("kind", [Exponential, Multiplicative])
@pytest.mark.parametrize("season", [1, 7])
def test_exponential_smoothing_follows_its_equations(kind, season):
    values, _ = aligned(with_gaps(some_series(season=7)))
    fitted, _ = kind.fit(values, season)
    at = np.tile(np.arange(len(values) + 1)[:, None], (1, values.shape[1]))
    forecasts = fitted.forecasts(values, 9, at)
    for series in range(values.shape[1]):
        for model in MODELS:
            slow = slow_exponential(values[:, series], fitted, series, model, 9)
            np.testing.assert_allclose(forecasts[:, series, :, model], slow, rtol=1e-10)


def slow_theta(values, fitted, series, horizon):
    """Forecasts from all origins by equations 8 to 12 of Fiorucci et al. (2016), each line fitted anew."""
    pattern, positive = fitted.season[series], fitted.positive[series]
    alpha, share = (logistic(number) for number in fitted.parameters[series, :2])
    level = (1 - share) * fitted.level[series] + fitted.scale[series] * fitted.parameters[series, 2]
    own = pattern[np.arange(len(values)) % len(pattern)]
    adjusted = values / own if positive else values - own
    result = []
    for t in range(len(values) + 1):
        known = np.flatnonzero(~np.isnan(adjusted[:t]))
        slope, intercept = 0.0, fitted.level[series]
        if len(known) == 1:
            intercept = adjusted[known[0]]
        elif len(known) > 1:
            slope, intercept = np.polyfit(known + 1, adjusted[known], 1)
        left = (1 - alpha) ** t
        line = left * intercept + (1 - left * (1 - alpha)) / alpha * slope
        ahead = level + share * (line + slope * np.arange(horizon))
        season = pattern[(t + np.arange(horizon)) % len(pattern)]
        result.append(ahead * season if positive else ahead + season)
        if t < len(values) and not np.isnan(adjusted[t]):
            level = alpha * adjusted[t] + (1 - alpha) * level
    return np.array(result)


@pytest.mark.parametrize("shift", [0, -40])
@pytest.mark.parametrize("season", [1, 7])
def test_theta_follows_its_equations(shift, season):
    values, _ = aligned(with_gaps(some_series()) + shift)
    fitted = Theta.fit(values, season)
    at = np.tile(np.arange(len(values) + 1)[:, None], (1, values.shape[1]))
    forecasts = fitted.forecasts(values, 9, at)
    for series in range(values.shape[1]):
        np.testing.assert_allclose(forecasts[:, series], slow_theta(values[:, series], fitted, series, 9), rtol=1e-8)
    assert season == 1 or fitted.season.std(1).any()  # a season was found, so the test saw both ways to take it out


def slow_autoregression(values, fitted, series, season, horizon):
    """Forecasts from all origins by the recursion, one number at a time; the past before the first value repeats it."""
    coefficients, reach = fitted.coefficients[series], fitted.reach[series]

    def follow(past):
        total = fitted.constant[series]
        total += sum(
            c * past[max(len(past) - lag, 0)] for c, lag in zip(coefficients, lags_of(season), strict=True) if c
        )
        return total

    past, result = [], []
    for t in range(len(values) + 1):
        if t:
            ahead, last = list(past), past[-1]
            for _ in range(horizon):
                ahead.append(np.clip(follow(ahead), last - reach, last + reach))
            result.append(ahead[t:])
        if t < len(values):
            expected = np.clip(follow(past), past[-1] - reach, past[-1] + reach) if t else None
            past.append(expected if np.isnan(values[t]) else values[t])
    return np.array(result)


@pytest.mark.parametrize("season", [1, 4, 7, 12])
def test_autoregression_follows_its_recursion(season):
    values, _ = aligned(with_gaps(some_series()))
    fitted = Autoregression.fit(values, season)
    at = np.tile(np.arange(1, len(values) + 1)[:, None], (1, values.shape[1]))
    forecasts = fitted.forecasts(values, 9, at, season)
    for series in range(values.shape[1]):
        slow = slow_autoregression(values[:, series], fitted, series, season, 9)
        np.testing.assert_allclose(forecasts[:, series], slow, rtol=1e-10)
    assert fitted.works.all()


def test_autoregression_is_the_ridge_regression_with_the_best_criterion():
    values = some_series(61, count=1)
    fitted = Autoregression.fit(values.T, 7)
    lags = np.arange(1, 9)
    past = np.stack([values[0, 8 - lag : 61 - lag] for lag in lags], 1)
    past, target = (part - part.mean(0) for part in (past, values[0, 8:]))
    unit = np.sqrt(np.square(np.diff(values[0])).mean())
    past, target = past / unit, target / unit
    best, penalised = (np.inf, None), np.where(lags >= 6, 1.0, np.square(lags))  # 6 to 8 are about the season
    for naive in (lags == 0, lags == 1, lags == 7):
        for penalty in (0.1, 1, 10, 100, 1000):
            inverse = np.linalg.inv(past.T @ past + penalty * np.diag(penalised))
            found = naive + inverse @ past.T @ (target - past @ naive)
            free = 2 + np.trace(past @ inverse @ past.T)
            size = np.log(np.square(target - past @ found).mean())
            best = min(best, (53 * size + 2 * (free - 1) * 53 / (53 - free), found.tolist()))
    np.testing.assert_allclose(fitted.coefficients[0, :8], best[1], rtol=1e-8)
    np.testing.assert_array_equal(fitted.coefficients[0, 8:], 0)  # the lags around 7 are among the first eight


def test_values_that_are_missing_lie_on_lines():
    values = some_series(31).T
    values[[0, 4, 5, 6, 20, 29, 30]] = np.nan
    values[9, 1:3] = np.nan
    known = [np.flatnonzero(~np.isnan(column)) for column in values.T]
    expected = [np.interp(np.arange(31), at, column[at]) for at, column in zip(known, values.T, strict=True)]
    np.testing.assert_allclose(interpolated(values), np.array(expected).T)


def test_methods_have_shares_by_the_inverse_square_of_their_errors():
    values = with_gaps(some_series(53))
    fitted = Smoothing.fit(values, 7)
    shares = fitted.parts["combination"].shares
    for row in range(len(values)):
        begin = np.flatnonzero(~np.isnan(values[row]))[0]
        own, count = values[row, begin:], 53 - begin
        sizes = []
        for method in range(3):
            alone = np.zeros(shares.shape)
            alone[:, method] = 1
            combination = replace(fitted.parts["combination"], shares=alone)
            only = Smoothing(7, fitted.parts | {"combination": combination})
            forecasts = all_forecasts(only, values, 7)[row, begin:]
            errors = [own[o + step] - forecasts[o, step] for step in range(7) for o in range(8, count - step)]
            sizes.append(np.nanmean(np.abs(errors)))
        expected = np.array(sizes) ** -2.0
        np.testing.assert_allclose(shares[row], expected / expected.sum(), rtol=1e-6)


def slow_indices(values, season, multiplicative):
    """The classical decomposition of one whole series (Hyndman and Athanasopoulos, 3.4)."""
    window = np.ones(season) / season if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5] / season
    trend = np.convolve(values, window, "valid")
    half = season // 2
    inner = values[half : len(values) - half]
    rest = inner / trend if multiplicative else inner - trend
    means = np.array([rest[(np.arange(len(rest)) + half) % season == phase].mean() for phase in range(season)])
    return means / means.mean() if multiplicative else means - means.mean()


@pytest.mark.parametrize("multiplicative", [False, True])
@pytest.mark.parametrize("season", [2, 7, 12])
def test_indices_are_those_of_the_classical_decomposition(season, multiplicative):
    values = some_series(steps=41).T
    found = decomposition.indices(values, season, multiplicative=multiplicative)
    padded = np.concatenate([values, np.full((9, values.shape[1]), np.nan)])
    np.testing.assert_allclose(decomposition.indices(padded, season, multiplicative=multiplicative), found)
    for series in range(values.shape[1]):
        slow = slow_indices(values[:, series], season, multiplicative)
        np.testing.assert_allclose(found[:, series], slow, rtol=1e-10, atol=1e-12)


def test_a_season_is_found_where_there_is_one():
    random = np.random.default_rng(1)
    noise = random.normal(size=(70, 40))
    wave = 3 * np.sin(2 * np.pi * np.arange(70) / 7)[:, None]
    assert decomposition.is_seasonal(noise + wave, 7).all()
    assert decomposition.is_seasonal(noise, 7).mean() < 0.3
    assert not decomposition.is_seasonal((noise + wave)[:13], 7).any()  # less than two seasons


def test_least_squares_finds_the_minimum_of_each_series():
    optimize = pytest.importorskip("scipy.optimize")
    time, random = np.arange(30.0), np.random.default_rng(0)
    truth = random.uniform(0.2, 1, (6, 2))
    values = truth[:, 0] * np.exp(-truth[:, 1] * time[:, None] / 5) + 0.01 * random.normal(size=(30, 6))

    def errors(parameters, models):
        bent = parameters[..., 0] * np.exp(-parameters[..., 1] * time[:, None, None] / 5)
        level = parameters[..., 0] + 0 * bent
        return values[..., None] - np.where(models == 0, bent, level)

    active = np.array([[True, True], [True, False]])
    count = np.full(6, 30.0)
    problem = Problem(errors, active, np.zeros(2), np.full(2, 1e6), count, np.square(values).sum(0))
    found, squares = minimize(problem, [np.array([0.5, 0.5]), np.array([5.0, 5.0])], 12)
    np.testing.assert_allclose(found[:, 1, 0], values.mean(0), rtol=1e-6)
    for series in range(6):
        best = optimize.least_squares(lambda p, s=series: p[0] * np.exp(-p[1] * time / 5) - values[:, s], [0.5, 0.5])
        np.testing.assert_allclose(found[series, 0], best.x, rtol=1e-4)
        np.testing.assert_allclose(squares[series, 0], 2 * best.cost, rtol=1e-8)


def test_weights_follow_akaike():
    weights = weights_of(np.array([[0.0, 2.0, np.inf], [np.inf] * 3, [-700.0, -700.0, 900.0], [0.0, 12.0, 900.0]]))
    expected = [[1 / (1 + np.exp(-1)), np.exp(-1) / (1 + np.exp(-1)), 0], [1, 0, 0], [0.5, 0.5, 0], [1, 0, 0]]
    np.testing.assert_allclose(weights, expected)


def all_forecasts(fitted, values, horizon=5):
    return fitted.forecasts(values, horizon, np.arange(values.shape[1] + 1))


@pytest.mark.parametrize("shift", [0, -40])
def test_forecasts_depend_on_nothing_after_their_origin(shift):
    values = with_gaps(some_series()) + shift
    fitted = Smoothing.fit(values, 7)
    before = all_forecasts(fitted, values)
    changed = values.copy()
    changed[:, 40:] = np.random.default_rng(0).normal(size=changed[:, 40:].shape) * 50
    np.testing.assert_array_equal(all_forecasts(fitted, changed)[:, :41], before[:, :41])
    longer = np.concatenate([values, changed[:, 40:]], axis=1)
    np.testing.assert_array_equal(all_forecasts(fitted, longer)[:, : before.shape[1]], before)
    few = fitted.forecasts(values, 5, [61, 17])
    np.testing.assert_array_equal(few, before[:, [61, 17]])


@pytest.mark.parametrize("season", [1, 7, 12])
@pytest.mark.parametrize("steps", [25, 61])
def test_a_series_is_forecast_alone_as_among_others(season, steps):
    values = with_gaps(some_series(steps))
    among = Smoothing.fit(values, season)
    for row in range(len(values)):
        alone = values[row : row + 1, np.flatnonzero(~np.isnan(values[row]))[0] :]
        before = values.shape[1] - alone.shape[1]
        fitted = Smoothing.fit(alone, season)
        expected = all_forecasts(fitted, alone)[0, 1:]
        np.testing.assert_allclose(all_forecasts(among, values)[row, before + 1 :], expected, rtol=1e-5)
        part = among.rows(np.array([row]))
        np.testing.assert_allclose(all_forecasts(part, alone)[0, 1:], expected, rtol=1e-5)


def test_a_forecast_is_nan_only_before_the_first_value():
    values = with_gaps(some_series())
    values[2] = np.nan
    forecasts = all_forecasts(Smoothing.fit(values, 7), values)
    begun = ~np.isnan(values).cumprod(1).astype(bool)
    expected = np.concatenate([np.zeros((5, 1), bool), begun], axis=1)
    np.testing.assert_array_equal(np.isfinite(forecasts), np.repeat(expected[..., None], 5, 2))


@pytest.mark.parametrize("season", [1, 7])
def test_forecasts_have_the_unit_of_the_series(season):
    values = with_gaps(some_series())
    base = all_forecasts(Smoothing.fit(values, season), values)
    for factor in (2.0**30, 2.0**-30):
        scaled = all_forecasts(Smoothing.fit(values * factor, season), values * factor)
        np.testing.assert_allclose(scaled, base * factor, rtol=1e-6)


def test_a_shifted_series_has_shifted_additive_forecasts():
    values = with_gaps(some_series())
    columns, _ = aligned(values)
    at = np.full((1, 5), len(columns))
    here, there = (Exponential.fit(columns + shift, 7)[0] for shift in (0, -100))
    base, moved = here.forecasts(columns, 5, at), there.forecasts(columns - 100, 5, at)
    np.testing.assert_allclose(moved + 100, base, rtol=1e-3)


def test_a_trend_and_a_season_without_noise_go_on():
    time = np.arange(84.0)
    season = np.array([3.0, -1, -2, 0])[np.arange(84) % 4]
    values = np.stack([30 + season, 30 + 0.5 * time + season, (30 + 0.5 * time) * (1 + season / 10)])
    fitted = Smoothing.fit(values[:, :-4], 4)
    np.testing.assert_allclose(fitted.forecasts(values, 4, [80])[:, 0], values[:, -4:], rtol=0.01)


def test_a_level_that_shifts_is_followed():
    values = np.r_[np.full(40, 10.0), np.full(20, 25.0)] + 0.1 * np.random.default_rng(0).normal(size=60)
    forecasts = all_forecasts(Smoothing.fit(values[None], 1), values[None])[0]
    assert abs(forecasts[-1] - 25).max() < 1.0
    assert abs(forecasts[30] - 10).max() < 1.0


@pytest.mark.parametrize("size", [0.0, 5.0, -3e-200, 1e200])
def test_a_constant_series_stays_as_it_is(size):
    values = np.full((1, 30), size)
    fitted = Smoothing.fit(values, 7)
    np.testing.assert_allclose(all_forecasts(fitted, values)[:, 1:], size, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("season", [1, 7])
def test_short_series_have_forecasts_of_their_size(steps, season):
    values = some_series(steps)
    forecasts = all_forecasts(Smoothing.fit(values, season), values, 14)[:, 1:]
    assert (forecasts > values.min(1)[:, None, None] / 3).all()
    assert (forecasts < values.max(1)[:, None, None] * 3).all()


def test_a_season_longer_than_the_steps_that_are_fitted_to_is_found():
    time, random = np.arange(1700), np.random.default_rng(0)
    values = 50 + 10 * np.sin(2 * np.pi * time / 500) + random.normal(size=1700)
    forecast = Smoothing.fit(values[None, :1500], 500).forecasts(values[None, :1500], 200, [1500])[0, 0]
    assert np.abs(forecast - values[1500:]).mean() < 0.5 * np.abs(values[1500:] - values.mean()).mean()


def test_fits_to_the_end_of_a_long_series_do_not_depend_on_its_neighbours():
    values = some_series(1100, count=3)
    values[1, :60] = np.nan
    values[2, :300] = np.nan
    among = Smoothing.fit(values, 24)
    for row, begin in enumerate((0, 60, 300)):
        alone = Smoothing.fit(values[row : row + 1, begin:], 24)
        expected = alone.forecasts(values[row : row + 1, begin:], 30, [1100 - begin])
        np.testing.assert_allclose(among.forecasts(values, 30, [1100])[row : row + 1], expected, rtol=1e-5)


def test_what_was_fitted_goes_through_json():
    values = with_gaps(some_series())
    fitted = Smoothing.fit(values, 7)
    again = Smoothing.from_dict(json.loads(json.dumps(fitted.as_dict(), allow_nan=False)))
    np.testing.assert_array_equal(all_forecasts(again, values), all_forecasts(fitted, values))


def damaged(change):
    state = Smoothing.fit(some_series(), 7).as_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("theta"), "smoothing: expected a dict of season, count, combination"),
        (lambda s: s.update(season=0), "smoothing.season: expected"),
        (lambda s: s.update(season=8), "smoothing.additive.season: expected shape (5, 8), got (5, 7)"),
        (lambda s: s.update(count=2), "smoothing.combination.unit: expected shape (2,), got (5,)"),
        (lambda s: s.update(theta=[1]), "smoothing.theta: expected a dict of parameters, level, scale"),
        (lambda s: s["theta"].update(level=["a"] * 5), "smoothing.theta.level: expected real numbers"),
        (lambda s: s["theta"].update(level=[np.nan] * 5), "smoothing.theta.level: expected finite numbers"),
    ],
)
def test_damaged_files_are_named(change, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        Smoothing.from_dict(damaged(change))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Smoothing.fit([1.0, 2.0], 1), "values: expected shape (S, T), got (2,)"),
        (lambda: Smoothing.fit([["a"]], 1), "values: expected real numbers"),
        (lambda: Smoothing.fit([[1.0, np.inf]], 1), "values: expected numbers or NaN, got inf at [0, 1]"),
        (lambda: Smoothing.fit([[1.0, 2.0]], 0), "season: expected"),
        (lambda: Smoothing.fit([[1.0, 2.0]], 1).forecasts([[1.0, 2.0]] * 2, 3, [2]), "values: expected shape (1, T)"),
        (lambda: Smoothing.fit([[1.0, 2.0]], 1).forecasts([[1.0, 2.0]], 0, [2]), "horizon: expected"),
        (lambda: Smoothing.fit([[1.0, 2.0]], 1).forecasts([[1.0, 2.0]], 3, [3]), "origins: expected 0 to 2, got 3"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()


@pytest.mark.parametrize("kind", [Exponential, Multiplicative])
def test_exponential_smoothing_agrees_with_statsmodels(kind):
    holt_winters = pytest.importorskip("statsmodels.tsa.holtwinters")
    values = some_series().T
    fitted, _ = kind.fit(values, 7)
    at = np.tile(np.arange(len(values))[:, None], (1, values.shape[1]))
    forecasts = fitted.forecasts(values, 1, at)[:, :, 0, 3]
    rates = fitted.rates(fitted.parameters[:, 3:], np.array([3]))
    for series in range(values.shape[1]):
        alpha, beta, gamma, phi = (getattr(rates, name)[series, 0] for name in ("alpha", "beta", "gamma", "phi"))
        season = "mul" if kind.multiplicative else "add"
        peer = holt_winters.ExponentialSmoothing(
            values[:, series],
            trend="add",
            damped_trend=True,
            seasonal=season,
            seasonal_periods=7,
            initialization_method="known",
            initial_level=rates.level[series, 0],
            initial_trend=rates.slope[series, 0],
            initial_seasonal=rates.season[:, series, 0],
        )
        expected = peer.fit(alpha, beta / alpha, gamma, phi, optimized=False).fittedvalues
        np.testing.assert_allclose(forecasts[:, series], expected, rtol=1e-8)
