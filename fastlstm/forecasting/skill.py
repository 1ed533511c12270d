"""Skill: whether a forecast is better than another one, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_ORIGINS = 8
"""With fewer forecasts nothing is said about how sure the skill is."""


@dataclass(frozen=True)
class Skill:
    """How far the mean squared error of a forecast is below that of a reference.

    Attributes
    ----------
    value : float
        1 - MSE / MSE of the reference: 1 for a perfect forecast, 0 for one that is as good as the reference, below 0
        for a worse one; NaN if no error is known.
    low, high : float
        Interval of the value; NaN for fewer than 8 forecasts.
    p_value : float
        Probability of a difference in mean squared error at least as large if both forecasts were equally good; NaN
        for fewer than 8 forecasts.
    """

    value: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(cls, error: Floats, reference: Floats, *, block: int = 1, coverage: float = 0.9, seed: int = 0) -> Skill:
        """The skill of a forecast, from its errors and those of the reference at the same moments.

        Parameters
        ----------
        error, reference : (N,) or (N, ...)
            A row for each moment at which a forecast was made, in order of time. Squared errors are averaged over each
            row, without those that are not known (NaN); a row of these only does not count.
        block : int, default 1
            Number of moments over which errors may be correlated, such as the horizon if forecasts are made at every
            step. So many rows are drawn together in the circular block bootstrap (Politis and Romano 1992) that gives
            the interval, and their correlations count in the variance of the test (Diebold and Mariano 1995, with the
            weights of Newey and West 1987).
        coverage : float, default 0.9
            Probability that the interval holds the true skill.
        seed : int, default 0
            Seed of the bootstrap.

        Examples
        --------
        >>> import numpy as np
        >>> noise = np.random.default_rng(0).standard_normal((2, 500))
        >>> skill = Skill.of(noise[0], 2 * noise[1])
        >>> round(skill.value, 2), skill.low < 0.71 < skill.high, skill.p_value < 0.01
        (0.71, True, True)
        """
        own, other = (_row_means(np.square(errors).reshape(len(errors), -1)) for errors in (error, reference))
        count = len(own)
        value = float(_ratio(own, other)) if count else np.nan
        if count < LEAST_ORIGINS:
            return cls(value, np.nan, np.nan, np.nan)
        length = min(max(block, round(count ** (1 / 3))), count)
        rng = np.random.default_rng(seed)
        starts = rng.integers(count, size=(1000, -(-count // length)))
        drawn = ((starts[..., None] + np.arange(length)) % count).reshape(len(starts), -1)[:, :count]
        ratios = np.sort(_ratio(own[drawn], other[drawn]))
        low, high = (ratios[round(share * (len(ratios) - 1))] for share in ((1 - coverage) / 2, (1 + coverage) / 2))
        return cls(value, float(low), float(high), diebold_mariano(own, other, lags=length - 1))


def _row_means(squares: Floats) -> Floats:
    """The mean of each row over what is not NaN, without rows of nothing else."""
    known = ~np.isnan(squares)
    if known.all():
        return np.asarray(squares.mean(1))
    counts = known.sum(1)
    return np.asarray(np.where(known, squares, 0).sum(1)[counts > 0] / counts[counts > 0])


def _ratio(own: Floats, other: Floats) -> Floats:
    mean, reference = own.mean(-1), other.mean(-1)
    equal = np.where(mean > 0, np.inf, 1.0)  # if the reference has no error at all
    return np.asarray(1 - np.divide(mean, reference, out=equal, where=reference > 0))


def diebold_mariano(losses: Floats, others: Floats, lags: int = 0) -> float:
    """Two-sided p-value of the hypothesis that two forecasts have the same expected loss (Diebold and Mariano 1995).

    Parameters
    ----------
    losses, others : (N,)
        Losses of both forecasts at the same moments, in order of time.
    lags : int, default 0
        Number of steps over which the differences may be correlated, with the weights of Newey and West 1987.

    Examples
    --------
    >>> import numpy as np
    >>> losses = np.random.default_rng(0).random((2, 100))
    >>> diebold_mariano(losses[0], losses[1]) > 0.1 > diebold_mariano(losses[0], losses[1] + 0.5)
    True
    """
    from scipy import special  # takes longer to import than all of fastlstm

    difference = losses - others
    count, mean = len(difference), float(difference.mean())
    centred = difference - mean
    variance = float(centred @ centred)
    for lag in range(1, min(lags, count - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    if variance <= 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(count - 1, -abs(mean) * count / np.sqrt(variance)))
