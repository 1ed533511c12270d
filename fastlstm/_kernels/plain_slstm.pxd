"""The sLSTM (Beck et al. 2024) on the plain path: one row of one step, up to BLOCK of its units.

The equations, c being C / N of the paper and n the logarithm of N (simd/cells/slstm.hpp):
    z = tanh(a_z)   o = sigmoid(a_o)   log f = log sigmoid(a_f), or a_f   log i = a_i   a = W x + U h + b
    f' = sigmoid(log f + n - log i)
    c' = f' c + (1 - f') z   n' = log i + softplus(log f + n - log i)   h' = o c'

Back, dh, dc and dn being the gradients by h', c' and n':
    dc = dc + dh o   d = f' (dc (c - z) (1 - f') + dn)
    da_i = dn - d   da_f = d (1 - sigmoid(a_f)), or d   da_z = dc (1 - f') (1 - z^2)   da_o = dh c' o (1 - o)
    dc = dc f'      by c
    dn = d          by n
"""

from libc.math cimport exp, fabs, log1p

from fastlstm._kernels.real cimport real, sigmoid, tanh


cdef inline double softplus(double x) noexcept nogil:
    return max(0.0, x) + log1p(exp(-fabs(x)))


# log f + n - log i
cdef inline double slstm_apart(double a_i, double a_f, double n, bint exponential) noexcept nogil:
    return (a_f if exponential else -softplus(-a_f)) + n - a_i


# sums (i, f, z, o): without bias in, the a out
cdef inline void slstm_forward(
    real* h, real* c, real* n, real* sums, const real* c_prev, const real* n_prev, const real* bias, bint exponential,
    Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, b
    cdef double apart
    cdef real keep
    for k in range(width):
        for b in range(4):
            sums[b * H + k] += bias[b * H + k]
        apart = slstm_apart(sums[k], sums[H + k], n_prev[k], exponential)
        keep = sigmoid(<real>apart)
        c[k] = keep * c_prev[k] + (1 - keep) * tanh(sums[2 * H + k])
        n[k] = <real>(sums[k] + softplus(apart))
        h[k] = sigmoid(sums[3 * H + k]) * c[k]


# sums: the a in, their gradients out. dc and dn: by c' and n' in, by c and n out.
cdef inline void slstm_backward(
    real* sums, const real* dh, real* dc, real* dn, const real* dy, const real* c, const real* c_prev,
    const real* n_prev, bint exponential, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real keep, z, o, d, both, of_c
    for k in range(width):
        keep = sigmoid(<real>slstm_apart(sums[k], sums[H + k], n_prev[k], exponential))
        z, o, d = tanh(sums[2 * H + k]), sigmoid(sums[3 * H + k]), dh[k] + dy[k]
        of_c = dc[k] + d * o
        both = keep * (of_c * (c_prev[k] - z) * (1 - keep) + dn[k])
        sums[k] = dn[k] - both
        sums[H + k] = both if exponential else both * sigmoid(-sums[H + k])
        sums[2 * H + k] = of_c * (1 - keep) * (1 - z * z)
        sums[3 * H + k] = d * c[k] * o * (1 - o)
        dc[k], dn[k] = of_c * keep, both
