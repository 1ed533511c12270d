from fastlstm._kernels.layout cimport RaggedOrder


cdef class Turn:
    cdef str name, advice
    cdef bint taken

    cdef bint take(self) noexcept
    cdef void leave(self) noexcept


cdef class Seen:
    cdef tuple versions
    cdef int threads
    cdef const void* isa

    cdef bint current(self) except -1


cdef class Program:
    cdef list stages, parts, heads, tails
    cdef Seen seen
    cdef readonly object y
    cdef object own
    cdef Py_ssize_t own_address
    cdef Turn turn
    cdef RaggedOrder order
    cdef tuple given
    cdef list state
    cdef bytes format
    cdef Py_ssize_t bytes, ndim, least_ndim, kept_bytes
    cdef Py_ssize_t[8] shape

    cdef list find_tails(self)
    cdef bint fits(self, Py_buffer* x) noexcept
    cdef bint load(self, Py_buffer* x) except -1
    cdef int follow(self, const Py_ssize_t* lengths) except -1
    cdef object go(self, out, tuple start)


cdef class Kept:
    cdef Py_ssize_t most, most_bytes
    cdef bint drops
    cdef tuple programs

    cdef tuple now(self)
    cdef void replace(self, tuple programs) noexcept
