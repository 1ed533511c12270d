from fastlstm._kernels.cpu cimport fl_team
from fastlstm._kernels.real cimport real

cdef enum:
    KEEP = -2                                           # an index whose row of the output stays as it is


cdef struct fl_gather:
    const Py_ssize_t* index
    const char* source
    char* out
    Py_ssize_t count, bytes, source_row, out_row, rows


cdef check_index(const Py_ssize_t[::1] index, Py_ssize_t lowest, Py_ssize_t rows)
cdef void gather_rows(void* argument, int thread, fl_team* team) noexcept nogil
cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil
