"""What is asked of a forecaster, and how its forecasts are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.forecasting.data import Case, Floats, scale_of

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Of the quantiles; the first and the last are the ends of the interval of 90 %."""


@dataclass(frozen=True)
class Forecast:
    """A mean or median, (horizon,), and quantiles, (19, horizon), or None from one that has none."""

    mean: Floats
    quantiles: Floats | None = None

    def __post_init__(self) -> None:
        parts = [self.mean] if self.quantiles is None else [self.mean, self.quantiles]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("the forecast is not finite")
        if self.quantiles is not None and self.quantiles.shape != (len(LEVELS), len(self.mean)):
            raise ValueError(f"expected quantiles {(len(LEVELS), len(self.mean))}, got {self.quantiles.shape}")

    def as_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "quantiles": None if self.quantiles is None else self.quantiles.tolist()}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Forecast:
        return cls(np.array(told["mean"]), None if told["quantiles"] is None else np.array(told["quantiles"]))


def repeated(case: Case) -> Forecast:
    """The last season again; what counts in place of a forecast that failed."""
    season = case.season if len(case.train) >= case.season else 1
    return Forecast(np.resize(case.train[-season:], case.horizon))


def mase(train: Floats, truth: Floats, mean: Floats, season: int) -> float:
    """The mean absolute error over that of the seasonal naive forecast of one step within the training values."""
    return float(np.abs(truth - mean).mean() / scale_of(train, season))


def measures(case: Case, forecast: Forecast) -> dict[str, float]:
    """Figures of one forecast, over the values that were measured.

    - mase: see `mase` (Hyndman and Koehler 2006, as in M4).
    - smape: 200 |y - f| / (|y| + |f|), in per cent; 0 where both are 0.
    - crps: twice the mean pinball loss of the 19 quantiles, which approaches the continuous ranked probability score
      (Gneiting and Raftery 2007), over the same scale as mase.
    - coverage: the share of values within the interval of 90 %.
    """
    there = np.isfinite(case.test)
    truth, mean = case.test[there], forecast.mean[there]
    size = np.abs(truth) + np.abs(mean)
    error = np.abs(truth - mean)
    found = {
        "mase": mase(case.train, truth, mean, case.season),
        "smape": float(200 * np.divide(error, size, out=np.zeros_like(error), where=size > 0).mean()),
    }
    if forecast.quantiles is not None:
        quantiles = forecast.quantiles[:, there]
        levels = np.array(LEVELS)[:, None]
        above = truth - quantiles
        found["crps"] = float(
            2 * np.maximum(levels * above, (levels - 1) * above).mean() / scale_of(case.train, case.season)
        )
        found["coverage"] = float(((quantiles[0] <= truth) & (truth <= quantiles[-1])).mean())
    return found
