"""What the estimators take as X, as one array of sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]


@dataclass(frozen=True)
class Sequences:
    """Sequences of the same number of features.

    Attributes
    ----------
    x : (N, T, F) floats
        Zeros stand beyond the end of a sequence.
    lengths : (N,) ints from 1 to T, or None
        Number of steps of each; None if all have T.
    """

    x: Array
    lengths: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def features(self) -> int:
        return int(self.x.shape[2])

    @property
    def steps(self) -> list[int]:
        """Number of steps of each sequence."""
        return [self.x.shape[1]] * len(self) if self.lengths is None else self.lengths.tolist()

    def take(self, rows: Array) -> Sequences:
        return Sequences(self.x[rows], None if self.lengths is None else self.lengths[rows])


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each column, (F,). A column that does not vary is only shifted."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, rows: Array, weight: Array | None = None) -> Scale:
        """That of the columns of rows (R, F), each row with its weight (R,)."""
        columns = np.ascontiguousarray(rows.T, np.float64)  # summed pairwise, and not by a BLAS, whose order may change
        mean = np.average(columns, 1, weight)
        with np.errstate(over="ignore"):  # infinite, and the network refuses what becomes of it
            deviation = np.sqrt(np.average((columns - mean[:, None]) ** 2, 1, weight))
        still = deviation <= 1e-12 * np.abs(mean)  # what rounding leaves of a column of one value
        return cls(mean, np.where(still | ~np.isfinite(deviation), 1.0, deviation))

    @classmethod
    def of_steps(cls, sequences: Sequences, weight: Array | None = None) -> Scale:
        """That of each feature over all steps. A weight is that of each sequence (N,), or of each step (N, T)."""
        n, t, _ = sequences.x.shape
        real = np.arange(t) < np.array(sequences.steps)[:, None]
        rows = sequences.x.reshape(n * t, -1) if sequences.lengths is None else sequences.x[real]
        if weight is not None:
            weight = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], (n, t))[real]
        return cls.of(rows, weight)

    def apply(self, sequences: Sequences) -> Sequences:
        """Standardised, in float32. What lies beyond an end is not looked at, whatever becomes of its zeros."""
        with np.errstate(over="ignore"):
            return Sequences(((sequences.x - self.mean) / self.deviation).astype(np.float32), sequences.lengths)


def is_sequences(X: Any, n_steps: int | None) -> bool:
    """Whether X is sequences, (n, T, F) or a list of them, and no table (n, p)."""
    if not is_list(X):
        return len(getattr(X, "shape", ())) == 3
    if not len(X):
        return False
    if all(np.ndim(item) == 1 if hasattr(item, "__array__") else is_list_of_numbers(item) for item in X):
        ragged = len({len(item) for item in X}) > 1
        if ragged and n_steps is not None:
            raise ValueError(f"n_steps: expected None for rows of different lengths, got {n_steps!r}")
        return ragged or (n_steps is None and any(hasattr(item, "__array__") for item in X))
    return all(hasattr(item, "__len__") and not isinstance(item, str) for item in X)


def is_list(X: Any) -> bool:
    """Whether X is a list of things, among them a column of arrays, as pickers of rows return it."""
    return isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)


def is_list_of_numbers(item: Any) -> bool:
    return isinstance(item, list | tuple) and all(np.isscalar(value) for value in item)


def as_sequences(X: Any) -> Sequences:
    """(n, T, F) numbers, or a list of (T_i, F) or (T_i,), padded with zeros."""
    if not is_list(X):
        return Sequences(as_floats(X, "X", ("n", "T", "F")))
    items = [as_item(item, f"X[{k}]") for k, item in enumerate(X)]
    features = items[0].shape[1]
    for k, item in enumerate(items):
        if item.shape[1] != features:
            raise ValueError(f"X[{k}]: expected {features} features at each step, as X[0] has, got {item.shape[1]}")
    return padded(items)


def as_item(item: Any, name: str) -> Array:
    """One sequence, (T, F); one of plain numbers has one feature."""
    if np.ndim(item) == 1:
        return as_floats(item, name, ("T",))[:, None]
    return as_floats(item, name, ("T", "F"))


def as_floats(value: Any, name: str, shape: _check.Shape) -> Array:
    """Finite numbers of this shape, in float32 if they are, else in float64."""
    array = np.asarray(value)
    dtype = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)
    if array.dtype == object:  # numbers that stand in a column of objects
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name}: expected real numbers, got objects such as {array.flat[0]!r:.80}") from None
    return _check.real_array(array, name, dtype, shape)


def padded(items: list[Array]) -> Sequences:
    """Sequences (T_i, F) in one array."""
    lengths = np.array([len(item) for item in items], np.intp)
    longest = int(lengths.max())
    if (lengths == longest).all():
        return Sequences(np.stack(items))
    x = np.zeros((len(items), longest, items[0].shape[1]), np.result_type(*items))
    for row, item in zip(x, items, strict=True):
        row[: len(item)] = item
    return Sequences(x, lengths)


def of_table(table: Array, n_steps: int | None) -> Sequences:
    """A table (n, p): p steps of one feature, or n_steps steps of p / n_steps features, step after step."""
    columns = table.shape[1]
    if n_steps is None:
        return Sequences(table[:, :, None])
    steps = _check.positive_int(n_steps, "n_steps")
    if columns % steps:
        raise ValueError(f"n_steps: expected a divisor of {columns}, the columns of X, got {steps}")
    return Sequences(table.reshape(len(table), steps, columns // steps))


def in_rows(values: Array, steps: Iterable[int]) -> list[Array]:
    """The real steps of each row of values, (N, T, ...)."""
    return [row[:count] for row, count in zip(values, steps, strict=True)]


def refuse_series(X: Any) -> None:
    """A DataFrame with a Series in each cell needs a converter, and what can be walked only once a list."""
    if not any(hasattr(X, name) for name in ("__len__", "shape", "__array__")):
        got = "None" if X is None else type(X).__name__
        raise TypeError(f"X: expected sequences (n, T, F), a list of them, or a table (n, p), got {got}")
    if hasattr(X, "iloc") and len(getattr(X, "shape", ())) == 2 and 0 not in X.shape and np.ndim(X.iloc[0, 0]) == 1:
        raise TypeError("X: expected numbers, got a DataFrame with a sequence in each cell; pass from_sktime(X)")
