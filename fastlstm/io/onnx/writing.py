"""Models to ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._version import __version__
from fastlstm.files import PathLike, require_replaceable, write_atomically
from fastlstm.io.architecture import to_json
from fastlstm.io.onnx.builder import Builder, Flow
from fastlstm.io.onnx.layer_nodes import LAYERS
from fastlstm.io.onnx.recurrent_nodes import OPS, write_recurrent
from fastlstm.layers import Add, Concat, Layer, Residual
from fastlstm.layers.holder import Holder
from fastlstm.model import Model

HOLDERS = (Add, Concat, Residual)

LARGEST = 2**31 - 2**20
"""The largest file: protobuf counts its bytes in 31 bits."""

ARCHITECTURE = "fastlstm.architecture"
"""The name of the entry of metadata that holds the layers as JSON."""


def to_onnx(model: Model, path: PathLike, *, stateful: bool = False, lengths: bool = False) -> None:
    """Write a model as an ONNX file (opset 17), for inference by ONNX Runtime and others.

    The graph takes ``x`` (N, T, F), or ``tokens`` (N, T) int64, and gives ``y``, for any N and T. What only training
    needs, such as dropout, is left out. Weights are written in full, also of a layer whose inference has fewer bits.
    The file says which layers it was written from, so that `from_onnx` gives the same model, to the bit.

    Parameters
    ----------
    model : Model
    path : str or path
        It is written whole or not at all.
    stateful : bool, default False
        Whether the states of recurrent layers are inputs and outputs, for streaming. That of layer 0 is ``h0_0`` and,
        of an LSTM, ``c0_0``, (layers·D, N, H) as in a call of the layer; behind the last step it is ``hn_0``, ``cn_0``.
        A causal `Conv1d` of layer 1 has the steps before those of a call, ``x0_1`` and ``xn_1`` (N, F, steps). Streams
        begin with zeros, or what the layer has learned.
    lengths : bool, default False
        Whether there is an input ``lengths`` (N,) int32, the number of real steps of each sequence, at least 1.

    Raises
    ------
    TypeError
        If model is no `Model`, or stateful or lengths not True or False.
    ValueError
        If ONNX has no words for a layer or an option of it, the layer cannot stream with stateful=True, or the model is
        larger than 2 GB. The message names the layer.
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be written.

    Notes
    -----
    ONNX Runtime has recurrent layers in float32 only; a file in float64 is valid, and other runtimes may take it.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    >>> fl.io.to_onnx(model, "model.onnx")
    >>> x = np.ones((2, 5, 3))
    >>> np.array_equal(fl.io.from_onnx("model.onnx").predict(x), model.predict(x))
    True
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    if _check.flag(stateful, "stateful") and _check.flag(lengths, "lengths"):
        raise ValueError("lengths: expected False with stateful=True, whose steps are all real, got True")
    require_replaceable(path)
    content = model_of(model, stateful=stateful, lengths=lengths)
    write_atomically(path, content.SerializeToString())


def model_of(model: Model, *, stateful: bool, lengths: bool, remember: bool = True) -> Any:
    """The model as a ModelProto; with its layers as JSON if asked for."""
    graph = graph_of(model, stateful=stateful, lengths=lengths)
    if graph.nbytes > LARGEST:
        raise ValueError(f"model: expected at most {LARGEST} bytes of weights, which ONNX can hold, got {graph.nbytes}")
    made = graph.model(__version__)
    if remember:
        entry = made.metadata_props.add()
        entry.key, entry.value = ARCHITECTURE, to_json(model)
    return made


def graph_of(model: Model, *, stateful: bool, lengths: bool) -> Builder:
    """The nodes and constants of the model."""
    graph = Builder(model.dtype, stateful=stateful)
    tokens = model.layers[0].takes_tokens
    name = graph.input("tokens" if tokens else "x", model.input_shape, np.int64 if tokens else None)
    flow = Flow(name, model.input_shape, graph.input("lengths", ("N",), np.int32) if lengths else None)
    flow = _chain(graph, model.layers, [str(k) for k in range(len(model.layers))], flow)
    graph.place = ""
    graph.output(flow.name, "y", model.output_shape)
    graph.outputs.insert(0, graph.outputs.pop())
    return graph


def _chain(graph: Builder, layers: Sequence[Layer], places: list[str], flow: Flow) -> Flow:
    for layer, place in zip(layers, places, strict=True):
        graph.place = place
        try:
            shape = layer.output_shape(flow.shape)
            flow = _layer(graph, layer, place, flow)._replace(shape=shape)
        except ValueError as error:
            raise ValueError(f"layer {place} ({type(layer).__name__}): {error}") from None
    return flow


def _layer(graph: Builder, layer: Layer, place: str, flow: Flow) -> Flow:
    kind = type(layer)
    if kind in OPS:
        return write_recurrent(graph, layer, flow, place)
    if kind in LAYERS:
        return LAYERS[kind](graph, layer, flow, place)
    if isinstance(layer, Holder) and kind in HOLDERS:
        parts = [_chain(graph, part.layers, [f"{place}.{own}" for own in part.places], flow) for part in layer.chains]
        graph.place = place
        names = [part.name for part in parts]
        return parts[0]._replace(name=_joined(graph, kind, flow.name, names))
    known = ", ".join(sorted(own.__name__ for own in (*OPS, *LAYERS, *HOLDERS)))
    raise ValueError(f"expected a layer that ONNX has operators for ({known}), got {kind.__name__}")


def _joined(graph: Builder, kind: type, x: str, parts: list[str]) -> str:
    if kind is Concat:
        return graph.add("Concat", *parts, axis=-1)
    total, *others = [x, *parts] if kind is Residual else parts
    for other in others:
        total = graph.add("Add", total, other)
    return total
