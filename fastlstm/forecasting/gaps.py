"""Missing values of a series: how much is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MUCH = 0.2
"""The share of missing values above which a warning is due."""

NEARLY_ALL = 0.95
"""The share of missing values above which a series is refused."""


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
