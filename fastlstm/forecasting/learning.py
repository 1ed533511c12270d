"""How a forecaster learns: the classical forecast first, then a network from what it has missed, then the band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.data import Epochs
from fastlstm.data.epochs import rng_of, seed_of
from fastlstm.forecasting.calendar import calendar_features
from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.covariates import Covariates
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.plan import Plan
from fastlstm.forecasting.reading import AHEAD, MEASURED, VALUE, Flat, Sequences, flat_of, sequences
from fastlstm.layers import LSTM, Dense, Dropout, Layer
from fastlstm.model import Model

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_WINDOWS = 32
"""With fewer windows to learn from, the classical forecast stays as it is."""

SHARES = np.linspace(0, 1, 11)
"""The shares of the network's correction that are tried on held-out values."""

DOUBT = 2.0
"""Held-out origins that speak against the network before there is one."""

MOST_SIGNS = 16
"""Series that have a sign each, for the network to tell them apart."""


@dataclass(frozen=True)
class Reader:
    """What makes sequences for the network out of series.

    Attributes
    ----------
    season, horizon, window : int
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
        known = sequences(flat, rows, origins, ahead, self.error, self.window, self.centre, self.width)
        names = len(self.covariates.names)
        if names and not self.covariates.known.all():  # what is not known at the origin must not be read
            hidden = known.x.shape[2] - names + np.flatnonzero(~self.covariates.known)
            known.x[:, self.window :, hidden] = 0.0
        return known


class Batches(Epochs):
    """Sequences in mini-batches, in a new order for each epoch."""

    def __init__(self, known: Sequences, head: Head, size: int, seed: int | None) -> None:
        self.x, self.size, self.seed = known.x, size, seed_of(seed)
        before = ((0, 0), (known.x.shape[1] - known.target.shape[1], 0))
        self.y = np.pad(head.targets(known), (*before, (0, 0))).astype(np.float32)
        self.weights = np.pad((~np.isnan(known.target)).astype(np.float32), before)
        kept = self.weights.any(1)
        self.x, self.y, self.weights = self.x[kept], self.y[kept], self.weights[kept]

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def at(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        order = rng_of(self.seed, epoch).permutation(len(self.x))
        for low in range(0, len(order), self.size):
            chosen = np.sort(order[low : low + self.size])
            yield self.x[chosen], self.y[chosen], None, self.weights[chosen]

    @property
    def in_order(self) -> list[tuple[Any, ...]]:
        """The mini-batches in order."""
        parts = [slice(low, low + self.size) for low in range(0, len(self.x), self.size)]
        return [(self.x[part], self.y[part], None, self.weights[part]) for part in parts]


def layers_of(features: int, hidden_size: int, num_layers: int, dropout: float, outputs: int) -> list[Layer]:
    sizes = [features, *[hidden_size] * num_layers]
    lstms: list[Layer] = [LSTM(below, size) for below, size in zip(sizes, sizes[1:], strict=False)]
    return [*lstms, *([Dropout(dropout)] if dropout else []), Dense(hidden_size, outputs)]


def outputs_of(model: Model, head: Head, known: Sequences, recursive: bool) -> Floats:
    """What the network says of the steps to come, (M, horizon, K).

    A recursive network says something of the next step only. That becomes a value of the window, which goes on by one
    step, and so on.
    """
    horizon = known.base.shape[1]
    if not recursive:
        return np.asarray(model.predict(known.x)[:, -horizon:], np.float64)
    window, x, found = known.x.shape[1] - horizon, known.x.copy(), []
    x[..., AHEAD] = 0.0
    for step in range(horizon):
        part = x[:, step : step + window + 1]
        part[:, -1, AHEAD] = 1.0
        out = np.asarray(model.predict(np.ascontiguousarray(part))[:, -1:], np.float64)
        found.append(out)
        part[:, -1, AHEAD] = 0.0
        part[:, -1, VALUE] += head.middle(out)[:, 0] * known.unit
        part[:, -1, MEASURED] = 1.0
    return np.concatenate(found, axis=1)


def share_of(head: Head, out: Floats, target: Floats, blocks: float) -> float:
    """The share of the network's correction that has the least error on held-out values, less the doubt."""
    if not len(out):
        return 0.0
    correction = head.middle(out)
    losses = np.array([np.nanmean(np.abs(target - share * correction)) for share in SHARES])
    return float(SHARES[losses.argmin()] * blocks / (blocks + DOUBT))


def errors_of(values: Sequence[Floats], following: Sequence[Floats]) -> Floats:
    """The root mean square of the errors of one step, for each series: never 0."""
    found = np.empty(len(values))
    for at, (own, forecast) in enumerate(zip(values, following, strict=True)):
        missed = own - forecast[: len(own)]
        missed = missed[~np.isnan(missed)]
        size = np.sqrt(np.mean(missed**2)) if len(missed) else 0.0
        found[at] = max(size, 1e-6 * max(1e-6, float(np.nanmax(np.abs(own)))))
    return found


def scales_of(values: Sequence[Floats], scaling: str) -> tuple[Floats, Floats]:
    """The centre and the width of each series; NaN if each window has its own."""
    nothing = np.full(len(values), np.nan)
    if scaling == "standard":
        return np.array([np.nanmean(own) for own in values]), np.array([np.nanstd(own) for own in values])
    if scaling == "robust":
        quartiles = np.array([np.nanpercentile(own, [25, 50, 75]) for own in values])
        return quartiles[:, 1], (quartiles[:, 2] - quartiles[:, 0]) / 1.349
    return nothing, nothing


def blocks_of(plan: Plan) -> float:
    """How many of the held-out origins are independent: those of one series overlap."""
    rows = plan.held_out[0]
    if not len(rows):
        return 0.0
    series = len(np.unique(rows))
    return series * max(1.0, len(rows) / series / plan.horizon)
