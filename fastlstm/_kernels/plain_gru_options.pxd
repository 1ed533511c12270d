"""The gated recurrent unit with options on the plain path: one row of one step, up to BLOCK of its units.

The equations, gate and candidate being functions (plain_functions.pxd), z_h what stays as it was, and k the factors of
the candidate (1 if nothing is left out):
    r, z = gate(clip(W x + U h + b))   m = U_n h + b_m   a_n = W_n x + b_n + r m   n = k candidate(clip(a_n))
    h' = z_h h + (1 - z_h) ((1 - z) n + z h)

Back, dh being the gradient by h', and d = dh (1 - z_h):
    da_n = d (1 - z) k candidate'(a_n)   da_m = da_n r   da_r = da_n m gate'(a_r)   da_z = d (h - n) gate'(a_z)
    dh = dh z_h + d z   by h, besides what comes through U
"""

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, factor, pass_clip, slope, stays_h
from fastlstm._kernels.real cimport real


# sums (r, z, n without r m, m): without bias in; the a and m out
cdef inline void gru_options_forward(
    real* h, real* sums, const real* h_prev, const real* bias, const fl_options* o, const fl_masks* masks,
    Py_ssize_t place, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, b
    cdef real r, z, n, z_h, most = <real>o.clip
    for k in range(width):
        for b in range(4):
            sums[b * H + k] += bias[b * H + k]
        r = apply(&o.gate, clip(sums[k], -most, most))
        z = apply(&o.gate, clip(sums[H + k], -most, most))
        sums[2 * H + k] += r * sums[3 * H + k]
        n = apply(&o.candidate, clip(sums[2 * H + k], -most, most)) * <real>factor(o, masks, place + k)
        z_h = <real>stays_h(o, masks, place + k)
        h[k] = z_h * h_prev[k] + (1 - z_h) * ((1 - z) * n + z * h_prev[k])


# sums: the a and m in, their gradients out. dh: by h' in, by h out.
cdef inline void gru_options_backward(
    real* sums, real* dh, const real* dy, const real* h_prev, const fl_options* o, const fl_masks* masks,
    Py_ssize_t place, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real r, z, g, m, kept, z_h, d, da_n, most = <real>o.clip
    for k in range(width):
        r = apply(&o.gate, clip(sums[k], -most, most))
        z = apply(&o.gate, clip(sums[H + k], -most, most))
        g = apply(&o.candidate, clip(sums[2 * H + k], -most, most))
        m, kept, z_h = sums[3 * H + k], <real>factor(o, masks, place + k), <real>stays_h(o, masks, place + k)
        d = (dh[k] + dy[k]) * (1 - z_h)
        da_n = pass_clip(d * (1 - z) * kept * slope(&o.candidate, sums[2 * H + k], g), sums[2 * H + k], o.clip)
        sums[k] = pass_clip(da_n * m * slope(&o.gate, sums[k], r), sums[k], o.clip)
        sums[H + k] = pass_clip(d * (h_prev[k] - g * kept) * slope(&o.gate, sums[H + k], z), sums[H + k], o.clip)
        sums[2 * H + k] = da_n
        sums[3 * H + k] = da_n * r
        dh[k] = (dh[k] + dy[k]) * z_h + d * z
