"""Seasons of many series at once: what a season adds or by what it multiplies, and whether there is one.

Series are columns (T, S) that begin with their first value at time 0; NaN where a value is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ends(values: Floats) -> NDArray[np.intp]:
    """Where the last value of each column (T, S) ends that is not missing, (S,)."""
    last: NDArray[np.intp] = len(values) - np.isfinite(values)[::-1].argmax(0)
    return last


def stretch(values: Floats, begins: NDArray[np.intp], longest: int) -> Floats:
    """`longest` steps of each column (T, S) from `begins` (S,) on, or as many as there are; NaN behind the end."""
    if len(values) <= longest:
        return values
    at = np.arange(longest)[:, None] + begins
    part: Floats = np.take_along_axis(values, np.minimum(at, len(values) - 1), axis=0)
    return np.where(at < len(values), part, np.nan)


def moving_average(values: Floats, season: int) -> Floats:
    """The centred moving average over one season, of the values that are there; ends that lack half a season are NaN.

    An even season takes half of the first and of the last of its season + 1 values.
    """
    known = ~np.isnan(values)
    half = season // 2
    inner = half if season % 2 else half - 1
    sums, counts = (_sums(part, half, inner) for part in (np.where(known, values, 0.0), known.astype(np.float64)))
    average = np.full(values.shape, np.nan)
    if len(values) > 2 * half:
        inside = np.arange(half, len(values) - half)[:, None] < ends(values) - half
        enough = inside & (counts >= season / 2)
        average[half : len(values) - half] = np.where(enough, sums / np.maximum(counts, 1e-9), np.nan)
    return average


def _sums(values: Floats, half: int, inner: int) -> Floats:
    """Sums over `half` neighbours on either side, of which those beyond `inner` count half."""
    steps = len(values) - 2 * half
    total = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])
    sums: Floats = np.zeros((max(steps, 0), values.shape[1]))
    for width in (half, inner):
        low = half - width
        sums += (total[low + 2 * width + 1 :][:steps] - total[low:][:steps]) / 2
    return sums


def indices(values: Floats, season: int, *, multiplicative: bool) -> Floats:
    """The seasonal indices (season, S) of the classical decomposition; 0, or 1, without two whole seasons.

    Additive indices have the mean 0, multiplicative ones the mean 1. See Hyndman and Athanasopoulos, "Forecasting:
    principles and practice", 3.4.
    """
    neutral = 1.0 if multiplicative else 0.0
    none = np.full((season, values.shape[1]), neutral)
    if season == 1 or len(values) < 2 * season:
        return none
    trend = moving_average(values, season)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = values / trend if multiplicative else values - trend
    known = np.isfinite(rest)
    padding = -len(values) % season
    rest, count = (
        np.pad(part, ((0, padding), (0, 0))).reshape(-1, season, values.shape[1]).sum(0)
        for part in (np.where(known, rest, 0.0), known.astype(np.float64))
    )
    means = rest / np.maximum(count, 1)
    whole = (count > 0).all(0) & (np.isfinite(values).sum(0) >= 2 * season)
    means = means / np.where(whole, means.mean(0), 1.0) if multiplicative else means - means.mean(0)
    return np.where(whole & (means > 0).all(0), means, 1.0) if multiplicative else np.where(whole, means, 0.0)


def is_seasonal(values: Floats, season: int) -> NDArray[np.bool_]:
    """Whether the autocorrelation at the season is significant at 90 %, (S,), as Theta asks (Fiorucci et al. 2016)."""
    known = np.isfinite(values)
    count = known.sum(0)
    if season == 1 or len(values) < 2 * season:
        return np.zeros(values.shape[1], np.bool_)
    mean = np.where(known, values, 0.0).sum(0) / np.maximum(count, 1)
    centred = np.where(known, values - mean, 0.0)
    power = np.square(centred).sum(0)
    power = np.where(power > 0, power, 1.0)
    lags = [(centred[lag:] * centred[: len(centred) - lag]).sum(0) / power for lag in range(1, season + 1)]
    limit = 1.645 * np.sqrt((1 + 2 * np.square(lags[:-1]).sum(0)) / np.maximum(count, 1))
    found: NDArray[np.bool_] = (np.abs(lags[-1]) > limit) & (count >= 2 * season)
    return found
