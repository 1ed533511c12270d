"""Forecasts from rolling origins: what a forecaster would have said of values that came since."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.backtest import LAST_SEASON, LAST_VALUE, Backtest
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.learning import Learned
from fastlstm.forecasting.naive import last_season, naive_error
from fastlstm.forecasting.outlook import ends_of, outlooks_of, undone
from fastlstm.forecasting.parameters import Parameters

Floats = NDArray[np.float64]

MOST_STEPS = 2_000_000
"""Steps of sequences that the network reads at a time."""


def rolled(
    parameters: Parameters,
    learned: Learned,
    known: Data,
    whole: Data,
    horizon: int,
    step: int,
    count: int,
    coverage: float,
) -> Backtest:
    """Forecasts of series from so many origins, the first of which is where those that are known end.

    Parameters
    ----------
    parameters : Parameters
        The parameters of the forecaster.
    learned : Learned
    known, whole : Data
        The series as they were learned from, and with what came since.
    horizon, step, count : int
        Steps of each forecast, steps from one origin to the next, and how many origins there are.
    coverage : float
        Of the intervals.
    """
    values = whole.panel.values
    origins = np.minimum(known.lengths + step * np.arange(count)[:, None], whole.lengths)
    rows = np.broadcast_to(np.arange(len(values)), origins.shape).reshape(-1)
    whole_horizon = max(horizon, learned.reader.horizon)  # the network has learned to see the steps as shares of it
    most = max(1, MOST_STEPS // (learned.reader.window + whole_horizon))
    parts = [
        (part.point()[:, :horizon], part.quantiles(ends_of(coverage))[:, :horizon])
        for part in outlooks_of(parameters, learned, whole, whole_horizon, None, rows, origins.reshape(-1), most)
    ]
    shape = (*origins.shape, horizon)
    forecast, ends = (np.concatenate(each) for each in zip(*parts, strict=True))
    lower, upper = np.moveaxis(ends.reshape(*shape, 2), -1, 0)
    season = learned.reader.season

    def stacked(each: list[Floats]) -> Floats:
        return undone(np.stack(each, axis=1), parameters.scaling)

    truth = stacked([_ahead(own, at, horizon) for own, at in zip(values, origins.T, strict=True)])
    naive = {
        name: stacked([last_season(own, lag, at, horizon) for own, at in zip(values, origins.T, strict=True)])
        for name, lag in {LAST_VALUE: 1, **({LAST_SEASON: season} if season > 1 else {})}.items()
    }
    scale = np.array([naive_error(undone(own, parameters.scaling), season) for own in known.panel.values])
    panel = replace(whole.panel, values=[undone(own, parameters.scaling) for own in values])
    return Backtest(panel, origins, truth, forecast.reshape(shape), lower, upper, naive, scale, step)


def _ahead(values: Floats, origins: NDArray[np.intp], horizon: int) -> Floats:
    """The values from each origin on, (O, horizon); NaN behind the end."""
    padded = np.concatenate([values, np.full(horizon, np.nan)])
    return np.asarray(padded[origins[:, None] + np.arange(horizon)])
