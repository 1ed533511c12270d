from fastlstm._kernels.real cimport real


cdef enum Transpose:
    NO_TRANS
    TRANS


# scipy's BLAS, or NULL until scipy_blas.pyx is imported
cdef struct Routines:
    void (*sgemm)(
        char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*
    ) noexcept nogil
    void (*dgemm)(
        char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*
    ) noexcept nogil
    void (*sgemv)(char*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*) noexcept nogil
    void (*dgemv)(char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil

cdef Routines routines


cdef int gemm(
    Transpose trans_a, Transpose trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const real* a, Py_ssize_t lda, const real* b, Py_ssize_t ldb,
    real beta, real* c, Py_ssize_t ldc,
) except -1 nogil

cdef void column_sums(
    Py_ssize_t m, Py_ssize_t n, const real* a, Py_ssize_t lda, bint add, real* out
) noexcept nogil
