"""The LSTM in inference on packed weights: register tiles with the gates on their sums, for each instruction set."""

from fastlstm._kernels.cpu cimport fl_pass, functions, table
from fastlstm._kernels.program cimport Stage, address
from fastlstm._kernels.real cimport real


def pack(
    real[:, :, :, ::1] panels, real[:, :, ::1] bias,
    const real[:, ::1] w_ih, const real[:, ::1] w_hh, const real[::1] b,
):
    """panels (blocks, I + H, 4, lanes) and bias (blocks, 4, lanes) from weights (4H, I), (4H, H) and bias (4H)."""
    cdef Py_ssize_t I = w_ih.shape[1], H = w_hh.shape[1], L = panels.shape[3]
    cdef Py_ssize_t blocks = (H + L - 1) // L if L else 0
    if (
        table() == NULL or L * <Py_ssize_t>sizeof(real) != table().bytes
        or w_ih.shape[0] != 4 * H or w_hh.shape[0] != 4 * H or b.shape[0] != 4 * H
        or panels.shape[0] != blocks or panels.shape[1] != I + H or panels.shape[2] != 4 or bias.shape[0] != blocks
        or bias.shape[1] != 4 or bias.shape[2] != L or I < 1 or H < 1
    ):
        raise ValueError("packed.pack: sizes do not agree")
    with nogil:
        functions(real is float).pack(
            &panels[0, 0, 0, 0], &bias[0, 0, 0], &w_ih[0, 0], &w_hh[0, 0], &b[0], I, H
        )


# Whether rows of `width` numbers at start[n] + t·step, for each t that row n lives, lie within `size` numbers.
cdef bint inside(
    const Py_ssize_t[::1] start, Py_ssize_t step, Py_ssize_t width, Py_ssize_t size, const Py_ssize_t[::1] alive
) noexcept nogil:
    cdef Py_ssize_t n, t = alive.shape[0], end
    for n in range(start.shape[0]):
        while t > 1 and alive[t - 1] <= n:              # the rows live ever shorter, so t only falls
            t -= 1
        end = start[n] + (t - 1) * step
        if start[n] < 0 or end < 0 or start[n] + width > size or end + width > size:
            return False
    return True


cdef class Pass(Stage):
    """A forward pass that is ready to run: sizes are checked, pointers set. Made by `prepare`.

    With fresh, it begins with zeros; else with the state in c (N, width) and h[phase[0]] (N, width), padded with zeros.
    It leaves its own state there and in phase. The state h of a row that ends early lies in either h.
    """

    cdef fl_pass p
    cdef str format
    cdef Py_ssize_t x_bytes, y_bytes
    cdef tuple held

    @property
    def fresh(self):
        return bool(self.p.fresh)

    @fresh.setter
    def fresh(self, bint value):
        self.p.fresh = value

    def bind(self, x, y):
        """Read x and write y: contiguous arrays of the sizes and the dtype that were prepared for."""
        self.p.x = address(x, self.format, self.x_bytes, False)
        self.p.y = <void*>address(y, self.format, self.y_bytes, True)
        self.x, self.y = x, y

    def after_each(self, Pass below):
        """Run no step before the same step of the pass below, which writes what this one reads."""
        self.p.below = &below.p
        self.held = (*self.held, below)

    cdef void before(self) noexcept:
        self.p.done = 0

    cdef void after(self) noexcept:
        self.p.phase[0] = (self.p.phase[0] + self.p.T) & 1


def prepare(
    const real[:, :, :, ::1] panels, const real[:, :, ::1] bias, real[:, ::1] c, real[:, :, ::1] h, int[::1] phase,
    Py_ssize_t I, Py_ssize_t H, const Py_ssize_t[::1] alive,
    Py_ssize_t x_size, const Py_ssize_t[::1] x_row, Py_ssize_t x_step,
    Py_ssize_t y_size, const Py_ssize_t[::1] y_row, Py_ssize_t y_step,
    real[::1] projected, Py_ssize_t chunk, bint by_units, int threads,
):
    """A `Pass` over N sequences that are read and written where they lie; `bind` it before it runs.

    Row n at step t is at x_row[n] + t·x_step of the x_size numbers of x (I of them) and at y_row[n] + t·y_step of the
    y_size numbers of y (H of them): a batch-first array, a reversed one and a part of the columns need no copy. alive
    (T) is the number of rows still running at each step. c (N, width), h (2, N, width) and phase (1) hold the state,
    padded with zeros. projected, if not empty, is scratch for the inputs of `chunk` steps.
    """
    cdef Py_ssize_t N = c.shape[0], width = c.shape[1], T = alive.shape[0], t, L = panels.shape[3]
    cdef bint fits = (
        table() != NULL and N >= 1 and T >= 1 and H >= 1 and I >= 1 and threads >= 1 and panels.shape[1] == I + H
        and L * <Py_ssize_t>sizeof(real) == table().bytes and width == panels.shape[0] * L and H <= width < H + L
        and panels.shape[2] == 4 and bias.shape[0] == panels.shape[0] and bias.shape[1] == 4 and bias.shape[2] == L
        and h.shape[0] == 2 and h.shape[1] == N and h.shape[2] == width and phase.shape[0] == 1
        and x_row.shape[0] == N and y_row.shape[0] == N and 0 <= phase[0] <= 1
        and (projected.shape[0] == 0 or (chunk >= 1 and projected.shape[0] >= chunk * N * 4 * width))
    )
    for t in range(T):
        fits = fits and 1 <= alive[t] <= (alive[t - 1] if t else N)
    fits = fits and alive[0] == N and (projected.shape[0] == 0 or alive[T - 1] == N)
    if not fits:
        raise ValueError("packed.prepare: sizes do not agree")
    if not inside(x_row, x_step, I, x_size, alive) or not inside(y_row, y_step, H, y_size, alive):
        raise ValueError("packed.prepare: rows lie outside their array")
    cdef Pass made = Pass()
    made.p.T, made.p.N, made.p.I, made.p.H, made.p.width = T, N, I, H, width
    made.p.alive, made.p.chunk, made.p.by_units, made.p.phase = &alive[0], chunk, by_units, &phase[0]
    made.p.x_row, made.p.x_step, made.p.y_row, made.p.y_step = &x_row[0], x_step, &y_row[0], y_step
    made.p.panels, made.p.bias, made.p.c, made.p.h = &panels[0, 0, 0, 0], &bias[0, 0, 0], &c[0, 0], &h[0, 0, 0]
    made.p.projected = &projected[0] if projected.shape[0] else NULL
    made.job, made.argument, made.threads = functions(real is float).forward, &made.p, threads
    made.input = &made.p.x
    made.format = "f" if real is float else "d"
    made.x_bytes, made.y_bytes = x_size * <Py_ssize_t>sizeof(real), y_size * <Py_ssize_t>sizeof(real)
    made.held = (panels, bias, c, h, phase, alive, x_row, y_row, projected)  # keeps their memory
    return made
