"""Activation functions by Keras' names and ours."""

from __future__ import annotations

from typing import Any

from fastlstm.layers import Activation, Layer, Softmax
from fastlstm.layers.elementwise import DEFAULTS

Function = str | tuple[str, float] | tuple[str, float, float]

Functions = Function | tuple[Function, ...]
"""One, or several that follow each other."""

PLAIN = ("sigmoid", "tanh", "relu", "softsign", "softplus", "gelu", "silu", "elu")
"""Functions that have the same name and the same numbers here and there."""

OTHERS: dict[str, Function] = {
    "linear": "affine",
    "swish": "silu",
    "exponential": "exp",
    "leaky_relu": ("leaky_relu", 0.2),
}
"""Functions that have another name or other numbers here."""

SELU: Functions = (("elu", 1.6732632423543772), ("affine", 1.0507009873554805, 0.0))
"""Klambauer et al. 2017: an ELU, and a factor."""

OWN_LAYERS = {"LeakyReLU", "ELU", "ReLU", "ThresholdedReLU", "Softmax"}
"""Layers of Keras that are functions of each number, or of each step."""


def relu_up_to(top: float) -> Functions:
    """min(max(x, 0), top), as a function that is clipped at 1, and a factor."""
    return ("hard_sigmoid", 1 / top, 0.0), ("affine", top, 0.0)


def hard_sigmoid(version: int) -> Function:
    """hard_sigmoid as the Keras of this version has it, 3 or one before."""
    return ("hard_sigmoid", 1 / 6, 0.5) if version >= 3 else "hard_sigmoid"


def functions_of(value: Any, version: int, place: str) -> Functions:
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
    if value in ("selu", "relu6"):
        return SELU if value == "selu" else relu_up_to(6.0)
    known = ", ".join([*PLAIN, *OTHERS, "hard_sigmoid", "selu", "relu6", "softmax"])
    raise ValueError(f"{place}: activation: expected one of {known}, got {value!r:.80}")


def function_of(value: Any, version: int, place: str) -> Function:
    """The same for a recurrent layer, which takes one function."""
    found = functions_of(value, version, place)
    if isinstance(found[0], tuple):
        raise ValueError(f"{place}: activation: expected one that is a single function here, got {value!r:.80}")
    return found  # type: ignore[return-value]


def layer_function(kind: str, config: dict[str, Any], place: str) -> Functions:
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
    top, slope = config.get("max_value"), float(config.get("negative_slope") or 0.0)
    if config.get("threshold") or (top is not None and (slope or top <= 0)):
        raise ValueError(
            f"{place}: expected a ReLU without threshold, and without negative_slope if it has a max_value"
        )
    if top is not None:
        return relu_up_to(float(top))
    return ("leaky_relu", slope) if slope else "relu"


def layers_of(functions: Functions, dtype: Any) -> list[Layer]:
    """What stands behind a layer whose outputs go through a function: nothing for the identity."""
    if functions == "affine":
        return []
    if functions == "softmax":
        return [Softmax(dtype=dtype)]
    row = functions if isinstance(functions[0], tuple) else (functions,)
    return [Activation(function, dtype=dtype) for function in row]  # type: ignore[arg-type]


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
