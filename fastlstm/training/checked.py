"""What a user gives a training to learn from, checked and converted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model
from fastlstm.training.batch import Array, Batch


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
    may_be_empty: bool = False,
) -> Batch:
    """All of the data, checked and converted. Unless it `may_be_empty`, some sequence must have a step."""
    x = as_inputs(model, x)
    lengths = _check.lengths_of(lengths, *x.shape[:2])
    sizes = {"N": x.shape[0], "T": x.shape[1], "F": x.shape[-1]}
    shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in model.output_shape)
    weights = step_weights(weight, shape[:-1], model.dtype, "sample_weight")
    if lengths is not None:
        weights = weights * real_outputs(lengths, shape[:-1], model.output_shape[1:2] == ("T",))
    if class_weight is not None:
        weights = weights * weights_of_classes(class_weight, y, shape, weights != 0).astype(model.dtype)
    empty = lengths is not None and not lengths.any()
    if not weights.any() and not (empty and may_be_empty):
        raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
    return Batch(x, as_targets(model, loss, y, shape, weights), lengths, weights)


def real_outputs(lengths: Array, shape: tuple[Any, ...], per_step: bool) -> Array:
    """Which outputs count, of this shape (N, ...): up to the end of a sequence, and none of one without a step."""
    if per_step:
        return np.arange(shape[1]) < lengths[:, None]
    return (lengths > 0).reshape(-1, *[1] * (len(shape) - 1))


def as_inputs(model: Model, x: Any) -> Any:
    """x as the model takes it, or a `Lazy` of x, which is checked part by part."""
    if not Lazy.suits(x):
        return model.as_input(x)[0]
    _check.shape_of(x, "x", model.input_shape)
    for part in parts(len(x), x[0].size):
        converted = model.as_input(x[part])[0]
    return Lazy(x, converted.dtype)


def as_targets(model: Model, loss: Any, y: Any, shape: tuple[int, ...], weights: Array) -> Any:
    """y as the loss takes it, or a `Lazy` of y, which is checked part by part."""
    if not isinstance(loss, Loss):
        y = np.asarray(y)
        if y.ndim == 0 or len(y) != shape[0]:
            raise ValueError(f"y: expected {shape[0]} targets, one for each sequence of x, got shape {y.shape}")
        return np.ascontiguousarray(y)
    if not Lazy.suits(y) or len(y) != shape[0]:
        return loss.as_target(y, shape, weights != 0, model.dtype, "y")
    for part in parts(len(y), y[0].size):
        seen = weights[part] != 0
        converted = loss.as_target(y[part], (len(seen), *shape[1:]), seen, model.dtype, "y")
    return Lazy(y, converted.dtype)


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
