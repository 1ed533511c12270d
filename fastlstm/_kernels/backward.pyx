"""Back-propagation through time of any cell on packed weights (simd/backward.hpp, gradient.hpp and single.hpp)."""

from fastlstm._kernels.cpu cimport (
    FL_PHASES,
    FL_SINGLE,
    FL_STRIP,
    cell_of,
    fl_backward,
    fl_cell,
    fl_columns_room,
    fl_format,
    fl_gradients_room,
    fl_transposed_room,
    format_of,
    padded,
    passes,
    table,
    work_of,
)
from fastlstm._kernels.layout cimport Layout
from fastlstm._kernels.options cimport Masks, Options, options_of
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage, address


cdef bint same(tuple old, tuple new):
    """Whether these are the very same arrays."""
    cdef Py_ssize_t k
    if old is None:
        return False
    for k in range(len(new)):
        if old[k] is not new[k]:
            return False
    return True


SCRATCH = ("transposed", "columns", "panels", "rounded", "interleaved")
"""The names of the arrays of scratch that `prepare` takes."""


def rooms(str cell, Layout rows, bint single, str format="exact", Py_ssize_t seen=-1):
    """How many numbers each of SCRATCH has, in float32 if `single`, for weights that are multiplied in this format."""
    cdef const fl_cell* known = cell_of(cell, rows.H, single, format)
    cdef const fl_format* packed = format_of(single, format)
    cdef Py_ssize_t width = padded(rows.H, single), depth = packed.depth, bundles = longest_in_bundles(rows, depth)
    cdef Py_ssize_t K = rows.H if seen < 0 else seen
    if known.row_room:
        return (1, rows.threads * known.row_room * width, rows.N * (known.sums + known.own) * width, 0, 0)
    cdef Py_ssize_t block = known.sums * known.units * table().bytes // (4 if single else 8)
    return (
        fl_transposed_room(padded(rows.I, single), padded(K, single), width, known.gates) // depth,
        fl_columns_room(rows.I, K, known.gates, known.sums, table().rows, bundles),
        fl_gradients_room(rows.I, K, known.gates, known.sums, known.own, width),
        rows.S * known.sums * width // depth if packed.rounds else 0,
        rows.threads * bundles * block if depth > 1 else 0,
    )


cdef Py_ssize_t longest_in_bundles(Layout rows, Py_ssize_t depth):
    """The largest number of bundles of rows in a segment: a bundle is up to `depth` rows of a step."""
    cdef Py_ssize_t k, t, bundles, most = 0
    for k in range(rows.segment_count):
        bundles = 0
        for t in range(rows.segments[k].first, rows.segments[k].last):
            bundles += (rows.alive[t] + depth - 1) // depth
        most = max(most, bundles)
    return most


cdef class Backward(Stage):
    """A backward pass that is ready to run. Made by `prepare`.

    Of several phases, which `then` joins, the last one of a step comes first, and stands for all of them.
    """

    cdef fl_backward p
    cdef const fl_cell* cell
    cdef str format
    cdef Py_ssize_t size, x_size, y_size, seen_size
    cdef bint single
    cdef list earlier  # the phases that come before it
    cdef tuple held, bound, bound_gradients
    cdef Masks left_out

    def then(self, Backward earlier):
        """Let this be the first phase of each step, ahead of those that have been joined so far."""
        cdef Backward after = self.earlier[len(self.earlier) - 1] if self.earlier else self
        if (
            len(self.earlier) + 1 == FL_PHASES or after.p.K not in (0, earlier.p.H) or earlier.p.N != self.p.N
            or earlier.p.T != self.p.T or earlier.p.rows != self.p.rows or earlier.earlier
            or earlier.p.segment_count != self.p.segment_count
        ):
            raise ValueError("Backward.then: sizes do not agree")
        after.p.then, after.p.ahead, self.p.user = &earlier.p, True, &earlier.p
        earlier.p.user = &after.p if after.p.K else after.p.user
        after.sees(earlier)
        earlier.sees(self)
        self.earlier.append(earlier)
        self.work += earlier.work

    cdef void sees(self, Backward other) noexcept:
        self.p.seen_row, self.p.seen_step, self.seen_size = other.p.y_row, other.p.y_step, other.y_size

    def bind(self, x, y, dy, dx, bint add_dx, start, weights, seen=None):
        """Say where the arrays lie, all of them contiguous.

        x and y are those of the forward pass. dy lies as y does, and dx as x; None for dx means that it is not wanted,
        and add_dx whether to add to it. `start` is the state that the forward pass began with, h (N, width) and, if
        there is one, c (N, C·width), or None for zeros. `weights` are (G·H, I) and (G·H, K). Of several phases, each is
        bound for itself: `seen` is what its U sees, the y of another phase; `start` is that of all, and dy is None but
        for the last phase.
        """
        cdef Py_ssize_t I = self.p.I, K = self.p.K, state = self.p.N * self.p.width, rows = self.cell.gates * self.p.H
        self.p.add_dx = add_dx
        if same(self.bound, (x, y, dy, dx, weights[0], weights[1], start, seen)):
            return
        self.bound = None  # should one of them not fit
        self.p.x = self.at(x, self.x_size, False) if I else NULL
        self.p.y = self.at(y, self.y_size, False)
        self.p.seen = self.p.y if seen is None else self.at(seen, self.seen_size, False)
        self.p.dy = NULL if dy is None else self.at(dy, self.y_size, False)
        self.p.dx = NULL if dx is None or not I else self.at(dx, self.x_size, True)
        self.p.h = self.p.seen_h = self.p.c = NULL
        if start is not None:
            if dy is not None:
                self.p.h = self.at(start[0], state, False)
            if K and not self.p.ahead:
                self.p.seen_h = self.at(start[0], self.p.N * self.p.seen_width, False)
            if self.cell.c_parts and len(start) > 1:
                self.p.c = self.at(start[1], state * self.cell.c_parts, False)
        self.p.w = self.at(weights[0], rows * I, False) if I else NULL
        self.p.u = self.at(weights[1], rows * K, False) if K else NULL
        self.bound = (x, y, dy, dx, weights[0], weights[1], start, seen)

    def bind_gradients(self, dw, bint add_dw, du, bint add_du, db, bint add_db, dv, bint add_dv):
        """Say where the gradients of the weights go, and whether to add to what is there.

        db of the bias and dv of the units' own weights may be None.

        A pass without them leaves its sums in the panels. A pass over earlier steps with the same panels adds to them.
        """
        cdef Py_ssize_t H = self.p.H, rows = self.cell.gates * H
        self.p.add_dw, self.p.add_du, self.p.add_db, self.p.add_dv = add_dw, add_du, add_db, add_dv
        if same(self.bound_gradients, (dw, du, db, dv)):
            return
        self.bound_gradients = None
        self.p.dw, self.p.du = self.at(dw, rows * self.p.I, True), self.at(du, rows * self.p.K, True)
        self.p.db = NULL if db is None else self.at(db, self.cell.sums * H, True)
        self.p.dv = NULL if dv is None else self.at(dv, self.cell.own * H, True)
        self.bound_gradients = (dw, du, db, dv)

    def freeze(self, bint frozen):
        """Say whether no gradients of the weights are wanted. A single step computes them in any case."""
        cdef Backward phase
        self.p.frozen = frozen
        for phase in self.earlier:
            phase.p.frozen = frozen

    def leave_out(self, Masks masks):
        """Say what the forward pass has left out."""
        self.p.masks, self.left_out = NULL, masks
        self.p.masks = masks.of(self.y_size, self.p.N, self.p.seen_width, self.format)

    cdef void* at(self, array, Py_ssize_t count, bint writable) except NULL:
        return <void*>address(array, self.format, count * self.size, writable)

    def go_on(self, bint initial, bint later):
        """Run. Then dh holds the gradient of the initial h if `initial`, and dc that of the initial c.

        past holds a part of the gradient of the initial h, or zeros if `initial`. `later` says that the panels hold the
        sums of later steps.
        """
        cdef Backward phase
        for phase in (self, *self.earlier):
            if phase.bound is None or (self.single and phase.bound_gradients is None):
                raise ValueError("Backward.go_on: bind the arrays first")
            phase.p.later = later
        self.p.initial = initial
        self.go()


def prepare(
    str cell, Layout rows, Py_ssize_t strip, real[::1] kept, const real[::1] kept_c, real[:, ::1] dh,
    real[:, ::1] dc, real[:, ::1] past, real[::1] transposed, real[::1] columns, real[::1] panels, real[::1] rounded,
    real[::1] interleaved, str format="exact", const real[:, :, ::1] bias=None, Options options=None,
    Py_ssize_t seen=-1,
):
    """A `Backward` of a pass over these rows that has written kept and kept_c. `bind` it before it runs.

    kept becomes the gradients of the sums, unless the format rounds. dh (N, width) and dc (N, C·width), padded with
    zeros, hold the gradients of the final h and c before, and those of the initial ones after. past (N, width) holds
    zeros before and is scratch. Threads take strips of `strip` vectors of units, 1 to cpu.STRIP, of a step. Products
    are those of the format. A cell with options reads them, and `bias` as packed with its units' own weights. The rest
    is scratch, see `rooms`; a single step of up to cpu.SINGLE rows that needs none has it empty. U sees K = `seen`
    numbers, by default those of its own state.
    """
    cdef Py_ssize_t N = dh.shape[0], width = dh.shape[1], K = rows.H if seen < 0 else seen
    cdef const fl_cell* known = cell_of(cell, rows.H, real is float, format)
    cdef bint single = transposed.shape[0] == 0
    scratch = (transposed.shape[0], columns.shape[0], panels.shape[0], rounded.shape[0], interleaved.shape[0])
    wanted = (0,) * len(SCRATCH) if single else rooms(cell, rows, real is float, format, K)
    if known.backward == NULL or (single and known.backward_single == NULL):
        raise ValueError(f"backward.prepare: format: expected one that trains, got {format!r}")
    if (
        rows.N != N or width != padded(rows.H, sizeof(real) == 4) or dc.shape[0] != N
        or dc.shape[1] != width * max(known.c_parts, 1)
        or past.shape[0] != N or past.shape[1] != width
        or not 1 <= strip <= FL_STRIP or kept.shape[0] != rows.S * known.sums * width
        or kept_c.shape[0] != rows.S * width * known.c_parts
        or any([there < size for there, size in zip(scratch, wanted)])
        or (rows.I + K < 1 and not known.row_room)
        or (single and (K != rows.H or rows.T != 1 or N > FL_SINGLE or rows.S != N))
        or (known.own and (bias is None or bias.size != (known.sums + known.own) * width))
    ):
        raise ValueError("backward.prepare: sizes do not agree")
    cdef Backward made = Backward()
    made.cell, made.p.option, made.p.options = known, known.option, options_of(options, known.options)
    made.p.cell, made.p.user, made.earlier = known, &made.p, []
    made.p.K, made.p.seen_width = K, padded(K, real is float)
    made.p.seen_row, made.p.seen_step = rows.y_row, rows.y_step
    made.seen_size = rows.y_size
    if known.own:
        made.p.bias = &bias[0, 0, 0]
    made.p.T, made.p.N, made.p.rows, made.p.I, made.p.H, made.p.width = rows.T, N, rows.S, rows.I, rows.H, width
    made.p.alive, made.p.offset, made.p.strip = rows.alive, rows.offset, strip
    made.p.segments, made.p.segment_count = rows.segments, rows.segment_count
    made.p.x_row, made.p.x_step, made.p.y_row, made.p.y_step = rows.x_row, rows.x_step, rows.y_row, rows.y_step
    made.p.kept, made.p.kept_c = &kept[0], &kept_c[0] if known.c_parts else NULL
    made.p.dh, made.p.dc, made.p.past = &dh[0, 0], &dc[0, 0], &past[0, 0]
    if not single:
        made.p.transposed, made.p.columns, made.p.panels = &transposed[0], &columns[0], &panels[0]
        made.p.rounded = &rounded[0] if rounded.shape[0] else NULL
        made.p.interleaved = &interleaved[0] if interleaved.shape[0] else NULL
        made.p.interleaved_each = wanted[4] // rows.threads
    made.single, made.job = single, known.backward_single if single else passes(True)
    made.argument, made.threads = &made.p, rows.threads
    made.work = work_of(4.0 * rows.S * known.gates * rows.H * (rows.I + K))
    made.format, made.size = "f" if real is float else "d", sizeof(real)
    made.x_size, made.y_size = rows.x_size, rows.y_size
    # keeps their memory
    made.held = (rows, kept, kept_c, dh, dc, past, transposed, columns, panels, rounded, interleaved, bias, options)
    return made
