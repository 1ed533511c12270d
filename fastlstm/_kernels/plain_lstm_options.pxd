"""The LSTM with options on the plain path: one row of one step, up to BLOCK of its units.

The equations, gate, candidate and output being functions (plain_functions.pxd), and p the peepholes (own weights of i,
f and o):
    a = W x + U h + b          a_i += p_i c   a_f += p_f c   a_o += p_o c'
    i, f, o = gate(clip(a))    g = candidate(clip(a))        coupled: f = 1 - i, and there is no a_f
    c' = cell_clip(f c + i g)  h' = o output(c')

Back, dh and dc being the gradients by h' and c':
    da_o = dh output(c') gate'(a_o)
    dc = dc + dh o output'(c') + da_o p_o, and 0 where c' was clipped
    da_i = dc g gate'(a_i)   da_f = dc c gate'(a_f)   da_g = dc i candidate'(a_g)   coupled: da_i = dc (g - c) gate'(a_i)
    dc = dc f + da_i p_i + da_f p_f   by c
    dp_i += da_i c   dp_f += da_f c   dp_o += da_o c'
"""

from fastlstm._kernels.cpu cimport fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, pass_clip, slope
from fastlstm._kernels.real cimport real


# sums (i, f, g, o; coupled: i, g, o): without bias in, the a out
cdef inline void lstm_options_forward(
    real* h, real* c, real* sums, const real* c_prev, const real* bias, const real* own, const fl_options* o,
    bint coupled, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, at_g = H if coupled else 2 * H, at_o = at_g + H, last = at_g
    cdef real i, f, g, c_k, most = <real>o.clip
    for k in range(width):
        c_k = c_prev[k]
        sums[k] += bias[k] + own[k] * c_k
        sums[at_g + k] += bias[at_g + k]
        i = apply(&o.gate, clip(sums[k], -most, most))
        g = apply(&o.candidate, clip(sums[at_g + k], -most, most))
        if coupled:
            f = 1 - i
        else:
            sums[H + k] += bias[H + k] + own[H + k] * c_k
            f = apply(&o.gate, clip(sums[H + k], -most, most))
        c_k = clip(f * c_k + i * g, <real>-o.cell_clip, <real>o.cell_clip)
        sums[at_o + k] += bias[at_o + k] + own[last + k] * c_k
        c[k] = c_k
        h[k] = apply(&o.gate, clip(sums[at_o + k], -most, most)) * apply(&o.output, c_k)


# sums: the a in, their gradients out. dc: by c' in, by c out. d_own is added to.
cdef inline void lstm_options_backward(
    real* sums, const real* dh, real* dc, const real* dy, const real* c, const real* c_prev, const real* own,
    real* d_own, const fl_options* o, bint coupled, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, at_g = H if coupled else 2 * H, at_o = at_g + H, last = at_g
    cdef real i, f, g, out, s, da_i, da_f = 0, da_o, dh_k, dc_k, c_k, most = <real>o.clip
    for k in range(width):
        c_k = c_prev[k]
        i = apply(&o.gate, clip(sums[k], -most, most))
        g = apply(&o.candidate, clip(sums[at_g + k], -most, most))
        f = 1 - i if coupled else apply(&o.gate, clip(sums[H + k], -most, most))
        out = apply(&o.gate, clip(sums[at_o + k], -most, most))
        s = apply(&o.output, c[k])
        dh_k = dh[k] + dy[k]
        da_o = pass_clip(dh_k * s * slope(&o.gate, sums[at_o + k], out), sums[at_o + k], o.clip)
        dc_k = dc[k] + dh_k * out * slope(&o.output, c[k], s) + da_o * own[last + k]
        dc_k = pass_clip(dc_k, f * c_k + i * g, o.cell_clip)
        da_i = dc_k * (g - c_k if coupled else g)
        da_i = pass_clip(da_i * slope(&o.gate, sums[k], i), sums[k], o.clip)
        if not coupled:
            da_f = pass_clip(dc_k * c_k * slope(&o.gate, sums[H + k], f), sums[H + k], o.clip)
            sums[H + k] = da_f
            d_own[H + k] += da_f * c_k
        sums[at_g + k] = pass_clip(
            dc_k * i * slope(&o.candidate, sums[at_g + k], g), sums[at_g + k], o.clip
        )
        sums[k], sums[at_o + k] = da_i, da_o
        d_own[k] += da_i * c_k
        d_own[last + k] += da_o * c[k]
        dc[k] = dc_k * f + da_i * own[k] + (0 if coupled else da_f * own[H + k])
