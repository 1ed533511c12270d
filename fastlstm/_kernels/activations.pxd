from fastlstm._kernels.real cimport real


cdef double row_exp(const real* x, real* y, Py_ssize_t n, real* top) noexcept nogil
