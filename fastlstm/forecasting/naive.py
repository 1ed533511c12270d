"""Naive forecasts, which every other forecast has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def last_value(history: Array, horizon: int) -> Array:
    """The forecast that repeats the last value: (..., T) to (..., horizon).

    Examples
    --------
    >>> import numpy as np
    >>> last_value(np.array([1, 2, 3, 4]), horizon=3)
    array([4, 4, 4])
    """
    return np.repeat(history[..., -1:], horizon, axis=-1)


def last_season(history: Array, horizon: int, season: int) -> Array:
    """The forecast that repeats the last season: (..., T) to (..., horizon).

    Examples
    --------
    >>> import numpy as np
    >>> last_season(np.array([1, 2, 3, 4]), horizon=3, season=2)
    array([3, 4, 3])
    """
    return history[..., history.shape[-1] - season + np.arange(horizon) % season]
