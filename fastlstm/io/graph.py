"""A graph of nodes, as frameworks write their models, as a chain of layers: branches become layers that hold chains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from fastlstm.io.architecture import MOST_DEPTH
from fastlstm.layers import Add, Concat, Layer, Residual

MOST_NODES = 4000
"""The largest number of nodes, and of inputs of all nodes together: how branches nest is found in n² steps at most."""


@dataclass(frozen=True)
class Node:
    """A part of a model, which reads what others give.

    Attributes
    ----------
    name : str
        As errors name it. No other node has it.
    inputs : tuple of str
        The names of the nodes that it reads. The input of the model reads none.
    layers : sequence of Layer
        What it does to its one input; none leave that as it is.
    join : str or None
        How several inputs come together, "add" or "concat" (side by side on the last axis); it then has no layers.
    """

    name: str
    inputs: tuple[str, ...] = ()
    layers: Sequence[Layer] = ()
    join: str | None = None


def chain_of(nodes: Iterable[Node], output: str) -> tuple[list[Layer], Mapping[str, Sequence[Layer]]]:
    """The layers, one after the other, that compute a node of a graph from its one input.

    Where paths part and come together again stands a `Residual`, `Add` or `Concat`, within another one where
    branches have a longer beginning in common. Nodes that the output does not need do not count.

    Parameters
    ----------
    nodes : iterable of Node
    output : str
        The name of the node whose output is that of the model.

    Returns
    -------
    list of Layer
    dict of str to layers
        What each node that the output needs has become, by its name: its own layers, or the one that joins its inputs
        (several where some of them have a longer beginning in common).

    Raises
    ------
    ValueError
        If a node reads one that is not there, there is a circle, more than one input or none, a join of another kind,
        a node that is read by branches that do not lie within each other, or too many nodes. It names the node.
    """
    graph = _Graph(nodes, output)
    return graph.chain_from_input(), graph.became


class _Graph:
    """The nodes that an output needs, with what lies on all paths to each: its dominators, which form a tree."""

    def __init__(self, nodes: Iterable[Node], output: str) -> None:
        self.output = output
        self.nodes = _needed(nodes, output)
        try:
            order = list(TopologicalSorter({name: node.inputs for name, node in self.nodes.items()}).static_order())
        except CycleError as error:
            raise ValueError(f"{error.args[1][0]}: expected no circle of nodes, got one through it") from None
        inputs = [name for name in order if not self.nodes[name].inputs]
        if len(inputs) != 1:
            raise ValueError(f"inputs: expected one that {output!r} is computed from, got {', '.join(sorted(inputs))}")
        self.input = inputs[0]
        self.parent: dict[str, str] = {}
        self.depth = {self.input: 0}
        for name in order[1:]:
            self.parent[name] = self.common(self.nodes[name].inputs)
            self.depth[name] = self.depth[self.parent[name]] + 1
        self.became: dict[str, list[Layer]] = {}

    def common(self, names: Sequence[str]) -> str:
        """The last node that all paths to these nodes go through, which may be one of them."""
        found, *others = names
        for other in others:
            while found != other:
                if self.depth[found] < self.depth[other]:
                    found, other = other, found
                found = self.parent[found]
        return found

    def chain_from_input(self) -> list[Layer]:
        first = self._use(self.input)
        return [*first, *self.chain(self.input, self.output, 0)]

    def chain(self, start: str, end: str, depth: int) -> list[Layer]:
        """The layers from the output of a node to that of another one, which all paths to reach."""
        pieces: list[Sequence[Layer]] = []
        while end != start:
            node = self.nodes[end]
            layers = self._use(end)
            if node.join is None:
                pieces.append(layers)
                (end,) = node.inputs
            else:
                end = self.parent[end]
                pieces.append([self.joined(end, node.inputs, node, depth + 1)])
        return [layer for piece in reversed(pieces) for layer in piece]

    def joined(self, start: str, ends: Sequence[str], node: Node, depth: int) -> Layer:
        """The layer that computes several nodes from the output of one, and joins them as a node does."""
        if depth > MOST_DEPTH:
            raise ValueError(f"{ends[0]}: expected branches within at most {MOST_DEPTH} others")
        groups: dict[str | int, list[str]] = {}
        keys: list[str | int] = []
        for k, end in enumerate(ends):
            key: str | int = k if end == start else self._below(start, end)
            if node.join == "concat" and keys and key in groups and keys[-1] != key:
                self._refuse(self.common([groups[key][0], end]))  # side by side, only neighbours can be one branch
            groups.setdefault(key, []).append(end)
            keys.append(key)
        chains = [self._branch(start, group, node, depth) for group in groups.values()]
        past = [chain for chain in chains if not chain]
        own = [chain for chain in chains if chain]
        layer: Layer
        if node.join == "concat":
            layer = Concat(*chains)
        else:
            layer = Residual(own[0]) if len(past) == len(own) == 1 else Add(*chains)
        self.became[node.name].append(layer)
        return layer

    def _branch(self, start: str, ends: list[str], node: Node, depth: int) -> list[Layer]:
        """The chain to the node that some ends have in common, and their join behind it."""
        if len(ends) == 1:
            return self.chain(start, ends[0], depth)
        shared = self.common(ends)
        return [*self.chain(start, shared, depth), self.joined(shared, ends, node, depth + 1)]

    def _below(self, start: str, end: str) -> str:
        """The first node behind `start` that all paths from there to `end` go through."""
        while self.parent[end] != start:
            end = self.parent[end]
        return end

    def _use(self, name: str) -> Sequence[Layer]:
        if name in self.became:
            self._refuse(name)
        self.became[name] = [*self.nodes[name].layers]
        return self.nodes[name].layers

    def _refuse(self, name: str) -> None:
        raise ValueError(
            f"{name}: expected branches that lie within each other or side by side, as layers that hold chains do, got "
            "one node that is read by several branches that do not; give each branch layers of its own"
        )


def _needed(nodes: Iterable[Node], output: str) -> dict[str, Node]:
    """The nodes, by name, that a node is computed from, and itself. Each is checked."""
    known: dict[str, Node] = {}
    for node in nodes:
        if node.name in known:
            raise ValueError(f"{node.name}: expected names that differ, got two nodes of this one")
        known[node.name] = node
    found: dict[str, Node] = {}
    wanted, reads = [(output, "the output")], 0
    while wanted:
        name, reader = wanted.pop()
        if name in found:
            continue
        if name not in known:
            raise ValueError(f"{reader}: expected a node of the name {name!r} to read, got none")
        found[name] = node = known[name]
        _check(node)
        reads += 1 + len(node.inputs)
        if reads > 2 * MOST_NODES:
            raise ValueError(f"{name}: expected at most {MOST_NODES} nodes, got more")
        wanted += [(other, name) for other in node.inputs]
    return found


def _check(node: Node) -> None:
    if node.join is None and len(node.inputs) > 1:
        raise ValueError(f"{node.name}: expected one input, got {len(node.inputs)}: {', '.join(node.inputs):.200}")
    if node.join is not None and node.join not in ("add", "concat"):
        raise ValueError(f"{node.name}: expected inputs that are joined by 'add' or 'concat', got {node.join!r}")
    if node.join is not None and len(node.inputs) < 2:
        raise ValueError(f"{node.name}: expected at least two inputs to {node.join}, got {len(node.inputs)}")
