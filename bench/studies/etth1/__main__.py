"""Oil temperature and load of a transformer (ETTh1), forecast by an LSTM.

    FASTLSTM_DATA=data python -m bench.studies.etth1             writes docs/forecasting.md and docs/forecasting.json
    FASTLSTM_DATA=data python -m bench.studies.etth1 --quick     a small part, for a first look; writes nothing

The protocol is that of Zhou et al., Informer, AAAI 2021: twelve months to train on, four to validate on, four to test
on; columns standardised by the training part; mean squared and absolute errors on that scale, over all windows of the
test part (one step apart), all steps of the horizon and all columns that are forecast.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import machine
from bench.studies import DOCS
from bench.studies.data import find
from bench.studies.etth1 import page
from bench.studies.windowed import Windowed
from fastlstm.data import windows

Floats = NDArray[np.float64]

MONTH = 30 * 24
TRAIN, VALIDATION, TEST = 12 * MONTH, 4 * MONTH, 4 * MONTH
HORIZONS = (24, 48, 168, 336, 720)
COLUMNS = {"univariate": slice(6, 7), "multivariate": slice(0, 7)}
"""OT alone, or all seven, each forecast from itself by one network for all."""

NAIVE = {"last value": 1, "same hour yesterday": 24, "same hour last week": 168}
"""Naive forecasts: what repeats, in hours."""

PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
"""Of the ridge regression that the network is compared with."""


@dataclass(frozen=True)
class Setting:
    """What was chosen by the errors on the validation part."""

    window: int = 336
    patch: int = 24
    hidden_size: int = 64
    dropout: float = 0.5
    learning_rate: float = 2e-3
    decay: float = 0.6
    loss: str = "huber"
    batch_size: int = 64
    epochs: int = 10
    patience: int = 3
    max_windows: int = 10_000
    members: int = 3


SETTINGS = {
    "univariate": Setting(),
    "multivariate": Setting(hidden_size=128, dropout=0.2, learning_rate=3e-3, batch_size=128, max_windows=2500),
}


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    series = load()
    began = time.perf_counter()
    entries = []
    for task in COLUMNS:
        for horizon in options.horizons:
            entry = run(series[:, COLUMNS[task]], task, horizon, options)
            entries.append(entry)
            print(line(entry), flush=True)
    result = {
        "machine": machine.describe(),
        "seconds": time.perf_counter() - began,
        "settings": {task: asdict(setting) for task, setting in SETTINGS.items()},
        "entries": entries,
    }
    print(f"{sum(entry['seconds'] for entry in entries):.0f} s of training in {result['seconds']:.0f} s.")
    if options.quick:
        return 0
    beaten = all(page.beats(entry) for entry in entries)
    print("Every entry is beaten." if beaten else "Not every entry is beaten.")
    write(result, options.folder)
    return 0 if beaten else 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.studies.etth1", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the shortest horizon, few windows, one network; no page")
    parser.add_argument("--horizons", type=int, nargs="+", choices=HORIZONS, help="default: all five")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    options.horizons = options.horizons or (HORIZONS[:1] if options.quick else HORIZONS)
    return options


def load(path: Path | None = None) -> Floats:
    """The twenty months, (14400, 7), standardised by mean and deviation of the first twelve."""
    with open(path or find("ETTh1.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1 : 1 + TRAIN + VALIDATION + TEST]
    values = np.array([[float(cell) for cell in row[1:]] for row in rows])
    return (values - values[:TRAIN].mean(0)) / values[:TRAIN].std(0)


def run(series: Floats, task: str, horizon: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train for one entry of the table, and measure it beside all others."""
    setting = SETTINGS[task]
    seeds = range(options.seed, options.seed + (1 if options.quick else setting.members))
    if options.quick:
        setting = replace(setting, max_windows=500, epochs=4)
    began = time.perf_counter()
    forecasters = [fitted(series, horizon, setting, seed) for seed in seeds]
    seconds = time.perf_counter() - began
    forecasts = {"fastlstm": together(forecasters, series, setting, TRAIN + VALIDATION)}
    forecasts["linear map"] = linear(series, horizon, setting.window)
    for name, season in NAIVE.items():
        forecasts[name] = naive(series, horizon, season)
    truth = futures(series, horizon, TRAIN + VALIDATION)
    before = series[: TRAIN + VALIDATION]
    return {
        "task": task,
        "horizon": horizon,
        "seconds": seconds,
        "validation": errors(together(forecasters, before, setting, TRAIN), futures(before, horizon, TRAIN)),
        "scores": {name: errors(values, truth) for name, values in forecasts.items()},
    }


def fitted(series: Floats, horizon: int, setting: Setting, seed: int) -> Windowed:
    """A forecaster that has seen the first sixteen months, and has validated on the last four of them."""
    wishes = {name: value for name, value in asdict(setting).items() if name != "members"}
    forecaster = Windowed(horizon, validation=VALIDATION / (TRAIN + VALIDATION), seed=seed, **wishes)
    return forecaster.fit(series[: TRAIN + VALIDATION])


def together(forecasters: list[Windowed], series: Floats, setting: Setting, start: int) -> Floats:
    """The mean of their forecasts from every moment of the part that begins at `start` and ends with the series."""
    known = series[start - setting.window : len(series) - forecasters[0].setting.horizon]
    forecasts = forecasters[0].predict(known)
    for forecaster in forecasters[1:]:
        forecasts = forecasts + forecaster.predict(known)
    return forecasts / len(forecasters)


def futures(series: Floats, horizon: int, start: int) -> Floats:
    """What there was to forecast, from every moment of a part: (M, horizon, C)."""
    return np.lib.stride_tricks.sliding_window_view(series[start:], horizon, axis=0).swapaxes(1, 2)


def naive(series: Floats, horizon: int, season: int) -> Floats:
    """A naive forecast from every moment of the test part."""
    known = series[TRAIN + VALIDATION - season : len(series) - horizon]
    past = np.lib.stride_tricks.sliding_window_view(known, season, axis=0)
    return past[..., np.arange(horizon) % season].swapaxes(1, 2)


def linear(series: Floats, horizon: int, window: int) -> Floats:
    """The forecasts of the best linear map of the window less its last value, the same for all columns.

    NLinear (Zeng et al. 2023), solved as a ridge regression whose penalty is chosen on the validation part.
    """
    gram, moments = np.zeros((window, window)), np.zeros((window, horizon))
    for column in series.T:
        past, future = (part[..., 0] for part in windows(column[:TRAIN], window, horizon))
        past, future = past - past[:, -1:], future - past[:, -1:]
        gram += past.T @ past
        moments += past.T @ future
    before = series[: TRAIN + VALIDATION]
    truth = futures(before, horizon, TRAIN)
    maps = [np.linalg.solve(gram + penalty * np.eye(window), moments) for penalty in PENALTIES]
    best = min(maps, key=lambda weights: errors(mapped(before, weights, TRAIN), truth)["mse"])
    return mapped(series, best, TRAIN + VALIDATION)


def mapped(series: Floats, weights: Floats, start: int) -> Floats:
    window, horizon = weights.shape
    past = np.lib.stride_tricks.sliding_window_view(series[start - window : len(series) - horizon], window, axis=0)
    last = past[..., -1:]
    return ((past - last) @ weights + last).swapaxes(1, 2)


def errors(forecasts: Floats, truth: Floats) -> dict[str, float]:
    difference = forecasts - truth
    return {"mse": float(np.square(difference).mean()), "mae": float(np.abs(difference).mean())}


def line(entry: dict[str, Any]) -> str:
    parts = [f"{name} {score['mse']:.3f} {score['mae']:.3f}" for name, score in entry["scores"].items()]
    published = page.published(entry)
    parts.append(f"LSTMa {published['mse']:.3f} {published['mae']:.3f}")
    return f"{entry['task']} {entry['horizon']}, {entry['seconds']:.0f} s (MSE MAE): " + ", ".join(parts)


def write(result: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forecasting.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "forecasting.md").write_text(page.page(result), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
