"""What runs beside a training: a few hooks."""

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
    """Where a training stands; hooks read it, and may set ``stop``.

    Attributes
    ----------
    epoch, epochs : int
        The current one, from 1, and how many there are to be.
    batch : int
        The current one of this epoch, from 1.
    batches : int or None
        How many an epoch has; None where that is not known before its end.
    step : int
        Steps of the optimizer so far.
    steps : int or None
        How many there are to be in all.
    stepped : bool
        Whether the current batch ended with a step: not all do where gradients are added up over several.
    sequences, epoch_sequences : int, int or None
        Number of sequences in the current batch, and in an epoch; of steps where a single sequence is learned from.
    unit : str
        What these are: "sequences" or "steps".
    loss : float
        Of the current batch; at the end of an epoch, of the epoch.
    norm : float
        Of the gradient at the last step, all parameters together, before it was clipped.
    logs : dict
        At the end of an epoch, its figures: ``loss``, ``val_loss``, the metrics.
    parameters, buffers : lists of Parameter
        What is trained, and what belongs to the model but is not, such as the running mean of a `BatchNorm`.
    optimizer : Optimizer
        Its ``lr`` may be changed.
    stop : bool
        Set to end the training after this hook: within an epoch after its next step.
    interrupted, failed : bool
        At the end: whether Ctrl-C, or an error, has ended it.
    chosen : bool
        At the end: whether a callback has set the parameters to those that it takes for the best.
    told : bool
        At the end: whether a callback has said that Ctrl-C has ended the training; else the trainer says it.
    snapshot : function
        Gives all that the training needs to go on from here to the same bits.
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
    stop: bool = False
    interrupted: bool = False
    failed: bool = False
    chosen: bool = False
    told: bool = False
    snapshot: Callable[[], dict[str, Any]] = dict

    @property
    def steps(self) -> int | None:
        return None if self.batches is None else self.epochs * -(-self.batches // self.accumulate)

    @property
    def where(self) -> str:
        """After which step, in words."""
        of = "" if self.batches is None else f" of {self.batches}"
        return f"after step {self.step} (epoch {self.epoch} of {self.epochs}, batch {self.batch}{of})"


class Callback:
    """Base of all callbacks; each hook does nothing until it is written.

    Hooks are called in the order of the callbacks, but for `on_validation_end` and `on_fit_end`, where it is the
    opposite one: what was exchanged first is put back last.

    Attributes
    ----------
    order : int
        Callbacks of a lower one stand before the others: the averages of weights before what looks at the weights, and
        what writes everything down after all others.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> class Largest(fl.Callback):
    ...     largest = 0.0
    ...
    ...     def on_batch_end(self, progress):
    ...         self.largest = max(self.largest, progress.norm)
    ...
    ...     def state(self):  # so that a training that is resumed goes on with it
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

    def on_fit_begin(self, progress: Progress) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, progress: Progress) -> None:
        """Before the first batch of an epoch."""

    def on_batch_begin(self, progress: Progress) -> None:
        """Before a batch: the place to set the learning rate."""

    def on_batch_end(self, progress: Progress) -> None:
        """After the optimizer's step."""

    def on_validation_begin(self, progress: Progress) -> None:
        """Before the validation, if there is one."""

    def on_validation_end(self, progress: Progress) -> None:
        """After the validation, if there is one; its figures are not in ``logs`` yet."""

    def on_epoch_end(self, progress: Progress) -> None:
        """After the validation."""

    def on_fit_end(self, progress: Progress) -> None:
        """At the end, also after an error or Ctrl-C."""

    def state(self) -> dict[str, Any]:
        """What must be known to go on after an interruption: numbers, words, arrays, in dicts and lists."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; called after `on_fit_begin`."""


class Monitor:
    """Watches a figure of the epochs for a new best.

    Parameters
    ----------
    name : str
        As `History` names it.
    mode : "min", "max" or "auto"
        Whether it should fall or rise; "auto" lets accuracies, F1 and AUC rise and all else fall.
    least : float
        By how much a new best must be better.
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
        """Whether this epoch is the best so far, by enough."""
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
