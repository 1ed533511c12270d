"""The architecture of a model as JSON, and back. It is checked against the arrays of a file before layers are built."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import Layer
from fastlstm.layers.holder import Holder
from fastlstm.layers.matrix import MatrixLayer
from fastlstm.model import Model
from fastlstm.narrow import Narrow
from fastlstm.tensors import as_object

Array = NDArray[Any]
Sizes = tuple[int, ...]

MOST_LAYERS = 1000
"""The largest number of layers of a model in a file."""

MOST_DEPTH = 16
"""How many layers a layer of a file may be within."""

LARGEST = 2**31 - 1
"""The largest whole number in the config of a layer, unless an array is larger."""


HOLDS = ("layers", "chains")
"""What the arguments of a layer that holds others are called by which it gets them."""


def to_json(model: Model) -> str:
    """The architecture of a model as JSON.

    Raises
    ------
    ValueError
        If `layers_of` would refuse it.
    """
    layers = [_entry(layer, model.layers) for layer in model.layers]
    kept = {**model.named_parameters(), **model.named_buffers()}
    check(layers, {name: parameter.shape for name, parameter in kept.items()})
    return json.dumps({"dtype": model.dtype.name, "layers": layers})


def layers_of(text: str, arrays: Mapping[str, Array | Narrow]) -> tuple[list[Layer], np.dtype[Any]]:
    """The layers that `to_json` has described, with the arrays as their parameters, and their dtype.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is damaged, or the arrays do not fit to it.
    """
    layers, dtype = without_arrays(text, {name: array.shape for name, array in arrays.items()})
    shapes = [{**layer.parameter_shapes(), **layer.buffer_shapes()} for layer in layers]
    wanted = {f"{i}.{key}": shape for i, own in enumerate(shapes) for key, shape in own.items()}
    for name in sorted(wanted.keys() | arrays.keys()):
        if name not in arrays or name not in wanted:
            expected, got = ("no such array", "one") if name in arrays else (f"an array {wanted[name]}", "none")
            raise ValueError(f"{name}: expected {expected}, got {got}")
        array = arrays[name]
        if array.shape != wanted[name]:
            raise ValueError(f"{name}: expected shape {wanted[name]}, got {array.shape}")
        own_dtype = np.dtype(np.float32) if isinstance(array, Narrow) else array.dtype
        if own_dtype != dtype:
            raise ValueError(f"{name}: expected {dtype}, got {own_dtype}")
    for i, (layer, own) in enumerate(zip(layers, shapes, strict=True)):
        layer.load_parameters({name: arrays[f"{i}.{name}"] for name in own}, dtype)
    return layers, dtype


def without_arrays(text: str, shapes: Mapping[str, Sizes]) -> tuple[list[Layer], np.dtype[Any]]:
    """The layers that `to_json` has described, which have no parameters yet, and their dtype.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is damaged, or has numbers that do not go with arrays of these shapes.
    """
    config = as_object(text)
    dtype = _check.dtype_of(config["dtype"])
    check(config["layers"], shapes)
    layers: list[Layer] = []
    for entry in config["layers"]:
        layers.append(_layer(entry, layers))
    return layers, dtype


def check(layers: Any, shapes: Mapping[str, Sizes]) -> None:
    """Require that the configs fit to the shapes of the arrays, which have names such as ``"0.weight"``."""
    if not isinstance(layers, list):
        raise TypeError(f"layers: expected a list, got {type(layers).__name__}")
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"layers: expected at most {MOST_LAYERS}, got {len(layers)}")
    own: dict[str, list[Sizes]] = {}
    for name, shape in shapes.items():
        own.setdefault(name.partition(".")[0], []).append(shape)
    count = sum(_check_entry(entry, f"layer {i}", own.get(str(i), [])) for i, entry in enumerate(layers))
    if count > MOST_LAYERS:
        raise ValueError(f"layers: expected at most {MOST_LAYERS}, got {count} with those within others")


def _check_entry(entry: Any, name: str, there: list[Sizes], depth: int = 0) -> int:
    """Check a layer and those that it holds, which have these arrays together. Returns their number."""
    if not isinstance(entry, dict) or not isinstance(entry["type"], str) or not isinstance(entry["config"], dict):
        raise TypeError(f"{name}: expected a type and a config, got {entry!r:.80}")
    if depth > MOST_DEPTH:
        raise ValueError(f"{name}: expected layers within at most {MOST_DEPTH} others")
    for key, value in entry["config"].items():
        _check_number(value, f"{name} ({entry['type']:.40}): {key}", _most(key, there))
    held = [inner for key, value in _held_in(entry).items() for inner in _entries(value, f"{name}: {key}")]
    return 1 + sum(_check_entry(inner, f"{name}, within it", there, depth + 1) for inner in held)


def _held_in(entry: dict[str, Any]) -> dict[str, Any]:
    """The config of a layer that holds others; nothing of one that does not."""
    kind = Layer.registry.get(entry["type"])
    if kind is None or not issubclass(kind, Holder):
        return {}
    return {key: value for key, value in entry["config"].items() if key in HOLDS}


def _entries(value: Any, name: str) -> list[Any]:
    """The entries in a list of layers, or of lists of layers."""
    if not isinstance(value, list):
        raise TypeError(f"{name}: expected a list of layers, got {value!r:.80}")
    return [inner for part in value for inner in (part if isinstance(part, list) else [part])]


def _most(key: str, shapes: list[Sizes]) -> int:
    """The largest value of a whole number of this name. Each layer of a stack has at least one array."""
    if key == "num_layers":
        return max(1, min(len(shapes), MOST_LAYERS))
    return max(LARGEST, *(size for shape in shapes for size in shape), 0)


def _check_number(value: Any, name: str, most: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    if isinstance(value, int) and abs(value) > most:
        raise ValueError(f"{name}: expected at most {most} for the arrays that are there, got {value}")


def _entry(layer: Layer, layers: Sequence[Layer]) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": type(layer).__name__, "config": _by_place(layer.config(), layers)}
    if isinstance(layer, MatrixLayer) and layer.weights is not None:
        entry["weights"] = layer.weights
    return entry


def _by_place(config: dict[str, Any], layers: Sequence[Layer]) -> dict[str, Any]:
    """The config of a layer for JSON. A layer of the model is replaced by its place, one that is held by its entry."""
    places = {id(layer): {"layer": place} for place, layer in enumerate(layers)}

    def written(value: Any) -> Any:
        if isinstance(value, list):
            return [written(part) for part in value]
        if not isinstance(value, Layer):
            return value
        return places[id(value)] if id(value) in places else _entry(value, layers)

    return {key: written(value) for key, value in config.items()}


def _layer(entry: dict[str, Any], earlier: list[Layer]) -> Layer:
    kind = entry["type"]
    if kind not in Layer.registry:
        raise ValueError(f"unknown layer {kind!r}; if it is one of your own, import it before loading")
    config = dict(entry["config"])
    for key, value in _held_in(entry).items():
        config[key] = [
            [_layer(inner, []) for inner in part] if isinstance(part, list) else _layer(part, []) for part in value
        ]
    for key, value in config.items():
        if isinstance(value, dict) and value.keys() == {"layer"}:
            place = value["layer"]
            if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(earlier):
                raise ValueError(f"{key}: expected the place of an earlier layer, got {place!r}")
            config[key] = earlier[place]
    layer = Layer.registry[kind].from_config(config)
    kinds = entry.get("weights")
    if kinds is not None:
        if not isinstance(layer, MatrixLayer):
            raise ValueError(f"{kind}: has no matrix for weights={kinds!r:.80}")
        layer.weights = kinds
    return layer
