"""The nodes of any ONNX graph as a chain of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.graph import Node, chain_of
from fastlstm.io.onnx.curves import identified
from fastlstm.io.onnx.folding import attributes, folded, sizes_from
from fastlstm.io.onnx.operators import OPERATORS, UNIFORM
from fastlstm.io.onnx.parsing import ADVICE, Parsed, called_of
from fastlstm.io.onnx.recurrent_patterns import RecurrentNode
from fastlstm.io.onnx.told import tell
from fastlstm.io.onnx.values import Axis, Const, Curve, Data, Dims, Uniform, Unknown, Value
from fastlstm.io.parts import Parts
from fastlstm.layers import Activation, FinalState, Layer

Array = NDArray[Any]


def layers_of(file: Parsed, parts: Parts) -> tuple[list[Layer], np.dtype[Any]]:
    """The layers that compute the first output of a graph from its first input, and their dtype.

    Raises
    ------
    ValueError
        If there is something that no layer stands for. It names the node.
    """
    reader = Reader(file)
    for node in file.proto.graph.node:
        reader.read(node)
    output = file.proto.graph.output[0].name
    value = reader.values.get(output, Unknown(f"output {output!r:.80}: expected a node that gives it, got none"))
    try:
        found = reader.settled(value)
    except ValueError as error:
        raise ValueError(f"{error}{'' if ADVICE in str(error) else ADVICE}") from None
    layers, became = chain_of(reader.nodes, found.source)
    if not layers:
        raise ValueError("expected a graph that does something, got one without layers" + ADVICE)
    tell(reader, became, parts)
    return layers, reader.dtype


class Reader:
    """Goes over the nodes of a graph in their order.

    Attributes
    ----------
    values : dict
        What is known of each tensor, by name.
    nodes : list of Node
        Those of the chain.
    recurrents : dict
        The recurrent nodes among them, by name.
    products : dict
        The products with a matrix, by name: the name of what they are of, and the matrix (O, I).
    readers : Counter
        How many nodes read each tensor.
    settlings : dict
        By the id of a value that was no tensor of a layer, the value and the name of the node that it has become.
    pads : dict
        What Pad makes of a tensor, by name: the name of that, and steps before and behind.
    dtype : numpy.dtype
    """

    def __init__(self, file: Parsed) -> None:
        self.file, self.room = file, 4 * file.nbytes + 2**20
        self.values: dict[str, Value] = {name: Const(array) for name, array in file.constants.items()}
        self.nodes: list[Node] = []
        self.recurrents: dict[str, RecurrentNode] = {}
        self.products: dict[str, tuple[str, Array]] = {}
        self.settlings: dict[int, tuple[Value, str]] = {}
        self.pads: dict[str, tuple[str, int, int]] = {}
        self.readers = Counter(name for node in file.proto.graph.node for name in node.input)
        self.dtype = self._dtype()
        first = True
        for own in file.proto.graph.input:
            if own.name not in self.values:
                self.values[own.name] = self._input(own) if first else Unknown("")
                first = False

    def _dtype(self) -> np.dtype[Any]:
        kinds = {own.dtype for own in self.file.constants.values() if own.dtype.kind == "f" and own.ndim}
        kinds |= {np.dtype("f8") for own in self.file.proto.graph.input if own.type.tensor_type.elem_type == 11}
        if kinds - {np.dtype("f4"), np.dtype("f8")}:
            raise ValueError("expected weights in float32 or float64, got float16" + ADVICE)
        return np.dtype("f8") if np.dtype("f8") in kinds else np.dtype("f4")

    def _input(self, own: Any) -> Value:
        sizes = own.type.tensor_type.shape.dim
        if own.type.tensor_type.elem_type not in (1, 6, 7, 11) or not 2 <= len(sizes) <= 3:
            raise ValueError(f"input {own.name!r:.80}: expected numbers (N, T, F) or tokens (N, T), got something else")
        name = f"input {own.name}"
        self.nodes.append(Node(name))
        return Data(name, tuple(Axis("", dim.dim_value or None) for dim in sizes))

    def read(self, node: Any) -> None:
        """Find out what the outputs of a node are."""
        inputs: list[Value | None] = [self.values[name] if name else None for name in node.input]
        try:
            found = self._outputs(node, inputs)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            reason = str(error) if str(error).startswith("node ") else f"{called_of(node)}: {error}"
            found = [Unknown(reason)] * len(node.output)
        found += [Unknown(f"{called_of(node)}: expected outputs that a layer gives, got another one")] * len(
            node.output
        )
        for name, value in zip(node.output, found, strict=False):
            if name:
                self.values[name] = self._shared(value) if self.readers[name] > 1 else value

    def _shared(self, value: Value) -> Value:
        """A function that several nodes read is a layer for each of them, if it can be one."""
        try:
            return self.settled(value) if isinstance(value, Curve) else value
        except ValueError:
            return value

    def _outputs(self, node: Any, inputs: list[Value | None]) -> list[Value]:
        attrs, op = attributes(node), node.op_type
        for value in inputs[:1]:
            if isinstance(value, Unknown):
                raise ValueError(value.reason or "expected one input that layers read, got a second one")
        if op == "Constant":
            return [self._constant(attrs)]
        constants = [value.array for value in inputs if isinstance(value, Const)]
        if inputs and len(constants) == len([value for value in inputs if value is not None]):
            array = folded(op, constants, attrs, inputs, self.room)
            if array is not None:
                self.room -= array.nbytes if array.base is None else 0
                return [Const(array)]
        if op in UNIFORM and isinstance(inputs[0], Uniform):
            return [inputs[0]] * len(node.output)
        if inputs and isinstance(inputs[0], Dims | Const) and any(isinstance(value, Dims) for value in inputs):
            sizes = sizes_from(op, inputs, attrs)
            if sizes is not None:
                return [sizes]
        if op not in OPERATORS:
            raise ValueError("expected an operator that a layer stands for, got another one")
        return OPERATORS[op](self, node, inputs, attrs)

    @staticmethod
    def _constant(attrs: dict[str, Any]) -> Value:
        kinds = {"value_int": "i8", "value_ints": "i8", "value_float": "f4", "value_floats": "f4"}
        if "value" in attrs:
            return Const(attrs["value"])
        for name, kind in kinds.items():
            if name in attrs:
                return Const(np.array(attrs[name], kind))
        raise ValueError("expected a constant of numbers")

    def emit(self, name: str, before: str, layers: Sequence[Layer]) -> str:
        """A node of the chain. Returns its name, which nothing else has."""
        self.room -= sum(layer.num_parameters for layer in layers) * self.dtype.itemsize
        if self.room < 0:
            raise ValueError("expected weights that one layer reads, got some that many do")
        name = f"{name} {len(self.nodes)}"
        self.nodes.append(Node(name, (before,), layers))
        return name

    def join(self, name: str, before: tuple[str, ...], how: str) -> str:
        name = f"{name} {len(self.nodes)}"
        self.nodes.append(Node(name, before, join=how))
        return name

    def settled(self, value: Value | None) -> Data:
        """What a layer can read."""
        if isinstance(value, Curve):
            return self._settled_as(value, self._activation(value))
        if isinstance(value, Unknown):
            raise ValueError(value.reason or "expected one input that layers read, got a second one")
        if not isinstance(value, Data):
            raise ValueError("expected something computed from the input, got constants")
        if value.ends:
            return self._settled_as(value, self._final(value))
        if value.half is not None or any(axis.role == "D" and axis.size != 1 for axis in value.axes):
            raise ValueError(
                "expected both directions of a recurrent node together, got one of them, or an axis of them"
            )
        return value

    def _settled_as(self, value: Value, data: Data) -> Data:
        self.settlings[id(value)] = value, data.source
        return data

    def _final(self, value: Data) -> Data:
        """The final states of one layer."""
        (name, d), *others = value.ends
        node = self.recurrents[name]
        both = others == [(name, 1)] and d == 0
        if any(axis.role == "S" and axis.size != 1 for axis in value.axes) or not (
            both or (node.directions == 1 and not others)
        ):
            raise ValueError(
                "expected the final states of all directions of one recurrent layer side by side, got others"
            )
        layer = FinalState(bidirectional=both, go_backwards=node.backwards)
        return Data(self.emit(f"{name}, its end", name, [layer]), value.axes)

    def _activation(self, curve: Curve) -> Data:
        name = identified(curve)
        if name is not None:
            base = self.settled(curve.base)
            return Data(self.emit("function", base.source, [Activation(name)]), base.axes)
        if curve.layer is None:
            raise ValueError("expected functions of each number that an Activation has, got another one")
        before = self.settled(curve.before)
        return Data(self.emit("function", before.source, [Activation(curve.layer)]), before.axes)
