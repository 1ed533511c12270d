"""What the trainings of a trainer have in common, whatever they are given."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks import Callback, ProgressBar
from fastlstm.hints import hinted
from fastlstm.losses import Loss
from fastlstm.model import Model
from fastlstm.optim import Optimizer
from fastlstm.snapshot import State
from fastlstm.training.batch import Batch, Source
from fastlstm.training.batches import Batches
from fastlstm.training.checked import as_data, parts_of
from fastlstm.training.feed import Feed
from fastlstm.training.gradients import Limits
from fastlstm.training.history import History
from fastlstm.training.loop import Loop
from fastlstm.training.objective import Objective
from fastlstm.training.ranks import Ranks
from fastlstm.training.resume import Run
from fastlstm.training.settings import name_of
from fastlstm.training.team import Team


class Session:
    """The part of a `Trainer` that runs a training and knows how the last one went. The trainer sets the attributes."""

    model: Model
    loss: Any
    optimizer: Optimizer
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    metrics: list[Any]
    callbacks: list[Callback]
    precision: str | None
    team: Team
    _loop: Loop | None
    _fits: int

    @property
    def history(self) -> History:
        """The history of the last training, even if it was interrupted. It is empty before the first training."""
        return History() if self._loop is None else self._loop.history

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last training."""
        return self._loop is not None and self._loop.progress.interrupted

    @hinted
    def predict(
        self, x: Any, batch_size: int = 256, lengths: Any = None, mask: Any = None, fill: str = "zero"
    ) -> NDArray[Any]:
        """The output of the model for all of x: the same as `Model.predict`."""
        return self.model.predict(x, batch_size, lengths, mask, fill)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value!r}" for name, value in self.optimizer.settings().items())
        return (
            f"{type(self).__name__}({self.model!r}, {name_of(self.loss)}, {type(self.optimizer).__name__}({numbers}))"
        )

    @property
    def _objective(self) -> Objective:
        return Objective(self.model, self.loss, self.metrics)

    def _batch_size(self, batch_size: Any) -> int:
        """Checked: every rank has at least a sequence of each full batch."""
        size = self.team.size
        if _check.positive_int(batch_size, "batch_size") < size:
            raise ValueError(f"batch_size: expected at least {size}, one sequence for each rank, got {batch_size}")
        return int(batch_size)

    def _held_out(self, validation: Any) -> Source | None:
        """The validation data of `fit_batches`: arrays, or batches."""
        if isinstance(validation, tuple | list) and len(validation) in (2, 3) and not isinstance(validation[0], tuple):
            return self._batches(self._data(*parts_of(validation, "lengths")), 256)
        return None if validation is None else Feed(self.model, self.loss, validation, name="validation")

    def _data(
        self, x: Any, y: Any, lengths: Any = None, weight: Any = None, class_weight: Any = None, mask: Any = None
    ) -> Batch:
        """All of the data, checked and converted."""
        return as_data(self.model, self.loss, x, y, lengths, weight, class_weight, mask=mask)

    def _batches(
        self, data: Batch, batch_size: int, *, order: int | None = None, bucket: bool = False, seed: int | None = None
    ) -> Batches:
        """The data in mini-batches. `order` is the seed of their order, and `seed` that of everything else.

        A batch is cut to its longest sequence if the model takes any T, and its output has T steps or no time axis.
        """
        shape = self.model.output_shape
        trim = self.model.input_shape[1] == "T" and (len(shape) == 2 or shape[1] == "T")
        per_step = not isinstance(self.loss, Loss) or self.loss._per_step_target
        return Batches(data, batch_size, seed=order, bucket=bucket, trim=trim, per_step=per_step)

    def _seed_of_fit(self, seed: int | None, state: State | None) -> int:
        """The given seed, that of the interrupted training, or one made from the number of earlier trainings."""
        if state is not None:
            if seed not in (None, state["seed"]):
                raise ValueError(f"seed: expected {state['seed']}, that of the interrupted training, got {seed}")
            seed = int(state["seed"])
        elif seed is None:
            seed = int(np.random.SeedSequence(0, spawn_key=(self._fits,)).generate_state(1)[0])
        self._fits += 1
        return seed

    def _fit(
        self,
        epochs: int,
        batches: Source,
        held_out: Source | None,
        seed: int,
        run: Run,
        ranks: Ranks,
        progress: bool | None,
        *,
        carry: bool = False,
        **passed: Any,
    ) -> History:
        tapes = (
            ranks.tapes(self.model, seed, carry=carry, precision=self.precision),
            ranks.tapes(self.model, carry=carry),
        )
        callbacks = [*self.callbacks, *run.callbacks(self.callbacks)]
        if progress is not False:
            callbacks.append(ProgressBar(always=progress is True))
        team = {"pieces": ranks.pieces, "wire": self.team.wire, "average_every": self.team.average_every}
        passed |= {"precision": self.precision, **team}
        limits = Limits(self.clip_norm, self.clip_value, self.accumulate)
        loop = Loop(
            *(self._objective, self.optimizer, limits, callbacks, batches, held_out, tapes, ranks, epochs, seed),
            passed,
        )
        self._loop = loop
        with run.alone(callbacks):
            loop.run(run.state)
        if loop.progress.interrupted and not loop.progress.told and not ranks.rank:
            print(run.word(loop.progress, callbacks), file=sys.stderr)
        return loop.history
