"""The LSTM in inference on packed weights: register tiles with the gates on their sums, for each instruction set.

The C beside this (simd/packed.h) is compiled once for each; which one serves is chosen when this is imported, from what
the processor has, or from FASTLSTM_ISA: avx512, avx2, baseline, or plain for no packed kernels at all (see lstm.pyx).
"""

import os

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.string cimport memset

from fastlstm._kernels.real cimport real


cdef extern from "simd/pool.h" nogil:
    struct fl_team:
        pass
    ctypedef void (*fl_job)(void* argument, int thread, fl_team* team) noexcept
    void fl_run(fl_job job, void* argument, int threads)


cdef extern from "simd/packed.h" nogil:
    struct fl_pass:
        Py_ssize_t T, N, I, H, width
        const Py_ssize_t* alive
        const void* x
        const Py_ssize_t* x_row
        Py_ssize_t x_step
        const void* panels
        const void* bias
        void* c
        void* h
        void* y
        const Py_ssize_t* y_row
        Py_ssize_t y_step
        void* projected
        Py_ssize_t chunk
        int by_units, phase
    ctypedef void (*pack_float)(
        float* panels, float* bias, const float* w, const float* u, const float* b, Py_ssize_t I, Py_ssize_t H
    ) noexcept
    ctypedef void (*pack_double)(
        double* panels, double* bias, const double* w, const double* u, const double* b, Py_ssize_t I, Py_ssize_t H
    ) noexcept
    struct fl_kernels:
        const char* name
        int bytes
        pack_float pack_f
        pack_double pack_d
        fl_job forward_f
        fl_job forward_d
    const fl_kernels* fl_select(const char* name)


cdef const fl_kernels* kernels = NULL


def choose(str isa):
    """Use this instruction set from now on: a name, "plain" for none, or "" for the best there is."""
    global kernels
    if isa == "plain":
        kernels = NULL
        return
    cdef bytes name = isa.encode()
    cdef const fl_kernels* found = fl_select(name)
    if found == NULL and isa:
        names = [other for other in ("avx512", "avx2", "baseline") if fl_select(other.encode()) != NULL]
        raise ValueError(f"FASTLSTM_ISA: expected one of {[*names, 'plain']} on this processor, got {isa!r}")
    kernels = found


def isa():
    """Name of the instruction set in use, "plain" if none."""
    return "plain" if kernels == NULL else kernels.name.decode()


choose(os.environ.get("FASTLSTM_ISA", ""))


def lanes(dtype):
    """Numbers of this dtype in a vector."""
    return kernels.bytes // np.dtype(dtype).itemsize


def pack(
    real[:, :, :, ::1] panels, real[:, :, ::1] bias,
    const real[:, ::1] w_ih, const real[:, ::1] w_hh, const real[::1] b,
):
    """panels (blocks, I + H, 4, lanes) and bias (blocks, 4, lanes) from weights (4H, I), (4H, H) and bias (4H)."""
    cdef Py_ssize_t I = w_ih.shape[1], H = w_hh.shape[1], L = kernels.bytes // <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t blocks = (H + L - 1) // L
    if (
        w_ih.shape[0] != 4 * H or w_hh.shape[0] != 4 * H or b.shape[0] != 4 * H or panels.shape[0] != blocks
        or panels.shape[1] != I + H or panels.shape[2] != 4 or panels.shape[3] != L or bias.shape[0] != blocks
        or bias.shape[1] != 4 or bias.shape[2] != L or I < 1 or H < 1
    ):
        raise ValueError("packed.pack: sizes do not agree")
    with nogil:
        if real is float:
            kernels.pack_f(&panels[0, 0, 0, 0], &bias[0, 0, 0], &w_ih[0, 0], &w_hh[0, 0], &b[0], I, H)
        else:
            kernels.pack_d(&panels[0, 0, 0, 0], &bias[0, 0, 0], &w_ih[0, 0], &w_hh[0, 0], &b[0], I, H)


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


cdef class Pass:
    """A forward pass that is ready to run: sizes are checked, pointers set. Made by `prepare`.

    It keeps a state of its own, c (N, width) and h (2, N, width), and `run` goes on from it. h[slot] is the current
    one; of a row that ended early, it lies in either.
    """

    cdef fl_pass p
    cdef fl_job job
    cdef int threads
    cdef bytes format
    cdef Py_ssize_t x_bytes, y_bytes, state_bytes
    cdef tuple held
    cdef readonly object c, h

    @property
    def slot(self):
        return self.p.phase

    def clear(self):
        """Make the state zero."""
        memset(self.p.c, 0, self.state_bytes)
        memset(self.p.h, 0, 2 * self.state_bytes)

    def run(self, x, y):
        """Outputs for x, written to y: contiguous arrays of the sizes and the dtype that were prepared for."""
        cdef Py_buffer from_x, to_y
        PyObject_GetBuffer(x, &from_x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            PyObject_GetBuffer(y, &to_y, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
            try:
                if (
                    from_x.len != self.x_bytes or to_y.len != self.y_bytes
                    or from_x.format != self.format or to_y.format != self.format
                ):
                    raise ValueError("packed.Pass.run: sizes or dtypes do not agree")
                self.p.x = from_x.buf
                self.p.y = to_y.buf
                with nogil:
                    fl_run(self.job, &self.p, self.threads)
                self.p.phase = (self.p.phase + self.p.T) & 1
            finally:
                PyBuffer_Release(&to_y)
        finally:
            PyBuffer_Release(&from_x)


def prepare(
    const real[:, :, :, ::1] panels, const real[:, :, ::1] bias, real[:, ::1] c, real[:, :, ::1] h,
    Py_ssize_t I, Py_ssize_t H, const Py_ssize_t[::1] alive,
    Py_ssize_t x_size, const Py_ssize_t[::1] x_row, Py_ssize_t x_step,
    Py_ssize_t y_size, const Py_ssize_t[::1] y_row, Py_ssize_t y_step,
    real[::1] projected, Py_ssize_t chunk, bint by_units, int threads,
):
    """A `Pass` over N sequences that are read and written where they lie.

    Row n at step t is at x_row[n] + t·x_step of the x_size numbers of x (I of them) and at y_row[n] + t·y_step of the
    y_size numbers of y (H of them): a batch-first array, a reversed one and a part of the columns need no copy. alive
    (T) is the number of rows still running at each step. c (N, width) and h (2, N, width) hold the state, padded with
    zeros. projected, if not empty, is scratch for the inputs of `chunk` steps.
    """
    cdef Py_ssize_t N = c.shape[0], width = c.shape[1], T = alive.shape[0], t, L = panels.shape[3]
    cdef bint fits = (
        kernels != NULL and N >= 1 and T >= 1 and H >= 1 and I >= 1 and threads >= 1 and panels.shape[1] == I + H
        and L * <Py_ssize_t>sizeof(real) == kernels.bytes and width == panels.shape[0] * L and H <= width < H + L
        and panels.shape[2] == 4 and bias.shape[0] == panels.shape[0] and bias.shape[1] == 4 and bias.shape[2] == L
        and h.shape[0] == 2 and h.shape[1] == N and h.shape[2] == width
        and x_row.shape[0] == N and y_row.shape[0] == N
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
    made.p.alive, made.p.chunk, made.p.by_units, made.p.phase = &alive[0], chunk, by_units, 0
    made.p.x_row, made.p.x_step, made.p.y_row, made.p.y_step = &x_row[0], x_step, &y_row[0], y_step
    made.p.panels, made.p.bias, made.p.c, made.p.h = &panels[0, 0, 0, 0], &bias[0, 0, 0], &c[0, 0], &h[0, 0, 0]
    made.p.projected = &projected[0] if projected.shape[0] else NULL
    made.job = kernels.forward_f if real is float else kernels.forward_d
    made.format = b"f" if real is float else b"d"
    made.x_bytes, made.y_bytes = x_size * <Py_ssize_t>sizeof(real), y_size * <Py_ssize_t>sizeof(real)
    made.state_bytes = N * width * <Py_ssize_t>sizeof(real)
    made.threads = threads
    made.c, made.h = np.asarray(c), np.asarray(h)
    made.held = (panels, bias, alive, x_row, y_row, projected)  # keeps their memory
    return made
