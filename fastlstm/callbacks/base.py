"""The base of the callbacks, and what they are told of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastlstm import _check
from fastlstm.parameter import Parameter

if TYPE_CHECKING:
    from fastlstm.optim import Optimizer


@dataclass
class Progress:
    """The state of a training, as the hooks see it. Hooks may set ``stop``.

    Attributes
    ----------
    epoch, epochs : int
        The number of the current epoch, from 1, and of all epochs.
    batch : int
        The number of the current batch in this epoch, from 1.
    batches : int or None
        Number of batches in an epoch; None if it is not known before the end of the epoch.
    step : int
        Number of steps that the optimizer has taken.
    steps : int or None
        Number of all steps of the training; None if it is not known.
    accumulate : int
        Number of batches whose gradients are added up for one step.
    stepped : bool
        Whether the optimizer has taken a step at the end of the current batch.
    sequences : int
        Number of sequences in the current batch; of steps, if the training is on a single sequence.
    epoch_sequences : int or None
        The same in an epoch; None if it is not known.
    unit : str
        What is counted in these two: "sequences" or "steps".
    loss : float
        Loss of the current batch; at the end of an epoch, loss of the epoch.
    norm : float
        Norm of the gradient of all parameters at the last step, before clipping.
    logs : dict
        At the end of an epoch, its figures: ``loss``, ``val_loss``, the metrics.
    parameters, buffers : lists of Parameter
        What is trained, and what belongs to the model but is not trained, such as the running mean of a `BatchNorm`.
    optimizer : Optimizer
        Its ``lr`` may be changed.
    rank : int
        Number of this process among those that train together; 0 if it is alone. Files are written, and lines
        printed, by rank 0 only.
    due : bool
        Set it to True in `on_batch_begin` to ask for a checkpoint. In `on_batch_end` it is True on all ranks if one has
        asked.
    even : bool
        Whether all ranks have the same parameters now; False only between the means of `Trainer`'s average_every.
    stop : bool
        Set it to True to end the training: after this hook, or within an epoch after the next step. All ranks stop if
        one does, one batch later if it is within an epoch.
    interrupted, failed : bool
        At the end: whether Ctrl-C, or an error, has ended the training.
    chosen : bool
        At the end: whether a callback has set the parameters to those that it considers the best.
    told : bool
        At the end: whether a callback has already reported that Ctrl-C has ended the training. If not, the trainer
        does.
    snapshot : function
        Returns everything that the training needs to go on from here to the same bits.
    """

    epochs: int
    batches: int | None
    epoch_sequences: int | None
    parameters: list[Parameter]
    unit: str = "sequences"
    buffers: list[Parameter] = field(default_factory=list)
    optimizer: Optimizer | None = None
    accumulate: int = 1
    epoch: int = 0
    batch: int = 0
    step: int = 0
    stepped: bool = True
    sequences: int = 0
    loss: float = float("nan")
    norm: float = float("nan")
    logs: dict[str, float] = field(default_factory=dict)
    rank: int = 0
    due: bool = False
    even: bool = True
    stop: bool = False
    interrupted: bool = False
    failed: bool = False
    chosen: bool = False
    told: bool = False
    snapshot: Callable[[], dict[str, Any]] = dict

    @property
    def steps(self) -> int | None:
        """Number of all steps of the training; None if it is not known."""
        return None if self.batches is None else self.epochs * -(-self.batches // self.accumulate)

    @property
    def where(self) -> str:
        """The last step in words, such as "after step 7 (epoch 1 of 2, batch 7 of 10)"."""
        of = "" if self.batches is None else f" of {self.batches}"
        return f"after step {self.step} (epoch {self.epoch} of {self.epochs}, batch {self.batch}{of})"


class Callback:
    """Base of all callbacks. A subclass writes the hooks that it needs; the others do nothing.

    Each hook is called in the order of the callbacks. `on_validation_end` and `on_fit_end` are called in the opposite
    order, so that the callback that replaced the weights first puts them back last.

    Attributes
    ----------
    order : int, default 0
        Callbacks with a lower number come first. The averages of the weights have -1, because others look at the
        weights; `Checkpoint` has 1, because it writes the states of all others.
    alone : bool, default False
        Whether it is called on rank 0 only, if a training has several. It must not change the training then, nor save a
        state.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> class Largest(fl.Callback):
    ...     largest = 0.0
    ...
    ...     def on_batch_end(self, progress):
    ...         self.largest = max(self.largest, progress.norm)
    ...
    ...     def state(self):  # for a training that is resumed
    ...         return {"largest": self.largest}
    ...
    ...     def restore(self, state):
    ...         self.largest = state["largest"]
    >>> largest, x = Largest(), np.ones((4, 3, 1))
    >>> model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], seed=0)
    >>> history = fl.Trainer(model, "mse", callbacks=[largest]).fit(x, x, epochs=2)
    >>> largest.largest > 0
    True
    """

    order: ClassVar[int] = 0
    alone: ClassVar[bool] = False

    def on_fit_begin(self, progress: Progress) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, progress: Progress) -> None:
        """Before the first batch of an epoch."""

    def on_batch_begin(self, progress: Progress) -> None:
        """Before a batch. Set the learning rate here."""

    def on_batch_end(self, progress: Progress) -> None:
        """After a batch, and after the step of the optimizer if the batch ends with one."""

    def on_validation_begin(self, progress: Progress) -> None:
        """Before the validation, if there is one."""

    def on_validation_end(self, progress: Progress) -> None:
        """After the validation, if there is one. Its figures are not in ``logs`` yet."""

    def on_epoch_end(self, progress: Progress) -> None:
        """At the end of an epoch, after the validation. ``logs`` has all figures."""

    def on_fit_end(self, progress: Progress) -> None:
        """At the end of the training, also after an error or Ctrl-C."""

    def state(self) -> dict[str, Any]:
        """What the callback needs to go on after an interruption: numbers, words and arrays, in dicts and lists."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` has returned. It is called after `on_fit_begin`.

        Parameters
        ----------
        state : dict
        """


class Monitor:
    """Watches a figure of the epochs for a new best.

    Parameters
    ----------
    name : str
        The name of the figure in `History`.
    mode : "min", "max" or "auto", default "auto"
        Whether the figure should fall or rise. "auto" lets accuracies, F1 and AUC rise, and all others fall.
    least : float, default 0
        By how much a new best must be better, in the units of the figure.

    Raises
    ------
    ValueError
        If mode is none of the three.
    """

    def __init__(self, name: str, mode: str = "auto", least: float = 0.0) -> None:
        if mode not in ("min", "max", "auto"):
            raise ValueError(f"mode: expected 'min', 'max' or 'auto', got {mode!r}")
        rises = mode == "max" or (mode == "auto" and any(word in name for word in ("accuracy", "top_", "f1", "auc")))
        self.name, self._least, self._sign = name, least, -1 if rises else 1
        self.start()

    def start(self) -> None:
        self.best, self.epoch = np.inf * self._sign, 0

    def improved(self, progress: Progress) -> bool:
        """Whether this epoch is the best so far by at least `least`; ValueError if it has no such figure."""
        if self.name not in progress.logs:
            raise ValueError(f"monitor: expected one of {sorted(progress.logs)}, got {self.name!r}")
        value = progress.logs[self.name]
        better = self._sign * value < self._sign * self.best - self._least
        if better:
            self.best, self.epoch = value, progress.epoch
        return better

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = _check.number(state["best"], "best", -np.inf)
        self.epoch = int(_check.number(state["epoch"], "epoch", 0))
