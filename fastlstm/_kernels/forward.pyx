"""Forward passes of any cell on packed weights (simd/forward.hpp and simd/single.hpp)."""

from libc.string cimport memcpy

from fastlstm._kernels.cpu cimport (
    FL_PHASES,
    FL_SINGLE,
    cell_of,
    fl_cell,
    fl_format,
    fl_packing,
    fl_pass,
    format_of,
    padded,
    panel_rows,
    passes,
    row_inputs,
    table,
    vectors_of,
    work_of_step,
)
from fastlstm._kernels.layout cimport Layout, RaggedOrder
from fastlstm._kernels.options cimport Masks, Options, options_of
from fastlstm._kernels.stage cimport Stage, address, weights_at
from fastlstm._kernels.real cimport real


cdef class Pack(Stage):
    """Packs weights. Made by `pack_stage`."""

    cdef fl_packing p
    cdef tuple held

    def reads(self, w_ih, w_hh, b, own):
        """Whether it packs these very arrays."""
        return w_ih is self.held[0] and w_hh is self.held[1] and b is self.held[2] and own is self.held[3]


def pack_stage(
    str cell, panels, real[:, :, ::1] bias,
    const real[:, ::1] w_ih, const real[:, ::1] w_hh, const real[::1] b, own, int threads, str format="exact",
):
    """A stage that packs a cell's weights (G·H, I), (G·H, K) and bias (S·H) into arrays of `cpu.panel_shapes`.

    G and S are the numbers of the cell's gates and sums. `own` are the weights that each unit has for itself, (V·H), or
    None for zeros.
    """
    cdef Py_ssize_t I = w_ih.shape[1], K = w_hh.shape[1], H = b.shape[0] // sums_of(cell)
    cdef const fl_cell* known = cell_of(cell, H, real is float, format)
    cdef const fl_format* packed = format_of(real is float, format)
    if (
        threads < 1 or (I + K < 1 and not known.row_room) or w_ih.shape[0] != known.gates * H
        or w_hh.shape[0] != known.gates * H or b.shape[0] != known.sums * H
        or not fits(known, packed, panels.shape, bias.shape, I, H, K, sizeof(real))
    ):
        raise ValueError("forward.pack: sizes do not agree")
    cdef Pack made = Pack()
    made.p.I, made.p.H, made.p.K, made.p.b = I, H, K, &b[0]
    made.p.w, made.p.u = &w_ih[0, 0] if I else NULL, &w_hh[0, 0] if K else NULL
    if own is not None:
        made.p.v = address(own, "f" if real is float else "d", known.own * H * sizeof(real), False)
    made.p.panels, made.p.bias = weights_at(panels, packed, panels.size, True), &bias[0, 0, 0]
    made.job, made.argument, made.threads = known.pack, &made.p, threads
    made.work = known.gates * H * (I + K) / 1e3
    made.held = (w_ih.base, w_hh.base, b.base, own, panels, bias)
    return made


cdef int sums_of(str cell) except -1:
    return cell_of(cell, 1, True).sums


cdef bint fits(
    const fl_cell* cell, const fl_format* format, tuple panels, const Py_ssize_t* bias, Py_ssize_t I, Py_ssize_t H,
    Py_ssize_t K, Py_ssize_t size
):
    """Whether packed weights and bias have the shapes of `cpu.panel_shapes`."""
    cdef Py_ssize_t lanes = table().bytes // size, blocks = vectors_of(H, size == 4) // cell.units
    cdef Py_ssize_t rows = panel_rows(format, I) + panel_rows(format, K)
    return (
        panels == (blocks, rows, cell.gates * cell.units, format.depth * lanes)
        and bias[0] == blocks and bias[1] == (cell.sums + cell.own) * cell.units and bias[2] == lanes
    )


def pack(str cell, panels, bias, w_ih, w_hh, b, own=None, int threads=1, str format="exact"):
    """Run a stage of `pack_stage` once."""
    pack_stage(cell, panels, bias, w_ih, w_hh, b, own, threads, format).go()


cdef class Pass(Stage):
    """A forward pass that is ready to run: its sizes are checked and its pointers set. Made by `prepare`.

    If `fresh`, it begins from zeros, otherwise from the state in c (N, C·width), whose C parts stand side by side, and
    in h[phase[0]] (N, width), both padded with zeros. It leaves the new state there, and writes phase. The h of a row
    that ends early may lie in either h.

    A step may have several phases, each of which is such a pass. `then` joins them to the first one, which stands for
    all of them: its x is that of all, its y that of the last, and its state has the h of the last and the c of the one
    that has a c. If two have, it is only handed on from one to the next.
    """

    cdef fl_pass p
    cdef const fl_cell* cell
    cdef str format
    cdef Py_ssize_t x_bytes, y_bytes, place, state_parts
    cdef Py_ssize_t with_c  # the place of the first phase that has a c, or -1
    cdef list later  # the phases that follow
    cdef const Py_ssize_t* zeros  # offsets of steps that are kept one in the place of the other
    cdef Layout rows
    cdef RaggedOrder order
    cdef int most_threads  # that there is room for, if it rounds
    cdef double row_work  # microseconds of a row of a step
    cdef tuple held, weights, left_out

    def set_place(self, Py_ssize_t place, RaggedOrder order=None):
        """Say which direction of which layer it is, and the order of its rows if not all of them are full."""
        self.place, self.order = place, order

    @property
    def fresh(self):
        return bool(self.p.fresh)

    @fresh.setter
    def fresh(self, bint value):
        cdef Pass phase
        self.p.fresh = value
        for phase in self.later:
            phase.p.fresh = value

    cdef Pass last(self):
        """The last of its phases."""
        return self.later[len(self.later) - 1] if self.later else self

    cdef tuple states(self):
        """The phases that have h of the state, and its c."""
        return self.last(), self.later[self.with_c - 1] if self.with_c > 0 else self

    def then(self, Pass last):
        """Let this phase be the last one of each step."""
        cdef Pass before = self.last()
        if (
            len(self.later) + 1 == FL_PHASES or last.p.K not in (0, before.p.H) or last.p.N != self.p.N
            or (last.x_bytes and self.x_bytes and last.x_bytes != self.x_bytes) or last.later
        ):
            raise ValueError("Pass.then: sizes do not agree")
        before.p.then, last.p.before, last.p.seen, last.p.ahead = &last.p, &before.p, &before.p, True
        self.p.seen, self.output, self.output_bytes = &last.p, &last.p.y, last.output_bytes
        self.later.append(last)
        if last.cell.c_parts:
            self.state_parts += last.cell.c_parts if self.with_c < 0 else -self.cell.c_parts
            self.with_c = len(self.later) if self.with_c < 0 else self.with_c
        self.x_bytes = max(self.x_bytes, last.x_bytes)
        self.row_work += last.row_work
        self.take_layout()
        if last.rows.T != self.p.T or last.rows.S != self.rows.S or last.p.segment_count != self.p.segment_count:
            raise ValueError("Pass.then: sizes do not agree")

    def closed(self):
        """Check that the last phase makes what the first one sees, once all have been joined."""
        cdef Pass last = self.last()
        if self.p.K not in (0, last.p.H):
            raise ValueError("Pass.closed: sizes do not agree")
        return self

    def bind(self, x, y):
        """Read x and write y, contiguous arrays of the sizes and the dtype of the preparation."""
        cdef Pass last = self.last()
        if x is self.x and y is self.y:
            return
        self.x = self.y = None  # should one of them not fit
        self.p.x = address(x, self.format, self.x_bytes, False)
        last.p.y = <void*>address(y, self.format, last.y_bytes, True)
        self.x, self.y = x, y

    def hand_on(self, y):
        """Write y, which the next phase sees."""
        self.p.y = <void*>address(y, self.format, self.y_bytes, True)
        self.held = (*self.held, y)

    def keep(self, kept, kept_c):
        """Keep what the backward pass reads of every row of every step.

        kept has rows·S·width numbers, and kept_c rows·C·width. C is the number of the parts of c, 0
        for a cell without c.
        """
        cdef Py_ssize_t bytes = self.p.rows * self.p.width * (4 if self.format == "f" else 8)
        if self.cell.backward == NULL:
            raise ValueError("Pass.keep: nothing trains on weights in this format")
        self.p.kept = <void*>address(kept, self.format, self.cell.sums * bytes, True)
        if self.cell.c_parts:
            self.p.kept_c = <void*>address(kept_c, self.format, self.cell.c_parts * bytes, True)
        self.held = (*self.held, kept, kept_c)

    def keep_step(self, kept, const Py_ssize_t[::1] zeros):
        """Keep what the phases of a step tell each other in kept (N·S·width), in the place of that of the step before.

        There are as many zeros as steps at most.
        """
        cdef Py_ssize_t size = 4 if self.format == "f" else 8
        if zeros.shape[0] < self.p.T:
            raise ValueError("Pass.keep_step: sizes do not agree")
        self.p.kept = <void*>address(kept, self.format, self.cell.sums * self.p.N * self.p.width * size, True)
        self.zeros = &zeros[0]
        self.held = (*self.held, kept, zeros)
        self.take_layout()

    def leave_out(self, Masks masks, fed):
        """Leave out what the masks say. fed (threads·N·K) is room for states before U, if there are masks of them."""
        cdef Py_ssize_t size = 4 if self.format == "f" else 8
        if not self.cell.options:
            raise ValueError("Pass.leave_out: this cell leaves nothing out")
        self.p.masks, self.p.fed, self.left_out = NULL, NULL, (masks, fed)
        self.p.masks = masks.of(self.y_bytes // size, self.p.N, self.p.seen.width, self.format)
        if masks.state is not None:
            self.p.fed = <void*>address(fed, self.format, self.threads * self.p.N * self.p.K * size, True)

    def single(self, w_ih, w_hh, b):
        """Be a single step of a few rows on weights that are not packed: (G·H, I), (G·H, H), and bias (S·H) or None."""
        cdef Py_ssize_t H = self.p.H, size = 4 if self.format == "f" else 8, rows = self.cell.gates * H
        if (
            self.p.T != 1 or self.p.N > FL_SINGLE or self.p.rows != self.p.N or self.p.kept == NULL
            or self.cell.forward_single == NULL or self.later
        ):
            raise ValueError("Pass.single: expected one step of a few rows that is kept, on exact weights")
        self.p.w = address(w_ih, self.format, rows * self.p.I * size, False)
        self.p.u = address(w_hh, self.format, rows * H * size, False)
        self.p.b = NULL if b is None else address(b, self.format, self.cell.sums * H * size, False)
        self.job = self.cell.forward_single
        self.weights = (w_ih, w_hh, b)

    def after_each(self, Pass below):
        """Run each step after the same step of the pass below, which writes what this one reads, on one thread each."""
        if self.threads != 1 or below.threads != 1:
            raise ValueError("Pass.after_each: expected passes on one thread")
        cdef Pass phase
        for phase in (self, *self.later):
            phase.p.below = &below.p
        self.held = (*self.held, below)

    cpdef int begin(self, tuple start) except -1:
        self.fresh = start is None
        if start is not None:
            self.check(start)
            of_h, of_c = self.states()
            for k in range(self.state_parts):
                if self.format == "f":
                    take_state[float](self, of_c if k else of_h, start[k], k)
                else:
                    take_state[double](self, of_c if k else of_h, start[k], k)
        return 0

    cpdef int end(self, tuple final) except -1:
        self.check(final)
        of_h, of_c = self.states()
        for k in range(self.state_parts):
            if self.format == "f":
                give_state[float](self, of_c if k else of_h, final[k], k)
            else:
                give_state[double](self, of_c if k else of_h, final[k], k)
        return 0

    cdef int check(self, tuple state) except -1:
        if len(state) != self.state_parts:
            raise ValueError("Pass: a state has other parts than the cell")
        return 0

    cdef int follow(self) except -1:
        cdef Pass phase
        for phase in (self, *self.later):
            phase.rows.follow()
            phase.take_layout()
        return 0

    cdef void take_layout(self) noexcept:
        """Take over what may have changed in the layout."""
        cdef Layout rows = self.rows
        self.p.T, self.p.rows, self.work = rows.T, rows.S, rows.S * self.row_work
        self.threads = min(rows.threads, self.most_threads) if self.most_threads else rows.threads
        self.p.alive, self.p.offset, self.p.x_row, self.p.y_row = rows.alive, rows.offset, rows.x_row, rows.y_row
        if self.zeros != NULL:
            self.p.offset, self.p.rows = self.zeros, self.p.N
        self.p.segments, self.p.segment_count = rows.segments, rows.segment_count

    cdef void before(self) noexcept:
        cdef Pass phase
        self.p.done = 0
        for phase in self.later:
            if phase.p.I:
                phase.p.x = self.p.x

    cdef void after(self) noexcept:
        cdef Pass phase
        self.p.phase[0] = (self.p.phase[0] + self.p.T) & 1
        for phase in self.later:
            phase.p.phase[0] = (phase.p.phase[0] + self.p.T) & 1


cdef int take_state(Pass self, Pass phase, const real[:, :, ::1] part, Py_ssize_t k) except -1:
    """Begin with the state at the pass's place in part k, (layers·D, N, H): h, then those of c, of this phase."""
    cdef fl_pass* p = &phase.p
    cdef Py_ssize_t n, row
    cdef Py_ssize_t next = p.width * (phase.cell.c_parts if k else 1)
    cdef real* own = <real*>p.c + (k - 1) * p.width if k else <real*>p.h + p.phase[0] * p.N * p.width
    check_state(self, p, part.shape)
    for n in range(p.N):
        row = n if self.order is None else self.order.index_[n]
        memcpy(own + n * next, &part[self.place, row, 0], p.H * sizeof(real))
    return 0


cdef int give_state(Pass self, Pass phase, real[:, :, ::1] part, Py_ssize_t k) except -1:
    """Write part k after each row's own last step to the pass's place in it. h comes from the outputs."""
    cdef fl_pass* p = &phase.p
    cdef Py_ssize_t n, row, last
    cdef const real* own
    check_state(self, p, part.shape)
    for n in range(p.N):
        row = n if self.order is None else self.order.index_[n]
        last = (p.T if self.order is None else self.order.lengths_[n]) - 1
        if k:
            own = <real*>p.c + (n * phase.cell.c_parts + k - 1) * p.width
        else:
            own = <real*>p.y + p.y_row[n] + last * p.y_step
        memcpy(&part[self.place, row, 0], own, p.H * sizeof(real))
    return 0


cdef int check_state(Pass self, const fl_pass* p, const Py_ssize_t* part) except -1:
    if not 0 <= self.place < part[0] or part[1] != p.N or part[2] != p.H:
        raise ValueError("Pass: sizes do not agree")
    return 0


def prepare(
    str cell, Layout rows, panels, const real[:, :, ::1] bias, real[:, ::1] c,
    real[:, :, ::1] h, int[::1] phase, real[::1] projected, Py_ssize_t chunk, str format="exact", rounded=None,
    Options options=None, Py_ssize_t seen=-1,
):
    """A `Pass` over the rows of a layout. `bind` it before it runs.

    c (N, C·width), h (2, N, width) and phase (1) hold the state, padded with zeros. c has no rows for a cell without c.
    projected, if not empty, is scratch for W x of `chunk` steps. `rounded` (uint32) is scratch where the format rounds:
    (threads, chunk·N·cpu.rounded_row(I) + N·cpu.rounded_row(K)). `options` are those of a cell that has some. U sees
    K = `seen` numbers, by default those of its own state, as it does unless there are several phases.
    """
    cdef Py_ssize_t K = rows.H if seen < 0 else seen
    cdef Py_ssize_t N = h.shape[1], width = h.shape[2]
    cdef const fl_cell* known = cell_of(cell, rows.H, real is float, format)
    cdef const fl_format* packed = format_of(real is float, format)
    if (
        rows.N != N or not fits(known, packed, panels.shape, bias.shape, rows.I, rows.H, K, sizeof(real))
        or width != padded(rows.H, sizeof(real) == 4) or h.shape[0] != 2
        or c.shape[0] != (N if known.c_parts else 0) or c.shape[1] != width * max(known.c_parts, 1)
        or phase.shape[0] != 1 or not 0 <= phase[0] <= 1 or (rows.I + K < 1 and not known.row_room)
        or (projected.shape[0] and (chunk < 1 or projected.shape[0] < chunk * N * known.sums * width or not rows.full))
    ):
        raise ValueError("forward.prepare: sizes do not agree")
    cdef Pass made = Pass()
    made.cell, made.p.option, made.p.options = known, known.option, options_of(options, known.options)
    made.p.cell, made.p.seen, made.p.K, made.later, made.state_parts = known, &made.p, K, [], 1 + known.c_parts
    made.with_c = 0 if known.c_parts else -1
    made.p.N, made.p.I, made.p.H, made.p.width, made.p.chunk, made.p.phase = N, rows.I, rows.H, width, chunk, &phase[0]
    made.p.x_step, made.p.y_step = rows.x_step, rows.y_step
    made.p.panels, made.p.bias, made.p.h = weights_at(panels, packed, panels.size, False), &bias[0, 0, 0], &h[0, 0, 0]
    if packed.rounds:
        if chunk < 1 or rounded is None or rounded.shape[0] < 1:
            raise ValueError("forward.prepare: expected room for rounded inputs")
        made.most_threads = rounded.shape[0]
        made.p.rounded_each = N * (chunk * row_inputs(packed, rows.I) + row_inputs(packed, K))
        made.p.rounded = <void*>address(rounded, "I", 4 * made.most_threads * made.p.rounded_each, True)
    made.p.c = &c[0, 0] if known.c_parts else NULL
    made.p.projected = &projected[0] if projected.shape[0] else NULL
    made.job, made.argument = passes(False), &made.p
    made.input, made.output = &made.p.x, &made.p.y
    made.format, made.rows = "f" if real is float else "d", rows
    made.row_work = work_of_step(N, known.gates * rows.H * (rows.I + K)) / N
    made.take_layout()
    made.x_bytes, made.y_bytes = rows.x_size * <Py_ssize_t>sizeof(real), rows.y_size * <Py_ssize_t>sizeof(real)
    made.output_bytes = made.y_bytes
    made.held = (panels, bias, c, h, phase, projected, rounded, options)  # keeps their memory
    return made
