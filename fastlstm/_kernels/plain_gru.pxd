"""The gated recurrent unit on the plain path: one row of one step, up to BLOCK of its units.

The equations (Cho et al. 2014), with the reset gate after the product, as cuDNN, PyTorch and Keras have it:
    r, z = sigmoid(W x + U h + b)
    m = U_n h + b_m               n = tanh(W_n x + b_n + r m)
    h' = (1 - z) n + z h

Back, dh being the gradient by h':
    da_n = dh (1 - z) (1 - n^2)   da_m = da_n r
    da_r = da_n m r (1 - r)       da_z = dh (h - n) z (1 - z)
    dh = dh z                     by h, besides what comes through U
"""

from fastlstm._kernels.plain_block cimport BLOCK, copy
from fastlstm._kernels.real cimport real, sigmoid, tanh


# sums (r, z, n without r m, m): without bias in; r, z, n and m out
cdef inline void gru_forward(
    real* h, real* sums, const real* h_prev, const real* bias, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef real[BLOCK] r, z, n, m, h_new
    cdef Py_ssize_t k
    for k in range(width):
        r[k] = sigmoid(sums[k] + bias[k])
        z[k] = sigmoid(sums[H + k] + bias[H + k])
        m[k] = sums[3 * H + k] + bias[3 * H + k]
        n[k] = tanh(sums[2 * H + k] + bias[2 * H + k] + r[k] * m[k])
        h_new[k] = (1 - z[k]) * n[k] + z[k] * h_prev[k]
    copy(sums, r, width)
    copy(sums + H, z, width)
    copy(sums + 2 * H, n, width)
    copy(sums + 3 * H, m, width)
    copy(h, h_new, width)


# sums: r, z, n and m in, their gradients da out. dh: by h' in, by h out.
cdef inline void gru_backward(
    real* sums, real* dh, const real* dy, const real* h_prev, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef real[BLOCK] da_r, da_z, da_n, da_m, dh_prev
    cdef real r, z, n, m, dh_k
    cdef Py_ssize_t k
    for k in range(width):
        r, z, n, m = sums[k], sums[H + k], sums[2 * H + k], sums[3 * H + k]
        dh_k = dh[k] + dy[k]
        da_n[k] = dh_k * (1 - z) * (1 - n * n)
        da_m[k] = da_n[k] * r
        da_r[k] = da_n[k] * (r * (1 - r)) * m               # m may be so large that da_n·m is infinite
        da_z[k] = dh_k * (z * (1 - z)) * (h_prev[k] - n)
        dh_prev[k] = dh_k * z
    copy(sums, da_r, width)
    copy(sums + H, da_z, width)
    copy(sums + 2 * H, da_n, width)
    copy(sums + 3 * H, da_m, width)
    copy(dh, dh_prev, width)
