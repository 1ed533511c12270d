"""Files of earlier versions: a network that corrects a naive forecast, and a band of one width for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.application import check_hidden_size
from fastlstm.forecasting.covariates import held
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.outlook import undone
from fastlstm.forecasting.smoothing import LONGEST
from fastlstm.model import Model

Floats = NDArray[np.float64]

SIZES = ("horizon", "season", "window", "patch", "columns")


@dataclass(frozen=True)
class Earlier:
    """What a file of an earlier version holds.

    The network reads each window minus its last value, several values at a step, and gives the differences to a naive
    forecast: the last season again, or the last value. Columns go through it one by one, each with a sign.

    Attributes
    ----------
    model : Model
    horizon, season, window, patch, columns : int
    seasonal : bool
        Whether the last season is corrected, and not the last value.
    input_scale : (columns + others,)
        What the inputs are divided by.
    target_scale : (columns,)
        What the outputs are multiplied by.
    band : (columns, horizon)
        Half the width of the interval.
    coverage : float
        Of the interval.
    beside : dict
        All that the file has beside the network.
    """

    model: Model
    horizon: int
    season: int
    window: int
    patch: int
    columns: int
    seasonal: bool
    input_scale: Floats
    target_scale: Floats
    band: Floats
    coverage: float
    beside: dict[str, Any]

    @classmethod
    def from_dict(cls, model: Model, beside: dict[str, Any]) -> Earlier:
        """The parts of a file, each checked."""
        options, scaling = beside["options"], beside["scaling"]
        sizes = {name: _check.positive_int(scaling[name], name, LONGEST) for name in SIZES}
        for name in SIZES[:-1]:
            if options[name] not in (None, sizes[name]):
                raise ValueError(f"{name}: expected {sizes[name]}, as it was learned with, got {options[name]!r:.80}")
        shape = sizes["columns"], sizes["horizon"]
        found = cls(
            model=model,
            **sizes,
            seasonal=_check.flag(scaling["seasonal"], "seasonal"),
            input_scale=_above(scaling["input_scale"], "input_scale", ("C",), 1e-300),
            target_scale=_above(scaling["target_scale"], "target_scale", shape[:1], 1e-300),
            band=_above(beside["band"], "band", shape, 0.0),
            coverage=_check.number(options["coverage"], "coverage", 0, 1, open_high=True),
            beside=beside,
        )
        found._check(options["hidden_size"])
        return found

    def _check(self, hidden_size: int) -> None:
        if self.window % self.patch or len(self.input_scale) < self.columns:
            raise ValueError(
                f"window: expected a multiple of patch={self.patch} and a scale of each column, got {self.window} and "
                f"{len(self.input_scale)} scales for {self.columns} columns"
            )
        check_hidden_size(self.model, hidden_size)
        wanted, got = (self.features, self.horizon), (self.model.input_shape[-1], self.model.output_shape[-1])
        if got != wanted or len(self.model.output_shape) != 2:
            raise ValueError(f"model: expected one from {wanted[0]} features to (N, {wanted[1]}), got {self.model!r}")

    @property
    def features(self) -> int:
        """Inputs of the network at each step."""
        others = (len(self.input_scale) - self.columns) * self.patch
        return self.patch + others + (self.columns if self.columns > 1 else 0)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `LSTMForecaster` that a file of this kind corresponds to."""
        options = self.beside["options"]
        names = ("season", "window", "patch", "hidden_size", "dropout", "epochs", "patience", "batch_size", "loss")
        shared = {name: options[name] for name in (*names, "learning_rate", "validation", "max_windows")}
        log = _check.flag(options.get("log", False), "log")
        return {**shared, "scaling": "log" if log else "instance", "random_state": options["seed"]}

    def outlook(self, data: Data, scaling: str) -> EarlierOutlook:
        """The outlook from the end of series.

        Raises
        ------
        ValueError
            If they are more or less than those that were learned from, or too short.
        """
        others = len(self.input_scale) - self.columns
        if len(data.panel) != self.columns or len(data.names) != others:
            raise ValueError(
                f"y: expected {self.columns} series and {others} columns of X, as in fit, got {len(data.panel)} and "
                f"{len(data.names)}"
            )
        context = max(self.window, self.season)
        if int(data.lengths.min()) < context:
            raise ValueError(f"y: expected at least {context} values of each series, got {int(data.lengths.min())}")
        lines = [*data.panel.values, *(data.columns[0].T if others else ())]
        past = np.stack([held(line[-context:, None])[:, 0] for line in lines])
        if np.isnan(past).any():
            raise ValueError(f"y: expected a measured value at the beginning of the last {context}, got a missing one")
        change = self.model.predict(self._inputs(past)).astype(np.float64) * self.target_scale[:, None]
        return EarlierOutlook(self._naive(past[: self.columns]) + change, self.band, self.coverage, scaling)

    def _naive(self, own: Floats) -> Floats:
        if self.seasonal:
            return np.asarray(own[:, own.shape[1] - self.season + np.arange(self.horizon) % self.season])
        return np.repeat(own[:, -1:], self.horizon, axis=1)

    def _inputs(self, past: Floats) -> Floats:
        """The inputs of the network, (columns, window / patch, features)."""
        recent = (past[:, -self.window :] - past[:, -1:]) / self.input_scale[:, None]
        steps = self.window // self.patch
        patches = recent.reshape(-1, steps, self.patch)
        parts = [patches[: self.columns]]
        if len(patches) > self.columns:
            others = patches[self.columns :].swapaxes(0, 1).reshape(1, steps, -1)
            parts.append(np.broadcast_to(others, (self.columns, *others.shape[1:])))
        if self.columns > 1:
            parts.append(np.broadcast_to(np.eye(self.columns)[:, None], (self.columns, steps, self.columns)))
        return np.concatenate(parts, axis=-1)


def _above(value: Any, name: str, shape: tuple[int | str, ...], least: float) -> Floats:
    array: Floats = _check.real_array(value, name, np.dtype(np.float64), shape)
    if not (array >= least).all():
        raise ValueError(f"{name}: expected numbers from {least:g} on, got {array.min():g}")
    return array


@dataclass(frozen=True)
class EarlierOutlook:
    """What comes, by a file of an earlier version: see `outlook.Outlook`.

    Its file has an interval of one coverage. Others have the widths that they would have of a normal distribution.
    """

    mean: Floats
    band: Floats
    coverage: float
    scaling: str

    def point(self) -> Floats:
        return undone(self.mean, self.scaling)

    def quantiles(self, levels: Floats) -> Floats:
        from scipy.special import ndtri

        size = self.band / ndtri((1 + self.coverage) / 2) if self.coverage > 0 else 0 * self.band
        return undone(self.mean[..., None] + size[..., None] * ndtri(levels), self.scaling)

    def paths(self, count: int, rng: np.random.Generator) -> Floats:
        """ValueError: such a file does not say how steps go together."""
        raise ValueError("this forecaster comes from a file of an earlier version, which has no paths: fit anew")
