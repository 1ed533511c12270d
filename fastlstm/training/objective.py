"""The loss that is minimised, and the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.losses import Loss
from fastlstm.metrics import Accumulator
from fastlstm.model import Model, Tape
from fastlstm.training.batch import Batch

Array = NDArray[Any]


class Objective:
    """The loss and the metrics of a model."""

    def __init__(self, model: Model, loss: Any, metrics: list[Any]) -> None:
        self.model, self.loss, self.metrics = model, loss, metrics

    def figures(self) -> Accumulator:
        """A new accumulator for the loss and the metrics of an epoch."""
        return Accumulator(self.metrics, ["loss"])

    def forward(self, batch: Batch, tape: Tape, *, training: bool) -> Array | None:
        """The predictions, or None if nothing counts in the whole batch. A carried state is updated in both cases."""
        counts = batch.counts
        pred = batch.forward(self.model, tape, training=training) if counts or tape.carries else None
        return pred if counts else None

    def value(self, pred: Array, batch: Batch, tape: Tape) -> tuple[float, Array]:
        """The loss and its gradient, which are 0 if nothing counts. The inputs of a `Loss` were checked before."""
        if batch.whole is not None and not batch.total > 0:
            return 0.0, np.zeros(pred.shape, pred.dtype)
        if isinstance(self.loss, Loss) and pred.flags.c_contiguous:
            return self.loss._prepared(pred, batch.y, batch.weights, tape.loss)
        found = self.loss(pred, batch.y, batch.weights)
        if not isinstance(found, tuple | list) or len(found) != 2 or found[1] is None:
            raise TypeError(f"loss: expected (value, dpred), a number and its gradient by pred, got {found!r:.80}")
        return _check.scalar(found[0], "value of the loss"), found[1]

    def size(self, batch: Batch) -> float:
        """The divisor of a batch's loss, and the weight of the batch when batches are accumulated."""
        if batch.spare:
            return 0.0
        if isinstance(self.loss, Loss) and (
            self.loss.time == "sum" or type(self.loss)._normaliser is not Loss._normaliser
        ):
            return self.loss._normaliser(batch.weights)
        return batch.total

    def weighted(self, value: float, batch: Batch) -> tuple[float, float]:
        """What a batch with this loss adds to the sum of an epoch's losses, and to the weight that divides the sum."""
        total = of = self.size(batch)
        if isinstance(self.loss, Loss) and self.loss.time == "sum":  # a sequence that comes in parts counts once
            of = total * batch.share
        return value * total, of

    def measure(self, figures: Accumulator, batch: Batch, pred: Array | None) -> None:
        """Add a batch to the metrics. There are no predictions if all weights are 0."""
        if pred is not None and self.metrics:
            figures.add(pred, batch.y, batch.weights)

    def evaluate(self, batches: Iterable[Batch], tape: Tape) -> dict[str, float]:
        """The loss and the metrics over all batches, without training."""
        figures = self.figures()
        for batch in batches:
            pred = self.forward(batch, tape, training=False)
            value = 0.0 if pred is None else self.value(pred, batch, tape)[0]
            figures.count("loss", *self.weighted(value, batch))
            self.measure(figures, batch, pred)
        return figures.means()
