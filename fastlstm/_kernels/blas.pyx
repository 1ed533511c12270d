"""Row-major matrix products: on the packed kernels, or on the plain path on scipy's BLAS, which only this module calls.

Design: BLAS is column-major and takes C ints. A row-major C = A·B is the column-major Cᵀ = Bᵀ·Aᵀ, so operands are
swapped here, once, and nowhere else. Sizes come as Py_ssize_t and are checked against INT_MAX here, once. Importing
scipy's BLAS imports all of scipy.linalg, which takes longer than all of ours: the first product that needs it imports
scipy_blas.pyx, which has it.
"""

from importlib import import_module

from libc.limits cimport INT_MAX
from libc.string cimport memset

from fastlstm._kernels.cpu cimport (
    FL_EXACT, fl_columns, fl_format, fl_matmul, format_of, functions, invariant, run, run_for, scratch, table, team_for,
    training, work_of,
)
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage, address


cdef Routines routines = [NULL, NULL, NULL, NULL]


cdef int load_routines() except -1 nogil:
    with gil:
        import_module("fastlstm._kernels.scipy_blas")
    return 0


cdef int too_large(Py_ssize_t size) except -1 nogil:
    with gil:
        raise OverflowError(
            f"a matrix dimension of {size} is beyond what BLAS takes ({INT_MAX}); use smaller batches or sequences"
        )


# C := op(A)·op(B) + beta·C; C is (m, n), op(A) (m, k), op(B) (k, n), rows lda, ldb, ldc elements apart.
# beta is 0 or 1; C is not read where it is 0.
cdef int gemm(
    Transpose trans_a, Transpose trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const real* a, Py_ssize_t lda, const real* b, Py_ssize_t ldb,
    real beta, real* c, Py_ssize_t ldc,
) except -1 nogil:
    cdef Py_ssize_t i, largest = max(m, n, k, lda, ldb, ldc)
    if largest > INT_MAX:
        too_large(largest)
    if m == 0 or n == 0:
        return 0
    if k == 0:                                          # a sum of nothing
        if beta == 0:
            for i in range(m):
                memset(c + i * ldc, 0, n * sizeof(real))
        return 0
    if table() != NULL:
        multiply(
            m, n, k, a, 1 if trans_a == TRANS else lda, lda if trans_a == TRANS else 1,
            b, 1 if trans_b == TRANS else ldb, ldb if trans_b == TRANS else 1, beta != 0, c, ldc, <const real*>NULL,
            functions(real is float).formats[FL_EXACT],
        )
        return 0
    if not (routines.sgemm and routines.dgemm and routines.sgemv and routines.dgemv):
        load_routines()
    cdef char ta = b'T' if trans_a == TRANS else b'N'
    cdef char tb = b'T' if trans_b == TRANS else b'N'
    cdef char tv = b'T' if trans_b == TRANS else b'N'
    cdef int mi = <int>m, ni = <int>n, ki = <int>k, la = <int>lda, lb = <int>ldb, lc = <int>ldc, one_step = 1
    cdef int rows = ki if trans_b == TRANS else ni, columns = ni if trans_b == TRANS else ki
    cdef real one = 1
    cdef real* pa = <real*>a
    cdef real* pb = <real*>b
    # a row vector times a matrix: gemv reads the matrix once, where gemm would pack it first
    if m == 1 and trans_a == NO_TRANS:
        if beta == 0:
            memset(c, 0, n * sizeof(real))              # some BLAS multiply a NaN in c by beta
        if real is float:
            routines.sgemv(&tv, &rows, &columns, &one, pb, &lb, pa, &one_step, &beta, c, &one_step)
        else:
            routines.dgemv(&tv, &rows, &columns, &one, pb, &lb, pa, &one_step, &beta, c, &one_step)
        return 0
    if real is float:
        routines.sgemm(&tb, &ta, &ni, &mi, &ki, &one, pb, &lb, pa, &la, &beta, c, &lc)
    else:
        routines.dgemm(&tb, &ta, &ni, &mi, &ki, &one, pb, &lb, pa, &la, &beta, c, &lc)
    return 0


cdef int multiply(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, Py_ssize_t a_row, Py_ssize_t a_k,
    const real* b, Py_ssize_t b_k, Py_ssize_t b_col, bint add, real* c, Py_ssize_t c_row, const real* bias,
    const fl_format* format,
) except -1 nogil:
    cdef fl_matmul p
    cdef double work = work_of(2.0 * m * n * k)
    cdef int threads = team_for(work)
    p.m, p.n, p.k, p.a_row, p.a_k, p.b_k, p.b_col, p.c_row = m, n, k, a_row, a_k, b_k, b_col, c_row
    p.a, p.b, p.c, p.add, p.in_order, p.bias = a, b, c, add, invariant(), bias
    p.room = scratch(threads * functions(real is float).matmul_room)
    run(format.matmul, &p, threads, work)
    return 0


# out[j] = or += sum over i of a[i, j]
cdef void column_sums(
    Py_ssize_t m, Py_ssize_t n, const real* a, Py_ssize_t lda, bint add, real* out
) noexcept nogil:
    cdef fl_columns p
    p.m, p.n, p.row, p.a, p.out, p.add = m, n, lda, a, out, add
    run_for(training(real is float).columns, &p, m * n / 4e3)


cdef const fl_format* narrow_format(bint single, str format) except? NULL:
    """The format of products of narrow numbers; NULL for "exact", which on the plain path is BLAS's."""
    cdef const fl_format* found
    if format == "exact":
        return NULL
    found = format_of(single, format)
    if found.matmul == NULL:
        raise ValueError(f"format: expected one that has products of matrices, got {format!r}")
    return found


def affine(
    const real[:, ::1] x, const real[:, ::1] weight, const real[::1] bias, real[:, ::1] y, str format="exact"
):
    """y = x·weightᵀ + bias; x (M, K), weight (N, K), bias (N) or empty, y (M, N). The product is that of the format."""
    cdef Py_ssize_t m = x.shape[0], k = x.shape[1], n = weight.shape[0]
    if weight.shape[1] != k or y.shape[0] != m or y.shape[1] != n or bias.shape[0] not in (0, n):
        raise ValueError("affine: sizes do not agree")
    if m == 0 or n == 0:
        return
    cdef const fl_format* narrow = narrow_format(real is float, format)
    with nogil:
        affine_on(
            m, n, k, &x[0, 0] if k else NULL, &weight[0, 0] if k else NULL,
            &bias[0] if bias.shape[0] else NULL, &y[0, 0], narrow,
        )


cdef int affine_on(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* x, const real* weight, const real* bias, real* y,
    const fl_format* narrow,
) except -1 nogil:
    cdef Py_ssize_t i, j
    if narrow != NULL:
        return multiply(m, n, k, x, k, 1, weight, 1, k, False, y, n, bias, narrow)
    if bias != NULL and table() != NULL and (m > 1 or invariant()) and n > 1 and k > 0:
        multiply(m, n, k, x, k, 1, weight, 1, k, False, y, n, bias, functions(real is float).formats[FL_EXACT])
        return 0
    if bias != NULL:
        for i in range(m):
            for j in range(n):
                y[i * n + j] = bias[j]
    return gemm(NO_TRANS, TRANS, m, n, k, x, k, weight, k, <real>(bias != NULL), y, n)


def affine_backward(
    const real[:, ::1] dy, const real[:, ::1] x, const real[:, ::1] weight,
    real[:, ::1] dweight, real[::1] dbias, real[:, ::1] dx, bint add_weight=True, bint add_bias=True,
    str format="exact",
):
    """dweight += dyᵀ·x; dbias += sum of dy's rows (unless empty); dx = dy·weight (unless it has no rows).

    What is not to be added to is written over, whatever it holds. Products are those of the format.
    """
    cdef Py_ssize_t m = x.shape[0], k = x.shape[1], n = weight.shape[0]
    if (
        dy.shape[0] != m or dy.shape[1] != n or weight.shape[1] != k or dweight.shape[0] != n
        or dweight.shape[1] != k or dbias.shape[0] not in (0, n) or dx.shape[0] not in (0, m) or dx.shape[1] != k
    ):
        raise ValueError("affine_backward: sizes do not agree")
    if m == 0 or n == 0 or k == 0:
        raise ValueError("affine_backward: expected no empty arrays")
    cdef const fl_format* narrow = narrow_format(real is float, format)
    with nogil:
        affine_backward_on(
            m, n, k, &dy[0, 0], &x[0, 0], &weight[0, 0], &dweight[0, 0], add_weight,
            &dbias[0] if dbias.shape[0] else NULL, add_bias, &dx[0, 0] if dx.shape[0] else NULL, narrow,
        )


cdef int affine_backward_on(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* dy, const real* x, const real* weight,
    real* dweight, bint add_weight, real* dbias, bint add_bias, real* dx, const fl_format* narrow,
) except -1 nogil:
    if narrow != NULL:
        multiply(n, k, m, dy, 1, n, x, k, 1, add_weight, dweight, k, <const real*>NULL, narrow)
    else:
        gemm(TRANS, NO_TRANS, n, k, m, dy, n, x, k, <real>add_weight, dweight, k)
    if dbias != NULL:
        column_sums(m, n, dy, n, add_bias, dbias)
    if dx != NULL and narrow != NULL:
        multiply(m, k, n, dy, n, 1, weight, k, 1, False, dx, k, <const real*>NULL, narrow)
    elif dx != NULL:
        gemm(NO_TRANS, NO_TRANS, m, k, n, dy, n, weight, k, <real>0, dx, k)
    return 0


cdef class Affine(Stage):
    """`affine` on arrays that it holds. Made by `affine_stage`."""

    cdef Py_ssize_t m, n, k
    cdef bint single
    cdef const void* from_
    cdef const void* weight
    cdef const void* bias
    cdef void* to
    cdef const fl_format* narrow
    cdef tuple held

    cpdef go(self):
        with nogil:
            if self.single:
                affine_on[float](
                    self.m, self.n, self.k, <float*>self.from_, <float*>self.weight, <float*>self.bias, <float*>self.to,
                    self.narrow,
                )
            else:
                affine_on[double](
                    self.m, self.n, self.k, <double*>self.from_, <double*>self.weight, <double*>self.bias,
                    <double*>self.to, self.narrow,
                )


def affine_stage(x, weight, bias, y, str format="exact"):
    """`affine` of contiguous arrays of a dtype: x (M, K), weight (N, K), bias (N) or None, y (M, N)."""
    cdef Affine made = Affine()
    (made.m, made.k), (made.n, _) = x.shape, weight.shape
    made.single = x.dtype.itemsize == 4
    cdef Py_ssize_t size = 4 if made.single else 8
    form = "f" if made.single else "d"
    if min(made.m, made.n, made.k) < 1:
        raise ValueError("affine: expected no empty arrays")
    made.from_ = address(x, form, made.m * made.k * size, False)
    made.weight = address(weight, form, made.n * made.k * size, False)
    made.bias = NULL if bias is None else address(bias, form, made.n * size, False)
    made.to = <void*>address(y, form, made.m * made.n * size, True)
    made.narrow = narrow_format(made.single, format)
    made.held = (x, weight, bias, y)
    return made


cdef class AffineBackward(Stage):
    """`affine_backward` on arrays that it holds, to its parameters' gradients. Made by `affine_backward_stage`."""

    cdef Py_ssize_t m, n, k
    cdef bint single
    cdef const void* dy
    cdef const void* from_
    cdef const void* value
    cdef void* dx
    cdef const fl_format* narrow
    cdef object weight, bias
    cdef tuple held

    cpdef go(self):
        cdef Py_ssize_t size = 4 if self.single else 8
        cdef bint add_weight, add_bias = False
        cdef void* dbias = NULL
        form = "f" if self.single else "d"
        grad, add_weight = self.weight.accumulator()
        cdef void* dweight = <void*>address(grad, form, self.n * self.k * size, True)
        if self.bias is not None:
            grad, add_bias = self.bias.accumulator()
            dbias = <void*>address(grad, form, self.n * size, True)
        with nogil:
            if self.single:
                affine_backward_on[float](
                    self.m, self.n, self.k, <float*>self.dy, <float*>self.from_, <float*>self.value, <float*>dweight,
                    add_weight, <float*>dbias, add_bias, <float*>self.dx, self.narrow,
                )
            else:
                affine_backward_on[double](
                    self.m, self.n, self.k, <double*>self.dy, <double*>self.from_, <double*>self.value,
                    <double*>dweight, add_weight, <double*>dbias, add_bias, <double*>self.dx, self.narrow,
                )


def affine_backward_stage(dy, x, weight, bias, dx, str format="exact"):
    """`affine_backward` to the gradients of the parameters weight and bias (or None); dx None: not wanted."""
    cdef AffineBackward made = AffineBackward()
    value = weight.read()
    (made.m, made.k), (made.n, _) = x.shape, value.shape
    made.single = x.dtype.itemsize == 4
    cdef Py_ssize_t size = 4 if made.single else 8
    form = "f" if made.single else "d"
    if min(made.m, made.n, made.k) < 1:
        raise ValueError("affine_backward: expected no empty arrays")
    made.dy = address(dy, form, made.m * made.n * size, False)
    made.from_ = address(x, form, made.m * made.k * size, False)
    made.value = address(value, form, made.n * made.k * size, False)
    made.dx = NULL if dx is None else <void*>address(dx, form, made.m * made.k * size, True)
    made.narrow = narrow_format(made.single, format)
    made.weight, made.bias, made.held = weight, bias, (dy, x, value, dx)
    return made
