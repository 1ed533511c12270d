"""Averages of the weights over a training. They often predict better than the weights of any step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks.base import Callback, Progress


class Averaging(Callback):
    """Base of the averages. They replace the model's weights during each validation, and after the training.

    The training itself goes on from its own weights.
    """

    order: ClassVar[int] = -1

    def on_fit_begin(self, progress: Progress) -> None:
        self.averages: list[NDArray[Any]] = []
        self.count = 0
        self._like = [parameter.value for parameter in progress.parameters]
        self._own: list[NDArray[Any]] = []

    def _add(self, progress: Progress, share: float) -> None:
        """Move the averages towards the weights by this share of the distance.

        The distance of a frozen parameter is 0: its average is its value, and nobody needs to know that it is frozen.
        """
        self.count += 1
        if not self.averages:
            self.averages = [parameter.value.copy() for parameter in progress.parameters]
            self._scratch = [np.empty_like(average) for average in self.averages]
            return
        for average, scratch, parameter in zip(self.averages, self._scratch, progress.parameters, strict=True):
            np.subtract(parameter.read(), average, out=scratch)
            np.multiply(scratch, share, out=scratch)
            np.add(average, scratch, out=average)

    def on_validation_begin(self, progress: Progress) -> None:
        self._own = [parameter.value.copy() for parameter in progress.parameters] if self.averages else []
        put(progress, self.averages)

    def on_validation_end(self, progress: Progress) -> None:
        put(progress, self._own)
        self._own = []

    def on_fit_end(self, progress: Progress) -> None:
        if self._own:  # the validation has ended with an error
            self.on_validation_end(progress)
        if not progress.chosen:
            put(progress, self.averages)
            progress.chosen = bool(self.averages)

    def state(self) -> dict[str, Any]:
        return {"averages": self.averages, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.averages = _check.arrays_like(state["averages"], self._like, "averages")
        self.count = int(_check.number(state["count"], "count", 0))
        self._scratch = [np.empty_like(average) for average in self.averages]


class EMA(Averaging):
    """Exponential moving average of the weights over the steps (Polyak and Juditsky 1992 weighted all steps alike).

    At step k, average = d·average + (1 - d)·weights with d = min(decay, (1 + k) / (10 + k)), so that the first steps
    are soon forgotten. During each validation and after the training the model has the averages.

    Parameters
    ----------
    decay : float, default 0.999
        From 0 to below 1; 0.999 looks back about a thousand steps.

    Raises
    ------
    TypeError
        If decay is not a number.
    ValueError
        If decay is not from 0 to below 1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = _check.number(decay, "decay", 0, 1, open_high=True)

    def on_batch_end(self, progress: Progress) -> None:
        if progress.stepped and progress.even:
            k = self.count
            self._add(progress, 1 - min(self.decay, (1 + k) / (10 + k)))


class SWA(Averaging):
    """Mean of the weights at the ends of the last epochs (Izmailov et al. 2018).

    During each validation and after the training the model has the mean.

    Parameters
    ----------
    start : float or int, default 0.75
        The first epoch that counts, from 1; or, if below 1, the share of all epochs that come before it.

    Raises
    ------
    TypeError
        If start is not a number.
    ValueError
        If start is negative; or at the beginning of a training, if the number of batches of an epoch is not known.
    """

    def __init__(self, start: float = 0.75) -> None:
        self.start = _check.number(start, "start", 0)

    def on_batch_end(self, progress: Progress) -> None:
        """Add the weights at the last batch of an epoch: the validation after it already uses the mean."""
        first = self.start if self.start >= 1 else self.start * progress.epochs + 1
        if progress.epoch >= first and progress.batch == progress.batches and progress.stepped:
            self._add(progress, 1 / (self.count + 1))

    def on_fit_begin(self, progress: Progress) -> None:
        super().on_fit_begin(progress)
        if progress.batches is None:
            raise ValueError("SWA needs to know where an epoch ends: give batches_per_epoch")


def put(progress: Progress, values: list[NDArray[Any]]) -> None:
    """Set the parameters to these values, if there are any."""
    for parameter, value in zip(progress.parameters, values, strict=bool(values)):
        parameter.value = value
