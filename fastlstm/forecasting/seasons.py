"""The season of series without dates, from their autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGEST = 400
"""The longest season that is looked for."""

LEAST = 0.3
"""A season has at least this autocorrelation once the trend is gone."""


def season_of(series: Sequence[Floats]) -> int:
    """Steps of the season that most series have; 1 for none.

    The season of a series is the lag of the highest peak of its autocorrelation after a straight line has been taken
    away. A lag is a peak if its neighbours are lower. Of lags that are nearly as high the shortest counts, for twice a
    season is one as well.

    Parameters
    ----------
    series : list of (T,)
        NaN is a missing value.

    Examples
    --------
    >>> import numpy as np
    >>> season_of([np.sin(np.arange(100) * 2 * np.pi / 7)]), season_of([np.arange(100.0)])
    (7, 1)
    """
    found = [_season(values) for values in series[:1000] if len(values) >= 12]
    if not found:
        return 1
    seasons, counts = np.unique(found, return_counts=True)
    return int(seasons[counts.argmax()])


def _season(values: Floats) -> int:
    measured = ~np.isnan(values)
    if measured.sum() < 12:
        return 1
    steps = np.arange(len(values))
    with np.errstate(all="ignore"):
        line = np.polyfit(steps[measured] / len(values), values[measured], 1)
    rest = np.where(measured, values - np.polyval(line, steps / len(values)), 0.0)
    power = rest @ rest
    if not power > 1e-12 * float(np.square(values[measured]).sum()):
        return 1
    size = 1 << (2 * len(rest) - 1).bit_length()
    spectrum = np.fft.rfft(rest, size)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, size)[: min(len(rest) // 2, LONGEST) + 2] / power
    inner = lags[1:-1]
    peaks = np.flatnonzero((inner > lags[:-2]) & (inner >= lags[2:])) + 1
    peaks = peaks[peaks > 1]
    if not len(peaks):
        return 1
    limit = max(LEAST, 2 / np.sqrt(measured.sum()))
    best = lags[peaks].max()
    return int(peaks[lags[peaks] >= 0.9 * best][0]) if best > limit else 1
