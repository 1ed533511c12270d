"""Programs: the stages of layers in a row, ready to run on inputs of one shape for one caller at a time.

Those that are kept for the next call are here, too: from a module of their own, a small call takes 3 % longer.
"""

import numpy as np

cimport cython

from fastlstm._kernels.stage import ShapeChanged

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcmp, memcpy, strcmp

from fastlstm._kernels.cpu cimport allowed, table
from fastlstm._kernels.layout cimport RaggedOrder
from fastlstm._kernels.rows cimport all_finite
from fastlstm._kernels.stage cimport Call, Stage

cdef bytes INDEX = memoryview(np.empty(0, np.intp)).format.encode()


cdef class Turn:
    """Something that only one caller at a time may use, such as a stream. A with statement takes the turn.

    A second caller gets a RuntimeError, which says `name`, what is in use, and `advice`, what to do instead.
    """

    def __init__(self, str name, str advice):
        self.name, self.advice, self.taken = name, advice, False

    cdef bint take(self) noexcept:
        """Whether the turn was free; it is the caller's then."""
        cdef bint free
        with cython.critical_section(self):             # no more than a bracket where Python has a GIL
            free, self.taken = not self.taken, True
        return free

    cdef void leave(self) noexcept:
        with cython.critical_section(self):
            self.taken = False

    def __reduce__(self):
        return Turn, (self.name, self.advice)

    def __enter__(self):
        if not self.take():
            raise RuntimeError(f"{self.name} is in use by another call, perhaps of another thread: {self.advice}")

    def __exit__(self, *error):
        self.leave()


cdef class Seen:
    """What a program depends on, as it is now. It must be made before the program's stages."""

    def __init__(self, parameters):
        self.versions = tuple([(parameter, parameter.version) for parameter in parameters])
        self.isa, self.threads = table(), allowed()

    cdef bint current(self) except -1:
        """Whether nothing has changed since."""
        if self.threads != allowed() or self.isa != table():
            return False
        for parameter, version in self.versions:
            if parameter.version != version:
                return False
        return True


@cython.auto_pickle(False)
cdef class Program:
    """Stages in a row that read x and write y, an array of their own.

    The stages read x where it lies. Later inputs may be any array of this shape, or of its last least_ndim axes, and of
    x's dtype, as long as the parameters, the number of threads and the instruction set stay what they were.

    Parameters
    ----------
    stages : list of Stage
    x, y : arrays
        The arrays that the stages were made with; y is contiguous, or a part of an array that they write.
    seen : Seen
        Made before the stages.
    turn : Turn
        Shared by all that use the stages' arrays.
    shape : tuple of int
        The shape of later inputs: x's, or that without an axis of 1.
    least_ndim : int
    given : tuple of int
        The shape of outputs that are new arrays: y's, or that without an axis of 1.
    order : RaggedOrder, optional
        The order that the stages follow where sequences have lengths.
    state : list of tuple of int, optional
        The shapes of the parts of a state that the stages begin and end with.
    copy : bool
        Whether x is an array of the program's own, into which later inputs are copied.
    """

    def __init__(
        self, list stages, x, y, Seen seen, Turn turn, tuple shape, Py_ssize_t least_ndim, tuple given,
        RaggedOrder order=None, list state=None, bint copy=False,
    ):
        cdef Stage stage
        cdef Py_ssize_t begin = x.ctypes.data, offset
        self.stages, self.y, self.turn, self.least_ndim, self.given = stages, y, turn, least_ndim, given
        self.order, self.state = order, state
        self.seen = seen
        self.format = memoryview(x).format.encode()
        self.bytes, self.ndim = x.nbytes, len(shape)
        if len(shape) > 8 or np.prod(shape) != x.size:
            raise ValueError("Program: shape and x do not agree")
        for k, size in enumerate(shape):
            self.shape[k] = size
        self.parts = [part for stage in stages for part in stage.parts()]
        self.heads = []
        self.own, self.own_address = (x, begin) if copy else (None, 0)
        for stage in self.parts:
            if stage.input != NULL and not copy:
                offset = <Py_ssize_t>stage.input[0] - begin
                if 0 <= offset < self.bytes:
                    self.heads.append((stage, offset))
                    stage.x = None                      # the caller's array must not be kept alive
        self.tails = self.find_tails()

    cdef list find_tails(self):
        """The stages that write y, if y may lie elsewhere: they write nothing but y, and no stage reads it."""
        cdef Stage stage
        cdef Py_ssize_t begin = self.y.ctypes.data, bytes = self.y.nbytes, offset
        tails = []
        if not self.y.flags.c_contiguous:
            return tails
        for stage in self.parts:
            if stage.input != NULL and 0 <= <Py_ssize_t>stage.input[0] - begin < bytes:
                return []
            if stage.output != NULL:
                offset = <Py_ssize_t>stage.output[0] - begin
                if offset == 0 and stage.output_bytes == bytes:
                    tails.append(stage)
                elif offset < bytes and offset + stage.output_bytes > 0:
                    return []
        return tails

    cdef bint fits(self, Py_buffer* x) noexcept:
        """Whether x has a shape and dtype that the program takes."""
        cdef Py_ssize_t k
        if (
            x.len != self.bytes or not self.least_ndim <= x.ndim <= self.ndim
            or strcmp(x.format, PyBytes_AS_STRING(self.format)) != 0
        ):
            return False
        for k in range(x.ndim):
            if x.shape[k] != self.shape[self.ndim - x.ndim + k]:
                return False
        return True

    cdef bint load(self, Py_buffer* x) except -1:
        """Point the stages at x. False if they cannot take its values."""
        cdef Stage stage
        cdef Py_ssize_t offset
        cdef bint good = <Py_ssize_t>x.buf % x.itemsize == 0
        if x.format[0] == b"f":
            good = good and all_finite(<const float*>x.buf, x.len // 4)
        elif x.format[0] == b"d":
            good = good and all_finite(<const double*>x.buf, x.len // 8)
        if self.own is not None and good:
            memcpy(<void*>self.own_address, x.buf, x.len)
        for stage, offset in self.heads:
            stage.input[0] = <const char*>x.buf + offset
            good = good and stage.accepts()
        return good

    cdef int follow(self, const Py_ssize_t* lengths) except -1:
        """Take over these lengths, which have been checked."""
        cdef Stage stage
        cdef RaggedOrder order = self.order
        if memcmp(&order.given_[0], lengths, order.N * sizeof(Py_ssize_t)) == 0:
            return 0
        try:
            order.take(lengths)
            order.sort()
            for stage in self.stages:
                stage.follow()
        except BaseException:
            order.given_[0] = 0                         # no length: the next ones are taken over in any case
            raise
        return 0

    cdef object go(self, out, tuple start):
        """Run the stages. Returns y, or `out` with the same numbers; with a state, also its parts at the end."""
        cdef Stage stage
        cdef Py_buffer view
        cdef bint fits, moved = out is not None and len(self.tails) > 0
        y = out if moved else self.y
        if self.tails:
            PyObject_GetBuffer(y, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
            fits = view.len == self.y.nbytes
            for stage in self.tails if fits else []:
                stage.output[0] = view.buf
            PyBuffer_Release(&view)
            if not fits:
                raise ValueError("Program: out is not of the output's size")
        if self.state is None:
            for stage in self.stages:
                stage.go()
            final = None
        else:
            final = tuple([np.empty(shape, y.dtype) for shape in self.state])
            for stage in self.parts:
                stage.begin(start)
            for stage in self.stages:
                stage.go()
            for stage in self.parts:
                stage.end(final)
        if out is not None and not moved:
            out[...] = self.y.reshape(self.given)
        y = self.y if out is None else out
        return y if final is None else (y, final)

    @property
    def nbytes(self):
        """Bytes of the program's own arrays, without those in workspaces."""
        own = 0 if self.own is None else self.bytes
        return own + sum([stage.y.nbytes for stage in self.parts if type(stage) is Call])

    def run(self, x, lengths=None, out=None, tuple start=None):
        """The output for x. None, and nothing is done, if this program does not serve it. See `Kept.run`.

        The caller has taken the turn. The output lies in an array of the program's own unless there is an `out`, which
        must be contiguous and of its shape.
        """
        cdef Arguments given = Arguments()
        try:
            if not given.open(x, lengths) or not given.may_go(self):
                return None
            return given.go(self, out, False, start)
        finally:
            given.close()


cdef class Arguments:
    """An input and its lengths while they are read."""

    cdef Py_buffer x, lengths
    cdef bint has_lengths, opened

    cdef bint open(self, x, lengths) except -1:
        """Whether both are arrays that a program can read."""
        cdef Py_ssize_t k, n, t, full = 0
        self.has_lengths = self.opened = False
        if type(x) is not np.ndarray or not get_buffer(x, &self.x):
            return False
        self.opened = True
        if lengths is None:
            return True
        if self.x.ndim < 2:
            return False
        if type(lengths) is not np.ndarray:
            try:
                lengths = np.asarray(lengths)
            except ValueError:
                return False
        if not get_buffer(lengths, &self.lengths):
            return False
        self.has_lengths = True
        n, t = self.x.shape[0], self.x.shape[1]
        if (
            self.lengths.ndim != 1 or self.lengths.shape[0] != n
            or strcmp(self.lengths.format, PyBytes_AS_STRING(INDEX)) != 0
            or <Py_ssize_t>self.lengths.buf % sizeof(Py_ssize_t) != 0
        ):
            return False
        for k in range(n):
            if not 1 <= (<const Py_ssize_t*>self.lengths.buf)[k] <= t:
                return False
            full += (<const Py_ssize_t*>self.lengths.buf)[k] == t
        if full == n:
            PyBuffer_Release(&self.lengths)
            self.has_lengths = False
        return True

    cdef void close(self) noexcept:
        if self.has_lengths:
            PyBuffer_Release(&self.lengths)
        if self.opened:
            PyBuffer_Release(&self.x)
        self.has_lengths = self.opened = False

    cdef bint may_go(self, Program program) except -1:
        return program.fits(&self.x) and (program.order is not None) == self.has_lengths and program.seen.current()

    cdef object go(self, Program program, out, bint new, tuple start):
        if not program.load(&self.x):
            return None
        if self.has_lengths:
            program.follow(<const Py_ssize_t*>self.lengths.buf)
        if new:
            out = np.empty(program.given, program.y.dtype)
        return program.go(out, start)


cdef bint get_buffer(array, Py_buffer* view) noexcept:
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        return True
    except Exception:
        return False


cdef class Kept:
    """Programs that are ready to run, the last used first: for several shapes, or for several callers of one shape.

    At most `most` are kept, with at most most_bytes bytes of arrays together. If `drops`, a program is dropped when one
    of its layers gives an output of another shape than before; the call then counts as not run.

    Any number of threads may run programs and add some. A tuple of programs never changes; another one takes its place.
    """

    def __init__(self, Py_ssize_t most=8, Py_ssize_t most_bytes=1 << 26, bint drops=True):
        self.most, self.most_bytes, self.drops, self.programs = most, most_bytes, drops, ()

    def __reduce__(self):
        return Kept, (self.most, self.most_bytes, self.drops)       # copies begin without programs

    def __len__(self):
        return len(self.now())

    cdef tuple now(self):
        """The programs that are kept now."""
        with cython.critical_section(self):
            return self.programs

    cdef void replace(self, tuple programs) noexcept:
        """Keep these instead. Two threads may do so at once: one of them is then as if it had not."""
        with cython.critical_section(self):
            self.programs, programs = programs, self.programs

    def run(self, x, lengths=None, Py_ssize_t most=-1, out=None, tuple start=None):
        """A new array with the output for x. None, and nothing is done, if no program is ready for it.

        Parameters
        ----------
        x : array
            Anything else, and numbers that no program can take, give None.
        lengths : (N,) ints from 1 to T, optional
        most : int, optional
            Largest N.
        out : array, optional
            Contiguous and of the output's shape; written instead of a new array.
        start : tuple of arrays, optional
            The state before the first step, for programs with a state.

        Returns
        -------
        y, or (y, state after the last step) from programs with a state
        """
        cdef Program program
        cdef tuple programs = self.now()
        cdef Arguments given = Arguments()
        if not programs:
            return None
        try:
            if not given.open(x, lengths) or (most >= 0 and (given.x.ndim < 1 or given.x.shape[0] > most)):
                return None
            for program in programs:
                if given.may_go(program) and program.turn.take():
                    try:
                        if program is not programs[0]:
                            self.replace((program, *[other for other in self.now() if other is not program]))
                        return given.go(program, out, out is None, start)
                    except ShapeChanged:
                        if not self.drops:
                            raise
                        self.replace(tuple([other for other in self.now() if other is not program]))
                        return None
                    finally:
                        program.turn.leave()
            return None
        finally:
            given.close()

    def add(self, Program program, Py_ssize_t bytes):
        """Keep a program with so many bytes of arrays. Outdated ones, and those used longest ago, make room for it."""
        cdef Program other
        cdef Py_ssize_t total = bytes
        if bytes > self.most_bytes:
            return
        program.kept_bytes = bytes
        kept = [program]
        for other in self.now():
            if other.seen.current() and len(kept) < self.most and total + other.kept_bytes <= self.most_bytes:
                kept.append(other)
                total += other.kept_bytes
        self.replace(tuple(kept))
