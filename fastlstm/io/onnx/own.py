"""Files that `to_onnx` has written, back to the same models."""

from __future__ import annotations

import itertools
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

BLOCK = 1 << 18
"""Numbers that are found at a time, so that little memory is needed for their places."""


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
    counts = [sum(math.prod(shape) for shape in own.values()) for own in wanted]
    exact = np.dtype(np.float32) if dtype == np.float32 and max(counts, default=0) < 1 << 24 else np.dtype(np.float64)
    for layer, own in zip(layers, wanted, strict=True):  # each counts from 1, and the numbers stay small
        _load(layer, own, np.arange(1, sum(map(math.prod, own.values())) + 1, dtype=exact), exact)
    inputs = [own.name for own in file.proto.graph.input]
    stateful = any(name.partition("_")[0] in ("h0", "c0", "x0") for name in inputs)
    numbered = graph_of(Model(layers, exact), stateful=stateful, lengths="lengths" in inputs)
    layers = []
    values = _found(file, numbered, counts, dtype)
    if values is None:
        return None
    layers, _ = without_arrays(told[0], shapes)  # those above have become layers in float64
    for layer, own, numbers in zip(layers, wanted, values, strict=True):
        _load(layer, own, numbers, dtype)
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


def _load(layer: Layer, wanted: dict[str, tuple[int, ...]], values: Array, dtype: Any) -> None:
    """Load parameters that lie one after the other."""
    ends = itertools.accumulate(map(math.prod, wanted.values()))
    arrays = {
        name: values[end - math.prod(shape) : end].reshape(shape)
        for (name, shape), end in zip(wanted.items(), ends, strict=True)
    }
    layer.load_parameters(arrays, dtype)


def _found(file: Parsed, ours: Builder, counts: list[int], dtype: np.dtype[Any]) -> list[Array] | None:
    """All numbers of the parameters of each layer, in their order; None if the graph is another one."""
    theirs = file.proto.graph
    if [node.SerializeToString() for node in theirs.node] != [node.SerializeToString() for node in ours.nodes]:
        return None
    if list(file.constants) != list(ours.constants):
        return None
    values = [np.zeros(count, dtype) for count in counts]
    for name in file.constants:
        places, array = ours.constants.pop(name), file.constants[name]
        kind = np.dtype(dtype) if places.dtype.kind == "f" else places.dtype
        if array.shape != places.shape or array.dtype != kind:
            return None
        if "." not in name.partition(" ")[0]:  # a constant that is no weight
            if not np.array_equal(array, places.astype(kind)):
                return None
            continue
        own = values[int(name.partition(".")[0])]
        for start in range(0, places.size, BLOCK):
            at, numbers = (one.reshape(-1)[start : start + BLOCK] for one in (places, array))
            real = at > 0
            if numbers[~real].any():
                return None
            own[at[real].astype(np.int64) - 1] = numbers[real]
    return values
