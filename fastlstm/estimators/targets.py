"""Checks of what comes beside X."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

from fastlstm.estimators.sequences import Sequences

Array = NDArray[Any]


def check_given(estimator: Any, sequences: Sequences, y: Any) -> None:
    """Raise ValueError if there is no y, or it has another length than X."""
    if y is None:
        raise ValueError(f"y: {type(estimator).__name__} requires y to be passed, but the target y is None")
    count = len(y) if hasattr(y, "__len__") else len(np.atleast_1d(np.asarray(y)))
    if count != len(sequences):
        raise ValueError(f"y: expected {len(sequences)}, one for each sequence of X, got {count}")


def check_weight(weight: Any, sequences: Sequences) -> Array | None:
    """sample_weight as (n,) numbers from 0, or None."""
    if weight is None:
        return None
    found: Array = _check_sample_weight(weight, sequences.x, dtype=np.float64, ensure_non_negative=True)
    return found
