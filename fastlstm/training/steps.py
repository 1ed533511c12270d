"""From a batch to new parameters: in one process, with the gradients of other parts, or with means of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from fastlstm.callbacks import Progress
from fastlstm.model import Tape
from fastlstm.optim import Optimizer
from fastlstm.training import diagnosis
from fastlstm.training.batch import Batch
from fastlstm.training.gradients import Gradients, Limits
from fastlstm.training.local import Local
from fastlstm.training.objective import Objective
from fastlstm.training.ranks import Ranks


class Steps:
    """The steps of a process that has whole batches.

    Parameters
    ----------
    objective : Objective
    optimizer : Optimizer
    limits : Limits
    tapes : sequence of Tape
        One for each part of a batch.
    ranks : Ranks
    progress : Progress
    fail : function of a message
        Raises the error for numbers that are not finite.

    Attributes
    ----------
    figures : Accumulator
        The figures of the epoch so far.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        limits: Limits,
        tapes: Sequence[Tape],
        ranks: Ranks,
        progress: Progress,
        fail: Callable[[str], NoReturn],
    ) -> None:
        self._objective, self._optimizer, self._tapes, self._ranks = objective, optimizer, tapes, ranks
        self._progress, self._fail = progress, fail
        self._gradients = Gradients(objective, optimizer, limits, ranks.joining(objective.model))
        self.figures = objective.figures()

    def take(self, parts: Sequence[Batch]) -> None:
        """Train on a batch, and let the optimizer take a step if no more gradients are to be added up."""
        (batch,) = parts
        self._progress.loss = value = self._pass(0, batch)
        if self._progress.stepped:
            self._update()
        self.figures.count("loss", *self._objective.weighted(value, batch))

    def end(self) -> None:
        """Take the last step of an epoch, if the last batch was not known to be the last."""
        if not self._progress.stepped:
            self._progress.stepped = True
            self._update()

    @property
    def stops(self) -> bool:
        """Whether the training ends after this step."""
        return self._progress.stop

    def interrupt(self) -> None:
        """End the training after this step: Ctrl-C was pressed."""
        self._progress.stop = self._progress.interrupted = True

    def agree(self) -> None:
        """At the end of an epoch, let all ranks stop if one does."""

    def _pass(self, k: int, part: Batch) -> float:
        """Both passes over a part of a batch; its loss."""
        tape = self._tapes[k]
        tape.part.first, tape.part.spare = part.first, part.spare
        pred = self._objective.forward(part, tape, training=True)
        value, dpred = 0.0, None
        if pred is not None:
            value, dpred = self._objective.value(pred, part, tape)
            if not math.isfinite(value):
                self._loss_is_spoilt(
                    f"the loss is {value} {self._where}: {diagnosis.of_loss(self._objective.model, part)}"
                )
                dpred = np.zeros_like(dpred)  # the other ranks wait for gradients
        self._gradients.add(part, dpred, tape, k, last=self._progress.stepped)
        if pred is not None:
            value += self._gradients.penalty() + tape.penalty()
        self._objective.measure(self.figures, part, pred)
        return value

    def _loss_is_spoilt(self, message: str) -> None:
        self._fail(message)

    def _norm_is_spoilt(self, message: str) -> None:
        self._fail(message)

    def _update(self, *, always: bool = False) -> None:
        """Let the optimizer take a step, unless nothing in the batches counted."""
        norm = self._gradients.step(always=always)
        if norm is not None and math.isfinite(norm):
            self._progress.norm = norm
        elif norm is not None:
            said = diagnosis.of_gradient(self._objective.model)
            self._norm_is_spoilt(f"the norm of the gradient is {norm} {self._where}: {said}")
        self._progress.step += 1

    @property
    def _where(self) -> str:
        progress = self._progress
        return f"in epoch {progress.epoch}, batch {progress.batch} (step {progress.step + 1})"


class JoinedSteps(Steps):
    """Steps with the gradients of all parts of a batch, which may be on other ranks.

    After each batch all ranks add up some numbers: losses, and whether one of them wants to stop or has failed. So they
    decide the same.
    """

    _stops = False  # what the ranks have agreed on
    _asked = False  # whether Ctrl-C was pressed on this rank, which the others do not know yet
    _wrong = ""  # why a number on this rank is not finite

    def take(self, parts: Sequence[Batch]) -> None:
        numbers = [self._numbers(k, part) for k, part in enumerate(parts)]
        loss, of = self._meet(numbers)
        if self._progress.stepped:
            self._update()
        self.figures.count("loss", loss, of)

    def end(self) -> None:
        if not self._progress.stepped:
            own = np.zeros((len(self._tapes), 2))
            own[:, 0] = [*self._gradients.by_part.values()]
            own[0, 1] = self._gradients.added
            self._gradients.join(*self._ranks.totals(own).tolist())
        super().end()

    @property
    def stops(self) -> bool:
        return self._progress.stop if self._ranks.exchange is None else self._stops

    def interrupt(self) -> None:
        self._asked = True
        if self._ranks.exchange is None:
            super().interrupt()

    def agree(self) -> None:
        own = np.zeros((len(self._tapes), 2))
        own[0] = self._progress.stop, self._asked
        self._stop_if(*self._ranks.totals(own).tolist())

    def _numbers(self, k: int, part: Batch) -> tuple[float, float, float]:
        """Train on a part: what it adds to the loss of the epoch and to its weight, and the divisor of its own loss."""
        value = self._pass(k, part)
        return *self._objective.weighted(value, part), self._objective.size(part)

    def _meet(self, numbers: list[tuple[float, float, float]]) -> tuple[float, float]:
        """Add up the numbers of all parts, and before a step the gradients. Returns the loss and its weight."""
        progress = self._progress
        own = np.zeros((len(numbers), 9))
        own[:, :3] = numbers
        if self._gradients.by_part:
            own[:, 3] = [*self._gradients.by_part.values()]
        own[0, 4:] = self._gradients.added, progress.stop, self._asked, progress.due, progress.norm
        if self._wrong:
            own[0, 0] = math.nan
        loss, of, size, counted, added, stops, asked, due, norm = self._ranks.totals(own).tolist()
        self._join(counted, added, norm)
        if not math.isfinite(loss):
            self._fail(self._ranks.first_of(self._wrong) or f"the loss is {loss} {self._where}")
        progress.loss, progress.due = loss / size if size else 0.0, due > 0
        self._stop_if(stops, asked)
        return loss, of

    def _join(self, counted: float, added: float, norm: float) -> None:
        if self._progress.stepped:
            self._gradients.join(counted, added)

    def _stop_if(self, stops: float, asked: float) -> None:
        self._progress.stop = self._stops = bool(stops or asked)
        self._progress.interrupted = bool(asked)

    def _loss_is_spoilt(self, message: str) -> None:
        self._wrong = message


class LocalSteps(JoinedSteps):
    """Steps with the gradients of this rank alone. The parameters are averaged every few steps; see `Local`."""

    def take(self, parts: Sequence[Batch]) -> None:
        progress, local = self._progress, self._local
        numbers = [self._numbers(k, part) for k, part in enumerate(parts)]
        if progress.stepped:
            self._update(always=True)
        self.figures.count("loss", *self._meet(numbers))
        if progress.stepped and (local.is_due or progress.batch == progress.batches):
            self._average()
        progress.even = not local.steps

    def end(self) -> None:
        if not self._progress.stepped:
            self._progress.stepped = True
            self._update(always=True)
            wrong = self._ranks.first_of(self._wrong)
            if wrong:
                self._fail(wrong)
        self._average()

    @property
    def _local(self) -> Local:
        assert self._ranks.local is not None
        return self._ranks.local

    def _average(self) -> None:
        self._local.average(self._objective.model, self._optimizer)
        self._progress.even = True

    def _update(self, *, always: bool = False) -> None:
        super()._update(always=always)
        self._local.count(self._objective.model)

    def _join(self, counted: float, added: float, norm: float) -> None:
        self._progress.norm = norm / self._ranks.size

    def _norm_is_spoilt(self, message: str) -> None:
        self._wrong = message


def kind_of(ranks: Ranks) -> type[Steps]:
    """How these ranks take their steps."""
    if ranks.local is not None:
        return LocalSteps
    return JoinedSteps if ranks.parted else Steps
