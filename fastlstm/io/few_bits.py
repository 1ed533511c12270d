"""Matrices in fewer bits in files: which they are, and how they are written and read."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fastlstm.layers.chain import walk
from fastlstm.layers.matrix import NARROW, MatrixLayer
from fastlstm.layers.packed import enough
from fastlstm.model import Model
from fastlstm.narrow import NUMBERS, Narrow
from fastlstm.tensors import Arrays

Array = NDArray[Any]

SCALE = ".scale"
"""What the name of the scales of a matrix in int8 ends with."""


MOST_EXACT = ("exact", *NARROW)
"""The kinds, each of which keeps no more of a matrix than the one before."""


def kinds_of(model: Model) -> dict[int, str]:
    """The kind of each matrix that is large enough for it, by the id of the parameter: of two layers that share it, the
    one with more bits."""
    kinds: dict[int, str] = {}
    for _, layer in walk(model.layers):
        if isinstance(layer, MatrixLayer):
            for packed in layer._matrices():
                kind = packed.format if enough(packed.format, *packed.sizes) else "exact"
                for parameter in packed.matrices:
                    kinds[id(parameter)] = min(kind, kinds.get(id(parameter), kind), key=MOST_EXACT.index)
    return {key: kind for key, kind in kinds.items() if kind != "exact"}


def narrowed(name: str, matrix: Array, kind: str) -> Arrays:
    """The arrays of a matrix in fewer bits."""
    try:
        found = Narrow.of(kind, matrix)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return {name: found.numbers} if found.scale is None else {name: found.numbers, name + SCALE: found.scale}


def is_scale(name: str, arrays: Arrays) -> bool:
    """Whether an array has the scales of a matrix in int8."""
    matrix = arrays.get(name.removesuffix(SCALE))
    return name.endswith(SCALE) and matrix is not None and matrix.dtype == NUMBERS["int8"]


def widenable(arrays: Arrays) -> dict[str, Array | Narrow]:
    """The arrays of a file, those of fewer bits with their scales."""
    found: dict[str, Array | Narrow] = {}
    for name, array in arrays.items():
        if array.dtype in NUMBERS.values():
            try:
                found[name] = Narrow(array, arrays.get(name + SCALE))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        elif not is_scale(name, arrays):
            found[name] = array
    return found
