"""The state of a stream: what belongs to it, whether another one fits, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, tensors
from fastlstm._check import Shape
from fastlstm.files import PathLike
from fastlstm.layers import Layer
from fastlstm.layers.chain import walk
from fastlstm.layers.pooling import Pooling

Array = NDArray[Any]
Kinds = dict[str, tuple[Shape, Any]]
"""The shape and dtype of the parts of a layer's state, by their names in `Stream.state_dict`."""

FORMAT, FORMAT_VERSION = "fastlstm stream", 1
"""What a file of a state says of itself."""


def kinds_of(layers: Sequence[Layer], input_shape: Shape, batch: int) -> list[Kinds]:
    """Those of each layer, for so many sequences; ValueError if a layer does not tell its state."""
    shape, found = input_shape, []
    for i, layer in enumerate(layers):
        kinds = layer.running_kinds(batch, shape)
        found.append({f"{i}.{name}": kind for name, kind in kinds.items()})
        shape = input_shape[:2] + layer.output_shape(shape)[-1:]
    return found


def checked(state: Any, layers: Sequence[Layer], wanted: Sequence[Kinds]) -> list[dict[str, Array]]:
    """The parts of each layer, by the layer's own names. Those of a pool that has had no step yet may be missing."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dict of arrays, got {type(state).__name__}")
    strange = [name for name in state if not any(name in kinds for kinds in wanted)]
    if strange:
        names = ", ".join(name for kinds in wanted for name in kinds) or "nothing"
        raise ValueError(f"state: expected {names}, got {strange[0]!r:.80}")
    found = []
    there = {name.rpartition(".")[0] for name in state}
    may_lack = {place for place, layer in walk(layers) if isinstance(layer, Pooling) and place not in there}
    for kinds in wanted:
        for name in kinds:
            if name not in state and name.rpartition(".")[0] not in may_lack:
                raise ValueError(f"state: expected an array {name!r}, got none")
        found.append(
            {
                name.partition(".")[2]: _check.real_array(state[name], f"state {name}", np.dtype(kind), shape)
                for name, (shape, kind) in kinds.items()
                if name in state
            }
        )
    return found


def write(path: PathLike, state: dict[str, Array]) -> None:
    """Write a state to a file, whole or not at all."""
    tensors.write(path, state, {"format": FORMAT, "version": str(FORMAT_VERSION)})


def read(path: PathLike) -> dict[str, Array]:
    """The arrays of a file that `write` has written."""
    words, arrays = tensors.read(path)
    if words.get("format") != FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not the state of a stream")
    if words.get("version") != str(FORMAT_VERSION):
        raise ValueError(
            f"{path}: expected version {FORMAT_VERSION} of the format, got {words.get('version')!r:.40}: "
            "it was written by another version of fastlstm"
        )
    tensors.verify(path, words, arrays, ("format", "version").__contains__)
    return arrays
