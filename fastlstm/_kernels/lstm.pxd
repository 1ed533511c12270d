from fastlstm._kernels.real cimport real


cdef check_alive(const Py_ssize_t[::1] alive, Py_ssize_t S, Py_ssize_t N)

cdef int add_recurrent_gradient(
    real* dw_hh, Py_ssize_t G, const real* gates, const real* h, Py_ssize_t H, const Py_ssize_t[::1] alive
) except -1 nogil
