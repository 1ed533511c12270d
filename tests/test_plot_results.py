"""Pictures of the results of forecasters and estimators: what stands in them, and what they refuse."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastlstm import plot
from fastlstm.forecasting import Backtest, LSTMForecaster
from fastlstm.forecasting.grid import Grid
from fastlstm.forecasting.panel import Panel
from fastlstm.plot import backtest_figure, confusion_figure, outlook_figure, prediction_error_figure, tags_figure

pytest.importorskip("matplotlib")
from test_plot import inside, legend  # noqa: E402

ELSEWHERE = {"new_figure", "save_figure", "gradient_distance_figure", "learning_figure"}
"""Pictures of no result of their own."""

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def forecaster():
    values = RNG.normal(size=(60, 8))
    values[40, 0] = np.nan
    return LSTMForecaster(1, epochs=1, window=5).fit(values, fh=4)


def drawn(axes):
    """The curves by what the legend calls them, and the rest without a name."""
    found = {}
    for line in axes.get_lines():
        found.setdefault(line.get_label().partition("_child")[0], []).append(line)
    return found


def test_what_comes_stands_behind_the_last_values(forecaster):
    figure = outlook_figure(forecaster, series=[2, 0], before=30, coverage=0.8, title="Noise", label="mm")
    assert inside(figure) and len(figure.axes) == 2
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Noise: 2", "0"]
    assert legend(figure.axes[0]) == ["80% interval", "measured", "forecast"] and not figure.axes[1].get_legend()
    assert figure.axes[0].get_ylabel() == "mm" and figure.axes[0].get_xlabel() == "step"
    first, second = (drawn(axes) for axes in figure.axes)
    assert np.array_equal(first["forecast"][0].get_ydata(), forecaster.predict()[:, 2])
    assert first["forecast"][0].get_xdata().tolist() == [60, 61, 62, 63]
    measured = second["measured"][0]
    assert measured.get_xdata().tolist() == list(range(30, 64))
    assert np.flatnonzero(np.isnan(measured.get_ydata())).tolist() == [10, 30, 31, 32, 33]
    corners = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    interval = forecaster.predict_interval(coverage=0.8)[:, 2]
    assert (corners.min(), corners.max()) == (interval[:, 0].min(), interval[:, 1].max())


def test_the_first_series_are_shown_and_the_horizon_may_be_shorter(forecaster):
    figure = outlook_figure(forecaster, 1)
    assert inside(figure) and len(figure.axes) == 6
    line = drawn(figure.axes[0])["forecast"][0]
    assert len(line.get_xdata()) == 1 and line.get_marker() == "o"  # one step has a dot and a bar
    assert len(figure.axes[0].collections[0].get_segments()) == 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"series": ["north"]}, ValueError, "^series: expected some of 0, 1, 2, 3, 4, 5, ..., got 'north'$"),
        ({"series": []}, ValueError, "^series: expected at least one, got none$"),
        ({"series": 3}, TypeError, "^series: expected "),
        ({"before": 0}, ValueError, "^before: expected "),
        ({"coverage": 90}, ValueError, "^coverage: expected "),
        ({"fh": 5}, ValueError, "^fh: expected at most 4"),
    ],
)
def test_a_picture_of_what_comes_says_what_is_wrong(forecaster, given, error, message):
    with pytest.raises(error, match=message):
        outlook_figure(forecaster, **given)


def test_a_forecaster_that_has_not_learned_has_no_picture():
    with pytest.raises(RuntimeError, match="the forecaster has not learned anything yet: call fit first"):
        outlook_figure(LSTMForecaster())


@pytest.mark.parametrize("freq, zone", [("MS", None), ("h", "Europe/Berlin")])
@pytest.mark.parametrize("periods", [False, True])
def test_dates_are_those_of_the_series(freq, zone, periods):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    index = pandas.date_range("2020-01-01", periods=50, freq=freq, tz=None if periods else zone)
    index = index.to_period(freq.removesuffix("S")) if periods else index
    series = pandas.Series(np.arange(50.0), index, name="steps")
    axes = outlook_figure(LSTMForecaster(1, epochs=1, window=5).fit(series, fh=3)).axes[0]
    moments = drawn(axes)["measured"][0].get_xdata()
    expected = index[-24].to_timestamp() if periods else index[-24].tz_localize(None)
    assert moments[0] == expected.to_datetime64() and len(moments) == 27
    assert axes.get_title(loc="left") == "steps" and axes.get_xlabel() == ""


def backtest(step, series=1):
    """Made by hand: 30 steps, two origins, 4 steps each."""
    origins = np.repeat([[26 - step], [26]], series, axis=1)
    panel = Panel("arrays", list(range(series)), [np.arange(30.0) + k for k in range(series)], [0] * series, Grid(0, 1))
    truth = np.stack([[own[at:][:4] for own in panel.values] for at in origins[:, 0]])
    naive = {"last value": truth - 2}
    return Backtest(panel, origins, truth, truth + 0.5, truth - 1, truth + 1, naive, np.ones(series), step)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_each_origin_has_its_forecast(step):
    figure = backtest_figure(backtest(step, series=2), before=5, title="By hand")
    assert inside(figure) and [axes.get_title(loc="left") for axes in figure.axes] == ["By hand: 0", "1"]
    assert legend(figure.axes[0]) == ["interval", "measured", "forecast", "origin"]
    axes = figure.axes[1]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == 4]
    assert [line.get_xdata().tolist() for line in curves] == [[*range(26 - step, 30 - step)], [*range(26, 30)]]
    assert curves[0].get_ydata().tolist() == [k + 1.5 for k in range(26 - step, 30 - step)]
    assert [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"] == [25 - step, 25]
    measured = axes.get_lines()[0]
    assert measured.get_xdata().tolist() == [*range(21 - step, 30)] and len(axes.collections) == 2


def test_a_backtest_of_a_forecaster_has_a_picture(forecaster):
    found = LSTMForecaster(1, epochs=1).backtest(RNG.normal(size=40), fh=3, origins=2)
    assert inside(backtest_figure(found)) and backtest_figure(found).axes[0].get_title(loc="left") == ""
    with pytest.raises(ValueError, match="^series: expected some of 0, got 1$"):
        backtest_figure(found, series=[1])


def test_an_evaluation_may_go_past_the_end_of_a_series():
    forecaster = LSTMForecaster(1, epochs=1, window=5).fit(RNG.normal(size=40), fh=4)
    axes = backtest_figure(forecaster.evaluate(RNG.normal(size=6)), before=3).axes[0]
    forecasts = [line.get_xdata().tolist() for line in axes.get_lines() if len(line.get_xdata()) == 4]
    assert forecasts == [[40, 41, 42, 43], [44, 45, 46, 47]]
    measured = drawn(axes)["measured"][0]
    assert measured.get_xdata().tolist() == [*range(37, 48)]
    assert np.flatnonzero(np.isnan(measured.get_ydata())).tolist() == [9, 10]


def test_a_series_that_has_ended_has_no_forecasts_after_it():
    found = backtest(4, series=2)
    ended = replace(found.panel, values=[found.panel.values[0], found.panel.values[1][:26]])
    axes = backtest_figure(replace(found, panel=ended), series=[1]).axes[0]
    assert len(axes.collections) == 1 and drawn(axes)["measured"][0].get_xdata()[-1] == 25


def test_true_numbers_over_predicted_ones():
    target = np.array([[1.0, 5], [2, 5], [4, 5], [np.nan, 5]])
    pred = np.array([[1.5, 4], [2, 5], [3, 6], [1, 5]])
    figure = prediction_error_figure(target, pred, ["rain", "sun"], title="Weather", label="(mm)")
    assert inside(figure) and figure.get_suptitle() == "Weather"
    rain, sun = figure.axes
    # the mean of 1, 2 and 4 is 7/3, the squares around it add up to 14/3
    assert rain.get_title(loc="left") == f"rain\nMAE 0.5, R² {1 - 1.25 / (14 / 3):.3g}"
    assert sun.get_title(loc="left") == "sun\nMAE 0.5"  # nothing varies
    assert rain.collections[0].get_offsets().tolist() == [[1.5, 1], [2, 2], [3, 4]]
    assert rain.get_xlim() == rain.get_ylim() and rain.get_xlabel() == "predicted (mm)"
    single = prediction_error_figure(target[:3, 0], pred[:3, 0], title="Rain")
    assert single.axes[0].get_title(loc="left").startswith("Rain\nMAE") and not single.get_suptitle()


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("n", [1, 1000])
def test_numbers_of_any_size_stay_inside(n, columns):
    target = RNG.normal(size=(n, columns)) * 10.0 ** np.arange(0, 3 * columns, 3)
    assert inside(prediction_error_figure(target, target + 0.1, ["a rather long name"] * columns))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2], [1.0]), r"pred: expected shape \(2,\), got \(1,\)"),
        (([1.0, 2], [1.0, 2], ["a", "b"]), "names: expected 1, one for each number, got 2"),
        (([np.nan], [1.0]), "target: expected at least one pair of finite numbers in each column, got none"),
        ((np.zeros((2, 2, 2)), np.zeros((2, 2, 2))), r"target: expected shape \(N, K\), got \(2, 2, 2\)"),
    ],
)
def test_a_picture_of_a_regression_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        prediction_error_figure(*arguments)


def stripes(axes):
    """Of each stripe the runs: where they begin and how long they are."""
    found = {}
    for bar in axes.patches:
        found.setdefault(round(bar.get_y() + bar.get_height() / 2), []).append((bar.get_x() + 0.5, bar.get_width()))
    return found


def test_tags_are_stripes_of_runs_with_marks_where_they_differ():
    told, true = np.array(["a", "a", "b", "b", "different"]), ["a", "b", "b", "b", "a"]
    figure = tags_figure(told, true, RNG.normal(size=(5, 2)), names=["x", "y"], title="One", label="speed (m/s)")
    assert inside(figure)
    curves, axes = figure.axes
    assert curves.get_title(loc="left") == "One: 60.0% right" and legend(curves) == ["x", "y"]
    assert curves.get_ylabel() == "speed (m/s)" and [line.get_ydata().size for line in curves.get_lines()] == [5, 5]
    assert legend(axes) == ["a", "b", "different", "told wrongly"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["true", "told"]
    assert stripes(axes) == {0: [(0, 1), (1, 3), (4, 1)], 1: [(0, 2), (2, 2), (4, 1)]}
    assert axes.get_lines()[0].get_xdata().tolist() == [1, 4]
    by_word = {text.get_text() for text in axes.texts}
    assert by_word == {"a", "b", "different"}


def test_tags_that_are_numbers_are_in_their_order_and_need_nothing_else():
    figure = tags_figure([10, 9, 9, 0, -1])
    (axes,) = figure.axes
    assert legend(axes) == ["-1", "0", "9", "10"] and inside(figure) and not axes.get_lines()
    assert figure.axes[0].get_title(loc="left") == ""
    many = tags_figure(np.arange(20).repeat(2))
    assert legend(many.axes[0]) == [*map(str, range(12)), "... 8 more"] and inside(many)
    assert len({bar.get_facecolor() for bar in many.axes[0].patches}) == 20
    assert not many.axes[0].get_lines() and not tags_figure([1, 1], [1, 1]).axes[0].get_lines()


def test_what_a_tagger_tells_has_a_picture():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from fastlstm.estimators import LSTMClassifier, SequenceTagger

    x = RNG.normal(size=(10, 6, 1))
    y = np.where(x[..., 0] > 0, "up", "down")
    tagger = SequenceTagger(4, max_iter=1, random_state=0).fit(x, list(y))
    assert legend(tags_figure(tagger.predict(x)[0], y[0], x[0]).axes[1])[:2] == ["down", "up"]
    classifier = LSTMClassifier(4, max_iter=1, random_state=0).fit(x, y[:, -1])
    expected = [text.get_text() for text in confusion_figure(y[:, -1], classifier.predict(x)).axes[0].texts]
    scores = confusion_figure(y[:, -1], classifier.predict_proba(x), classifier.classes_)
    assert [text.get_text() for text in scores.axes[0].texts] == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.5, 1.0],), TypeError, r"pred: expected labels \(str or int\), got dtype float64"),
        (([1, 2], [1]), ValueError, r"target: expected shape \(2,\), got \(1,\)"),
        (([1, 2], None, [1.0]), ValueError, r"x: expected shape \(2,\), got \(1,\)"),
        ((np.zeros(0, int),), ValueError, r"pred: expected shape \(T,\) with T at least 1, got \(0,\)"),
    ],
)
def test_a_picture_of_tags_says_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        tags_figure(*arguments)
    with pytest.raises(ValueError, match="names: expected 2, one for each feature, got 1"):
        tags_figure([1], x=[[1.0, 2.0]], names=["x"])


def test_confusion_of_words():
    axes = confusion_figure(["b", "a", "c"], np.array(["b", "b", "c"], object)).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.texts] == ["0", "100", "0", "0", "100", "0", "0", "0", "100"]
    turned = confusion_figure(["b", "a"], ["b", "b"], ["b", "a"]).axes[0]
    assert [text.get_text() for text in turned.texts] == ["100", "0", "100", "0"]
    with pytest.raises(ValueError, match=r"^pred: expected some of \['a', 'b'\], got 'c'$"):
        confusion_figure(["a", "b"], ["a", "c"], ["a", "b"])


def test_the_page_says_which_picture_belongs_to_which_result():
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.partition("## Pictures")[2].splitlines() if line.startswith("| "))
    about_results = {name for name in vars(plot) if name.endswith("_figure")}
    assert about_results - {*re.findall(r"\w+_figure", table)} == ELSEWHERE
    assert {*re.findall(r"`(\w+_figure)\(", table)} <= about_results
