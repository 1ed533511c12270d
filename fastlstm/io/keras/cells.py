"""Recurrent layers of Keras, each from its config and its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastlstm.io.keras.part import Part
from fastlstm.layers import GRU, LSTM, FinalState, Last, Layer, SimpleRNN


def bidirectional(part: Part) -> list[Layer]:
    inner, back = part.config.get("layer"), part.config.get("backward_layer")
    if not isinstance(inner, dict) or inner.get("class_name") not in CELLS:
        raise ValueError(f"{part.place}: expected one of {', '.join(CELLS)} in it, got {inner!r:.80}")
    if back is not None:
        same = ("units", "activation", "recurrent_activation", "use_bias", "reset_after", "return_sequences")
        for key in same:
            if back["config"].get(key) != inner["config"].get(key) or back["class_name"] != inner["class_name"]:
                raise ValueError(f"{part.place}: expected a backward_layer like the forward one, got another {key}")
    merge = part.config.get("merge_mode", "concat")
    if merge is None:
        raise ValueError(f"{part.place}: merge_mode: expected 'concat', 'sum', 'mul' or 'ave', got None: two outputs")
    config = {**inner["config"], "trainable": part.config.get("trainable", True)}
    own = Part(inner["class_name"], part.name, config, part.arrays, part.origin)
    return recurrent(own, bidirectional=True, merge=merge)


def recurrent(part: Part, **options: Any) -> list[Layer]:
    """A recurrent layer, and behind it what takes its last outputs where it gives no others."""
    part.require("return_state", False, default=False)
    part.require("time_major", False, default=False)
    if part.config.get("stateful"):
        part.origin.told.append(
            f"{part.place}: stateful: call model.stream(batch) and give it the steps, where Keras keeps states from "
            "call to call by itself; model.predict begins each sequence anew"
        )
    whole, backwards = part.config.get("return_sequences", False), part.config.get("go_backwards", False)
    if backwards and (whole or options):
        raise ValueError(
            f"{part.place}: go_backwards: expected False with return_sequences=True, which gives outputs in another "
            "order than that of the steps; use Bidirectional"
        )
    inputs, units = part.array(0, 2).shape[0], part.array(1, 2).shape[0]
    part.require("units", units, default=units)
    if part.config.get("dropout"):
        options |= {"input_dropout": float(part.config["dropout"]), "variational": True}
    if part.config.get("recurrent_dropout"):
        options["recurrent_dropout"] = float(part.config["recurrent_dropout"])
    two = part.kind.startswith("CuDNN")
    options |= {"bias": bool(part.config.get("use_bias", True)), "go_backwards": bool(backwards)}
    final = FinalState(merge=options["merge"]) if "merge" in options and not whole else None
    if final is not None:
        options["merge"] = "concat"  # the last outputs of both directions come together, which are not of one step
    layer = part.filled(CELLS[part.kind](part, inputs, units, two, options))
    if whole:
        return [layer]
    if final is not None:
        return [layer, final]
    return [layer, FinalState(bidirectional=False, go_backwards=True) if backwards else Last()]


def _lstm(part: Part, inputs: int, units: int, two: bool, options: dict[str, Any]) -> Layer:
    return LSTM(
        *(inputs, units),
        forget_bias=float(bool(part.config.get("unit_forget_bias", True))),
        activation=part.function(usual="tanh"),
        recurrent_activation=part.function("recurrent_activation", "sigmoid"),
        two_biases=two,
        **options,
    )


def _gru(part: Part, inputs: int, units: int, two: bool, options: dict[str, Any]) -> Layer:
    after = two or bool(part.config.get("reset_after", part.origin.version >= 3))
    return GRU(
        *(inputs, units),
        reset="after" if after else "before",
        activation=part.function(usual="tanh"),
        recurrent_activation=part.function("recurrent_activation", "sigmoid"),
        two_biases=after and options["bias"],
        **options,
    )


def _simple(part: Part, inputs: int, units: int, two: bool, options: dict[str, Any]) -> Layer:
    return SimpleRNN(inputs, units, activation=part.function(usual="tanh"), **options)


Cell = Callable[[Part, int, int, bool, dict[str, Any]], Layer]

CELLS: dict[str, Cell] = {"LSTM": _lstm, "GRU": _gru, "SimpleRNN": _simple, "CuDNNLSTM": _lstm, "CuDNNGRU": _gru}
