"""A mini-batch, whole or a part of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlstm.model import Model, Tape
from fastlstm.training.shares import WHOLE, Share
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Whole:
    """The batch that a part is of.

    Attributes
    ----------
    size : int
        Number of its sequences, or of its steps, for the progress bar.
    counts : bool
        Whether anything counts in it.
    """

    size: int
    counts: bool


@dataclass
class Batch:
    """A mini-batch of sequences with their targets, or all of the data.

    Attributes
    ----------
    x : (N, T, F) numbers, or (N, T) tokens
    y : (N, ...)
        Targets.
    lengths : (N,) ints, or None
        Number of real steps of each sequence; None if all have T.
    weights : (N, T) or (N,)
        Weight of each output in the loss.
    share : float, default 1
        The part of each sequence that the batch holds. It is below 1 for a `Window`.
    even : bool, default False
        Whether all weights are known to be 1.
    whole : Whole, optional
        The batch that this is a part of; None if it is the whole one.
    first : int, default 0
        The row of the whole batch that is the first of this part.
    spare : bool, default False
        Whether there was no row for this part. It has one, of weight 0, that must not count.
    """

    x: Array
    y: Array
    lengths: Index | None
    weights: Array
    share: float = 1.0
    even: bool = False
    whole: Whole | None = None
    first: int = 0
    spare: bool = False

    @property
    def size(self) -> int:
        """Number of sequences, for the progress bar."""
        return len(self.x)

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(self.weights.size if self.even else self.weights.sum(dtype=np.float64))

    @property
    def counts(self) -> bool:
        """Whether anything counts in the whole batch."""
        return self.total > 0 if self.whole is None else self.whole.counts

    def part(self, share: Share) -> Batch:
        """A part of this batch: some of its rows, as views."""
        if share.of == 1:
            return self
        rows, spare = share.cut(len(self.x))
        lengths = None if self.lengths is None else self.lengths[rows]
        return replace(self, x=self.x[rows], y=self.y[rows], lengths=lengths, **self._of_part(rows, spare))

    def _of_part(self, rows: slice, spare: bool) -> dict[str, Any]:
        """The fields of a part that are the same for all kinds of batches."""
        weights = np.zeros_like(self.weights[rows]) if spare else self.weights[rows]
        whole = Whole(self.size, self.counts)
        return {
            "weights": weights,
            "even": self.even and not spare,
            "whole": whole,
            "first": rows.start,
            "spare": spare,
        }

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        """The output of the model, in the layout of the targets."""
        return model._pass_forward(self.x, tape, training=training, lengths=self.lengths)

    def gradient(self, dpred: Array) -> Array:
        """`dpred`, the gradient of the output of `forward`, in the layout that the model's backward pass takes."""
        return dpred


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


def buffer(workspace: Workspace, name: str, shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Array:
    """An array of the workspace, or a new array for Python objects, which targets of a user's loss may be."""
    return np.empty(shape, dtype) if dtype.hasobject else workspace.array(name, shape, dtype)
