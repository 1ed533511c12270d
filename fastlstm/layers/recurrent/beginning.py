"""The states that sequences begin with where those are not zeros: of each direction of each layer, trained or fixed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastlstm.layers.base import Array, Layer
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace


class Beginning(ABC):
    """What every sequence begins with where no state is given."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    @abstractmethod
    def values(self) -> Parts:
        """Each part (layers·D, H)."""

    def rows(self, n: int, tape: Workspace) -> Parts:
        """The state of n rows, each part (layers·D, N, H)."""
        found = []
        for name, value in zip(self._cell.parts, self.values(), strict=True):
            part = tape.array(f"beginning_{name}", (value.shape[0], n, value.shape[1]), value.dtype)
            part[...] = value[:, None]
            found.append(part)
        return tuple(found)

    def begin(self, state: Parts, rows: Array) -> Parts:
        """A state in which these rows, (N) bools, are as they begin."""
        mixed = zip(state, self.values(), strict=True)
        return tuple(np.where(rows[:, None], value[:, None], part) for part, value in mixed)

    def add_gradient(self, initial: Parts, rows: Any) -> None:  # noqa: B027
        """Add to the gradients from those of the initial state, of the rows of this index, if anything is trained."""


class FixedState(Beginning):
    """The same numbers for every unit: those of the cell's `starts`, in the dtype that the layer then has."""

    def __init__(self, cell: Cell, places: int, hidden: int, layer: Layer) -> None:
        super().__init__(cell)
        self._shapes, self._layer = [(places, width) for width in cell.widths(hidden)], layer
        self._rows: Parts = ()

    def values(self) -> Parts:
        dtype = self._layer.dtype
        return tuple(np.full(shape, x, dtype) for shape, x in zip(self._shapes, self._cell.starts, strict=True))

    def rows(self, n: int, tape: Workspace) -> Parts:
        """Those of the last call if they are as many, for they never change, and nobody writes into them."""
        rows = self._rows
        if not rows or rows[0].shape[1] != n or rows[0].dtype != self._layer.dtype:
            rows = tuple(np.repeat(value[:, None], n, axis=1) for value in self.values())
            for part in rows:
                part.flags.writeable = False
            self._rows = rows
        return rows


class LearnedState(Beginning):
    """The parameters ``h0`` and, if the cell has it, ``c0`` (H) of each direction of each layer.

    The gradient of each is the sum of those of the initial states, over the rows that began there.
    """

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffixes: list[str]) -> None:
        super().__init__(cell)
        self._parts = [[parameters[f"{part}0{suffix}"] for suffix in suffixes] for part in cell.parts]

    def values(self) -> Parts:
        h, *others = (np.stack([parameter.value for parameter in places]) for places in self._parts)
        return self._cell.saturated(h), *others

    def add_gradient(self, initial: Parts, rows: Any) -> None:
        for places, part in zip(self._parts, initial, strict=True):
            for parameter, own in zip(places, part, strict=True):
                array, add = parameter.accumulator()
                total = own[rows].sum(0)
                np.copyto(array, array + total if add else total)
