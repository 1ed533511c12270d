"""What the network reads: a window of a series and the steps to come, as one sequence with a row for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

VALUE, EXPECTED, MEASURED, AHEAD = range(4)
"""The features of a step that come of the series itself: the value, its classical forecast, whether the value was
measured, and the steps since the origin as a share of the horizon."""

OWN = 4
"""How many these are."""

MOST = 50.0
"""The largest number that the network reads."""

PRIOR = 8.0
"""Errors that the error of the whole series counts for, beside those of a window."""


@dataclass(frozen=True)
class Flat:
    """Series of any lengths, one behind the other, with room before each for a window and behind for a horizon.

    Attributes
    ----------
    values, following : (P,)
        The values, NaN where there is none; and the classical forecast of each from the values before it.
    beside : (P, K)
        Other features of each step.
    offsets : (S,)
        The place of the first value of each series.
    """

    values: Floats
    following: Floats
    beside: Floats
    offsets: Ints


def flat_of(
    values: Sequence[Floats], following: Sequence[Floats], beside: Sequence[Floats], window: int, horizon: int
) -> Flat:
    """Series one behind the other; each of `beside` has a row for each value and each step of the horizon."""
    room = window + horizon
    lengths = np.array([len(each) for each in values])
    offsets = np.concatenate([[0], np.cumsum(lengths + room)[:-1]]) + window
    size = int(lengths.sum() + room * len(lengths))
    line, next_line = np.full(size, np.nan), np.full(size, np.nan)
    others = np.zeros((size, beside[0].shape[1]))
    for offset, own, forecast, other in zip(offsets, values, following, beside, strict=True):
        line[offset : offset + len(own)] = own
        next_line[offset : offset + len(forecast)] = forecast
        others[offset : offset + len(other)] = other
    return Flat(line, next_line, others, offsets)


@dataclass(frozen=True)
class Sequences:
    """Sequences for the network, and how its outputs become forecasts.

    Attributes
    ----------
    x : (M, window + horizon, OWN + K)
        With zeros behind, so that there are whole patches.
    window : int
    base : (M, horizon)
        The classical forecast.
    scale : (M,)
        The size of an error of one step, from the errors of the classical forecast so far.
    unit : (M,)
        The scale in the units of x.
    target : (M, horizon)
        What the classical forecast has missed, in units of the scale; NaN where it is not known.
    """

    x: NDArray[np.float32]
    window: int
    base: Floats
    scale: Floats
    unit: Floats
    target: Floats


def sequences(
    flat: Flat,
    rows: Ints,
    origins: Ints,
    ahead: Floats,
    error: Floats,
    window: int,
    patch: int,
    centre: Floats,
    width: Floats,
) -> Sequences:
    """The sequences that end before some origins and go on over the steps to come.

    The value and its classical forecast are those minus the centre and over the width of their window. A missing value,
    and each value to come, is its classical forecast.

    Parameters
    ----------
    flat : Flat
    rows, origins : (M,)
        The number of the series, and that of the first step to come.
    ahead : (M, horizon)
        The classical forecasts from the origins.
    error : (S,)
        The root mean square of the classical forecast's errors of one step, for each series.
    window, patch : int
    centre, width : (S,)
        Of the whole series; NaN for those of each window by itself (Kim et al. 2022).
    """
    horizon = ahead.shape[1]
    places = (flat.offsets[rows] + origins)[:, None] + np.arange(-window, horizon)
    values, following = flat.values[places], flat.following[places]
    truth = values[:, window:]
    following[:, window:] = ahead
    past = np.arange(window + horizon) < window
    measured = ~np.isnan(values) & past
    judged = measured & ~np.isnan(following)
    missed = np.where(judged, values - following, 0.0)
    scale = np.sqrt((PRIOR * error[rows] ** 2 + np.square(missed).sum(1)) / (PRIOR + judged.sum(1)))
    filled = np.where(measured, values, following)
    expected = np.where(np.isnan(following), filled, following)
    middle, size = _centre_and_width(filled, ~np.isnan(filled) & past, centre[rows], width[rows], scale)
    own = (np.stack([filled, expected], axis=-1) - middle[:, None, None]) / size[:, None, None]
    steps = window + horizon
    whole = np.zeros((len(rows), steps + -steps % patch, OWN + flat.beside.shape[1]), np.float32)
    x = whole[:, :steps]
    x[..., [VALUE, EXPECTED]] = np.clip(np.nan_to_num(own, nan=0.0), -MOST, MOST)
    x[..., MEASURED] = measured
    x[:, window:, AHEAD] = np.arange(1, horizon + 1) / horizon
    x[..., OWN:] = flat.beside[places]
    return Sequences(whole, window, ahead, scale, scale / size, (truth - ahead) / scale[:, None])


def _centre_and_width(
    filled: Floats, real: NDArray[np.bool_], centre: Floats, width: Floats, least: Floats
) -> tuple[Floats, Floats]:
    """What is taken from the values of each window, and what they are divided by: never less than `least`."""
    counts = np.maximum(real.sum(1), 1)
    kept = np.where(real, filled, 0.0)
    mean = kept.sum(1) / counts
    deviation = np.sqrt(np.where(real, np.square(filled - mean[:, None]), 0.0).sum(1) / counts)
    own = np.isnan(centre)
    return np.where(own, mean, centre), np.maximum(np.where(own, deviation, width), least)
