"""Dropout: random words from a key, the number of the call and the place, by Philox4x32-10 (simd/philox.h).

The same words come for any number of threads and any instruction set, and again for the same call, so that no mask is
kept.
"""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t

from fastlstm._kernels.cpu cimport fl_drop, run_for, training
from fastlstm._kernels.stage cimport address


def drop(x, y, double rate, uint64_t key, uint64_t call, uint64_t first=0):
    """y = x / (1 - rate), but 0 with probability `rate`; contiguous arrays of one size.

    They are numbers `first` and so on of an array whose other parts may be elsewhere.
    """
    cdef Py_buffer view
    cdef fl_drop p
    PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef bint single = view.format[0] == b"f", known = single or view.format[0] == b"d"
    cdef Py_ssize_t size = view.len
    p.x, p.size = view.buf, view.len // view.itemsize
    PyBuffer_Release(&view)
    if not known or not 0 <= rate < 1:
        raise ValueError("drop: expected float32 or float64, and a rate below 1")
    p.y = <void*>address(y, "f" if single else "d", size, True)
    p.first, p.key, p.call, p.scale = first, key, call, 1 / (1 - rate)
    p.threshold = threshold_of(rate)
    with nogil:
        run_for(training(single).drop, &p, p.size / 2e3)


def mask(out, double rate, uint64_t key, uint64_t call, uint64_t first=0):
    """out = 1 where `drop` would write 0, and 0 elsewhere; contiguous bytes."""
    cdef fl_drop p
    if not 0 <= rate < 1:
        raise ValueError("mask: expected a rate below 1")
    p.size = out.size
    p.y = <void*>address(out, "B", p.size, True)
    p.first, p.key, p.call, p.threshold = first, key, call, threshold_of(rate)
    with nogil:
        run_for(training(True).mask, &p, p.size / 2e3)


cdef uint32_t threshold_of(double rate) noexcept:
    """Below which so large a part of all words is."""
    return <uint32_t>min(rate * 4294967296.0, 4294967295.0)
