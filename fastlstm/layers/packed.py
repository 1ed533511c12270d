"""Packed weights: weights in panels, which is the layout that the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu, matmul
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array
from fastlstm.parameter import Parameter
from fastlstm.workspace import aligned_empty


class Packed:
    """The packed weights of some parameters. `get` packs them again when a parameter has changed."""

    def __init__(self, *parameters: Parameter | None) -> None:
        self.parameters = [parameter for parameter in parameters if parameter is not None]
        self._cached: tuple[Any, tuple[Array, Array]] | None = None

    def get(self) -> tuple[Array, Array]:
        """Panels and bias. Two threads may pack them at the same time, with the same result."""
        version = (cpu.isa(), *(parameter.version for parameter in self.parameters))
        cached = self._cached
        if cached is None or cached[0] != version:
            cached = self._cached = (version, self.pack())
        return cached[1]

    def pack(self) -> tuple[Array, Array]:
        raise NotImplementedError(f"{type(self).__name__} must write pack")


class PackedMatrix(Packed):
    """The packed weights of an affine map, y = x·weightᵀ + bias."""

    def __init__(self, weight: Parameter, bias: Parameter | None) -> None:
        super().__init__(weight, bias)
        self._weight, self._bias = weight, bias

    def pack(self) -> tuple[Array, Array]:
        weight = self._weight.value
        n, k = weight.shape
        width = cpu.width(n, weight.dtype)
        panels, bias = aligned_empty((width * k,), weight.dtype), aligned_empty((width,), weight.dtype)
        matmul.pack(panels, bias, weight, np.empty(0, weight.dtype) if self._bias is None else self._bias.value)
        return panels, bias

    def prepare(self, x: Array, y: Array) -> Stage:
        """A stage from x (M, K) to y (M, N)."""
        panels, bias = self.get()
        small = cpu.matrix_work(2 * x.shape[0] * len(panels)) < cpu.WORTH_SHARING
        return matmul.affine(x, panels, bias, y, 1 if small else threads.get_num_threads())
