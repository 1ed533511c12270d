"""Losses and their gradients, row by row.

Each loss takes pred (R, F), a target, and a weight for each row, writes the gradient to dpred (R, F) and returns
    sum over rows of weight[r] · loss(pred[r], target[r]),
where the loss of a row is the mean over its F features (softmax: minus the log of the target's probability). A row of
weight 0 is not looked at: its pred and target may hold anything, and its gradient is 0.
"""

from libc.math cimport fabs, log, log1p

from fastlstm._kernels.activations cimport row_exp
from fastlstm._kernels.real cimport exp, real, sigmoid


ctypedef double (*elementwise)(double pred, double target, double delta, double* slope) noexcept nogil


cdef double squared(double pred, double target, double delta, double* slope) noexcept nogil:
    cdef double d = pred - target
    slope[0] = 2 * d
    return d * d


cdef double absolute(double pred, double target, double delta, double* slope) noexcept nogil:
    cdef double d = pred - target
    slope[0] = (d > 0) - (d < 0)
    return fabs(d)


# Huber 1964
cdef double huber_loss(double pred, double target, double delta, double* slope) noexcept nogil:
    cdef double d = pred - target
    if fabs(d) <= delta:
        slope[0] = d
        return d * d / 2
    slope[0] = delta if d > 0 else -delta
    return delta * (fabs(d) - delta / 2)


# -t log s(z) - (1 - t) log(1 - s(z)), written so that nothing overflows
cdef double binary_cross_entropy(double pred, double target, double delta, double* slope) noexcept nogil:
    cdef double positive = pred if pred > 0 else 0
    slope[0] = sigmoid(pred) - target
    return positive - pred * target + log1p(exp(-fabs(pred)))


cdef double rows_of(
    elementwise loss, const real[:, ::1] pred, const real[:, ::1] target, const real[::1] weight, real[:, ::1] dpred,
    double delta,
) except? -1:
    cdef Py_ssize_t R = pred.shape[0], F = pred.shape[1], r, j
    cdef double total = 0, row, w, slope = 0
    if (
        target.shape[0] != R or target.shape[1] != F or weight.shape[0] != R or dpred.shape[0] != R
        or dpred.shape[1] != F
    ):
        raise ValueError("loss: sizes do not agree")
    with nogil:
        for r in range(R):
            if weight[r] == 0:
                for j in range(F):
                    dpred[r, j] = 0
                continue
            w = weight[r] / <double>F
            row = 0
            for j in range(F):
                row += loss(pred[r, j], target[r, j], delta, &slope)
                dpred[r, j] = <real>(w * slope)
            total += w * row
    return total


def mse(const real[:, ::1] pred, const real[:, ::1] target, const real[::1] weight, real[:, ::1] dpred):
    """(p - t)²"""
    return rows_of(squared, pred, target, weight, dpred, 0)


def mae(const real[:, ::1] pred, const real[:, ::1] target, const real[::1] weight, real[:, ::1] dpred):
    """|p - t|"""
    return rows_of(absolute, pred, target, weight, dpred, 0)


def huber(
    const real[:, ::1] pred, const real[:, ::1] target, const real[::1] weight, real[:, ::1] dpred, double delta
):
    """d²/2 where |d| <= delta, delta·(|d| - delta/2) beyond; d = p - t"""
    return rows_of(huber_loss, pred, target, weight, dpred, delta)


def sigmoid_cross_entropy(
    const real[:, ::1] pred, const real[:, ::1] target, const real[::1] weight, real[:, ::1] dpred
):
    """-t log s(p) - (1 - t) log(1 - s(p))"""
    return rows_of(binary_cross_entropy, pred, target, weight, dpred, 0)


def softmax_cross_entropy(
    const real[:, ::1] pred, const Py_ssize_t[::1] target, const real[::1] weight, real[:, ::1] dpred
):
    """-log softmax(p)[t]; the gradient is softmax(p) less 1 at t"""
    cdef Py_ssize_t R = pred.shape[0], V = pred.shape[1], r, j
    cdef double total = 0, sum_exp
    cdef real top = 0, scale
    if target.shape[0] != R or weight.shape[0] != R or dpred.shape[0] != R or dpred.shape[1] != V:
        raise ValueError("softmax_cross_entropy: sizes do not agree")
    for r in range(R):
        if weight[r] != 0 and not 0 <= target[r] < V:
            raise ValueError(f"target {target[r]} in row {r} is outside 0 to {V - 1}")
    with nogil:
        for r in range(R):
            if weight[r] == 0:
                for j in range(V):
                    dpred[r, j] = 0
                continue
            sum_exp = row_exp(&pred[r, 0], &dpred[r, 0], V, &top)
            total += weight[r] * (log(sum_exp) + top - pred[r, target[r]])
            scale = <real>(weight[r] / sum_exp)
            for j in range(V):
                dpred[r, j] *= scale
            dpred[r, target[r]] -= weight[r]
    return total
