"""An ONNX file, checked before any of its arrays is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.gates import package

Array = NDArray[Any]

MOST_NODES = 20_000
"""The largest number of nodes."""

SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
"""Bytes of a number by the number of its type in ONNX: those of NumPy, as far as networks have them."""

OLDEST = 7

ADVICE = "; fastlstm.onnx.InferenceSession runs any graph"


@dataclass(frozen=True)
class Parsed:
    """A graph.

    Attributes
    ----------
    proto : onnx.ModelProto
    opset : int
    constants : dict
        The arrays of the initializers, by name. They are those of the file.
    nbytes : int
        The size of the file.
    """

    proto: Any
    opset: int
    constants: dict[str, Array]
    nbytes: int


def parsed(content: bytes) -> Parsed:
    """The graph in the bytes of a file.

    Raises
    ------
    ValueError
        If it is damaged or not what a model can be made of.
    """
    package()
    proto = package("onnx.onnx_ml_pb2").ModelProto()
    message = package("google.protobuf.message")
    try:
        proto.ParseFromString(content)
    except (message.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"expected an ONNX file, got other bytes: {error}") from None
    graph = proto.graph
    if not graph.node or not graph.output:
        raise ValueError("expected an ONNX file with a graph, got one without nodes or outputs")
    if len(graph.node) > MOST_NODES:
        raise ValueError(f"expected at most {MOST_NODES} nodes, got {len(graph.node)}")
    opsets = [own.version for own in proto.opset_import if own.domain in ("", "ai.onnx")]
    if len(opsets) != 1 or opsets[0] < OLDEST:
        raise ValueError(f"expected one opset from {OLDEST} on, got {opsets}")
    _check_names(graph)
    nbytes = len(content)
    del content
    constants = {own.name: array_of(own, own.name) for own in graph.initializer}
    graph.ClearField("initializer")
    kept = type(proto)()
    kept.CopyFrom(proto)  # a message frees its memory as a whole only, and would hold the weights twice
    return Parsed(kept, opsets[0], constants, nbytes)


def _check_names(graph: Any) -> None:
    """Require that every tensor has one source that comes before it, and every node a known domain."""
    known = {own.name for own in graph.initializer}
    if len(known) < len(graph.initializer):
        raise ValueError("initializers: expected names that differ, got one twice")
    if graph.sparse_initializer:
        raise ValueError("sparse_initializer: expected none, got some" + ADVICE)
    inputs = [own.name for own in graph.input]
    if len(set(inputs)) < len(inputs):
        raise ValueError("inputs: expected names that differ, got one twice")
    known |= {*inputs, ""}
    for node in graph.node:
        called = called_of(node)
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"{called}: expected an operator of ONNX, got one of {node.domain!r:.80}{ADVICE}")
        if len({own.name for own in node.attribute}) < len(node.attribute):
            raise ValueError(f"{called}: expected attributes whose names differ, got one twice")
        for name in node.input:
            if name not in known:
                raise ValueError(f"{called}: expected inputs that come before it, got {name!r:.80}")
        for name in filter(None, node.output):
            if name in known:
                raise ValueError(f"{called}: expected outputs whose names differ, got {name!r:.80} twice")
            known.add(name)


def called_of(node: Any) -> str:
    """A node in a message."""
    return f"node {(node.name or next(iter(node.output), ''))!r:.80} ({node.op_type:.40})"


def array_of(tensor: Any, name: str) -> Array:
    """The array of a TensorProto, whose size is checked first."""
    if tensor.data_location == 1 or tensor.external_data:
        raise ValueError(
            f"{name:.80}: expected weights in the file itself, got external data; "
            "onnx.save(onnx.load(path), new_path) puts them into one file"
        )
    size = SIZES.get(tensor.data_type)
    if size is None:
        raise ValueError(f"{name:.80}: expected an array of numbers that NumPy has, got type {tensor.data_type}")
    dims = list(tensor.dims)
    if any(dim < 0 for dim in dims) or len(dims) > 16:
        raise ValueError(f"{name:.80}: expected sizes from 0 of up to 16 axes, got {dims!r:.80}")
    count = math.prod(dims)
    there = (
        len(tensor.raw_data) / size
        if tensor.HasField("raw_data")
        else len(tensor.float_data) + len(tensor.int32_data) + len(tensor.int64_data) + len(tensor.double_data)
    )
    if there != count:
        raise ValueError(f"{name:.80}: expected {count} numbers for the sizes {dims!r:.80}, got {there:g}")
    if tensor.HasField("segment"):
        raise ValueError(f"{name:.80}: expected a whole array, got a segment")
    array: Array = package("onnx.numpy_helper").to_array(tensor)
    return np.asarray(array)
