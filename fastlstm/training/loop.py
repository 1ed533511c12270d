"""The training loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from numpy.typing import NDArray

from fastlstm.callbacks import Callback, Progress
from fastlstm.files import reading
from fastlstm.model import Tape
from fastlstm.optim import Optimizer
from fastlstm.parameter import Parameter
from fastlstm.snapshot import State
from fastlstm.training import diagnosis, restoring
from fastlstm.training.batch import Source
from fastlstm.training.gradients import Limits
from fastlstm.training.history import History
from fastlstm.training.objective import Objective
from fastlstm.training.ranks import Ranks, digest_of
from fastlstm.training.settings import require_same, settings_of
from fastlstm.training.steps import kind_of

HINT = "try a smaller learning rate (it was {lr:.3g}), clip_norm, or inputs and targets of about 1"
BACKWARDS = ("on_validation_end", "on_fit_end")


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
        self.steps = kind_of(ranks)(objective, optimizer, limits, tapes[0], ranks, self.progress, self._fail)
        clips = {"clip_norm": limits.clip_norm, "clip_value": limits.clip_value, "accumulate": limits.accumulate}
        self.settings = settings_of(objective, optimizer, **clips, **passed, validation=held_out is not None)
        self._frozen = restoring.frozen_now(self.model)  # callbacks may change it
        self._complete = True  # whether the current epoch is complete
        self._good: list[NDArray[Any]] = []  # parameters and buffers at the start of the epoch

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
        self.ranks.require_same("the beginning of the training", self._fingerprint)
        with self.ranks.ending_at_errors():
            self._epochs(begin)

    def _epochs(self, begin: int) -> None:
        """Train from this epoch on."""
        progress = self.progress
        try:
            with interrupts(self.steps.interrupt):
                for epoch in range(begin, 1 if progress.stop else progress.epochs + 1):
                    progress.epoch = epoch
                    self._epoch()
                    if progress.stop:
                        break
        except BaseException:
            progress.failed = True
            raise
        finally:
            self._call("on_fit_end")

    def _epoch(self) -> None:
        """Train for one epoch, or for the rest of it. Ctrl-C leaves it unfinished."""
        progress = self.progress
        if self._complete:
            self.steps.figures, self._complete, progress.batch = self.objective.figures(), False, 0
            self._good = [array.value.copy() for array in self._arrays.values()]
            self._call("on_epoch_begin")
        self._train()
        if progress.interrupted:
            return
        spoilt = diagnosis.of_parameters(self.model)
        if spoilt:
            self._fail(f"{spoilt} is no longer finite after epoch {progress.epoch}")
        progress.logs = self.ranks.merged(self.steps.figures, "the end of an epoch").means()
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
        self.ranks.require_same(f"the end of epoch {progress.epoch}", self._learned)
        self.steps.agree()

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
            self.steps.take(parts)
            for call in after:
                call(progress)
            if self.steps.stops and progress.stepped and progress.even:
                break
        self.steps.end()

    def _fail(self, message: str) -> NoReturn:
        """Raise FloatingPointError. The model keeps its last finite parameters."""
        hint = HINT.format(lr=self.optimizer.lr)
        kept = "the parameters are those before this step"
        if diagnosis.of_parameters(self.model):
            for array, value in zip(self._arrays.values(), self._good, strict=True):
                array.value = value
            kept = f"the parameters are those at the beginning of epoch {self.progress.epoch}"
        raise self.ranks.agreed(FloatingPointError(f"{message}; {hint}; {kept}"))

    def _call(self, hook: str) -> None:
        for callback in reversed(self.callbacks) if hook in BACKWARDS else self.callbacks:
            getattr(callback, hook)(self.progress)

    def _written(self, hook: str) -> list[Callable[[Progress], None]]:
        """The hooks of this name that callbacks have written. It saves time at each batch to skip the others."""
        nothing = getattr(Callback, hook)
        calls = [getattr(callback, hook) for callback in self.callbacks]
        return [call for call in calls if getattr(call, "__func__", None) is not nothing]

    def _learned(self) -> State:
        """What all ranks must have learned the same of."""
        return {"parameters now": digest_of(self.model)}

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
            "figures": self.ranks.merged(self.steps.figures, "a checkpoint").state(),
            "parameters": {name: array.value for name, array in self._arrays.items()},
            "frozen": restoring.frozen_now(self.model),
            "frozen at first": self._frozen,
            "optimizer": self.optimizer.snapshot(),
            "tape": self.ranks.tape_state(self.tapes[0]),
            **self.ranks.own_states(self.steps.figures),
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
            restoring.check(state, self.model, self.optimizer, self.steps.figures.state())
            self.steps.figures.restore(state["figures"])
            self.ranks.restore_own(self.steps.figures, state)
            self._frozen = restoring.frozen_of(state, self.model, "frozen at first")
        restoring.require_frozen(state, self.model)
        self.optimizer.restore(progress.parameters, state["optimizer"])
        for name, array in arrays.items():
            array.value = state["parameters"][name]
        frozen = restoring.frozen_of(state, self.model)
        for name, parameter in self.model.named_parameters().items():
            parameter.trainable = name not in frozen
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
