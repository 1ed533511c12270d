"""Rows normalised to a mean of 0 and a variance of 1, and the gradient (simd/norm_template.h)."""

from fastlstm._kernels.blas cimport column_sums
from fastlstm._kernels.cpu cimport fl_norm, run_for, team_for, training
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage

cdef enum:
    BLOCK = 16                                          # rows at least

BLOCKS = 64
"""Blocks of rows at most. Each has gradients of its own, so that they do not depend on the number of threads."""


cdef class Norm(Stage):
    """Rows normalised. Made by `forward`."""

    cdef fl_norm p
    cdef object held


def forward(
    const real[:, :] x, const real[::1] weight, const real[::1] bias, double eps, real[:, ::1] y,
    real[::1] mean, real[::1] scale,
):
    """A stage that writes y (R, F), and mean and scale of each row (R), for x (R, F), whose rows may lie apart."""
    cdef Py_ssize_t rows = x.shape[0], width = x.shape[1]
    if (
        0 in (rows, width) or y.shape[0] != rows or y.shape[1] != width or weight.shape[0] != width
        or bias.shape[0] != width or mean.shape[0] != rows or scale.shape[0] != rows
    ):
        raise ValueError("norm: sizes do not agree")
    if width > 1 and x.strides[1] != sizeof(real):
        raise ValueError("norm: rows must be contiguous")
    cdef Norm made = Norm()
    made.p.rows, made.p.width, made.p.eps = rows, width, eps
    made.p.x_row = x.strides[0] // <Py_ssize_t>sizeof(real)
    made.p.x, made.p.weight, made.p.bias, made.p.y = &x[0, 0], &weight[0], &bias[0], &y[0, 0]
    made.p.mean, made.p.scale = &mean[0], &scale[0]
    made.job, made.argument = training(real is float).norm, &made.p
    made.work = rows * width / 1e3
    made.threads = team_for(made.work)
    made.input, made.output = &made.p.x, <void**>&made.p.y
    made.output_bytes = rows * width * <Py_ssize_t>sizeof(real)
    made.x, made.y, made.held = x, y, (weight, bias, mean, scale)
    return made


def backward(
    const real[:, ::1] dy, const real[:, ::1] x, const real[::1] weight, const real[::1] mean, const real[::1] scale,
    real[:, :, ::1] sums, real[:, ::1] dx, real[::1] dweight, real[::1] dbias, bint add_weight=True, bint add_bias=True,
):
    """dx (unless it has no rows), and dweight and dbias: added to, or written over, whatever they hold.

    sums is room for (BLOCKS, 2, F) numbers.
    """
    cdef Py_ssize_t rows = x.shape[0], width = x.shape[1], blocks
    cdef fl_norm p
    if (
        0 in (rows, width) or dy.shape[0] != rows or dy.shape[1] != width or weight.shape[0] != width
        or mean.shape[0] != rows or scale.shape[0] != rows or dx.shape[0] not in (0, rows) or dx.shape[1] != width
        or dweight.shape[0] != width or dbias.shape[0] != width or sums.shape[0] != BLOCKS or sums.shape[1] != 2
        or sums.shape[2] != width
    ):
        raise ValueError("norm: sizes do not agree")
    p.rows, p.width, p.x_row, p.block = rows, width, width, max(BLOCK, (rows + sums.shape[0] - 1) // sums.shape[0])
    blocks = (rows + p.block - 1) // p.block
    p.x, p.dy, p.weight, p.sums = &x[0, 0], &dy[0, 0], &weight[0], &sums[0, 0, 0]
    p.mean, p.scale, p.dx = <void*>&mean[0], <void*>&scale[0], &dx[0, 0] if dx.shape[0] else NULL
    with nogil:
        run_for(training(real is float).norm_backward, &p, rows * width / 5e2)
        column_sums(blocks, width, &sums[0, 0, 0], 2 * width, add_weight, &dweight[0])
        column_sums(blocks, width, &sums[0, 1, 0], 2 * width, add_bias, &dbias[0])
