"""Steps of sequences: the last ones, those that windows see, and zeros beyond the end."""

import numpy as np

from libc.string cimport memcpy, memset

from fastlstm._kernels.cpu cimport fl_largest, fl_team, team_for, training
from fastlstm._kernels.layout cimport RaggedOrder
from fastlstm._kernels.real cimport real
from fastlstm._kernels.rows cimport KEEP, check_index, fl_gather, gather_rows
from fastlstm._kernels.stage cimport Stage


cdef class TakeSteps(Stage):
    """Rows at fixed places. Made by `take_steps`."""

    cdef fl_gather g
    cdef tuple held


def take_steps(const real[:, :] source, const Py_ssize_t[::1] index, real[:, :] out, bint alone=False):
    """A stage of out[k] = source[index[k]], zeros where index[k] is -1, and nothing where it is -2.

    The last axis of both must be contiguous; rows may lie apart. `alone` is for a source that is the output, too: its
    rows are then taken one after the other.
    """
    cdef TakeSteps made = TakeSteps()
    cdef Py_ssize_t width = source.shape[1], size = sizeof(real)
    if index.shape[0] != out.shape[0] or width != out.shape[1] or 0 in (index.shape[0], width, source.shape[0]):
        raise ValueError("take_steps: sizes do not agree")
    if width > 1 and (source.strides[1] != size or out.strides[1] != size):
        raise ValueError("take_steps: rows must be contiguous")
    check_index(index, KEEP, source.shape[0])
    made.g.index, made.g.source, made.g.out = &index[0], <const char*>&source[0, 0], <char*>&out[0, 0]
    made.g.count, made.g.bytes, made.g.rows = index.shape[0], width * size, source.shape[0]
    made.g.source_row, made.g.out_row = source.strides[0], out.strides[0]
    made.job, made.argument, made.work = gather_rows, &made.g, made.g.count * made.g.bytes / 3e4
    made.threads = 1 if alone else team_for(made.work)
    made.input = <const void**>&made.g.source
    if out.strides[0] == made.g.bytes and KEEP not in index:
        made.output, made.output_bytes = <void**>&made.g.out, made.g.count * made.g.bytes
    made.x, made.y, made.held = source, out, (index,)
    return made


cdef class Largest(Stage):
    """The largest of several rows, number by number. Made by `largest_stage`."""

    cdef fl_largest p
    cdef tuple held


def largest_stage(const real[:, ::1] source, const Py_ssize_t[:, ::1] index, real[:, ::1] out, Py_ssize_t[:, ::1] at):
    """A stage of out[k] = the largest of source[index[k, j]] for all j, number by number.

    Rows with an index of -1 are left out; without any, out[k] is 0. `at` is the first j of the largest, unless it has
    no rows.
    """
    cdef Largest made = Largest()
    cdef Py_ssize_t count = index.shape[0], width = source.shape[1]
    if (
        0 in (count, index.shape[1], width, source.shape[0]) or out.shape[0] != count or out.shape[1] != width
        or at.shape[0] not in (0, count) or at.shape[1] != width
    ):
        raise ValueError("largest_stage: sizes do not agree")
    check_index(np.asarray(index).reshape(-1), -1, source.shape[0])
    made.p.count, made.p.size, made.p.width = count, index.shape[1], width
    made.p.index, made.p.source, made.p.out = &index[0, 0], &source[0, 0], &out[0, 0]
    made.p.at = &at[0, 0] if at.shape[0] else NULL
    made.job, made.argument = training(real is float).largest, &made.p
    made.work = count * index.shape[1] * width / 2e3
    made.threads = team_for(made.work)
    made.input, made.output, made.output_bytes = &made.p.source, &made.p.out, count * width * sizeof(real)
    made.x, made.y, made.held = source, out, (index, at)
    return made


cdef class LastSteps(Stage):
    """The last step of each sequence of a batch. Made by `last_steps`."""

    cdef fl_gather g
    cdef RaggedOrder order
    cdef Py_ssize_t[::1] index

    cdef int follow(self) except -1:
        cdef Py_ssize_t k
        for k in range(self.order.N):
            self.index[k] = k * self.order.T + self.order.given_[k] - 1
        return 0


def last_steps(RaggedOrder order, const real[:, :, :] x, real[:, :] y):
    """A stage from x (N, T, F) to y (N, F), the last real step of each sequence; rows of both may lie apart."""
    cdef LastSteps made = LastSteps()
    cdef Py_ssize_t width = y.shape[1], size = sizeof(real)
    if x.shape[0] != order.N or x.shape[1] != order.T or y.shape[0] != order.N or width != x.shape[2]:
        raise ValueError("last_steps: sizes do not agree")
    if x.strides[0] != order.T * x.strides[1] or width > 1 and (x.strides[2] != size or y.strides[1] != size):
        raise ValueError("last_steps: rows must be contiguous, and sequences lie behind each other")
    made.order, made.index = order, np.empty(order.N, np.intp)
    made.g.index, made.g.source, made.g.out = &made.index[0], <const char*>&x[0, 0, 0], <char*>&y[0, 0]
    made.g.count, made.g.bytes, made.g.rows = order.N, width * size, order.N * order.T
    made.g.source_row, made.g.out_row = x.strides[1], y.strides[0]
    made.job, made.argument, made.threads = gather_rows, &made.g, 1
    made.input = <const void**>&made.g.source
    if made.g.out_row == made.g.bytes:
        made.output, made.output_bytes = <void**>&made.g.out, order.N * made.g.bytes
    made.x, made.y = x, y
    made.follow()
    return made


cdef struct fl_spread:
    const char* dy
    char* dx
    Py_ssize_t N, T, bytes


cdef void to_last_steps(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_spread* p = <fl_spread*>argument
    cdef Py_ssize_t k
    for k in range(p.N * thread // team.size, p.N * (thread + 1) // team.size):
        memset(p.dx + k * p.T * p.bytes, 0, (p.T - 1) * p.bytes)
        memcpy(p.dx + ((k + 1) * p.T - 1) * p.bytes, p.dy + k * p.bytes, p.bytes)


cdef class ToLastSteps(Stage):
    """The backward pass of the last steps of full sequences. Made by `to_last`."""

    cdef fl_spread p
    cdef tuple held


def to_last(const real[:, ::1] dy, real[:, :, ::1] dx):
    """A stage that writes dx (N, T, F): dy (N, F) at the last step, and zeros before it."""
    if 0 in (dx.shape[0], dx.shape[1], dx.shape[2]) or dy.shape[0] != dx.shape[0] or dy.shape[1] != dx.shape[2]:
        raise ValueError("to_last: sizes do not agree")
    cdef ToLastSteps made = ToLastSteps()
    made.p.dy, made.p.dx = <const char*>&dy[0, 0], <char*>&dx[0, 0, 0]
    made.p.N, made.p.T, made.p.bytes = dx.shape[0], dx.shape[1], dx.shape[2] * <Py_ssize_t>sizeof(real)
    made.job, made.argument, made.threads, made.held = to_last_steps, &made.p, 1, (dy, dx)
    return made


cdef struct fl_clear:
    const Py_ssize_t* lengths
    char* y
    Py_ssize_t N, T, bytes


cdef void clear_beyond(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_clear* p = <fl_clear*>argument
    cdef Py_ssize_t k, begin
    for k in range(p.N * thread // team.size, p.N * (thread + 1) // team.size):
        begin = k * p.T + p.lengths[k]
        memset(p.y + begin * p.bytes, 0, (p.T - p.lengths[k]) * p.bytes)


cdef class ClearBeyond(Stage):
    """Zeros beyond each sequence's end. Made by `clear_stage`."""

    cdef fl_clear p
    cdef object held


def clear_stage(RaggedOrder order, real[:, :, ::1] y):
    """A stage that writes zeros into y (N, T, F) beyond the end of each sequence."""
    if y.shape[0] != order.N or y.shape[1] != order.T:
        raise ValueError("clear_stage: sizes do not agree")
    cdef ClearBeyond made = ClearBeyond()
    made.p.lengths, made.p.y, made.p.N, made.p.T = &order.given_[0], <char*>&y[0, 0, 0], order.N, order.T
    made.p.bytes = y.shape[2] * <Py_ssize_t>sizeof(real)
    made.job, made.argument, made.threads = clear_beyond, &made.p, 1
    made.output, made.output_bytes = <void**>&made.p.y, order.N * order.T * made.p.bytes
    made.held = (order, y)
    return made
