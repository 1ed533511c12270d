"""What is made small, and what is reported beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from fastlstm.losses import Loss
from fastlstm.metrics import Accumulator
from fastlstm.model import Model, Tape
from fastlstm.training.batches import Batch

Array = NDArray[Any]


class Objective:
    """The loss of a model, and the metrics."""

    def __init__(self, model: Model, loss: Any, metrics: list[Any]) -> None:
        self.model, self.loss, self.metrics = model, loss, metrics

    def figures(self) -> Accumulator:
        """Where the loss and the metrics of an epoch are gathered."""
        return Accumulator(self.metrics, ["loss"])

    def forward(self, batch: Batch, tape: Tape, *, training: bool) -> Array | None:
        """Predictions; None where nothing counts, though a running state goes on all the same."""
        counts = batch.total > 0
        pred = batch.forward(self.model, tape, training=training) if counts or tape.carries else None
        return pred if counts else None

    def value(self, pred: Array, batch: Batch, tape: Tape) -> tuple[float, Array]:
        """The loss and its gradient; what a `Loss` wants to be checked has been."""
        if isinstance(self.loss, Loss) and pred.flags.c_contiguous:
            return self.loss.prepared(pred, batch.y, batch.weights, tape.loss)
        value, dpred = self.loss(pred, batch.y, batch.weights)
        return float(value), dpred

    def size(self, batch: Batch) -> float:
        """What the sum of a batch's losses is divided by; its weight where gradients of batches are added up."""
        if isinstance(self.loss, Loss) and (
            self.loss.time == "sum" or type(self.loss).normaliser is not Loss.normaliser
        ):
            return self.loss.normaliser(batch.weights)
        return batch.total

    def count(self, figures: Accumulator, value: float, batch: Batch, pred: Array | None = None) -> None:
        """Add the figures of a batch; one whose weights are all zero has no predictions."""
        total = of = self.size(batch)
        if isinstance(self.loss, Loss) and self.loss.time == "sum":  # a sequence that comes in parts counts once
            of = total * batch.share
        figures.count("loss", value * total, of)
        if pred is not None and self.metrics:
            figures.add(pred, batch.y, batch.weights)

    def evaluate(self, batches: Iterable[Batch], tape: Tape) -> dict[str, float]:
        """Loss and metrics over all of them, without training."""
        figures = self.figures()
        for batch in batches:
            pred = self.forward(batch, tape, training=False)
            value = 0.0 if pred is None else self.value(pred, batch, tape)[0]
            self.count(figures, value, batch, pred)
        return figures.means()
