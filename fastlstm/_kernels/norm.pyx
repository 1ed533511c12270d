"""Normalisation of rows to a mean of 0 and a variance of 1, and its gradient.

    x̂ = (x - mean) · scale      scale = 1 / sqrt(variance + eps)      y = x̂ · weight + bias
"""

from libc.math cimport sqrt
from libc.string cimport memset

from fastlstm._kernels.cpu cimport fl_team, run_for, team_for
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage

cdef enum:
    LANES = 16
    BLOCK = 16                                          # rows at least

BLOCKS = 64  # of rows at most, each with sums of its own, so that they do not depend on the number of threads


cdef struct fl_norm:
    Py_ssize_t rows, width, x_row, block
    double eps
    const void* x
    const void* weight
    const void* bias
    const void* dy
    void* y
    void* mean
    void* scale
    void* dx
    void* sums


# sum of x - shift
cdef real sum_apart(const real* x, real shift, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0, lane
    cdef real[LANES] sums
    cdef real total = 0
    for lane in range(LANES):
        sums[lane] = 0
    while j + LANES <= n:
        for lane in range(LANES):
            sums[lane] += x[j + lane] - shift
        j += LANES
    for lane in range(LANES):
        total += sums[lane]
    for j in range(j, n):
        total += x[j] - shift
    return total


# sum of (x - shift)²
cdef real squares_apart(const real* x, real shift, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0, lane
    cdef real[LANES] sums
    cdef real total = 0
    for lane in range(LANES):
        sums[lane] = 0
    while j + LANES <= n:
        for lane in range(LANES):
            sums[lane] += (x[j + lane] - shift) * (x[j + lane] - shift)
        j += LANES
    for lane in range(LANES):
        total += sums[lane]
    for j in range(j, n):
        total += (x[j] - shift) * (x[j] - shift)
    return total


# sums of dy · weight and of dy · weight · x̂
cdef void sums_along(
    const real* dy, const real* weight, const real* x, real mean, real scale, Py_ssize_t n, real* plain, real* along
) noexcept nogil:
    cdef Py_ssize_t j = 0, lane
    cdef real[LANES] first, second
    cdef real a = 0, b = 0
    for lane in range(LANES):
        first[lane] = second[lane] = 0
    while j + LANES <= n:
        for lane in range(LANES):
            first[lane] += dy[j + lane] * weight[j + lane]
            second[lane] += dy[j + lane] * weight[j + lane] * ((x[j + lane] - mean) * scale)
        j += LANES
    for lane in range(LANES):
        a += first[lane]
        b += second[lane]
    for j in range(j, n):
        a += dy[j] * weight[j]
        b += dy[j] * weight[j] * ((x[j] - mean) * scale)
    plain[0], along[0] = a, b


cdef void forward_row(
    const real* x, const real* weight, const real* bias, double eps, Py_ssize_t n, real* y, real* mean, real* scale
) noexcept nogil:
    cdef Py_ssize_t j
    cdef real m = sum_apart(x, <real>0, n) / n
    m += sum_apart(x, m, n) / n                         # what the first sum has lost by rounding
    cdef real s = <real>(1 / sqrt(squares_apart(x, m, n) / n + eps))
    for j in range(n):
        y[j] = (x[j] - m) * s * weight[j] + bias[j]
    mean[0], scale[0] = m, s


cdef void backward_row(
    const real* dy, const real* x, const real* weight, real mean, real scale, Py_ssize_t n, real* dx,
    real* dweight, real* dbias,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef real plain, along
    if dx != NULL:
        sums_along(dy, weight, x, mean, scale, n, &plain, &along)
        plain, along = plain / n, along / n
        for j in range(n):
            dx[j] = scale * (dy[j] * weight[j] - plain - (x[j] - mean) * scale * along)
    for j in range(n):
        dweight[j] += dy[j] * ((x[j] - mean) * scale)
    for j in range(n):
        dbias[j] += dy[j]


cdef void forward_rows(fl_norm* p, real* kind, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t r, n = p.width
    for r in range(first, last):
        forward_row(
            <const real*>p.x + r * p.x_row, <const real*>p.weight, <const real*>p.bias, p.eps, n, <real*>p.y + r * n,
            <real*>p.mean + r, <real*>p.scale + r,
        )


cdef void backward_rows(fl_norm* p, real* kind, Py_ssize_t block) noexcept nogil:
    cdef Py_ssize_t r, n = p.width
    cdef real* sums = <real*>p.sums + 2 * block * n
    cdef real* dx = <real*>p.dx
    memset(sums, 0, 2 * n * sizeof(real))
    for r in range(block * p.block, min(p.rows, (block + 1) * p.block)):
        backward_row(
            <const real*>p.dy + r * n, <const real*>p.x + r * p.x_row, <const real*>p.weight, (<real*>p.mean)[r],
            (<real*>p.scale)[r], n, NULL if dx == NULL else dx + r * n, sums, sums + n,
        )


cdef void forward_f(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_norm* p = <fl_norm*>argument
    forward_rows(p, <float*>NULL, p.rows * thread // team.size, p.rows * (thread + 1) // team.size)


cdef void forward_d(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_norm* p = <fl_norm*>argument
    forward_rows(p, <double*>NULL, p.rows * thread // team.size, p.rows * (thread + 1) // team.size)


cdef void backward_f(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_norm* p = <fl_norm*>argument
    cdef Py_ssize_t blocks = (p.rows + p.block - 1) // p.block, k
    for k in range(blocks * thread // team.size, blocks * (thread + 1) // team.size):
        backward_rows(p, <float*>NULL, k)


cdef void backward_d(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_norm* p = <fl_norm*>argument
    cdef Py_ssize_t blocks = (p.rows + p.block - 1) // p.block, k
    for k in range(blocks * thread // team.size, blocks * (thread + 1) // team.size):
        backward_rows(p, <double*>NULL, k)


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
    made.job, made.argument = forward_f if real is float else forward_d, &made.p
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
    cdef Py_ssize_t rows = x.shape[0], width = x.shape[1], k, j, blocks
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
        run_for(backward_f if real is float else backward_d, &p, rows * width / 5e2)
        if not add_weight:
            dweight[:] = 0
        if not add_bias:
            dbias[:] = 0
        for k in range(blocks):
            for j in range(width):
                dweight[j] += sums[k, 0, j]
            for j in range(width):
                dbias[j] += sums[k, 1, j]
