"""The long short-term memory on the plain path: one row of one step, up to BLOCK of its units.

The equations (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000):
    i, f, o = sigmoid(W x + U h + b)   g = tanh(W x + U h + b)
    c' = f c + i g                     h' = o tanh(c')

Back, dh and dc being the gradients by h' and c':
    dc = dc + dh o (1 - tanh(c')^2)
    da_i = dc g i (1 - i)   da_f = dc c f (1 - f)   da_g = dc i (1 - g^2)   da_o = dh tanh(c') o (1 - o)
    dc = dc f               by c
"""

from fastlstm._kernels.plain_block cimport BLOCK, copy
from fastlstm._kernels.real cimport real, sigmoid, tanh


# sums (i, f, g, o): without bias in, activated gates out
cdef inline void lstm_forward(
    real* h, real* c, real* sums, const real* c_prev, const real* bias, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef real[BLOCK] i, f, g, o, c_new, h_new
    cdef Py_ssize_t k
    for k in range(width):
        i[k] = sigmoid(sums[k] + bias[k])
        f[k] = sigmoid(sums[H + k] + bias[H + k])
        g[k] = tanh(sums[2 * H + k] + bias[2 * H + k])
        o[k] = sigmoid(sums[3 * H + k] + bias[3 * H + k])
        c_new[k] = f[k] * c_prev[k] + i[k] * g[k]
        h_new[k] = o[k] * tanh(c_new[k])
    copy(sums, i, width)
    copy(sums + H, f, width)
    copy(sums + 2 * H, g, width)
    copy(sums + 3 * H, o, width)
    copy(c, c_new, width)
    copy(h, h_new, width)


# sums: activated gates in, their gradients da out. dc: by c' in, by c out.
cdef inline void lstm_backward(
    real* sums, const real* dh, real* dc, const real* dy, const real* c, const real* c_prev, Py_ssize_t H,
    Py_ssize_t width,
) noexcept nogil:
    cdef real[BLOCK] da_i, da_f, da_g, da_o, dc_prev
    cdef real i, f, g, o, tanh_c, dh_k, dc_k
    cdef Py_ssize_t k
    for k in range(width):
        i, f, g, o = sums[k], sums[H + k], sums[2 * H + k], sums[3 * H + k]
        tanh_c = tanh(c[k])
        dh_k = dh[k] + dy[k]
        dc_k = dc[k] + dh_k * o * (1 - tanh_c * tanh_c)
        da_i[k] = dc_k * g * i * (1 - i)
        da_f[k] = dc_k * (f * (1 - f)) * c_prev[k]          # c may be so large that dc·c is infinite
        da_g[k] = dc_k * i * (1 - g * g)
        da_o[k] = dh_k * tanh_c * o * (1 - o)
        dc_prev[k] = dc_k * f
    copy(sums, da_i, width)
    copy(sums + H, da_f, width)
    copy(sums + 2 * H, da_g, width)
    copy(sums + 3 * H, da_o, width)
    copy(dc, dc_prev, width)
