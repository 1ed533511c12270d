"""The contenders. Each is a function that fits to cases and returns a function that forecasts them.

A local one is given one series at a time; one for a panel all series of one half, frequency and origin, since it learns
from all of them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from bench.forecasting.data import REPORT, Case
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
    sampled : bool
        Whether it takes so long that it forecasts a sample only: the half of the report, from the last moments.
    """

    title: str
    package: str
    module: str
    panel: bool = False
    sampled: bool = False

    def asked(self, cases: list[Case]) -> list[Case]:
        """What it forecasts of these cases."""
        return [case for case in cases if not self.sampled or in_sample(case)]

    def fit(self, name: str) -> Fit:
        """The function `name` of the module; ImportError if the package is not here."""
        function: Fit = getattr(import_module(f"{__name__}.{self.module}"), name)
        return function


def in_sample(case: Case) -> bool:
    return case.half == REPORT and case.origin == 0


CONTENDERS = {
    "seasonal_naive": Contender("SeasonalNaive", "statsforecast", "classical"),
    "auto_ets": Contender("AutoETS", "statsforecast", "classical"),
    "auto_theta": Contender("AutoTheta", "statsforecast", "classical"),
    "auto_arima": Contender("AutoARIMA", "statsforecast", "classical"),
    "neuralforecast_lstm": Contender(
        "LSTM of neuralforecast", "neuralforecast", "neuralforecast", panel=True, sampled=True
    ),
    "darts_lstm": Contender("RNNModel of darts", "darts", "darts", panel=True, sampled=True),
    "lstm_forecaster": Contender("LSTMForecaster", "fastlstm", "ours"),
    "lstm_forecaster_panel": Contender("LSTMForecaster, panel", "fastlstm", "ours", panel=True),
}
