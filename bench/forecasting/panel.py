"""Ten thousand short series at once: how long a forecaster of all of them takes, and in how much memory.

python -m bench.forecasting.panel    prints the figures as JSON
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np

from bench.footprint import resident
from bench.forecasting.protocol import mase
from bench.forecasting.worker import clock

SERIES, STEPS, HORIZON, SEASON = 10_000, 100, 12, 12
ASKED = {"fit": 300.0, "predict": 10.0}
"""Seconds on two cores."""


def made(series: int, seed: int = 0) -> Any:
    """Monthly series (series, STEPS + HORIZON) of a level, a trend, a season and correlated noise, each its own.

    The seasons are of three kinds, so that there is something to learn from the others.
    """
    rng = np.random.default_rng(seed)
    steps = np.arange(STEPS + HORIZON)
    level, trend = rng.lognormal(4, 1, (series, 1)), rng.normal(0, 0.003, (series, 1))
    kinds = rng.normal(0, 1, (3, SEASON))
    size = rng.uniform(0, 0.2, (series, 1))
    season = kinds[rng.integers(3, size=series)][:, steps % SEASON]
    noise, kept = rng.normal(0, 0.05, (series, len(steps))), rng.uniform(0, 0.9, series)
    for before, at in pairwise(steps):
        noise[:, at] += kept * noise[:, before]
    return level * np.exp(trend * steps + size * season + noise)


def measured(series: int) -> dict[str, Any]:
    import pandas as pd

    from fastlstm.forecasting import LSTMForecaster

    values = made(series)
    months = pd.date_range("2015-01-01", periods=STEPS, freq="MS")
    names = np.repeat([f"{at:05}" for at in range(series)], STEPS)
    y = pd.DataFrame({"unique_id": names, "ds": np.tile(months, series), "y": values[:, :STEPS].ravel()})
    before, moments = resident(), [clock()]
    forecaster = LSTMForecaster().fit(y, fh=HORIZON)
    moments.append(clock())
    forecast = forecaster.predict().iloc[:, -1].to_numpy().reshape(series, HORIZON)
    moments.append(clock())
    interval = forecaster.predict_interval(coverage=0.9).iloc[:, -2:].to_numpy().reshape(series, HORIZON, 2)
    moments.append(clock())
    pairs = [[after[at] - start[at] for at in range(2)] for start, after in pairwise(moments)]
    train, test = values[:, :STEPS], values[:, STEPS:]
    return {
        "series": series,
        **{name: dict(zip(("wall", "cpu"), pair, strict=True)) for name, pair in zip(PARTS, pairs, strict=True)},
        "memory": resident() - before,
        "share": forecaster.share_,
        "mase": float(np.mean([mase(*three, SEASON) for three in zip(train, test, forecast, strict=True)])),
        "naive": float(
            np.mean([mase(own, after, own[-SEASON:], SEASON) for own, after in zip(train, test, strict=True)])
        ),
        "coverage": float(((interval[..., 0] <= test) & (test <= interval[..., 1])).mean()),
    }


PARTS = ("fit", "predict", "interval")


def table(found: dict[str, Any]) -> str:
    from bench.forecasting.report import table

    titles = {"fit": "fit", "predict": "predict", "interval": "intervals of 90 %"}
    rows = [
        [
            titles[part],
            f"{found[part]['wall']:.1f}",
            f"{found[part]['cpu']:.1f}",
            f"{ASKED[part]:.0f}" if part in ASKED else "",
        ]
        for part in PARTS
    ]
    return table([f"{found['series']:,} series", "wall s", "CPU s", "asked, wall s"], rows)


if __name__ == "__main__":
    print(json.dumps(measured(SERIES)))
