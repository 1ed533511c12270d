"""Tasks of memory: what they are, how far gradients reach, and the page made of a small run."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl

ROOT = Path(__file__).parent.parent

needs_bench = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture
def runs(monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.syspath_prepend(ROOT)
    if importlib.util.find_spec("bench") is None:
        pytest.skip("the benchmark is not part of the package")
    return importlib.import_module("bench.studies.memory.runs")


@pytest.fixture
def parity(runs):
    return importlib.import_module("bench.studies.memory.parity")


def test_the_sum_is_that_of_one_marked_number_of_each_half(runs):
    x, y = runs.adding(np.random.default_rng(0), 50, 11)
    values, marks = x[..., 0], x[..., 1]
    assert ((marks == 0) | (marks == 1)).all()
    np.testing.assert_array_equal(marks[:, :5].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, 5:].sum(axis=1), 1)
    np.testing.assert_allclose((values * marks).sum(axis=1, keepdims=True), y, rtol=1e-6)


def test_symbols_come_out_in_order_after_the_mark(runs):
    x, y = runs.copying(np.random.default_rng(0), 20, 7)
    read = x.argmax(axis=2)
    assert x.shape == (20, 27, 10) and (x.sum(axis=2) == 1).all()
    np.testing.assert_array_equal(read[:, :10], y[:, -10:])
    assert ((read[:, :10] >= 1) & (read[:, :10] <= 8)).all()
    assert not read[:, 10:16].any() and (read[:, 16] == 9).all() and not read[:, 17:].any()
    assert not y[:, :-10].any()


def test_chance_is_what_the_best_answer_without_memory_costs(runs):
    rng = np.random.default_rng(0)
    _, y = runs.adding(rng, 20_000, 12)
    assert ((y - 1) ** 2).mean() == pytest.approx(runs.chance(runs.adding, 12), rel=0.05)
    x, y = runs.copying(rng, 100, 12)
    scores = np.where(np.arange(10) == 0, 30.0, 0.0) * np.ones((*y.shape, 1))
    scores[:, -10:] = [0, *[30.0] * 8, 0]  # eight symbols alike
    assert fl.softmax_cross_entropy(scores, y)[0] == pytest.approx(runs.chance(runs.copying, 12), rel=1e-6)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM"])
def test_gradients_by_distance_are_differences_of_the_output(runs, kind):
    layer = getattr(fl, kind)(2, 5)
    model = fl.Model([layer, fl.Last(), fl.Dense(5, 1)], dtype="float64", seed=0)
    x, t = np.random.default_rng(0).normal(size=(3, 6, 2)), 6
    found = runs.gradient_by_distance(model, x)
    assert list(found) == (["h"] if kind == "SimpleRNN" else ["h", "c"])
    assert all(norms.shape == (t - 1,) for norms in found.values())
    for distance in (1, 2, 5):
        _, state = layer(x[:, : t - distance])
        parts = [state] if kind == "SimpleRNN" else list(state)

        def output(parts, distance=distance):
            final = parts[0] if kind == "SimpleRNN" else tuple(parts)
            return model.layers[2](layer(x[:, t - distance :], final)[0][:, -1])[:, 0]

        for place, name in enumerate(found):
            gradient = np.zeros((3, 5))
            for unit in range(5):
                moved = [[part.copy() for part in parts] for _ in range(2)]
                moved[0][place][0, :, unit] += 1e-6
                moved[1][place][0, :, unit] -= 1e-6
                gradient[:, unit] = (output(moved[0]) - output(moved[1])) / 2e-6
            expected = np.linalg.norm(gradient, axis=1).mean()
            assert found[name][distance - 1] == pytest.approx(expected, rel=1e-6), (name, distance)


def test_networks_are_what_they_are_called(runs):
    layers = {name: runs.network(name, runs.adding, 100, 8).layers[0] for name in runs.NETWORKS}
    assert layers[runs.CHRONO].chrono == 100 and layers[runs.PLAIN].chrono is None
    assert {name: type(layer).__name__ for name, layer in layers.items()} == {
        runs.SIMPLE: "SimpleRNN",
        runs.PLAIN: "LSTM",
        runs.CHRONO: "LSTM",
        "sLSTM": "SLSTM",
    }


def test_the_best_rate_on_held_out_sequences_is_shown(runs):
    settings = replace(runs.QUICK, steps=20, hidden=4, lrs={runs.SIMPLE: (1e-6, 0.05, 1e-7)})
    best = runs.best_fit(runs.SIMPLE, runs.adding, 5, settings)
    assert best.lr == 0.05 and len(best.losses) == 1
    again = runs.fit(runs.SIMPLE, runs.adding, 5, 0.05, settings)
    assert again.losses == best.losses and again.held_out == best.held_out
    other = runs.fit(runs.SIMPLE, runs.adding, 5, 0.05, settings, seed=1)
    assert other.losses != best.losses and other.held_out != best.held_out


def test_parity_counts_the_ones_so_far(parity):
    x, y = parity.bits(np.random.default_rng(0), 30, 9)
    assert x.shape == (30, 9, 2) and (x.sum(axis=2) == 1).all()
    state = np.zeros(30, bool)
    for t in range(9):
        state ^= x[:, t, 1] == 1
        np.testing.assert_array_equal(y[:, t], state)
    assert 0.4 < y.mean() < 0.6


def test_parity_shows_the_rate_whose_seeds_are_right_most_often(parity):
    one = parity.Network(fl.LSTM, (1e-6, 0.02), 250)
    settings = parity.Settings({"LSTM": one}, trained=5, lengths=(2, 40), hidden=12, seeds=(0, 1))
    found = parity.run(settings)["LSTM"]
    assert [fit.lr for fit in found] == [0.02, 0.02]
    assert all(fit.right.shape == (40,) and fit.right[:5].mean() > 0.95 for fit in found)
    assert not np.array_equal(found[0].right, found[1].right)
    assert "| LSTM | 250 | 1e-06, 0.02 | 0.02 |" in parity.tried({"LSTM": found}, settings)


def test_parity_tells_the_median_and_the_best_of_the_seeds(parity):
    settings = parity.Settings({}, trained=2, lengths=(1, 3))
    shares = ([0.5, 0.5, 0.75], [1.0, 0.5, 0.25], [0.875, 0.5, 0.5])
    found = {"LSTM": [parity.Fit(0.1, np.array(right)) for right in shares]}
    assert parity.right(found, settings).splitlines()[2:] == ["| 1 | 87.5 (100.0) |", "| 3 | 50.0 (75.0) |"]
    axes = parity.figure(found, settings).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [87.5, 50, 50])
    assert [line.get_label() for line in axes.lines] == ["LSTM", "guessing", "longest in training"]


@needs_bench
@pytest.mark.slow
def test_the_page_comes_from_the_run(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    subprocess.run(
        [sys.executable, "-m", "bench.studies.memory", "--quick", "--folder", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg"},
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "long-memory.md").read_text(encoding="utf-8")
    assert "`python -m bench.studies.memory --quick`:" in text
    row = re.search(r"^\| 20 \| 0\.16667 (\| \S+ \(lr 0\.01\) )+\|$", text, re.M)
    simple, plain, chrono, *_ = map(float, re.findall(r"(\S+) \(lr", row[0]))
    assert 0 < chrono < 0.05  # chance is 0.167
    assert 0 < plain < 0.1 and 0 < simple < 0.3
    again = re.search(r"by the seeds 1, the LSTM with `chrono` comes at\nT = 20 to (\S+)\.$", text, re.M)
    assert 0 < float(again[1]) < 0.05
    right = re.search(r"^\| 2 \| \S+ \S+ \| (\S+) \(\1\) \|", text, re.M)
    assert float(right[1]) > 90  # of the LSTM; guessing is 50
    pictures = re.findall(r"\]\((pictures/\S+\.png)\)", text)
    assert len(pictures) == 5
    assert all((tmp_path / name).stat().st_size > 10_000 for name in pictures)


@pytest.fixture
def plot():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from fastlstm import plot

    return plot


def test_gradients_are_drawn_as_shares_of_the_first(plot):
    norms = {"before": {"a": [4.0, 2.0, 0.0], "b": [1.0, 3.0, 9.0]}, "after": {"a": [2.0, 2.0, 2.0]}}
    figure = plot.gradient_distance_figure(norms, title="reach")
    before, after = figure.axes
    np.testing.assert_array_equal(before.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(before.lines[0].get_ydata(), [1, 0.5, 1e-12])  # zero has no logarithm
    np.testing.assert_allclose(before.lines[1].get_ydata(), [1, 3, 9])
    assert after.lines[0].get_color() == before.lines[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_losses_are_drawn_over_the_steps_beside_chance(plot):
    figure = plot.learning_figure({"x": {"a": [1.0, 0.5]}, "y": {"a": [2.0]}}, every=10, chance={"x": 0.7})
    first, second = figure.axes
    np.testing.assert_array_equal(first.lines[0].get_xdata(), [10, 20])
    np.testing.assert_allclose(first.lines[1].get_ydata(), [0.7, 0.7])
    assert len(second.lines) == 1 and second.get_ylabel() == ""
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        plot.learning_figure({"x": {"a": [1.0]}}, every=0)
