"""What each node of a graph has become: layers of a chain, a part of one, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastlstm.io.onnx.values import Curve, Data, Unknown, Value
from fastlstm.io.parts import Parts
from fastlstm.layers import Layer

if TYPE_CHECKING:
    from fastlstm.io.onnx.patterns import Reader

IDLE = {"Identity", "Dropout", "Cast"}

Became = Mapping[str, Sequence[Layer]]
"""The layers of the nodes of a chain, by their names."""


def tell(reader: Reader, became: Became, parts: Parts) -> None:
    """Say what each node has become, in the order of the nodes.

    A node whose output is no tensor of the chain, such as a product before its bias is added, is a part of what the
    node that reads it has become.
    """
    nodes = list(reader.file.proto.graph.node)
    own: list[Sequence[Layer]] = []
    of_tensor: dict[str, Sequence[Layer]] = {}  # what the node that reads a tensor has become
    for node in reversed(nodes):
        values = [reader.values[name] for name in node.output if name]
        layers: Sequence[Layer] = _own(reader, node, values, became)
        if not layers and _goes_on(reader, node, values, became):
            layers = next((of_tensor[name] for name in node.output if of_tensor.get(name)), [])
        own.append(layers)
        for name in node.input:
            of_tensor[name] = layers or of_tensor.get(name, [])
    for node, layers in zip(nodes, reversed(own), strict=True):
        name = node.name or next(iter(node.output), "")
        parts.add(name, node.op_type, layers, "" if layers else _why(reader, node, became))


def _before(reader: Reader, node: Any) -> set[str]:
    """The nodes of the chain that a node reads."""
    return _sources(reader, [reader.values[name] for name in node.input if name])


def _sources(reader: Reader, values: Sequence[Value]) -> set[str]:
    """The nodes of the chain that give some values, or that these became when a layer read them."""
    found = {value.source for value in values if isinstance(value, Data)}
    return found | {reader.settlings[id(value)][1] for value in values if id(value) in reader.settlings}


def _own(reader: Reader, node: Any, values: Sequence[Value], became: Became) -> list[Layer]:
    """The layers that a node itself has become."""
    if node.op_type in IDLE:
        return []
    sources = sorted(_sources(reader, values) - _before(reader, node))
    return [layer for source in sources for layer in became.get(source, ())]


def _goes_on(reader: Reader, node: Any, values: Sequence[Value], became: Became) -> bool:
    """Whether what a node gives is a part of something that comes later."""
    if node.op_type in IDLE:
        return False
    return any(
        isinstance(value, Curve)
        or (isinstance(value, Data) and value.source not in became and value.source not in _before(reader, node))
        for value in values
    )


def _why(reader: Reader, node: Any, became: Became) -> str:
    """Why a node has become nothing."""
    if node.op_type in IDLE:
        return "changes nothing"
    values = [reader.values[name] for name in node.output if name]
    if any(isinstance(value, Data) and (value.ends or value.source in became) for value in values):
        return "turns axes"
    if any(isinstance(value, Data | Curve | Unknown) for value in values):
        return "the output does not need it"
    return "gives constants or sizes"
