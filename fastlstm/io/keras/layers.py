"""The layers of Keras that there are here, each from its config and its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastlstm.io.keras.cells import CELLS, bidirectional, recurrent
from fastlstm.io.keras.functions import OWN_LAYERS, layer_function, layers_of
from fastlstm.io.keras.part import Part
from fastlstm.layers import (
    Activation,
    AveragePool1d,
    BatchNorm,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
)
from fastlstm.layers.window_pool import WindowPool


def layers_from(part: Part) -> list[Layer]:
    """The layers that do what a layer of Keras does."""
    if part.kind in READERS:
        return READERS[part.kind](part)
    if part.kind in OWN_LAYERS:
        return layers_of(layer_function(part.kind, part.config, part.place), None)
    known = ", ".join(sorted({*READERS, *OWN_LAYERS}))
    raise ValueError(
        f"{part.place}: expected one of {known}, got {part.kind!r:.80}; make a model of Keras without it, or build the "
        "model here, and read the weights into it by model="
    )


def _dense(part: Part) -> list[Layer]:
    inputs, outputs = part.array(0, 2).shape
    layer = part.filled(Dense(inputs, outputs, bias=bool(part.config.get("use_bias", True))))
    return [layer, *layers_of(part.functions(), layer.dtype)]


def _embedding(part: Part) -> list[Layer]:
    if part.config.get("mask_zero"):
        part.origin.told.append(
            f"{part.place}: mask_zero: pass mask=tokens != 0 at each call, where Keras does so by itself"
        )
    return [part.filled(Embedding(*part.array(0, 2).shape))]


def _masking(part: Part) -> list[Layer]:
    value = part.config.get("mask_value", 0.0)
    part.origin.told.append(
        f"{part.place}: pass mask=(x != {value}).any(-1) at each call, where Keras does so by itself"
    )
    return []


def _conv(part: Part) -> list[Layer]:
    part.require("groups", 1, default=1)
    part.require("data_format", "channels_last", None)
    padding = part.config.get("padding", "valid")  # numbers are those of a ZeroPadding1D before it
    if not isinstance(padding, tuple):
        part.require("padding", "valid", "same", "causal", default="valid")
    size, inputs, outputs = part.array(0, 3).shape
    layer = Conv1d(
        *(inputs, outputs, size),
        stride=part.one("strides", 1),
        dilation=part.one("dilation_rate", 1),
        padding=padding,
        bias=bool(part.config.get("use_bias", True)),
    )
    return [part.filled(layer), *layers_of(part.functions(), layer.dtype)]


def _window_pool(kind: type[WindowPool]) -> Callable[[Part], list[Layer]]:
    def pool(part: Part) -> list[Layer]:
        part.require("data_format", "channels_last", None)
        part.require("padding", "valid", "same", default="valid")
        size = part.one("pool_size", 2)
        stride = size if part.config.get("strides") is None else part.one("strides", size)
        return [kind(size, stride, padding=part.config.get("padding", "valid"))]

    return pool


def _pool(kind: type[Layer]) -> Callable[[Part], list[Layer]]:
    def pool(part: Part) -> list[Layer]:
        part.require("data_format", "channels_last", None)
        part.require("keepdims", False, default=False)
        return [kind()]

    return pool


def _norm(part: Part) -> tuple[Part, dict[str, Any]]:
    """A norm over the last axis with all its arrays, and the arguments of ours: what it lacks is frozen at 1 and 0."""
    axis = part.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis != -1 and axis != part.rank - 1:
        raise ValueError(f"{part.place}: axis: expected -1, the last one, got {axis!r:.80}")
    size = part.array(0, 1).shape[0]  # a norm without any weights does not say it
    there = {"weight": bool(part.config.get("scale", True)), "bias": bool(part.config.get("center", True))}
    given = list(part.arrays)
    arrays = [given.pop(0) if has and given else np.full(size, name == "weight", part.arrays[0].dtype)
              for name, has in there.items()]  # fmt: skip
    frozen = {} if all(there.values()) else {"trainable": there}
    options = {"size": size, "eps": float(part.config.get("epsilon", 1e-3)), **frozen}
    return replace(part, arrays=[*arrays, *given]), options


def _layer_norm(part: Part) -> list[Layer]:
    part.require("rms_scaling", False, default=False)
    whole, options = _norm(part)
    return [whole.filled(LayerNorm(**options))]


def _batch_norm(part: Part) -> list[Layer]:
    whole, options = _norm(part)
    momentum = round(1 - float(part.config.get("momentum", 0.99)), 12)  # 0.01, not 0.010000000000000009
    return [whole.filled(BatchNorm(momentum=momentum, **options))]


def _dropout(part: Part) -> list[Layer]:
    part.require("noise_shape", None)
    return [Dropout(float(part.config.get("rate", 0.0)))]


def _activation(part: Part) -> list[Layer]:
    return layers_of(part.functions(), None)


def _in_training(part: Part) -> list[Layer]:
    part.origin.told.append(
        f"{part.place}: it does nothing in inference, and is left out: a training here is without it"
    )
    return []


def _rescaling(part: Part) -> list[Layer]:
    scale, offset = part.config.get("scale"), part.config.get("offset", 0.0)
    for key, number in (("scale", scale), ("offset", offset)):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{part.place}: {key}: expected one number for all features, got {number!r:.80}")
    return [Activation(("affine", float(scale), float(offset)))]  # type: ignore[arg-type]


def _flatten(part: Part) -> list[Layer]:
    if part.rank != 2:
        raise ValueError(
            f"{part.place}: expected it behind one vector (N, F) for each sequence, which it leaves as it is, got one "
            "for each step, whose number is not fixed here; pool over time instead"
        )
    return []


EACH_STEP = ("Activation", "Dense", "Dropout", "LayerNormalization", *sorted(OWN_LAYERS))
"""Layers that do the same to each step with a TimeDistributed around them and without."""


def _time_distributed(part: Part) -> list[Layer]:
    inner = part.config.get("layer")
    if not isinstance(inner, dict) or inner.get("class_name") not in EACH_STEP:
        raise ValueError(f"{part.place}: expected one of {', '.join(EACH_STEP)} in it, got {inner!r:.80}")
    return layers_from(Part(inner["class_name"], part.name, inner["config"], part.arrays, part.origin))


READERS: dict[str, Callable[[Part], list[Layer]]] = {
    "Activation": _activation,
    "AveragePooling1D": _window_pool(AveragePool1d),
    "BatchNormalization": _batch_norm,
    "Bidirectional": bidirectional,
    "Conv1D": _conv,
    "Dense": _dense,
    "Dropout": _dropout,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _pool(MeanPool),
    "GlobalMaxPooling1D": _pool(MaxPool),
    "Identity": lambda part: [],
    "InputLayer": lambda part: [],
    "LayerNormalization": _layer_norm,
    "Masking": _masking,
    "MaxPooling1D": _window_pool(MaxPool1d),
    "Rescaling": _rescaling,
    "TimeDistributed": _time_distributed,
    "ZeroPadding1D": lambda part: [],
    **dict.fromkeys(CELLS, recurrent),
    **dict.fromkeys(
        ("ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"), _in_training
    ),
}
"""Every layer of Keras that can be read; nothing else is."""
