"""What a training goes through: sequences, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model, Tape
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]

POOL = 50
"""Batches whose sequences are sorted by length together: few enough that an order at random stays one."""


@dataclass(frozen=True)
class Batch:
    """Sequences and their targets; or all of them.

    Attributes
    ----------
    x : (N, T, F) numbers, or (N, T) tokens
    y : (N, ...) targets
    lengths : (N,) real steps of each sequence, or None where all have T
    weights : (N, T) or (N,), what each step of the output counts
    share : float, part of its sequences that it holds
    """

    x: Array
    y: Array
    lengths: Index | None
    weights: Array
    share: float = 1.0

    @property
    def size(self) -> int:
        """What a bar counts: sequences."""
        return len(self.x)

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        """The model's output, of the targets' layout."""
        return model.pass_forward(self.x, tape, training=training, lengths=self.lengths)

    def gradient(self, dpred: Array) -> Array:
        """The gradient by what `forward` gave, as the model's backward pass takes it."""
        return dpred


class Batches:
    """The data in batches; each time it is walked through is an epoch, which has every sequence once.

    A batch of data with lengths ends at its longest sequence. All batches lie in the same buffers: each overwrites the
    one before.

    Parameters
    ----------
    data : Batch
        All of the sequences.
    batch_size : int
        The last one of an epoch, before they are shuffled, may be smaller.
    rng : numpy.random.Generator, optional
        Of a new order in each epoch; None keeps that of the data.
    bucket : bool, default False
        Whether sequences of similar lengths come together.
    trim : bool, default True
        Whether batches are cut to their longest sequence.
    """

    unit = "sequences"

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        *,
        rng: np.random.Generator | None = None,
        bucket: bool = False,
        trim: bool = True,
    ) -> None:
        self._data, self._batch_size, self._rng = data, batch_size, rng
        self._bucket = bucket and data.lengths is not None
        self._steps = data.x.shape[1]
        self._trim = trim and data.lengths is not None
        self._per_step = data.weights.ndim == 2
        self._buffers = Workspace()
        self.size = len(data.x)

    def __len__(self) -> int:
        return -(-self.size // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for chosen in self.plan():
            yield self._batch(chosen)

    def plan(self) -> list[Index]:
        """The sequences of each batch of an epoch."""
        n, size, lengths = self.size, self._batch_size, self._data.lengths
        order = np.arange(n) if self._rng is None else self._rng.permutation(n)
        if self._bucket and lengths is not None:
            for start in range(0, n, POOL * size):
                pool = order[start : start + POOL * size]
                pool[...] = pool[np.argsort(lengths[pool], kind="stable")]
        chosen = [order[start : start + size] for start in range(0, n, size)]
        if self._bucket and self._rng is not None:
            chosen = [chosen[k] for k in self._rng.permutation(len(chosen))]
        return chosen

    def _batch(self, chosen: Index) -> Batch:
        data, steps = self._data, self._steps
        lengths = None if data.lengths is None else data.lengths[chosen]
        if lengths is not None and self._trim:
            steps = int(lengths.max())
        if lengths is not None and (lengths == steps).all():
            lengths = None
        whole = self._per_step and data.y.ndim > 1 and data.y.shape[1] == self._steps
        return Batch(
            self._take("x", data.x, chosen, steps),
            self._take("y", data.y, chosen, steps if whole else None),
            lengths,
            self._take("weights", data.weights, chosen, steps if self._per_step else None),
        )

    def _take(self, name: str, source: Array, chosen: Index, steps: int | None) -> Array:
        """The chosen rows of source, up to so many steps."""
        cut = steps is not None and steps < self._steps
        shape = source.shape[1:] if not cut else (steps, *source.shape[2:])
        out = buffer(self._buffers, name, (len(chosen), *shape), source.dtype)
        if not cut:
            # clip: nothing is outside, and with another mode NumPy would write to a buffer of its own first
            return np.take(source, chosen, axis=0, out=out, mode="clip")
        for row, k in enumerate(chosen):
            out[row] = source[k, :steps]
        return out


def as_data(model: Model, loss: Any, x: Any, y: Any, lengths: Any, weight: Any) -> Batch:
    """All of the data, checked before anything is done with it."""
    x, lengths = model.as_input(x, lengths)
    sizes = {"N": x.shape[0], "T": x.shape[1], "F": x.shape[-1]}
    shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in model.output_shape)
    weights = step_weights(weight, shape[:-1], model.dtype, "sample_weight")
    if lengths is not None and len(shape) == 3:
        weights = weights * (np.arange(shape[1]) < lengths[:, None])  # nothing beyond the end of a sequence
    if not weights.any():
        raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
    if isinstance(loss, Loss):
        y = loss.as_target(y, shape, weights != 0, model.dtype, "y")
    else:
        y = np.asarray(y)
        if y.ndim == 0 or len(y) != len(x):
            raise ValueError(f"y: expected {len(x)} targets, one for each sequence of x, got shape {y.shape}")
    return Batch(x, np.ascontiguousarray(y), lengths, weights)


def buffer(workspace: Workspace, name: str, shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Array:
    """An array of the workspace; a new one for Python's objects, which a function's targets may be."""
    return np.empty(shape, dtype) if dtype.hasobject else workspace.array(name, shape, dtype)
