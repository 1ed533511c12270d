"""Three mistakes that make a forecast of a random walk look good, and what each is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.windowed import Windowed
from fastlstm.data import windows
from fastlstm.layers import LSTM, Dense, Last
from fastlstm.losses import mse
from fastlstm.model import Model
from fastlstm.optim import Adam
from fastlstm.training import Trainer

Floats = NDArray[np.float64]

WINDOW = 24
AHEAD = 20
"""Steps ahead where windows are split at random."""


def all_of_them(price: Callable[[str, int], Floats], seed: int) -> tuple[dict[str, Any], dict[str, Floats]]:
    """The figures of each mistake, and what is drawn of the first."""
    plot, shown = perfect_plot(price("independent", 0), seed)
    prices = [price("independent", 1 + k)[:1500] for k in range(5)]
    scaler = {name: [scaled(p, whole, seed) for p in prices] for name, whole in (("train", False), ("all", True))}
    split = {name: [split_skill(p, shuffled, seed) for p in prices] for name, shuffled in SPLITS.items()}
    return {"plot": plot, "scaler": scaler, "split": split}, shown


SPLITS = {"in order": False, "at random": True}


def perfect_plot(values: Floats, seed: int) -> tuple[dict[str, float], dict[str, Floats]]:
    """How well forecasts of the price, and of its changes, agree with what came."""
    start = len(values) - 250
    forecaster = Windowed(1, learning_rate=0.003, epochs=20, patience=5, dropout=0.2, seed=seed)
    forecaster.fit(np.log(values[:start]))
    forecast = np.exp(forecaster.predict(np.log(values[start - forecaster.context : -1]))[:, 0])
    truth, last = values[start:], values[start - 1 : -1]
    return {
        "r2": 1 - float(np.square(truth - forecast).sum() / np.square(truth - truth.mean()).sum()),
        "correlation with the price of the day before": float(np.corrcoef(forecast, last)[0, 1]),
        "correlation of the changes": float(np.corrcoef(forecast - last, truth - last)[0, 1]),
        "skill": 1 - float(np.square(truth - forecast).mean() / np.square(truth - last).mean()),
    }, {"truth": truth, "forecast": forecast, "last": last}


def scaled(values: Floats, whole: bool, seed: int) -> float:
    """Skill of a network on prices scaled to 0 to 1 by the smallest and largest of the training part, or of all."""
    start = int(0.7 * len(values))
    known = values if whole else values[:start]
    series = (values - known.min()) / np.ptp(known)
    x, y = windows(series, WINDOW, 1)
    cut = start - WINDOW
    model = learn(x[:cut], y[:cut, :, 0], seed)
    forecast = model.predict(x[cut:])[:, 0]
    truth, last = y[cut:, 0, 0], x[cut:, -1, 0]
    return 1 - float(np.square(truth - forecast).mean() / np.square(truth - last).mean())


def split_skill(values: Floats, shuffled: bool, seed: int) -> float:
    """Skill, `AHEAD` steps ahead, over test windows that lie among the training windows, or after them."""
    x, y = windows(np.log(values), WINDOW, AHEAD)
    last = x[:, -1]
    x, y = (x - last[:, None]) / 0.03, (y[:, -1] - last) / 0.05
    order = np.random.default_rng(seed).permutation(len(x)) if shuffled else np.arange(len(x))
    cut = int(0.7 * len(x))
    train, test = order[:cut], order[cut:] if shuffled else order[cut + AHEAD :]
    forecast = learn(x[train], y[train], seed, epochs=150).predict(x[test])
    return 1 - float(np.square(y[test] - forecast).mean() / np.square(y[test]).mean())


def learn(x: Floats, y: Floats, seed: int, epochs: int = 30) -> Model:
    """An LSTM as tutorials have it."""
    model = Model([LSTM(1, 32), Last(), Dense(32, 1)], seed=seed)
    Trainer(model, mse, Adam(lr=0.003), clip_norm=1.0).fit(x, y, epochs=epochs, seed=seed, progress=False)
    return model
