"""The forecaster: a network that corrects a naive forecast, with an error band measured on later data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.application import Application, check_hidden_size, options_of
from fastlstm.callbacks import Callback, EarlyStopping
from fastlstm.communicator import Communicator
from fastlstm.data import windows
from fastlstm.forecasting.backtest import Backtest, Forecast, conformal_quantile
from fastlstm.forecasting.naive import last_season, last_value
from fastlstm.forecasting.scaling import Scaling
from fastlstm.forecasting.split import Cut, Split
from fastlstm.layers import LSTM, Dense, Dropout, Last, Layer
from fastlstm.losses import huber, mae, mse
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.optim import Adam
from fastlstm.schedules import Exponential
from fastlstm.training import History, Trainer

Array = NDArray[Any]
Floats = NDArray[np.float64]

LOSSES = {"mse": mse, "mae": mae, "huber": huber}

LARGEST = 1e100
"""The largest number of a series: the squares of larger ones might overflow."""


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Attributes
    ----------
    model : Model
    scaling : Scaling
        Converts between the units of the series and those of the network.
    band : (C, horizon)
        Half the width of the error band, in the units of the series, or of its logarithm.
    """

    model: Model
    scaling: Scaling
    band: Floats

    def __post_init__(self) -> None:
        scaling, model = self.scaling, self.model
        band = _check.real_array(self.band, "band", np.dtype(np.float64), (scaling.columns, scaling.horizon))
        if (band < 0).any():
            raise ValueError(f"band: expected no negative numbers, got {band.min():g}")
        wanted, got = (scaling.features, scaling.horizon), (model.input_shape[-1], model.output_shape[-1])
        if got != wanted or len(model.output_shape) != 2:
            raise ValueError(f"model: expected one from {wanted[0]} features to (N, {wanted[1]}), got {model!r}")


class Forecaster(Application):
    """Forecasts the next `horizon` values of a series, or of several side by side, from their last `window` values.

    The network, ``Model([LSTM(1, hidden_size), Last(), Dense(hidden_size, horizon)])``, learns to correct a naive
    forecast: the last season again, or the last value again, whichever has the smaller error on the training part. It
    reads each window minus its last value, so that a trend does not lead it to values that it has never seen.

    With a `patch` each step of the LSTM reads several values at once, such as the 24 hours of a day (segments of Lin et
    al. 2023): there are fewer steps, and a step holds the shape of a whole day. Several series go through the same
    network, each by itself and with a sign of which one it is (channel independence, Nie et al. 2023). Other columns,
    `inputs`, are read beside the series, up to the moment of the forecast.

    The band holds, at each step of the horizon, the share `coverage` of the absolute errors on the validation part
    (split conformal prediction, Lei et al. 2018). Windows that overlap have similar errors, so that each `horizon` of
    steps counts as only one observation. The fewer observations there are, the wider the band. `Backtest.coverage`
    measures it on new values.

    Parameters
    ----------
    horizon : int
        Number of steps to forecast.
    season : int, default 1
        Number of steps after which the series resembles itself, such as 12 for months; 1 for none.
    window : int, optional
        Number of steps that the network reads. By default two seasons, but from 24 to 168, or 14 patches; fewer for a
        short series.
    patch : int, default 1
        Number of values that one step of the LSTM reads. The window must be a multiple of it.
    hidden_size : int, default 32
        Units of the LSTM.
    dropout : float, default 0
        Rate of dropout before the last layer, from 0 to below 1.
    epochs : int, default 100
        Number of epochs at most. The training ends earlier if the validation loss has not improved for `patience`
        epochs.
    patience : int, default 20
    batch_size : int, default 32
    learning_rate : float, default 0.01
        Learning rate of Adam.
    decay : float, default 1
        Factor of the learning rate after each epoch, from 0 to 1.
    loss : "mse", "mae" or "huber", default "mse"
        The loss of the training. The latter two are less sensitive to outliers.
    coverage : float, default 0.9
        Probability that the band holds a new value, from 0 to below 1.
    validation : float, default 0.2
        Share of the series, at its end, that is not trained on. It ends the training and gives the band.
    log : bool, default False
        Whether the forecaster works on the logarithm: for positive series whose swings grow with their level.
    max_windows : int, default 4000
        If there are more windows, the training takes only one of every few, so that a long series does not take hours.
    seed : int, default 0
        The same seed gives the same bits.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C has ended the last `fit`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range, the window is no multiple of the patch, or there is no such loss.

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

    word: ClassVar[str] = "forecaster"
    noun: ClassVar[str] = "forecaster"

    def __init__(
        self,
        horizon: int,
        *,
        season: int = 1,
        window: int | None = None,
        patch: int = 1,
        hidden_size: int = 32,
        dropout: float = 0.0,
        epochs: int = 100,
        patience: int = 20,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        decay: float = 1.0,
        loss: str = "mse",
        coverage: float = 0.9,
        validation: float = 0.2,
        log: bool = False,
        max_windows: int = 4000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.horizon = _check.positive_int(horizon, "horizon")
        self.season = _check.positive_int(season, "season")
        self.window = None if window is None else _check.positive_int(window, "window")
        self.patch = _check.positive_int(patch, "patch")
        if self.window is not None and self.window % self.patch:
            raise ValueError(f"window: expected a multiple of patch={patch}, got {window}")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.dropout = _check.number(dropout, "dropout", 0, 1, open_high=True)
        self.epochs = _check.positive_int(epochs, "epochs")
        self.patience = _check.positive_int(patience, "patience")
        self.batch_size = _check.positive_int(batch_size, "batch_size")
        self.learning_rate = _check.number(learning_rate, "learning_rate", 0)
        self.decay = _check.number(decay, "decay", 0, 1)
        if loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
        self.loss = loss
        self.coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
        self.validation = _check.number(validation, "validation", 0, 1, open_high=True)
        self.log = bool(log)
        self.max_windows = _check.positive_int(max_windows, "max_windows")
        self.seed = _check.seed_of(seed)
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What `fit` has learned; RuntimeError before that."""
        return self._learned(self._fitted)

    @property
    def context(self) -> int:
        """Number of past values that `forecast` needs."""
        return max(self.fitted.scaling.window, self.season)

    def split(self, length: int) -> Split:
        """How `fit` would cut a series of this length.

        Raises
        ------
        ValueError
            If it is too short; the message has the length that is needed.
        """
        cut = Cut(self.horizon, self.season, self.window, self.patch, self.validation, self.max_windows)
        return cut.split(length)

    def fit(
        self,
        series: Any,
        inputs: Any = None,
        *,
        measured: Any = None,
        callbacks: Iterable[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Learn from a series.

        Parameters
        ----------
        series : (T,), or (T, C) for several side by side
            Finite numbers in order of time, evenly spaced.
        inputs : (T, I), optional
            Other columns to read: finite numbers that are known up to the moment of a forecast.
        measured : bool array of the shape of series, optional
            Where the series was measured and not filled in. The error band rests on such values only.
        callbacks : list of Callback, optional
        resume : path, optional
            A folder in which the training keeps its state, and from which it goes on; see `Trainer.fit`.
        progress : bool, optional
            Whether a bar is shown; by default on a terminal only.
        communicator : Communicator, optional
            The other processes that learn the same; see `Trainer`.

        Returns
        -------
        History

        Raises
        ------
        TypeError
            If the series or the inputs are not real numbers.
        ValueError
            If the series is too short, has a number that is not finite or too large, or is not positive with ``log``.
        MemoryError
            If there is not enough memory for the network.
        """
        values, columns = self._values(series, inputs)
        seen = _measured(measured, np.shape(series))
        split = self.split(len(values))
        past, future = (part.swapaxes(1, 2) for part in windows(values, split.context, self.horizon))
        future = future[:, :columns]
        train, later = split.train, split.later
        scaling = Scaling.of(past[train], future[train], split.window, self.season, self.patch)
        layers = self._layers(scaling.features)
        check_memory(layers, min(self.batch_size, split.train_windows), split.window // self.patch)
        model = Model(layers, seed=self.seed)
        callbacks = [EarlyStopping(patience=self.patience), Exponential(self.decay), *callbacks]
        trainer = Trainer(
            model,
            LOSSES[self.loss],
            Adam(lr=self.learning_rate),
            clip_norm=1.0,
            callbacks=callbacks,
            communicator=communicator,
        )
        validation = scaling.inputs(past[later]), scaling.targets(past[later], future[later])
        history = trainer.fit(
            scaling.inputs(past[train]),
            scaling.targets(past[train], future[train]),
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation=validation,
            seed=self.seed,
            progress=progress,
            resume=resume,
        )
        self.interrupted = trainer.interrupted
        error = np.abs(scaling.errors(model.predict(validation[0]) - validation[1]))
        if seen is not None:
            _, counts = windows(seen.reshape(len(values), -1).astype(np.float64), split.context, self.horizon)
            error[counts.swapaxes(1, 2)[later] == 0] = np.nan
        blocks = 1 + len(error) * split.stride // self.horizon
        self._fitted = Fitted(model, scaling, conformal_quantile(error, self.coverage, blocks))
        return history

    def _layers(self, features: int) -> list[Layer]:
        dropout = [Dropout(self.dropout)] if self.dropout else []
        return [LSTM(features, self.hidden_size), Last(), *dropout, Dense(self.hidden_size, self.horizon)]

    def forecast(self, series: Any, inputs: Any = None) -> Forecast:
        """Forecast the values that follow a series.

        Parameters
        ----------
        series, inputs
            As in `fit`. Only the last `context` steps count.

        Returns
        -------
        Forecast

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If the series is too short, or does not fit to that of `fit`.
        """
        values = self._known(series, inputs)
        if len(values) < self.context:
            raise ValueError(f"series: expected at least {self.context} values, got {len(values)}")
        mean, low, high = (part[0] for part in self._predict(values[None, -self.context :].swapaxes(1, 2)))
        return Forecast(*(part.T if np.ndim(series) == 2 else part[0] for part in (mean, low, high)))

    def predict(self, series: Any, inputs: Any = None) -> Floats:
        """Forecast from every moment of a series that has `context` values before it.

        Parameters
        ----------
        series, inputs
            As in `fit`.

        Returns
        -------
        (T - context + 1, horizon), or (T - context + 1, horizon, C) for several series
            The last row is that of `forecast`.

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If the series is too short, or does not fit to that of `fit`.
        """
        values = self._known(series, inputs)
        past, _ = windows(np.pad(values, ((0, 1), (0, 0))), self.context, 1)
        mean, _, _ = self._predict(past.swapaxes(1, 2))
        return mean.swapaxes(1, 2) if np.ndim(series) == 2 else mean[:, 0]

    def backtest(self, series: Any, holdout: int, inputs: Any = None, *, measured: Any = None) -> Backtest:
        """Forecast the last values of a series from a rolling origin, in blocks of `horizon`.

        Parameters
        ----------
        series, inputs
            As in `fit`. The forecaster should have been fitted without the last `holdout` values.
        holdout : int
            Number of values to forecast.
        measured : bool array of the shape of series, optional
            Where the series was measured and not filled in. Only such values count.

        Returns
        -------
        Backtest

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If too few values come before the held-out ones, the series does not fit to that of `fit`, or no held-out
            value was measured.
        """
        values = self._known(series, inputs)
        holdout = _check.positive_int(holdout, "holdout")
        start = len(values) - holdout
        if start < self.context:
            raise ValueError(
                f"holdout: expected at most {len(values) - self.context}, so that {self.context} of the "
                f"{len(values)} values come before, got {holdout}"
            )
        past = np.stack([values[at - self.context : at].T for at in range(start, len(values), self.horizon)])
        own = past[:, : self.fitted.scaling.columns]
        naive = {"last value": last_value(own, self.horizon)}
        if self.season > 1:
            naive["last season"] = last_season(own, self.horizon, self.season)

        def in_a_row(blocks: Floats) -> Floats:
            joined = blocks.swapaxes(1, 2).reshape(-1, blocks.shape[1])[:holdout]
            return joined if np.ndim(series) == 2 else joined[:, 0]

        mean, low, high = (in_a_row(part) for part in self._predict(past))
        known = {name: in_a_row(self._original(part)) for name, part in naive.items()}
        truth = np.asarray(series, np.float64)[start:]
        seen = _measured(measured, np.shape(series))
        if seen is not None:
            truth = np.where(seen[start:], truth, np.nan)
            if np.isnan(truth).all(0).any():
                raise ValueError(f"holdout: expected measured values among the last {holdout}, got none")
        return Backtest(start, truth, mean, low, high, known)

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        fitted = self.fitted
        scaling, band = fitted.scaling.as_dict(), fitted.band.tolist()
        return fitted.model, {"options": options_of(self), "scaling": scaling, "band": band}

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        forecaster = cls(**beside["options"])
        _check.flag(beside["options"].get("log", False), "log")
        scaling = Scaling.from_dict(beside["scaling"])
        for name in ("horizon", "season", "patch", "window"):
            asked, learned = getattr(forecaster, name), getattr(scaling, name)
            if asked not in (None, learned):
                raise ValueError(f"{name}: expected {learned}, as it was learned with, got {asked}")
        check_hidden_size(model, forecaster.hidden_size)
        forecaster._fitted = Fitted(model, scaling, np.array(beside["band"], np.float64))
        return forecaster

    def _known(self, series: Any, inputs: Any) -> Floats:
        """Values as in `_values`, with as many columns as in `fit`."""
        values, columns = self._values(series, inputs)
        expected = self.fitted.scaling.columns
        if columns != expected:
            raise ValueError(f"series: expected as many columns as in fit, {expected}, got {columns}")
        others = len(self.fitted.scaling.input_scale) - expected
        if values.shape[1] - columns != others:
            raise ValueError(f"inputs: expected as many columns as in fit, {others}, got {values.shape[1] - columns}")
        return values

    def _values(self, series: Any, inputs: Any) -> tuple[Floats, int]:
        """The series and the inputs side by side, (T, C + I), and C. With ``log`` the series is its logarithm."""
        own = self._numbers(series, "series", ("T", "C") if np.ndim(series) == 2 else ("T",))
        own = own.reshape(len(own), -1)
        if self.log and own.min() <= 0:
            at = int(own.min(1).argmin())
            raise ValueError(f"series: expected positive numbers for log=True, got {own.min():g} at [{at}]")
        parts = [np.log(own) if self.log else own]
        if inputs is not None:
            parts.append(self._numbers(inputs, "inputs", (len(own), "I")))
        return np.concatenate(parts, axis=1), own.shape[1]

    @staticmethod
    def _numbers(values: Any, name: str, shape: tuple[int | str, ...]) -> Floats:
        array: Floats = _check.real_array(values, name, np.dtype(np.float64), shape)
        if np.abs(array).max() > LARGEST:
            largest = array.reshape(-1)[np.abs(array).argmax()]
            raise ValueError(f"{name}: expected numbers up to {LARGEST:g}, got {largest:g}")
        return array

    def _original(self, values: Floats) -> Floats:
        return np.asarray(np.exp(values)) if self.log else values

    def _predict(self, past: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean, low and high, each (M, C, horizon), from pasts (M, C + I, context)."""
        fitted = self.fitted
        mean = fitted.scaling.outputs(past, fitted.model.predict(fitted.scaling.inputs(past)))
        return self._original(mean), self._original(mean - fitted.band), self._original(mean + fitted.band)


def _measured(measured: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if measured is None:
        return None
    array = np.asarray(measured)
    if array.dtype != np.bool_ or array.shape != shape:
        raise ValueError(f"measured: expected an array of bool of shape {shape}, got {array.dtype} of {array.shape}")
    return array
