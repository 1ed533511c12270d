"""Packed weights: weights in panels, which is the layout that the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu, matmul, rows
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace, aligned_empty

MOST_INPUTS = 1 << 16
"""The largest number of inputs of which products of 8 bits are sure to fit a sum of 32."""

L2_WEIGHTS, L3_WEIGHTS = 1 << 18, 1 << 23
"""The numbers of weights in float32 that fill a core's L2 cache of 1 MiB, and the L3 cache of many processors."""


class Packed:
    """The packed weights of some parameters. `get` packs them again when a parameter has changed."""

    format = "exact"
    """How the weights are packed: "exact", or for float32 "bfloat16", "int8x16" or "int8"."""

    multiplied = True
    """Whether inputs are multiplied with the weights."""

    def __init__(self, *parameters: Parameter | None) -> None:
        self.parameters = [parameter for parameter in parameters if parameter is not None]
        self._cached: tuple[Any, tuple[Array, ...]] | None = None

    def get(self, format: str) -> tuple[Array, ...]:
        """Panels and bias in this format. Two threads may pack them at the same time, with the same result."""
        version = (cpu.isa(), format, *(parameter.version for parameter in self.parameters))
        cached = self._cached
        if cached is None or cached[0] != version:
            cached = self._cached = (version, self.pack(format))
        return cached[1]

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of outputs and of inputs."""
        raise NotImplementedError(f"{type(self).__name__} must write sizes")

    def used(self) -> str:
        """The format that the weights are packed in: that which was chosen, unless the exact one is faster."""
        return worth(self.format, *self.sizes)

    @property
    def matrices(self) -> list[Parameter]:
        """The parameters that are matrices."""
        return [parameter for parameter in self.parameters if len(parameter.shape) == 2]

    def pack(self, format: str) -> tuple[Array, ...]:
        raise NotImplementedError(f"{type(self).__name__} must write pack")


def worth(format: str, outputs: int, inputs: int) -> str:
    """The format, or "exact" if that is faster for so many outputs of so many inputs.

    Rounding inputs and scaling sums takes longer than small products save; the bounds below are where they stood level
    on a Zen 4. Where the processor does not multiply such
    numbers itself, they are worth the trouble only if it reads fewer bytes from beyond its L2 cache; where it has not
    the registers of AVX-512 either, from beyond its L3 cache. The choice is the same for any number of rows, as the
    bits of a row are.
    """
    if not enough(format, outputs, inputs):
        return "exact"
    if not cpu.multiplies(format):
        far = L2_WEIGHTS if cpu.lanes(np.float32) == 16 else L3_WEIGHTS
        return format if outputs * inputs > far else "exact"
    return format


def enough(format: str, outputs: int, inputs: int) -> bool:
    """Whether a matrix is of a size for which this format is worth while at all, on some processor."""
    if format == "exact":
        return False
    if format == "bfloat16":
        return outputs * inputs >= 1024
    return outputs * inputs >= 8192 and outputs > 16 and inputs <= MOST_INPUTS


def worth_training(precision: str | None, dtype: Any, outputs: int, inputs: int) -> str:
    """The format in which training takes products with such weights: that of the precision, or "exact" if faster."""
    if precision is None or dtype != np.float32 or not cpu.trains(precision):
        return "exact"
    return worth(precision, outputs, inputs)


class PackedMatrix(Packed):
    """The packed weights of an affine map, y = x·weightᵀ + bias."""

    def __init__(self, weight: Parameter, bias: Parameter | None) -> None:
        super().__init__(weight, bias)
        self._weight, self._bias = weight, bias

    def matrix(self) -> Array:
        """The weight (outputs, inputs), for somebody who does not keep it."""
        return self._weight._glance()

    def pack(self, format: str) -> tuple[Array, Array]:
        weight = self.matrix()
        n, k = weight.shape
        panels = aligned_empty((cpu.matrix_size(n, k, weight.dtype, format),), cpu.number(weight.dtype, format))
        bias = aligned_empty((cpu.width(n, weight.dtype),), weight.dtype)
        start = np.empty(0, weight.dtype) if self._bias is None else self._bias.value
        matmul.pack(panels, bias, weight, start, format)
        return panels, bias

    @property
    def sizes(self) -> tuple[int, int]:
        outputs, inputs = self._weight.shape
        return outputs, inputs

    def used(self) -> str:
        return "exact" if self.sizes[0] == 1 else super().used()  # a single column is an inner product

    def prepare(self, x: Array, y: Array, tape: Workspace) -> Stage:
        """A stage from x (M, K) to y (M, N). What it rounds lies in the workspace."""
        format = self.used()
        panels, bias = self.get(format)
        m, k = x.shape
        team = 1 if cpu.matrix_work(2 * m * k * y.shape[1]) < cpu.WORTH_SHARING else threads.get_num_threads()
        rounded = tape.array("rounded", (team, cpu.HELD_ROWS, cpu.rounded_row(k, x.dtype, format)), np.uint32)
        return matmul.affine(x, panels, bias, y, team, format, rounded)


class PackedTable(Packed):
    """The rows of a table, which are looked up and not multiplied: in few bits wherever a file has them so, too."""

    multiplied = False

    def __init__(self, weight: Parameter) -> None:
        super().__init__(weight)
        self._weight = weight

    def pack(self, format: str) -> tuple[Array, Array]:
        numbers, scale = self._weight._narrowed(format)
        return numbers, np.empty(0, np.float32) if scale is None else scale

    @property
    def sizes(self) -> tuple[int, int]:
        tokens, size = self._weight.shape
        return tokens, size

    def used(self) -> str:
        return self.format if cpu.isa() != "plain" and enough(self.format, *self.sizes) else "exact"

    def prepare(self, index: Index, y: Array) -> Stage:
        """A stage from rows of the table (M) to y (M, size)."""
        format = self.used()
        if format == "exact":
            return rows.gather_stage(self._weight.value, index, y)
        numbers, scale = self.get(format)
        return rows.widen_stage(numbers, scale, index, y)
