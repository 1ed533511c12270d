"""The data of a training, in mini-batches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model, Tape
from fastlstm.training.shares import WHOLE, Share
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]

POOL = 50
"""Number of batches whose sequences are sorted by length together. A small number keeps the order nearly random."""


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
        self._even = bool((data.weights == 1).all())
        self._buffers = Workspace()
        self.size = len(data.x)

    @property
    def count(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.size // self._batch_size)

    @property
    def fingerprint(self) -> str:
        """A word that differs for other data; see `digest`."""
        data = self._data
        return digest(data.x, data.y, data.weights, *([] if data.lengths is None else [data.lengths]))

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch after the first `start`. Epochs are counted from 1."""
        for (batch,) in self.parts(epoch, start):
            yield batch

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[list[Batch]]:
        """These parts of the batches of an epoch after the first `start`. Only their own rows are read."""
        for chosen in self.plan(epoch)[start:]:
            yield [self._part(chosen, share) for share in shares]

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

    def _part(self, whole: Index, share: Share) -> Batch:
        """A part of the batch of these sequences. It is as long as the longest sequence of the whole batch."""
        data, steps = self._data, self._steps
        rows, spare = share.cut(len(whole))
        chosen, room = whole[rows], self._buffers.child(str(share.index))
        lengths = None if data.lengths is None else data.lengths[whole]
        if lengths is not None and self._trim:
            steps = int(lengths.max())
        if lengths is not None:
            lengths = None if (lengths[rows] == steps).all() else lengths[rows]
        with_y = self._cut_y and data.y.ndim > 1 and data.y.shape[1] == self._steps
        batch = Batch(
            self._take("x", data.x, chosen, steps, room),
            self._take("y", data.y, chosen, steps if with_y else None, room),
            lengths,
            self._weights(chosen, steps, room),
            even=self._even,
        )
        if share.of > 1:
            batch.whole = Whole(len(whole), self._even or bool(data.weights[whole].any()))
            batch.first, batch.spare = rows.start, spare
            if spare:
                batch.even = False
                batch.weights[...] = 0
        return batch

    def _weights(self, chosen: Index, steps: int, room: Workspace) -> Array:
        weights = self._data.weights
        if not self._even:
            return self._take("weights", weights, chosen, steps if self._per_step else None, room)
        whole = weights.shape[1:]
        shape = (len(chosen), *((steps,) if self._per_step and steps < self._steps else whole))
        ones = room.array("ones", shape, weights.dtype)
        ones.fill(1)  # a loss of the user may have changed them
        return ones

    def _take(self, name: str, source: Array | Source, chosen: Index, steps: int | None, room: Workspace) -> Array:
        """The chosen rows of `source` in a buffer, cut to `steps` steps if these are fewer than T."""
        cut = steps is not None and steps < self._steps
        shape = source.shape[1:] if not cut else (steps, *source.shape[2:])
        out = buffer(room, name, (len(chosen), *shape), source.dtype)
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


MOST_DIGESTED = 1 << 24
"""Bytes of an array that its digest depends on; of a larger one these are rows at equal distances."""


def digest(*arrays: Array | Source, most_bytes: int = MOST_DIGESTED) -> str:
    """A word that differs for arrays of another shape or dtype, and most likely for other numbers in them."""
    found = 0
    for array in arrays:
        found = zlib.crc32(repr((array.shape, array.dtype.str)).encode(), found)
        if array.dtype.hasobject:
            continue
        numbers = array.array if isinstance(array, Source) else array
        most = max(1, most_bytes // max(1, numbers[0].nbytes))
        chosen = numbers if len(numbers) <= most else numbers[np.linspace(0, len(numbers) - 1, most).astype(np.intp)]
        found = zlib.crc32(np.ascontiguousarray(chosen).reshape(-1).view(np.uint8).data, found)
    return f"crc32 {found:08x}"


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
