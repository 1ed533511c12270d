"""Skill over a reference, its interval and its test; the benchmarks that rest on it, in a small part."""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from fastlstm.forecasting.skill import Skill, diebold_mariano

ROOT = Path(__file__).parent.parent


def draws(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def test_skill_is_one_less_the_ratio_of_mean_squares():
    error, reference = draws(0, 50), draws(1, 50)
    assert Skill.of(error, reference).value == pytest.approx(1 - (error**2).mean() / (reference**2).mean())
    assert Skill.of(np.zeros(20), np.ones(20)).value == 1
    assert Skill.of(np.zeros(20), np.zeros(20)).value == 0
    assert Skill.of(np.ones(20), np.zeros(20)).value == -np.inf


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        error, reference = draws(seed, 2, 100)
        skill = Skill.of(0.8 * error, reference, seed=seed)
        held += skill.low < 1 - 0.64 < skill.high
    assert 0.8 < held / 200 < 0.97


def test_equal_forecasts_are_rarely_told_apart_and_different_ones_always():
    p = np.array([diebold_mariano(*np.square(draws(seed, 2, 200))) for seed in range(300)])
    assert 0.04 < np.mean(p < 0.1) < 0.17
    losses = np.square(draws(0, 2, 200))
    assert diebold_mariano(losses[0], losses[1] + 2) < 1e-6


def test_correlated_errors_make_it_less_sure():
    smooth = np.convolve(draws(5, 1100), np.ones(50), "valid")[:1000] / 7
    losses, others = np.square(smooth), np.square(smooth) + 0.3 * np.roll(smooth, 3) + 0.1
    assert diebold_mariano(losses, others, lags=49) > diebold_mariano(losses, others)
    few = Skill.of(smooth, 1.5 * np.roll(smooth, 70), block=50)
    many = Skill.of(smooth, 1.5 * np.roll(smooth, 70), block=1)
    assert few.high - few.low > many.high - many.low


def test_forecasts_without_any_difference_have_a_p_value_of_one():
    assert diebold_mariano(np.ones(10), np.ones(10)) == 1
    assert diebold_mariano(np.ones(10), np.zeros(10)) == 0


def test_too_few_forecasts_have_no_interval():
    skill = Skill.of(np.ones(7), 2 * np.ones(7))
    assert skill.value == 0.75 and np.isnan([skill.low, skill.high, skill.p_value]).all()


def test_what_one_origin_forecasts_counts_once():
    error, reference = draws(7, 30, 5), draws(8, 30, 5)
    losses = [np.sqrt(np.square(e).mean(1)) for e in (error, reference)]
    assert Skill.of(error, reference) == Skill.of(*losses)


@pytest.fixture
def bench(monkeypatch):
    """A module of the benchmarks, imported from the repository without hiding the installed package."""
    if not (ROOT / "bench").exists():
        pytest.skip("the benchmark is not part of the package")
    monkeypatch.syspath_prepend(str(ROOT))
    path = list(sys.path)
    yield lambda name: importlib.import_module(f"bench.studies.{name}")
    sys.path[:] = path


def options(**given):
    return argparse.Namespace(**{"quick": True, "seed": 0, **given})


def test_the_windows_of_the_protocol_end_with_the_last_value_and_look_back(bench):
    ett = bench("etth1.__main__")
    series = np.arange(20.0 * ett.MONTH)[:, None]
    truth, last = ett.futures(series, 24, 16 * ett.MONTH), ett.naive(series, 24, 1)
    assert truth.shape == last.shape == (4 * ett.MONTH - 24 + 1, 24, 1)
    assert truth[0, 0, 0] == 16 * ett.MONTH and truth[-1, -1, 0] == 20 * ett.MONTH - 1
    assert (last[0] == 16 * ett.MONTH - 1).all()
    assert (ett.naive(series, 30, 24)[0, :, 0] == 16 * ett.MONTH - 24 + np.arange(30) % 24).all()


def test_the_linear_map_finds_a_linear_series(bench):
    ett = bench("etth1.__main__")
    t = np.arange(20.0 * ett.MONTH)
    series = np.sin(t * 2 * np.pi / 24)[:, None]
    forecast = ett.linear(series, 24, 48)
    assert ett.errors(forecast, ett.futures(series, 24, 16 * ett.MONTH))["mse"] < 1e-4


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="needs pandas")
def test_a_small_part_of_etth1_beats_what_is_published(bench, data_file):
    ett = bench("etth1.__main__")
    series = ett.load(data_file("ETTh1.csv"))
    assert series.shape == (14400, 7)
    np.testing.assert_allclose(series[: 12 * ett.MONTH].std(0), 1)
    entry = ett.run(series[:, 6:], "univariate", 24, options())
    assert entry["scores"]["last value"]["mse"] == pytest.approx(0.0343, abs=1e-4)
    assert entry["scores"]["fastlstm"]["mse"] < bench("etth1.page").published(entry)["mse"]
    assert "univariate 24" in ett.line(entry)


def test_the_page_of_etth1_says_which_entries_are_beaten(bench):
    page = bench("etth1.page")
    scores = {"fastlstm": 0.05, "linear map": 0.04, "last value": 0.06}
    entries = [
        {
            "task": task,
            "horizon": horizon,
            "seconds": 1.0,
            "validation": {"mse": 0.1, "mae": 0.2},
            "scores": {name: {"mse": value, "mae": value} for name, value in scores.items()},
        }
        for task in ("univariate", "multivariate")
        for horizon in (24, 720)
    ]
    setting = {"window": 336, "patch": 24, "members": 3}
    result = {"machine": {"processor": "x"}, "settings": {"univariate": setting, "multivariate": setting}}
    text = page.page({**result, "entries": entries})
    assert (
        "All 4 entries are ahead" in text and "| 24 | 0.050 / 0.050 | 0.114 / 0.272 | **0.040** / **0.040** |" in text
    )
    entries[0]["scores"]["last value"]["mae"] = 0.05
    assert "3 of 4 entries are ahead" in page.page({**result, "entries": entries})


def test_simulated_returns_are_what_they_are_called(bench):
    stocks = bench("prices.__main__")
    for kind, expected in (("independent", 0.0), ("garch", 0.0), ("momentum", stocks.MOMENTUM)):
        moves = stocks.returns(kind, days=20_000)
        assert np.corrcoef(moves[1:], moves[:-1])[0, 1] == pytest.approx(expected, abs=0.03)
    squares = np.square(stocks.returns("garch", days=20_000))
    assert np.corrcoef(squares[1:], squares[:-1])[0, 1] > 0.1


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_a_random_walk_is_told_and_drawn(bench, tmp_path):
    stocks, mistakes, page = (bench(f"prices.{name}") for name in ("__main__", "mistakes", "page"))
    row = stocks.measure(stocks.CASES[0], options())
    assert row["tested"] == 160 and -0.5 < row["value"] < 0.2
    assert "best possible 0.001" in stocks.line(row)
    plot, shown = mistakes.perfect_plot(stocks.price("independent")[:600], 0)
    assert plot["skill"] < 0.1 and plot["correlation with the price of the day before"] > 0.99
    figures = {"plot": plot, "scaler": {"train": [-3.0], "all": [-1.0]}}
    figures["split"] = {"in order": [-0.5], "at random": [0.3]}
    stocks.write({"machine": {}, "seconds": 1.0, "rows": [row], "mistakes": figures}, shown, tmp_path)
    assert "simulated price, independent returns" in (tmp_path / "stocks.md").read_text()
    assert (tmp_path / "pictures/stocks.png").stat().st_size > 10_000
    assert page.several([1.0, 2.0]) == "+1.50 on average (+1.00 to +2.00)"


def test_a_column_of_ones_own_is_tested(bench, tmp_path, capsys):
    path = tmp_path / "prices.csv"
    path.write_text(
        "Close\n" + "\n".join(f"{value:.4f}" for value in bench("prices.__main__").price("independent")[:150])
    )
    assert bench("prices.__main__").main([str(path), "--quick"]) == 0
    assert capsys.readouterr().out.startswith("Close: skill over the last value ")
