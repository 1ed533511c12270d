"""Several series at once, other inputs, patches: the forecaster, its scaling, and reading and writing for it."""

import csv

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.forecasting import Forecaster, read_series
from fastlstm.forecasting.scaling import Scaling

QUICK = {"season": 12, "hidden_size": 8, "epochs": 10, "learning_rate": 0.02, "seed": 3}


@pytest.fixture(scope="module")
def pair():
    """Two series of different units and shapes."""
    t = np.arange(240)
    noise = np.random.default_rng(0).standard_normal((2, 240))
    first = 0.05 * t + np.sin(t * 2 * np.pi / 12) + 0.1 * noise[0]
    second = 1000 + 100 * np.cos(t * 2 * np.pi / 12) + 10 * noise[1]
    return np.stack([first, second], axis=1)


@pytest.fixture(scope="module")
def fitted(pair):
    forecaster = Forecaster(6, window=24, patch=12, dropout=0.1, **{**QUICK, "epochs": 40})
    forecaster.fit(pair[:200])
    return forecaster


def scaling(columns, others, patch):
    size = np.arange(1.0, columns + others + 1)
    return Scaling(2, 4, 3, True, patch, columns, size, size[:columns])


@pytest.mark.parametrize(("columns", "others", "patch"), [(1, 0, 1), (1, 2, 1), (3, 0, 2), (2, 1, 4)])
def test_inputs_are_patches_of_the_column_then_of_the_others_then_its_number(columns, others, patch):
    past = np.random.default_rng(1).standard_normal((5, columns + others, 6))
    scales = scaling(columns, others, patch)
    inputs = scales.inputs(past)
    assert inputs.shape == (5 * columns, 4 // patch, scales.features)
    for m in range(5):
        for c in range(columns):
            for step in range(4 // patch):
                at = 2 + step * patch + np.arange(patch)
                rows = [c, *range(columns, columns + others)]
                expected = np.concatenate([(past[m, r, at] - past[m, r, -1]) / (r + 1) for r in rows])
                got = inputs[m * columns + c, step]
                np.testing.assert_allclose(got[: len(expected)], expected)
                assert got[len(expected) :].tolist() == (np.eye(columns)[c].tolist() if columns > 1 else [])


def test_outputs_undo_targets():
    rng = np.random.default_rng(2)
    past, future = rng.standard_normal((4, 3, 6)), rng.standard_normal((4, 2, 2))
    scales = scaling(2, 1, 2)
    np.testing.assert_allclose(scales.outputs(past, scales.targets(past, future)), future)


def test_scales_are_those_of_each_column():
    rng = np.random.default_rng(3)
    past = rng.standard_normal((50, 2, 8)) * np.array([[1.0], [1000.0]])
    scales = Scaling.of(past, past[..., :2] + 1e-9, 4, 1, 1)
    assert 500 < scales.input_scale[1] / scales.input_scale[0] < 2000
    assert 500 < scales.target_scale[1] / scales.target_scale[0] < 2000


def test_both_series_are_learned(pair, fitted):
    result = fitted.backtest(pair, 36)
    assert result.truth.shape == result.forecast.shape == result.low.shape == (36, 2)
    for at in range(2):
        own, *others = result.column(at).scores.values()
        assert all(own.rmse < other.rmse for other in others)


def test_all_forecasts_end_in_the_last(pair, fitted):
    every, last = fitted.predict(pair), fitted.forecast(pair)
    assert every.shape == (240 - 24 + 1, 6, 2) and last.mean.shape == last.low.shape == (6, 2)
    np.testing.assert_allclose(every[-1], last.mean, rtol=1e-5)
    np.testing.assert_allclose(every[10], fitted.forecast(pair[:34]).mean, rtol=1e-5)
    assert np.array_equal(last.column(1).mean, last.mean[:, 1])


def test_a_series_is_forecast_without_looking_at_the_ones_beside_it(pair, fitted):
    changed = pair.copy()
    changed[:, 1] += np.linspace(0, 300, 240)
    np.testing.assert_array_equal(fitted.forecast(changed).mean[:, 0], fitted.forecast(pair).mean[:, 0])


def test_a_saved_forecaster_of_several_series_forecasts_the_same(pair, fitted, tmp_path):
    fitted.save(tmp_path / "f.safetensors")
    again = Forecaster.load(tmp_path / "f.safetensors").forecast(pair)
    for name in ("mean", "low", "high"):
        assert getattr(again, name).tobytes() == getattr(fitted.forecast(pair), name).tobytes()


def test_an_input_that_leads_the_series_helps():
    rng = np.random.default_rng(4)
    lead = rng.standard_normal(400)
    series = np.concatenate([[0.0], lead[:-1]]) + 0.1 * rng.standard_normal(400)  # what the input was one step before
    errors = []
    for inputs in (None, lead[:, None]):
        forecaster = Forecaster(1, window=4, hidden_size=8, epochs=15, seed=0)
        forecaster.fit(series[:300], None if inputs is None else inputs[:300])
        errors.append(forecaster.backtest(series, 100, inputs).scores["fastlstm"].rmse)
    assert errors[1] < 0.5 * errors[0]


def test_what_does_not_fit_is_named(pair, fitted):
    with pytest.raises(ValueError, match="series: expected as many columns as in fit, 2, got 1"):
        fitted.forecast(pair[:, 0])
    with pytest.raises(ValueError, match="inputs: expected as many columns as in fit, 0, got 1"):
        fitted.forecast(pair, pair[:, :1])
    with pytest.raises(ValueError, match=r"inputs: expected shape \(240, I\), got \(10, 2\)"):
        fitted.forecast(pair, pair[:10])
    with pytest.raises(ValueError, match="window: expected a multiple of patch=5, got 12"):
        Forecaster(3, window=12, patch=5)
    with pytest.raises(ValueError, match="loss: expected one of mse, mae, huber, got 'hinge'"):
        Forecaster(3, loss="hinge")


def test_the_usual_window_is_a_whole_number_of_patches():
    for patch, length, expected in ((24, 4000, 336), (7, 400, 98), (24, 120, 24)):
        assert Forecaster(4, patch=patch).split(length).window == expected


@pytest.fixture
def load(tmp_path):
    """Two hundred hours of two loads and a temperature, some of which is missing."""
    t = np.arange(200)
    columns = [np.sin(t * np.pi / 12), 5 + np.cos(t * np.pi / 12), 20 + np.sin(t * np.pi / 12 + 1)]
    rows = [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00,{','.join(f'{c[i]:.3f}' for c in columns)}" for i in range(200)]
    rows[50] = ",".join([*rows[50].split(",")[:3], ""])
    path = tmp_path / "load.csv"
    path.write_text("\n".join(["date,a,b,temp", *rows]) + "\n")
    return path


def test_more_columns_of_a_file_are_read_in_the_same_rows(load):
    lines = load.read_text().splitlines()
    load.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    series = read_series(load, "a", others=["b", "temp"])
    assert series.other_names == ("b", "temp") and series.others.shape == (200, 2)
    np.testing.assert_allclose(series.others[:, 0], 5 + np.cos(np.arange(200) * np.pi / 12), atol=1e-3)
    assert np.argwhere(np.isnan(series.others)).tolist() == [[50, 1]]
    assert "Missing values in 'temp': 1 of 200. They count neither as errors nor for the band." in series.notes


def test_several_targets_with_inputs_from_a_file(load, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--target", "a", "--target", "b", "--inputs", "temp", "--horizon", "12", "--patch", "12"]
    arguments += ["--window", "24", "--epochs", "3", "--hidden", "4"]
    assert cli.main(["forecast", str(load), *arguments, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "a, b, 200 values" in printed and printed.count("Skill over the last value") == 2
    with open(out / "forecast.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and list(rows[0]) == [
        "step",
        *(f"{n} {p}" for n in "ab" for p in ("forecast", "low", "high")),
    ]
    assert {path.name for path in out.glob("*.png")} == {"forecast-1.png", "forecast-2.png"}
    assert Forecaster.load(out / "model.safetensors").fitted.scaling.columns == 2


def test_an_input_that_is_not_there_is_named(load, capsys):
    assert cli.main(["forecast", str(load), "--target", "a", "--inputs", "wind", "--horizon", "3"]) == 1
    assert "target or inputs: expected one of the columns of" in capsys.readouterr().err
