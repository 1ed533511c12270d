"""neuralforecast's LSTM with its defaults, which has no intervals then.

It refuses a panel with a series shorter than what it reads, three horizons; then it is told to pad, as its error says.
"""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import LSTM

from bench.forecasting.contenders import Predict
from bench.forecasting.data import FREQUENCIES, Case
from bench.forecasting.protocol import Forecast

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def neuralforecast_lstm(cases: list[Case]) -> Predict:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    parts = [
        pd.DataFrame({"unique_id": f"{at:05}", "ds": case.dates(), "y": case.train}) for at, case in enumerate(cases)
    ]
    horizon, frequency = cases[0].horizon, FREQUENCIES[cases[0].frequency].alias
    short = min(len(case.train) for case in cases) < 4 * horizon
    model = LSTM(h=horizon, accelerator="cpu", start_padding_enabled=short, **QUIET)
    forecaster = NeuralForecast([model], freq=frequency)
    forecaster.fit(pd.concat(parts))

    def predict() -> list[Forecast]:
        found = forecaster.predict().sort_values(["unique_id", "ds"])
        means = found["LSTM"].to_numpy(np.float64).reshape(-1, horizon)
        return [Forecast(mean) for mean in means]

    return predict
