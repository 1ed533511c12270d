"""Stages, of which programs consist: jobs that are ready to run, with all their pointers set."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.string cimport memcpy

from fastlstm._kernels.cpu cimport fl_format, number_of, run, side_by_side


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


cdef void* weights_at(object panels, const fl_format* format, Py_ssize_t count, bint writable) except NULL:
    """Where packed weights begin, so many of the format's numbers."""
    return <void*>address(panels, number_of(format), count * format.bytes, writable)


cdef class Stage:
    """A job that reads x and writes y, arrays that it holds.

    Other arrays may take their places from run to run: `input` points to the job's pointer to x, and `output` to that
    to y, of output_bytes bytes.
    """

    cpdef int begin(self, tuple start) except -1:
        """Take the state before the first step, each part (layers·D, N, H), or None for zeros."""
        return 0

    cpdef int end(self, tuple final) except -1:
        """Write the state after the last step into `final`, each part (layers·D, N, H)."""
        return 0

    cdef int follow(self) except -1:
        """Take over lengths of sequences that have changed."""
        return 0

    cdef void before(self) noexcept:
        pass

    cdef void after(self) noexcept:
        pass

    cdef bint accepts(self) noexcept:
        """Whether the job can take the values in x, a new array from a caller."""
        return True

    cdef list parts(self):
        return [self]

    cpdef go(self):
        """Run."""
        self.before()
        with nogil:
            run(self.job, self.argument, self.threads, self.work)
        self.after()


cdef class SideBySide(Stage):
    """Stages of one kind that run at the same time, each on so many threads. A stage may wait for earlier ones."""

    def __cinit__(self, list stages, int threads):
        cdef Stage stage
        if not 1 <= len(stages) <= FL_MOST_SIDE_BY_SIDE or threads < 1:
            raise ValueError(
                f"SideBySide: expected 1 to {FL_MOST_SIDE_BY_SIDE} stages, and at least one thread for each"
            )
        self.stages = stages
        for k, stage in enumerate(stages):
            if stage.job != (<Stage>stages[0]).job:
                raise ValueError("SideBySide: the stages are not of one kind")
            self.arguments[k] = stage.argument
        self.all.job, self.all.count = (<Stage>stages[0]).job, <int>len(stages)
        self.all.arguments, self.all.teams = self.arguments, self.teams
        self.job, self.argument = side_by_side(), &self.all
        self.share(threads)

    cdef void share(self, int threads) noexcept:
        cdef Stage stage
        self.all.threads, self.threads = threads, self.all.count * threads
        self.work = 0
        for k in range(self.all.count):
            self.teams[k].size = threads
            stage = self.stages[k]
            self.work += stage.work

    cdef int follow(self) except -1:
        cdef Stage stage
        for stage in self.stages:
            stage.follow()
        self.share((<Stage>self.stages[0]).threads)
        return 0

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


cdef class Blocks(Stage):
    """Stages over some rows at a time, so that what lies between them stays in the caches.

    The stages lead from block_x to block_y, arrays of as many rows; x and y have at least as many. The last block takes
    rows of the one before again where there is no whole one left: rows must not depend on each other.
    """

    def __init__(self, list stages, block_x, block_y, x, y):
        arrays = block_x, block_y, x, y
        if any(not array.flags.c_contiguous or not array.size for array in arrays):
            raise ValueError("Blocks: expected contiguous arrays with numbers")
        self.rows, self.block = len(x), len(block_x)
        self.x_row, self.y_row = x.nbytes // self.rows, y.nbytes // self.rows
        if (
            not 0 < self.block <= self.rows or len(block_y) != self.block or len(y) != self.rows
            or block_x.nbytes != self.block * self.x_row or block_y.nbytes != self.block * self.y_row
        ):
            raise ValueError("Blocks: sizes do not agree")
        self.stages, self.block_x, self.block_y, self.x, self.y = stages, block_x, block_y, x, y
        self.from_x, self.to_y = <const char*><size_t>x.ctypes.data, <char*><size_t>y.ctypes.data
        self.given, self.found = <char*><size_t>block_x.ctypes.data, <const char*><size_t>block_y.ctypes.data
        self.input, self.output = <const void**>&self.from_x, <void**>&self.to_y
        self.output_bytes = y.nbytes

    cpdef go(self):
        cdef Stage stage
        cdef Py_ssize_t begin, first
        for begin in range(0, self.rows, self.block):
            first = min(begin, self.rows - self.block)
            memcpy(self.given, self.from_x + first * self.x_row, self.block * self.x_row)
            for stage in self.stages:
                stage.go()
            memcpy(self.to_y + first * self.y_row, self.found, self.block * self.y_row)


class ShapeChanged(ValueError):
    """A layer has given outputs of different shapes for inputs of one shape."""


cdef class Call(Stage):
    """Calls function(x) and copies what it returns to y, for a layer that has no kernel stages.

    `name` is the layer's, for messages.
    """

    def __init__(self, function, x, y, str name):
        self.function, self.x, self.y, self.name = function, x, y, name

    cpdef go(self):
        found = self.function(self.x)
        if found.shape != self.y.shape or found.dtype != self.y.dtype:
            raise ShapeChanged(
                f"{self.name}: expected an output {self.y.shape} of {self.y.dtype}, as for the same input before, "
                f"got {found.shape} of {found.dtype}"
            )
        self.y[...] = found
