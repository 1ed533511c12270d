"""Inference that is ready to run: stages with all their pointers set, and whole models as a chain of them."""

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport strcmp

from fastlstm._kernels.cpu cimport run, side_by_side, table
from fastlstm._kernels.rows cimport all_finite


cdef const void* address(object array, str format, Py_ssize_t bytes, bint writable) except NULL:
    """Where a contiguous array of this format and size begins."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
    cdef const void* start = view.buf
    cdef bint fits = view.len == bytes and view.format == format.encode()
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError("sizes or dtypes do not agree")
    return start


cdef class Stage:
    """One job on arrays that it holds: x, which it reads, and y, which it writes."""

    cdef void before(self) noexcept:
        pass

    cdef void after(self) noexcept:
        pass

    cdef bint accepts(self) noexcept:
        """Whether the values in x, a new array from outside, are what it can take."""
        return True

    cdef list parts(self):
        return [self]

    cpdef go(self):
        """Do it."""
        self.before()
        with nogil:
            run(self.job, self.argument, self.threads)
        self.after()


MOST_SIDE_BY_SIDE = 64


cdef class SideBySide(Stage):
    """Stages of one kind at the same time, each on so many threads of its own, and it may wait for those before it."""

    def __cinit__(self, list stages, int threads):
        cdef Stage stage
        if not 1 <= len(stages) <= MOST_SIDE_BY_SIDE or threads < 1:
            raise ValueError("SideBySide: expected 1 to 64 stages, and at least one thread for each")
        self.stages = stages
        for k, stage in enumerate(stages):
            if stage.job != (<Stage>stages[0]).job:
                raise ValueError("SideBySide: the stages are not of one kind")
            self.arguments[k] = stage.argument
            self.teams[k].size = threads
        self.all.job, self.all.count, self.all.threads = (<Stage>stages[0]).job, <int>len(stages), threads
        self.all.arguments, self.all.teams = self.arguments, self.teams
        self.job, self.argument, self.threads = side_by_side(), &self.all, <int>len(stages) * threads

    cdef void before(self) noexcept:
        cdef Stage stage
        for stage in self.stages:
            stage.before()

    cdef void after(self) noexcept:
        cdef Stage stage
        for stage in self.stages:
            stage.after()

    cdef list parts(self):
        return self.stages


cdef class Program:
    """Stages in a row, from an input x to y, which lies in an array of their own.

    The stages read x as it lies in memory; later ones may be of any array with this shape, or its last least_ndim axes,
    and of x's dtype, as long as the parameters, the number of threads and the instruction set are what they were.
    """

    def __cinit__(self, list stages, x, y, parameters, Py_ssize_t threads, tuple shape, Py_ssize_t least_ndim):
        cdef Stage stage
        cdef Py_ssize_t begin = x.ctypes.data, offset
        self.stages, self.y, self.threads, self.least_ndim = stages, y, threads, least_ndim
        self.versions = [(parameter, parameter.version) for parameter in parameters]
        self.isa = table()
        self.format = memoryview(x).format.encode()
        self.bytes, self.ndim = x.nbytes, len(shape)
        if len(shape) > 8 or np.prod(shape) != x.size:
            raise ValueError("Program: shape and x do not agree")
        for k, size in enumerate(shape):
            self.shape[k] = size
        self.heads, self.offsets = [], []
        for part in stages:
            for stage in (<Stage>part).parts():
                offset = <Py_ssize_t>stage.input[0] - begin
                if 0 <= offset < self.bytes:
                    self.heads.append(stage)
                    self.offsets.append(offset)

    def go(self):
        """y for the x that it was made with."""
        cdef Stage stage
        for stage in self.stages:
            stage.go()
        return self.y

    def run(self, x, Py_ssize_t threads):
        """y for x, or None, and nothing done, where this program is not ready for it."""
        cdef Py_buffer view
        cdef Py_ssize_t k, offset
        cdef Stage stage
        cdef bint fits
        if type(x) is not np.ndarray or threads != self.threads or self.isa != table():
            return None
        for parameter, version in self.versions:
            if parameter.version != version:
                return None
        try:
            PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError):
            return None
        try:
            fits = (
                view.len == self.bytes and self.least_ndim <= view.ndim <= self.ndim
                and strcmp(view.format, PyBytes_AS_STRING(self.format)) == 0
            )
            for k in range(view.ndim):
                fits = fits and view.shape[k] == self.shape[self.ndim - view.ndim + k]
            if not fits or <Py_ssize_t>view.buf % view.itemsize != 0:
                return None
            if view.format[0] == b"f":
                fits = all_finite(<const float*>view.buf, view.len // 4)
            elif view.format[0] == b"d":
                fits = all_finite(<const double*>view.buf, view.len // 8)
            for stage, offset in zip(self.heads, self.offsets):
                stage.input[0] = <const char*>view.buf + offset
                fits = fits and stage.accepts()
            if not fits:
                return None
            return self.go()
        finally:
            PyBuffer_Release(&view)
