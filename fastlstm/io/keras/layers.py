"""The layers of Keras that there are here, each from its config and its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.io.keras.functions import OWN_LAYERS, Function, function_of, layer_function, layers_of
from fastlstm.io.keras.weights import Array, fill
from fastlstm.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    FinalState,
    Last,
    Layer,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
    SimpleRNN,
)


@dataclass(frozen=True)
class Origin:
    """Where layers come from.

    Attributes
    ----------
    version : int
        That of the Keras that has written them: 1, 2 or 3.
    told : list of str
        What a user is to be warned of. Layers add to it.
    """

    version: int
    told: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A layer of Keras, as a file or a model describes it.

    Attributes
    ----------
    kind : str
        The name of its class.
    name : str
        Its own name.
    config : dict
        What ``get_config`` gives.
    arrays : sequence of Array
        What ``get_weights`` gives.
    origin : Origin
    rank : int
        The number of axes of its input; 0 if that is not known.
    """

    kind: str
    name: str
    config: dict[str, Any]
    arrays: Sequence[Array]
    origin: Origin
    rank: int = 0

    @property
    def place(self) -> str:
        return f"layer {self.name!r} ({self.kind})"

    def array(self, k: int, axes: int) -> Array:
        """A weight, whose sizes are those of the layer."""
        if k >= len(self.arrays) or self.arrays[k].ndim != axes:
            got = [array.shape for array in self.arrays]
            raise ValueError(f"{self.place}: expected weight {k} with {axes} axes, got weights of shapes {got}")
        return self.arrays[k]

    def function(self, key: str = "activation", usual: str = "linear") -> Function:
        return function_of(self.config.get(key, usual), self.origin.version, self.place)

    def require(self, key: str, *allowed: Any, default: Any = None) -> None:
        """Refuse a value of the config for which there is nothing here."""
        value = self.config.get(key, default)
        if value not in allowed:
            expected = " or ".join(repr(one) for one in allowed)
            raise ValueError(f"{self.place}: {key}: expected {expected}, got {value!r:.80}")

    def one(self, key: str, default: int) -> int:
        """A number that a config may hold in a list of one."""
        value = self.config.get(key, default)
        value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        return _check.positive_int(value, f"{self.place}: {key}")

    def filled(self, layer: Layer) -> Layer:
        fill(layer, self.arrays, self.place)
        if self.config.get("trainable", True) is False:
            layer.trainable = False
        return layer


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
    return [layer, *layers_of(part.function(), layer.dtype)]


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
    part.require("padding", "valid", "same", "causal", default="valid")
    size, inputs, outputs = part.array(0, 3).shape
    layer = Conv1d(
        *(inputs, outputs, size),
        stride=part.one("strides", 1),
        dilation=part.one("dilation_rate", 1),
        padding=part.config.get("padding", "valid"),
        bias=bool(part.config.get("use_bias", True)),
    )
    return [part.filled(layer), *layers_of(part.function(), layer.dtype)]


def _max_pool(part: Part) -> list[Layer]:
    part.require("data_format", "channels_last", None)
    part.require("padding", "valid", "same", default="valid")
    size = part.one("pool_size", 2)
    stride = size if part.config.get("strides") is None else part.one("strides", size)
    return [MaxPool1d(size, stride, padding=part.config.get("padding", "valid"))]


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
    return layers_of(part.function(), None)


def _time_distributed(part: Part) -> list[Layer]:
    inner = part.config.get("layer")
    if not isinstance(inner, dict) or inner.get("class_name") not in ("Dense", "Dropout", "Activation"):
        raise ValueError(f"{part.place}: expected a Dense, Dropout or Activation in it, got {inner!r:.80}")
    return layers_from(Part(inner["class_name"], part.name, inner["config"], part.arrays, part.origin))


def _bidirectional(part: Part) -> list[Layer]:
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
    return _recurrent(own, bidirectional=True, merge=merge)


def _recurrent(part: Part, **options: Any) -> list[Layer]:
    """A recurrent layer, and behind it what takes its last outputs where it gives no others."""
    part.require("return_state", False, default=False)
    part.require("time_major", False, default=False)
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
    final = FinalState(merge=options["merge"]) if options and not whole and "merge" in options else None
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

READERS: dict[str, Callable[[Part], list[Layer]]] = {
    "Activation": _activation,
    "BatchNormalization": _batch_norm,
    "Bidirectional": _bidirectional,
    "Conv1D": _conv,
    "Dense": _dense,
    "Dropout": _dropout,
    "Embedding": _embedding,
    "GlobalAveragePooling1D": _pool(MeanPool),
    "GlobalMaxPooling1D": _pool(MaxPool),
    "InputLayer": lambda part: [],
    "LayerNormalization": _layer_norm,
    "Masking": _masking,
    "MaxPooling1D": _max_pool,
    "TimeDistributed": _time_distributed,
    **dict.fromkeys(CELLS, _recurrent),
}
"""Every layer of Keras that can be read; nothing else is."""
