"""Akaike's criterion for small samples (Hurvich and Tsai 1989), and weights by it, for many series at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 0.01
"""Weight below which a model is left out, which saves its computation where no series needs it."""


def criterion(squares: Floats, free: Floats, count: Floats) -> Floats:
    """The criterion of models with this mean square of errors, so many free parameters and values.

    It is infinite where there are too few values for the parameters.
    """
    left = count - free - 1
    correction = 2 * free * count / np.where(left > 0, left, 1.0)
    result: Floats = np.where(left > 0, count * np.log(squares) + correction, np.inf)
    return result


def weights_of(criteria: Floats) -> Floats:
    """Weights (S, K) of models by their criteria; all on the first model where none has one.

    See Burnham and Anderson, "Model selection and multimodel inference" (2002), 2.9.
    """
    none = ~np.isfinite(criteria).any(1)
    criteria = criteria.copy()
    criteria[none, 0] = 0.0
    weights: Floats = np.exp((criteria.min(1, keepdims=True) - criteria) / 2)
    weights /= weights.sum(1, keepdims=True)
    weights[weights < LEAST] = 0.0
    weights /= weights.sum(1, keepdims=True)
    return weights
