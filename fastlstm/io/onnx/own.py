"""Files that `to_onnx` has written, back to the same models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.architecture import without_arrays
from fastlstm.io.onnx.builder import Builder
from fastlstm.io.onnx.parsing import Parsed
from fastlstm.io.onnx.writing import ARCHITECTURE, graph_of
from fastlstm.io.parts import Parts
from fastlstm.layers import Layer
from fastlstm.layers.chain import walk
from fastlstm.model import Model

Array = NDArray[Any]


PART = 1 << 16
"""Numbers that are looked at together."""

INFINITY = 0x7F800000
"""The bits of infinity in float32. Those of every smaller number are finite."""


def as_written(file: Parsed, parts: Parts) -> Model | None:
    """The model that `to_onnx` has made this graph of; None if it is not one of that.

    The graph itself must be what `to_onnx` writes for the layers that the file tells of. Which number of it is which
    number of a parameter is then found by writing a model whose parameters are numbered.
    """
    told = [own.value for own in file.proto.metadata_props if own.key == ARCHITECTURE]
    if len(told) != 1:
        return None
    shapes = {name: array.shape for name, array in file.constants.items()}
    layers, dtype = without_arrays(told[0], shapes)
    wanted = [{**layer.parameter_shapes(), **layer.buffer_shapes()} for layer in layers]
    count = sum(math.prod(shape) for own in wanted for shape in own.values())
    if count > sum(array.size for array in file.constants.values()):
        raise ValueError(f"expected {count} numbers of parameters, as the layers have, got fewer")
    if count >= INFINITY:
        raise ValueError(f"expected fewer than {INFINITY} numbers of parameters, got {count}")
    # whole numbers as the bits of floats, which take no more than the weights and are never computed with
    _fill(layers, wanted, np.arange(1, count + 1, dtype=f"i{dtype.itemsize}").view(dtype), dtype)
    inputs = [own.name for own in file.proto.graph.input]
    stateful = any(name.partition("_")[0] in ("h0", "c0", "x0") for name in inputs)
    numbered = graph_of(Model(layers, dtype), stateful=stateful, lengths="lengths" in inputs)
    del layers
    values = _found(file, numbered, count, dtype)
    if values is None:
        return None
    layers, _ = without_arrays(told[0], shapes)
    _fill(layers, wanted, values, dtype)
    _tell(file, layers, parts)
    return Model(layers, dtype)


def _tell(file: Parsed, layers: Sequence[Layer], parts: Parts) -> None:
    """Say which nodes each layer was written as. Their names begin with its place."""
    nodes: dict[str, list[Any]] = {}
    for node in file.proto.graph.node:
        nodes.setdefault(node.name.partition("/")[0], []).append(node)
    for place, layer in walk(layers):
        own = nodes.pop(place, [])
        for node in own:
            parts.add(node.name, node.op_type, [layer])
        if not own:
            parts.add("the file's metadata", "", [layer])
    for node in (node for own in nodes.values() for node in own):
        parts.add(node.name, node.op_type, why="names an output")


def _fill(layers: Sequence[Layer], wanted: list[dict[str, tuple[int, ...]]], values: Array, dtype: Any) -> None:
    """Load parameters that lie one after the other."""
    start = 0
    for layer, own in zip(layers, wanted, strict=True):
        arrays = {}
        for name, shape in own.items():
            size = math.prod(shape)
            arrays[name] = values[start : start + size].reshape(shape)
            start += size
        layer.load_parameters(arrays, dtype)


def _found(file: Parsed, ours: Builder, count: int, dtype: np.dtype[Any]) -> Array | None:
    """All numbers of the parameters, in their order; None if the graph is another one."""
    theirs = file.proto.graph
    if [node.SerializeToString() for node in theirs.node] != [node.SerializeToString() for node in ours.nodes]:
        return None
    if list(file.constants) != list(ours.constants):
        return None
    values = np.zeros(count, dtype)
    for name in file.constants:
        places, array = ours.constants.pop(name), file.constants[name]
        kind = np.dtype(dtype) if places.dtype.kind == "f" else places.dtype
        if array.shape != places.shape or array.dtype != kind:
            return None
        if "." not in name.partition(" ")[0]:  # a constant that is no weight
            if not np.array_equal(array, places.astype(kind)):
                return None
            continue
        for numbers, part in zip(_parts(places.view(f"i{places.itemsize}")), _parts(array), strict=True):
            real = numbers > 0
            if part[~real].any():
                return None
            values[numbers[real] - 1] = part[real]
    return values


def _parts(array: Array) -> list[Array]:
    """Views of an array, none of many numbers: what is made of one takes little memory."""
    flat = array.reshape(-1)
    return [flat[start : start + PART] for start in range(0, flat.size, PART)]
