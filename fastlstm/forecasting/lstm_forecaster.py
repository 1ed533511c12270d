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
from fastlstm.forecasting.band import Band, wider_of
from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.covariates import Covariates, Static, columns_of, future_of
from fastlstm.forecasting.distributions import head_of
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.learning import (
    LEAST_WINDOWS,
    MOST_SIGNS,
    Batches,
    Reader,
    blocks_of,
    errors_of,
    layers_of,
    outputs_of,
    scales_of,
    share_of,
)
from fastlstm.forecasting.panel import Panel, panel_of
from fastlstm.forecasting.plan import plan_of
from fastlstm.forecasting.reading import Sequences
from fastlstm.forecasting.rolling import RollingBacktest, last_season, naive_error
from fastlstm.forecasting.seasons import season_of
from fastlstm.model import Model
from fastlstm.optim import Adam
from fastlstm.training import History, Trainer

Floats = NDArray[np.float64]

SCALINGS = ("instance", "standard", "robust", "log")
STRATEGIES = ("direct", "recursive")


@dataclass(frozen=True)
class Learned:
    """What `LSTMForecaster.fit` has learned."""

    reader: Reader
    static: Static | None
    classical: Classical
    model: Model
    share: float
    band: Band


class LSTMForecaster:
    """Forecasts one series or thousands."""

    def __init__(
        self,
        season: int | None = None,
        *,
        window: int | None = None,
        strategy: str = "direct",
        distribution: str = "point",
        loss: str = "mae",
        scaling: str = "instance",
        past_covariates: Sequence[Any] = (),
        calendar: bool = True,
        holidays: str | None = None,
        freq: str | None = None,
        hidden_size: int = 32,
        num_layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 40,
        patience: int = 6,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        validation: float = 0.2,
        max_windows: int = 20_000,
        random_state: int | None = 0,
    ) -> None:
        self.season = season
        self.window = window
        self.strategy = strategy
        self.distribution = distribution
        self.loss = loss
        self.scaling = scaling
        self.past_covariates = past_covariates
        self.calendar = calendar
        self.holidays = holidays
        self.freq = freq
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.max_windows = max_windows
        self.random_state = random_state
        self._learned: Learned | None = None
        self._data: Data | None = None

    # ---- scikit-learn's parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        known = inspect.signature(type(self)).parameters
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{name}: expected one of the parameters {', '.join(known)}")
            setattr(self, name, value)
        return self

    # ---- learning

    def fit(
        self,
        y: Any,
        X: Any = None,
        fh: int = 12,
        *,
        static: Any = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
    ) -> Self:
        self._fit(self._data_of(y, X), _check.positive_int(fh, "fh"), static, callbacks, progress)
        return self

    def _fit(
        self, data: Data, horizon: int, static: Any, callbacks: Iterable[Callback] = (), progress: bool | None = None
    ) -> None:
        panel, names = data.panel, data.names
        season = self.season or panel.grid.season or season_of(panel.values)
        plan = plan_of(data.lengths, horizon, season, self.window, self.validation, self.max_windows, self.random_state)
        early = [values[:end] for values, end in zip(panel.values, plan.ends, strict=True)]
        classical = Classical.fit(early, season)
        rows, origins = (np.concatenate(pair) for pair in zip(plan.train, plan.held_out, strict=True))
        rolled = classical.roll(panel.values, horizon, rows, origins)
        covariates = Covariates.of(names, [part[:end] for part, end in zip(data.columns, plan.ends, strict=True)], self.past_covariates)
        signs, known_static = self._static(static, panel)
        centre, width = scales_of(early, self.scaling)
        reader = Reader(season, horizon, plan.window, self.calendar, self.holidays, covariates, signs, errors_of(early, rolled.next), centre, width)
        flat = reader.flat(data, rolled.next, horizon, None)
        cut = len(plan.train[0])
        held_out = reader.read(flat, rows[cut:], origins[cut:], rolled.ahead[cut:])
        head, recursive = head_of(self.distribution, self.loss), self.strategy == "recursive"
        steps = 1 if recursive else horizon
        learn = reader.read(flat, rows[:cut], origins[:cut], rolled.ahead[:cut, :steps])
        model = Model(layers_of(learn.x.shape[2], self.hidden_size, self.num_layers, self.dropout, head.outputs), seed=self.random_state)
        self.history_ = History()
        share, blocks = 0.0, blocks_of(plan)
        missed = learn.target if not recursive else reader.read(flat, rows[:cut], origins[:cut], rolled.ahead[:cut]).target
        if cut >= LEAST_WINDOWS and len(held_out.x):
            valid = held_out if not recursive else reader.read(flat, rows[cut:], origins[cut:], rolled.ahead[cut:, :1])
            self.history_ = self._train(model, head, learn, valid, callbacks, progress)
            out = outputs_of(model, head, held_out, recursive)
            share = 1.0 if head.own_width else share_of(head, out, held_out.target, blocks)
            corrected = held_out.target - share * head.middle(out) if not head.counts else held_out.target
            band = Band.of(missed, corrected, blocks)
            if head.own_width and not head.counts:
                half = (head.around(out, Band(band.growth, band.shape, 1.0, band.ranks), np.array([0.05, 0.95])) * [-1, 1]).mean(-1)
                band = Band(band.growth, band.shape, wider_of(corrected / half, 1.0, blocks), band.ranks)
        else:
            band = Band.of(missed, held_out.target, blocks)
        self._learned = Learned(reader, known_static, Classical.fit(panel.values, season), model, share, band)
        self._data = data

    def _data_of(self, y: Any, X: Any) -> Data:
        panel = panel_of(y, freq=self.freq)
        if self.scaling == "log":
            low = min(np.nanmin(values) for values in panel.values)
            if low <= 0:
                raise ValueError(f"y: expected positive numbers for scaling='log', got {low:g}")
            panel.values[:] = [np.log(values) for values in panel.values]
        names, columns = columns_of(X, panel)
        return Data(panel, names, columns or [np.zeros((len(values), 0)) for values in panel.values])

    def _static(self, table: Any, panel: Panel) -> tuple[Floats, Static | None]:
        """What the network reads of each series at every step: its sign among few, and its static columns."""
        signs = np.eye(len(panel)) if 1 < len(panel) <= MOST_SIGNS else np.zeros((len(panel), 0))
        if table is None:
            return signs, None
        static = Static.of(table, panel.ids)
        return np.concatenate([signs, static.features(table, panel.ids)], axis=1), static

    def _train(self, model: Model, head: Head, learn: Sequences, held_out: Sequences, callbacks: Iterable[Callback], progress: bool | None) -> History:
        stopping = EarlyStopping(patience=self.patience)
        trainer = Trainer(model, head.loss, Adam(lr=self.learning_rate), clip_norm=1.0, callbacks=[stopping, *callbacks])
        batches = Batches(learn, head, self.batch_size, self.random_state)
        return trainer.fit_batches(
            batches,
            epochs=self.epochs,
            validation=Batches(held_out, head, self.batch_size, 0).in_order,
            seed=self.random_state,
            progress=progress,
        )

    # ---- forecasting

    def _ahead(self, fh: int | None, X: Any) -> tuple[Floats, Sequences, Head, Band]:
        """The outputs of the network for the steps to come, what it has read, and the band."""
        learned, data = self._known()
        reader = learned.reader
        steps = reader.horizon if fh is None else _check.positive_int(fh, "fh")
        if steps > reader.horizon and self.strategy == "direct":
            raise ValueError(
                f"fh: expected at most {reader.horizon}, as fit was told, got {steps}; fit again with fh={steps}, or "
                "with strategy='recursive'"
            )
        return self._read_ahead(max(steps, reader.horizon), future_of(X, data.panel, reader.covariates, steps))

    def _read_ahead(self, horizon: int, future: list[Floats] | None) -> tuple[Floats, Sequences, Head, Band]:
        learned, data = self._known()
        rows, origins = np.arange(len(data.panel)), data.lengths
        rolled = learned.classical.roll(data.panel.values, horizon, rows, origins)
        known = learned.reader.read(learned.reader.flat(data, rolled.next, horizon, future), rows, origins, rolled.ahead)
        head = head_of(self.distribution, self.loss)
        if learned.share:
            out = outputs_of(learned.model, head, known, self.strategy == "recursive")
        else:
            out = np.zeros((*known.base.shape, head.outputs))
        return out, known, head, learned.band.longer(horizon)

    def _known(self) -> tuple[Learned, Data]:
        if self._learned is None or self._data is None:
            raise RuntimeError("the forecaster has not learned anything yet: call fit first")
        return self._learned, self._data

    def update(self, y: Any, X: Any = None) -> Self:
        """Go on from new values, without a new training.

        y, X : as in fit, in the same container.
        """
        learned, data = self._known()
        self._data = data.followed_by(self._data_of(y, X))
        return self

    def sample_paths(self, count: int = 100, fh: int | None = None, X: Any = None, *, random_state: int | None = None) -> Floats:
        """Draw paths that the series may take, (count, fh) or (S, count, fh)."""
        out, known, head, band = self._ahead(fh, X)
        rng = np.random.default_rng(self.random_state if random_state is None else random_state)
        levels = np.linspace(0.005, 0.995, 199)
        table = self._original(head.quantiles(out, known, self._learned.share, band, levels))
        drawn = np.stack([band.paths(count, rng) for _ in range(len(table))])
        steps = np.arange(table.shape[1])
        places = np.clip(drawn * (len(levels) - 1), 0, len(levels) - 1).round().astype(int)
        found = np.take_along_axis(table[:, None], places[..., None], axis=3)[..., 0]
        return (found[0] if self._data.panel.layout in ("array", "series") else found)[..., :fh]

    def backtest(self, y: Any, X: Any = None, fh: int = 12, *, origins: int = 3, step: int | None = None, coverage: float = 0.9, static: Any = None) -> RollingBacktest:
        """Forecast the last values of series from several origins, after a training on what comes before the first."""
        horizon, count = _check.positive_int(fh, "fh"), _check.positive_int(origins, "origins")
        step = horizon if step is None else _check.positive_int(step, "step")
        whole = self._data_of(y, X)
        backs = [horizon + step * at for at in reversed(range(count))]
        if min(whole.lengths) <= backs[0] + 2:
            raise ValueError(f"y: expected at least {backs[0] + 3} values of each series for {count} origins of {horizon} steps, got {min(whole.lengths)}")
        other = type(self)(**self.get_params())
        parts = []
        for back in backs:
            data = whole.cut(back)
            if back == backs[0]:
                other._fit(data, horizon, static)
            other._data = data
            future = whole.future(back, horizon)
            out, known, head, band = other._read_ahead(horizon, future)
            levels = np.array([(1 - coverage) / 2, (1 + coverage) / 2])
            ends = head.quantiles(out, known, other._learned.share, band, levels)
            point = head.point(out, known, other._learned.share)
            truth = np.stack([own[len(own) - back :][:horizon] for own in whole.panel.values])
            season = other._learned.reader.season
            naive = np.stack([last_season(own, season, horizon) for own in data.panel.values])
            parts.append([self._original(part) for part in (truth, point, ends[..., 0], ends[..., 1], naive)])
        scale = np.array([naive_error(self._original(own), season) for own in whole.cut(backs[0]).panel.values])
        return RollingBacktest(whole.panel, backs, *(np.stack(part) for part in zip(*parts, strict=True)), scale)

    def _point(self, fh: int | None, X: Any) -> Floats:
        out, known, head, _ = self._ahead(fh, X)
        return self._original(head.point(out, known, self._learned.share))[:, :fh]

    def _quantiles(self, fh: int | None, X: Any, levels: Floats) -> Floats:
        out, known, head, band = self._ahead(fh, X)
        return self._original(head.quantiles(out, known, self._learned.share, band, levels))[:, :fh]

    def _original(self, values: Floats) -> Floats:
        return np.exp(values) if self.scaling == "log" else values

    def predict(self, fh: int | None = None, X: Any = None) -> Any:
        return self._data.panel.given_back(self._point(fh, X))

    def predict_quantiles(self, levels: Sequence[float] = (0.1, 0.5, 0.9), fh: int | None = None, X: Any = None) -> Any:
        return self._data.panel.given_back(self._quantiles(fh, X, np.asarray(levels, np.float64)), list(levels))

    def predict_interval(self, fh: int | None = None, X: Any = None, coverage: float = 0.9) -> Any:
        levels = np.array([(1 - coverage) / 2, (1 + coverage) / 2])
        return self._data.panel.given_back(self._quantiles(fh, X, levels), ["lower", "upper"])
