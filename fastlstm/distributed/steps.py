"""Sequences out of the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlstm._check import Shape

Array = NDArray[Any]


class Steps(NamedTuple):
    """A column with a sequence in each row."""

    values: Array
    """The sequences one after the other: (steps,), or (steps, F)."""

    counts: NDArray[np.intp]
    """How many steps each row has: (N,)."""


Column = Array | Steps
"""A column: numbers, (N,), or sequences."""


def column_of(values: Any, name: str) -> Column:
    """A column out of an array: (N,) numbers, (N, T) or (N, T, F), or (N,) objects, each a list or an array.

    Raises
    ------
    TypeError
        If it holds something else than numbers.
    ValueError
        If a row is missing, or is no sequence as the other rows are.
    """
    array = _array(values)
    if array.dtype.kind in "fiub":
        if array.ndim == 1:
            return array
        return Steps(array.reshape(-1, *array.shape[2:]), np.full(len(array), array.shape[1], np.intp))
    if array.dtype.kind != "O" or array.ndim != 1:
        raise TypeError(f"column {name!r}: expected numbers or lists of numbers, got dtype {array.dtype}")
    rows = [_row(value, name, i) for i, value in enumerate(array)]
    shapes = {row.shape[1:] if row.ndim else None for row in rows if row.size or not row.ndim}
    if len(shapes) > 1:
        kinds = " and ".join(sorted("numbers" if shape is None else f"lists of {shape}" for shape in shapes))
        raise ValueError(f"column {name!r}: expected rows of one kind, got {kinds}")
    if None in shapes:
        return np.array(rows)
    counts = np.array([len(row) for row in rows], np.intp)
    kept = [row for row in rows if row.size]
    return Steps(np.concatenate(kept) if kept else np.empty(0), counts)


def _array(values: Any) -> Array:
    """An array; one of objects for lists of different lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        array = np.empty(len(values), object)
        for i, value in enumerate(values):
            array[i] = value
        return array


def _row(value: Any, name: str, i: int) -> Array:
    """A row of a column of objects. A list of arrays, as Arrow gives one, becomes one array."""
    row = _array(value)
    if row.dtype.kind == "O" and row.ndim == 1 and all(np.ndim(part) == 1 for part in row):
        if len({len(part) for part in row}) > 1:
            raise ValueError(f"column {name!r}: expected steps of one size, got others in row {i}")
        row = np.array([np.asarray(part) for part in row])
    if row.dtype.kind not in "fiub":
        got = "none" if value is None else f"{value!r:.60}"
        raise TypeError(f"column {name!r}: expected numbers or a list of numbers, got {got} in row {i}")
    return row


def sequences(
    columns: Mapping[str, Column], shape: Shape, lengths: Column | None, own: bool
) -> tuple[Array, NDArray[Any] | None]:
    """The input of a model out of columns.

    Parameters
    ----------
    columns : dict
        One column of sequences, (T,), (T, F), or flattened (T * F,). Several of them: a feature each. Or columns of
        numbers: the steps of each row, in the order of time and then of features.
    shape : tuple
        The input shape of the model.
    lengths : (N,) numbers, optional
        How many steps of each row are real.
    own : bool
        Whether the length of each row is that of its sequence.

    Returns
    -------
    x : (N, T, F), or (N, T) tokens
        Sequences of different lengths are padded with zeros.
    lengths : (N,), or None

    Raises
    ------
    ValueError
        If the columns do not fit together or to the model, or rows have different lengths and nothing says how many
        steps are real.
    """
    features = None if len(shape) == 2 else shape[2] if isinstance(shape[2], int) else 1
    said = " and ".join(repr(name) for name in columns)[:200]
    numbers = [column for column in columns.values() if not isinstance(column, Steps)]
    lists = [column for column in columns.values() if isinstance(column, Steps)]
    if numbers and lists:
        raise ValueError(f"columns {said}: expected either numbers or lists in all of them, got both")
    if isinstance(lengths, Steps):
        raise ValueError("lengths: expected a column of numbers, got one of lists")
    if numbers:
        if own:
            raise ValueError(f"lengths: True is for a column of lists, got numbers in {said}")
        x = np.stack(numbers, 1)
        return (x if features is None else x.reshape(len(x), _whole(x.shape[1], features, said), features)), lengths
    steps = _side_by_side(lists, features, said)
    counts = steps.counts
    most = int(counts.max())
    if own:
        lengths = counts
    if lengths is None and (counts != most).any():
        raise ValueError(
            f"columns {said}: expected as many steps in every row, got {int(counts.min())} to {most}; lengths=True "
            "takes each row as long as it is, and lengths='name' names a column that says how many steps are real"
        )
    if lengths is not None and (lengths > counts).any():
        i = int((lengths > counts).argmax())
        raise ValueError(f"lengths: expected at most {counts[i]} in row {i}, as many as it has steps, got {lengths[i]}")
    x = np.zeros((len(counts), most, *steps.values.shape[1:]), steps.values.dtype)
    x[np.arange(most) < counts[:, None]] = steps.values
    return x, lengths


def _side_by_side(lists: Sequence[Steps], features: int | None, said: str) -> Steps:
    """One column out of several, (steps, F); or (steps,) for tokens."""
    if len(lists) > 1:
        if any(one.values.ndim > 1 for one in lists):
            raise ValueError(f"columns {said}: expected lists of numbers, a feature each, got lists of lists")
        for other in lists[1:]:
            if (other.counts != lists[0].counts).any():
                i = int((other.counts != lists[0].counts).argmax())
                got = f"{lists[0].counts[i]} and {other.counts[i]}"
                raise ValueError(f"columns {said}: expected lists of one length in a row, got {got} steps in row {i}")
        return Steps(np.stack([one.values for one in lists], 1), lists[0].counts)
    values, counts = lists[0]
    if features is None or values.ndim > 1:
        return Steps(values, counts)
    if (counts % features).any():
        i = int((counts % features > 0).argmax())
        _whole(int(counts[i]), features, said)
    return Steps(values.reshape(-1, features), counts // features)


def _whole(numbers: int, features: int, said: str) -> int:
    """How many steps so many numbers are."""
    if numbers % features:
        raise ValueError(f"columns {said}: expected a multiple of {features} numbers, T times F, got {numbers}")
    return numbers // features
