from fastlstm._kernels.cpu cimport FL_MOST_SIDE_BY_SIDE, fl_format, fl_job, fl_side_by_side, fl_team


cdef class Stage:
    cdef fl_job job
    cdef void* argument
    cdef readonly int threads
    cdef double work  # microseconds that it takes one thread, about
    cdef const void** input
    cdef void** output
    cdef Py_ssize_t output_bytes
    cdef readonly object x, y

    cpdef int begin(self, tuple start) except -1
    cpdef int end(self, tuple final) except -1
    cdef int follow(self) except -1
    cdef void before(self) noexcept
    cdef void after(self) noexcept
    cdef bint accepts(self) noexcept
    cdef list parts(self)
    cpdef go(self)


cdef const void* address(object array, str format, Py_ssize_t bytes, bint writable) except NULL
cdef void* weights_at(object panels, const fl_format* format, Py_ssize_t count, bint writable) except NULL


cdef class Call(Stage):
    cdef object function
    cdef str name


cdef class Blocks(Stage):
    cdef list stages
    cdef object block_x, block_y
    cdef const char* from_x
    cdef char* to_y
    cdef char* given
    cdef const char* found
    cdef Py_ssize_t rows, block, x_row, y_row


cdef class SideBySide(Stage):
    cdef fl_side_by_side all
    cdef list stages
    cdef (void*)[FL_MOST_SIDE_BY_SIDE] arguments
    cdef fl_team[FL_MOST_SIDE_BY_SIDE] teams

    cdef void share(self, int threads) noexcept
