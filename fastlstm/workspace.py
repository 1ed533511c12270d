"""Named buffers that grow and are reused: what a forward pass leaves for the backward pass of one layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Workspace:
    """Buffers and notes of one layer's place in a model.

    A layer asks for the same names at every pass, so that after the first pass nothing is allocated. Arrays that a pass
    returns lie in here too and are overwritten by the next one.

    Attributes
    ----------
    notes : dict
        What forward wants backward to know.
    rng : numpy.random.Generator
        Source of the dropout masks.
    """

    def __init__(self, seed: int | np.random.SeedSequence | None = None) -> None:
        self.notes: dict[str, Any] = {}
        self.rng = np.random.default_rng(seed)
        self._buffers: dict[str, NDArray[Any]] = {}
        self._children: dict[str, Workspace] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A contiguous array whose contents are whatever was there before."""
        size = int(np.prod(shape))
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self._buffers[name] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)

    def zeros(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        array = self.array(name, shape, dtype)
        array.fill(0)
        return array

    def child(self, name: str) -> Workspace:
        """A workspace of its own for a part of the layer."""
        if name not in self._children:
            self._children[name] = type(self)(0)
        return self._children[name]
