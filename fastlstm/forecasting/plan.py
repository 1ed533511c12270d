"""Which origins the network learns from, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]

LONGEST_WINDOW = 168
"""Steps of the default window at most: a week of hours."""

PATCHES = 14
"""Patches of the default window."""

MANY_SERIES = 50
"""From so many series on one held-out origin of each is enough."""


@dataclass(frozen=True)
class Plan:
    """Which origins the network learns from, and which are held out.

    Attributes
    ----------
    window : int
        Steps that the network reads.
    horizon : int
    ends : (S,)
        How many values of each series are not held out.
    train, held_out : pair of (M,)
        The numbers of the series and of the first step to come.
    """

    window: int
    horizon: int
    ends: Ints
    train: tuple[Ints, Ints]
    held_out: tuple[Ints, Ints]


def plan_of(
    lengths: Ints,
    horizon: int,
    season: int,
    window: int | None,
    patch: int,
    validation: float,
    most: int,
    seed: int | None,
) -> Plan:
    """A plan for series of these lengths.

    Parameters
    ----------
    lengths : (S,)
    horizon, season : int
    window : int, optional
        By default two seasons, but from 24 to 168 steps or 14 patches, not longer than half of the longest series.
    patch : int
        The window is a multiple of it.
    validation : float
        Share of each series that is held out at its end.
    most : int
        How many origins to learn from at most; they are drawn.
    seed : int, optional
    """
    usual = min(max(24, 2 * season), LONGEST_WINDOW) if patch == 1 else PATCHES * patch
    window = window or max(2, min(usual, (int(lengths.max()) - horizon) // 2))
    window += -window % patch
    share = np.round(validation * lengths).astype(np.intp) - horizon + 1
    count = np.clip(share, 1, None) if len(lengths) < MANY_SERIES else np.ones(len(lengths), np.intp)
    least = np.minimum(np.minimum(2 * season, window), np.maximum(lengths // 3, 3)) + 1
    count = np.where(lengths - horizon - count + 1 > least, count, 0)
    ends = np.where(count > 0, lengths - horizon - count + 1, lengths)
    train = _origins(least, ends - horizon)
    held_out = _origins(ends, np.where(count > 0, lengths - horizon, ends - 1))
    rng = np.random.default_rng(seed)
    return Plan(window, horizon, ends, _drawn(train, most, rng), _drawn(held_out, most, rng))


def _origins(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """All origins from the first to the last of each series: the number of the series, and the origin."""
    counts = np.maximum(last - first + 1, 0)
    rows = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, np.repeat(first, counts) + within


def _drawn(origins: tuple[Ints, Ints], most: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    rows, at = origins
    if len(rows) <= most:
        return origins
    kept = np.sort(rng.choice(len(rows), most, replace=False))
    return rows[kept], at[kept]
