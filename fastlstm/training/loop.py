"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlstm.callbacks import Callback, Progress
from fastlstm.files import reading
from fastlstm.model import Tape
from fastlstm.optim import Optimizer
from fastlstm.parameter import Parameter
from fastlstm.snapshot import State
from fastlstm.training import diagnosis, restoring
from fastlstm.training.batches import Batch
from fastlstm.training.exchange import refuse
from fastlstm.training.gradients import Gradients, Limits
from fastlstm.training.history import History
from fastlstm.training.objective import Objective
from fastlstm.training.ranks import Ranks, digest_of
from fastlstm.training.settings import require_same, settings_of
from fastlstm.training.shares import WHOLE, Share

HINT = "try a smaller learning rate (it was {lr:.3g}), clip_norm, or inputs and targets of about 1"
BACKWARDS = ("on_validation_end", "on_fit_end")


class Source(Protocol):
    """Data for the loop, in mini-batches."""

    unit: str

    @property
    def size(self) -> int | None:
        """Number of sequences, or of steps, in an epoch; None if it is not known."""

    @property
    def count(self) -> int | None:
        """Number of batches in an epoch; None if it is not known."""

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch after the first `start`. Epochs are counted from 1."""

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[Sequence[Batch]]:
        """The same, but these parts of each batch."""


class Loop:
    """A training, from its first epoch or from a snapshot to its end.

    Parameters
    ----------
    objective : Objective
    optimizer : Optimizer
    limits : Limits
    callbacks : list of Callback
    batches : Source
        The training data.
    held_out : Source or None
        The validation data, which are evaluated after each epoch.
    tapes : (list of Tape, list of Tape)
        The tapes for training and those for validation, one for each part of a batch.
    ranks : Ranks
    epochs, seed : int
    passed : dict
        Further settings of the training, by the names of the arguments.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        limits: Limits,
        callbacks: Iterable[Callback],
        batches: Source,
        held_out: Source | None,
        tapes: tuple[Sequence[Tape], Sequence[Tape]],
        ranks: Ranks,
        epochs: int,
        seed: int,
        passed: State,
    ) -> None:
        self.objective, self.model, self.optimizer, self.limits = objective, objective.model, optimizer, limits
        own = (callback for callback in callbacks if not (ranks.rank and callback.alone))
        self.callbacks = sorted(own, key=lambda callback: callback.order)
        self.batches, self.held_out, self.tapes, self.ranks = batches, held_out, tapes, ranks
        self.history, self.seed = History(), seed
        self.progress = Progress(
            epochs,
            batches.count,
            batches.size,
            self.model.parameters(),
            batches.unit,
            self.model.buffers(),
            optimizer,
            limits.accumulate,
        )
        self.progress.snapshot, self.progress.rank = self.snapshot, ranks.rank
        self.kind = {
            "unit": batches.unit,
            "size": batches.size,
            "batches": batches.count,
            "accumulate": limits.accumulate,
        }
        self.gradients = Gradients(objective, optimizer, limits, ranks.joining(self.model))
        clips = {"clip_norm": limits.clip_norm, "clip_value": limits.clip_value, "accumulate": limits.accumulate}
        self.settings = settings_of(objective, optimizer, **clips, **passed, validation=held_out is not None)
        self._figures = objective.figures()
        self._complete = True  # whether the current epoch is complete
        self._good: list[NDArray[Any]] = []  # parameters and buffers at the start of the epoch
        self._asked = False  # whether Ctrl-C was pressed on this rank, which the others do not know yet
        self._wrong = ""  # why a loss on this rank is not finite

    def run(self, state: State | None = None) -> None:
        """Train for all epochs, from a snapshot if there is one."""
        progress, begin = self.progress, 1
        with self.ranks.together("the beginning of the training"):
            if state is not None:
                self._restore(state)
                begin = progress.epoch + self._complete
            self._call("on_fit_begin")
            if state is not None:
                with reading(state["path"]):
                    for callback, (_, part) in zip(self._lasting, state["callbacks"], strict=True):
                        callback.restore(part)
        if self.ranks.exchange is not None:
            self.ranks.require_same("the beginning of the training", self._fingerprint)
        try:
            with interrupts(self._interrupt):
                for epoch in range(begin, 1 if progress.stop else progress.epochs + 1):
                    progress.epoch = epoch
                    self._epoch()
                    if progress.stop:
                        break
        except BaseException as error:
            progress.failed = True
            self.ranks.fail(error)
            raise
        finally:
            self._call("on_fit_end")

    def _epoch(self) -> None:
        """Train for one epoch, or for the rest of it. Ctrl-C leaves it unfinished."""
        progress = self.progress
        if self._complete:
            self._figures, self._complete, progress.batch = self.objective.figures(), False, 0
            self._good = [array.value.copy() for array in self._arrays.values()]
            self._call("on_epoch_begin")
        self._train()
        if progress.interrupted:
            return
        spoilt = diagnosis.of_parameters(self.model)
        if spoilt:
            self._fail(f"{spoilt} is no longer finite after epoch {progress.epoch}")
        progress.logs = self.ranks.merged(self._figures, "the end of an epoch").means()
        if self.held_out is not None:
            self._call("on_validation_begin")
            parts = self.held_out.parts(1, 0, self.ranks.shares)
            found = self.ranks.evaluate(self.objective, parts, self.tapes[1])
            self._call("on_validation_end")
            progress.logs.update({"val_" + name: value for name, value in found.items()})
        progress.loss = progress.logs["loss"]
        self.history.add(progress.logs)
        self._complete = True
        self._call("on_epoch_end")
        self._agree()

    def _agree(self) -> None:
        """At the end of an epoch, all ranks stop if one does, and their parameters must be the same."""
        if self.ranks.exchange is None:
            return
        progress = self.progress
        self.ranks.require_same(f"the end of epoch {progress.epoch}", {"parameters now": digest_of(self.model)})
        self._stop_together(*self.ranks.totals(np.array([[progress.stop, self._asked]], float))[:2])

    def _stop_together(self, stops: float, interrupted: float) -> None:
        progress = self.progress
        progress.stop = bool(stops) or bool(interrupted)
        progress.interrupted = bool(interrupted)

    def _interrupt(self) -> None:
        """Ctrl-C: end the training after this step, or if there are other ranks after the next one."""
        if self.ranks.exchange is None:
            self.progress.stop = self.progress.interrupted = True
        self._asked = True

    def _train(self) -> None:
        """Train on the remaining batches of the epoch."""
        progress = self.progress
        before, after = self._written("on_batch_begin"), self._written("on_batch_end")
        for parts in self.batches.parts(progress.epoch, progress.batch, self.ranks.shares):
            progress.batch += 1
            whole = parts[0].whole
            progress.sequences = parts[0].size if whole is None else whole.size
            progress.stepped = progress.batch % self.limits.accumulate == 0 or progress.batch == progress.batches
            progress.due = False
            for call in before:
                call(progress)
            stop = self._step(parts)
            for call in after:
                call(progress)
            if (progress.stop if stop is None else stop) and progress.stepped and progress.even:
                break
        if not progress.stepped:  # the last batch was not known to be the last
            progress.stepped = True
            if self.ranks.local is None:
                self._join()
            self._update()
            if self.ranks.local is not None:
                wrong = self.ranks.first_of(self._wrong)
                if wrong:
                    self._fail(wrong)
                self.ranks.local.steps += 1
        if self.ranks.local is not None:
            self.ranks.local.average(self.model, self.optimizer)
            progress.even = True

    def _step(self, parts: Sequence[Batch]) -> bool | None:
        """Train on a batch, and let the optimizer take a step if no more gradients are to be added up.

        Returns whether the training stops, if ranks have to agree on it.
        """
        progress = self.progress
        numbers = [self._pass(k, part) for k, part in enumerate(parts)]
        local = self.ranks.local
        if local is not None and progress.stepped:
            self._update()
        if not self.ranks.parted:
            ((loss, of, size),) = numbers
            stop = None
        else:
            loss, of, size, stop = self._together(numbers)
        progress.loss = self._value if not self.ranks.parted else loss / size if size else 0.0
        if progress.stepped and local is None:
            self._update()
        elif progress.stepped and local is not None:
            local.stepped(self.model, self.optimizer, last=progress.batch == progress.batches)
            progress.even = not local.steps
        self._figures.count("loss", loss, of)
        return stop

    def _pass(self, k: int, part: Batch) -> tuple[float, float, float]:
        """Both passes over a part of a batch: its share of the loss, of its weight in the epoch, and of its divisor."""
        tape = self.tapes[0][k]
        tape.part.first, tape.part.spare = part.first, part.spare
        pred = self.objective.forward(part, tape, training=True)
        value, dpred = 0.0, None
        if pred is not None:
            value, dpred = self.objective.value(pred, part, tape)
            if not math.isfinite(value):
                self._wrong = f"the loss is {value} {self._where}: {diagnosis.of_loss(self.model, part)}"
                if not self.ranks.parted:
                    self._fail(self._wrong)
                dpred = np.zeros_like(dpred)  # the other ranks wait for gradients
        self.gradients.add(part, dpred, tape, k, last=self.progress.stepped)
        self._value = value
        self.objective.measure(self._figures, part, pred)
        return *self.objective.weighted(value, part), self.objective.size(part)

    def _together(self, numbers: list[tuple[float, float, float]]) -> tuple[float, float, float, bool | None]:
        """The same numbers of all parts on all ranks, whether to stop; and the gradients of all, before a step."""
        progress = self.progress
        own, local = np.zeros((len(numbers), 10)), self.ranks.local is not None
        own[:, :3] = numbers
        own[:, 3] = [*self.gradients.by_part.values()] or 0
        own[0, 4:9] = self.gradients.added, progress.stop, self._asked, progress.due, bool(self._wrong)
        own[0, 9] = progress.norm if local else 0
        loss, of, size, counted, added, stops, asked, due, wrong, norm = self.ranks.totals(own).tolist()
        if local:
            progress.norm = norm / self.ranks.size
        elif progress.stepped:
            self.gradients.join(counted, added)
        if not math.isfinite(loss) or wrong:
            self._fail(self.ranks.first_of(self._wrong) or f"the loss is {loss} {self._where}")
        progress.due = due > 0
        self._stop_together(stops, asked)
        return loss, of, size, None if self.ranks.exchange is None else progress.stop

    def _join(self) -> None:
        """Add up the gradients of all parts for a last step that was not known to be one."""
        if self.ranks.parted:
            numbers = np.zeros((len(self.ranks.shares), 2))
            numbers[:, 0] = [*self.gradients.by_part.values()]
            numbers[0, 1] = self.gradients.added
            self.gradients.join(*self.ranks.totals(numbers).tolist())

    def _update(self) -> None:
        """Let the optimizer take a step, unless nothing in the batches counted."""
        progress = self.progress
        local = self.ranks.local is not None
        norm = self.gradients.step(always=local)
        if norm is not None:
            if math.isfinite(norm):
                progress.norm = norm
            else:
                message = f"the norm of the gradient is {norm} {self._where}: {diagnosis.of_gradient(self.model)}"
                if not local:
                    self._fail(message)
                self._wrong = message  # which the other ranks do not know yet
        progress.step += 1

    @property
    def _where(self) -> str:
        progress = self.progress
        return f"in epoch {progress.epoch}, batch {progress.batch} (step {progress.step + 1})"

    def _fail(self, message: str) -> NoReturn:
        """Raise FloatingPointError. The model keeps its last finite parameters."""
        hint = HINT.format(lr=self.optimizer.lr)
        kept = "the parameters are those before this step"
        if diagnosis.of_parameters(self.model):
            for array, value in zip(self._arrays.values(), self._good, strict=True):
                array.value = value
            kept = f"the parameters are those at the beginning of epoch {self.progress.epoch}"
        refuse(self.ranks.exchange, FloatingPointError(f"{message}; {hint}; {kept}"))

    def _call(self, hook: str) -> None:
        for callback in reversed(self.callbacks) if hook in BACKWARDS else self.callbacks:
            getattr(callback, hook)(self.progress)

    def _written(self, hook: str) -> list[Callable[[Progress], None]]:
        """The hooks of this name that callbacks have written. It saves time at each batch to skip the others."""
        nothing = getattr(Callback, hook)
        calls = [getattr(callback, hook) for callback in self.callbacks]
        return [call for call in calls if getattr(call, "__func__", None) is not nothing]

    @property
    def _fingerprint(self) -> State:
        """What must be the same on all ranks. Data that are read batch by batch are not in it."""
        return {
            "epochs": self.progress.epochs,
            "seed": self.seed,
            **self.settings,
            **{f"data {name}": value for name, value in self.kind.items()},
            "data": getattr(self.batches, "fingerprint", None),
            "validation data": getattr(self.held_out, "fingerprint", None),
            "model": repr(self.model),
            "parameters": digest_of(self.model),
            "steps of the optimizer": self.optimizer.steps,
            "callbacks": [type(callback).__name__ for callback in self.callbacks if not callback.alone],
        }

    @property
    def _arrays(self) -> dict[str, Parameter]:
        """All parameters and buffers of the model, by name."""
        return {**self.model.named_parameters(), **self.model.named_buffers()}

    @property
    def _lasting(self) -> list[Callback]:
        """The callbacks that save a state."""
        return [callback for callback in self.callbacks if type(callback).state is not Callback.state]

    def snapshot(self) -> State:
        """Everything that is needed to resume the training after the last step with the same bits."""
        progress = self.progress
        return {
            "kind": self.kind,
            "settings": self.settings,
            "seed": self.seed,
            "epoch": progress.epoch,
            "batch": progress.batch,
            "step": progress.step,
            "complete": self._complete,
            "stop": progress.stop and not progress.interrupted,
            "history": self.history.to_dict(),
            "figures": self.ranks.merged(self._figures, "a checkpoint").state(),
            "parameters": {name: array.value for name, array in self._arrays.items()},
            "optimizer": self.optimizer.snapshot(),
            "tape": self.ranks.tape_state(self.tapes[0]),
            **self.ranks.own_states(self._figures),
            "good": self._good,
            "callbacks": [[type(callback).__name__, callback.state()] for callback in self._lasting],
        }

    def _restore(self, state: State) -> None:
        """Restore everything but the callbacks, which are restored after `on_fit_begin`."""
        progress, arrays = self.progress, self._arrays
        require_same(state.get("settings", {}), self.settings)
        self._expect("data", state["kind"], self.kind)
        names = [type(callback).__name__ for callback in self._lasting]
        self._expect("callbacks", [name for name, _ in state["callbacks"]], names)
        shapes = {name: list(value.shape) for name, value in state["parameters"].items()}
        dtypes = sorted({array.dtype.name for array in state["parameters"].values()})
        self._expect("dtype", dtypes, [self.model.dtype.name] if arrays else [])
        self._expect("model", shapes, {name: list(array.shape) for name, array in arrays.items()})
        with reading(state["path"]):
            restoring.check(state, self.model, self.optimizer, self._figures.state())
            self._figures.restore(state["figures"])
            self.ranks.restore_own(self._figures, state)
        self.optimizer.restore(progress.parameters, state["optimizer"])
        for name, array in arrays.items():
            array.value = state["parameters"][name]
        self.ranks.restore_tapes(self.tapes[0], state["tape"])
        progress.epoch, progress.batch = state["epoch"], state["batch"]
        progress.step, progress.stop = state["step"], state["stop"]
        self._complete, self._good = state["complete"], state["good"]
        self.history = History.from_dict(state["history"])

    @staticmethod
    def _expect(what: str, wanted: Any, got: Any) -> None:
        if wanted != got:
            raise ValueError(f"resume: expected the {what} of the interrupted training, {wanted}, got {got}")


@contextmanager
def interrupts(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at Ctrl-C. A second Ctrl-C does not wait for the end of the step.

    This holds only in the main thread, and only if SIGINT has no other handler.
    """

    def first(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
