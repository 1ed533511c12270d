"""The data of a training, in mini-batches."""

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
"""Number of batches whose sequences are sorted by length together. A small number keeps the order nearly random."""


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
    """

    x: Array
    y: Array
    lengths: Index | None
    weights: Array
    share: float = 1.0
    even: bool = False

    @property
    def size(self) -> int:
        """Number of sequences, for the progress bar."""
        return len(self.x)

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(self.weights.size if self.even else self.weights.sum(dtype=np.float64))

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        """The output of the model, in the layout of the targets."""
        return model.pass_forward(self.x, tape, training=training, lengths=self.lengths)

    def gradient(self, dpred: Array) -> Array:
        """`dpred`, the gradient of the output of `forward`, in the layout that the model's backward pass takes."""
        return dpred


class Source:
    """An array that is read one mini-batch at a time, because it is in a file or its windows overlap.

    Parameters
    ----------
    array : (N, ...)
    dtype
        Batches are converted to this dtype.
    """

    def __init__(self, array: Array, dtype: Any) -> None:
        self.array, self.dtype = array, np.dtype(dtype)
        self.shape, self.ndim = array.shape, array.ndim

    def __len__(self) -> int:
        return len(self.array)

    @staticmethod
    def suits(array: Any) -> bool:
        """Whether a copy needs more memory than the array itself: for a memory map, or overlapping windows."""
        if not isinstance(array, np.ndarray) or array.size == 0:
            return False
        low, high = np.lib.array_utils.byte_bounds(array)
        return isinstance(array, np.memmap) or high - low < array.nbytes


class Batches:
    """The data in mini-batches. An epoch contains every sequence once.

    All batches use the same buffers: each batch overwrites the one before.

    Parameters
    ----------
    data : Batch
        All sequences.
    batch_size : int
        Number of sequences in a batch. One batch of an epoch may have fewer.
    seed : int, optional
        Seed of the order, which is new in each epoch. None keeps the order of the data.
    bucket : bool, default False
        Whether sequences of similar lengths share a batch. Without lengths it has no effect.
    trim : bool, default True
        Whether each batch is cut to its longest sequence. Without lengths it has no effect.
    per_step : bool, default True
        Whether a target axis of length T is the time axis and is cut with x.
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
        """Number of batches in an epoch."""
        return -(-self.size // self._batch_size)

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch after the first `start`. Epochs are counted from 1."""
        for chosen in self.plan(epoch)[start:]:
            yield self._batch(chosen)

    def plan(self, epoch: int) -> list[Index]:
        """The indices of the sequences in each batch of an epoch."""
        n, size, lengths = self.size, self._batch_size, self._data.lengths
        # a spawn key, so that the order does not use the random numbers of masks and starting values of the same seed
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
        ones.fill(1)  # a loss of the user may have changed them
        return ones

    def _take(self, name: str, source: Array | Source, chosen: Index, steps: int | None) -> Array:
        """The chosen rows of `source` in a buffer, cut to `steps` steps if these are fewer than T."""
        cut = steps is not None and steps < self._steps
        shape = source.shape[1:] if not cut else (steps, *source.shape[2:])
        out = buffer(self._buffers, name, (len(chosen), *shape), source.dtype)
        if isinstance(source, Source):
            rows = source.array[chosen, :steps] if cut else source.array[chosen]
            np.copyto(out, rows, casting="unsafe")
            return out
        if not cut:
            # no index is out of range, but with the default mode NumPy would write to a temporary buffer first
            return source.take(chosen, axis=0, out=out, mode="clip")
        for row, k in enumerate(chosen):
            out[row] = source[k, :steps]
        return out


def as_data(model: Model, loss: Any, x: Any, y: Any, lengths: Any, weight: Any, class_weight: Any = None) -> Batch:
    """All of the data, checked and converted."""
    x = as_inputs(model, x)
    lengths = _check.lengths_of(lengths, *x.shape[:2])
    sizes = {"N": x.shape[0], "T": x.shape[1], "F": x.shape[-1]}
    shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in model.output_shape)
    weights = step_weights(weight, shape[:-1], model.dtype, "sample_weight")
    if lengths is not None and len(shape) == 3 and model.output_shape[1] == "T":
        weights = weights * (np.arange(shape[1]) < lengths[:, None])  # steps beyond the end of a sequence do not count
    if class_weight is not None:
        weights = weights * weights_of_classes(class_weight, y, shape, weights != 0).astype(model.dtype)
    if not weights.any():
        raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
    return Batch(x, as_targets(model, loss, y, shape, weights), lengths, weights)


def as_inputs(model: Model, x: Any) -> Any:
    """x as the model takes it, or a `Source` of x, which is checked part by part."""
    if not Source.suits(x):
        return model.as_input(x)[0]
    _check.shape_of(x, "x", model.input_shape)
    for part in parts(len(x), x[0].size):
        converted = model.as_input(x[part])[0]
    return Source(x, converted.dtype)


def as_targets(model: Model, loss: Any, y: Any, shape: tuple[int, ...], weights: Array) -> Any:
    """y as the loss takes it, or a `Source` of y, which is checked part by part."""
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
    """Slices of n rows, each of about `most` numbers; a row has `size` numbers."""
    rows = max(1, most // max(1, size))
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def weights_of_classes(class_weight: Any, y: Any, shape: tuple[int, ...], seen: Array) -> Array:
    """The weight of each target by its class, (N,) or (N, T)."""
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
    """An array of the workspace, or a new array for Python objects, which targets of a user's loss may be."""
    return np.empty(shape, dtype) if dtype.hasobject else workspace.array(name, shape, dtype)
