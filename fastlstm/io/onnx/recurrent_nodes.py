"""Recurrent layers as nodes of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.builder import Builder, Flow
from fastlstm.io.onnx.gates import FUNCTIONS, ORDERS, PEEPHOLES, reordered
from fastlstm.layers import GRU, LSTM, SimpleRNN
from fastlstm.layers.recurrent.functions import DEFAULTS

Array = NDArray[Any]

OPS: dict[type, str] = {LSTM: "LSTM", GRU: "GRU", SimpleRNN: "RNN"}

REDUCE = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}
"""The operators that merge directions."""


def write_recurrent(graph: Builder, layer: Any, flow: Flow, place: str) -> Flow:
    """All layers of a stack."""
    _require_known(layer)
    states = _states_in(graph, layer, place) if graph.stateful else None
    x = below = graph.add("Transpose", flow.name, perm=[1, 0, 2])
    outputs: list[str] = []
    finals: list[list[str]] = []
    for k in range(layer.num_layers):
        read = graph.add("Concat", below, x, axis=-1) if k and layer._joint.reads_x else below
        y, *final = _one(graph, layer, k, read, flow, None if states is None else [part[k] for part in states])
        finals.append(final)
        y = _merged(graph, layer, y)
        below = graph.add("Add", y, below) if k and layer.residual else y
        outputs.append(below)
    if graph.stateful:
        for part, tensors in zip(layer.parts, zip(*finals, strict=True), strict=True):
            whole = graph.add("Concat", *tensors, axis=0) if len(tensors) > 1 else tensors[0]
            graph.output(whole, f"{part}n_{place}", _state_shape(layer))
    y = graph.add("Concat", *outputs, axis=-1) if layer._joint.gives_all and len(outputs) > 1 else below
    return Flow(graph.add("Transpose", y, perm=[1, 0, 2]), layer.output_shape(flow.shape), flow.lengths)


def _require_known(layer: Any) -> None:
    """Refuse what ONNX has no words for."""
    options = layer.cell.options
    unknown = {"proj_size": getattr(layer, "proj_size", None)}
    if options is not None:
        unknown["layer_norm"], unknown["zoneout"] = options.norm, max(options.zone_h, options.zone_c)
        unknown["cell_clip"] = options.cell_clip < np.inf
    for name, value in unknown.items():
        if value:
            raise ValueError(f"expected a layer without {name}, of which ONNX' {OPS[type(layer)]} knows nothing")


def _state_shape(layer: Any) -> tuple[int | str, ...]:
    return (layer.num_layers * layer.directions, "N", layer.hidden_size)


def _states_in(graph: Builder, layer: Any, place: str) -> list[list[str]]:
    """The parts of the state of each layer, from inputs of the graph."""
    found = []
    for part in layer.parts:
        whole, count = graph.input(f"{part}0_{place}", _state_shape(layer)), layer.num_layers
        found.append([whole] if count == 1 else graph.add_many("Split", (whole,), count, axis=0))
    return found


def _one(graph: Builder, layer: Any, k: int, x: str, flow: Flow, states: list[str] | None) -> list[str]:
    """One layer of a stack. Returns Y (T, D, N, H) and the parts of the final state."""
    ends = [f"_l{k}", f"_l{k}_reverse"][: layer.directions]
    op = OPS[type(layer)]
    inputs = [x, *_weights(graph, layer, op, k, ends), flow.lengths or ""]
    inputs += states or _learned(graph, layer, k, ends, x)
    if states and layer.learn_initial_state:  # which nothing reads; the file has all parameters nevertheless
        _beginnings(graph, layer, k, ends)
    if getattr(layer, "peephole", False):
        inputs += ["", ""][len(inputs) - 5 :]
        inputs.append(graph.constant(f"P_l{k}", np.stack([_peephole(layer, end) for end in ends])))
    while inputs[-1] == "":
        inputs.pop()
    names = graph.add_many(op, tuple(inputs), 1 + len(layer.parts), **_attributes(layer, op))
    return names


def _value(layer: Any, name: str) -> Array:
    return np.asarray(layer.parameter(name).value)


def _weights(graph: Builder, layer: Any, op: str, k: int, ends: list[str]) -> list[str]:
    """W, R and B."""

    def rows(array: Array) -> Array:
        if getattr(layer, "coupled", False):  # which has no rows for f
            i, g, o = np.split(array, 3)
            array = np.concatenate([i, np.zeros_like(i), g, o])
        return reordered(array, ORDERS[op])

    def bias(end: str) -> Array:
        if layer.two_biases:
            return np.concatenate([rows(_value(layer, f"bias_{which}{end}")) for which in ("ih", "hh")])
        own = _value(layer, f"bias{end}")
        hidden, gates = layer.hidden_size, layer.cell.gates
        past = np.zeros(gates * hidden, own.dtype)
        past[len(past) - (len(own) - len(past)) :] = own[len(past) :]  # b' of a GRU
        return np.concatenate([rows(own[: len(past)]), rows(past)])

    names = [
        graph.constant(f"{ours}_l{k}", np.stack([rows(_value(layer, f"weight_{name}{end}")) for end in ends]))
        for ours, name in (("W", "ih"), ("R", "hh"))
    ]
    return [*names, graph.constant(f"B_l{k}", np.stack([bias(end) for end in ends])) if layer.bias else ""]


def _peephole(layer: Any, end: str) -> Array:
    own = _value(layer, f"peephole{end}")
    if layer.coupled:
        i, o = np.split(own, 2)
        own = np.concatenate([i, np.zeros_like(i), o])
    return reordered(own, PEEPHOLES)


def _learned(graph: Builder, layer: Any, k: int, ends: list[str], x: str) -> list[str]:
    """The learned initial state of one layer, for each row."""
    if not layer.learn_initial_state:
        return []
    rows = graph.add("Shape", x, start=1, end=2)
    shape = graph.add("Concat", graph.ints(len(ends)), rows, graph.ints(layer.hidden_size), axis=0)
    return [graph.add("Expand", value, shape) for value in _beginnings(graph, layer, k, ends)]


def _beginnings(graph: Builder, layer: Any, k: int, ends: list[str]) -> list[str]:
    """The parts of a learned state, each (D, 1, H)."""
    values = {part: np.stack([_value(layer, f"{part}0{end}") for end in ends])[:, None] for part in layer.parts}
    return [graph.constant(f"{part}0_l{k}", value) for part, value in values.items()]


def _attributes(layer: Any, op: str) -> dict[str, Any]:
    """The attributes of a node, the functions only where they are not the usual ones."""
    direction = "bidirectional" if layer.bidirectional else "reverse" if layer.go_backwards else "forward"
    found: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    if op == "GRU":
        found["linear_before_reset"] = int(layer.reset_gate == "after")
    if getattr(layer, "coupled", False):
        found["input_forget"] = 1
    options = layer.cell.options
    functions = [(layer.activation, 0.0, 0.0)] if op == "RNN" else []
    if options is not None:
        functions = {
            "LSTM": [options.gate, options.candidate, options.output],
            "GRU": [options.gate, options.candidate],
            "RNN": [options.candidate],
        }[op]
        if options.clip < np.inf:
            found["clip"] = options.clip
    if [name for name, _, _ in functions] not in ([], ["tanh"], ["sigmoid", "tanh"], ["sigmoid", "tanh", "tanh"]):
        found |= _named(functions * layer.directions)
    return found


def _named(functions: list[tuple[str, float, float]]) -> dict[str, Any]:
    alpha = [own[1] for own in functions if DEFAULTS[own[0]]]
    beta = [own[2] for own in functions if len(DEFAULTS[own[0]]) > 1]
    found: dict[str, Any] = {"activations": [FUNCTIONS[own[0]] for own in functions]}
    return found | ({"activation_alpha": alpha} if alpha else {}) | ({"activation_beta": beta} if beta else {})


def _merged(graph: Builder, layer: Any, y: str) -> str:
    """The outputs of the directions, (T, D, N, H), as one (T, N, ·)."""
    y = graph.add("Transpose", y, perm=[0, 2, 1, 3])
    if layer.merge == "concat" or not layer.bidirectional:
        return graph.add("Reshape", y, graph.ints(0, 0, layer.directions * layer.hidden_size))
    if layer.merge == "sum":
        return graph.add("ReduceSum", y, graph.ints(2), keepdims=0)
    return graph.add(REDUCE[layer.merge], y, axes=[2], keepdims=0)
