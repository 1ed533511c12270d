"""Forecasters of fastlstm, with their defaults: nothing is told but the dates, from which the season follows."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd

from bench.forecasting.contenders import Predict
from bench.forecasting.data import Case, Floats
from bench.forecasting.protocol import LEVELS, Forecast
from fastlstm.forecasting import Forecaster, LSTMForecaster


def lstm_forecaster(cases: list[Case]) -> Predict:
    (case,) = cases
    forecaster = LSTMForecaster().fit(pd.Series(case.train, case.dates()), fh=case.horizon)

    def predict() -> list[Forecast]:
        quantiles = forecaster.predict_quantiles(LEVELS).to_numpy().T
        return [Forecast(forecaster.predict().to_numpy(), quantiles)]

    return predict


def lstm_forecaster_panel(cases: list[Case]) -> Predict:
    parts = [
        pd.DataFrame({"unique_id": f"{at:05}", "ds": case.dates(), "y": case.train}) for at, case in enumerate(cases)
    ]
    horizon = cases[0].horizon
    forecaster = LSTMForecaster().fit(pd.concat(parts), fh=horizon)

    def predict() -> list[Forecast]:
        means = forecaster.predict().iloc[:, -1].to_numpy().reshape(-1, horizon)
        quantiles = forecaster.predict_quantiles(LEVELS).iloc[:, 2:].to_numpy().reshape(-1, horizon, len(LEVELS))
        return [Forecast(mean, own.T) for mean, own in zip(means, quantiles, strict=True)]

    return predict


def forecaster(cases: list[Case]) -> Predict:
    """Told the season, as the command `forecast` does; quantiles within its interval are those of two half normals."""
    (case,) = cases
    made = Forecaster(horizon=case.horizon, season=case.season)
    made.fit(case.train)

    def predict() -> list[Forecast]:
        found = made.forecast(case.train)
        mean, low, high = (part.reshape(-1) for part in (found.mean, found.low, found.high))
        return [Forecast(mean, within(mean, low, high))]

    return predict


def within(mean: Floats, low: Floats, high: Floats) -> Floats:
    """Quantiles at all levels, (19, horizon), from the mean and the ends of the interval of 90 %."""
    deviations = np.array([NormalDist().inv_cdf(level) for level in LEVELS])[:, None]
    side = np.where(deviations < 0, mean - low, high - mean)
    return np.asarray(mean + side * deviations / deviations[-1])
