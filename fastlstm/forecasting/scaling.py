"""From series to the numbers that a network reads and predicts, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.naive import last_season, last_value

Array = NDArray[Any]


LONGEST = 10_000_000
"""Steps that a window or a season may have."""


@dataclass(frozen=True)
class Scaling:
    """Converts between the units of the series and those of the network, which predicts errors of a naive forecast.

    Pasts are (M, columns + others, context): the columns to be forecast, then other inputs. Futures are
    (M, columns, horizon). For the network each column is a sequence of its own: a batch has M·columns rows.
    """

    horizon: int
    window: int
    season: int
    seasonal: bool
    patch: int
    columns: int
    input_scale: Array
    target_scale: Array

    def __post_init__(self) -> None:
        for name in ("horizon", "window", "season", "patch", "columns"):
            _check.positive_int(getattr(self, name), name, LONGEST)
        _check.flag(self.seasonal, "seasonal")
        if self.window % self.patch:
            raise ValueError(f"window: expected a multiple of patch={self.patch}, got {self.window}")
        others = max(0, len(self.input_scale) - self.columns)
        for name, size in (("input_scale", self.columns + others), ("target_scale", self.columns)):
            scale = _check.real_array(getattr(self, name), name, np.dtype(np.float64), (size,))
            if not (scale > 0).all():
                raise ValueError(f"{name}: expected numbers above 0, got {scale.min():g}")

    @property
    def features(self) -> int:
        """Number of inputs of the network at each step."""
        others = (len(self.input_scale) - self.columns) * self.patch
        return self.patch + others + (self.columns if self.columns > 1 else 0)

    def base(self, past: Array) -> Array:
        """The naive forecast that the network corrects, (M, columns, horizon)."""
        own = past[:, : self.columns]
        return last_season(own, self.horizon, self.season) if self.seasonal else last_value(own, self.horizon)

    def inputs(self, past: Array) -> Array:
        """Inputs of the network, (M·columns, window / patch, features).

        A step has a patch of the column, a patch of each other input, and a sign of which column it is.
        """
        recent = (past[..., -self.window :] - past[..., -1:]) / self.input_scale[:, None]
        steps = self.window // self.patch
        patches = recent.reshape(len(past), -1, steps, self.patch)
        shape = (len(past), self.columns, steps)
        parts = [patches[:, : self.columns]]
        if len(self.input_scale) > self.columns:
            others = patches[:, self.columns :].swapaxes(1, 2).reshape(len(past), 1, steps, -1)
            parts.append(np.broadcast_to(others, (*shape, others.shape[-1])))
        if self.columns > 1:
            parts.append(np.broadcast_to(np.eye(self.columns)[:, None], (*shape, self.columns)))
        return np.concatenate(parts, axis=-1).reshape(-1, steps, self.features)

    def targets(self, past: Array, future: Array) -> Array:
        """Targets of the network, (M·columns, horizon)."""
        return ((future - self.base(past)) / self.target_scale[:, None]).reshape(-1, self.horizon)

    def outputs(self, past: Array, target: Array) -> Array:
        """Forecasts from outputs of the network, (M, columns, horizon): the inverse of `targets`."""
        return self.base(past) + self.errors(target)

    def errors(self, target: Array) -> Array:
        """Differences of targets in the units of the series, (M, columns, horizon)."""
        return target.astype(np.float64).reshape(-1, self.columns, self.horizon) * self.target_scale[:, None]

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; see `from_dict`."""
        return asdict(self) | {"input_scale": self.input_scale.tolist(), "target_scale": self.target_scale.tolist()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Scaling:
        scales = {name: np.array(state[name], np.float64) for name in ("input_scale", "target_scale")}
        return cls(**{**state, **scales})

    @classmethod
    def of(cls, past: Array, future: Array, window: int, season: int, patch: int) -> Scaling:
        """The scaling for some windows, with the better of the two naive forecasts; without a season there is one."""
        columns, horizon = future.shape[1:]
        own = past[:, :columns]
        residuals = {False: future - last_value(own, horizon)}
        if season > 1:
            residuals[True] = future - last_season(own, horizon, season)
        spread = _sizes(residuals[False])  # so that columns of different units count alike
        seasonal = min(residuals, key=lambda choice: float((np.abs(residuals[choice]) / spread[:, None]).mean()))
        recent = past[..., -window:] - past[..., -1:]
        return cls(horizon, window, season, seasonal, patch, columns, _sizes(recent), _sizes(residuals[seasonal]))


def _sizes(values: Array) -> Array:
    """The divisor of each column: its root mean square, or 1 if all its values are 0."""
    sizes = np.sqrt(np.square(values).mean((0, 2)))
    return np.where(sizes > 0, sizes, 1.0)
