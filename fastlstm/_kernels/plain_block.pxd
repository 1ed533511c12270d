"""Units that the plain path's cells work on at a time.

Each cell writes a block of units to arrays of its own and then copies these out. A compiler can tell that such arrays
overlap with nothing, so it turns the loop into vector code; and what is copied out may take the place of what was read.
"""

from libc.string cimport memcpy

from fastlstm._kernels.real cimport real


cdef enum:
    BLOCK = 64


cdef inline void copy(real* to, const real* block, Py_ssize_t width) noexcept nogil:
    memcpy(to, block, width * sizeof(real))
