"""Where the weights of a model of Keras lie: in a file of Keras 3, in an older one, or in a live model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from fastlstm.io.keras.hdf5 import File, Group, Value
from fastlstm.io.keras.weights import Array

Entry = dict[str, Any]
"""What a config says of a layer: its class, its name and its config."""


class Stored(Protocol):
    """The weights of a model, or of a layer."""

    def of(self, entries: Sequence[Entry]) -> list[Stored]:
        """Those of each layer of a model, which are all of its layers, in their order."""

    def arrays(self) -> list[Array]:
        """Those of a layer, in the order of its ``get_weights``."""


def name_of(entry: Entry) -> str:
    """The name of a layer. Errors show it."""
    name = entry.get("name") or entry["config"]["name"]
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a layer, got {name!r:.80}")
    return name


class Native:
    """A group of a file of Keras 3, which are named by classes and counted: ``layers/lstm_1/cell/vars/0``."""

    ROOMS = "layers", "_layer_checkpoint_dependencies"
    PARTS = "layer", "cell", "forward_layer", "backward_layer"

    def __init__(self, group: Group | None) -> None:
        self.group = group

    def of(self, entries: Sequence[Entry]) -> list[Stored]:
        rooms = [room for room in self.ROOMS if self.group is not None and room in self.group]
        group = self.group[rooms[0]] if self.group is not None and rooms else None
        counts: dict[str, int] = {}
        found: list[Stored] = []
        for entry in entries:
            kind = snake(entry["class_name"])
            counts[kind] = count = counts.get(kind, -1) + 1
            name = f"{kind}_{count}" if count else kind
            found.append(Native(group[name] if group is not None and name in group else None))
        return found

    def arrays(self) -> list[Array]:
        return [] if self.group is None else _within(self.group, 0)


def _within(group: Group, depth: int) -> list[Array]:
    found: list[Array] = []
    if "vars" in group:
        own = group["vars"]
        count = len(own.children())
        found += [own[str(k)].array() for k in range(count)]
    parts = [name for name in Native.PARTS if name in group and depth < 4]
    if len(parts) == 4:  # of a Bidirectional, whose layer is the forward one
        parts = parts[2:]
    for name in parts:
        found += _within(group[name], depth + 1)
    return found


def snake(name: str) -> str:
    """A class as Keras 3 writes it in names: "SimpleRNN" as "simple_rnn"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class Legacy:
    """A group of an older file, ``model_weights/lstm_1``, whose attribute has the names of its weights in order."""

    def __init__(self, root: Group, own: list[tuple[str, Array]] | None = None) -> None:
        self.root, self.own = root, own

    def of(self, entries: Sequence[Entry]) -> list[Stored]:
        return [self._named(name_of(entry)) for entry in entries]

    def _named(self, name: str) -> Stored:
        if self.own is not None:  # layers of a model within a model have their weights in its group
            return Legacy(self.root, [(path, array) for path, array in self.own if name in path.split("/")[:-1]])
        if name not in self.root:
            return Legacy(self.root, [])
        group = self.root[name]
        return Legacy(self.root, [(path, group[path].array()) for path in strings(group, "weight_names")])

    def names(self) -> list[str]:
        """The names of all layers, in their order."""
        return strings(self.root, "layer_names")

    def arrays(self) -> list[Array]:
        return [array for _, array in self.own or ()]


def strings(group: Group, name: str) -> list[str]:
    """An attribute that is a row of strings; Keras cuts a long one into parts, whose names are counted."""
    found = group.attribute(name)
    if found is None:
        parts, k = list[Value](), 0
        while (part := group.attribute(f"{name}{k}")) is not None:
            parts.append(part)
            k += 1
        found = [one for part in parts for one in (part if isinstance(part, list) else ())]
        if not parts:
            raise ValueError(f"expected an attribute {name!r}, got none")
    return found if isinstance(found, list) else []


class Live:
    """A model of Keras, or one of its layers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def of(self, entries: Sequence[Entry]) -> list[Stored]:
        layers = {layer.name: layer for layer in self.model.layers}  # a Sequential does not have its InputLayer
        return [Live(layers.get(name_of(entry))) for entry in entries]

    def arrays(self) -> list[Array]:
        return [] if self.model is None else list(self.model.get_weights())


def weights_in(data: bytes) -> tuple[File, Native | Legacy]:
    """An HDF5 file, and its weights."""
    file = File(data)
    root = file.root
    if "model_weights" in root:
        return file, Legacy(root["model_weights"])
    old = root.attribute("layer_names") is not None or root.attribute("layer_names0") is not None
    return file, Legacy(root) if old else Native(root)
