"""Operators of ONNX with weights or windows as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.curves import short
from fastlstm.io.onnx.folding import ints_of
from fastlstm.io.onnx.values import Axis, Const, Data
from fastlstm.layers import (
    AveragePool1d,
    BatchNorm,
    Conv1d,
    Dense,
    Embedding,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
    Softmax,
)
from fastlstm.layers.window_pool import WindowPool

if TYPE_CHECKING:
    from fastlstm.io.onnx.patterns import Reader

Array = NDArray[Any]


def _array(value: Any, name: str, *shape: int | None) -> Array:
    """A constant of this shape; None is for any size."""
    if not isinstance(value, Const):
        raise ValueError(f"expected {name} that is a constant")
    array = value.array
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise ValueError(f"expected {name} of shape {shape}, got {array.shape}")
    return array


def _loaded(layer: Any, reader: Reader, **arrays: Array) -> Any:
    layer.load_parameters({name: np.ascontiguousarray(array) for name, array in arrays.items()}, reader.dtype)
    return layer


def _after(reader: Reader, node: Any, x: Data, layer: Any, axes: tuple[Axis, ...]) -> Data:
    return Data(reader.emit(node.name or node.op_type, x.source, [layer]), axes)


def dense(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    """A MatMul or a Gemm."""
    x, weight = inputs[0], _array(inputs[1], "a matrix", None, None)
    if attrs.get("transA") or attrs.get("alpha", 1.0) != 1.0 or attrs.get("beta", 1.0) != 1.0:
        raise ValueError("expected alpha and beta of 1, and a Gemm of x as it is")
    weight = weight if attrs.get("transB") else weight.T
    x.axes[-1].bind("F")
    if x.axes[-1].size not in (None, weight.shape[1]) or 0 in weight.shape:
        raise ValueError(f"expected {weight.shape[1]} features, as the matrix has, got {x.axes[-1].size}")
    layer = _loaded(Dense(weight.shape[1], len(weight), bias=False), reader, weight=weight)
    y = _after(reader, node, x, layer, (*x.axes[:-1], Axis("F", len(weight))))
    reader.products[y.source] = x.source, weight
    if len(inputs) > 2 and inputs[2] is not None:
        bias = inputs[2].array if isinstance(inputs[2], Const) else None
        if bias is None:
            raise ValueError("expected C that is a constant")
        return biased(reader, "Add", y, bias)
    return y


def biased(reader: Reader, op: str, x: Data, array: Array) -> Data:
    """A number for each feature, added or multiplied: the bias of a product, or a `BatchNorm` without a norm."""
    x.axes[-1].bind("F")
    size = x.axes[-1].size or array.shape[-1]
    if array.size != size or array.shape[-1] != size:
        raise ValueError(f"expected {size} numbers, one for each feature, got shape {array.shape}")
    array = array.reshape(-1)
    if op == "Add" and x.source in reader.products:
        source, weight = reader.products[x.source]
        layer: Any = _loaded(Dense(weight.shape[1], len(weight)), reader, weight=weight, bias=array)
        return Data(reader.emit("Dense", source, [layer]), x.axes)
    ones, zeros = np.ones(size, array.dtype), np.zeros(size, array.dtype)
    both = {"weight": ones, "bias": array} if op == "Add" else {"weight": array, "bias": zeros}
    layer = _loaded(BatchNorm(size, eps=0), reader, **both, running_mean=zeros, running_var=ones)
    return Data(reader.emit("numbers for each feature", x.source, [layer]), x.axes)


def _embedding(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x, weight = inputs[0], _array(inputs[1], "an embedding", None, None)
    if attrs.get("axis", 0) != 0 or 0 in weight.shape or len(x.axes) != 2 or not x.source.startswith("input "):
        raise ValueError("expected tokens (N, T) of the input that choose rows of a matrix")
    layer = _loaded(Embedding(*weight.shape), reader, weight=weight)
    return _after(reader, node, x, layer, (*x.axes, Axis("F", weight.shape[1])))


def _softmax(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x = inputs[0]
    last = len(x.axes) - 1
    if attrs.get("axis", -1 if reader.file.opset >= 13 else 1) % len(x.axes) != last:
        raise ValueError("expected a Softmax over the last axis")
    x.axes[-1].bind("F")
    return _after(reader, node, x, Softmax(), x.axes)


def _layer_norm(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x = inputs[0]
    if attrs.get("axis", -1) % len(x.axes) != len(x.axes) - 1:
        raise ValueError("expected a LayerNormalization over the last axis")
    x.axes[-1].bind("F")
    weight = _array(inputs[1], "Scale", x.axes[-1].size)
    bias = _array(inputs[2], "B", len(weight)) if len(inputs) > 2 and inputs[2] is not None else np.zeros_like(weight)
    layer = LayerNorm(len(weight), short(attrs.get("epsilon", 1e-5)))
    return _after(reader, node, x, _loaded(layer, reader, weight=weight, bias=bias), x.axes)


def _batch_norm(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x = inputs[0]
    if attrs.get("training_mode"):
        raise ValueError("expected a BatchNormalization for inference")
    if len(x.axes) < 2:
        raise ValueError("expected features on the second axis")
    x.axes[1].bind("F")
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: _array(own, name, x.axes[1].size) for name, own in zip(names, inputs[1:5], strict=True)}
    layer = BatchNorm(len(arrays["weight"]), eps=short(attrs.get("epsilon", 1e-5)))
    return _after(reader, node, x, _loaded(layer, reader, **arrays), x.axes)


def _over_time(x: Data) -> None:
    """Require (N, F, T)."""
    if len(x.axes) != 3:
        raise ValueError(f"expected an input (N, F, T), got one of {len(x.axes)} axes")
    for axis, role in zip(x.axes, "NFT", strict=True):
        axis.bind(role)


def _padding(reader: Reader, x: Data, attrs: dict[str, Any], reach: int) -> tuple[str, Any]:
    """What a window layer reads, past a Pad, and its padding."""
    pads = attrs.get("pads", [0, 0])
    auto = attrs.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER") or len(pads) != 2:
        raise ValueError(
            f"expected pads of one axis, or auto_pad VALID or SAME_UPPER, got {auto!r:.40} and {pads!r:.40}"
        )
    source, before, behind = reader.pads.get(x.source, (x.source, 0, 0))
    if auto == "SAME_UPPER":
        if before or behind:
            raise ValueError("expected no Pad before auto_pad SAME_UPPER")
        return source, "same"
    sides = (int(pads[0]) + before, int(pads[1]) + behind) if auto == "NOTSET" else (before, behind)
    if not all(0 <= side <= reach for side in sides):
        raise ValueError(f"expected padding from 0 to {reach} steps, got {sides}")
    named = {(0, 0): "valid", (reach, 0): "causal"}
    return source, named.get(sides, list(sides))


def _window(attrs: dict[str, Any], size: int) -> tuple[int, int]:
    stride, dilation = (attrs.get(name, [1]) for name in ("strides", "dilations"))
    if len(stride) != 1 or len(dilation) != 1 or list(attrs.get("kernel_shape", [size])) != [size]:
        raise ValueError("expected windows over one axis")
    return int(stride[0]), int(dilation[0])


def _conv(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x, weight = inputs[0], _array(inputs[1], "W", None, None, None)
    _over_time(x)
    if attrs.get("group", 1) != 1 or 0 in weight.shape:
        raise ValueError(f"expected one group of features, got {attrs.get('group')}")
    outputs, features, size = weight.shape
    if x.axes[1].size not in (None, features):
        raise ValueError(f"expected {features} features, as W has, got {x.axes[1].size}")
    stride, dilation = _window(attrs, size)
    source, padding = _padding(reader, x, attrs, (size - 1) * dilation)
    there = len(inputs) > 2 and inputs[2] is not None
    layer = Conv1d(features, outputs, size, stride=stride, dilation=dilation, padding=padding, bias=there)
    arrays = {"weight": weight, **({"bias": _array(inputs[2], "B", outputs)} if there else {})}
    axes = x.axes[0], Axis("F", outputs), _steps(layer, x.axes[2])
    return Data(reader.emit(node.name or "Conv", source, [_loaded(layer, reader, **arrays)]), axes)


def _steps(layer: Any, axis: Axis) -> Axis:
    return axis if layer.windows.keeps_steps else Axis("T")


def _window_pool(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x = inputs[0]
    _over_time(x)
    size = int(attrs.get("kernel_shape", [1])[0])
    stride, dilation = _window(attrs, size)
    if dilation != 1 or attrs.get("ceil_mode") or len(node.output) > 1 or x.source in reader.pads:
        raise ValueError(f"expected a {node.op_type} without dilation, ceil_mode, indices and Pad")
    source, padding = _padding(reader, x, attrs, size - 1)
    if node.op_type == "MaxPool":
        layer: WindowPool = MaxPool1d(size, stride, padding=padding)
    else:
        counts = padding != "valid" and bool(attrs.get("count_include_pad", 0))
        layer = AveragePool1d(size, stride, padding=padding, count_padding=counts)
    return Data(reader.emit(node.name or node.op_type, source, [layer]), (*x.axes[:2], _steps(layer, x.axes[2])))


def _pad(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    x, pads = inputs[0], attrs.get("pads") or ints_of(inputs[1] if len(inputs) > 1 else None)
    value = attrs.get("value", 0.0)
    if len(inputs) > 2 and isinstance(inputs[2], Const):
        value = float(inputs[2].array.reshape(-1)[0])
    if attrs.get("mode", "constant") != "constant" or value != 0 or pads is None or len(pads) != 2 * len(x.axes):
        raise ValueError("expected a Pad with zeros before a convolution")
    padded = [k for k in range(len(x.axes)) if pads[k] or pads[k + len(x.axes)]]
    if not padded:
        return Data(x.source, x.axes)
    if len(padded) > 1 or x.source in reader.pads or min(pads) < 0 or max(pads) > 2**31:
        raise ValueError("expected a Pad of the steps alone")
    (k,) = padded
    x.axes[k].bind("T")
    name = f"{node.name or 'Pad'} that is not read by a convolution alone {len(reader.pads)}"
    reader.pads[name] = x.source, pads[k], pads[k + len(x.axes)]
    return Data(name, (*x.axes[:k], Axis("T"), *x.axes[k + 1 :]))


def _pool(reader: Reader, node: Any, inputs: list[Any], attrs: dict[str, Any]) -> Data:
    """A mean or the largest over all steps: inputs are the tensor, the axis and the axes that are left."""
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        x = inputs[0]
        _over_time(x)
        inputs = [x, 2, (*x.axes[:2], Axis("1", 1))]
    x, k, left = inputs
    x.axes[k].bind("T")
    layer = MaxPool() if "Max" in node.op_type else MeanPool()
    return _after(reader, node, x, layer, left)


LAYERS: dict[str, Callable[[Any, Any, list[Any], dict[str, Any]], Data]] = {
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Embedding": _embedding,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
    "LayerNormalization": _layer_norm,
    "AveragePool": _window_pool,
    "MaxPool": _window_pool,
    "Pad": _pad,
    "ReduceMax": _pool,
    "ReduceMean": _pool,
    "Softmax": _softmax,
}
"""Each takes the reader, the node, its inputs, of which the first is settled, and its attributes."""
