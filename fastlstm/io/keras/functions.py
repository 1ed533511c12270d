"""Activation functions by Keras' names and ours."""

from __future__ import annotations

from typing import Any

from fastlstm.layers import Activation, Layer, Softmax
from fastlstm.layers.elementwise import DEFAULTS

Function = str | tuple[str, float] | tuple[str, float, float]

PLAIN = ("sigmoid", "tanh", "relu", "softsign", "softplus", "gelu", "silu", "elu")
"""Functions that have the same name and the same numbers here and there."""

OTHERS: dict[str, Function] = {
    "linear": "affine",
    "swish": "silu",
    "exponential": "exp",
    "leaky_relu": ("leaky_relu", 0.2),
}

OWN_LAYERS = {"LeakyReLU", "ELU", "ReLU", "ThresholdedReLU", "Softmax"}
"""Layers of Keras that are functions of each number, or of each step."""


def hard_sigmoid(version: int) -> Function:
    """hard_sigmoid as the Keras of this version has it, 3 or one before."""
    return ("hard_sigmoid", 1 / 6, 0.5) if version >= 3 else "hard_sigmoid"


def function_of(value: Any, version: int, place: str) -> Function:
    """A function for a layer's argument from what a config says of it; "softmax" for that."""
    if value is None:
        return "affine"
    if isinstance(value, dict):
        if value.get("class_name") in OWN_LAYERS:
            return layer_function(value["class_name"], value["config"], place)
        value = value.get("config")
    if value == "hard_sigmoid":
        return hard_sigmoid(version)
    if isinstance(value, str) and (value in PLAIN or value == "softmax"):
        return value
    if isinstance(value, str) and value in OTHERS:
        return OTHERS[value]
    known = ", ".join([*PLAIN, *OTHERS, "hard_sigmoid", "softmax"])
    raise ValueError(f"{place}: activation: expected one of {known}, got {value!r:.80}")


def layer_function(kind: str, config: dict[str, Any], place: str) -> Function:
    """The function of one of `OWN_LAYERS`."""
    if kind == "Softmax":
        if config.get("axis", -1) != -1:
            raise ValueError(f"{place}: axis: expected -1, the last one, got {config['axis']!r:.80}")
        return "softmax"
    if kind == "LeakyReLU":
        return "leaky_relu", float(config.get("negative_slope", config.get("alpha", 0.3)))
    if kind == "ELU":
        return "elu", float(config.get("alpha", 1.0))
    if kind == "ThresholdedReLU":
        return "thresholded_relu", float(config.get("theta", 1.0))
    if config.get("max_value") is not None or config.get("threshold"):
        raise ValueError(f"{place}: expected a ReLU without max_value and threshold, which we have none for")
    slope = float(config.get("negative_slope") or 0.0)
    return ("leaky_relu", slope) if slope else "relu"


def layers_of(function: Function, dtype: Any) -> list[Layer]:
    """What stands behind a layer whose outputs go through a function: nothing for the identity."""
    if function == "affine":
        return []
    return [Softmax(dtype=dtype) if function == "softmax" else Activation(function, dtype=dtype)]


def name_of(function: tuple[str, float, float], keras: Any, place: str) -> Any:
    """A function for an argument of a layer of Keras 3: its name, or a layer of Keras."""
    kind, alpha, beta = function
    if kind == "hard_sigmoid" and (alpha, beta) != (1 / 6, 0.5):
        raise ValueError(
            f"{place}: expected hard_sigmoid as Keras 3 has it, ('hard_sigmoid', 1 / 6), got {(kind, alpha, beta)}"
        )
    if kind == "leaky_relu":
        return "leaky_relu" if alpha == 0.2 else keras.layers.LeakyReLU(negative_slope=alpha)
    if kind == "elu" and alpha != 1:
        return keras.layers.ELU(alpha=alpha)
    if kind in PLAIN or kind == "hard_sigmoid":
        return kind
    names = {"affine": "linear", "exp": "exponential"}
    if kind in names and (alpha, beta)[: len(DEFAULTS[kind])] == DEFAULTS[kind]:
        return names[kind]
    raise ValueError(f"{place}: expected a function that Keras has, got {(kind, alpha, beta)}")
