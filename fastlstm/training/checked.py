"""What a user gives a training to learn from, checked and converted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.losses import Loss, step_weights
from fastlstm.masking import Steps, padded
from fastlstm.model import Model
from fastlstm.training.batch import Array, Batch, Index


class Lazy:
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


MOST_DIGESTED = 1 << 24
"""Bytes of an array that its digest depends on; of a larger one these are rows at equal distances."""


def digest(*arrays: Array | Lazy, most_bytes: int = MOST_DIGESTED) -> str:
    """A word that differs for arrays of another shape or dtype, and most likely for other numbers in them."""
    found = 0
    for array in arrays:
        found = zlib.crc32(repr((array.shape, array.dtype.str)).encode(), found)
        if array.dtype.hasobject:
            continue
        numbers = array.array if isinstance(array, Lazy) else array
        most = max(1, most_bytes // max(1, numbers[0].nbytes))
        chosen = numbers if len(numbers) <= most else numbers[np.linspace(0, len(numbers) - 1, most).astype(np.intp)]
        found = zlib.crc32(np.ascontiguousarray(chosen).reshape(-1).view(np.uint8).data, found)
    return f"crc32 {found:08x}"


def as_data(
    model: Model,
    loss: Any,
    x: Any,
    y: Any,
    lengths: Any,
    weight: Any,
    class_weight: Any = None,
    *,
    mask: Any = None,
    may_be_empty: bool = False,
) -> Batch:
    """All of the data, checked and converted, the real steps of each sequence first.

    `lengths` may be a mask, too, (N, T). x may be a list of sequences, whose own lengths count, and y a list of targets
    of each of their steps. Unless the data `may_be_empty`, some sequence must have a step.
    """
    x, own = padded(x)
    if own is not None:
        if lengths is not None or mask is not None:
            raise ValueError("lengths: expected none beside a list of sequences of different lengths, got some")
        lengths, y = own, _beside(y, own)
    x = as_inputs(model, loss, x, y)
    steps = steps_of(lengths, mask, x)
    shape = outputs_of(model, x.shape)
    per_step = model.output_shape[1:2] == ("T",)
    weights = step_weights(weight, shape[:-1], model.dtype, "sample_weight")
    if steps.lengths is not None:
        weights = weights * real_outputs(steps, shape[:-1], per_step)
        lengths = model.output_lengths(steps.lengths)
        if len(shape) == 3 and lengths is not None and not per_step:  # of as many steps as the layers have made of T
            weights = weights * (np.arange(shape[1]) < lengths[:, None])
    if class_weight is not None:
        weights = weights * weights_of_classes(class_weight, y, shape, weights != 0).astype(model.dtype)
        weights = step_weights(weights, shape[:-1], model.dtype, "class_weight")
    empty = steps.lengths is not None and not steps.lengths.any()
    if not weights.any() and not (empty and may_be_empty):
        raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
    own_time = steps.holes and per_step and (not isinstance(loss, Loss) or loss._per_step_target)
    if own_time and np.shape(y)[1:2] == shape[1:2]:
        y = gathered(steps, as_targets(model, loss, y, shape, weights != 0), "y")
        weights = steps.gather(weights)
    else:
        weights = steps.gather(weights) if per_step else weights
        y = as_targets(model, loss, y, shape, weights != 0)
    return Batch(gathered(steps, x, "x"), y, steps.lengths, weights)


def _beside(y: Any, lengths: Index) -> Any:
    """A list with targets of each step, padded as the sequences of these lengths are; any other y as it is."""
    found, own = padded(y, "y")
    return found if own is not None and np.array_equal(own, lengths) else y


def steps_of(lengths: Any, mask: Any, x: Array | Lazy) -> Steps:
    """The real steps of the sequences x. A mask may stand in the place of lengths."""
    if mask is None and np.ndim(lengths) == 2:
        lengths, mask = None, lengths
    return Steps(lengths, mask, *x.shape[:2])


def gathered(steps: Steps, x: Any, name: str) -> Any:
    """The real steps first, of what is in memory."""
    if steps.holes and isinstance(x, Lazy):
        raise ValueError(
            f"mask: expected none with holes where {name} is read one mini-batch at a time, from a file or overlapping "
            f"windows; copy {name} into memory, or use fit_batches"
        )
    return steps.gather(x)


def real_outputs(steps: Steps, shape: tuple[Any, ...], per_step: bool) -> Array:
    """Which outputs count, of this shape (N, ...): those of real steps, and none of a sequence without one."""
    return steps.real if per_step else steps.real.any(1).reshape(-1, *[1] * (len(shape) - 1))


def outputs_of(model: Model, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what the model gives for x of this shape."""
    sizes: dict[str, Any] = {"N": shape[0], "T": shape[1], "F": shape[-1]}
    return tuple(sizes.get(size, size) if isinstance(size, str) else size for size in model.shape_for(shape))


def as_inputs(model: Model, loss: Any, x: Any, y: Any) -> Any:
    """x as the model takes it, or a `Lazy` of x, which is checked part by part."""
    if not Lazy.suits(x):
        return model.as_input(x)[0]
    _check.shape_of(x, "x", model.input_shape)
    if _check.as_array(y, "y").shape[:1] != x.shape[:1]:  # says so before all of x is read, which may take hours
        shape = outputs_of(model, x.shape)
        as_targets(model, loss, y, shape, np.broadcast_to(True, shape[:-1]))
    for part in parts(len(x), x[0].size):
        converted = model.as_input(x[part])[0]
    return Lazy(x, converted.dtype)


def as_targets(model: Model, loss: Any, y: Any, shape: tuple[int, ...], seen: Array) -> Any:
    """y as the loss takes it, or a `Lazy` of y, which is checked part by part, where it is seen."""
    if not isinstance(loss, Loss):
        y = _check.as_array(y, "y")
        if y.ndim == 0 or len(y) != shape[0]:
            raise ValueError(f"y: expected {shape[0]} targets, one for each sequence of x, got shape {y.shape}")
        return np.ascontiguousarray(y)
    if not Lazy.suits(y) or len(y) != shape[0]:
        return loss._as_target(y, shape, seen, model.dtype, "y")
    for part in parts(len(y), y[0].size):
        own = seen[part]
        converted = loss._as_target(y[part], (len(own), *shape[1:]), own, model.dtype, "y")
    return Lazy(y.reshape(len(y), *converted.shape[1:]), converted.dtype)


def parts(n: int, size: int, most: int = 1 << 22) -> Iterator[slice]:
    """Slices of n rows, each of about `most` numbers; a row has `size` numbers."""
    rows = max(1, most // max(1, size))
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def weights_of_classes(class_weight: Any, y: Any, shape: tuple[int, ...], seen: Array) -> Array:
    """The weight of each target by its class, (N,) or (N, T)."""
    labels = _check.as_array(y, "y")
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


def split_last(share: Any, x: Any, *others: Any) -> tuple[Any, Any]:
    """What is before the last share of the rows of x and of each other array, and that share. None stays None."""
    share = _check.number(share, "validation_split", 0, 1, open_high=True)
    arrays = (x, *others)
    kept = (type(None), list, tuple, np.ndarray)
    rows = [one if isinstance(one, kept) else _check.as_array(one, "validation_split") for one in arrays]
    n = len(x)
    at = int(n * (1 - share))
    if not 0 < at < n:
        raise ValueError(
            f"validation_split: expected a share that leaves sequences on both sides, got {share} of {n} sequences"
        )
    return [one if one is None else one[:at] for one in rows], [one if one is None else one[at:] for one in rows]


def parts_of(validation: Any, third: str) -> tuple[Any, Any, Any]:
    """x, y and the third part of `validation`, which is None if it is not given."""
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        hint = f"; a share of x is validation_split={validation}" if isinstance(validation, float) else ""
        kind = type(validation).__name__ + (f" of {len(validation)}" if isinstance(validation, tuple | list) else "")
        raise TypeError(f"validation: expected (x, y) or (x, y, {third}), got {kind}{hint}")
    return validation[0], validation[1], validation[2] if len(validation) == 3 else None
