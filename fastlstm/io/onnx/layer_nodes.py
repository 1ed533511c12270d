"""Layers without a state as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastlstm.io.onnx.builder import Builder, Flow
from fastlstm.io.onnx.gates import FUNCTIONS
from fastlstm.layers import (
    Activation,
    ActivityRegularization,
    AttentionPool,
    AveragePool1d,
    BatchNorm,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    FinalState,
    Last,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
    Softmax,
    TiedDense,
)
from fastlstm.layers.elementwise import GELU
from fastlstm.layers.window_pool import WindowPool


def _kept(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    return flow


def _dense(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    shared = graph.weights.get(id(layer.parameter("weight")))
    if shared is None:
        weight = graph.constant("weight", layer.parameter("weight").value.T)
    else:
        weight = graph.add("Transpose", shared, perm=[1, 0])
    y = graph.add("MatMul", flow.name, weight)
    if layer.bias:
        y = graph.add("Add", y, graph.constant("bias", layer.parameter("bias").value))
    return flow._replace(name=y)


def _embedding(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    weight = layer.parameter("weight")
    graph.weights[id(weight)] = graph.constant("weight", weight.value)
    return flow._replace(name=graph.add("Gather", graph.weights[id(weight)], flow.name))


def _activation(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    x, add, number = flow.name, graph.add, graph.number
    kind, alpha, beta = layer.function
    if kind == "affine":
        y = add("Add", add("Mul", x, number(alpha)), number(beta))
    elif kind == "scaled_tanh":
        y = add("Mul", add("Tanh", add("Mul", x, number(beta))), number(alpha))
    elif kind == "gelu":
        share = add("Add", add("Erf", add("Mul", x, number(float(np.sqrt(0.5))))), number(1.0))
        y = add("Mul", add("Mul", x, share), number(0.5))
    elif kind == "gelu_tanh":
        cube = add("Mul", add("Mul", x, x), x)
        inner = add("Mul", add("Add", x, add("Mul", cube, number(0.044715))), number(GELU))
        y = add("Mul", add("Mul", x, add("Add", add("Tanh", inner), number(1.0))), number(0.5))
    elif kind == "silu":
        y = add("Mul", x, add("Sigmoid", x))
    elif kind == "exp":
        y = add("Exp", x)
    else:
        numbers = {"hard_sigmoid": {"alpha": alpha, "beta": beta}}.get(kind, {"alpha": alpha})
        plain = kind not in ("hard_sigmoid", "leaky_relu", "thresholded_relu", "elu")
        y = add(FUNCTIONS[kind], x, **({} if plain else numbers))
    return flow._replace(name=y)


def _softmax(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    return flow._replace(name=graph.add("Softmax", flow.name, axis=-1))


def _layer_norm(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    weight, bias = (graph.constant(name, layer.parameter(name).value) for name in ("weight", "bias"))
    return flow._replace(name=graph.add("LayerNormalization", flow.name, weight, bias, axis=-1, epsilon=layer.eps))


def _batch_norm(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    arrays = {name: layer.parameter(name).value for name in ("weight", "bias")}
    arrays |= {name: layer.buffer(name).value for name in ("running_mean", "running_var")}
    names = [graph.constant(name, array) for name, array in arrays.items()]
    steps = len(flow.shape) == 3
    x = graph.add("Transpose", flow.name, perm=[0, 2, 1]) if steps else flow.name
    y = graph.add("BatchNormalization", x, *names, epsilon=layer.eps)
    return flow._replace(name=graph.add("Transpose", y, perm=[0, 2, 1]) if steps else y)


def _windows(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    """A convolution or a pool over time."""
    windows, pools = layer.windows, isinstance(layer, WindowPool)
    if windows.mode != "zeros":
        raise ValueError(f"expected padding_mode='zeros', as of a Conv in ONNX, got {windows.mode!r}")
    if graph.stateful and not (windows.is_causal and not pools):
        raise ValueError("expected a layer that streams with stateful=True, got one that does not")
    if flow.lengths is not None and windows.sides is None and windows.stride > 1:
        raise ValueError(
            "expected another padding than 'same' with a stride and lengths=True: it depends on the length"
        )
    if windows.sides is None and windows.stride > 1 and windows.dilation > 1:
        raise ValueError(
            "expected another padding than 'same' with a stride and a dilation, which ONNX Runtime refuses"
        )
    average = isinstance(layer, AveragePool1d)
    if average and flow.lengths is not None and windows.sides != (0, 0) and not layer.count_padding:
        raise ValueError("expected padding='valid' or count_padding=True with lengths=True, as ONNX counts all steps")
    value = -np.inf if pools and not average else 0.0
    x = graph.add("Transpose", graph.masked(flow, value), perm=[0, 2, 1])
    how: dict[str, Any] = {"kernel_shape": [windows.size], "strides": [windows.stride]}
    sides = windows.sides
    if windows.sides is None and windows.stride == 1:
        sides = (windows.reach // 2, windows.reach - windows.reach // 2)
    if graph.stateful and windows.reach:
        x, sides = _with_past(graph, layer, x, place), (0, 0)
    how |= {"auto_pad": "SAME_UPPER"} if sides is None else {"pads": list(sides)}
    if average:
        y = graph.add("AveragePool", x, **how, count_include_pad=int(layer.count_padding))
    elif pools:
        y = graph.add("MaxPool", x, **how)
    else:
        weights = [graph.constant(name, layer.parameter(name).value) for name in ("weight", "bias")[: 1 + layer.bias]]
        y = graph.add("Conv", x, *weights, dilations=[windows.dilation], group=1, **how)
    shape = layer.output_shape(flow.shape)
    return Flow(graph.add("Transpose", y, perm=[0, 2, 1]), shape, _counts(graph, windows, flow.lengths))


def _with_past(graph: Builder, layer: Any, x: str, place: str) -> str:
    """The steps (N, F, T) behind those before them that windows still see, which are a state."""
    reach = layer.windows.reach
    past = graph.input(f"x0_{place}", ("N", layer.input_size, reach))
    whole = graph.add("Concat", past, x, axis=2)
    last = graph.add("Slice", whole, graph.ints(-reach), graph.ints(np.iinfo(np.int64).max), graph.ints(2))
    graph.output(last, f"xn_{place}", ("N", layer.input_size, reach))
    return whole


def _counts(graph: Builder, windows: Any, lengths: str | None) -> str | None:
    """The lengths of the outputs."""
    if lengths is None or windows.keeps_steps:
        return lengths
    long = graph.add("Cast", lengths, to=7)
    more = graph.add("Add", long, graph.scalar(sum(windows.sides) - windows.reach - 1 + windows.stride))
    counts = graph.add("Div", graph.add("Max", more, graph.scalar(0)), graph.scalar(windows.stride))
    counts = graph.add("Where", graph.add("Greater", long, graph.scalar(0)), counts, graph.scalar(0))
    return graph.add("Cast", counts, to=6)


def _refuse_stateful(graph: Builder) -> None:
    if graph.stateful:
        raise ValueError("expected no pool over all steps with stateful=True, which has only those of a call")


def _mean(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    _refuse_stateful(graph)
    if flow.lengths is None:
        return _pooled(flow, graph.add("ReduceMean", flow.name, axes=[1], keepdims=0))
    total = graph.add("ReduceSum", graph.masked(flow, 0.0), graph.ints(1), keepdims=0)
    count = graph.add("Max", graph.add("Cast", flow.lengths, to=7), graph.scalar(1))
    divisor = graph.add("CastLike", graph.add("Unsqueeze", count, graph.ints(1)), total)
    return _pooled(flow, graph.add("Div", total, divisor))


def _max(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    _refuse_stateful(graph)
    y = graph.add("ReduceMax", graph.masked(flow, -np.inf), axes=[1], keepdims=0)
    return _pooled(flow, _cleared(graph, y, flow))


def _attention(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    _refuse_stateful(graph)
    add = graph.add
    hidden = flow.name
    if layer.score == "additive":
        hidden = add("MatMul", hidden, graph.constant("weight", layer.parameter("weight").value.T))
        hidden = add("Tanh", add("Add", hidden, graph.constant("bias", layer.parameter("bias").value)))
    scores = add("MatMul", hidden, graph.constant("context", layer.parameter("context").value.T))
    weights = add("Softmax", graph.masked(flow._replace(name=scores), -np.inf), axis=1)
    y = add("ReduceSum", add("Mul", weights, flow.name), graph.ints(1), keepdims=0)
    return _pooled(flow, _cleared(graph, y, flow))


def _pooled(flow: Flow, name: str) -> Flow:
    return Flow(name, (flow.shape[0], flow.shape[-1]))


def _cleared(graph: Builder, y: str, flow: Flow) -> str:
    """Zeros where a sequence has no step."""
    if flow.lengths is None:
        return y
    there = graph.add("Greater", graph.add("Cast", flow.lengths, to=7), graph.scalar(0))
    return graph.add("Where", graph.add("Unsqueeze", there, graph.ints(1)), y, graph.number(0.0))


def _last(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    if flow.lengths is None:
        return _pooled(flow, graph.add("Gather", flow.name, graph.scalar(-1), axis=1))
    at = graph.add("Max", graph.add("Sub", graph.add("Cast", flow.lengths, to=7), graph.scalar(1)), graph.scalar(0))
    y = graph.add("GatherND", flow.name, graph.add("Unsqueeze", at, graph.ints(1)), batch_dims=1)
    return _pooled(flow, _cleared(graph, y, flow))


def _final(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    last = _last(graph, layer, flow, place)
    if not layer.bidirectional and not layer.go_backwards:
        return last
    if graph.stateful:
        raise ValueError("expected no state of a layer that reads backwards with stateful=True")
    first = _cleared(graph, graph.add("Gather", flow.name, graph.scalar(0), axis=1), flow)
    if layer.go_backwards:
        return _pooled(flow, first)
    half = int(flow.shape[-1]) // 2
    there = graph.add("Slice", last.name, graph.ints(0), graph.ints(half), graph.ints(1))
    back = graph.add("Slice", first, graph.ints(half), graph.ints(2 * half), graph.ints(1))
    if layer.merge == "concat":
        return _pooled(flow, graph.add("Concat", there, back, axis=-1))
    y = graph.add("Mul" if layer.merge == "mul" else "Add", there, back)
    return _pooled(flow, graph.add("Mul", y, graph.number(0.5)) if layer.merge == "ave" else y)


LAYERS: dict[type, Callable[[Builder, Any, Flow, str], Flow]] = {
    Activation: _activation,
    ActivityRegularization: _kept,
    AttentionPool: _attention,
    BatchNorm: _batch_norm,
    Conv1d: _windows,
    Dense: _dense,
    Dropout: _kept,
    Embedding: _embedding,
    FinalState: _final,
    Last: _last,
    LayerNorm: _layer_norm,
    MaxPool: _max,
    MaxPool1d: _windows,
    AveragePool1d: _windows,
    MeanPool: _mean,
    Softmax: _softmax,
    TiedDense: _dense,
}
