"""The cells of the plain path: what its machinery (plain.pyx) must know of each, and the cells' steps by kind."""

from fastlstm._kernels.plain_gru cimport gru_backward, gru_forward
from fastlstm._kernels.plain_lstm cimport lstm_backward, lstm_forward
from fastlstm._kernels.plain_simple cimport relu_backward, relu_forward, tanh_backward, tanh_forward
from fastlstm._kernels.real cimport real


cdef enum Kind:
    LSTM
    GRU
    TANH
    RELU

cdef enum:
    MOST_PARTS = 2
    MOST_FEEDS = 2


# U h of `count` gates from `gate` on is added to as many sums from `sum` on.
cdef struct Feed:
    Py_ssize_t gate, sum, count


# W x of the gates is added to the first sums, one each; U h as the feeds say. `parts` are those of the state, the first
# of which is h. `direct`: h' depends on h not through U alone.
cdef struct Cell:
    Kind kind
    Py_ssize_t gates, sums, parts, feed_count
    bint direct
    Feed[MOST_FEEDS] feeds


cdef inline Cell cell_of(str name) except *:
    if name == "lstm":
        return Cell(LSTM, gates=4, sums=4, parts=2, feed_count=1, direct=False, feeds=[Feed(0, 0, 4), Feed(0, 0, 0)])
    if name == "gru":
        return Cell(GRU, gates=3, sums=4, parts=1, feed_count=2, direct=True, feeds=[Feed(0, 0, 2), Feed(2, 3, 1)])
    if name == "tanh" or name == "relu":
        kind = TANH if name == "tanh" else RELU
        return Cell(kind, gates=1, sums=1, parts=1, feed_count=1, direct=False, feeds=[Feed(0, 0, 1), Feed(0, 0, 0)])
    raise ValueError(f"cell: expected 'lstm', 'gru', 'tanh' or 'relu', got {name!r}")


# `width` units of a row from the sums, without bias, to its state; the sums become what the step back reads.
cdef inline void step_forward(
    Kind kind, real** state, real* sums, const real** prev, const real* bias, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    if kind == LSTM:
        lstm_forward(state[0], state[1], sums, prev[1], bias, H, width)
    elif kind == GRU:
        gru_forward(state[0], sums, prev[0], bias, H, width)
    elif kind == TANH:
        tanh_forward(state[0], sums, bias, width)
    else:
        relu_forward(state[0], sums, bias, width)


# The sums become their gradients; dstate, the gradients by the state after the step, become those by the state before
# it, but for what comes through U: that of h is then still to be added, or, unless `direct`, to be written.
cdef inline void step_backward(
    Kind kind, real* sums, real** dstate, const real* dy, const real** state, const real** prev, Py_ssize_t H,
    Py_ssize_t width,
) noexcept nogil:
    if kind == LSTM:
        lstm_backward(sums, dstate[0], dstate[1], dy, state[1], prev[1], H, width)
    elif kind == GRU:
        gru_backward(sums, dstate[0], dy, prev[0], H, width)
    elif kind == TANH:
        tanh_backward(sums, dstate[0], dy, width)
    else:
        relu_backward(sums, dstate[0], dy, width)
