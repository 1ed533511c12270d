"""Naive forecasts, and the way from a naive forecast to what a network learns: its correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def last_value(history: Array, horizon: int) -> Array:
    """The naive forecast that nothing changes: (..., T) to (..., horizon).

    Examples
    --------
    >>> import numpy as np
    >>> last_value(np.array([1, 2, 3, 4]), horizon=3)
    array([4, 4, 4])
    """
    return np.repeat(history[..., -1:], horizon, axis=-1)


def last_season(history: Array, horizon: int, season: int) -> Array:
    """The seasonal naive forecast, that the last season repeats itself: (..., T) to (..., horizon).

    Examples
    --------
    >>> import numpy as np
    >>> last_season(np.array([1, 2, 3, 4]), horizon=3, season=2)
    array([3, 4, 3])
    """
    return history[..., history.shape[-1] - season + np.arange(horizon) % season]


@dataclass(frozen=True)
class Scaling:
    """The way between the units of the series and those of the network, for pasts (M, context)."""

    horizon: int
    window: int
    season: int
    seasonal: bool
    input_scale: float = 1.0
    target_scale: float = 1.0

    def base(self, past: Array) -> Array:
        """The naive forecast that is corrected: (M, horizon)."""
        return last_season(past, self.horizon, self.season) if self.seasonal else last_value(past, self.horizon)

    def inputs(self, past: Array) -> Array:
        """(M, window, 1)."""
        return ((past[:, -self.window :] - past[:, -1:]) / self.input_scale)[..., None]

    def targets(self, past: Array, future: Array) -> Array:
        """(M, horizon)."""
        return (future - self.base(past)) / self.target_scale

    def outputs(self, past: Array, target: Array) -> Array:
        """Inverse of `targets`."""
        return self.base(past) + target.astype(np.float64) * self.target_scale

    @classmethod
    def of(cls, past: Array, future: Array, window: int, season: int) -> Scaling:
        """Scales, and the better naive forecast, of some windows."""
        horizon = future.shape[1]
        choices = [cls(horizon, window, season, False)] + ([cls(horizon, window, season, True)] if season > 1 else [])
        best = min(choices, key=lambda choice: float(np.abs(choice.targets(past, future)).mean()))
        sizes = [_size(best.inputs(past)), _size(best.targets(past, future))]
        return cls(horizon, window, season, best.seasonal, *sizes)


def _size(values: Array) -> float:
    """Root mean square, or 1 for zeros: what to divide by."""
    return float(np.sqrt(np.square(values).mean())) or 1.0
