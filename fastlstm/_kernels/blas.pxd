from fastlstm._kernels.real cimport real


cdef enum Transpose:
    NO_TRANS
    TRANS


cdef int gemm(
    Transpose trans_a, Transpose trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const real* a, Py_ssize_t lda, const real* b, Py_ssize_t ldb,
    real beta, real* c, Py_ssize_t ldc,
) except -1 nogil

cdef void add_column_sums(
    Py_ssize_t m, Py_ssize_t n, const real* a, Py_ssize_t lda, real* out
) noexcept nogil
