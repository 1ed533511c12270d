"""MatMul and Gemm on our kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from fastlstm import threads
from fastlstm._kernels import cpu, matmul

Array = NDArray[Any]

LITTLE, VECTOR = 1 << 16, 1 << 18
"""Multiply-adds up to which NumPy's product is faster: of any matrices, 1.2 µs where ours takes 3.5, and of one row, 14
µs for 256 by 1,024 numbers where ours takes 17 to 33. From there on ours is, on one thread of an AMD Zen 4 by 1.1 to
1.9 times for 4 to 16 rows, and its threads do not wait for those of another pool."""


class MatMul(OpRun):
    op_domain = ""

    def _run(self, a: Array, b: Array) -> tuple[Array]:
        if a.dtype != b.dtype:
            raise ValueError(f"expected two matrices of one type, got {a.dtype} and {b.dtype}")
        return (product(a, b),)


class Gemm(OpRun):
    op_domain = ""

    def _run(self, a: Array, b: Array, c: Array | None = None, **told: Any) -> tuple[Array]:
        """alpha·A·B + beta·C, with A and B transposed where that is told."""
        a, b = a.T if told["transA"] else a, b.T if told["transB"] else b
        y = product(a, b)
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
