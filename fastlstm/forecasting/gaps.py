"""Missing values of a series: how much is missing, and what a forecaster that wants a whole series reads instead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MUCH = 0.2
"""The share of missing values above which a warning is due."""

NEARLY_ALL = 0.95
"""The share of missing values above which a series is refused."""


def carry(values: Floats, season: int = 1) -> tuple[int, Floats]:
    """Fill missing values (NaN) from the past only: with the value one season before, or else with the last one.

    Parameters
    ----------
    values : (T,), or (T, C) for several columns
    season : int, default 1
        Steps of a season; 1 for none.

    Returns
    -------
    start : int
        The first step before which every column has been measured once. What comes before is left out.
    filled : (T - start,) or (T - start, C)

    Raises
    ------
    ValueError
        If a column has missing values only.

    Examples
    --------
    >>> import numpy as np
    >>> carry(np.array([np.nan, 1, 2, np.nan, 4, np.nan]))
    (1, array([1., 2., 2., 4., 4.]))
    >>> carry(np.array([np.nan, 1, 2, np.nan, 4, np.nan]), season=2)
    (1, array([1., 2., 1., 4., 1.]))
    """
    known = ~np.isnan(values)
    if not known.any(0).all():
        raise ValueError("expected numbers, got only missing values")
    if known.all():
        return 0, values
    start = int(known.argmax(0).max())
    columns = values.reshape(len(values), -1).copy()
    for column, seen in zip(columns.T, known.reshape(columns.shape).T, strict=True):
        first = int(seen.argmax())
        for at in first + np.flatnonzero(~seen[first:]):
            column[at] = column[at - (season if at - season >= first else 1)]
    return start, columns.reshape(values.shape)[start:]


def missing_notes(values: Floats, name: str) -> list[str]:
    """Sentences on how much of a column is missing, with a warning if that is much.

    Raises
    ------
    ValueError
        If nearly all is missing.
    """
    count = int(np.isnan(values).sum())
    if not count:
        return []
    share = count / len(values)
    if share > NEARLY_ALL:
        raise ValueError(
            f"expected at least {1 - NEARLY_ALL:.0%} of the values to be measured, got {len(values) - count:,} of "
            f"{len(values):,}"
        )
    notes = [f"Missing values in {name!r}: {count} of {len(values)}. They count neither as errors nor for the band."]
    if share > MUCH:
        notes.append(f"Warning: much of {name!r} is missing ({share:.0%}). Forecasts rest on the few values there are.")
    return notes
