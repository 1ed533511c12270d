"""statsforecast's models, as their users call them: the length of the season is told, all else is chosen by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from statsforecast.models import AutoARIMA, AutoETS, AutoTheta, SeasonalNaive

from bench.forecasting.contenders import Predict
from bench.forecasting.data import Case
from bench.forecasting.protocol import Forecast

INTERVALS = list(range(10, 100, 10))
"""In per cent; their ends are the quantiles but the median."""


def _fitted(model: Any, cases: list[Case]) -> Predict:
    (case,) = cases
    model.fit(case.train)

    def predict() -> list[Forecast]:
        found = model.predict(h=case.horizon, level=INTERVALS)
        low = [found[f"lo-{level}"] for level in reversed(INTERVALS)]
        high = [found[f"hi-{level}"] for level in INTERVALS]
        return [Forecast(np.asarray(found["mean"]), np.array([*low, found["mean"], *high]))]

    return predict


def seasonal_naive(cases: list[Case]) -> Predict:
    return _fitted(SeasonalNaive(season_length=cases[0].season), cases)


def auto_ets(cases: list[Case]) -> Predict:
    return _fitted(AutoETS(season_length=cases[0].season), cases)


def auto_theta(cases: list[Case]) -> Predict:
    return _fitted(AutoTheta(season_length=cases[0].season), cases)


def auto_arima(cases: list[Case]) -> Predict:
    return _fitted(AutoARIMA(season_length=cases[0].season), cases)
