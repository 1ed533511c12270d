"""darts' RNNModel with its defaults and model="LSTM", which has no intervals then.

It has no default for the length of its input: that is two seasons here, but from 12 to 24 values, the length of its
trainings (`training_length`, by default 24) less one at most. Each series is scaled to 0 to 1, as darts' examples do.
"""

from __future__ import annotations

import logging
import warnings

import numpy as np
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.models import RNNModel

from bench.forecasting.contenders import Predict
from bench.forecasting.data import Case
from bench.forecasting.protocol import Forecast

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def darts_lstm(cases: list[Case]) -> Predict:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    scaler = Scaler()
    series = [TimeSeries.from_times_and_values(case.dates(), case.train.astype(np.float32)) for case in cases]
    scaled = scaler.fit_transform(series)
    model = RNNModel(
        min(23, max(12, 2 * cases[0].season)), "LSTM", random_state=0, pl_trainer_kwargs={"accelerator": "cpu", **QUIET}
    )
    # A training needs one value more than it reads
    long = [one for one in scaled if len(one) > 24]
    model.fit(long, verbose=False)

    def predict() -> list[Forecast]:
        found = scaler.inverse_transform(model.predict(cases[0].horizon, series=scaled, verbose=False))
        return [Forecast(one.values()[:, 0].astype(np.float64)) for one in found]

    return predict
