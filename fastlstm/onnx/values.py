"""What goes into a session and comes out of it: names, types and shapes, and checks of what is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

TYPES = {
    **{"FLOAT": "float", "DOUBLE": "double", "FLOAT16": "float16", "BFLOAT16": "bfloat16", "BOOL": "bool"},
    **{f"{sign}INT{bits}": f"{sign}int{bits}".lower() for sign in ("", "U") for bits in (2, 4, 8, 16, 32, 64)},
    **{"STRING": "string", "COMPLEX64": "complex64", "COMPLEX128": "complex128"},
}
"""The words of ONNX Runtime for the types of ONNX."""


@dataclass(frozen=True)
class NodeArg:
    """An input or output of a model.

    Attributes
    ----------
    name : str
    shape : list of int, str or None
        Sizes; a name stands for any size, None for one that is not known.
    type : str
        As ONNX Runtime says it: ``"tensor(float)"``, ``"seq(tensor(int64))"``.
    """

    name: str
    shape: list[int | str | None]
    type: str


def argument_of(value: Any) -> NodeArg:
    """What a ValueInfoProto says."""
    return NodeArg(value.name, shape_of(value.type), type_of(value.type))


def type_of(kind: Any) -> str:
    """A TypeProto in words."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        return f"tensor({element_of(kind.tensor_type.elem_type)})"
    if which == "sparse_tensor_type":
        return f"sparse_tensor({element_of(kind.sparse_tensor_type.elem_type)})"
    if which in ("sequence_type", "optional_type"):
        word = "seq" if which == "sequence_type" else "optional"
        return f"{word}({type_of(getattr(kind, which).elem_type)})"
    if which == "map_type":
        return f"map({element_of(kind.map_type.key_type)},{type_of(kind.map_type.value_type)})"
    return "unknown"


def element_of(number: int) -> str:
    names: dict[int, str] = {known: name for name, known in onnx.TensorProto.DataType.items()}
    name = names.get(number, "unknown")
    return TYPES.get(name, name.lower())


def shape_of(kind: Any) -> list[int | str | None]:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return []
    fields = {"dim_value": "dim_value", "dim_param": "dim_param"}
    found: list[int | str | None] = []
    for size in kind.tensor_type.shape.dim:
        which = fields.get(size.WhichOneof("value") or "")
        found.append(None if which is None else getattr(size, which) or None)
    return found


def fed(inputs: Mapping[str, Any], feed: Any, optional: set[str]) -> dict[str, Any]:
    """What is fed, checked against the inputs (ValueInfoProto by name).

    Raises
    ------
    TypeError
        If the feed is no dict.
    ValueError
        If a name, a type or a shape does not fit, or an input is missing.
    """
    if not isinstance(feed, Mapping):
        raise TypeError(f"input_feed: expected a dict of arrays by name, got {type(feed).__name__}")
    known = {*inputs, *optional}
    for name in feed:
        if name not in known:
            raise ValueError(f"input_feed: expected names of {', '.join(inputs) or 'no inputs'}, got {name!r:.80}")
    missing = [name for name in inputs if name not in feed and name not in optional]
    if missing:
        raise ValueError(f"input_feed: expected a value for each input, got none for {', '.join(missing)}")
    return {name: value_for(inputs[name], value) if name in inputs else view(value) for name, value in feed.items()}


def view(value: Any) -> Any:
    """A new object over the same numbers: what a node keeps of a constant it must not keep of this."""
    return np.asarray(value).view()


def value_for(info: Any, value: Any) -> Any:
    """A value for an input of this name, type and shape."""
    kind, name = info.type, f"input_feed {info.name!r}"
    if kind.WhichOneof("value") != "tensor_type":
        return value
    array, expected = view(value), type_of(kind)
    got = type_of_array(array)
    if got != expected:
        raise ValueError(f"{name}: expected {expected}, got {got}")
    if kind.tensor_type.HasField("shape"):
        shape = shape_of(kind)
        fits = len(shape) == array.ndim and all(
            not isinstance(size, int) or size == given for size, given in zip(shape, array.shape, strict=True)
        )
        if not fits:
            said = ", ".join("?" if size is None else str(size) for size in shape)
            raise ValueError(f"{name}: expected shape ({said}), got {array.shape}")
    return array


def type_of_array(array: Any) -> str:
    """The same words for the dtype of an array."""
    if array.dtype.kind in "OUS":
        return "tensor(string)"
    words = {"float32": "float", "float64": "double"}
    name = array.dtype.name.replace("_", "")
    name = {"float4e2m1fn": "float4e2m1", "float8e8m0fnu": "float8e8m0"}.get(name, name)
    return f"tensor({words.get(name, name)})"


def returned(value: Any) -> Any:
    """A result as somebody may keep and change it: no view of a constant, of an input or of another result."""
    if isinstance(value, list):
        return [returned(one) for one in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "U":
        return value.astype(object)  # as ONNX Runtime gives words
    own = value.flags.owndata and value.flags.writeable and value.flags.c_contiguous
    return value if own else value.copy(order="C")
