"""Windows of a long series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]
Columns = int | slice | Sequence[int]


def windows(
    series: Any,
    length: int,
    horizon: int,
    stride: int = 1,
    *,
    inputs: Columns | None = None,
    targets: Columns | Array | None = None,
) -> tuple[Array, Array]:
    """Windows of a series, and the values that follow each window.

    Parameters
    ----------
    series : (T,) or (T, F) numbers
        In order of time. A single axis is one feature (F = 1).
    length : int
        Steps in a window.
    horizon : int
        Steps that follow it.
    stride : int, default 1
        Steps from the start of one window to the start of the next.
    inputs : int, slice or list of ints, optional
        Columns that the windows hold; by default all F.
    targets : int, slice or list of ints, or a second series, optional
        Columns that follow; by default all F. A second series is an array (T,) or (T, G), whose step t belongs to step
        t of the series: its values follow instead.

    Returns
    -------
    x : (M, length, F), y : (M, horizon, G)
        Read-only views, M = (T - length - horizon) // stride + 1. Only columns that are given as a list are copied, and
        only once, not for each window.

    Raises
    ------
    TypeError
        If the series is not of real numbers, or a column is not a whole number.
    ValueError
        If the series is shorter than length + horizon, or has no such column.

    Examples
    --------
    >>> from fastlstm.data import windows
    >>> x, y = windows([1, 2, 3, 4, 5], length=3, horizon=1)
    >>> x[..., 0].tolist(), y[..., 0].tolist()
    ([[1, 2, 3], [2, 3, 4]], [[4], [5]])

    The temperature of the next two hours from all of three columns:

    >>> import numpy as np
    >>> weather = np.zeros((100, 3))
    >>> x, y = windows(weather, length=24, horizon=2, targets=0)
    >>> x.shape, y.shape
    ((75, 24, 3), (75, 2, 1))
    """
    length, horizon = _check.positive_int(length, "length"), _check.positive_int(horizon, "horizon")
    stride = _check.positive_int(stride, "stride")
    array = _as_series(series, "series")
    if len(array) < length + horizon:
        raise ValueError(
            f"series: expected at least length + horizon = {length} + {horizon} = {length + horizon} steps, "
            f"got {len(array)}"
        )
    if getattr(targets, "ndim", 0):
        following = _as_series(targets, "targets")
        if len(following) != len(array):
            raise ValueError(f"targets: expected {len(array)} steps as in the series, got {len(following)}")
    else:
        following = _columns(array, targets, "targets")
    past = _columns(array, inputs, "inputs")
    return _windows(past[: len(past) - horizon], length, stride), _windows(following[length:], horizon, stride)


def _windows(series: Array, length: int, stride: int) -> Array:
    return sliding_window_view(series, length, axis=0)[::stride].swapaxes(1, 2)


def _as_series(value: Any, name: str) -> Array:
    array = _check.as_numbers(value, name, "fiub", "real numbers")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name}: expected shape (T,) or (T, F), got {_check.describe(np.shape(value))}")
    return array


def _columns(array: Array, chosen: Any, name: str) -> Array:
    """Some columns of an array (T, F), with two axes: a view, but a copy for a list of columns."""
    if chosen is None:
        return array
    features = array.shape[1]
    if isinstance(chosen, slice):
        found = array[:, chosen]
        if not found.shape[1]:
            raise ValueError(f"{name}: expected some of the columns 0 to {features - 1}, got none in {chosen}")
        return found
    single = isinstance(chosen, int | np.integer)
    listed = [chosen] if single else _check.items(chosen, name, "columns")
    for column in listed:
        if isinstance(column, bool) or not isinstance(column, int | np.integer):
            other = ", or a second series as an array" if name == "targets" else ""
            raise TypeError(f"{name}: expected columns by their numbers{other}, got {column!r}")
        if not 0 <= column < features:
            raise ValueError(f"{name}: expected columns from 0 to {features - 1}, got {column}")
    if not listed:
        raise ValueError(f"{name}: expected at least one column, got none")
    return array[:, chosen : chosen + 1] if single else array[:, listed]
