"""Recurrent layers of ours as layers of Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.io.keras.functions import name_of
from fastlstm.io.keras.weights import Array, arrays_of
from fastlstm.layers import GRU, LSTM, FinalState, Last, Layer, SimpleRNN
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import function_of

KNOWN = {
    *("input_size", "hidden_size", "num_layers", "bidirectional", "dropout", "bias", "forget_bias", "two_biases"),
    *("activation", "recurrent_activation", "merge", "input_dropout", "variational", "recurrent_dropout"),
    *("go_backwards", "reset", "chrono", "checkpoint_every", "init", "regularizers", "constraints", "trainable"),
}
"""Options that Keras has, too, or that change no result."""


@dataclass(frozen=True)
class Step:
    """A layer of Keras that is to be made.

    Attributes
    ----------
    kind : class, or layer of Keras
    config : dict or None
        What the class takes; None with a layer.
    arrays : sequence of Array
        What ``set_weights`` takes.
    trainable : bool
    """

    kind: Any
    config: dict[str, Any] | None
    arrays: Sequence[Array] = ()
    trainable: bool = True


def cannot(place: str, expected: str, got: Any) -> ValueError:
    """The error for what Keras does not have."""
    return ValueError(f"{place}: expected {expected}, got {got!r:.80}")


def ending_of(layer: Recurrent[Any], behind: Layer | None) -> Last | FinalState | None:
    """The layer behind a recurrent one that takes what Keras calls ``return_sequences=False``, if it does."""
    one = not layer.bidirectional
    if isinstance(behind, Last) and one and not layer.go_backwards:
        return behind
    if isinstance(behind, FinalState) and behind.bidirectional == layer.bidirectional and layer.merge == "concat":
        return behind if behind.go_backwards == layer.go_backwards else None
    return None


def recurrent_steps(layer: Recurrent[Any], ending: Last | FinalState | None, keras: Any, place: str) -> list[Step]:
    """A stack as layers of Keras. The last one gives its last outputs alone if there is an ending."""
    others = [name for name in layer.config() if name not in KNOWN]
    if others or type(layer) not in (LSTM, GRU, SimpleRNN):
        raise cannot(place, "an LSTM, GRU or SimpleRNN without options that Keras does not have", ", ".join(others))
    if layer.merge == "none":
        raise cannot(place, "merge='concat', 'sum', 'mul' or 'ave'", layer.merge)
    if layer.go_backwards and ending is None:
        raise cannot(place, "go_backwards=False, as Keras gives such outputs in another order", True)
    steps = []
    for k in range(layer.num_layers):
        rate = layer.dropout if k else layer.input_dropout
        if rate and not layer.variational:
            steps.append(Step(keras.layers.Dropout, {"rate": rate}))
        last = k == layer.num_layers - 1
        config = {**_config(layer, keras, place), "dropout": rate if layer.variational else 0.0}
        config["return_sequences"] = not (last and ending is not None)
        kind = getattr(keras.layers, type(layer).__name__)
        if layer.bidirectional:
            merge = ending.merge if last and isinstance(ending, FinalState) else layer.merge
            config = {"layer": kind(**config, dtype=str(layer.dtype)), "merge_mode": merge}
            kind = keras.layers.Bidirectional
        steps.append(Step(kind, config, arrays_of(layer, k), layer.trainable))
    return steps


def _config(layer: Recurrent[Any], keras: Any, place: str) -> dict[str, Any]:
    config = layer.config()
    found: dict[str, Any] = {"units": layer.hidden_size, "use_bias": layer.bias, "go_backwards": layer.go_backwards}
    found["recurrent_dropout"] = config.get("recurrent_dropout", 0.0)
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    for key in ("activation", "recurrent_activation")[: 1 if isinstance(layer, SimpleRNN) else 2]:
        function = function_of(config.get(key, usual[key]), key)
        found[key] = name_of(function, keras, f"{place}: {key}")
    if isinstance(layer, GRU):
        found["reset_after"] = layer.reset_gate == "after"
    return found
