"""What runs beside a training: a few hooks."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.parameter import Parameter

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass
class Progress:
    """Where a training stands; hooks read it, and may set ``stop``.

    Attributes
    ----------
    epoch, epochs : int
        The current one, from 1, and how many there are to be.
    batch, batches : int
        The current one of this epoch, from 1, and how many it has.
    sequences, epoch_sequences : int
        Number of sequences in the current batch, and in an epoch; of steps where a single sequence is learned from.
    unit : str
        What these are: "sequences" or "steps".
    loss : float
        Of the current batch; at the end of an epoch, of the epoch.
    logs : dict
        At the end of an epoch, its figures: ``loss``, ``val_loss``, the metrics.
    parameters : list of Parameter
    stop : bool
        Set to end the training after this hook.
    """

    epochs: int
    batches: int
    epoch_sequences: int
    parameters: list[Parameter]
    unit: str = "sequences"
    epoch: int = 0
    batch: int = 0
    sequences: int = 0
    loss: float = float("nan")
    logs: dict[str, float] = field(default_factory=dict)
    stop: bool = False


class Callback:
    """Base of all callbacks; each hook does nothing until it is written."""

    def on_fit_begin(self, progress: Progress) -> None:
        """Before the first epoch."""

    def on_batch_end(self, progress: Progress) -> None:
        """After the optimizer's step."""

    def on_epoch_end(self, progress: Progress) -> None:
        """After the validation."""

    def on_fit_end(self, progress: Progress) -> None:
        """At the end, also after an error or Ctrl-C."""


class EarlyStopping(Callback):
    """Ends a training that no longer gets better, and goes back to the best parameters.

    Parameters
    ----------
    patience : int
        Epochs without a new best before the end.
    monitor : str
        The figure to watch, as `History` names it.
    mode : "min", "max" or "auto"
        Whether the figure should fall or rise; "auto" lets accuracies rise and all else fall.
    """

    def __init__(self, patience: int = 5, monitor: str = "val_loss", mode: str = "auto") -> None:
        if mode not in ("min", "max", "auto"):
            raise ValueError(f"mode: expected 'min', 'max' or 'auto', got {mode!r}")
        self.patience, self.monitor = _check.positive_int(patience, "patience"), monitor
        rises = mode == "max" or (mode == "auto" and monitor.endswith("accuracy"))
        self._sign = -1 if rises else 1

    def on_fit_begin(self, progress: Progress) -> None:
        self.best, self.best_epoch = np.inf * self._sign, 0
        self._values: list[NDArray[Any]] = []

    def on_epoch_end(self, progress: Progress) -> None:
        if self.monitor not in progress.logs:
            raise ValueError(f"monitor: expected one of {sorted(progress.logs)}, got {self.monitor!r}")
        if self._sign * progress.logs[self.monitor] < self._sign * self.best:
            self.best, self.best_epoch = progress.logs[self.monitor], progress.epoch
            self._values = [parameter.value.copy() for parameter in progress.parameters]
        elif progress.epoch - self.best_epoch >= self.patience:
            progress.stop = True

    def on_fit_end(self, progress: Progress) -> None:
        for parameter, value in zip(progress.parameters, self._values, strict=bool(self._values)):
            parameter.value = value


class ProgressBar(Callback):
    """A bar of tqdm with the loss and the speed; without a terminal only if `always`, without tqdm never."""

    def __init__(self, always: bool = False) -> None:
        self._always = always
        self._bar: tqdm[Any] | None = None

    def on_fit_begin(self, progress: Progress) -> None:
        if not self._always and not sys.stderr.isatty():
            return
        try:
            from tqdm import tqdm
        except ImportError:
            return
        total = progress.epochs * progress.epoch_sequences
        self._bar = tqdm(total=total, unit=" " + progress.unit, unit_scale=True, dynamic_ncols=True)

    def on_batch_end(self, progress: Progress) -> None:
        if self._bar is None:
            return
        self._bar.set_description(f"epoch {progress.epoch}/{progress.epochs}", refresh=False)
        self._bar.set_postfix(self._figures(progress), refresh=False)
        self._bar.update(progress.sequences)

    def on_fit_end(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self._figures(progress))
            self._bar.close()
            self._bar = None

    @staticmethod
    def _figures(progress: Progress) -> dict[str, str]:
        figures = {"loss": progress.loss, **{k: v for k, v in progress.logs.items() if k != "loss"}}
        return {name: f"{value:.4g}" for name, value in figures.items()}
