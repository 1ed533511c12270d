"""What each operator of a graph amounts to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.io.onnx.curves import MOST_DEPTH, function_named
from fastlstm.io.onnx.folding import axes_of
from fastlstm.io.onnx.layer_patterns import LAYERS, biased, dense
from fastlstm.io.onnx.moving import (
    Inputs,
    flatten,
    gather,
    reshape,
    same,
    shape,
    shaped,
    slice_,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from fastlstm.io.onnx.recurrent_patterns import RecurrentNode
from fastlstm.io.onnx.values import (
    POINTS,
    Axis,
    Const,
    Curve,
    Data,
    Dims,
    Rows,
    Uniform,
    Unknown,
    Value,
    uniform,
)

if TYPE_CHECKING:
    from fastlstm.io.onnx.patterns import Reader

Operator = Callable[["Reader", Any, Inputs, dict[str, Any]], list[Value]]

UNIFORM = {"Identity", "Cast", "Slice", "Gather", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Expand", "Split"}
"""Operators that leave an array of one number such a one."""


def _recurrent(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    x = reader.settled(inputs[0])
    if len(x.axes) != 3:
        raise ValueError(f"expected an input of three axes, got {len(x.axes)}")
    batch_first = bool(attrs.get("layout", 0))
    time, batch = (x.axes[1], x.axes[0]) if batch_first else (x.axes[0], x.axes[1])
    for axis, role in ((time, "T"), (batch, "N"), (x.axes[2], "F")):
        axis.bind(role)
    lengths = inputs[4] if len(inputs) > 4 else None
    if not (lengths is None or isinstance(lengths, Unknown | Dims)):
        raise ValueError("expected sequence_lens that are an input of the graph, got constants")
    own = RecurrentNode(node.op_type, inputs, attrs, x.axes[2].size)
    name = reader.emit(node.name or node.op_type, x.source, [own.layer()])
    reader.recurrents[name] = own
    directions, features = Axis("D", own.directions), Axis("F", own.hidden)
    states, ends = Axis("S", own.directions), tuple((name, d) for d in range(own.directions))
    y = (batch, time, directions, features) if batch_first else (time, directions, batch, features)
    h = (batch, states, Axis("F", own.hidden)) if batch_first else (states, batch, Axis("F", own.hidden))
    return [Data(name, y), Data("", h, ends)]


def _filled(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value = attrs.get("value")
    return [Uniform(0.0 if value is None else float(value.reshape(-1)[0]))]


def _expand(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    if not isinstance(inputs[0], Const):
        raise ValueError("expected constants that are expanded")
    array = inputs[0].array
    return [uniform(array) or Rows(array)]


def _concat(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    if all(isinstance(value, Uniform) for value in inputs) and len(set(inputs)) == 1:
        return same(reader, node, inputs, attrs)
    values = [shaped(reader, value) for value in inputs]
    first, rank = values[0], len(values[0].axes)
    k = attrs["axis"] % rank
    if any(len(value.axes) != rank for value in values):
        raise ValueError("expected tensors with as many axes, got others")
    if all(value.ends for value in values):
        ends = tuple(end for value in values for end in value.ends)
        stacks = value_role(first, k) in ("S", "1")
        axis = Axis("S", len(ends)) if stacks else Axis("F", sum(value.axes[k].size or 0 for value in values))
        return [Data("", (*first.axes[:k], axis, *first.axes[k + 1 :]), ends)]
    if [value.half for value in values] == [0, 1] and len({value.source for value in values}) == 1:
        axis = Axis("F", 2 * (first.axes[k].size or 0))
        return [Data(first.source, (*first.axes[:k], axis, *first.axes[k + 1 :]))]
    data = [reader.settled(value) for value in values]
    for own in data:
        own.axes[k].bind("F")
        _require_alike(data[0].axes[:k] + data[0].axes[k + 1 :], own.axes[:k] + own.axes[k + 1 :])
    sizes = [own.axes[k].size for own in data]
    axis = Axis("F", sum(size for size in sizes if size) if all(sizes) else None)
    name = reader.join(node.name or "Concat", tuple(own.source for own in data), "concat")
    return [Data(name, (*data[0].axes[:k], axis, *data[0].axes[k + 1 :]))]


def value_role(value: Data, k: int) -> str:
    return value.axes[k].role


def _require_alike(axes: tuple[Axis, ...], others: tuple[Axis, ...]) -> None:
    for axis, other in zip(axes, others, strict=True):
        if axis is not other and axis.role != other.role:
            raise ValueError("expected tensors whose axes are in the same order, got others")


MERGES = {"Add": "sum", "Mul": "mul", "ReduceSum": "sum", "ReduceMean": "ave", "ReduceProd": "mul"}


def _merged(reader: Reader, name: str, merge: str, axes: tuple[Axis, ...]) -> Data:
    """Both directions of a recurrent node, which come together in this way."""
    (source,) = [own.inputs for own in reader.nodes if own.name == name]
    return Data(reader.emit(f"{name}, {merge}", source[0], [reader.recurrents[name].layer(merge)]), axes)


def _binary(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    op, (a, b) = node.op_type, inputs
    a, b = (Const(np.array(v.value)) if isinstance(v, Uniform) else v for v in (a, b))
    if isinstance(a, Const) or isinstance(b, Const):
        constant, other = (a, b) if isinstance(a, Const) else (b, a)
        assert isinstance(constant, Const)
        return [_with_constant(reader, op, other, constant.array, first=isinstance(a, Const))]
    halves = [value for value in (a, b) if isinstance(value, Data) and value.half is not None]
    if len(halves) == 2 and op in MERGES and {own.half for own in halves} == {0, 1}:
        if halves[0].source == halves[1].source:
            return [_merged(reader, halves[0].source, MERGES[op], halves[0].axes)]
    if op == "Add":
        try:
            return [_sum(reader, node, a, b)]
        except ValueError:
            if not isinstance(a, Curve | Data) or not isinstance(b, Curve | Data):
                raise
    curves = [_curve(reader, value) for value in (a, b)]
    if curves[0].base.source != curves[1].base.source:
        raise ValueError("expected tensors that are added, or a function of one tensor, got others")
    ufunc = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op]
    return [_deeper(curves, lambda left, right: ufunc(left, right))]


def _sum(reader: Reader, node: Any, a: Value | None, b: Value | None) -> Data:
    data = [reader.settled(value) for value in (a, b)]
    if len(data[0].axes) != len(data[1].axes):
        raise ValueError("expected tensors with as many axes, got others")
    _require_alike(data[0].axes, data[1].axes)
    return Data(reader.join(node.name or "Add", (data[0].source, data[1].source), "add"), data[0].axes)


def _curve(reader: Reader, value: Value | None) -> Curve:
    """A tensor as a function of another one, or of itself."""
    if isinstance(value, Curve):
        return value
    data = reader.settled(value)
    return Curve(data, POINTS, data, ("affine", 1.0, 0.0), 0)


def _deeper(curves: list[Curve], function: Any, layer: Any = None) -> Curve:
    depth = 1 + max(own.depth for own in curves)
    if depth > MOST_DEPTH:
        raise ValueError(f"expected functions of at most {MOST_DEPTH} operators")
    with np.errstate(all="ignore"):
        values = np.asarray(function(*(own.values for own in curves)))
    return Curve(curves[0].base, values, curves[0], layer, depth)


def _with_constant(reader: Reader, op: str, other: Value | None, array: Any, *, first: bool) -> Value:
    """A tensor and a number, or a number for each feature."""
    if array.size == 1 and not (op == "Add" and isinstance(other, Data) and other.source in reader.products):
        number, curve = float(array.reshape(-1)[0]), _curve(reader, other)
        lines = {"Add": (1.0, number), "Mul": (number, 0.0)}
        if first and op in ("Sub", "Div"):
            if op == "Sub":
                lines["Sub"] = (-1.0, number)
            else:
                return _deeper([curve], lambda x: number / x)
        elif op == "Sub":
            lines["Sub"] = (1.0, -number)
        elif op == "Div":
            lines["Div"] = (1.0 / number, 0.0)
        slope, start = lines[op]
        before = other if isinstance(other, Data) else curve
        found = _deeper([curve], lambda x: slope * x + start, ("affine", slope, start))
        return replace(found, before=before)
    if op not in ("Add", "Mul"):
        raise ValueError("expected numbers for each feature that are added or multiplied, got others")
    return biased(reader, op, reader.settled(other), array)


def _power(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    if not isinstance(inputs[1], Const) or inputs[1].array.size != 1:
        raise ValueError("expected a power that is a number")
    curve, number = _curve(reader, inputs[0]), float(inputs[1].array.reshape(-1)[0])
    return [_deeper([curve], lambda x: x**number)]


def _unary(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    found = function_named(node.op_type, attrs)
    assert found is not None
    (layer, own), curve = found, _curve(reader, inputs[0])
    return [_deeper([curve], own, layer)]


def _reduce(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value, axes = shaped(reader, inputs[0]), axes_of(inputs, attrs)
    if axes is None or len(axes) != 1:
        raise ValueError("expected one axis")
    k = axes[0] % len(value.axes)
    kept = [Axis("1", 1)] if attrs.get("keepdims", 1) else []
    left = (*value.axes[:k], *kept, *value.axes[k + 1 :])
    if value.axes[k].role == "D" and node.op_type in MERGES:
        return [_merged(reader, value.source, MERGES[node.op_type], left)]
    return [LAYERS[node.op_type](reader, node, [reader.settled(value), k, left], attrs)]


def _layer(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    return [LAYERS[node.op_type](reader, node, [reader.settled(inputs[0]), *inputs[1:]], attrs)]


def _dense(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    return [dense(reader, node, [reader.settled(inputs[0]), *inputs[1:]], attrs)]


OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _binary),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum", "ReduceProd"), _reduce),
    **dict.fromkeys(("Conv", "MaxPool", "BatchNormalization", "LayerNormalization", "Softmax", "Pad"), _layer),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool"), _layer),
    **dict.fromkeys(("MatMul", "Gemm"), _dense),
    **dict.fromkeys(
        ("Sigmoid", "Tanh", "Relu", "HardSigmoid", "Softsign", "Softplus", "LeakyRelu", "ThresholdedRelu", "Elu", "Exp")
        + ("Gelu", "Erf", "Neg", "Abs", "Sqrt"),
        _unary,
    ),
    "Pow": _power,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Reshape": reshape,
    "Flatten": flatten,
    "Shape": shape,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Gather": gather,
    "Slice": slice_,
    "Split": split,
    "Concat": _concat,
}
"""The operators that are known. Each takes the reader, the node, its inputs and its attributes."""
