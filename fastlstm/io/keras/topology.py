"""The config of a model of Keras as a chain of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastlstm.io.architecture import MOST_DEPTH, MOST_LAYERS
from fastlstm.io.graph import Node, chain_of
from fastlstm.io.keras.layers import layers_from
from fastlstm.io.keras.part import Origin, Part
from fastlstm.io.keras.stored import Entry, Stored, name_of
from fastlstm.layers import Layer

MODELS = {"Sequential", "Functional", "Model"}

JOINS = {"Add": "add", "Concatenate": "concat"}
"""Layers and operations that join several inputs."""

TENSOR = "__keras_tensor__"

NOTHING = {"InputLayer": "the shape of the input", "Masking": "pass mask= at each call"}
"""Why a layer has become none, by its class."""


def chain_from(model: Entry, weights: Stored, origin: Origin, depth: int = 0) -> list[Layer]:
    """The layers of a model.

    Raises
    ------
    ValueError
        If it has a part that there is none of here, or its paths do not lie within each other. It names the part.
    """
    if model.get("class_name") not in MODELS:
        raise ValueError(
            f"expected a Sequential or a functional model, got {model.get('class_name')!r:.80}; a model of a class of "
            "its own does not say what it does"
        )
    if depth > MOST_DEPTH:
        raise ValueError(f"expected models within at most {MOST_DEPTH} others")
    config = model["config"]
    entries = config if isinstance(config, list) else config["layers"]
    if len(entries) > MOST_LAYERS:
        raise ValueError(f"expected at most {MOST_LAYERS} layers, got {len(entries)}")
    layers = [entry for entry in entries if not _is_operation(entry)]
    stored = dict(zip(map(name_of, layers), weights.of(layers), strict=True))
    if model["class_name"] == "Sequential":
        row = {name_of(entry): entry for entry in entries}
        if len(row) != len(entries):
            raise ValueError(f"expected layers of different names, got {', '.join(map(name_of, entries)):.200}")
        _pad_convolutions(row, dict(zip(list(row)[1:], ([name] for name in row), strict=False)))
        found, rank = list[Layer](), 0
        for entry in row.values():
            new = _layers_of(entry, rank, stored.get(name_of(entry)), origin, depth)
            found, rank = found + new, _rank_behind(new, rank or _rank_of(entry))
        return found
    return _functional(config, stored, origin, depth)


def _is_operation(entry: Entry) -> bool:
    return ".ops." in str(entry.get("module"))


def _functional(config: dict[str, Any], stored: dict[str, Stored], origin: Origin, depth: int) -> list[Layer]:
    """The layers of a functional model: of those that the output needs."""
    entries = {name_of(entry): entry for entry in config["layers"]}
    inputs, outputs = _ends(config["input_layers"]), _ends(config["output_layers"])
    for ends, what in ((inputs, "input"), (outputs, "output")):
        if len(ends) != 1:
            raise ValueError(f"expected a model of one {what}, got {len(ends)}: {', '.join(ends):.200}")
    read: dict[str, list[tuple[str, int]]] = {}
    wanted = [outputs[0]]
    while wanted:  # what the output does not need, such as how masks are computed, need not be known
        name = wanted.pop()
        if name not in read and name in entries:
            read[name] = [] if name in inputs else _inputs_of(entries[name])
            wanted += [source for source, _ in read[name]]
    for name in (name for name in entries if name not in read):
        origin.parts.add(origin.within + name, str(entries[name]["class_name"]), why="the output does not need it")
    _pad_convolutions(entries, {name: [source for source, _ in sources] for name, sources in read.items()})
    nodes, ranks = list[Node](), dict[str, int]()
    for name in (name for name in entries if name in read):
        entry, sources = entries[name], tuple(source for source, _ in read[name])
        rank = max([_rank_of(entry), *(rank or ranks.get(source, 0) for source, rank in read[name])])
        nodes.append(_node(name, entry, sources, rank, stored.get(name), origin, depth))
        ranks[name] = _rank_behind(nodes[-1].layers, rank)
    chain, became = chain_of(nodes, outputs[0])
    for node in nodes:
        if node.join is not None:
            origin.parts.add(origin.within + node.name, entries[node.name]["class_name"], became[node.name])
    return chain


def _pad_convolutions(entries: dict[str, Entry], sources: Mapping[str, Sequence[str]]) -> None:
    """Let each Conv1D behind a ZeroPadding1D pad by itself, as ours does; entries by name are changed."""
    for name in [name for name, entry in entries.items() if entry["class_name"] == "ZeroPadding1D"]:
        sides = entries[name]["config"].get("padding", 1)
        for reader in [reader for reader in sources if name in sources[reader]] or [name]:
            kind, config = entries[reader]["class_name"], entries[reader]["config"]
            if kind != "Conv1D" or config.get("padding", "valid") != "valid":
                raise ValueError(
                    f"layer {name!r} (ZeroPadding1D): expected a Conv1D with padding='valid' behind it, which pads by "
                    f"itself here, got {'nothing' if reader == name else repr(kind)[:80]}"
                )
            padding = tuple(sides) if isinstance(sides, list | tuple) else (sides, sides)
            entries[reader] = {**entries[reader], "config": {**config, "padding": padding}}


def _rank_of(entry: Entry) -> int:
    """The number of axes of an input, if a layer says it; otherwise 0."""
    config = entry["config"]
    return len(config.get("batch_shape") or config.get("batch_input_shape") or ()) if isinstance(config, dict) else 0


def _rank_behind(layers: Sequence[Layer], rank: int) -> int:
    """The number of axes of what layers give, from that of what they take; 0 if it is not known."""
    for layer in layers:
        if layer.takes_tokens:
            rank = 3
        elif rank == 3:
            rank = len(layer.output_shape(("N", "T", "F")))
    return rank


def _node(
    name: str, entry: Entry, sources: tuple[str, ...], rank: int, stored: Stored | None, origin: Origin, depth: int
) -> Node:
    kind = entry["class_name"]
    if kind in JOINS and len(sources) > 1:
        axis = entry["config"].get("axis", -1)
        if kind == "Concatenate" and axis != -1 and axis != rank - 1:
            raise ValueError(f"layer {name!r} (Concatenate): axis: expected -1, the last one, got {axis!r:.80}")
        return Node(name, sources, join=JOINS[kind])
    if len(sources) > 1:
        raise ValueError(
            f"layer {name!r} ({kind}): expected Add or Concatenate of several inputs, got {kind!r:.80} of "
            f"{', '.join(sources):.200}"
        )
    return Node(name, sources, _layers_of(entry, rank, stored, origin, depth))


def _layers_of(entry: Entry, rank: int, stored: Stored | None, origin: Origin, depth: int) -> list[Layer]:
    kind, name = entry["class_name"], name_of(entry)
    if kind in MODELS and stored is not None:
        return chain_from(entry, stored, replace(origin, within=f"{origin.within}{name}/"), depth + 1)
    built = (entry.get("build_config") or {}).get("input_shape")
    rank = len(built) if isinstance(built, list) else rank
    arrays = stored.arrays() if stored is not None and kind not in ("InputLayer", "Dropout") else []
    layers = layers_from(Part(str(kind), name, entry["config"], arrays, origin, rank))
    origin.parts.add(origin.within + name, kind, layers, "" if layers else NOTHING.get(kind, "changes nothing"))
    return layers


def _ends(value: Any) -> list[str]:
    """The names of layers in ``["a", 0, 0]`` or ``[["a", 0, 0], ...]``."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = [value]
    if not isinstance(value, list):
        raise TypeError(f"expected a list of layers, got {value!r:.80}")
    return [str(end[0]) for end in value]


def _inputs_of(entry: Entry) -> list[tuple[str, int]]:
    """The names of the layers that a layer reads, each with the number of axes of what that gives, 0 if not known."""
    name, calls = name_of(entry), entry["inbound_nodes"]
    if len(calls) != 1:
        raise ValueError(
            f"layer {name!r} ({entry['class_name']}): expected a layer that is called once, got {len(calls)} calls; "
            "weights that several places share are not there here"
        )
    found: list[tuple[str, int]] = []
    if isinstance(calls[0], dict):
        _tensors(calls[0].get("args"), found, name, 0)
        others: list[tuple[str, int]] = []
        named = {key: value for key, value in calls[0].get("kwargs", {}).items() if key != "mask"}
        _tensors(list(named.values()), others, name, 0)
        if others:
            raise ValueError(f"layer {name!r}: expected one input, got {others[0][0]!r} as {', '.join(named):.80}, too")
        return found
    for call in calls[0]:
        if call[2] != 0 or any(
            key != "mask" and isinstance(value, list) for key, value in (call[3:] or [{}])[0].items()
        ):
            raise ValueError(f"layer {name!r}: expected inputs that are the only outputs of layers, got {call!r:.80}")
        found.append((str(call[0]), 0))
    return found


def _tensors(value: Any, found: list[tuple[str, int]], name: str, depth: int) -> None:
    """Add the sources of the tensors in the arguments of a call."""
    if isinstance(value, dict) and value.get("class_name") == TENSOR:
        source, _, output = value["config"]["keras_history"]
        if output != 0:
            raise ValueError(f"layer {name!r}: expected the only output of {source!r:.80}, got its output {output}")
        found.append((str(source), len(value["config"].get("shape") or ())))
    elif isinstance(value, list) and depth < 3:
        for part in value:
            _tensors(part, found, name, depth + 1)
    elif value is not None and not isinstance(value, bool):
        raise ValueError(f"layer {name!r}: expected inputs that layers give, got {value!r:.80}")
