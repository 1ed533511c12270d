"""The contenders. Each is a function that fits to cases and returns a function that forecasts them.

A local one is given one series at a time; one for a panel all series of one half, frequency and origin, since it learns
from all of them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from bench.forecasting.data import Case
from bench.forecasting.protocol import Forecast

Predict = Callable[[], list[Forecast]]
Fit = Callable[[list[Case]], Predict]


@dataclass(frozen=True)
class Contender:
    """One contender.

    Parameters
    ----------
    title : str
        As pages call it.
    package : str
        What it is a part of; "fastlstm" is ours.
    module : str
        Which of this package's modules has the function.
    panel : bool
        Whether it learns from many series together.
    """

    title: str
    package: str
    module: str
    panel: bool = False

    def fit(self, name: str) -> Fit:
        """The function `name` of the module; ImportError if the package is not here."""
        function: Fit = getattr(import_module(f"{__name__}.{self.module}"), name)
        return function


CONTENDERS = {
    "seasonal_naive": Contender("SeasonalNaive", "statsforecast", "classical"),
    "auto_ets": Contender("AutoETS", "statsforecast", "classical"),
    "auto_theta": Contender("AutoTheta", "statsforecast", "classical"),
    "auto_arima": Contender("AutoARIMA", "statsforecast", "classical"),
    "neuralforecast_lstm": Contender("LSTM of neuralforecast", "neuralforecast", "neuralforecast", panel=True),
    "darts_lstm": Contender("RNNModel of darts", "darts", "darts", panel=True),
    "forecaster": Contender("fastlstm Forecaster", "fastlstm", "ours"),
    "lstm_forecaster": Contender("fastlstm LSTMForecaster", "fastlstm", "ours"),
    "lstm_forecaster_panel": Contender("fastlstm LSTMForecaster, panel", "fastlstm", "ours", panel=True),
}
