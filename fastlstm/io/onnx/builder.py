"""An ONNX graph that is being written, node by node."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlstm._check import Shape
from fastlstm.io.onnx.gates import package

Array = NDArray[Any]

OPSET = 17
"""The first one with LayerNormalization. ONNX Runtime has read it since 1.12."""

IR_VERSION = 8
"""That of the same time."""


class Flow(NamedTuple):
    """What goes from layer to layer.

    Attributes
    ----------
    name : str
        The name of the tensor.
    shape : Shape
        (N, T, F) or (N, F), with names where sizes are not known.
    lengths : str or None
        The tensor (N,) of the numbers of real steps, if sequences have lengths.
    """

    name: str
    shape: Shape
    lengths: str | None = None


class Builder:
    """Nodes, constants, inputs and outputs of a graph.

    Attributes
    ----------
    dtype : numpy.dtype
    stateful : bool
        Whether states are inputs and outputs.
    place : str
        Of the layer that is being written, in the names of its nodes.
    constants : dict
        Arrays by name: of a layer's own ones its place, a dot and a name.
    weights : dict
        The names of the tensors of parameters that several layers use, by their id.
    """

    def __init__(self, dtype: np.dtype[Any], *, stateful: bool) -> None:
        self.dtype, self.stateful, self.place = dtype, stateful, ""
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.weights: dict[int, str] = {}
        self.constants: dict[str, Array] = {}
        self._onnx = package()
        self._kind = self._onnx.helper.np_dtype_to_tensor_dtype(dtype)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; returns its name."""
        return self.add_many(op, inputs, 1, **attributes)[0]

    def add_many(self, op: str, inputs: tuple[str, ...], outputs: int, **attributes: Any) -> list[str]:
        """A node with several outputs; returns their names."""
        name = f"{self.place}/{op}_{len(self.nodes)}"
        names = [name, *(f"{name}_{k}" for k in range(1, outputs))]
        self.nodes.append(self._onnx.helper.make_node(op, inputs, names, name=name, **attributes))
        return names

    def constant(self, name: str, array: Array) -> str:
        """A constant that belongs to the layer at `place`."""
        name = f"{self.place}.{name}"
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def number(self, value: float) -> str:
        """A number of the model's dtype."""
        name = f"number {value!r}"
        self.constants[name] = np.array(value, self.dtype)
        return name

    def ints(self, *values: int) -> str:
        """A list of whole numbers."""
        name = f"ints {' '.join(map(str, values))}"
        self.constants[name] = np.array(values, np.int64)
        return name

    def input(self, name: str, shape: Shape, kind: Any = None) -> str:
        self.inputs.append(self._info(name, shape, kind))
        return name

    def output(self, tensor: str, name: str, shape: Shape) -> None:
        self.nodes.append(self._onnx.helper.make_node("Identity", [tensor], [name], name=name))
        self.outputs.append(self._info(name, shape, None))

    def _info(self, name: str, shape: Shape, kind: Any) -> Any:
        helper = self._onnx.helper
        kind = self._kind if kind is None else helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return helper.make_tensor_value_info(
            name, kind, [str(size) if isinstance(size, str) else size for size in shape]
        )

    def model(self, version: str) -> Any:
        """The whole as a ModelProto."""
        helper = self._onnx.helper
        constants = [self._onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "fastlstm", self.inputs, self.outputs, constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="fastlstm", producer_version=version
        )

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.constants.values())

    def real(self, flow: Flow) -> str:
        """Which steps are real, bools (N, T, 1)."""
        assert flow.lengths is not None
        steps = self.add("Squeeze", self.add("Shape", flow.name, start=1, end=2))
        lengths = self.add("Cast", flow.lengths, to=7)
        numbers = self.add("Range", self.scalar(0), steps, self.scalar(1))
        real = self.add("Less", numbers, self.add("Unsqueeze", lengths, self.ints(1)))
        return self.add("Unsqueeze", real, self.ints(2))

    def masked(self, flow: Flow, value: float) -> str:
        """The tensor with a number at steps that are not real."""
        if flow.lengths is None or len(flow.shape) != 3:
            return flow.name
        return self.add("Where", self.real(flow), flow.name, self.number(value))

    def scalar(self, value: int) -> str:
        name = f"int {value}"
        self.constants[name] = np.array(value, np.int64)
        return name
