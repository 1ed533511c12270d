"""What comes, as a forecaster sees it from the end of its series: numbers, quantiles and paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.band import Band
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.distributions import head_of
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.learning import Learned
from fastlstm.forecasting.network import outputs_of
from fastlstm.forecasting.parameters import Parameters
from fastlstm.forecasting.reading import Sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PATHS = np.linspace(0.0025, 0.9975, 200)
"""The levels of the quantiles that paths are drawn from."""


@dataclass(frozen=True)
class Outlook:
    """What comes, in the units of the user.

    Attributes
    ----------
    out : (S, H, K)
        What the network says.
    known : Sequences
        What it has read. The base has what known columns add.
    head : Head
    share : float
        How much of what the network says is believed.
    band : Band
    scaling : str
        That of the forecaster.
    """

    out: Floats
    known: Sequences
    head: Head
    share: float
    band: Band
    scaling: str

    def point(self) -> Floats:
        """The forecasts, (S, H)."""
        return undone(self.head.point(self.out, self.known, self.share), self.scaling)

    def quantiles(self, levels: Floats) -> Floats:
        """The quantiles at these levels, (S, H, Q)."""
        return undone(self.head.quantiles(self.out, self.known, self.share, self.band, levels), self.scaling)

    def paths(self, count: int, rng: np.random.Generator) -> Floats:
        """Drawn paths, (S, count, H)."""
        table = self.quantiles(PATHS)
        drawn = np.stack([self.band.paths(count, rng) for _ in table])
        places = np.rint((drawn - PATHS[0]) / (PATHS[1] - PATHS[0])).clip(0, len(PATHS) - 1).astype(np.intp)
        return np.asarray(np.take_along_axis(table[:, None], places[..., None], axis=3)[..., 0])


def outlook_of(
    parameters: Parameters, learned: Learned, whole: Data, horizon: int, future: list[Floats] | None
) -> Outlook:
    """The outlook from the end of each series; see `outlooks_of`."""
    rows, origins = np.arange(len(whole.panel)), whole.lengths
    return next(outlooks_of(parameters, learned, whole, horizon, future, rows, origins, len(rows)))


def outlooks_of(
    parameters: Parameters,
    learned: Learned,
    whole: Data,
    horizon: int,
    future: list[Floats] | None,
    rows: Ints,
    origins: Ints,
    most: int,
) -> Iterator[Outlook]:
    """Outlooks for so many steps, of so many rows at most, each from the values before an origin.

    Parameters
    ----------
    parameters : Parameters
        The parameters of the forecaster.
    learned : Learned
    whole : Data
    horizon : int
    future : list of (horizon, K), optional
        The known columns of the steps behind the end of each series.
    rows, origins : (M,)
        The number of the series, and that of the first step to come.
    most : int
    """
    reader, regression, head = learned.reader, learned.regression, head_of(parameters.distribution, parameters.loss)
    data = regression.rest(whole, reader.covariates)
    rolled = learned.classical.roll(data.panel.values, horizon, rows, origins)
    flat = reader.flat(data, rolled.next, horizon, future)
    lines = regression.lines(whole, future, reader.covariates, horizon) if regression.effect.any() else None
    for part in (slice(low, low + most) for low in range(0, len(rows), most)):
        known = reader.read(flat, rows[part], origins[part], rolled.ahead[part])
        if learned.share:
            out = outputs_of(learned.model, head, known, parameters.strategy == "recursive")
        else:
            out = np.zeros((*known.base.shape, head.outputs))
        if lines is not None:
            added = [lines[row][at : at + horizon] for row, at in zip(rows[part], origins[part], strict=True)]
            known = replace(known, base=known.base + added)
        yield Outlook(out, known, head, learned.share, learned.band.longer(horizon), parameters.scaling)


def undone(values: Floats, scaling: str) -> Floats:
    """Values in the units of the user: only "log" changes them."""
    return np.asarray(np.exp(values)) if scaling == "log" else values


def ends_of(coverage: float) -> Floats:
    """The levels of the ends of an interval with this coverage."""
    return np.array([(1 - coverage) / 2, (1 + coverage) / 2])
