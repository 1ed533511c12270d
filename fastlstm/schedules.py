"""Schedules of the learning rate: callbacks that set the optimizer's ``lr`` before each step.

The peak is the rate that the optimizer has when the training begins. A schedule multiplies it by a factor at each step,
and sets ``lr`` back to the peak at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastlstm import _check
from fastlstm.callbacks import Callback, Progress
from fastlstm.callbacks.base import Monitor


class Schedule(Callback):
    """Base of the schedules: a subclass writes `factor`.

    Parameters
    ----------
    warmup : int or float, default 0
        Number of steps in which the rate rises linearly to its peak (Goyal et al. 2017). A number below 1 is their
        share of all steps.

    Raises
    ------
    TypeError
        If warmup is not a number.
    ValueError
        If warmup is negative; or in a training, if the schedule needs the number of all steps and it is not known, as
        in `Trainer.fit_batches` without ``batches_per_epoch``.
    """

    def __init__(self, warmup: float = 0) -> None:
        self.warmup = _check.number(warmup, "warmup", 0)

    def factor(self, progress: Progress) -> float:
        """What the peak is multiplied by for the coming step, beside the warm-up.

        Parameters
        ----------
        progress : Progress
            ``progress.step`` is the number of steps before this one, so that it counts from 0.

        Returns
        -------
        float
        """
        return 1.0

    def on_fit_begin(self, progress: Progress) -> None:
        assert progress.optimizer is not None
        self.peak = progress.optimizer.lr

    def on_batch_begin(self, progress: Progress) -> None:
        assert progress.optimizer is not None
        rise = self.warm_steps(progress)
        warm = min(1.0, (progress.step + 1) / rise) if rise else 1.0
        progress.optimizer.lr = self.peak * warm * self.factor(progress)

    def on_fit_end(self, progress: Progress) -> None:
        assert progress.optimizer is not None
        progress.optimizer.lr = self.peak

    def warm_steps(self, progress: Progress) -> float:
        """The number of steps of the warmup, where that was given as a share of the training too."""
        return self.warmup if self.warmup >= 1 or not self.warmup else self.warmup * total(progress)

    def state(self) -> dict[str, Any]:
        return {"peak": self.peak}

    def restore(self, state: dict[str, Any]) -> None:
        self.peak = _check.number(state["peak"], "peak", 0, 1e30)


class Constant(Schedule):
    """The same rate at every step after the warm-up.

    Parameters
    ----------
    warmup : int or float, default 0
        As in `Schedule`.

    Raises
    ------
    TypeError, ValueError
        As in `Schedule`.
    """


class Step(Schedule):
    """Multiplies the rate by a factor after every few epochs.

    Parameters
    ----------
    every : int
        Number of epochs from one change to the next.
    factor : float, default 0.1
        From 0.
    warmup : int or float, default 0
        As in `Schedule`.

    Raises
    ------
    TypeError
        If every is not a whole number, or another argument is not a number.
    ValueError
        If every is below 1, or another argument is negative.
    """

    def __init__(self, every: int, factor: float = 0.1, *, warmup: float = 0) -> None:
        super().__init__(warmup)
        self.every, self.by = _check.positive_int(every, "every"), _check.number(factor, "factor", 0)

    def factor(self, progress: Progress) -> float:
        return float(self.by ** ((progress.epoch - 1) // self.every))


class Exponential(Schedule):
    """Multiplies the rate by a factor after each epoch.

    Parameters
    ----------
    factor : float
        From 0.
    start : int, default 1
        The first epoch, counted from 1, after which the rate changes.
    warmup : int or float, default 0
        As in `Schedule`.

    Raises
    ------
    TypeError
        If start is not a whole number, or another argument is not a number.
    ValueError
        If start is below 1, or another argument is negative.
    """

    def __init__(self, factor: float, *, start: int = 1, warmup: float = 0) -> None:
        super().__init__(warmup)
        self.by, self.start = _check.number(factor, "factor", 0), _check.positive_int(start, "start")

    def factor(self, progress: Progress) -> float:
        return float(self.by ** max(0, progress.epoch - self.start))


class Cosine(Schedule):
    """Lowers the rate along half a cosine from the end of the warm-up to the last step (Loshchilov and Hutter 2017).

    Parameters
    ----------
    warmup : int or float, default 0
        As in `Schedule`.
    floor : float, default 0
        Share of the peak that is left at the end, from 0 to 1.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If a number is outside its range; or in a training, if the number of all steps is not known.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> from fastlstm.schedules import Cosine
    >>> x = np.ones((8, 3, 1))
    >>> model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], seed=0)
    >>> trainer = fl.Trainer(model, "mse", fl.Adam(0.01), callbacks=[Cosine(warmup=0.1)])
    >>> history = trainer.fit(x, x, epochs=10, batch_size=4)
    """

    def __init__(self, warmup: float = 0, floor: float = 0.0) -> None:
        super().__init__(warmup)
        self.floor = _check.number(floor, "floor", 0, 1)

    def factor(self, progress: Progress) -> float:
        rise, steps = self.warm_steps(progress), total(progress)
        share = min(1.0, max(0.0, progress.step - rise) / max(1.0, steps - rise))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


class OneCycle(Schedule):
    """Raises the rate to the peak along a cosine, and lowers it along another (Smith and Topin 2018).

    Parameters
    ----------
    rise : float, default 0.3
        Share of all steps in which the rate rises, from 0 to 1.
    start : float, default 0.04
        Share of the peak at the first step, from 0 to 1.
    end : float, default 1e-4
        Share of the peak at the last step, from 0 to 1.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If an argument is not from 0 to 1; or in a training, if the number of all steps is not known.
    """

    def __init__(self, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-4) -> None:
        super().__init__()
        self.rise = _check.number(rise, "rise", 0, 1)
        self.start, self.end = _check.number(start, "start", 0, 1), _check.number(end, "end", 0, 1)

    def factor(self, progress: Progress) -> float:
        last = max(1, total(progress) - 1)
        top = self.rise * last
        if progress.step < top:
            return self.start + (1 - self.start) * 0.5 * (1 - math.cos(math.pi * progress.step / top))
        share = min(1.0, (progress.step - top) / max(1.0, last - top))
        return self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * share))


class Function(Schedule):
    """Multiplies the peak by what a function of your own returns.

    Parameters
    ----------
    function : function of a Progress
        It is called before each step, and returns the factor; see `Schedule.factor`.
    warmup : int or float, default 0
        As in `Schedule`.

    Raises
    ------
    TypeError
        If function cannot be called, or warmup is not a number.
    ValueError
        If warmup is negative.

    Examples
    --------
    >>> from fastlstm.schedules import Function
    >>> inverse_root = Function(lambda progress: (1 + progress.step) ** -0.5, warmup=100)
    """

    def __init__(self, function: Callable[[Progress], float], *, warmup: float = 0) -> None:
        super().__init__(warmup)
        if not callable(function):
            raise TypeError(f"function: expected a function of the progress, got {function!r}")
        self.function = function

    def factor(self, progress: Progress) -> float:
        return self.function(progress)


class ReduceOnPlateau(Schedule):
    """Lowers the rate whenever a figure has not improved for some epochs.

    Parameters
    ----------
    factor : float, default 0.5
        What the rate is multiplied by, from 0 to 1.
    patience : int, default 3
        Number of epochs without a new best after which the rate is lowered.
    monitor : str, default "val_loss"
        The figure to watch, by its name in `History`.
    mode : "min", "max" or "auto", default "auto"
        Whether the figure should fall or rise. "auto" lets accuracies, F1 and AUC rise, and all others fall.
    floor : float, default 0
        Share of the peak below which the rate does not fall, from 0 to 1.
    warmup : int or float, default 0
        As in `Schedule`.

    Raises
    ------
    TypeError
        If patience is not a whole number, or factor, floor or warmup is not a number.
    ValueError
        If a number is outside its range, or mode is none of the three; or in a training, if there is no figure of this
        name.
    """

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 3,
        monitor: str = "val_loss",
        mode: str = "auto",
        *,
        floor: float = 0.0,
        warmup: float = 0,
    ) -> None:
        super().__init__(warmup)
        self.by, self.patience = _check.number(factor, "factor", 0, 1), _check.positive_int(patience, "patience")
        self.floor = _check.number(floor, "floor", 0, 1)
        self._monitor = Monitor(monitor, mode)

    def factor(self, progress: Progress) -> float:
        return self._share

    def on_fit_begin(self, progress: Progress) -> None:
        super().on_fit_begin(progress)
        self._monitor.start()
        self._share, self._since = 1.0, 0

    def on_epoch_end(self, progress: Progress) -> None:
        self._since = 0 if self._monitor.improved(progress) else self._since + 1
        if self._since >= self.patience:
            self._share, self._since = max(self.floor, self._share * self.by), 0

    def state(self) -> dict[str, Any]:
        return {**super().state(), **self._monitor.state(), "share": self._share, "since": self._since}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._monitor.restore(state)
        self._share = _check.number(state["share"], "share", 0, 1)
        self._since = int(_check.number(state["since"], "since", 0))


def total(progress: Progress) -> int:
    """The number of all steps of the training; ValueError if it is not known."""
    if progress.steps is None:
        raise ValueError("the schedule needs to know the number of steps: give batches_per_epoch, or warmup in steps")
    return progress.steps
