from fastlstm._kernels.cpu cimport fl_segment


cdef class Layout:
    cdef readonly Py_ssize_t T, N, S, I, H, x_size, y_size, longest
    cdef readonly int threads
    cdef readonly bint full, by_units
    cdef Py_ssize_t x_step, y_step, segment_count
    cdef const Py_ssize_t* alive
    cdef const Py_ssize_t* before
    cdef const Py_ssize_t* x_row
    cdef const Py_ssize_t* y_row
    cdef const fl_segment* segments
    cdef tuple held
