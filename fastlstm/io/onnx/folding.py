"""Operators on arrays that are known, and on sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.parsing import array_of
from fastlstm.io.onnx.values import Axis, Const, Dims, Value

Array = NDArray[Any]

DTYPES = {1: "f4", 6: "i4", 7: "i8", 9: "?", 11: "f8", 10: "f2"}
"""The types that a Cast may ask for."""

TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
"""The fields of an attribute by its type."""


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node."""
    found = {}
    for own in node.attribute:
        if own.type not in TYPES:
            raise ValueError(f"{own.name:.40}: expected an attribute that is a number, a text or an array")
        value = getattr(own, TYPES[own.type])
        if own.type == 4:
            value = array_of(value, own.name)
        elif own.type in (6, 7, 8):
            value = list(value)
        found[own.name] = value.decode() if isinstance(value, bytes) else value
    return found


def ints_of(value: Value | None) -> list[int] | None:
    """A list of whole numbers; None if it is not known."""
    if isinstance(value, Const) and value.array.dtype.kind in "iu" and value.array.size < 1000:
        return [int(k) for k in value.array.reshape(-1)]
    if isinstance(value, Dims) and all(isinstance(entry, int) for entry in value.entries):
        return [entry for entry in value.entries if isinstance(entry, int)]
    return None


def axes_of(inputs: list[Value | None], attrs: dict[str, Any], place: int = 1) -> list[int] | None:
    """The axes of a Squeeze and the like: an attribute, or an input in later opsets."""
    if "axes" in attrs:
        return [int(k) for k in attrs["axes"]]
    return ints_of(inputs[place]) if len(inputs) > place and inputs[place] is not None else None


def cut_of(inputs: list[Value | None], attrs: dict[str, Any], rank: int) -> tuple[slice, ...]:
    """The slices of a Slice."""
    if "starts" in attrs:
        starts, ends, axes, steps = attrs["starts"], attrs["ends"], attrs.get("axes"), None
    else:
        starts, ends, axes, steps = (ints_of(inputs[k]) if len(inputs) > k else None for k in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise ValueError("expected a Slice whose ends are known")
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or any(not -rank <= axis < rank for axis in axes):
        raise ValueError("expected a Slice with as many starts as ends and axes that there are")
    if 0 in steps:
        raise ValueError("expected a Slice with steps other than 0")
    cuts = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cuts[axis] = slice(start, None if step < 0 and end < -(2**31) else end, step)
    return tuple(cuts)


Fold = Callable[[list[Any], dict[str, Any], list[Value | None]], Array]

ARRAYS: dict[str, Fold] = {
    "Identity": lambda a, attrs, _: a[0],
    "Dropout": lambda a, attrs, _: a[0],
    "Cast": lambda a, attrs, _: a[0].astype(DTYPES[attrs["to"]]),
    "Transpose": lambda a, attrs, _: a[0].transpose(attrs.get("perm")),
    "Concat": lambda a, attrs, _: np.concatenate(a, axis=attrs["axis"]),
    "Gather": lambda a, attrs, _: np.take(a[0], a[1], axis=attrs.get("axis", 0)),
    "Slice": lambda a, attrs, inputs: a[0][cut_of(inputs, attrs, a[0].ndim)],
    "Add": lambda a, attrs, _: a[0] + a[1],
    "Sub": lambda a, attrs, _: a[0] - a[1],
    "Mul": lambda a, attrs, _: a[0] * a[1],
    "Div": lambda a, attrs, _: a[0] // a[1] if a[0].dtype.kind == "i" else a[0] / a[1],
    "Neg": lambda a, attrs, _: -a[0],
    "Sqrt": lambda a, attrs, _: np.sqrt(a[0]),
    "Shape": lambda a, attrs, _: np.array(a[0].shape, np.int64)[attrs.get("start", 0) : attrs.get("end")],
}
"""What becomes of arrays."""


def folded(op: str, arrays: list[Array], attrs: dict[str, Any], inputs: list[Value | None], most: int) -> Array | None:
    """The array that an operator makes of others, of at most so many bytes; None for an operator that is not known."""
    if op in ("Squeeze", "Unsqueeze"):
        axes = axes_of(inputs, attrs)
        if op == "Squeeze":
            return np.squeeze(arrays[0], None if axes is None else tuple(axes))
        return np.expand_dims(arrays[0], tuple(axes or ()))
    if op == "Reshape":
        sizes = attrs.get("shape") or ints_of(inputs[1]) or []
        whole = [
            arrays[0].shape[k] if size == 0 and not attrs.get("allowzero") else size for k, size in enumerate(sizes)
        ]
        return arrays[0].reshape(whole)
    if op not in ARRAYS:
        return None
    need = sum(array.nbytes for array in arrays)
    if op in ("Add", "Sub", "Mul", "Div"):
        need = int(np.prod(np.broadcast_shapes(*(array.shape for array in arrays)), dtype=float)) * 8
    elif op == "Gather":
        need = arrays[0].nbytes * max(1, arrays[1].size)
    if need > most:
        raise ValueError(f"expected constants of at most {most} bytes, got {need}")
    with np.errstate(all="ignore"):
        return ARRAYS[op](arrays, attrs, inputs)


def sizes_from(op: str, inputs: list[Value | None], attrs: dict[str, Any]) -> Dims | None:
    """What an operator makes of sizes; None for an operator that is not known."""
    parts = [_as_dims(value) for value in inputs]
    first = parts[0]
    if first is None:
        return None
    if op in ("Identity", "Cast"):
        return first
    if op == "Unsqueeze":
        return Dims(first.entries)
    if op in ("Squeeze", "Reshape"):
        scalar = op == "Squeeze" or ints_of(inputs[1]) == []
        return Dims(first.entries, scalar=scalar and len(first.entries) == 1)
    if op == "Concat" and all(part is not None for part in parts):
        return Dims(tuple(entry for part in parts if part is not None for entry in part.entries))
    if op == "Gather" and len(inputs) > 1 and isinstance(inputs[1], Const):
        places = inputs[1].array
        if places.size > 100:
            raise ValueError("expected a Gather of fewer sizes")
        return Dims(tuple(first.entries[int(k)] for k in places.reshape(-1)), scalar=places.ndim == 0)
    if op == "Slice":
        (cut,) = cut_of(inputs, attrs, 1)
        return Dims(first.entries[cut])
    if op in ("Add", "Sub", "Mul", "Div"):
        return _computed(op, first, parts[1])
    return None


def _computed(op: str, a: Dims, b: Dims | None) -> Dims | None:
    if b is None:
        return None
    functions: dict[str, Callable[[int, int], int]] = {
        "Add": lambda x, y: x + y,
        "Sub": lambda x, y: x - y,
        "Mul": lambda x, y: x * y,
        "Div": lambda x, y: x // y,
    }
    count = max(len(a.entries), len(b.entries))
    left, right = (own.entries * (count if len(own.entries) == 1 else 1) for own in (a, b))
    found: list[int | Axis | None] = []
    for x, y in zip(left, right, strict=True):
        known = isinstance(x, int) and isinstance(y, int) and abs(x) < 2**40 and abs(y) < 2**40
        found.append(functions[op](x, y) if known and not (op == "Div" and y == 0) else None)  # type: ignore[arg-type]
    return Dims(tuple(found), scalar=a.scalar and b.scalar)


def _as_dims(value: Value | None) -> Dims | None:
    if isinstance(value, Dims):
        return value
    numbers = ints_of(value)
    if numbers is None or not isinstance(value, Const):
        return None
    return Dims(tuple(numbers), scalar=value.array.ndim == 0)
