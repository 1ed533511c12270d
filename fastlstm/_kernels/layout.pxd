from fastlstm._kernels.cpu cimport fl_segment


cdef class RaggedOrder:
    cdef readonly Py_ssize_t N, T, longest
    cdef readonly object given, index, lengths, alive
    cdef object slots
    cdef Py_ssize_t[::1] given_, index_, lengths_, alive_, slots_

    cdef int take(self, const Py_ssize_t* given) except -1
    cdef void sort(self) noexcept


cdef class Layout:
    cdef readonly Py_ssize_t T, N, S, I, H, x_size, y_size
    cdef readonly int threads
    cdef readonly bint full, by_units
    cdef Py_ssize_t x_step, y_step, segment_count
    cdef const Py_ssize_t* alive
    cdef const Py_ssize_t* offset
    cdef const Py_ssize_t* x_row
    cdef const Py_ssize_t* y_row
    cdef const fl_segment* segments
    cdef tuple held

    cdef int settle(
        self, const Py_ssize_t[::1] alive, const Py_ssize_t[:, ::1] segments, const Py_ssize_t[::1] x_row,
        const Py_ssize_t[::1] y_row, Py_ssize_t[::1] offset,
    ) except -1
    cdef int follow(self) except -1
