"""Forecasters of fastlstm, with their defaults: nothing is told but the dates, from which the season follows."""

from __future__ import annotations

import pandas as pd

from bench.forecasting.contenders import Predict
from bench.forecasting.data import Case
from bench.forecasting.protocol import LEVELS, Forecast
from fastlstm.forecasting import LSTMForecaster


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
