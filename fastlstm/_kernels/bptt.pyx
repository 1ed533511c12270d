"""Back-propagation through time on packed weights."""

from fastlstm._kernels.cpu cimport fl_backward, functions, table
from fastlstm._kernels.layout cimport Layout
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage, address


cdef Py_ssize_t up(Py_ssize_t n, Py_ssize_t to) noexcept:
    return (n + to - 1) // to * to


cdef bint same(tuple old, tuple new):
    """Whether these are the very same arrays."""
    cdef Py_ssize_t k
    if old is None:
        return False
    for k in range(len(new)):
        if old[k] is not new[k]:
            return False
    return True


def rooms(Layout rows, Py_ssize_t lanes):
    """How many numbers of scratch `prepare` wants: turned, columns, panels."""
    if table() == NULL or lanes < 1:
        raise ValueError("bptt.rooms: expected packed kernels")
    cdef Py_ssize_t width = up(rows.H, lanes), tile = table().sums // 4
    cdef Py_ssize_t strips = up(rows.I + 1, tile) // tile + up(rows.H, tile) // tile
    return (
        (width + up(rows.I, lanes)) * 4 * width, strips * (tile * rows.longest + 8), width * 4 * (rows.I + 1 + rows.H)
    )


cdef enum:
    SINGLE = 4


cdef class Backward(Stage):
    """A backward pass that is ready to run. Made by `prepare`."""

    cdef fl_backward p
    cdef str format
    cdef Py_ssize_t size, x_size, y_size
    cdef tuple held, bound, bound_gradients

    def bind(self, x, y, dy, dx, bint add_dx, start, weights):
        """Where all lies, in contiguous arrays.

        x and y of the forward pass, dy and dx as y and x (dx None: not wanted), and whether to add to dx; start, None
        for zeros or h and c (N, width) of its beginning; weights (4H, I) and (4H, H).
        """
        cdef Py_ssize_t I = self.p.I, H = self.p.H, state = self.p.N * self.p.width
        self.p.add_dx = add_dx
        if same(self.bound, (x, y, dy, dx, weights[0], weights[1], start)):
            return
        self.p.x = self.at(x, self.x_size, False)
        self.p.y = self.at(y, self.y_size, False)
        self.p.dy = self.at(dy, self.y_size, False)
        self.p.dx = NULL if dx is None else self.at(dx, self.x_size, True)
        self.p.h = NULL if start is None else self.at(start[0], state, False)
        self.p.c = NULL if start is None else self.at(start[1], state, False)
        self.p.w, self.p.u = self.at(weights[0], 4 * H * I, False), self.at(weights[1], 4 * H * H, False)
        self.bound = (x, y, dy, dx, weights[0], weights[1], start)

    def bind_gradients(self, dw, bint add_dw, du, bint add_du, db, bint add_db):
        """Where the gradients of the weights and of the bias (or None) go, and whether to add to what is there.

        A pass without them leaves its part in the panels, for one over earlier steps with the same panels to add to.
        """
        cdef Py_ssize_t I = self.p.I, H = self.p.H
        self.p.add_dw, self.p.add_du, self.p.add_db = add_dw, add_du, add_db
        if same(self.bound_gradients, (dw, du, db)):
            return
        self.p.dw, self.p.du = self.at(dw, 4 * H * I, True), self.at(du, 4 * H * H, True)
        self.p.db = NULL if db is None else self.at(db, 4 * H, True)
        self.bound_gradients = (dw, du, db)

    cdef void* at(self, array, Py_ssize_t count, bint writable) except NULL:
        return <void*>address(array, self.format, count * self.size, writable)

    def alone(self):
        """Serve a single step of up to 4 rows; the scratch is not needed then."""
        if self.p.T != 1 or self.p.N > SINGLE:
            raise ValueError("Backward.alone: expected one step of a few rows")
        self.job = functions(self.size == 4).backward_single

    def go_on(self, bint initial, bint later):
        """`go`; then dh holds the gradient of the initial h, if asked for, as dc always does that of c.

        later: the part of the steps after these is in the panels.
        """
        self.p.initial, self.p.later = initial, later
        self.go()


def prepare(
    Layout rows, Py_ssize_t strip, real[::1] gates, const real[::1] cells, real[:, ::1] dh, real[:, ::1] dc,
    real[::1] turned, real[::1] columns, real[::1] panels,
):
    """A `Backward` of a pass over these rows that has kept gates and cells; `bind` it before it runs.

    The gates are overwritten. dh and dc (N, width), padded with zeros, hold the gradients of the final states before,
    and those of the initial ones after. A strip of `strip` vectors, 1 to 4, is what a thread takes of a step. The
    rest is scratch, see `rooms`.
    """
    cdef Py_ssize_t N = dh.shape[0], width = dh.shape[1]
    if table() == NULL:
        raise ValueError("bptt.prepare: the plain path has no packed kernels")
    cdef Py_ssize_t lanes = table().bytes // <Py_ssize_t>sizeof(real)
    wanted = rooms(rows, lanes)
    if (
        rows.N != N or width != up(rows.H, lanes) or dc.shape[0] != N or dc.shape[1] != width or not 1 <= strip <= 4
        or gates.shape[0] != rows.S * 4 * width or cells.shape[0] != rows.S * width
        or turned.shape[0] < wanted[0] or columns.shape[0] < wanted[1] or panels.shape[0] < wanted[2]
    ):
        raise ValueError("bptt.prepare: sizes do not agree")
    cdef Backward made = Backward()
    made.p.T, made.p.N, made.p.S, made.p.I, made.p.H, made.p.width = rows.T, N, rows.S, rows.I, rows.H, width
    made.p.alive, made.p.before, made.p.strip = rows.alive, rows.before, strip
    made.p.segments, made.p.segment_count = rows.segments, rows.segment_count
    made.p.x_row, made.p.x_step, made.p.y_row, made.p.y_step = rows.x_row, rows.x_step, rows.y_row, rows.y_step
    made.p.gates, made.p.cells, made.p.dh, made.p.dc = &gates[0], &cells[0], &dh[0, 0], &dc[0, 0]
    made.p.turned, made.p.columns, made.p.panels = &turned[0], &columns[0], &panels[0]
    made.job, made.argument, made.threads = functions(real is float).backward, &made.p, rows.threads
    made.work = rows.S * 16 * rows.H * (rows.I + rows.H) / 1e5
    made.format, made.size = "f" if real is float else "d", sizeof(real)
    made.x_size, made.y_size = rows.x_size, rows.y_size
    made.held = (rows, gates, cells, dh, dc, turned, columns, panels)  # keeps their memory
    return made
