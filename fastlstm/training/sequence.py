"""One long sequence, cut into windows in the order of time, for truncated back-propagation through time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import describe
from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model, Tape
from fastlstm.training.batch import Batch, Index, buffer
from fastlstm.training.checked import digest
from fastlstm.training.shares import WHOLE, Share
from fastlstm.workspace import Workspace

Array = NDArray[Any]


@dataclass
class Window(Batch):
    """W steps of B streams side by side. Targets and weights are (B, W, ...).

    If a document begins within the window, its stream is cut there, and x holds P pieces of the streams. A piece at the
    beginning of a document starts from a zero state. The others start from the final state of the window before.

    Attributes
    ----------
    before : (P,) ints, or None
        Row of the carried state that each piece starts from, or -1 for zeros. None if each stream continues its own.
    after : (B,) ints, or None
        The last piece of each stream. Its final state is carried into the next window.
    steps : (B, W) ints, or None
        The index of each step of the streams among all steps of the pieces; None if no stream is cut.
    buffers : Workspace
        Holds the output and its gradient if a stream is cut.
    """

    before: Index | None = None
    after: Index | None = None
    steps: Index | None = None
    buffers: Workspace = field(default_factory=Workspace)

    @property
    def size(self) -> int:
        """Number of steps, for the progress bar."""
        return self.weights.size

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        if self.before is not None:
            model.carry(self.before, tape)
        pred = super().forward(model, tape, training=training)
        if self.after is not None:
            model.carry(self.after, tape)
        if self.steps is None:
            return pred
        joined = self.buffers.array("pred", (*self.steps.shape, pred.shape[2]), pred.dtype)
        return np.take(pred.reshape(-1, pred.shape[2]), self.steps, axis=0, out=joined, mode="clip")

    def part(self, share: Share) -> Window:
        """A part of this window: some of its streams, as views."""
        if share.of == 1:
            return self
        rows, spare = share.cut(len(self.weights))
        fields = {"y": self.y[rows], **self._of_part(rows, spare), "buffers": self.buffers.child(str(share.index))}
        pieces = rows
        if self.after is not None and self.steps is not None:
            pieces = slice(0 if rows.start == 0 else int(self.after[rows.start - 1]) + 1, int(self.after[rows][-1]) + 1)
            fields["after"] = self.after[rows] - pieces.start
            fields["steps"] = self.steps[rows] - pieces.start * self.x.shape[1]
        if self.before is not None:
            before = self.before[pieces]
            fields["before"] = np.where(before < 0, -1, before - rows.start)
        fields |= {"x": self.x[pieces], "lengths": None if self.lengths is None else self.lengths[pieces]}
        return replace(self, **{**fields, "first": pieces.start})

    def gradient(self, dpred: Array) -> Array:
        if self.steps is None:
            return dpred
        pieces = self.buffers.zeros("dpred", (*self.x.shape[:2], dpred.shape[2]), dpred.dtype)
        pieces.reshape(-1, dpred.shape[2])[self.steps] = dpred
        return pieces


class Windows:
    """A sequence that is cut into streams of equal lengths, and these into windows. An epoch has all windows in order.

    Stream b holds S = L // batch_size steps, from step b·S on. The last L - S·batch_size steps are left out. The last
    window may have fewer than `window` steps. All windows use the same buffers: each overwrites the one before.

    Parameters
    ----------
    x : (L, F) numbers, or (L,) tokens
    y : (L, ...)
        Targets.
    weights : (L,)
        Weight of each step in the loss.
    starts : ints
        Steps at which a document begins, with a zero state. Each stream also begins with a zero state.
    window : int
        Number of steps in a window.
    batch_size : int
        Number of streams.
    """

    unit = "steps"

    def __init__(self, x: Array, y: Array, weights: Array, starts: Index, window: int, batch_size: int) -> None:
        self._steps, self._window, self._streams = len(x) // batch_size, window, batch_size
        self.size = self._steps * batch_size
        begins = np.zeros(len(x), bool)
        begins[starts] = True
        begins[:: self._steps] = True
        self._x, self._y, self._weights, self._begins = (self._cut(part) for part in (x, y, weights, begins))
        self._buffers = Workspace()

    def _cut(self, array: Array) -> Array:
        """Cut (L, ...) into streams (B, S, ...)."""
        return array[: self.size].reshape(self._streams, self._steps, *array.shape[1:])

    @property
    def count(self) -> int:
        """Number of windows in an epoch."""
        return -(-self._steps // self._window)

    @property
    def fingerprint(self) -> str:
        """A word that differs for other data; see `digest`."""
        return digest(self._x, self._y, self._weights, self._begins)

    def at(self, epoch: int, start: int = 0) -> Iterator[Window]:
        """The windows of an epoch after the first `start`. All epochs have the same windows."""
        for first in range(start * self._window, self._steps, self._window):
            yield self._cut_out(slice(first, min(first + self._window, self._steps)))

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[list[Window]]:
        """These parts of the windows of an epoch after the first `start`: each has some of the streams."""
        for window in self.at(epoch, start):
            yield [window.part(share) for share in shares]

    def _cut_out(self, part: slice) -> Window:
        begins, x = self._begins[:, part], self._x[:, part]
        y, weights = self._copy("y", self._y[:, part]), self._copy("weights", self._weights[:, part])
        share = (part.stop - part.start) / self._steps
        if not begins[:, 1:].any():
            before = np.where(begins[:, 0], -1, np.arange(len(x))) if begins[:, 0].any() else None
            return Window(self._copy("x", x), y, None, weights, share, before=before)
        cuts = begins.copy()
        cuts[:, 0] = True
        first = np.flatnonzero(cuts)  # where each piece begins in the flattened (B, W)
        lengths = np.diff(first, append=cuts.size)
        longest = int(lengths.max())
        piece = np.cumsum(cuts).reshape(cuts.shape) - 1
        steps = piece * longest + np.arange(cuts.size).reshape(cuts.shape) - first[piece]
        before = np.where(begins.reshape(-1)[first], -1, first // cuts.shape[1])
        pieces = self._buffers.zeros("x", (len(first), longest, *x.shape[2:]), x.dtype)
        pieces.reshape(-1, *x.shape[2:])[steps] = x
        ragged = None if (lengths == longest).all() else lengths
        after = piece[:, -1]
        own = {"before": before, "after": after, "steps": steps, "buffers": self._buffers}
        return Window(pieces, y, ragged, weights, share, **own)

    def _copy(self, name: str, view: Array) -> Array:
        out = buffer(self._buffers, name, view.shape, view.dtype)
        np.copyto(out, view)
        return out


def as_windows(
    model: Model, loss: Any, x: Any, y: Any, starts: Any, weight: Any, window: int, batch_size: int
) -> Windows:
    """The windows of a sequence. All arguments are checked."""
    window, batch_size = _check.positive_int(window, "window"), _check.positive_int(batch_size, "batch_size")
    shape = model.output_shape
    if len(shape) != 3 or shape[1] != "T":
        raise ValueError(f"model: expected one with an output at every step, (N, T, G), got {describe(shape)}")
    x = model.layers[0].as_input(x, shape=("L", *model.input_shape[2:]))
    length, features = len(x), x.shape[-1] if isinstance(shape[2], str) else shape[2]
    if length < batch_size:
        raise ValueError(f"batch_size: expected at most {length}, the steps of x, got {batch_size}")
    begins = positions(starts, "starts", length)
    weights = step_weights(weight, (length,), model.dtype, "sample_weight")
    if not weights[: length // batch_size * batch_size].any():
        raise ValueError("sample_weight: expected at least one step with a weight above 0, got none")
    if isinstance(loss, Loss):
        y = loss._as_target(y, (length, features), weights != 0, model.dtype, "y")
    else:
        y = _check.as_array(y, "y")
        if y.ndim == 0 or len(y) != length:
            raise ValueError(f"y: expected {length} targets, one for each step of x, got shape {y.shape}")
    return Windows(x, y, weights, begins, window, batch_size)


def positions(value: Any, name: str, length: int) -> Index:
    """Check and convert rising whole numbers from 0 to length - 1. None gives an empty array."""
    if value is None or np.size(value) == 0:
        return np.empty(0, np.intp)
    array = _check.int_array(value, name, ("S",), 0, length - 1)
    falls = np.flatnonzero(np.diff(array) <= 0)
    if len(falls):
        at = int(falls[0]) + 1
        raise ValueError(f"{name}: expected rising positions, got {array[at]} after {array[at - 1]} at [{at}]")
    return array
