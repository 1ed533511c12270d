"""Connectionist temporal classification (simd/ctc_template.h)."""

from fastlstm._kernels.cpu cimport FL_CTC_ROOM, FL_WORTH_WAKING, allowed, fl_ctc, run, training
from fastlstm._kernels.real cimport real


def room(Py_ssize_t n, Py_ssize_t t, Py_ssize_t s):
    """(threads, numbers for each) of the float64 array that `ctc` wants for n sequences of t steps and s labels."""
    cdef Py_ssize_t threads = 1 if n * t * (s + 1) < 500 else min(n, allowed())
    return threads, (FL_CTC_ROOM(t, s) + 7) // 8 * 8    # whole cache lines


def ctc(
    const real[:, :, ::1] pred,
    const Py_ssize_t[:, ::1] target,
    const real[:, ::1] weight,
    real[:, :, ::1] dpred,
    double[::1] losses,
    double[:, ::1] room,
    double divisor,
    bint per_label,
    Py_ssize_t blank,
    bint zero_infinity,
):
    """-log of the probability of each sequence's labels, per label or not, weighted and summed; over divisor.

    pred (N, T, C); target (N, S), -1 beyond the last label; weight (N, T): a sequence weighs what its first step does,
    and ends after its last step that is not 0. Gradients go to dpred, each sequence's part to losses (N).
    """
    cdef fl_ctc p
    cdef Py_ssize_t n, s
    cdef double total = 0
    p.N, p.T, p.C, p.S, p.blank = pred.shape[0], pred.shape[1], pred.shape[2], target.shape[1], blank
    if (
        0 in (p.N, p.T, p.C)
        or dpred.shape[0] != p.N or dpred.shape[1] != p.T or dpred.shape[2] != p.C
        or target.shape[0] != p.N or weight.shape[0] != p.N or weight.shape[1] != p.T or losses.shape[0] != p.N
        or room.shape[0] < 1 or room.shape[1] < FL_CTC_ROOM(p.T, p.S) or not 0 <= blank < p.C
    ):
        raise ValueError("ctc: sizes do not agree")
    for n in range(p.N):
        for s in range(p.S if weight[n, 0] != 0 else 0):
            if target[n, s] >= p.C:
                raise ValueError(f"target {target[n, s]} in row {n} is outside 0 to {p.C - 1}")
    p.pred, p.weight, p.dpred = &pred[0, 0, 0], &weight[0, 0], &dpred[0, 0, 0]
    p.target = &target[0, 0] if p.S else NULL
    p.losses, p.room, p.room_each = &losses[0], &room[0, 0], room.shape[1]
    p.scale, p.per_label, p.zero_infinity, p.next = 1 / divisor, per_label, zero_infinity, 0
    with nogil:
        run(training(real is float).ctc, &p, <int>room.shape[0], FL_WORTH_WAKING)
        for n in range(p.N):
            total += losses[n]
    return total
