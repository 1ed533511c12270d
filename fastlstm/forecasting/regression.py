"""What the known columns add to each series, so that the classical forecast and the network need not find it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.covariates import Covariates
from fastlstm.forecasting.data import Data

Floats = NDArray[np.float64]

ROUNDS = 3
"""Rounds of smoothing and regression; each takes up what the one before has left."""

RECENT = 6
"""Steps whose mean a column is compared with: slower changes belong to the smoothing."""

COMMON = 8.0
"""Steps that the effect in all series together counts for, beside those of one series."""

EVIDENCE = 2.0
"""By how much log-likelihood each coefficient has to gain, as Akaike has it."""


@dataclass(frozen=True)
class Regression:
    """The linear effect of each known column on each series (a regression whose errors are smoothed, Hyndman 2008).

    Attributes
    ----------
    effect : (S, K)
        Of each column, in units of its deviation, on each series; 0 where a column is not known for the steps to come.
    """

    effect: Floats

    def of(self, columns: Sequence[Floats]) -> list[Floats]:
        """What the columns (T_i, K), scaled, add to each series: (T_i,)."""
        return [part @ effect for part, effect in zip(columns, self.effect, strict=True)]

    def rest(self, data: Data, covariates: Covariates) -> Data:
        """The series without what the columns add."""
        if not self.effect.any():
            return data
        added = self.of([covariates.scaled(part, None, 0) for part in data.columns])
        values = [own - part for own, part in zip(data.panel.values, added, strict=True)]
        return replace(data, panel=replace(data.panel, values=values))

    def lines(self, data: Data, future: list[Floats] | None, covariates: Covariates, horizon: int) -> list[Floats]:
        """What the columns add to the values of each series and to the steps to come, (T_i + horizon,)."""
        ahead = [None] * len(data.columns) if future is None else future
        pairs = zip(data.columns, ahead, strict=True)
        return self.of([covariates.scaled(past, coming, horizon) for past, coming in pairs])

    @classmethod
    def none(cls, series: int, columns: int) -> Regression:
        return cls(np.zeros((series, columns)))

    @classmethod
    def fit(
        cls, values: Sequence[Floats], columns: Sequence[Floats], known: NDArray[np.bool_], season: int
    ) -> Regression:
        """The effects that lower the errors of the classical forecast of one step.

        Parameters
        ----------
        values : list of (T_i,)
        columns : list of (T_i, K)
            Scaled, without NaN.
        known : (K,) bool
        season : int
        """
        found = cls.none(len(values), len(known))
        if not known.any():
            return found
        shocks = [_shocks(part) * known for part in columns]
        missed = before = _missed(values, season)
        sizes = np.array([_size(own) for own in before])[:, None]
        common = np.zeros(len(known))
        for _ in range(ROUNDS):
            more, common = _ridge(missed, shocks, sizes, found.effect / sizes, common)
            found = cls(found.effect + more * sizes * known)
            missed = _missed([own - added for own, added in zip(values, found.of(columns), strict=True)], season)
        gain = [_gain(old, new) for old, new in zip(before, missed, strict=True)]
        kept = np.array(gain) > EVIDENCE * known.sum()
        if sum(gain) > EVIDENCE * known.sum() * len(values):  # then all series together speak for it
            kept |= np.array(gain) > 0
        return cls(np.where(kept[:, None], found.effect, 0.0))


def _missed(values: Sequence[Floats], season: int) -> list[Floats]:
    """The errors of the classical forecast of one step, NaN where there is none."""
    nothing = np.empty(0, np.intp)
    following = Classical.fit(values, season).roll(values, 1, nothing, nothing).next
    return [own - forecast[: len(own)] for own, forecast in zip(values, following, strict=True)]


def _shocks(columns: Floats) -> Floats:
    """Columns minus their means of the steps before."""
    padded = np.concatenate([np.repeat(columns[:1], RECENT, axis=0), columns])
    sums = np.cumsum(padded, axis=0)
    means = (sums[RECENT - 1 : -1] - np.concatenate([np.zeros((1, columns.shape[1])), sums[: -RECENT - 1]])) / RECENT
    return np.asarray(columns - means)


def _size(missed: Floats) -> float:
    """The root mean square of errors, never 0."""
    real = missed[~np.isnan(missed)]
    return float(np.sqrt(np.square(real).mean())) or 1.0 if len(real) else 1.0


def _ridge(
    missed: Sequence[Floats], shocks: Sequence[Floats], sizes: Floats, effect: Floats, common: Floats
) -> tuple[Floats, Floats]:
    """What to add to the effects so far, (S, K), and the effect on all series together, (K,): over the sizes.

    The effects on each series are drawn to the common one.
    """
    products, targets = [], []
    for own, columns, size in zip(missed, shocks, sizes[:, 0], strict=True):
        real = ~np.isnan(own)
        products.append(columns[real].T @ columns[real])
        targets.append(columns[real].T @ (own[real] / size))
    identity = np.eye(len(common))
    common = common + np.linalg.solve(np.sum(products, axis=0) + identity, np.sum(targets, axis=0))
    more = [
        np.linalg.solve(product + COMMON * identity, target + COMMON * (common - so_far))
        for product, target, so_far in zip(products, targets, effect, strict=True)
    ]
    return np.array(more), common


def _gain(old: Floats, new: Floats) -> float:
    """Half the gain in log-likelihood of normal errors whose squares have fallen."""
    real = ~np.isnan(old) & ~np.isnan(new)
    before, after = float(np.square(old[real]).sum()), float(np.square(new[real]).sum())
    return 0.5 * int(real.sum()) * float(np.log(before / after)) if before > 0 and after > 0 else 0.0
