"""Nodes whose inputs are constants are computed once, when a model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Values = Sequence[Any]

LEAST_ROOM = 1 << 20
"""Bytes that constants may take, however small the file is."""


def whole(values: Values) -> int:
    """The numbers of all inputs."""
    return sum(value.size for value in values if value is not None)


def together(values: Values) -> int:
    """The numbers of inputs that are broadcast together."""
    return int(np.prod([float(size) for size in np.broadcast_shapes(*(v.shape for v in values if v is not None))]))


def filled(values: Values) -> int:
    """The numbers of an array of the shape that the first input says."""
    return int(np.prod(values[0].astype(float)))


def expanded(values: Values) -> int:
    return int(np.prod(np.maximum(values[1], 1).astype(float)) * values[0].size)


def gathered(values: Values) -> int:
    return int(values[1].size * values[0].size)


BOUNDS: dict[str, Callable[[Values], int]] = {
    **dict.fromkeys(
        "Abs Cast CastLike Ceil Concat Constant Cos Div Exp Erf Flatten Floor Identity Log Neg Not Reciprocal "
        "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round Sigmoid Shape Sign Sin Size Slice "
        "Softmax Sqrt Squeeze Tanh Transpose Unsqueeze".split(),
        whole,
    ),
    **dict.fromkeys(
        "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mul Or Pow Sub Sum Where Xor".split(),
        together,
    ),
    "ConstantOfShape": filled,
    "Expand": expanded,
    "Tile": lambda values: expanded((values[0], values[1])),
    "Gather": gathered,
}
"""The operators that are folded, each with a bound on the numbers that it makes. No random ones are among them."""


def fold(evaluator: Any, room: int) -> int:
    """Compute what follows from constants, and take these nodes out; those of graphs within it, too.

    Parameters
    ----------
    evaluator : Evaluator
    room : int
        Bytes that the results may take.

    Returns
    -------
    int
        Bytes that are left.
    """
    return _fold(evaluator, {}, {*evaluator.input_names}, room)


def _fold(evaluator: Any, outer: dict[str, Any], given: set[str], room: int) -> int:
    """`fold` of a graph that sees constants of an outer one. What is given to it may replace initializers."""
    known = {name: value for name, value in outer.items() if name not in given}
    for name, value in evaluator.rt_inits_.items():
        freeze(value)
        if name not in given:
            known[name] = value
    left = []
    for node in evaluator.rt_nodes_:
        room, results = _result(node, known, room)
        if results is None:
            left.append(node)
            for name in node.output:
                known.pop(name, None)
            for inner in vars(node).values():
                if isinstance(inner, type(evaluator)) and node.has_subgraph:
                    room = _fold(inner, known, {*inner.input_names}, room)
            continue
        for name, value in zip(node.output, results, strict=False):
            freeze(value)
            known[name] = evaluator.rt_inits_[name] = value
    evaluator.rt_nodes_ = left
    return room


def _result(node: Any, known: dict[str, Any], room: int) -> tuple[int, Any]:
    """What a node computes from constants, or None, and the room that is left."""
    bound = BOUNDS.get(node.op_type) if node.domain == "" else None
    if bound is None or node.has_linked_attribute or not all(name in known or not name for name in node.input):
        return room, None
    values = [known.get(name) for name in node.input]
    if not all(value is None or isinstance(value, np.ndarray) for value in values):
        return room, None
    try:
        if node.op_type != "Constant" and not 0 <= bound(values) * 8 <= room:  # a number has up to 8 bytes
            return room, None
        with np.errstate(all="ignore"):
            results = node.run(*values)
    except Exception:  # it raises the same when it is run, with its name
        return room, None
    if node.op_type == "Constant":
        return room, results
    return room - sum(value.nbytes for value in results if isinstance(value, np.ndarray)), results


def freeze(value: Any) -> None:
    """Let nobody change a constant in place. What nodes keep of it stays true."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
