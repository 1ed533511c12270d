"""Naive forecasts: what every other forecast should beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.covariates import held

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def last_season(values: Floats, season: int, origins: Ints, horizon: int) -> Floats:
    """The last measured value of each step of the season again, from several origins; with season=1 the last value.

    Parameters
    ----------
    values : (T,)
        NaN where nothing was measured, which is not the first.
    season : int
    origins : (O,)
        The number of the first value that is forecast, from 1 to T.
    horizon : int

    Returns
    -------
    (O, horizon)
        Where no value of a step of the season is known, the last value.

    Examples
    --------
    >>> import numpy as np
    >>> last_season(np.array([1.0, 2.0, 3.0, np.nan, 5.0]), 2, np.array([4, 5]), 3)
    array([[3., 2., 3.],
           [2., 5., 2.]])
    """
    whole = np.full((-(-len(values) // season), season), np.nan)
    whole.reshape(-1)[: len(values)] = values
    places = origins[:, None] - season + np.arange(horizon) % season
    found = np.where(places >= 0, held(whole).reshape(-1)[np.maximum(places, 0)], np.nan)
    return np.where(np.isnan(found), held(values[:, None])[origins - 1], found)


def naive_error(values: Floats, season: int) -> float:
    """The mean absolute error of the last season again within a series, never 0; NaN if there is none."""
    lag = season if len(values) > season else 1
    missed = np.abs(values[lag:] - values[:-lag])
    missed = missed[~np.isnan(missed)]
    return max(float(missed.mean()), 1e-12) if len(missed) else np.nan
