"""MatMul and Gemm on our kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from fastlstm import threads
from fastlstm._kernels import cpu, matmul
from fastlstm.layers import Dense
from fastlstm.layers.packed import PackedMatrix
from fastlstm.workspace import Workspace

Array = NDArray[Any]

LITTLE, VECTOR = 1 << 16, 1 << 18
"""Multiply-adds up to which NumPy's product is faster: of any matrices, 1.2 µs where ours takes 3.5, and of one row, 14
µs for 256 by 1,024 numbers where ours takes 17 to 33. From there on ours is, on one thread of an AMD Zen 4 by 1.1 to
1.9 times for 4 to 16 rows, and its threads do not wait for those of another pool."""


MOST_ROWS, LEAST_COLUMNS = 64, 16
"""Of a product with a packed constant: 0.4 to 0.8 of the time with 4 to 16 rows, nothing saved with more."""


class Product(OpRun):
    """A node that keeps its second matrix packed, if that is a constant."""

    _kept: tuple[Array, PackedMatrix | None] | None = None

    def product(self, a: Array, b: Array, turned: bool = False) -> Array:
        """a @ b, or a @ b.T."""
        sides = b.T if turned else b
        if b.flags.writeable or b.ndim != 2 or a.ndim < 2 or not a.size or a.dtype not in (np.float32, np.float64):
            return product(a, sides)
        (k, n), m = sides.shape, a.size // a.shape[-1]
        if m > MOST_ROWS or n < LEAST_COLUMNS or k != a.shape[-1] or cpu.isa() == "plain":
            return product(a, sides)
        kept = self._kept  # once: another thread may set it
        if kept is None or kept[0] is not b:  # it may be an input, which is another object at the next run
            self._kept = (b, None)
            return product(a, sides)
        if kept[1] is None:
            kept = self._kept = (b, packed(sides))
        assert kept[1] is not None
        y = np.empty((m, n), a.dtype)
        kept[1].prepare(np.require(a.reshape(m, -1), requirements=["C", "A"]), y, Workspace(0)).go()
        return y.reshape(*a.shape[:-1], n)


def packed(b: Array) -> PackedMatrix:
    """A matrix (K, N) as the kernels read it."""
    dense = Dense(*b.shape, bias=False, dtype=b.dtype)
    dense._see_parameters({"weight": np.ascontiguousarray(b.T)})
    return PackedMatrix(dense.parameter("weight"), None)


class MatMul(Product):
    op_domain = ""

    def _run(self, a: Array, b: Array) -> tuple[Array]:
        if a.dtype != b.dtype:
            raise ValueError(f"expected two matrices of one type, got {a.dtype} and {b.dtype}")
        return (self.product(a, b),)


class Gemm(Product):
    op_domain = ""

    def _run(self, a: Array, b: Array, c: Array | None = None, **told: Any) -> tuple[Array]:
        """alpha·A·B + beta·C, with A and B transposed where that is told."""
        y = self.product(a.T if told["transA"] else a, b, bool(told["transB"]))
        if told["alpha"] != 1:
            y = y * told["alpha"]
        if c is not None and told["beta"] != 0:
            y = y + (c if told["beta"] == 1 else c * told["beta"])
        return (y.astype(a.dtype, copy=False),)


def product(a: Array, b: Array) -> Array:
    """a @ b, a new array of their dtype."""
    if narrow(a):
        return product(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    if a.dtype not in (np.float32, np.float64) or b.ndim != 2 or a.ndim < 2:
        return np.asarray(np.matmul(a, b)).astype(a.dtype, copy=False)
    (k, n), m = b.shape, a.size // max(a.shape[-1], 1)
    if k != a.shape[-1]:
        raise ValueError(f"expected matrices whose inner sizes agree, got shapes {a.shape} and {b.shape}")
    if m * k * n <= (VECTOR if m == 1 else LITTLE) or cpu.isa() == "plain":
        return np.asarray(np.matmul(a, b))
    y = np.empty((m, n), a.dtype)
    matmul.multiply(readable(a.reshape(m, k)), readable(b), y, False, threads.get_num_threads())
    return y.reshape(*a.shape[:-1], n)


def narrow(array: Array) -> bool:
    """Whether its numbers have 16 bits or fewer behind a point: they are added up in float32."""
    return array.dtype.kind in "fV" and array.dtype.itemsize < 4


def readable(matrix: Array) -> Array:
    """A matrix as a kernel can read it: aligned, and contiguous along one of its axes."""
    if matrix.itemsize in matrix.strides and matrix.flags.aligned and min(matrix.strides) > 0:
        return matrix
    return np.require(matrix, requirements=["C", "A"])
