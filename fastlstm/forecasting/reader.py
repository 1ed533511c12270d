"""What makes sequences for the network out of series, their calendar and the columns beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.calendar import calendar_features
from fastlstm.forecasting.covariates import Covariates
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.reading import Flat, Sequences, flat_of, sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Reader:
    """What makes sequences for the network out of series.

    Attributes
    ----------
    season, horizon, window, patch : int
    calendar : bool
    holidays : str or None
    covariates : Covariates
    static : (S, F)
        What the network reads of each series, at every step.
    error, centre, width : (S,)
        As in `reading.sequences`.
    """

    season: int
    horizon: int
    window: int
    patch: int
    calendar: bool
    holidays: str | None
    covariates: Covariates
    static: Floats
    error: Floats
    centre: Floats
    width: Floats

    def flat(self, data: Data, following: list[Floats], horizon: int, future: list[Floats] | None) -> Flat:
        """The series one behind the other, with what stands beside them, for forecasts of so many steps."""
        panel = data.panel
        end = max(panel.ends) + horizon
        features = calendar_features(panel.grid, 0, end, self.season, self.holidays) if self.calendar else None
        beside = []
        for at, (start, stop) in enumerate(zip(panel.starts, panel.ends, strict=True)):
            steps = stop - start + horizon
            parts = [np.broadcast_to(self.static[at], (steps, self.static.shape[1]))]
            if features is not None:
                parts.append(features[start : stop + horizon])
            if self.covariates.names:
                ahead = None if future is None else future[at]
                parts.append(self.covariates.scaled(data.columns[at], ahead, horizon))
            beside.append(np.concatenate(parts, axis=1))
        return flat_of(panel.values, following, beside, self.window, horizon)

    def read(self, flat: Flat, rows: Ints, origins: Ints, ahead: Floats) -> Sequences:
        known = sequences(flat, rows, origins, ahead, self.error, self.window, self.patch, self.centre, self.width)
        names = len(self.covariates.names)
        if names and not self.covariates.known.all():  # what is not known at the origin must not be read
            hidden = known.x.shape[2] - names + np.flatnonzero(~self.covariates.known)
            known.x[:, self.window :, hidden] = 0.0
        return known
