"""The minimal LSTM on the plain path: one row of one step, up to BLOCK of its units.

The equations, all from x alone but for h:
    f, i = sigmoid(W x + b)   f' = f / (f + i)   i' = 1 - f'   g = W x + b   h' = f' h + i' g
where g is positive, it is a + 1/2 of the sum a above 0, and sigmoid(a) below.

f' is v / (u + v) with u = 1 + exp(-a_f) and v = 1 + exp(-a_i), both times exp(-m), so that nothing overflows; one of
them may then be zero, but not their sum.

Back, dh being the gradient by h', and d = dh (h - g):
    da_f = d f' i' (1 - f)   da_i = -d f' i' (1 - i)   da_g = dh i' g'(a_g)   dh = dh f' by h
"""

from libc.math cimport exp

from fastlstm._kernels.real cimport real, sigmoid


# f', i', f' i' (1 - f) and f' i' (1 - i)
cdef inline void min_lstm_gates(double a_f, double a_i, double* gates) noexcept nogil:
    cdef double m = max(0.0, max(-a_f, -a_i)), one = exp(-m), of_f = exp(-a_f - m), of_i = exp(-a_i - m)
    cdef double total = 2 * one + of_f + of_i
    gates[0], gates[1] = (one + of_i) / total, (one + of_f) / total
    gates[2], gates[3] = gates[0] * of_f / total, gates[1] * of_i / total


cdef inline real min_lstm_candidate(real a, bint positive) noexcept nogil:
    if not positive:
        return a
    return a + <real>0.5 if a > 0 else sigmoid(a)


# sums (f, i, g): without bias in, the a out
cdef inline void min_lstm_forward(
    real* h, real* sums, const real* h_prev, const real* bias, bint positive, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t k, b
    cdef double[4] gates
    for k in range(width):
        for b in range(3):
            sums[b * H + k] += bias[b * H + k]
        min_lstm_gates(sums[k], sums[H + k], gates)
        h[k] = <real>gates[0] * h_prev[k] + <real>gates[1] * min_lstm_candidate(sums[2 * H + k], positive)


# sums: the a in, their gradients out. dh: by h' in, by h out.
cdef inline void min_lstm_backward(
    real* sums, real* dh, const real* dy, const real* h_prev, bint positive, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t k
    cdef double[4] gates
    cdef real g, d, slope, both
    for k in range(width):
        min_lstm_gates(sums[k], sums[H + k], gates)
        g, d = min_lstm_candidate(sums[2 * H + k], positive), dh[k] + dy[k]
        slope = g * (1 - g) if positive and not sums[2 * H + k] > 0 else 1
        both = d * (h_prev[k] - g)
        sums[k] = both * <real>gates[2]
        sums[H + k] = -both * <real>gates[3]
        sums[2 * H + k] = d * <real>gates[1] * slope
        dh[k] = d * <real>gates[0]
