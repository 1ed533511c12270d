"""Jobs that are ready to run, all their pointers set: what programs are made of."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)

from fastlstm._kernels.cpu cimport run, side_by_side


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
    """One job on arrays that it holds: x, which it reads, and y, which it writes.

    Where both lie can change from run to run: `input` is the place of the pointer to x, `output` that of the pointer
    to y, and output_bytes the size of the array that it writes to.
    """

    cpdef int begin(self, tuple start) except -1:
        """Take the state before the first step, an array (layers·D, N, H) for each part; None for zeros."""
        return 0

    cpdef int end(self, tuple final) except -1:
        """Give the state after the last step, likewise."""
        return 0

    cdef int follow(self) except -1:
        """The lengths of the sequences have changed."""
        return 0

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
            run(self.job, self.argument, self.threads, self.work)
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


class ShapeChanged(ValueError):
    """A layer has given an output of another shape for an input of the same."""


cdef class Call(Stage):
    """A layer that has no kernel stages: function(x) is called, and what it returns is copied to y.

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
