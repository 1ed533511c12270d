"""Initial states that are trained: one for each direction of each layer, from which every sequence begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace


class LearnedState:
    """The parameters ``h0`` and, if the cell has it, ``c0`` (H) of each direction of each layer.

    The gradient of each is the sum of those of the initial states, over the rows that began there.
    """

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffixes: list[str]) -> None:
        self._cell = cell
        self._parts = [[parameters[f"{part}0{suffix}"] for suffix in suffixes] for part in cell.parts]

    def values(self) -> Parts:
        """Each part (layers·D, H)."""
        h, *others = (np.stack([parameter.value for parameter in places]) for places in self._parts)
        return self._cell.saturated(h), *others

    def rows(self, n: int, tape: Workspace) -> Parts:
        """The state of n rows, each part (layers·D, N, H)."""
        found = []
        for name, value in zip(self._cell.parts, self.values(), strict=True):
            part = tape.array(f"learned_{name}", (value.shape[0], n, value.shape[1]), value.dtype)
            part[...] = value[:, None]
            found.append(part)
        return tuple(found)

    def begin(self, state: Parts, rows: Array) -> Parts:
        """A state in which these rows, (N) bools, are as they begin."""
        mixed = zip(state, self.values(), strict=True)
        return tuple(np.where(rows[:, None], value[:, None], part) for part, value in mixed)

    def add_gradient(self, initial: Parts, rows: Any) -> None:
        """Add to the gradients from those of the initial state, of the rows of this index."""
        for places, part in zip(self._parts, initial, strict=True):
            for parameter, own in zip(places, part, strict=True):
                array, add = parameter.accumulator()
                total = own[rows].sum(0)
                np.copyto(array, array + total if add else total)
