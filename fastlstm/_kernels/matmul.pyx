"""Matrix products on the register tile (simd/matmul.hpp): for Dense, and the large products of training."""

from fastlstm._kernels.cpu cimport (
    FL_EXACT,
    FL_HELD_ROWS,
    fl_affine,
    fl_format,
    fl_matmul,
    format_of,
    functions,
    panel_rows,
    row_inputs,
    run,
    scratch,
    table,
    work_of,
)
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage, address, weights_at


def pack(panels, real[::1] bias, const real[:, ::1] weight, const real[::1] b, str format="exact"):
    """Pack a weight (n, k) and b (n or 0) into panels (width·k) and bias (width); width is n up to whole vectors.

    panels are cpu.matrix_size numbers. A single column, n = 1, needs the exact format.
    """
    cdef Py_ssize_t n = weight.shape[0], k = weight.shape[1], width = bias.shape[0]
    cdef const fl_format* known = format_of(real is float, format)
    if (
        n < 1 + (known.bytes < <Py_ssize_t>sizeof(real)) or k < 1 or b.shape[0] not in (0, n)
        or width * <Py_ssize_t>sizeof(real) % table().bytes != 0 or width < n
    ):
        raise ValueError("matmul.pack: sizes do not agree")
    cdef void* start = weights_at(panels, known, width * panel_rows(known, k) * known.depth, True)
    with nogil:
        known.pack_matrix(start, &bias[0], &weight[0, 0], &b[0] if b.shape[0] else NULL, n, k)


cdef class Affine(Stage):
    """y = x·weightᵀ + b on weights from `pack`. Made by `affine`."""

    cdef fl_affine a


def affine(
    const real[:, :] x, panels, const real[::1] bias, real[:, ::1] y, int threads, str format="exact", rounded=None
):
    """An `Affine` from x (m, k), whose rows may lie apart, to y (m, n).

    `rounded` (uint32) is scratch where the format rounds: (threads, cpu.HELD_ROWS, cpu.rounded_row(k)).
    """
    cdef Py_ssize_t m = x.shape[0], k = x.shape[1], n = y.shape[1]
    cdef const fl_format* known = format_of(real is float, format)
    if (
        m < 1 or k < 1 or n < 1 + (known.bytes < <Py_ssize_t>sizeof(real)) or threads < 1
        or y.shape[0] != m or bias.shape[0] < n
        or (k > 1 and x.strides[1] != sizeof(real))
        or bias.shape[0] * <Py_ssize_t>sizeof(real) % table().bytes != 0 or x.strides[0] % sizeof(real) != 0
    ):
        raise ValueError("matmul.affine: sizes do not agree")
    cdef Affine made = Affine()
    made.a.m, made.a.n, made.a.k = m, n, k
    made.a.x_row, made.a.y_row = x.strides[0] // <Py_ssize_t>sizeof(real), n
    made.a.x, made.a.y, made.a.bias = &x[0, 0], &y[0, 0], &bias[0]
    made.a.panels = weights_at(panels, known, bias.shape[0] * panel_rows(known, k) * known.depth, False)
    if known.rounds:
        made.a.rounded = <void*>address(rounded, "I", 4 * threads * FL_HELD_ROWS * row_inputs(known, k), True)
    made.job, made.argument, made.threads = known.affine, &made.a, threads
    made.work = work_of(2.0 * m * n * k)
    made.input, made.output, made.output_bytes = &made.a.x, &made.a.y, m * n * <Py_ssize_t>sizeof(real)
    made.x, made.y = x, (y, panels, bias, rounded)
    return made


def multiply(const real[:, :] a, const real[:, :] b, real[:, ::1] c, bint add, int threads):
    """c = a·b, or c += a·b, for matrices of any layout in which one of the two axes is contiguous."""
    cdef Py_ssize_t size = sizeof(real)
    cdef fl_matmul p
    p.m, p.n, p.k = a.shape[0], b.shape[1], a.shape[1]
    p.a_row, p.a_k = a.strides[0] // size, a.strides[1] // size
    p.b_k, p.b_col = b.strides[0] // size, b.strides[1] // size
    if (
        table() == NULL or b.shape[0] != p.k or c.shape[0] != p.m or c.shape[1] != p.n or threads < 1
        or min(p.m, p.n, p.k) < 1 or (p.a_row != 1 and p.a_k != 1) or (p.b_k != 1 and p.b_col != 1)
    ):
        raise ValueError("matmul.multiply: sizes or layouts do not agree")
    p.a, p.b, p.c, p.c_row, p.add, p.in_order = &a[0, 0], &b[0, 0], &c[0, 0], p.n, add, False
    p.bias, p.room = NULL, scratch(threads * functions(real is float).matmul_room)
    with nogil:
        run(functions(real is float).formats[FL_EXACT].matmul, &p, threads, work_of(2.0 * p.m * p.n * p.k))
