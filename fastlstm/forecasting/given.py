"""What a forecaster is given, as series in the units that it works in and columns beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm.forecasting.covariates import columns_of
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.distributions import head_of
from fastlstm.forecasting.panel import panel_of
from fastlstm.forecasting.parameters import MOST_COUNT, Parameters


def data_of(parameters: Parameters, y: Any, X: Any, known: Data | None = None) -> Data:
    """Series and columns; those that follow known ones have their steps.

    Raises
    ------
    TypeError, ValueError
        If they are no series, X does not fit, or values are not positive with scaling="log", or negative or above
        `MOST_COUNT` with a distribution of counts.
    """
    panel = panel_of(y, freq=known.panel.grid.step if known else parameters.freq)
    names, columns = columns_of(X, panel)
    low = min(float(np.nanmin(values)) for values in panel.values)
    if parameters.scaling == "log":
        if low <= 0:
            raise ValueError(f"y: expected positive numbers for scaling='log', got {low:g}")
        panel.values[:] = [np.log(values) for values in panel.values]
    if head_of(parameters.distribution, parameters.loss).counts:
        high = max(float(np.nanmax(values)) for values in panel.values)
        which = f"for distribution={parameters.distribution!r}"
        if low < 0:
            raise ValueError(f"y: expected no negative numbers {which}, got {low:g}")
        if high > MOST_COUNT:
            raise ValueError(f"y: expected numbers up to {MOST_COUNT:g} {which}, got {high:g}")
    return Data(panel, names, columns or [np.zeros((len(values), 0)) for values in panel.values])
