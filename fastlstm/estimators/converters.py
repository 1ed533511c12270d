"""From containers of other packages to arrays (n, T, F), or lists of arrays (T_i, F)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]


def from_channels_first(x: Any) -> Array:
    """Sequences whose features come before their steps, as estimators take them.

    Parameters
    ----------
    x : (n, F, T) numbers
        As PyTorch's convolutions, aeon and sktime's ``numpy3D`` have them.

    Returns
    -------
    (n, T, F) array
        A view of x, if x is an array.

    Raises
    ------
    ValueError
        If x has not three axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import from_channels_first
    >>> from_channels_first(np.zeros((5, 2, 7))).shape
    (5, 7, 2)
    """
    array = np.asarray(x)
    if array.ndim != 3:
        raise ValueError(f"x: expected shape (n, F, T), got {_check.describe(array.shape)}")
    return array.swapaxes(1, 2)


def from_sktime(x: Any) -> Array | list[Array]:
    """Sequences in one of sktime's containers of panels, as estimators take them.

    Parameters
    ----------
    x : DataFrame or array
        ``nested_univ``, a DataFrame with a row for each sequence, a column for each feature and a Series in each cell;
        ``pd-multiindex``, a DataFrame with a row for each step, a column for each feature and two levels of the index,
        sequence and time; or ``numpy3D``, an array (n, F, T).

    Returns
    -------
    (n, T, F) array, or list of (T_i, F) arrays where the lengths differ
        The sequences of a ``pd-multiindex`` in the order in which each appears first.

    Raises
    ------
    TypeError
        If x is neither a DataFrame nor an array.
    ValueError
        If x has another form than these, or the cells of a row differ in length.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from fastlstm.estimators import from_sktime
    >>> nested = pd.DataFrame({"x": [pd.Series([1.0, 2.0]), pd.Series([3.0])]})
    >>> [sequence.tolist() for sequence in from_sktime(nested)]
    [[[1.0], [2.0]], [[3.0]]]
    """
    if isinstance(x, np.ndarray):
        return from_channels_first(x)
    if not (hasattr(x, "columns") and hasattr(x, "index")):
        raise TypeError(f"x: expected a DataFrame or an array (n, F, T), got {type(x).__name__}")
    if x.index.nlevels == 2:
        return _stacked([steps.to_numpy() for _, steps in x.groupby(level=0, sort=False)])
    if not len(x) or not all(np.ndim(cell) == 1 for cell in x.iloc[0]):
        raise ValueError(
            "x: expected a Series in each cell, or an index with two levels, sequence and time, "
            f"got a DataFrame of shape {_check.describe(x.shape)} with {x.index.nlevels} level"
            f"{'s' * (x.index.nlevels > 1)}"
        )
    return _stacked([_of_cells(row, k) for k, row in enumerate(x.itertuples(index=False, name=None))])


def from_tslearn(x: Any) -> Array | list[Array]:
    """Sequences in tslearn's container, as estimators take them.

    Parameters
    ----------
    x : (n, T, F) numbers
        Shorter sequences end with steps of NaN, as ``to_time_series_dataset`` makes them.

    Returns
    -------
    (n, T, F) array, or list of (T_i, F) arrays where the lengths differ
        Views of x, if x is an array. A NaN within a sequence stays.

    Raises
    ------
    ValueError
        If x has not three axes, or a sequence has no step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import from_tslearn
    >>> [sequence.tolist() for sequence in from_tslearn([[[1.0], [2.0]], [[3.0], [np.nan]]])]
    [[[1.0], [2.0]], [[3.0]]]
    """
    array = np.asarray(x, dtype=None if getattr(x, "dtype", None) is not None else np.float64)
    if array.ndim != 3:
        raise ValueError(f"x: expected shape (n, T, F), got {_check.describe(array.shape)}")
    real = ~np.isnan(array).all(axis=2)
    ends = np.where(real.any(1), array.shape[1] - real[:, ::-1].argmax(1), 0)
    if not ends.all():
        raise ValueError(f"x: expected a step in each sequence, got NaN alone at {int(ends.argmin())}")
    return _stacked([sequence[:end] for sequence, end in zip(array, ends, strict=True)])


def _of_cells(row: tuple[Any, ...], at: int) -> Array:
    """One sequence (T, F) from a cell for each feature."""
    cells = [np.asarray(cell) for cell in row]
    if len({cell.shape for cell in cells}) > 1:
        raise ValueError(f"x: expected cells of the same length in row {at}, got {[len(cell) for cell in cells]}")
    return np.stack(cells, axis=1)


def _stacked(items: list[Array]) -> Array | list[Array]:
    return items if len({len(item) for item in items}) > 1 else np.stack(items)
