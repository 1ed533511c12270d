"""What a training goes through: sequences, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model, Tape
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]

POOL = 50
"""Batches whose sequences are sorted by length together: few enough that an order at random stays one."""


@dataclass
class Batch:
    """Sequences and their targets; or all of them.

    Attributes
    ----------
    x : (N, T, F) numbers, or (N, T) tokens
    y : (N, ...) targets
    lengths : (N,) real steps of each sequence, or None where all have T
    weights : (N, T) or (N,), what each step of the output counts
    share : float, part of its sequences that it holds
    even : bool, whether every weight is known to be 1
    """

    x: Array
    y: Array
    lengths: Index | None
    weights: Array
    share: float = 1.0
    even: bool = False

    @property
    def size(self) -> int:
        """What a bar counts: sequences."""
        return len(self.x)

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weights.size if self.even else self.weights.sum(dtype=np.float64))

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        """The model's output, of the targets' layout."""
        return model.pass_forward(self.x, tape, training=training, lengths=self.lengths)

    def gradient(self, dpred: Array) -> Array:
        """The gradient by what `forward` gave, as the model's backward pass takes it."""
        return dpred


class Source:
    """An array that is read a batch at a time, since it lies in a file, or its windows overlap.

    Parameters
    ----------
    array : (N, ...)
    dtype
        That batches are converted to.
    """

    def __init__(self, array: Array, dtype: Any) -> None:
        self.array, self.dtype = array, np.dtype(dtype)
        self.shape, self.ndim = array.shape, array.ndim

    def __len__(self) -> int:
        return len(self.array)

    @staticmethod
    def suits(array: Any) -> bool:
        """Whether a copy would cost memory that the array itself does not."""
        if not isinstance(array, np.ndarray) or array.size == 0:
            return False
        low, high = np.lib.array_utils.byte_bounds(array)
        return isinstance(array, np.memmap) or high - low < array.nbytes


class Batches:
    """The data in batches; an epoch has every sequence once.

    A batch of data with lengths ends at its longest sequence. All batches lie in the same buffers: each overwrites the
    one before.

    Parameters
    ----------
    data : Batch
        All of the sequences.
    batch_size : int
        The last one of an epoch, before they are shuffled, may be smaller.
    seed : int, optional
        Of a new order in each epoch; None keeps that of the data.
    bucket : bool, default False
        Whether sequences of similar lengths come together.
    trim : bool, default True
        Whether batches are cut to their longest sequence.
    per_step : bool, default True
        Whether targets that have T of something have one for each step, so that they are cut, too.
    """

    unit = "sequences"

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        *,
        seed: int | None = None,
        bucket: bool = False,
        trim: bool = True,
        per_step: bool = True,
    ) -> None:
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._bucket = bucket and data.lengths is not None
        self._steps = data.x.shape[1]
        self._trim = trim and data.lengths is not None
        self._per_step = data.weights.ndim == 2
        self._cut_y = per_step and self._per_step
        self._ones = data.weights[:0]
        self._even = bool((data.weights == 1).all())
        self._buffers = Workspace()
        self.size = len(data.x)

    @property
    def count(self) -> int:
        """Batches of an epoch."""
        return -(-self.size // self._batch_size)

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from 1 on; without the first `start` of them."""
        for chosen in self.plan(epoch)[start:]:
            yield self._batch(chosen)

    def plan(self, epoch: int) -> list[Index]:
        """The sequences of each batch of an epoch."""
        n, size, lengths = self.size, self._batch_size, self._data.lengths
        # a key of its own: masks and starting values of the same seed come from other numbers
        seeds = None if self._seed is None else np.random.SeedSequence(self._seed, spawn_key=(2, epoch))
        rng = None if seeds is None else np.random.default_rng(seeds)
        order = np.arange(n) if rng is None else rng.permutation(n)
        if self._bucket and lengths is not None:
            for start in range(0, n, POOL * size):
                pool = order[start : start + POOL * size]
                pool[...] = pool[np.argsort(lengths[pool], kind="stable")]
        chosen = [order[start : start + size] for start in range(0, n, size)]
        if self._bucket and rng is not None:
            chosen = [chosen[k] for k in rng.permutation(len(chosen))]
        return chosen

    def _batch(self, chosen: Index) -> Batch:
        data, steps = self._data, self._steps
        lengths = None if data.lengths is None else data.lengths[chosen]
        if lengths is not None and self._trim:
            steps = int(lengths.max())
        if lengths is not None and (lengths == steps).all():
            lengths = None
        whole = self._cut_y and data.y.ndim > 1 and data.y.shape[1] == self._steps
        return Batch(
            self._take("x", data.x, chosen, steps),
            self._take("y", data.y, chosen, steps if whole else None),
            lengths,
            self._weights(chosen, steps),
            even=self._even,
        )

    def _weights(self, chosen: Index, steps: int) -> Array:
        weights = self._data.weights
        if not self._even:
            return self._take("weights", weights, chosen, steps if self._per_step else None)
        whole = weights.shape[1:]
        shape = (len(chosen), *((steps,) if self._per_step and steps < self._steps else whole))
        ones = self._ones
        if ones.shape != shape:
            ones = self._ones = np.empty(shape, weights.dtype)
        ones.fill(1)  # a loss of one's own may have written there
        return ones

    def _take(self, name: str, source: Array | Source, chosen: Index, steps: int | None) -> Array:
        """The chosen rows of source, up to so many steps."""
        cut = steps is not None and steps < self._steps
        shape = source.shape[1:] if not cut else (steps, *source.shape[2:])
        out = buffer(self._buffers, name, (len(chosen), *shape), source.dtype)
        if isinstance(source, Source):
            rows = source.array[chosen, :steps] if cut else source.array[chosen]
            np.copyto(out, rows, casting="unsafe")
            return out
        if not cut:
            # clip: nothing is outside, and with another mode NumPy would write to a buffer of its own first
            return source.take(chosen, axis=0, out=out, mode="clip")
        for row, k in enumerate(chosen):
            out[row] = source[k, :steps]
        return out


def as_data(model: Model, loss: Any, x: Any, y: Any, lengths: Any, weight: Any, class_weight: Any = None) -> Batch:
    """All of the data, checked before anything is done with it."""
    x = as_inputs(model, x)
    lengths = _check.lengths_of(lengths, *x.shape[:2])
    sizes = {"N": x.shape[0], "T": x.shape[1], "F": x.shape[-1]}
    shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in model.output_shape)
    weights = step_weights(weight, shape[:-1], model.dtype, "sample_weight")
    if lengths is not None and len(shape) == 3 and model.output_shape[1] == "T":
        weights = weights * (np.arange(shape[1]) < lengths[:, None])  # nothing beyond the end of a sequence
    if class_weight is not None:
        weights = weights * weights_of_classes(class_weight, y, shape, weights != 0).astype(model.dtype)
    if not weights.any():
        raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
    return Batch(x, as_targets(model, loss, y, shape, weights), lengths, weights)


def as_inputs(model: Model, x: Any) -> Any:
    """x as the model takes it, or a source of it that has been checked a part at a time."""
    if not Source.suits(x):
        return model.as_input(x)[0]
    _check.shape_of(x, "x", model.input_shape)
    for part in parts(len(x), x[0].size):
        converted = model.as_input(x[part])[0]
    return Source(x, converted.dtype)


def as_targets(model: Model, loss: Any, y: Any, shape: tuple[int, ...], weights: Array) -> Any:
    """y as the loss takes it, or a source of it."""
    if not isinstance(loss, Loss):
        y = np.asarray(y)
        if y.ndim == 0 or len(y) != shape[0]:
            raise ValueError(f"y: expected {shape[0]} targets, one for each sequence of x, got shape {y.shape}")
        return np.ascontiguousarray(y)
    if not Source.suits(y) or len(y) != shape[0]:
        return loss.as_target(y, shape, weights != 0, model.dtype, "y")
    for part in parts(len(y), y[0].size):
        seen = weights[part] != 0
        converted = loss.as_target(y[part], (len(seen), *shape[1:]), seen, model.dtype, "y")
    return Source(y, converted.dtype)


def parts(n: int, size: int, most: int = 1 << 22) -> Iterator[slice]:
    """Slices of n rows of this size, of about `most` numbers each."""
    rows = max(1, most // max(1, size))
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def weights_of_classes(class_weight: Any, y: Any, shape: tuple[int, ...], seen: Array) -> Array:
    """What each step counts by the class of its target, (N,) or (N, T)."""
    labels = np.asarray(y)
    if labels.shape == (*shape[:-1], 1):
        labels = labels[..., 0]
    if labels.shape != shape[:-1]:
        raise ValueError(f"class_weight: expected y to hold one class for each {shape[:-1]}, got shape {labels.shape}")
    classes = np.unique(labels[seen])
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected a dict or 'balanced', got {class_weight!r}")
        counts = [np.count_nonzero(labels[seen] == c) for c in classes]
        class_weight = {c: sum(counts) / (len(counts) * count) for c, count in zip(classes, counts, strict=True)}
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight: expected a dict or 'balanced', got {class_weight!r}")
    out = np.ones(labels.shape)
    for c, weight in class_weight.items():
        out[labels == c] = _check.number(weight, f"class_weight of {c!r}", 0)
    strange = set(class_weight) - set(classes.tolist())
    if strange:
        raise ValueError(f"class_weight: expected some of the classes {classes.tolist()}, got {sorted(strange)[0]!r}")
    return out


def buffer(workspace: Workspace, name: str, shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Array:
    """An array of the workspace; a new one for Python's objects, which a function's targets may be."""
    return np.empty(shape, dtype) if dtype.hasobject else workspace.array(name, shape, dtype)
