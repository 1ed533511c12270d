"""Weights by their names into a model that a user has built, and what to say to a user who has not."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.io.parts import Parts
from fastlstm.io.torch import recurrent
from fastlstm.io.torch.arrays import finite_array_of
from fastlstm.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv1d,
    Dense,
    Embedding,
    Layer,
    LayerNorm,
    SimpleRNN,
    TiedDense,
)
from fastlstm.layers.chain import walk
from fastlstm.model import Model
from fastlstm.parameter import Parameter

Array = NDArray[Any]
Tensors = dict[str, dict[str, Any]]

MOST_SHOWN = 12
"""Parts that a message shows."""

UNUSED = "num_batches_tracked"
"""What a BatchNorm counts and no layer needs."""


def parts_of(state: Mapping[str, Any]) -> Tensors:
    """The tensors of each part of a module: ``lstm.weight_ih_l0`` is in the part ``lstm``."""
    parts: Tensors = {}
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise TypeError(f"source: expected names, got {name!r}")
        part, _, own = name.rpartition(".")
        if own != UNUSED:
            parts.setdefault(part, {})[own] = tensor
    return parts


def load_named(
    state: Mapping[str, Any], model: Any, names: Any, ignore: Any, told: Parts, kinds: Mapping[str, str]
) -> Model:
    """Set the parameters of the model to the tensors that `names` says; see `reading.from_torch`.

    `told` is filled; `kinds` are the classes of parts, as far as they are known.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    if not isinstance(names, Mapping):
        raise TypeError(f"names: expected a dict of parts of the source and places in the model, got {names!r:.80}")
    left_out = {str(name) for name in _check.items(ignore, "ignore", "names")}
    parts, layers = parts_of(state), dict(walk(model.layers))
    kept = {**model.named_parameters(), **model.named_buffers()}
    found: dict[str, Array] = {}
    for part, place in names.items():
        if not isinstance(part, str) or isinstance(place, bool) or not isinstance(place, int | str):
            raise TypeError(f"names: expected a name and a place such as 0 or '1.0.0', got {part!r}: {place!r}")
        if part in state and isinstance(place, str) and place in kept:
            array = finite_array_of(part, state[part])
            if array.shape != kept[place].shape:
                raise ValueError(f"names: {part!r} at {place}: expected shape {kept[place].shape}, got {array.shape}")
            _add({place: array}, found, f"names: {part!r} at {place}")
            told.add(part, "tensor", [layers[place.rpartition(".")[0]]])
            continue
        if part not in parts:
            raise ValueError(f"names: expected one of {_listed(parts)}, got {part!r}")
        if str(place) not in layers:
            raise ValueError(
                f"names: {part!r}: expected one of the places {_listed(layers)} of the model, got {place!r}"
            )
        layer = layers[str(place)]
        what = f"names: {part!r} at {place} ({type(layer).__name__})"
        own = {
            name: finite_array_of(f"{part}.{name}".removeprefix("."), tensor)
            for name, tensor in parts[part].items()
            if not _left_out(f"{part}.{name}", left_out) and f"{part}.{name}" not in names
        }
        left = {name.removeprefix(f"{place}.") for name in left_out if name.startswith(f"{place}.")}
        arrays = _own_arrays(layer, own, what, found, layers, left)
        _add({f"{place}.{name}": array for name, array in arrays.items()}, found, what)
        told.add(part, kinds.get(part, ""), [layer])
    for name in sorted(left_out):
        told.add(name, kinds.get(name, ""), why="ignore=")
    _check_all(state, parts, names, left_out, kept, found)
    for array in found.values():
        if array.dtype != model.dtype:
            raise TypeError(f"model: expected {array.dtype}, the dtype of the source, got {model.dtype}; pass "
                            f"dtype={str(array.dtype)!r} to fastlstm.Model")  # fmt: skip
    for name, array in found.items():
        kept[name].value = array
    return model


def _listed(names: Iterable[str]) -> str:
    """Some names for a message."""
    every = [repr(name)[:80] for name in names]
    return ", ".join(every[:MOST_SHOWN]) + (f" and {len(every) - MOST_SHOWN} more" if len(every) > MOST_SHOWN else "")


def _add(arrays: dict[str, Array], found: dict[str, Array], what: str) -> None:
    if arrays.keys() & found.keys():
        raise ValueError(f"{what}: the place is given twice")
    found.update(arrays)


def _left_out(name: str, left_out: set[str]) -> bool:
    """Whether a name, or a part that it belongs to, is to be left out."""
    return any(name == one or name.startswith(one + ".") for one in left_out)


def _own_arrays(
    layer: Layer,
    given: dict[str, Array],
    what: str,
    found: dict[str, Array],
    layers: dict[str, Layer],
    left_out: set[str],
) -> dict[str, Array]:
    """The arrays of a layer by its own names, but for those that are left out."""
    if isinstance(layer, LSTM | GRU | SimpleRNN):
        if given and all(recurrent.CELL.fullmatch(name) for name in given):  # of an LSTMCell, a GRUCell or an RNNCell
            given = {f"{name}_l0": array for name, array in given.items()}
        return recurrent.from_names(layer, given, what)
    shapes = {**layer.parameter_shapes(), **layer.buffer_shapes()}
    if isinstance(layer, TiedDense) and "weight" in given:
        at = next(at for at, one in layers.items() if one is layer.embedding)
        shared = found.get(f"{at}.weight", layer.embedding.parameter("weight").value)
        if not np.array_equal(given.pop("weight"), shared):
            raise ValueError(f"{what}: expected the weight of the embedding at {at}, got another one: use a Dense")
    arrays = {}
    for name, shape in shapes.items():
        if name not in given and name in left_out:
            continue
        if name not in given or given[name].shape != shape:
            got = given[name].shape if name in given else "none"
            raise ValueError(f"{what}: expected {name} of shape {shape}, got {got}")
        arrays[name] = given[name]
    if given.keys() - shapes.keys():
        raise ValueError(f"{what}: does not know what to do with {min(given.keys() - shapes.keys())!r}")
    return arrays


def _check_all(
    state: Mapping[str, Any],
    parts: Tensors,
    names: Mapping[str, Any],
    left_out: set[str],
    kept: dict[str, Parameter],
    found: dict[str, Array],
) -> None:
    """Require that everything is used, on both sides, but for what is to be left out."""
    every = [f"{part}.{own}" if part else own for part, tensors in parts.items() for own in tensors]
    unused = [
        name for name in every if not {name, name.rpartition(".")[0]} & names.keys() and not _left_out(name, left_out)
    ]
    if unused:
        raise ValueError(
            f"names: expected a place for each of the parts, got none for {_listed(unused)}; what the model has no use "
            f"for is left out by ignore=[{unused[0]!r}, ...]"
        )
    missing = [name for name in kept if name not in found and not _left_out(name, left_out)]
    if missing:
        raise ValueError(
            f"names: expected weights for each layer of the model, got none for {_listed(missing)}; what is to stay as "
            f"it is in the model is left out by ignore=[{missing[0]!r}, ...]"
        )
    strange = [one for one in left_out if not any(_left_out(name, {one}) for name in (*every, *kept, *state))]
    if strange:
        raise ValueError(f"ignore: expected names of the source or of the model, got {strange[0]!r}")


def how_to(what: str, state: Mapping[str, Any], known: Mapping[str, Layer] | None = None) -> str:
    """The message that a source needs a model and names. It shows the parts, and a call that can be copied.

    `known` are the layers of those parts whose modules are known.
    """
    parts = parts_of(state)
    layers = {part: (known or {}).get(part) or guess(part, tensors) for part, tensors in parts.items()}
    lines = []
    for part, tensors in [*parts.items()][:MOST_SHOWN]:
        layer = layers[part]
        shapes = ", ".join(f"{own} {tuple(np.shape(tensor))}" for own, tensor in [*tensors.items()][:4])
        lines.append(f"    {part[:60]}: {shapes}" + ("" if layer is None else f", as of {call_of(layer)}"))
    if len(parts) > MOST_SHOWN:
        lines.append(f"    and {len(parts) - MOST_SHOWN} more")
    calls = {part: call_of(layer) for part, layer in [*layers.items()][:MOST_SHOWN] if layer is not None}
    chain = ", ".join(calls.values())
    places = ", ".join(f"{part!r}: {i}" for i, part in enumerate(calls))
    return (
        f"source: {what}, so that the order of its layers is not known. Its parts are\n" + "\n".join(lines) + "\n"
        "Pass a model with its layers in the order in which they run, those without weights, too, and the place of "
        "each part in it:\n"
        f"    fl.io.from_torch(source, model=fl.Model([{chain}]), names={{{places}}})"
    )


def call_of(layer: Layer) -> str:
    """How a layer is made: its arguments without those that are as usual."""
    usual = inspect.signature(type(layer)).parameters
    said = []
    for name, value in layer.config().items():
        default = usual[name].default if name in usual else inspect.Parameter.empty
        if default is inspect.Parameter.empty:
            said.append(repr(value))
        elif value != default:
            said.append(f"{name}={value!r}")
    return f"fl.{type(layer).__name__}({', '.join(said)})"


def guess(part: str, tensors: Mapping[str, Any]) -> Layer | None:
    """The layer that a part may be, by the names and shapes of its tensors. It is for a message."""
    try:
        shapes = {own: tuple(np.shape(tensor)) for own, tensor in tensors.items()}
        if all(recurrent.CELL.fullmatch(own) for own in shapes):
            shapes = {f"{own}_l0": shape for own, shape in shapes.items()}
        if "weight_ih_l0" in shapes:
            return recurrent.like(shapes)
        weight = shapes["weight"]
        if "running_mean" in shapes:
            return BatchNorm(*weight)
        if len(weight) == 1:
            return LayerNorm(*weight)
        if len(weight) == 3:
            return Conv1d(weight[1], weight[0], weight[2], bias="bias" in shapes)
        if len(weight) == 2 and "bias" not in shapes and "emb" in part.lower():
            return Embedding(*weight)
        return Dense(weight[1], weight[0], bias="bias" in shapes) if len(weight) == 2 else None
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
