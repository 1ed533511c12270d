"""The forecaster: a classical forecast, and an LSTM that learns what it misses."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks import Callback, EarlyStopping
from fastlstm.forecasting.band import Band
from fastlstm.forecasting.calendar import calendar_features
from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.panel import Panel, panel_of
from fastlstm.forecasting.plan import Plan, plan_of
from fastlstm.forecasting.reading import OWN, Sequences, flat_of, sequences
from fastlstm.forecasting.seasons import season_of
from fastlstm.layers import LSTM, Dense, Dropout, Layer
from fastlstm.model import Model
from fastlstm.optim import Adam
from fastlstm.training import History, Trainer

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_WINDOWS = 32
"""With fewer windows to learn from, the classical forecast stays as it is."""

SHARES = np.linspace(0, 1, 11)
"""The shares of the network's correction that are tried on held-out values."""

DOUBT = 2.0
"""Held-out origins that speak against the network before there is one."""


@dataclass(frozen=True)
class Fitted:
    """What `LSTMForecaster.fit` has learned."""

    panel: Panel
    season: int
    horizon: int
    window: int
    classical: Classical
    model: Model
    share: Floats
    error: Floats
    centre: Floats
    width: Floats
    band: Band


class LSTMForecaster:
    """Forecasts one series or thousands."""

    def __init__(
        self,
        season: int | None = None,
        *,
        window: int | None = None,
        hidden_size: int = 32,
        num_layers: int = 1,
        dropout: float = 0.0,
        loss: str = "mae",
        scaling: str = "instance",
        calendar: bool = True,
        holidays: str | None = None,
        freq: str | None = None,
        validation: float = 0.2,
        max_windows: int = 20_000,
        epochs: int = 40,
        patience: int = 6,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        random_state: int | None = 0,
    ) -> None:
        self.season = season
        self.window = window
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.loss = loss
        self.scaling = scaling
        self.calendar = calendar
        self.holidays = holidays
        self.freq = freq
        self.validation = validation
        self.max_windows = max_windows
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self._fitted: Fitted | None = None

    def fit(self, y: Any, X: Any = None, fh: int = 12, *, callbacks: Iterable[Callback] = (), progress: bool | None = None) -> History:
        panel, horizon = panel_of(y, freq=self.freq), _check.positive_int(fh, "fh")
        season = self.season or panel.grid.season or season_of(panel.values)
        lengths = np.array([len(values) for values in panel.values])
        plan = plan_of(lengths, horizon, season, self.window, self.validation, self.max_windows, self.random_state)
        early = [values[:end] for values, end in zip(panel.values, plan.ends, strict=True)]
        classical = Classical.fit(early, season)
        centre, width = self._scales(early)
        beside = self._beside(panel, season, horizon)
        rows, origins = (np.concatenate(pair) for pair in zip(plan.train, plan.held_out, strict=True))
        rolled = classical.roll(panel.values, horizon, rows, origins)
        error = _errors(early, rolled.next)
        flat = flat_of(panel.values, rolled.next, beside, plan.window, horizon)
        known = sequences(flat, rows, origins, rolled.ahead, error, plan.window, centre, width)
        cut = len(plan.train[0])
        learn, held_out = _part(known, slice(0, cut)), _part(known, slice(cut, None))
        model = Model(self._layers(known.x.shape[2]), seed=self.random_state)
        share, history = np.zeros(horizon), History()
        if cut >= LEAST_WINDOWS and len(plan.held_out[0]):
            history = self._train(model, learn, held_out, callbacks, progress)
            share = self._share(self._corrections(model, held_out.x, horizon), held_out.target, plan)
        corrected = held_out.target - share * self._corrections(model, held_out.x, horizon) if len(held_out.x) else held_out.target
        blocks = len(corrected) / min(horizon, max(1, len(corrected) / max(len(np.unique(plan.held_out[0])), 1)))
        band = Band.of(learn.target, corrected, blocks)
        last = Classical.fit(panel.values, season)
        self._fitted = Fitted(panel, season, horizon, plan.window, last, model, share, error, centre, width, band)
        return history

    def _layers(self, features: int) -> list[Layer]:
        sizes = [features, *[self.hidden_size] * self.num_layers]
        lstms: list[Layer] = [LSTM(i, o) for i, o in zip(sizes, sizes[1:], strict=False)]
        return [*lstms, *([Dropout(self.dropout)] if self.dropout else []), Dense(self.hidden_size, 1)]

    def _train(self, model: Model, learn: Sequences, held_out: Sequences, callbacks: Iterable[Callback], progress: bool | None) -> History:
        trainer = Trainer(model, self.loss, Adam(lr=self.learning_rate), clip_norm=1.0,
            callbacks=[EarlyStopping(patience=self.patience), *callbacks])
        x, y, weight = _targets(learn)
        vx, vy, vw = _targets(held_out)
        return trainer.fit(x, y, sample_weight=weight, epochs=self.epochs, batch_size=self.batch_size,
            validation=(vx, vy), seed=self.random_state, progress=progress)

    def _corrections(self, model: Model, x: Any, horizon: int) -> Floats:
        return model.predict(x)[:, -horizon:, 0].astype(np.float64)

    def _share(self, correction: Floats, target: Floats, plan: Plan) -> Floats:
        losses = np.array([np.nanmean(np.abs(target - share * correction)) for share in SHARES])
        best = SHARES[losses.argmin()]
        blocks = max(1.0, len(target) / plan.horizon) if len(np.unique(plan.held_out[0])) < len(target) else len(target)
        return np.full(plan.horizon, best * blocks / (blocks + DOUBT))

    def _scales(self, values: Sequence[Floats]) -> tuple[Floats, Floats]:
        nothing = np.full(len(values), np.nan)
        if self.scaling == "standard":
            return np.array([np.nanmean(v) for v in values]), np.array([np.nanstd(v) for v in values])
        if self.scaling == "robust":
            return np.array([np.nanmedian(v) for v in values]), np.array([np.subtract(*np.nanpercentile(v, [75, 25])) / 1.349 for v in values])
        return nothing, nothing

    def _beside(self, panel: Panel, season: int, horizon: int) -> list[Floats]:
        end = max(panel.ends) + horizon
        features = calendar_features(panel.grid, 0, end, season, self.holidays) if self.calendar else np.zeros((end, 0))
        signs = np.eye(len(panel)) if 1 < len(panel) <= 16 else np.zeros((len(panel), 0))
        found = []
        for start, stop, sign in zip(panel.starts, panel.ends, signs, strict=True):
            own = features[start : stop + horizon]
            found.append(np.concatenate([own, np.broadcast_to(sign, (len(own), len(sign)))], axis=1))
        return found

    def _predicted(self) -> tuple[Floats, Floats]:
        fitted = self._fitted
        assert fitted is not None
        panel, horizon = fitted.panel, fitted.horizon
        rows, origins = np.arange(len(panel)), np.array([len(values) for values in panel.values])
        rolled = fitted.classical.roll(panel.values, horizon, rows, origins)
        flat = flat_of(panel.values, rolled.next, self._beside(panel, fitted.season, horizon), fitted.window, horizon)
        known = sequences(flat, rows, origins, rolled.ahead, fitted.error, fitted.window, fitted.centre, fitted.width)
        mean = known.base
        if fitted.share.any():
            mean = mean + known.scale[:, None] * fitted.share * self._corrections(fitted.model, known.x, horizon)
        return mean, known.scale

    def predict(self, fh: int | None = None) -> Any:
        mean, _ = self._predicted()
        return self._fitted.panel.given_back(mean[:, :fh])

    def predict_quantiles(self, levels: Sequence[float] = (0.1, 0.5, 0.9), fh: int | None = None) -> Any:
        mean, scale = self._predicted()
        band = self._fitted.band.quantiles(np.asarray(levels, np.float64))
        return self._fitted.panel.given_back((mean[..., None] + scale[:, None, None] * band)[:, :fh], list(levels))

    def predict_interval(self, fh: int | None = None, coverage: float = 0.9) -> Any:
        mean, scale = self._predicted()
        band = self._fitted.band.quantiles(np.array([(1 - coverage) / 2, (1 + coverage) / 2]))
        return self._fitted.panel.given_back((mean[..., None] + scale[:, None, None] * band)[:, :fh], ["lower", "upper"])


def _targets(known: Sequences) -> tuple[Any, Any, Any]:
    """x, targets (M, window + horizon, 1) and weights (M, window + horizon), 0 before the origin and where nothing is known."""
    window = known.x.shape[1] - known.target.shape[1]
    targets = np.pad(known.target, ((0, 0), (window, 0)))
    weights = np.pad((~np.isnan(known.target)).astype(np.float32), ((0, 0), (window, 0)))
    return known.x, np.clip(np.nan_to_num(targets), -20, 20)[..., None].astype(np.float32), weights


def _part(known: Sequences, which: slice) -> Sequences:
    return Sequences(known.x[which], known.base[which], known.scale[which], known.target[which])


def _errors(values: Sequence[Floats], following: Sequence[Floats]) -> Floats:
    """The root mean square of the errors of one step, for each series."""
    found = np.empty(len(values))
    for at, (own, forecast) in enumerate(zip(values, following, strict=True)):
        missed = own - forecast[: len(own)]
        missed = missed[~np.isnan(missed)]
        size = np.sqrt(np.mean(missed**2)) if len(missed) else 0.0
        found[at] = max(size, 1e-9 * max(1.0, float(np.nanmax(np.abs(own)))))
    return found
