"""Forecasting one series: a network that corrects a naive forecast, with an error band measured on later data."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks import EarlyStopping
from fastlstm.data import windows
from fastlstm.forecasting.backtest import Backtest, Forecast, conformal_quantile
from fastlstm.forecasting.naive import Scaling, last_season, last_value
from fastlstm.io import native
from fastlstm.layers import LSTM, Dense, Last
from fastlstm.losses import mse
from fastlstm.model import Model
from fastlstm.optim import Adam
from fastlstm.train import History, Trainer

Array = NDArray[Any]
Floats = NDArray[np.float64]

LEAST_WINDOWS = 8
"""Training windows below this number teach nothing."""

LARGEST = 1e100
"""Of a series: the squares of larger numbers might overflow."""

LONGEST_WINDOW = 168
"""Of a window that nobody asked for: a week of hours."""


@dataclass(frozen=True)
class Split:
    """How a series of some length is cut: windows to learn from, later windows to validate on, every `stride` steps.

    `context` is what a forecast needs of the past: the window, or a season if that is longer.
    """

    window: int
    context: int
    train: slice
    later: slice
    stride: int

    @property
    def train_windows(self) -> int:
        return len(range(*self.train.indices(self.train.stop)))


@dataclass(frozen=True)
class Fitted:
    """What a training leaves: the network, the way into and out of its units, and the half width of the band."""

    model: Model
    scaling: Scaling
    band: Floats


class Forecaster:
    """Forecasts the next `horizon` values of a series at once, from its last `window` values.

    The network, ``Model([LSTM(1, hidden_size), Last(), Dense(hidden_size, horizon)])``, learns the correction to a
    naive forecast: that the last season repeats, or that the last value stays, whichever errs less on the training
    part. It sees each window less its last value, so that a trend does not carry it out of what it has learned.

    The band holds, at each step of the horizon, the share `coverage` of the absolute errors on the validation part
    (split conformal prediction, Lei et al. 2018). Windows that overlap err alike, so that only each `horizon` of steps
    counts as one observation: the fewer there are, the more careful the band. `Backtest.coverage` measures it on values
    never seen.

    Parameters
    ----------
    horizon : int
        Steps to forecast.
    season : int, default 1
        Steps after which the series resembles itself, such as 12 for months; 1 for none.
    window : int, optional
        Steps that the network sees; by default two seasons, from 24 to 168, fewer for a short series.
    hidden_size : int, default 32
    epochs : int, default 100
        At most; training ends when `patience` epochs brought nothing on the validation part.
    patience, batch_size : int
    learning_rate : float
    coverage : float, default 0.9
        From 0 to below 1.
    validation : float, default 0.2
        Share of the series, at its end, that is not trained on but ends the training and gives the band.
    log : bool, default False
        Work on the logarithm: for positive series whose swings grow with their level.
    max_windows : int, default 4000
        Beyond this number the training windows start some steps apart, so that a long series does not take hours.
    seed : int
        Same seed, same bits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.forecasting import Forecaster
    >>> t = np.arange(200)
    >>> series = np.sin(t * 2 * np.pi / 12) + 0.05 * t
    >>> forecaster = Forecaster(horizon=6, season=12, hidden_size=8, epochs=10)
    >>> history = forecaster.fit(series[:180])
    >>> forecaster.forecast(series).mean.shape
    (6,)
    >>> forecaster.backtest(series, holdout=20).beats_naive
    True
    """

    def __init__(
        self,
        horizon: int,
        *,
        season: int = 1,
        window: int | None = None,
        hidden_size: int = 32,
        epochs: int = 100,
        patience: int = 20,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        coverage: float = 0.9,
        validation: float = 0.2,
        log: bool = False,
        max_windows: int = 4000,
        seed: int = 0,
    ) -> None:
        self.horizon = _check.positive_int(horizon, "horizon")
        self.season = _check.positive_int(season, "season")
        self.window = None if window is None else _check.positive_int(window, "window")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.epochs = _check.positive_int(epochs, "epochs")
        self.patience = _check.positive_int(patience, "patience")
        self.batch_size = _check.positive_int(batch_size, "batch_size")
        self.learning_rate = _check.number(learning_rate, "learning_rate", 0)
        self.coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
        self.validation = _check.number(validation, "validation", 0, 1, open_high=True)
        self.log = bool(log)
        self.max_windows = _check.positive_int(max_windows, "max_windows")
        self.seed = seed
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What `fit` left."""
        if self._fitted is None:
            raise RuntimeError("the forecaster has not learned anything yet: call fit first")
        return self._fitted

    @property
    def context(self) -> int:
        """Number of past values that `forecast` looks at."""
        return max(self.fitted.scaling.window, self.season)

    def fit(self, series: Any, *, progress: bool | None = None) -> History:
        """Learn from a series.

        Parameters
        ----------
        series : (T,) finite numbers
            In order of time, evenly spaced.
        progress : bool, optional
            Whether a bar is shown; None shows one on a terminal.

        Raises
        ------
        ValueError
            If the series is too short, or not positive for a logarithm; the message has the numbers.
        """
        values = self._values(series)
        split = self.split(len(values))
        past, future = (part[..., 0] for part in windows(values, split.context, self.horizon))
        train, later = split.train, split.later
        scaling = Scaling.of(past[train], future[train], split.window, self.season)
        model = Model([LSTM(1, self.hidden_size), Last(), Dense(self.hidden_size, self.horizon)], seed=self.seed)
        stopping = EarlyStopping(patience=self.patience)
        trainer = Trainer(model, mse, Adam(lr=self.learning_rate), clip_norm=1.0, callbacks=[stopping])
        validation = scaling.inputs(past[later]), scaling.targets(past[later], future[later])
        history = trainer.fit(
            scaling.inputs(past[train]),
            scaling.targets(past[train], future[train]),
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation=validation,
            seed=self.seed,
            progress=progress,
        )
        error = np.abs(model.predict(validation[0]) - validation[1]) * scaling.target_scale
        blocks = 1 + len(error) * split.stride // self.horizon
        self._fitted = Fitted(model, scaling, conformal_quantile(error, self.coverage, blocks))
        return history

    def split(self, length: int) -> Split:
        """How a series of this length would be cut by `fit`.

        Raises
        ------
        ValueError
            If it is too short; the message says how long it would have to be.
        """
        split, train = self._split(length)
        if train < LEAST_WINDOWS:
            given = f"a window of {self.window} and " if self.window else ""
            needed = length + 1
            while self._split(needed)[1] < LEAST_WINDOWS:
                needed += 1
            raise ValueError(
                f"series: expected at least {needed} values to learn to forecast {self.horizon} steps with {given}"
                f"a season of {self.season}, got {length}"
            )
        return split

    def _split(self, n: int) -> tuple[Split, int]:
        """The cut, and the number of its training windows before thinning."""
        held = max(-(-3 * self.horizon // 2), round(self.validation * n))  # steps of the validation part
        window = self.window
        if window is None:
            longest = (n - held - self.horizon) // 2  # leaves as many training windows
            window = max(1, min(max(24, 2 * self.season), LONGEST_WINDOW, longest))
        context = max(window, self.season)
        train, later = n - held - self.horizon - context + 1, held - self.horizon + 1
        stride = max(1, -(-train // self.max_windows))
        while math.gcd(stride, self.season) > 1:  # else some seasons of the year, hours of the day would never begin
            stride += 1
        return Split(window, context, slice(0, max(train, 0), stride), slice(-later, None, stride), stride), train

    def forecast(self, series: Any) -> Forecast:
        """The values that follow a series, of which the last `context` count.

        Parameters
        ----------
        series : (T,) finite numbers
        """
        values = self._values(series)
        if len(values) < self.context:
            raise ValueError(f"series: expected at least {self.context} values, got {len(values)}")
        mean, low, high = self._predict(values[None, -self.context :])
        return Forecast(mean[0], low[0], high[0])

    def backtest(self, series: Any, holdout: int) -> Backtest:
        """Forecast the last values of a series by a rolling origin, in blocks of `horizon`.

        Parameters
        ----------
        series : (T,) finite numbers
            The forecaster should have been fitted without its last `holdout` values.
        holdout : int
        """
        values = self._values(series)
        holdout = _check.positive_int(holdout, "holdout")
        start = len(values) - holdout
        if start < self.context:
            raise ValueError(
                f"holdout: expected at most {len(values) - self.context}, so that {self.context} of the "
                f"{len(values)} values come before, got {holdout}"
            )
        past = np.stack([values[at - self.context : at] for at in range(start, len(values), self.horizon)])
        mean, low, high = (rows.reshape(-1)[:holdout] for rows in self._predict(past))
        naive = {"last value": last_value(past, self.horizon)}
        if self.season > 1:
            naive["last season"] = last_season(past, self.horizon, self.season)
        known = {name: self._original(rows).reshape(-1)[:holdout] for name, rows in naive.items()}
        return Backtest(start, self._original(values[start:]), mean, low, high, known)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network and all that a forecast needs to one safetensors file."""
        fitted = self.fitted
        state = {
            "options": {name: getattr(self, name) for name in OPTIONS},
            "scaling": asdict(fitted.scaling),
            "band": fitted.band.tolist(),
        }
        native.save(fitted.model, path, metadata={"forecaster": json.dumps(state)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
        ValueError
            If the file is damaged, or holds a model but no forecaster.
        """
        model, words = native.load(path), native.read_metadata(path)
        if "forecaster" not in words:
            raise ValueError(f"{path}: holds a model, but no forecaster; read it with fastlstm.load")
        state = json.loads(words["forecaster"])
        forecaster = cls(**state["options"])
        scaling = Scaling(**state["scaling"])
        forecaster._fitted = Fitted(model, scaling, np.array(state["band"], np.float64))
        return forecaster

    def _values(self, series: Any) -> Floats:
        """The series as it is worked on: float64, and the logarithm if so wished."""
        values = _check.real_array(series, "series", np.dtype(np.float64), ("T",))
        if np.abs(values).max() > LARGEST:
            raise ValueError(f"series: expected numbers up to {LARGEST:g}, got {values[np.abs(values).argmax()]:g}")
        if not self.log:
            return values
        if values.min() <= 0:
            raise ValueError(
                f"series: expected positive numbers for log=True, got {values.min():g} at [{values.argmin()}]"
            )
        return np.asarray(np.log(values))

    def _original(self, values: Floats) -> Floats:
        return np.asarray(np.exp(values)) if self.log else values

    def _predict(self, past: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean, low and high, each (M, horizon), after pasts (M, context)."""
        fitted = self.fitted
        mean = fitted.scaling.outputs(past, fitted.model.predict(fitted.scaling.inputs(past)))
        return self._original(mean), self._original(mean - fitted.band), self._original(mean + fitted.band)


OPTIONS = tuple(name for name in Forecaster.__init__.__annotations__ if name != "return")
