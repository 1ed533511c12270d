from fastlstm._kernels.real cimport real


cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil
