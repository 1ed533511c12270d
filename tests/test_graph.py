"""Graphs of nodes as chains of layers: what they compute is what the nodes say, one by one."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.io.graph import MOST_NODES, Node, chain_of


def dense(seed):
    return fl.Dense(3, 3, dtype="float64", seed=seed)


def graph(text):
    """Nodes from lines such as ``"a = f(x)"``, ``"b = add(a, x)"`` or ``"c = x"``."""
    nodes = [Node("x")]
    for k, line in enumerate(text.split("; ")):
        name, _, rest = line.partition(" = ")
        kind, _, inputs = rest.rpartition("(")
        names = tuple(inputs.rstrip(")").split(", "))
        layers = [dense(k)] if kind == "f" else [fl.Last(dtype="float64")] if kind == "last" else []
        nodes.append(Node(name, names, layers, None if kind in ("f", "last", "") else kind))
    return nodes


def by_hand(nodes, x):
    values = {"x": x}
    for node in nodes[1:]:
        inputs = [values[name] for name in node.inputs]
        if node.join is None:
            (value,) = inputs
            for layer in node.layers:
                value = layer(value)
        else:
            value = sum(inputs) if node.join == "add" else np.concatenate(inputs, axis=-1)
        values[node.name] = value
    return value


GRAPHS = {
    "chain": ("a = f(x); b = f(a)", "Dense Dense"),
    "identity": ("a = f(x); b = (a); c = last(b)", "Dense Last"),
    "residual": ("a = f(x); b = f(a); y = add(a, b)", "Dense Residual(Dense)"),
    "branch first": ("a = f(x); y = add(a, x)", "Residual(Dense)"),
    "projection": ("a = f(x); b = f(x); y = add(a, b)", "Add(Dense; Dense)"),
    "three": ("a = f(x); b = f(x); y = add(a, x, b)", "Add(Dense; ; Dense)"),
    "twice": ("y = add(x, x)", "Add(; )"),
    "blocks": ("a = f(x); b = add(x, a); c = f(b); y = add(b, c)", "Residual(Dense) Residual(Dense)"),
    "nested": (
        "a = f(x); b = f(a); c = add(a, b); d = f(c); y = add(d, x)",
        "Residual(Dense Residual(Dense) Dense)",
    ),
    "skips": ("a = f(x); b = f(a); y = concat(x, a, b)", "Concat(; Dense Concat(; Dense))"),
    "backwards": ("a = f(x); b = f(a); y = concat(b, a, x)", "Concat(Dense Concat(Dense; ); )"),
    "dense net": ("a = f(x); b = concat(x, a); y = last(b)", "Concat(; Dense) Last"),
    "added apart": ("a = f(x); b = f(a); c = f(a); y = add(b, x, c)", "Residual(Dense Add(Dense; Dense))"),
    "not needed": ("a = f(x); b = f(a); z = f(b); y = f(a)", "Dense Dense"),
    "pools": ("a = f(x); b = last(a); c = last(a); y = concat(b, c)", "Dense Concat(Last; Last)"),
}


def shown(layers):
    def of(layer):
        chains = [shown(chain.layers) for chain in getattr(layer, "chains", ())]
        return type(layer).__name__ + (f"({'; '.join(chains)})" if chains else "")

    return " ".join(map(of, layers))


@pytest.mark.parametrize("name", GRAPHS)
def test_chains_compute_what_the_graph_says(name):
    text, expected = GRAPHS[name]
    nodes = graph(text)
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    wanted = by_hand(nodes, x)
    layers, _ = chain_of(nodes, nodes[-1].name)
    assert shown(layers) == expected
    np.testing.assert_allclose(fl.Model(layers, dtype="float64").predict(x), wanted, rtol=1e-12, atol=1e-12)


def test_what_stands_in_the_input_comes_first():
    tokens = [
        Node("x", (), [fl.Embedding(5, 3)]),
        Node("a", ("x",), [fl.LSTM(3, 3)]),
        Node("y", ("x", "a"), join="add"),
    ]
    assert shown(chain_of(tokens, "y")[0]) == "Embedding Residual(LSTM)"
    assert shown(chain_of(tokens, "x")[0]) == "Embedding"


def nested(depth):
    """Joins within joins: each block is a part of a branch of the one around it."""
    down = [Node("x0")] + [Node(f"x{k + 1}", (f"x{k}",), [dense(k)]) for k in range(depth)]
    up, name = [], f"x{depth}"
    for k in reversed(range(depth)):
        up.append(Node(f"y{k}", (name, f"x{k}"), join="add"))
        name = f"y{k}"
    return down + up


ERRORS = {
    "crossed": ("a = f(x); b = f(x); c = add(a, b); y = add(c, a)", "y", "a: expected branches that lie within each"),
    "apart": ("a = f(x); b = f(a); y = concat(a, x, b)", "y", "a: expected branches that lie within each other"),
    "circle": ("a = add(x, b); b = f(a)", "b", "[ab]: expected no circle of nodes"),
    "missing": ("a = f(z)", "a", "a: expected a node of the name 'z' to read, got none"),
    "no output": ("a = f(x)", "y", "the output: expected a node of the name 'y' to read, got none"),
    "two of a name": ("a = f(x); a = f(x)", "a", "a: expected names that differ, got two nodes of this one"),
    "two inputs": ("a = f(x, x)", "a", "a: expected one input, got 2: x, x"),
    "multiply": (
        "a = f(x); b = multiply(x, a)",
        "b",
        "b: expected inputs that are joined by 'add' or 'concat', got 'mul",
    ),
    "one added": ("a = add(x)", "a", "a: expected at least two inputs to add, got 1"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_node(name):
    text, output, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        chain_of(graph(text), output)


def test_more_than_one_input_is_refused():
    with pytest.raises(ValueError, match="inputs: expected one that 'y' is computed from, got a, b"):
        chain_of([Node("a"), Node("b"), Node("y", ("a", "b"), join="add")], "y")


def test_large_graphs_are_refused():
    assert shown(chain_of(nested(16), "y0")[0]).startswith("Residual(Dense Residual(Dense")
    with pytest.raises(ValueError, match="expected branches within at most 16 others"):
        chain_of(nested(40), "y0")
    many = [Node("x0")] + [Node(f"x{k + 1}", (f"x{k}",)) for k in range(MOST_NODES)]
    with pytest.raises(ValueError, match=f"expected at most {MOST_NODES} nodes, got more"):
        chain_of(many, f"x{MOST_NODES}")
