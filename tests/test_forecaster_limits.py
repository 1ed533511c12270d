"""What a forecaster refuses: moments, columns and sizes from which no right forecast can come."""

import warnings

import numpy as np
import pandas as pd
import pytest

from fastlstm.cli import main
from fastlstm.forecasting import LSTMForecaster

HOURS = pd.date_range("2024-01-01", periods=60, freq="h")
VALUES = 20 + 5 * np.sin(np.arange(60) / 3)
SERIES = pd.Series(VALUES, HOURS)
COLUMNS = pd.DataFrame({"k": np.arange(60) % 7}, HOURS)


def quick(**options) -> LSTMForecaster:
    return LSTMForecaster(**{"epochs": 1, "hidden_size": 3, **options})


@pytest.mark.parametrize(
    ("labels", "freq", "message"),
    [
        (
            [0, 1, 10**12],
            None,
            "y: expected at most 50,000,000 steps of 1 from 0 to the last moment, got 1,000,000,000",
        ),
        ([-(2**63), 2**63 - 1], None, "y: expected at most 50,000,000 steps of"),
        ([0, 1, 20_000], None, "y: expected a row for at least one in 100 steps of 1, got 3 rows for 20,001 steps"),
        (pd.Index([1, None, 2], dtype="Int64"), None, r"y: expected no missing moment, got one at \["),
        (pd.DatetimeIndex(["2024-01-01", None, "2024-01-02"]), "D", r"y: expected no missing moment, got one at \["),
        (pd.PeriodIndex(["2024-01", None, "2024-02"], freq="M"), None, r"y: expected no missing moment, got one at \["),
        (pd.PeriodIndex(["1700-01-01", "2200-01-01"], freq="s"), None, "y: expected at most 50,000,000 steps of 's'"),
        (pd.DatetimeIndex(["1700-01-01", "2200-01-01"]), "s", "y: expected at most 50,000,000 steps of 's'"),
        (pd.DatetimeIndex(["1990-01-01", "2020-01-01"]), "h", "y: expected a row for at least one in 100 steps of 'h'"),
    ],
)
def test_moments_that_are_far_apart_or_missing_are_refused_before_memory_is_taken(labels, freq, message):
    y = pd.Series(np.arange(len(labels), dtype=float), labels)
    with pytest.raises(ValueError, match=message):
        quick(freq=freq).fit(y)


def test_small_integers_as_index_do_not_overflow():
    y = pd.Series(VALUES, pd.Index(np.arange(-120, 120, 4), dtype=np.int8))
    assert quick().fit(y, fh=2).predict().index.tolist() == [120, 124]


@pytest.mark.parametrize(
    ("y", "options", "kind", "message"),
    [
        ([[1, 2], [3]], {}, ValueError, "y: expected rows of the same length, got list of different ones"),
        (VALUES, {"freq": 3}, TypeError, "freq: expected a frequency of pandas, such as 'MS' or 'h', got 3"),
        (
            VALUES * 1e60,
            {"distribution": "zero_inflated"},
            ValueError,
            r"y: expected numbers up to 1e\+30 for distribution='zero_inflated', got 2.4977e\+61",
        ),
        (
            pd.DataFrame({"unique_id": 1, "ds": ["a", "b"], "y": 1.0}),
            {},
            TypeError,
            "y: expected dates or whole numbers in ds, got (str|object), such as 'a'; use pandas.to_datetime first",
        ),
        (
            pd.DataFrame([["a", 0, 1.0, 2.0]], columns=["unique_id", "ds", "y", "y"]),
            {},
            ValueError,
            "y: expected columns of different names, got 'y' twice",
        ),
    ],
)
def test_values_that_no_forecaster_can_take_are_refused(y, options, kind, message):
    with pytest.raises(kind, match=message):
        quick(**options).fit(y, fh=3)


def test_new_values_keep_the_steps_of_those_that_are_known():
    forecaster, known = quick(), SERIES[:50]
    every_other = SERIES[50::2]
    forecaster.fit(known, fh=2).update(every_other)
    with_gaps = quick().fit(known, fh=2).update(SERIES[50:59].where(np.arange(9) % 2 == 0))
    np.testing.assert_array_equal(forecaster.predict(), with_gaps.predict())
    assert forecaster.predict().index[0] == HOURS[59]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (pd.Series([1.0, 2, 3], pd.date_range(HOURS[-1], periods=3, freq="30min")), "y: expected steps of 'h' from"),
        (
            SERIES.tz_localize("UTC"),
            r"y: expected moments such as Timestamp\('2024-01-01 00:00:00'\), as in fit, got T",
        ),
        (SERIES.to_period("h"), r"y: expected moments such as Timestamp\('2024-01-01 00:00:00'\), as in fit, got P"),
        (SERIES.to_period("D")[::24], "y: expected steps of 'h', as in fit, got 'D'"),
        (pd.Series(VALUES), "y: expected steps of 'h', as in fit, got 1"),
        (
            pd.Series([1.0, 2], pd.DatetimeIndex(["2200-01-01 00:00", "2200-01-01 01:00"])),
            "y, 0: expected a row for at least one in 100 steps of 'h', got 62 rows for 1,5",
        ),
    ],
)
@pytest.mark.parametrize("method", ["update", "evaluate"])
def test_new_values_with_other_moments_are_refused(method, new, message):
    with pytest.raises(ValueError, match=message):
        getattr(quick().fit(SERIES, fh=2), method)(new)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (COLUMNS[["k", "k"]], "X: expected columns of different names, got 'k' twice"),
        (pd.concat([COLUMNS, COLUMNS]), "X: expected each moment once, got 2024-01-01 00:00:00 several times"),
        (COLUMNS[[]], "X: expected at least one column, got none"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(SERIES, X)


def test_a_long_panel_takes_a_column_at_least():
    y = pd.DataFrame({"unique_id": "a", "ds": HOURS, "y": VALUES})
    with pytest.raises(ValueError, match="X: expected at least one column beside unique_id, ds and y, got none"):
        quick().fit(y, y)


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        (pd.DataFrame({"size": [1.0, np.inf]}), ValueError, r"static, 'size': expected numbers up to 1e\+100, or NaN"),
        (pd.DataFrame({"size": [1.0, 1e300]}), ValueError, r"static, 'size': expected numbers up to 1e\+100, or NaN"),
        (pd.DataFrame({"size": [1.0, 1j]}), TypeError, "static, 'size': expected real numbers, got complex128"),
        (
            pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
            ValueError,
            "static: expected columns of different names, got 'a' twice",
        ),
    ],
)
def test_static_columns_are_checked(table, kind, message):
    with pytest.raises(kind, match=message):
        quick().fit(np.stack([VALUES, VALUES], axis=1), static=table)


def forecast(path, *words: str) -> int:
    more = ["--horizon", "2", "--epochs", "1", "--hidden", "3", "--output", str(path.parent / "out")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return main(["forecast", str(path), *words, *more])


def written(folder, header: str, row) -> object:
    path = folder / "a.csv"
    path.write_text("\n".join([header, *(line for k in range(30) for line in row(k).splitlines())]) + "\n")
    return path


@pytest.mark.parametrize("words", [("y", "unique_id", "ds"), ("2", "3", "4"), ("UNIQUE_ID", "4")])
def test_inputs_may_be_called_as_the_columns_of_a_panel_and_given_by_number(words, tmp_path, capsys):
    path = written(tmp_path, "v,y,unique_id,ds", lambda k: f"{k % 5 + 1},{k % 3},{k % 4},{k % 6}")
    assert forecast(path, "--target", "v", "--inputs", *words) == 0
    assert not capsys.readouterr().err


def test_inputs_with_the_same_name_are_two(tmp_path):
    path = written(tmp_path, "v,a,a", lambda k: f"{k % 5 + 1},{k % 3},{k % 4}")
    assert forecast(path, "--target", "v", "--inputs", "2", "3") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "v", "--inputs", "a", "a"], "inputs: expected each column once among targets, inputs and known"),
        (["--target", "v", "--inputs", "v"], "inputs: expected each column once among targets, inputs and known ones"),
        (["--target", "v", "--target", "1"], "target: expected each column once among targets, inputs and known ones"),
        (["--target", "v", "--group", "v"], "group: expected other columns than those that are read, got 'v' for both"),
        (
            ["--target", "v", "--group", "s", "--group", "t"],
            "group: expected groups that can be told apart, got 'a / b",
        ),
    ],
)
def test_a_column_has_one_meaning(words, message, tmp_path, capsys):
    path = written(tmp_path, "v,a,s,t", lambda k: f"{k},{k % 3},a / b,c\n{k},{k % 3},a,b / c")
    assert forecast(path, *words) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"fastlstm: error: {message}") and said.count("\n") == 1


def test_a_group_and_a_target_called_as_another_group_are_refused(tmp_path, capsys):
    path = written(tmp_path, "s,v,b / v", lambda k: f"a,{k},{k}\na / b,{k},{k}")
    assert forecast(path, "--target", "v", "--target", "b / v", "--group", "s") == 1
    assert "group: expected groups that can be told apart, got 'a / b / v' for two" in capsys.readouterr().err


def test_one_value_that_is_not_held_out_is_enough_for_dated_rows(tmp_path):
    path = written(tmp_path, "date,v", lambda k: f"2024-01-{k + 1:02},{k % 5}")
    assert forecast(path, "--target", "v", "--holdout", "29") == 0


@pytest.mark.parametrize("name", ["x" * 300, "\N{SLIGHTLY SMILING FACE}", "$\\frac{"])
def test_any_name_can_be_drawn(name, tmp_path, capsys):
    assert forecast(written(tmp_path, f"date,{name}", lambda k: f"2024-01-{k + 1:02},{k % 5}"), "--target", name) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "changed",
    [{"scaling": "log"}, {"distribution": "normal"}, {"patch": 3}, {"hidden_size": 9}, {"strategy": "recursive"}],
)
def test_parameters_that_are_set_after_a_fit_wait_for_the_next(changed, tmp_path):
    forecaster, plain = (quick().fit(SERIES[:50], fh=2) for _ in range(2))
    path = tmp_path / "a.safetensors"
    forecaster.set_params(**changed).update(SERIES[50:]).save(path)
    plain.update(SERIES[50:])
    loaded = LSTMForecaster.load(path).set_params(**changed)
    for one in (forecaster, loaded):
        np.testing.assert_array_equal(one.predict_interval(), plain.predict_interval())
        with pytest.raises(ValueError, match="fh: expected at most 2, as fit was told, got 3"):
            one.predict(3)


@pytest.mark.parametrize(("name", "value", "kind"), [("scaling", np.arange(2), ValueError), ("holidays", 5, TypeError)])
def test_words_are_words(name, value, kind):
    with pytest.raises(kind, match=f"{name}: expected "):
        quick(**{name: value})
