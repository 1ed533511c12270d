"""The cells of the plain path: what its machinery (plain.pyx) must know of each, and the cells' steps by kind."""

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_gru cimport gru_backward, gru_forward
from fastlstm._kernels.plain_gru_before cimport (
    gru_candidate_backward,
    gru_candidate_forward,
    gru_reset_backward,
    gru_reset_forward,
)
from fastlstm._kernels.plain_gru_options cimport gru_options_backward, gru_options_forward
from fastlstm._kernels.plain_lstm cimport lstm_backward, lstm_forward
from fastlstm._kernels.plain_lstm_norm cimport lstm_norm_backward, lstm_norm_forward
from fastlstm._kernels.plain_lstm_options cimport lstm_options_backward, lstm_options_forward
from fastlstm._kernels.plain_min_lstm cimport min_lstm_backward, min_lstm_forward
from fastlstm._kernels.plain_simple cimport (
    identity_backward,
    identity_forward,
    relu_backward,
    relu_forward,
    tanh_backward,
    tanh_forward,
)
from fastlstm._kernels.plain_simple_options cimport simple_options_backward, simple_options_forward
from fastlstm._kernels.plain_slstm cimport slstm_backward, slstm_forward
from fastlstm._kernels.real cimport real


cdef enum Kind:
    LSTM
    GRU
    TANH
    RELU
    IDENTITY
    LSTM_OPTIONS
    LSTM_COUPLED
    LSTM_NORM
    LSTM_NORM_COUPLED
    GRU_OPTIONS
    GRU_RESET
    GRU_CANDIDATE
    MIN_LSTM
    MIN_LSTM_POSITIVE
    SIMPLE_OPTIONS
    SLSTM
    SLSTM_EXP

cdef enum:
    MOST_PARTS = 3
    MOST_FEEDS = 2


# U h of `count` gates from `gate` on is added to as many sums from `sum` on.
cdef struct Feed:
    Py_ssize_t gate, sum, count


# W x of the gates is added to the first sums, one each; U h as the feeds say. `parts` are those of the state, the first
# of which is h. `direct`: h' depends on h not through U alone, or its step back says that it does not at all. `own`:
# weights that each unit has for itself. `options`: whether it reads them. `room`: 0, or of a cell whose step takes
# whole rows, the numbers of a unit that it has room for.
cdef struct Cell:
    Kind kind
    Py_ssize_t gates, sums, parts, feed_count
    bint direct
    Feed[MOST_FEEDS] feeds
    Py_ssize_t own
    bint options
    Py_ssize_t room


# The weights that each unit has for itself (own·H), their gradients or NULL, room for a row (room·H), the options, and
# masks or NULL.
cdef struct Told:
    const void* own
    void* d_own
    void* room
    const fl_options* options
    const fl_masks* masks


cdef inline Cell cell_of(str name) except *:
    if name == "lstm":
        return Cell(
            LSTM, gates=4, sums=4, parts=2, feed_count=1, direct=False, feeds=[Feed(0, 0, 4), Feed(0, 0, 0)],
            own=0, options=False, room=0,
        )
    if name == "gru":
        return Cell(
            GRU, gates=3, sums=4, parts=1, feed_count=2, direct=True, feeds=[Feed(0, 0, 2), Feed(2, 3, 1)],
            own=0, options=False, room=0,
        )
    if name in ("tanh", "relu", "identity"):
        kind = TANH if name == "tanh" else RELU if name == "relu" else IDENTITY
        return Cell(
            kind, gates=1, sums=1, parts=1, feed_count=1, direct=kind == IDENTITY,
            feeds=[Feed(0, 0, 1), Feed(0, 0, 0)], own=0, options=False, room=0,
        )
    if name == "lstm_options" or name == "lstm_coupled":
        kind, gates = (LSTM_OPTIONS, 4) if name == "lstm_options" else (LSTM_COUPLED, 3)
        return Cell(
            kind, gates=gates, sums=gates, parts=2, feed_count=1, direct=True, feeds=[Feed(0, 0, gates), Feed(0, 0, 0)],
            own=gates - 1, options=True, room=0,
        )
    if name == "lstm_norm" or name == "lstm_norm_coupled":
        kind, gates = (LSTM_NORM, 4) if name == "lstm_norm" else (LSTM_NORM_COUPLED, 3)
        return Cell(
            kind, gates=gates, sums=2 * gates, parts=2, feed_count=1, direct=True,
            feeds=[Feed(0, gates, gates), Feed(0, 0, 0)], own=4 * gates + 1, options=True, room=gates + 2,
        )
    if name == "gru_options":
        return Cell(
            GRU_OPTIONS, gates=3, sums=4, parts=1, feed_count=2, direct=True, feeds=[Feed(0, 0, 2), Feed(2, 3, 1)],
            own=0, options=True, room=0,
        )
    if name == "gru_reset":
        return Cell(
            GRU_RESET, gates=2, sums=2, parts=2, feed_count=1, direct=True, feeds=[Feed(0, 0, 2), Feed(0, 0, 0)],
            own=0, options=True, room=0,
        )
    if name == "gru_candidate":
        return Cell(
            GRU_CANDIDATE, gates=1, sums=1, parts=2, feed_count=1, direct=True, feeds=[Feed(0, 0, 1), Feed(0, 0, 0)],
            own=0, options=True, room=0,
        )
    if name == "min_lstm" or name == "min_lstm_positive":
        kind = MIN_LSTM if name == "min_lstm" else MIN_LSTM_POSITIVE
        return Cell(
            kind, gates=3, sums=3, parts=1, feed_count=1, direct=True, feeds=[Feed(0, 0, 3), Feed(0, 0, 0)],
            own=0, options=True, room=0,
        )
    if name == "simple_options":
        return Cell(
            SIMPLE_OPTIONS, gates=1, sums=1, parts=1, feed_count=1, direct=True, feeds=[Feed(0, 0, 1), Feed(0, 0, 0)],
            own=0, options=True, room=0,
        )
    if name == "slstm" or name == "slstm_exp":
        kind = SLSTM if name == "slstm" else SLSTM_EXP
        return Cell(
            kind, gates=4, sums=4, parts=3, feed_count=1, direct=False, feeds=[Feed(0, 0, 4), Feed(0, 0, 0)],
            own=0, options=True, room=0,
        )
    raise ValueError(f"cell: expected the name of one, got {name!r}")


# `width` units of a row, from the k-th on, at `place` in the masks, from the sums, without bias, to its state; the sums
# become what the step back reads.
cdef inline void step_forward(
    Kind kind, real** state, real* sums, const real** prev, const real* bias, const Told* told,
    Py_ssize_t place, Py_ssize_t k, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    if kind == LSTM:
        lstm_forward(state[0], state[1], sums, prev[1], bias, H, width)
    elif kind == GRU:
        gru_forward(state[0], sums, prev[0], bias, H, width)
    elif kind == TANH:
        tanh_forward(state[0], sums, bias, width)
    elif kind == RELU:
        relu_forward(state[0], sums, bias, width)
    elif kind == IDENTITY:
        identity_forward(state[0], sums, bias, width)
    elif kind == GRU_OPTIONS:
        gru_options_forward(state[0], sums, prev[0], bias, told.options, told.masks, place, H, width)
    elif kind == MIN_LSTM or kind == MIN_LSTM_POSITIVE:
        min_lstm_forward(state[0], sums, prev[0], bias, kind == MIN_LSTM_POSITIVE, H, width)
    elif kind == GRU_RESET:
        gru_reset_forward(state[0], state[1], sums, prev[0], bias, told.options, H, width)
    elif kind == GRU_CANDIDATE:
        gru_candidate_forward(
            state[0], state[1], sums, prev[0], prev[1], bias, told.options, told.masks, place, width
        )
    elif kind == LSTM_NORM or kind == LSTM_NORM_COUPLED:
        lstm_norm_forward(
            state[0], state[1], sums, prev[0], prev[1], <const real*>told.own, <real*>told.room, told.options,
            told.masks, place, kind == LSTM_NORM_COUPLED, H,
        )
    elif kind == SIMPLE_OPTIONS:
        simple_options_forward(state[0], sums, prev[0], bias, told.options, told.masks, place, width)
    elif kind == SLSTM or kind == SLSTM_EXP:
        slstm_forward(state[0], state[1], state[2], sums, prev[1], prev[2], bias, kind == SLSTM_EXP, H, width)
    else:
        lstm_options_forward(
            state[0], state[1], sums, prev[0], prev[1], bias, <const real*>told.own + k, told.options, told.masks,
            place, kind == LSTM_COUPLED, H, width,
        )


# The sums become their gradients; dstate, the gradients by the state after the step, become those by the state before
# it, but for what comes through U: that of h is then still to be added, or, unless `direct`, to be written.
cdef inline void step_backward(
    Kind kind, real* sums, real** dstate, const real* dy, const real** state, const real** prev, const Told* told,
    Py_ssize_t place, Py_ssize_t k, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    if kind == LSTM:
        lstm_backward(sums, dstate[0], dstate[1], dy, state[1], prev[1], H, width)
    elif kind == GRU:
        gru_backward(sums, dstate[0], dy, prev[0], H, width)
    elif kind == TANH:
        tanh_backward(sums, dstate[0], dy, width)
    elif kind == RELU:
        relu_backward(sums, dstate[0], dy, width)
    elif kind == IDENTITY:
        identity_backward(sums, dstate[0], dy, width)
    elif kind == GRU_OPTIONS:
        gru_options_backward(sums, dstate[0], dy, prev[0], told.options, told.masks, place, H, width)
    elif kind == MIN_LSTM or kind == MIN_LSTM_POSITIVE:
        min_lstm_backward(sums, dstate[0], dy, prev[0], kind == MIN_LSTM_POSITIVE, H, width)
    elif kind == GRU_RESET:
        gru_reset_backward(sums, dstate[0], dstate[1], prev[0], told.options, H, width)
    elif kind == GRU_CANDIDATE:
        gru_candidate_backward(
            sums, dstate[0], dstate[1], dy, prev[0], state[1], told.options, told.masks, place, width
        )
    elif kind == LSTM_NORM or kind == LSTM_NORM_COUPLED:
        lstm_norm_backward(
            sums, dstate[0], dstate[1], dy, state[1], prev[1], <const real*>told.own, <real*>told.d_own,
            <real*>told.room, told.options, told.masks, place, kind == LSTM_NORM_COUPLED, H,
        )
    elif kind == SIMPLE_OPTIONS:
        simple_options_backward(sums, dstate[0], dy, told.options, told.masks, place, width)
    elif kind == SLSTM or kind == SLSTM_EXP:
        slstm_backward(
            sums, dstate[0], dstate[1], dstate[2], dy, state[1], prev[1], prev[2], kind == SLSTM_EXP, H, width
        )
    else:
        lstm_options_backward(
            sums, dstate[0], dstate[1], dy, state[1], prev[1], <const real*>told.own + k, <real*>told.d_own + k,
            told.options, told.masks, place, kind == LSTM_COUPLED, H, width,
        )
