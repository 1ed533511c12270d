"""Early stopping."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks.base import Callback, Monitor, Progress
from fastlstm.hints import hinted


class EarlyStopping(Callback):
    """Ends a training that no longer improves. The model then has the parameters of the best epoch.

    Parameters
    ----------
    patience : int, default 5
        Number of epochs without a new best after which the training ends.
    monitor : str, default "val_loss"
        The figure to watch, by its name in `History`.
    mode : "min", "max" or "auto", default "auto"
        Whether the figure should fall or rise. "auto" lets accuracies, F1 and AUC rise, and all others fall.
    least : float, default 0
        By how much a new best must be better, in the units of the figure.

    Attributes
    ----------
    best : float
        The best figure.
    best_epoch : int
        The number of its epoch, from 1; 0 before there is one.

    Raises
    ------
    TypeError
        If patience is not a whole number, or least is not a number.
    ValueError
        If patience is below 1, least is negative, or mode is none of the three; or at the end of the first epoch, if
        there is no figure of this name.
    """

    @hinted
    def __init__(self, patience: int = 5, monitor: str = "val_loss", mode: str = "auto", *, least: float = 0.0) -> None:
        self.patience = _check.positive_int(patience, "patience")
        self._monitor = Monitor(monitor, mode, _check.number(least, "least", 0))

    @property
    def best(self) -> float:
        """The best value of the figure so far."""
        return self._monitor.best

    @property
    def best_epoch(self) -> int:
        """The epoch that had it, from 1."""
        return self._monitor.epoch

    def on_fit_begin(self, progress: Progress) -> None:
        self._monitor.start()
        self._like = [array.value for array in [*progress.parameters, *progress.buffers]]
        self._values: list[NDArray[Any]] = []
        self._validated: list[NDArray[Any]] = []

    def on_validation_end(self, progress: Progress) -> None:
        self._validated = values_of(progress)  # averages may have replaced the weights for the validation

    def on_epoch_end(self, progress: Progress) -> None:
        if self._monitor.improved(progress):
            self._values = self._validated or values_of(progress)
        elif progress.epoch - self.best_epoch >= self.patience:
            progress.stop = True
        self._validated = []

    def on_fit_end(self, progress: Progress) -> None:
        arrays = [*progress.parameters, *progress.buffers]
        for parameter, value in zip(arrays, self._values, strict=bool(self._values)):
            parameter.value = value
        progress.chosen = progress.chosen or bool(self._values)

    def state(self) -> dict[str, Any]:
        return {**self._monitor.state(), "values": self._values}

    def restore(self, state: dict[str, Any]) -> None:
        self._monitor.restore(state)
        self._values = _check.arrays_like(state["values"], self._like, "values")


def values_of(progress: Progress) -> list[NDArray[Any]]:
    """Copies of all parameters and buffers."""
    return [array.value.copy() for array in [*progress.parameters, *progress.buffers]]
