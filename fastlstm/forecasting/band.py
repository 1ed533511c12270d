"""How far values may lie from a point forecast: from its errors at earlier origins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = np.concatenate([[0.005, 0.01], np.arange(0.025, 0.9751, 0.025), [0.99, 0.995]])
"""The levels at which the quantiles of errors are kept."""

MOST_ROWS = 400
"""Rows of errors that are kept for paths."""

NORMAL_COUNT = 20.0
"""Errors that a normal distribution counts for, beside those that were seen."""

WIDER = 1.15
"""How much larger errors on new values are than those on values that the smoothing was fitted to, without evidence."""

WIDER_COUNT = 6.0
"""Independent held-out errors that this counts for."""


@dataclass(frozen=True)
class Band:
    """The distribution of the errors of a forecast, in units of the scale of its origin.

    Attributes
    ----------
    growth : (H,)
        The size of the errors of each step ahead.
    shape : (Q,)
        The quantiles of the errors in units of that size, at `LEVELS`.
    ranks : (R, H)
        Rows of errors of one origin each as levels from 0 to 1: how the steps of a path go together.
    """

    growth: Floats
    shape: Floats
    ranks: Floats

    def quantiles(self, levels: Floats) -> Floats:
        """The quantiles of the errors at these levels, (H, len(levels))."""
        return self.growth[:, None] * self._at(levels)

    def _at(self, levels: Floats) -> Floats:
        return np.interp(levels, LEVELS, self.shape)

    def paths(self, count: int, rng: np.random.Generator) -> Floats:
        """Levels of so many paths, (count, H)."""
        return self.ranks[rng.integers(len(self.ranks), size=count)]

    def as_dict(self) -> dict[str, Any]:
        return {key: part.tolist() for key, part in asdict(self).items()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Band:
        return cls(**{key: np.asarray(state[key], np.float64) for key in ("growth", "shape", "ranks")})

    @classmethod
    def of(cls, before: Floats, held_out: Floats, blocks: float) -> Band:
        """The band from errors in units of the scale, NaN where they are not known.

        Parameters
        ----------
        before : (A, H)
            Of the classical forecast, on values that it was fitted to: many, but too small.
        held_out : (V, H)
            Of the whole forecast, on values that nothing was fitted to.
        blocks : float
            How many of the held-out rows are independent of each other.
        """
        from scipy.special import ndtri

        growth = _growth(before if len(before) else held_out)
        shape = (before if len(before) else held_out) / growth
        known = shape[~np.isnan(shape)]
        seen = np.quantile(known, LEVELS) - np.median(known)
        normal = ndtri(LEVELS) * known.std()
        weight = (n := len(known) / len(growth)) / (n + NORMAL_COUNT)
        seen = weight * seen + (1 - weight) * normal
        wider = _wider(np.abs(known), np.abs(held_out / growth), blocks)
        return cls(growth, seen * wider, _ranks(before if len(before) else held_out))


def _growth(errors: Floats) -> Floats:
    """The mean size of the errors of each step ahead, which never falls."""
    with np.errstate(invalid="ignore"):
        sizes = np.array([np.mean(np.abs(column[~np.isnan(column)])) for column in errors.T])
    known = ~np.isnan(sizes)
    if not known.any():
        return np.ones(len(sizes))
    sizes = np.interp(np.arange(len(sizes)), np.flatnonzero(known), sizes[known])
    return np.maximum(np.maximum.accumulate(sizes), 1e-12)


def _wider(before: Floats, held_out: Floats, blocks: float) -> float:
    """By what factor errors on new values are larger, as far as the held-out ones can say."""
    new = held_out[~np.isnan(held_out)]
    if not len(new) or not before.any():
        return WIDER
    ratio = max(float(np.quantile(new, 0.9)), 1e-12) / max(float(np.quantile(before, 0.9)), 1e-12)
    weight = blocks / (blocks + WIDER_COUNT)
    return float(np.exp(weight * np.log(np.clip(ratio, 0.2, 5)) + (1 - weight) * np.log(WIDER)))


def _ranks(errors: Floats) -> Floats:
    """Rows of errors as levels: the share of the errors of the same step that are smaller."""
    whole = errors[~np.isnan(errors).any(1)]
    if not len(whole):
        return np.full((1, errors.shape[1]), 0.5)
    whole = whole[:: -(-len(whole) // MOST_ROWS)]
    order = whole.argsort(0).argsort(0)
    return (order + 0.5) / len(whole)
