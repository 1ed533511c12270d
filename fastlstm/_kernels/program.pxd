from fastlstm._kernels.cpu cimport fl_job, fl_side_by_side, fl_team


cdef class Stage:
    cdef fl_job job
    cdef void* argument
    cdef readonly int threads
    cdef const void** input
    cdef readonly object x, y

    cdef void before(self) noexcept
    cdef void after(self) noexcept
    cdef bint accepts(self) noexcept
    cdef list parts(self)
    cpdef go(self)


cdef const void* address(object array, str format, Py_ssize_t bytes, bint writable) except NULL


cdef class SideBySide(Stage):
    cdef fl_side_by_side all
    cdef list stages
    cdef (void*)[64] arguments
    cdef fl_team[64] teams


cdef class Program:
    cdef list stages, heads, offsets, versions
    cdef readonly object y
    cdef bytes format
    cdef Py_ssize_t bytes, ndim, least_ndim, threads
    cdef Py_ssize_t[8] shape
    cdef const void* isa
