"""How a forecaster learns: the classical forecast first, then a network from what it has missed, then the band."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.callbacks import Callback, EarlyStopping
from fastlstm.communicator import Communicator
from fastlstm.forecasting.band import WIDER, Band, wider_of
from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.covariates import Covariates
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.distributions import head_of
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.network import Batches, layers_of, outputs_of
from fastlstm.forecasting.panel import Panel
from fastlstm.forecasting.parameters import Parameters
from fastlstm.forecasting.plan import Plan, plan_of
from fastlstm.forecasting.reader import Reader
from fastlstm.forecasting.reading import Sequences
from fastlstm.forecasting.regression import Regression
from fastlstm.forecasting.seasons import season_of
from fastlstm.forecasting.static import Static
from fastlstm.layers import Dense
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.optim import Adam
from fastlstm.training import History, Trainer

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_WINDOWS = 32
"""With fewer windows to learn from, the classical forecast stays as it is."""

SHARES = np.linspace(0, 1, 11)
"""The shares of the network's correction that are tried on held-out values."""

DOUBT = 2.0
"""Held-out origins that speak against the network before there is one."""

USUAL = 2.0
"""Errors that what is usual among all series counts for, beside those of one of them."""

MOST_SIGNS = 16
"""Series that have a sign each, for the network to tell them apart."""

MIDDLE = np.array([0.05, 0.95])
"""The levels between which the width of a distribution is measured."""


@dataclass(frozen=True)
class Learned:
    """What `LSTMForecaster.fit` has learned.

    Attributes
    ----------
    reader : Reader
    static : Static or None
        How the static columns become features.
    regression : Regression
        What the known columns add.
    classical : Classical
    model : Model
    share : float
        The share of what the network says that is believed.
    band : Band
    """

    reader: Reader
    static: Static | None
    regression: Regression
    classical: Classical
    model: Model
    share: float
    band: Band


class Lesson:
    """One training: what is learned from, what is held out, and what the classical forecast says of both."""

    def __init__(self, parameters: Parameters, data: Data, horizon: int, table: Any) -> None:
        self.parameters, self.panel, self.horizon = parameters, data.panel, horizon
        self.season = parameters.season or data.panel.grid.season or season_of(data.panel.values)
        self.plan = plan_of(
            data.lengths, horizon, self.season, parameters.window, parameters.patch, parameters.validation,
            parameters.max_windows, parameters.random_state,
        )  # fmt: skip
        columns = [part[:end] for part, end in zip(data.columns, self.plan.ends, strict=True)]
        covariates = Covariates.of(data.names, columns, parameters.past_covariates)
        self.regression = Regression.none(len(data.panel), len(data.names))
        if not head_of(parameters.distribution, parameters.loss).counts:
            early = [values[:end] for values, end in zip(data.panel.values, self.plan.ends, strict=True)]
            scaled = [covariates.scaled(part, None, 0) for part in columns]
            self.regression = Regression.fit(early, scaled, covariates.known, self.season)
        self.data = data = self.regression.rest(data, covariates)
        series = data.panel.values
        early = [values[:end] for values, end in zip(series, self.plan.ends, strict=True)]
        classical = Classical.fit(early, self.season)
        self.rows, self.origins = (
            np.concatenate(pair) for pair in zip(self.plan.train, self.plan.held_out, strict=True)
        )
        self.rolled = classical.roll(series, horizon, self.rows, self.origins)
        signs, self.static = _static(table, data.panel)
        self.reader = Reader(
            self.season,
            horizon,
            self.plan.window,
            parameters.patch,
            parameters.calendar,
            parameters.holidays,
            covariates,
            signs,
            errors_of(early, self.rolled.next),
            *scales_of(early, parameters.scaling),
        )
        self.flat = self.reader.flat(data, self.rolled.next, horizon, None)

    def train(self, steps: int) -> Sequences:
        """The sequences to learn from, with so many steps to come."""
        return self._sequences(slice(0, len(self.plan.train[0])), steps)

    def held_out(self, steps: int) -> Sequences:
        return self._sequences(slice(len(self.plan.train[0]), None), steps)

    def _sequences(self, part: slice, steps: int) -> Sequences:
        return self.reader.read(self.flat, self.rows[part], self.origins[part], self.rolled.ahead[part, :steps])


def learn(
    parameters: Parameters,
    data: Data,
    horizon: int,
    table: Any,
    callbacks: Iterable[Callback] = (),
    **run: Any,
) -> tuple[Learned, History, bool]:
    """Learn from series; `table` has their static columns, and `run` says how `fit_batches` and the Trainer run.

    Returns what was learned, the losses, and whether Ctrl-C has ended the training.
    """
    lesson = Lesson(parameters, data, horizon, table)
    head, recursive = head_of(parameters.distribution, parameters.loss), parameters.strategy == "recursive"
    steps = 1 if recursive else horizon
    known, held_out, blocks = lesson.train(steps), lesson.held_out(horizon), blocks_of(lesson.plan)
    sizes = parameters.hidden_size, parameters.num_layers, parameters.dropout
    layers = layers_of(known.x.shape[2], *sizes, head.outputs, parameters.patch)
    check_memory(layers, min(parameters.batch_size, len(known.x)), known.x.shape[1])
    model = Model(layers, seed=parameters.random_state)
    if head.start is not None:
        bias = np.tile(head.start, parameters.patch)
        next(layer for layer in reversed(model.layers) if isinstance(layer, Dense)).parameter("bias").value = bias
    history, interrupted, share, missed, out = History(), False, 0.0, held_out.target, None
    if len(known.x) >= LEAST_WINDOWS and len(held_out.x):
        history, interrupted = _train(parameters, model, head, known, lesson.held_out(steps), callbacks, **run)
        out = outputs_of(model, head, held_out, recursive)
        share = 1.0 if head.own_width else share_of(head, out, held_out.target, blocks)
        missed = held_out.target - (0.0 if head.counts else share * head.middle(out))
    elif head.own_width:
        raise ValueError(
            f"y: expected at least {LEAST_WINDOWS} windows to learn distribution={parameters.distribution!r} from, got "
            f"{len(known.x)}; a longer series, more of them, a smaller fh, or distribution='point', which needs none"
        )
    length = float(np.mean(lesson.plan.ends)) / horizon
    band = Band.of((lesson.train(horizon) if recursive else known).target, missed, blocks, length)
    if out is not None and head.own_width and not head.counts:
        half = (head.around(out, replace(band, wider=1.0), MIDDLE) * [-0.5, 0.5]).sum(-1)
        band = replace(band, wider=wider_of(missed / half, 1.0, blocks, 1 + WIDER / length))
    last = Classical.fit(lesson.data.panel.values, lesson.season)
    return Learned(lesson.reader, lesson.static, lesson.regression, last, model, share, band), history, interrupted


def refitted(learned: Learned, data: Data) -> Learned:
    """The same with a classical half that is fitted to these series."""
    rest = learned.regression.rest(data, learned.reader.covariates)
    return replace(learned, classical=Classical.fit(rest.panel.values, learned.reader.season))


def _train(
    parameters: Parameters,
    model: Model,
    head: Head,
    known: Sequences,
    held_out: Sequences,
    callbacks: Iterable[Callback],
    communicator: Communicator | None = None,
    **run: Any,
) -> tuple[History, bool]:
    stopping = EarlyStopping(patience=parameters.patience)
    optimizer = Adam(lr=parameters.learning_rate)
    trainer = Trainer(
        model, head.loss, optimizer, clip_norm=1.0, callbacks=[stopping, *callbacks], communicator=communicator
    )
    batches = Batches(known, head, parameters.batch_size, parameters.random_state)
    validation = Batches(held_out, head, parameters.batch_size, 0).in_order
    seed = parameters.random_state
    history = trainer.fit_batches(batches, epochs=parameters.epochs, validation=validation, seed=seed, **run)
    return history, trainer.interrupted


def _static(table: Any, panel: Panel) -> tuple[Floats, Static | None]:
    """What the network reads of each series at every step: its sign among few, and its static columns."""
    signs = np.eye(len(panel)) if 1 < len(panel) <= MOST_SIGNS else np.zeros((len(panel), 0))
    if table is None:
        return signs, None
    static = Static.of(table, panel.ids)
    return np.concatenate([signs, static.features(table, panel.ids)], axis=1), static


def share_of(head: Head, out: Floats, target: Floats, blocks: float) -> float:
    """The share of the network's correction that has the least error on held-out values, less the doubt."""
    if not len(out):
        return 0.0
    correction = head.middle(out)
    losses = np.array([np.nanmean(np.abs(target - share * correction)) for share in SHARES])
    return float(SHARES[losses.argmin()] * blocks / (blocks + DOUBT))


def errors_of(values: Sequence[Floats], following: Sequence[Floats]) -> Floats:
    """The root mean square of the errors of one step, for each series: never 0.

    Series of few errors are drawn to what is usual among all of them, in shares of their levels.
    """
    squares, counts, levels = np.zeros(len(values)), np.zeros(len(values)), np.empty(len(values))
    for at, (own, forecast) in enumerate(zip(values, following, strict=True)):
        missed = own - forecast[: len(own)]
        missed = missed[~np.isnan(missed)]
        squares[at], counts[at] = np.square(missed).sum(), len(missed)
        levels[at] = np.nanmean(np.abs(own))
    seen = (counts > 0) & (levels > 0)
    usual = float(np.median(np.sqrt(squares[seen] / counts[seen]) / levels[seen])) if seen.any() else 0.0
    few = USUAL if len(values) > 1 else 0.0
    found = np.sqrt((squares + few * (usual * levels) ** 2) / np.maximum(counts + few, 1.0))
    return np.maximum(found, 1e-6 * np.maximum(levels, 1e-6))


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
