"""Operators that move axes, and that take parts of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastlstm.io.onnx.folding import axes_of, cut_of, ints_of
from fastlstm.io.onnx.layer_patterns import LAYERS
from fastlstm.io.onnx.values import Axis, Const, Data, Dims, Value, reshaped
from fastlstm.layers import FinalState, Last

if TYPE_CHECKING:
    from fastlstm.io.onnx.patterns import Reader

Inputs = list[Value | None]


def transpose(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value = shaped(reader, inputs[0])
    perm = attrs.get("perm") or list(range(len(value.axes)))[::-1]
    if sorted(perm) != list(range(len(value.axes))):
        raise ValueError(f"expected a perm of {len(value.axes)} axes, got {perm!r:.80}")
    return [replace(value, axes=tuple(value.axes[k] for k in perm))]


def shaped(reader: Reader, value: Value | None) -> Data:
    """Something whose axes can be moved."""
    return value if isinstance(value, Data) else reader.settled(value)


def squeeze(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value, axes = shaped(reader, inputs[0]), axes_of(inputs, attrs)
    rank = len(value.axes)
    gone = {axis % rank for axis in axes} if axes else {k for k, own in enumerate(value.axes) if own.size == 1}
    if any(value.axes[k].size not in (1, None) for k in gone):
        raise ValueError("expected axes of size 1")
    return [replace(value, axes=tuple(own for k, own in enumerate(value.axes) if k not in gone))]


def unsqueeze(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value, axes = shaped(reader, inputs[0]), axes_of(inputs, attrs)
    if axes is None or len(axes) > 4:
        raise ValueError("expected axes that are known")
    found = list(value.axes)
    rank = len(found) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        found.insert(axis, Axis("1", 1))
    return [replace(value, axes=tuple(found))]


def reshape(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value, shape = shaped(reader, inputs[0]), inputs[1] if len(inputs) > 1 else None
    target = shape.entries if isinstance(shape, Dims) else attrs.get("shape") or ints_of(shape)
    if target is None or len(target) > 6:
        raise ValueError("expected a shape that is known")
    return [replace(value, axes=reshaped(value.axes, target))]


def flatten(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value = shaped(reader, inputs[0])
    if attrs.get("axis", 1) != len(value.axes) - 1 or len(value.axes) != 2:
        raise ValueError("expected a Flatten of (N, F)")
    return [value]


def same(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    assert inputs[0] is not None
    return [inputs[0]]


def shape(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value = shaped(reader, inputs[0])
    entries = tuple(axis if axis.size is None else axis.size for axis in value.axes)
    return [Dims(entries[attrs.get("start", 0) : attrs.get("end")])]


def gather(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    axis = attrs.get("axis", 0)
    if isinstance(inputs[0], Const):
        tokens = shaped(reader, inputs[1])
        return [LAYERS["Embedding"](reader, node, [tokens, inputs[0]], attrs)]
    at = inputs[1]
    if not isinstance(at, Const) or at.array.size != 1 or at.array.dtype.kind != "i":
        raise ValueError("expected the index of one step, direction or state")
    value = shaped(reader, inputs[0])
    return [picked(reader, value, axis % len(value.axes), int(at.array.reshape(-1)[0]), keeps=at.array.ndim > 0)]


def picked(reader: Reader, value: Data, k: int, index: int, *, keeps: bool) -> Value:
    """One step, direction or state of those on an axis, which becomes one of size 1 or none."""
    axis = value.axes[k]
    left = (*value.axes[:k], *([Axis("1", 1)] if keeps else []), *value.axes[k + 1 :])
    if axis.role == "S":
        if not -len(value.ends) <= index < len(value.ends):
            raise ValueError(f"expected a state of {len(value.ends)}, got the index {index}")
        return Data("", left, (value.ends[index],))
    if axis.role == "D":
        half = index % 2 if axis.size == 2 else None
        return replace(value, axes=left, half=half)
    data = reader.settled(value)
    axis.bind("T")
    if axis.size is not None and index == axis.size - 1:
        index = -1
    if index not in (-1, 0):
        raise ValueError(f"expected the first or the last step, got the index {index}")
    layer = Last() if index else FinalState(bidirectional=False, go_backwards=True)
    return Data(reader.emit(step_name(index), data.source, [layer]), left)


def step_name(index: int) -> str:
    return "last step" if index else "first step"


def slice_(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value: Value = shaped(reader, inputs[0])
    assert isinstance(value, Data)
    for k, cut in enumerate(cut_of(inputs, attrs, len(value.axes))):
        assert isinstance(value, Data)
        value = part_of(reader, value, k, cut)
    return [value]


def part_of(reader: Reader, value: Data, k: int, cut: slice) -> Value:
    axis, large = value.axes[k], 2**30
    start, stop = cut.start or 0, large if cut.stop is None else cut.stop
    if cut.step not in (None, 1):
        raise ValueError(f"expected a Slice of each step, got every {cut.step}")
    if start == 0 and (stop >= large or stop == axis.size):
        return value
    if axis.role == "S":
        ends = value.ends[start:stop]
        if not ends:
            raise ValueError("expected a Slice of at least one state")
        axes = (*value.axes[:k], Axis("S", len(ends)), *value.axes[k + 1 :])
        return Data("", axes, ends)
    if axis.size is not None:
        start, stop, _ = slice(start, stop).indices(axis.size)
    if stop - start == 1 or (start == -1 and stop >= large):
        return picked(reader, value, k, start, keeps=True)
    raise ValueError("expected a Slice of one step, or of all")


def split(reader: Reader, node: Any, inputs: Inputs, attrs: dict[str, Any]) -> list[Value]:
    value = shaped(reader, inputs[0])
    k, count = attrs.get("axis", 0) % len(value.axes), len(node.output)
    if value.axes[k].role not in ("S", "D") or value.axes[k].size != count:
        raise ValueError("expected a Split of directions or states, one by one")
    return [picked(reader, value, k, index, keeps=True) for index in range(count)]
