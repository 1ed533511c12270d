"""Weights of Keras into the layers of a model that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastlstm.io.keras.stored import Entry, Legacy, Native, Stored
from fastlstm.io.keras.weights import NAMES, dtype_of, parameters_of
from fastlstm.io.parts import Parts
from fastlstm.layers import GRU, LSTM, BatchNorm, Conv1d, Dense, Embedding, Layer, LayerNorm, SimpleRNN
from fastlstm.layers.chain import walk
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.model import Model

KINDS: dict[type[Layer], str] = {
    **{LSTM: "LSTM", GRU: "GRU", SimpleRNN: "SimpleRNN", Dense: "Dense", Embedding: "Embedding"},
    **{Conv1d: "Conv1D", LayerNorm: "LayerNormalization", BatchNorm: "BatchNormalization"},
}
"""The layers of Keras that our layers are."""


def fill_model(model: Model, weights: Native | Legacy, names: Mapping[str, int | str] | None, parts: Parts) -> Model:
    """Read the weights of a file into the layers of a model, and return it."""
    places = {
        place: layer for place, layer in walk(model.layers) if isinstance(layer, Recurrent) or type(layer) in NAMES
    }
    found = {}
    for name, place, stored in _pairs(places, weights, names):
        arrays, where = stored.arrays(), f"{name!r} into layer {place} ({type(places[place]).__name__})"
        if not arrays:
            raise ValueError(f"{where}: expected a layer of this name with weights, got none")
        found[place] = parameters_of(places[place], arrays, where)
        dtype = dtype_of(arrays, where)
        if dtype != model.dtype:
            raise ValueError(f"model: expected dtype={str(dtype)!r}, that of the weights, got {model.dtype}")
        parts.add(name, "", [places[place]])
    for place, parameters in found.items():  # now that all of them fit
        places[place].load_parameters(parameters, model.dtype)
    return model


def _pairs(
    places: dict[str, Layer], weights: Native | Legacy, names: Mapping[str, int | str] | None
) -> list[tuple[str, str, Stored]]:
    """The name of each layer of the file, the place of a layer of the model, and the weights."""
    if names is not None:
        for name, place in names.items():
            if str(place) not in places:
                raise ValueError(
                    f"names: expected the place of a layer with weights, one of {', '.join(places)}, got {place!r:.80} "
                    f"for {name!r}"
                )
        if isinstance(weights, Native):
            return [(name, str(place), _by_path(weights, name)) for name, place in names.items()]
        found = weights.of([_entry(name) for name in names])
        return [(name, str(place), one) for (name, place), one in zip(names.items(), found, strict=True)]
    if isinstance(weights, Legacy):
        every = weights.names()
        stored = [(name, one) for name, one in zip(every, weights.of([_entry(n) for n in every]), strict=True)]
        stored = [(name, one) for name, one in stored if one.arrays()]
        if len(stored) != len(places):
            raise ValueError(
                f"model: expected {len(stored)} layers with weights, for {', '.join(name for name, _ in stored):.200}, "
                f"got {len(places)}; pass names="
            )
        return [(name, place, one) for (name, one), place in zip(stored, places, strict=True)]
    entries = [_entry(place, _kind(layer)) for place, layer in places.items()]
    return list(zip((entry["class_name"] for entry in entries), places, weights.of(entries), strict=True))


def _entry(name: str, kind: str = "") -> Entry:
    return {"class_name": kind, "name": name, "config": {}}


def _kind(layer: Layer) -> str:
    if isinstance(layer, Recurrent) and layer.bidirectional:
        return "Bidirectional"
    return KINDS.get(type(layer), type(layer).__name__)


def _by_path(weights: Native, name: str) -> Stored:
    """A layer of a .weights.h5 by the name of its group, or by its own, which the group of its variables may have."""
    rooms = [weights.group[room] for room in Native.ROOMS if weights.group is not None and room in weights.group]
    for room in rooms:
        if name in room:
            return Native(room[name])
        for group in map(room.__getitem__, room.children()):
            if "vars" in group and group["vars"].attribute("name") == name:
                return Native(group)
    known: list[Any] = [own for room in rooms for own in room.children()]
    raise ValueError(f"names: expected one of {', '.join(known):.300}, got {name!r:.80}")
