"""The gradients of a training, from the backward passes to the step of the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastlstm.model import Tape
from fastlstm.optim import Optimizer, clip_grad_value
from fastlstm.parameter import Parameter
from fastlstm.regularizers import add_gradients, penalty
from fastlstm.training.batch import Batch
from fastlstm.training.buckets import Buckets
from fastlstm.training.objective import Objective
from fastlstm.training.pieces import Pieces

Array = NDArray[Any]


@dataclass(frozen=True)
class Limits:
    """What is done to a gradient before the step.

    Attributes
    ----------
    clip_norm : float, optional
        Largest norm, all parameters together.
    clip_value : float, optional
        Largest number; numbers are cut before the norm is.
    accumulate : int, default 1
        Batches whose gradients are added up for one step.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1


class Gradients:
    """The gradients of a model's parameters: `add` those of each batch, take a `step`, and so on.

    If a step has several batches, or several parts of a batch, each is weighted by what was counted in it, steps or
    sequences, and the step divides by all that was counted, as if all were one batch. A part in which nothing counts
    has gradients of zero.

    Parameters
    ----------
    objective : Objective
    optimizer : Optimizer
    limits : Limits
    joined : Buckets or Pieces, optional
        How gradients join those of other parts of a batch; by default there are none.

    Attributes
    ----------
    counted : float
        The step divides the sum of the gradients by it. It is 1 if a step has one batch, whose gradient is a mean.
    by_part : dict of float
        The same for each of this rank's parts of a batch, by number, where there are several batches or parts.
    added : int
        Batches whose gradients have been added up since the last step, without those in which nothing counts.
    """

    def __init__(
        self, objective: Objective, optimizer: Optimizer, limits: Limits, joined: Buckets | Pieces | None = None
    ) -> None:
        self._objective, self._model, self._optimizer, self._joined = objective, objective.model, optimizer, joined
        self._parameters = tuple(self._model.parameters())
        self._weighted = limits.accumulate > 1 or joined is not None
        self._clip_value = limits.clip_value
        self._clip_norm = math.inf if limits.clip_norm is None else limits.clip_norm
        self.counted, self.added = 0.0, 0
        self.by_part: dict[int, float] = {}
        self._penalised: list[Parameter] = []
        self._changes = -1
        self._spent = True  # a step has been taken; the gradients stay for callbacks to look at, until the next `add`

    def zero(self) -> None:
        """Set the gradients to zero."""
        if isinstance(self._joined, Buckets):
            self._joined.attach()
        elif self._joined is not None:
            self._joined.zero()
        self._model.zero_grad()
        if self._changes != Parameter._changes:
            self._changes = Parameter._changes
            self._penalised = [p for p in self._parameters if p.trainable and p.regularizer is not None]
        self.counted, self.added, self._spent = 0.0 if self._weighted else 1.0, 0, False
        self.by_part = {}

    def add(self, batch: Batch, dpred: Array | None, tape: Tape, k: int = 0, *, last: bool = False) -> None:
        """Add the gradients of a batch, by a backward pass.

        Parameters
        ----------
        batch : Batch
        dpred : array of the predictions' shape, or None
            Gradient of the batch's loss by the predictions; None where nothing in the batch counts.
        tape : Tape
            The tape of the forward pass.
        k : int, default 0
            Which one of this rank's parts of a batch it is.
        last : bool, default False
            Whether it is the last one before the step, so that its gradients may begin to travel.
        """
        if self._spent:
            self.zero()
        if self._weighted:
            size = self._objective.size(batch)  # a mean over sequences counts them though their weights are all 0
            self.counted += size
            self.by_part[k] = self.by_part.get(k, 0.0) + size
            dpred = None if dpred is None else dpred * size
            tape.part.weight = size
        if dpred is not None:
            after: Callable[[int], None] | None = None
            if last and isinstance(self._joined, Buckets):
                after = self._joined.after
            self._model.backward(batch.gradient(dpred), tape, input_gradient=False, after=after)
            if isinstance(self._joined, Pieces):
                self._joined.keep(k)
            self.added += 1

    def join(self, counted: float, added: float) -> None:
        """Add up the gradients of all parts, in which so much was counted, and so many were added."""
        if self._spent:
            self.zero()
        self.counted, self.added = counted, int(added)
        if isinstance(self._joined, Buckets):
            self.counted = self._joined.finish(counted)
        elif self._joined is not None:
            self._joined.finish()

    def penalty(self) -> float:
        """The penalties on the parameters, which are part of the loss of each batch."""
        return penalty(self._penalised) if self._penalised else 0.0

    def norm(self) -> float:
        """The Euclidean norm of the gradients, divided by what was counted."""
        return 1 / self.counted * self._optimizer.norm(self._parameters)

    def step(self, *, always: bool = False) -> float | None:
        """Clip the gradients, first their numbers and then their norm, and move the parameters against them.

        Those of the penalties on the parameters are added before, once for all parts of a batch.

        Parameters
        ----------
        always : bool, default False
            Whether a step is taken though nothing counted on this rank: all ranks must take as many.

        Returns
        -------
        norm : float or None
            That of the gradients before they were clipped. If it is not finite, no step is taken. None if nothing
            counted, so that there is no step to take.
        """
        self._spent = True
        if always and self.added:
            self.counted = self.counted or 1.0
        if not self.added or not self.counted:
            return None
        if self._penalised:
            add_gradients(self._penalised, self.counted)
        norm = found = self.norm()
        if not found < math.inf:  # nor a NaN
            return found
        scale = 1 / self.counted
        if self._clip_value is not None:
            clip_grad_value(self._parameters, self._clip_value / scale)
            norm = self.norm()
        self._optimizer.step(self._parameters, scale * self._clip_norm / norm if norm > self._clip_norm else scale)
        return found
