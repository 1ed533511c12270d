"""The network of a forecaster: its layers, its mini-batches, and what it says of the steps to come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.data import Epochs
from fastlstm.data.epochs import rng_of, seed_of
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.reading import AHEAD, MEASURED, VALUE, Sequences
from fastlstm.layers import LSTM, Dense, Dropout, Layer, Patch, Unpatch
from fastlstm.model import Model

Floats = NDArray[np.float64]


class Batches(Epochs):
    """Sequences in mini-batches, in a new order for each epoch."""

    def __init__(self, known: Sequences, head: Head, size: int, seed: int | None) -> None:
        self.x, self.size, self.seed = known.x, size, seed_of(seed)
        around = ((0, 0), (known.window, known.x.shape[1] - known.window - known.target.shape[1]))
        self.y = np.pad(head.targets(known), (*around, (0, 0))).astype(np.float32)
        self.weights = np.pad((~np.isnan(known.target)).astype(np.float32), around)
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


def layers_of(
    features: int, hidden_size: int, num_layers: int, dropout: float, outputs: int, patch: int
) -> list[Layer]:
    sizes = [features * patch, *[hidden_size] * num_layers]
    lstms: list[Layer] = [LSTM(below, size) for below, size in zip(sizes, sizes[1:], strict=False)]
    layers = [*lstms, *([Dropout(dropout)] if dropout else []), Dense(hidden_size, outputs * patch)]
    return layers if patch == 1 else [Patch(patch), *layers, Unpatch(patch)]


def outputs_of(model: Model, head: Head, known: Sequences, recursive: bool) -> Floats:
    """What the network says of the steps to come, (M, horizon, K).

    A recursive network says something of the next step only. That becomes a value of the window, which goes on by one
    step, and so on.
    """
    horizon, window = known.base.shape[1], known.window
    if not recursive:
        return np.asarray(model.predict(known.x)[:, window : window + horizon], np.float64)
    x, found = known.x.copy(), []
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
