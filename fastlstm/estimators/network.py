"""The layers of an estimator's network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastlstm import _check
from fastlstm.layers import (
    GRU,
    LSTM,
    SLSTM,
    AttentionPool,
    Dense,
    Dropout,
    FinalState,
    Layer,
    MaxPool,
    MeanPool,
    MinLSTM,
    SimpleRNN,
)

CELLS: dict[str, Callable[..., Layer]] = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn": SimpleRNN,
    "min_lstm": MinLSTM,
    "slstm": SLSTM,
}
POOLS: dict[str, Callable[[int, bool], Layer]] = {
    "last": lambda features, bidirectional: FinalState(bidirectional),
    "mean": lambda features, bidirectional: MeanPool(),
    "max": lambda features, bidirectional: MaxPool(),
    "attention": lambda features, bidirectional: AttentionPool(features),
}


def network(settings: Any, features: int, outputs: int) -> list[Layer]:
    """Recurrent layers, a pool if the estimator has one, and an output layer.

    Parameters
    ----------
    settings : estimator
        Its arguments say how.
    features, outputs : int
        Numbers of a step, and of an output.
    """
    cell = chosen(CELLS, settings.cell, "cell")
    size = _check.positive_int(settings.hidden_size, "hidden_size")
    depth = _check.positive_int(settings.num_layers, "num_layers")
    both = _check.flag(settings.bidirectional, "bidirectional")
    rate = _check.number(settings.dropout, "dropout", 0, 1, open_high=True)
    between = {"dropout": rate} if rate and depth > 1 else {}
    layers = [cell(features, size, num_layers=depth, bidirectional=both, **between)]
    width = size * (2 if both else 1)
    if hasattr(settings, "pool"):
        layers.append(chosen(POOLS, settings.pool, "pool")(width, both))
    if rate:
        layers.append(Dropout(rate))
    return [*layers, Dense(width, outputs)]


def chosen(among: dict[str, Any], name: Any, argument: str) -> Any:
    """The one of this name."""
    if not isinstance(name, str) or name not in among:
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, among))}, got {name!r:.80}")
    return among[name]
