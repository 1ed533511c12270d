"""Where the rows of a batch of sequences lie, and how threads share them, for forward and backward passes alike."""

import numpy as np

cimport cython

from libc.string cimport memcpy

from fastlstm._kernels.cpu cimport fl_segment


@cython.auto_pickle(False)
cdef class RaggedOrder:
    """The order in which kernels process N sequences of up to T steps: step by step, the longest sequence first.

    Parameters
    ----------
    N, T : int
    given : (N,) ints from 1 to T, optional
        Steps of each sequence; T by default.

    Attributes
    ----------
    given : (N,) steps of each sequence, in the order of the batch
    index : (N,) place in the batch of each sequence, the longest first; equally long ones keep their order
    lengths : (N,) steps of each sequence, the longest first
    alive : (T,) number of sequences that have this step
    longest : steps of the longest sequence
    """

    def __init__(self, Py_ssize_t N, Py_ssize_t T, given=None):
        if N < 1 or T < 1:
            raise ValueError("RaggedOrder: sizes do not agree")
        self.N, self.T = N, T
        self.given, self.index, self.lengths = (np.empty(N, np.intp) for _ in range(3))
        self.alive = np.empty(T + 1, np.intp)
        self.slots = np.empty(T + 1, np.intp)
        self.given_, self.index_, self.lengths_, self.alive_, self.slots_ = (
            self.given, self.index, self.lengths, self.alive, self.slots
        )
        self.alive = self.alive[:T]
        self.given.fill(T)
        cdef const Py_ssize_t[::1] lengths
        if given is not None:
            lengths = given
            if lengths.shape[0] != N:
                raise ValueError("RaggedOrder: sizes do not agree")
            self.take(&lengths[0])
        self.sort()

    cdef int take(self, const Py_ssize_t* given) except -1:
        """Take N other lengths, from 1 to T. `sort` must follow, unless there is an error."""
        cdef Py_ssize_t k
        memcpy(&self.given_[0], given, self.N * sizeof(Py_ssize_t))
        for k in range(self.N):                         # of the copy, as another thread may write into the array
            if not 1 <= self.given_[k] <= self.T:
                raise ValueError("RaggedOrder: a length is outside 1 to T")
        return 0

    cdef void sort(self) noexcept:
        """Counting sort by length. slots_[length] is first a count, then the next free place of that length."""
        cdef Py_ssize_t k, t, place
        for t in range(self.T + 1):
            self.slots_[t] = 0
        for k in range(self.N):
            self.slots_[self.given_[k]] += 1
        self.alive_[self.T], self.longest = 0, 0
        for t in range(self.T - 1, -1, -1):              # longer than t: those longer than t + 1, and those of t + 1
            self.alive_[t] = self.alive_[t + 1] + self.slots_[t + 1]
            self.longest += self.alive_[t] > 0
        for t in range(self.T + 1):
            self.slots_[t] = self.alive_[t]
        for k in range(self.N):
            place = self.slots_[self.given_[k]]
            self.slots_[self.given_[k]] += 1
            self.index_[place], self.lengths_[place] = k, self.given_[k]


cdef class Layout:
    """Where the rows of N sequences of up to T steps lie in their arrays. Sizes are checked here, once.

    Row n at step t is at x_row[n] + t·x_step of the x_size numbers of x (I of them) and at y_row[n] + t·y_step of the
    y_size numbers of y (H of them). Batch-first arrays, reversed ones and some columns of an array need no copy. A
    phase that reads no x has an I of 0.

    Parameters
    ----------
    alive : (T,)
        The number of rows that have each step, never more than at the step before.
    segments : (K, 3)
        Runs of steps, one after the other: the first step, one beyond the last, and 1 if threads share the units of
        each step there, 0 if each thread has rows of its own.
    threads : int
        The number of threads of a pass.
    """

    def __init__(
        self, Py_ssize_t N, Py_ssize_t I, Py_ssize_t H, const Py_ssize_t[::1] alive,
        const Py_ssize_t[:, ::1] segments, Py_ssize_t x_size, const Py_ssize_t[::1] x_row, Py_ssize_t x_step,
        Py_ssize_t y_size, const Py_ssize_t[::1] y_row, Py_ssize_t y_step, int threads,
    ):
        self.N, self.I, self.H, self.threads = N, I, H, threads
        self.x_size, self.y_size, self.x_step, self.y_step = x_size, y_size, x_step, y_step
        cdef Py_ssize_t[::1] offset = np.empty(alive.shape[0] + 1, np.intp)
        self.settle(alive, segments, x_row, y_row, offset)
        self.held = (alive, offset, x_row, y_row, segments)  # keeps their memory

    cdef int settle(
        self, const Py_ssize_t[::1] alive, const Py_ssize_t[:, ::1] segments, const Py_ssize_t[::1] x_row,
        const Py_ssize_t[::1] y_row, Py_ssize_t[::1] offset,
    ) except -1:
        """Check that all rows lie inside, and set the pointers. Writes `offset` (T + 1), the rows before each step."""
        cdef Py_ssize_t N = self.N, I = self.I, H = self.H, T = alive.shape[0], t, k
        cdef bint fits = (
            N >= 1 and T >= 1 and I >= 0 and H >= 1 and self.threads >= 1 and x_row.shape[0] == N
            and y_row.shape[0] == N and offset.shape[0] == T + 1 and segments.shape[0] >= 1 and segments.shape[1] == 3
        )
        for t in range(T):
            fits = fits and 1 <= alive[t] <= (alive[t - 1] if t else N)
        if fits:
            for k in range(segments.shape[0]):
                fits = fits and segments[k, 0] == (segments[k - 1, 1] if k else 0) < segments[k, 1]
            fits = fits and segments[segments.shape[0] - 1, 1] == T
        if not fits:
            raise ValueError("Layout: sizes do not agree")
        if (
            not inside(x_row, self.x_step, I, self.x_size, alive)
            or not inside(y_row, self.y_step, H, self.y_size, alive)
        ):
            raise ValueError("Layout: rows lie outside their array")
        offset[0] = 0
        for t in range(T):
            offset[t + 1] = offset[t] + alive[t]
        self.by_units = False
        for k in range(segments.shape[0]):
            self.by_units = self.by_units or segments[k, 2] != 0
        self.T, self.S, self.full = T, offset[T], alive[T - 1] == N
        self.alive, self.offset, self.x_row, self.y_row = &alive[0], &offset[0], &x_row[0], &y_row[0]
        self.segments, self.segment_count = <const fl_segment*>&segments[0, 0], segments.shape[0]
        return 0

    cdef int follow(self) except -1:
        """Take over lengths that have changed."""
        return 0


cdef class RaggedLayout(Layout):
    """A layout of (N, T, ·) arrays in a ragged order whose lengths may change.

    Parameters
    ----------
    order : RaggedOrder
    I, H : int
        x is (N, T, I), and H columns of y are written.
    width, column : int
        y is (N, T, width); its columns are those from `column` on.
    reverse : bool
        Whether each sequence is processed from its end.
    plans : (N + 1, 2)
        For each number of rows, how many threads serve them, and whether they share the units of a step.
    every : int
        Rows become fewer from step to step. They are shared anew after so many steps.
    """

    cdef RaggedOrder order
    cdef bint reverse
    cdef Py_ssize_t column, every
    cdef const Py_ssize_t[:, ::1] plans
    cdef Py_ssize_t[:, ::1] segments_
    cdef Py_ssize_t[::1] x_rows, y_rows, offset_

    def __init__(
        self, RaggedOrder order, Py_ssize_t I, Py_ssize_t H, Py_ssize_t width, Py_ssize_t column, bint reverse,
        const Py_ssize_t[:, ::1] plans, Py_ssize_t every,
    ):
        cdef Py_ssize_t N = order.N, T = order.T
        if plans.shape[0] != N + 1 or plans.shape[1] != 2 or every < 1 or min(H, width) < 1 or I < 0:
            raise ValueError("Layout: sizes do not agree")
        self.N, self.I, self.H, self.order, self.reverse, self.column = N, I, H, order, reverse, column
        self.x_step, self.y_step = -I if reverse else I, -width if reverse else width
        self.x_size, self.y_size = N * T * I, N * T * width
        self.plans, self.every = plans, every
        self.segments_ = np.empty(((T + every - 1) // every, 3), np.intp)
        self.x_rows, self.y_rows, self.offset_ = (np.empty(size, np.intp) for size in (N, N, T + 1))
        self.follow()

    cdef int follow(self) except -1:
        """Lay out the order as it now is."""
        cdef Py_ssize_t k, row, rows, first, count = 0, T = self.order.longest
        for k in range(self.N):
            row = self.order.index_[k] * self.order.T + (self.order.lengths_[k] - 1 if self.reverse else 0)
            self.x_rows[k] = row * self.I
            self.y_rows[k] = row * (-self.y_step if self.reverse else self.y_step) + self.column
        self.threads = 1
        for first in range(0, T, self.every):
            rows = self.order.alive_[first]
            self.segments_[count, 0], self.segments_[count, 1] = first, min(first + self.every, T)
            self.segments_[count, 2] = self.plans[rows, 1]
            self.threads = max(self.threads, <int>self.plans[rows, 0])
            count += 1
        return self.settle(
            self.order.alive_[:T], self.segments_[:count], self.x_rows, self.y_rows, self.offset_[:T + 1]
        )


# Whether rows of `width` numbers at start[n] + t·step lie within `size` numbers, for each step t that row n has.
cdef bint inside(
    const Py_ssize_t[::1] start, Py_ssize_t step, Py_ssize_t width, Py_ssize_t size, const Py_ssize_t[::1] alive
) noexcept nogil:
    cdef Py_ssize_t n, t = alive.shape[0], end
    for n in range(alive[0]):
        while t > 1 and alive[t - 1] <= n:              # later rows have fewer steps, so t only falls
            t -= 1
        end = start[n] + (t - 1) * step
        if start[n] < 0 or end < 0 or start[n] + width > size or end + width > size:
            return False
    return True
