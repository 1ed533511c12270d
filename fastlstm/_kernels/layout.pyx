"""Where the rows of a batch of sequences lie, and how threads share them: what forward and backward passes agree on."""

import numpy as np

from fastlstm._kernels.cpu cimport fl_segment


cdef class Layout:
    """N sequences of up to T steps, read and written where they lie; sizes are checked here, once.

    Row n at step t is at x_row[n] + t·x_step of the x_size numbers of x (I of them) and at y_row[n] + t·y_step of the
    y_size numbers of y (H of them): a batch-first array, a reversed one and a part of the columns need no copy. alive
    (T) is the number of rows still running at each step, never more than at the one before. segments (K, 3) are runs of
    steps, one after the other: the first, one beyond the last, and whether threads share the units of each step there;
    otherwise each has rows of its own.
    """

    def __init__(
        self, Py_ssize_t N, Py_ssize_t I, Py_ssize_t H, const Py_ssize_t[::1] alive,
        const Py_ssize_t[:, ::1] segments, Py_ssize_t x_size, const Py_ssize_t[::1] x_row, Py_ssize_t x_step,
        Py_ssize_t y_size, const Py_ssize_t[::1] y_row, Py_ssize_t y_step, int threads,
    ):
        cdef Py_ssize_t T = alive.shape[0], t, k
        cdef Py_ssize_t[::1] before
        cdef bint fits = (
            N >= 1 and T >= 1 and I >= 1 and H >= 1 and threads >= 1 and x_row.shape[0] == N and y_row.shape[0] == N
            and segments.shape[0] >= 1 and segments.shape[1] == 3
        )
        for t in range(T):
            fits = fits and 1 <= alive[t] <= (alive[t - 1] if t else N)
        if fits:
            for k in range(segments.shape[0]):
                fits = fits and segments[k, 0] == (segments[k - 1, 1] if k else 0) < segments[k, 1]
            fits = fits and segments[segments.shape[0] - 1, 1] == T
        if not fits:
            raise ValueError("Layout: sizes do not agree")
        if not inside(x_row, x_step, I, x_size, alive) or not inside(y_row, y_step, H, y_size, alive):
            raise ValueError("Layout: rows lie outside their array")
        before = np.empty(T + 1, np.intp)
        before[0] = 0
        for t in range(T):
            before[t + 1] = before[t] + alive[t]
        self.longest = 0
        for k in range(segments.shape[0]):
            self.longest = max(self.longest, before[segments[k, 1]] - before[segments[k, 0]])
        self.T, self.N, self.S, self.I, self.H, self.threads = T, N, before[T], I, H, threads
        self.full = alive[T - 1] == N
        self.by_units = np.any(np.asarray(segments)[:, 2])
        self.x_size, self.y_size, self.x_step, self.y_step = x_size, y_size, x_step, y_step
        self.alive, self.before, self.x_row, self.y_row = &alive[0], &before[0], &x_row[0], &y_row[0]
        self.segments, self.segment_count = <const fl_segment*>&segments[0, 0], segments.shape[0]
        self.held = (alive, before, x_row, y_row, segments)  # keeps their memory


# Whether rows of `width` numbers at start[n] + t·step, for each t that row n lives, lie within `size` numbers.
cdef bint inside(
    const Py_ssize_t[::1] start, Py_ssize_t step, Py_ssize_t width, Py_ssize_t size, const Py_ssize_t[::1] alive
) noexcept nogil:
    cdef Py_ssize_t n, t = alive.shape[0], end
    for n in range(alive[0]):
        while t > 1 and alive[t - 1] <= n:              # the rows live ever shorter, so t only falls
            t -= 1
        end = start[n] + (t - 1) * step
        if start[n] < 0 or end < 0 or start[n] + width > size or end + width > size:
            return False
    return True
