"""A model from a file or from bytes. What lies outside of it is not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import onnx

from fastlstm.files import PathLike, read_bytes

MOST_DEPTH = 32
"""Graphs within graphs."""


def content_of(source: PathLike | bytes) -> tuple[str, bytes]:
    """What messages call the model, and its bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "the model", bytes(source)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"path_or_bytes: expected a path or bytes, got {type(source).__name__}")
    return str(source), read_bytes(source)


def model_of(content: bytes) -> Any:
    """The parsed model.

    Raises
    ------
    ValueError
        If it is no ONNX model, or has weights in other files.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # of protobuf, whose own class has no stable name
        raise ValueError(f"expected an ONNX model, got something that is none: {error}") from error
    if not model.opset_import:
        raise ValueError("expected an ONNX model, got one that says no opset")
    for tensor in (tensor for graph in (model.graph, *model.functions) for tensor in tensors_of(graph)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(f"tensor {tensor.name!r}: expected its numbers in the model, got those of another file")
    return model


def tensors_of(graph: Any, depth: int = 0) -> Iterator[Any]:
    """All tensors that a graph or a function holds, those of graphs within it, too."""
    if depth > MOST_DEPTH:
        raise ValueError(f"expected up to {MOST_DEPTH} graphs within each other, got more")
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors_of(inner, depth + 1)
