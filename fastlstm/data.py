"""Cutting a long series into windows to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]


def windows(series: Any, length: int, horizon: int, stride: int = 1) -> tuple[Array, Array]:
    """Windows of a series, and the values that follow each of them.

    Parameters
    ----------
    series : (T,) or (T, F) numbers
        In order of time. One feature (F = 1) where there is a single axis.
    length : int
        Steps in a window.
    horizon : int
        Steps that follow it.
    stride : int, default 1
        Steps from the start of one window to the start of the next.

    Returns
    -------
    x : (M, length, F), y : (M, horizon, F)
        Read-only views of the series, M = (T - length - horizon) // stride + 1; nothing is copied.

    Raises
    ------
    ValueError
        If the series is shorter than length + horizon.

    Examples
    --------
    >>> from fastlstm.data import windows
    >>> x, y = windows([1, 2, 3, 4, 5], length=3, horizon=1)
    >>> x[..., 0].tolist(), y[..., 0].tolist()
    ([[1, 2, 3], [2, 3, 4]], [[4], [5]])
    """
    length, horizon = _check.positive_int(length, "length"), _check.positive_int(horizon, "horizon")
    stride = _check.positive_int(stride, "stride")
    array = _check.as_numbers(series, "series", "fiub", "real numbers")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"series: expected shape (T,) or (T, F), got {_check.describe(np.shape(series))}")
    if len(array) < length + horizon:
        raise ValueError(
            f"series: expected at least length + horizon = {length} + {horizon} = {length + horizon} steps, "
            f"got {len(array)}"
        )
    both = sliding_window_view(array, length + horizon, axis=0)[::stride].swapaxes(1, 2)
    return both[:, :length], both[:, length:]
