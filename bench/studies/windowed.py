"""The network of two studies, built of layers: it reads windows less their last value and corrects a naive forecast."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from fastlstm.application import Application
from fastlstm.callbacks import EarlyStopping
from fastlstm.data import windows
from fastlstm.schedules import Exponential

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How a network reads and learns; `validation` is the share of the values, at the end, that ends the training."""

    horizon: int
    season: int = 1
    window: int = 24
    patch: int = 1
    hidden_size: int = 32
    dropout: float = 0.0
    learning_rate: float = 0.01
    decay: float = 1.0
    loss: str = "mse"
    batch_size: int = 32
    epochs: int = 100
    patience: int = 20
    max_windows: int = 4000
    validation: float = 0.2
    seed: int = 0


class Windowed(Application):
    """Forecasts columns (T, C) by one network, each column by itself, with a sign of which one it is.

    Each step of the LSTM reads a patch of values. The network gives the difference to the last value, or to the last
    season, whichever is closer in the training part.
    """

    word: ClassVar[str] = "windowed"

    def __init__(self, horizon: int, **wishes: Any) -> None:
        super().__init__()
        self.setting = Setting(horizon, **wishes)
        self.model: fl.Model | None = None
        self.seasonal, self.columns = False, 1
        self.read, self.said = np.ones(1), np.ones(1)

    @property
    def context(self) -> int:
        """Values before a forecast that it takes."""
        return max(self.setting.window, self.setting.season)

    def fit(self, values: Floats) -> Self:
        """Learn from columns (T, C), or from one, (T,)."""
        setting, values = self.setting, values.reshape(len(values), -1)
        past, future = (part.swapaxes(1, 2) for part in windows(values, self.context, setting.horizon))
        train, later = self._parts_of(len(values))
        self.columns, missed = values.shape[1], {False: future[train] - self._naive(past[train], 1)}
        if setting.season > 1:
            missed[True] = future[train] - self._naive(past[train], setting.season)
        spread = _sizes(missed[False])[:, None]  # so that columns of different units count alike
        self.seasonal = min(missed, key=lambda choice: float((np.abs(missed[choice]) / spread).mean()))
        self.read = _sizes(past[train][..., -setting.window :] - past[train][..., -1:])
        self.said = _sizes(missed[self.seasonal])
        features = setting.patch + (self.columns if self.columns > 1 else 0)
        dropout = [fl.Dropout(setting.dropout)] if setting.dropout else []
        layers = [fl.LSTM(features, setting.hidden_size), fl.Last(), *dropout]
        self.model = fl.Model([*layers, fl.Dense(setting.hidden_size, setting.horizon)], seed=setting.seed)
        callbacks = [EarlyStopping(patience=setting.patience), Exponential(setting.decay)]
        trainer = fl.Trainer(
            self.model, setting.loss, fl.Adam(setting.learning_rate), clip_norm=1.0, callbacks=callbacks
        )
        trainer.fit(
            self._inputs(past[train]),
            self._targets(past[train], future[train]),
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            validation=(self._inputs(past[later]), self._targets(past[later], future[later])),
            seed=setting.seed,
            progress=False,
        )
        return self

    def predict(self, values: Floats) -> Floats:
        """The forecasts from every moment that has `context` values before it: (M, horizon, C), or (M, horizon)."""
        assert self.model is not None
        past, _ = windows(np.pad(values.reshape(len(values), -1), ((0, 1), (0, 0))), self.context, 1)
        past = past.swapaxes(1, 2)
        said = self.model.predict(self._inputs(past)).astype(np.float64)
        found = self._base(past) + said.reshape(-1, self.columns, self.setting.horizon) * self.said[:, None]
        return found.swapaxes(1, 2) if values.ndim == 2 else found[:, 0]

    def _parts_of(self, length: int) -> tuple[slice, slice]:
        """The windows to learn from, and the later ones."""
        setting = self.setting
        held = max(-(-3 * setting.horizon // 2), round(setting.validation * length))
        train = length - held - setting.horizon - self.context + 1
        stride = max(1, -(-train // setting.max_windows))
        while math.gcd(stride, setting.season * setting.patch) > 1:  # windows would begin in some hours only
            stride += 1
        return slice(0, train, stride), slice(setting.horizon - held - 1, None, stride)

    def _naive(self, past: Floats, season: int) -> Floats:
        return past[..., past.shape[-1] - season + np.arange(self.setting.horizon) % season]

    def _base(self, past: Floats) -> Floats:
        return self._naive(past, self.setting.season if self.seasonal else 1)

    def _inputs(self, past: Floats) -> Floats:
        """The patches of each column, (M·C, window / patch, features)."""
        setting = self.setting
        steps = setting.window // setting.patch
        recent = (past[..., -setting.window :] - past[..., -1:]) / self.read[:, None]
        parts = [recent.reshape(len(past), self.columns, steps, setting.patch)]
        if self.columns > 1:
            signs = np.eye(self.columns)[:, None]
            parts.append(np.broadcast_to(signs, (len(past), self.columns, steps, self.columns)))
        whole = np.concatenate(parts, axis=-1)
        return whole.reshape(-1, steps, whole.shape[-1])

    def _targets(self, past: Floats, future: Floats) -> Floats:
        return ((future - self._base(past)) / self.said[:, None]).reshape(-1, self.setting.horizon)

    def _parts(self) -> tuple[fl.Model, dict[str, Any]]:
        scales = {"read": self.read.tolist(), "said": self.said.tolist()}
        return self._learned(self.model), {"setting": asdict(self.setting), "seasonal": self.seasonal, **scales}

    @classmethod
    def _of_parts(cls, model: fl.Model, beside: dict[str, Any]) -> Self:
        found = cls(**beside["setting"])
        found.model, found.seasonal = model, bool(beside["seasonal"])
        found.read, found.said = np.array(beside["read"]), np.array(beside["said"])
        found.columns = len(found.said)
        return found


def _sizes(values: Floats) -> Floats:
    """The root mean square of each column, or 1 if all its values are 0."""
    sizes = np.sqrt(np.square(values).mean((0, 2)))
    return np.where(sizes > 0, sizes, 1.0)
