"""How far values may lie from a point forecast: from its errors at earlier origins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Floats = NDArray[np.float64]

LEVELS = np.concatenate([[0.005, 0.01], np.arange(0.025, 0.9751, 0.025), [0.99, 0.995]])
"""The levels at which the quantiles of errors are kept."""

MOST_ROWS = 400
"""Rows of errors that are kept for paths."""

NORMAL_COUNT = 20.0
"""Errors that a normal distribution counts for, beside those that were seen."""

WIDER = 5.0
"""By how much errors on new values are larger than those on values that were fitted to, without evidence: by this over
the length of a series in horizons. It was chosen by hand, so that the 90 % intervals of half of a
set of real series hold about that share."""

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
    wider : float
        By what factor errors on new values are larger than the shape, or than a distribution, says.
    ranks : (R, H)
        Rows of errors of one origin each as levels from 0 to 1: how the steps of a path go together.
    """

    growth: Floats
    shape: Floats
    wider: float
    ranks: Floats

    def quantiles(self, levels: Floats) -> Floats:
        """The quantiles of the errors at these levels, (H, len(levels))."""
        return self.wider * self.growth[:, None] * np.interp(levels, LEVELS, self.shape)

    def paths(self, count: int, rng: np.random.Generator) -> Floats:
        """The levels of so many paths, (count, H)."""
        return self.ranks[rng.integers(len(self.ranks), size=count)]

    def longer(self, horizon: int) -> Band:
        """The band of so many steps: beyond those that were seen, errors grow with the root of the steps."""
        seen = len(self.growth)
        if horizon <= seen:
            return Band(self.growth[:horizon], self.shape, self.wider, self.ranks[:, :horizon])
        steps = np.arange(seen + 1, horizon + 1)
        growth = np.concatenate([self.growth, self.growth[-1] * np.sqrt(steps / seen)])
        ranks = np.pad(self.ranks, ((0, 0), (0, horizon - seen)), mode="edge")
        return Band(growth, self.shape, self.wider, ranks)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; see `from_dict`."""
        arrays = {key: getattr(self, key).tolist() for key in ("growth", "shape", "ranks")}
        return {"wider": self.wider, **arrays}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Band:
        float64 = np.dtype(np.float64)
        growth = _check.real_array(state["growth"], "growth", float64, ("H",))
        shape = _check.real_array(state["shape"], "shape", float64, LEVELS.shape)
        ranks = _check.real_array(state["ranks"], "ranks", float64, ("R", len(growth)))
        if (growth <= 0).any() or (np.diff(shape) < 0).any() or ((ranks < 0) | (ranks > 1)).any():
            raise ValueError("band: expected growth above 0, a shape that never falls and ranks from 0 to 1")
        return cls(growth, shape, _check.number(state["wider"], "wider", 0), ranks)

    @classmethod
    def of(cls, before: Floats, held_out: Floats, blocks: float, length: float) -> Band:
        """The band from errors in units of the scale, NaN where they are not known.

        Parameters
        ----------
        before : (A, H)
            Of the classical forecast, on values that it was fitted to: many, but too small.
        held_out : (V, H)
            Of the whole forecast, on values that nothing was fitted to.
        blocks : float
            How many of the held-out rows are independent of each other.
        length : float
            The length of a series in horizons.
        """
        from scipy.special import ndtri

        errors = before if (~np.isnan(before)).any() else held_out
        growth = _growth(errors)
        known = errors / growth
        known = known[~np.isnan(known)]
        known = known if len(known) else np.array([-1.0, 0.0, 1.0])  # nothing at all was seen: the scale decides
        weight = len(known) / len(growth) / (len(known) / len(growth) + NORMAL_COUNT)
        shape = weight * (np.quantile(known, LEVELS) - np.median(known)) + (1 - weight) * ndtri(LEVELS) * known.std()
        expected = float(np.quantile(np.abs(known), 0.9))
        wider = wider_of(held_out / growth, expected, blocks, 1 + WIDER / length)
        return cls(growth, shape, wider, _ranks(errors))


def wider_of(held_out: Floats, expected: float, blocks: float, usual: float) -> float:
    """By what factor the 90 % quantile of the sizes of held-out errors is larger than expected, shrunk to the usual."""
    new = np.abs(held_out[~np.isnan(held_out)])
    if not len(new) or not expected > 0:
        return usual
    ratio = float(np.clip(np.quantile(new, 0.9) / expected, 0.2, 5.0))
    weight = blocks / (blocks + WIDER_COUNT)
    return float(np.exp(weight * np.log(ratio) + (1 - weight) * np.log(usual)))


def _growth(errors: Floats) -> Floats:
    """The mean size of the errors of each step ahead, which never falls."""
    sizes = np.array(
        [np.abs(column[~np.isnan(column)]).mean() if (~np.isnan(column)).any() else 0 for column in errors.T]
    )
    return np.maximum(np.maximum.accumulate(sizes), 1e-12) if sizes.any() else np.ones(len(sizes))


def _ranks(errors: Floats) -> Floats:
    """Rows of errors as levels: the share of the errors of the same step that are smaller."""
    whole = errors[~np.isnan(errors).any(1)]
    if not len(whole):
        return np.full((1, errors.shape[1]), 0.5)
    whole = whole[:: -(-len(whole) // MOST_ROWS)]
    return (whole.argsort(0).argsort(0) + 0.5) / len(whole)
