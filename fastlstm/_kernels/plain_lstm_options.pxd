"""The LSTM with options on the plain path: one row of one step, up to BLOCK of its units.

The equations, gate, candidate and output being functions (plain_functions.pxd), p the peepholes (own weights of i, f
and o), z what stays as it was, and m the factors of the candidate (1 if nothing is left out):
    a = W x + U h + b          a_i += p_i c   a_f += p_f c   a_o += p_o c'
    i, f, o = gate(clip(a))    g = m candidate(clip(a))      coupled: f = 1 - i, and there is no a_f
    e = cell_clip(f c + i g)   c' = z_c c + (1 - z_c) e      h' = z_h h + (1 - z_h) o output(e)

Back, dh and dc being the gradients by h' and c':
    da_o = dh (1 - z_h) output(e) gate'(a_o)   dc += da_o p_o
    de = dc (1 - z_c) + dh (1 - z_h) o output'(e), and 0 where e was clipped
    da_i = de g gate'(a_i)   da_f = de c gate'(a_f)   da_g = de i m candidate'(a_g)
    coupled: da_i = de (g - c) gate'(a_i)
    dc = dc z_c + de f + da_i p_i + da_f p_f   by c
    dh = dh z_h                                by h, besides what comes through U
    dp_i += da_i c   dp_f += da_f c   dp_o += da_o c'
"""

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, factor, pass_clip, slope, stays_c, stays_h
from fastlstm._kernels.real cimport real


# sums (i, f, g, o; coupled: i, g, o): without bias in, the a out
cdef inline void lstm_options_forward(
    real* h, real* c, real* sums, const real* h_prev, const real* c_prev, const real* bias, const real* own,
    const fl_options* o, const fl_masks* masks, Py_ssize_t place, bint coupled, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, at_g = H if coupled else 2 * H, at_o = at_g + H, last = at_g
    cdef real i, f, g, e, z_h, z_c, c_k, most = <real>o.clip
    for k in range(width):
        c_k = c_prev[k]
        z_h = <real>stays_h(o, masks, place + k)
        z_c = <real>stays_c(o, masks, place + k)
        sums[k] += bias[k] + own[k] * c_k
        sums[at_g + k] += bias[at_g + k]
        i = apply(&o.gate, clip(sums[k], -most, most))
        g = apply(&o.candidate, clip(sums[at_g + k], -most, most)) * <real>factor(o, masks, place + k)
        if coupled:
            f = 1 - i
        else:
            sums[H + k] += bias[H + k] + own[H + k] * c_k
            f = apply(&o.gate, clip(sums[H + k], -most, most))
        e = clip(f * c_k + i * g, <real>-o.cell_clip, <real>o.cell_clip)
        c_k = z_c * c_k + (1 - z_c) * e
        sums[at_o + k] += bias[at_o + k] + own[last + k] * c_k
        c[k] = c_k
        g = apply(&o.gate, clip(sums[at_o + k], -most, most)) * apply(&o.output, e)
        h[k] = z_h * h_prev[k] + (1 - z_h) * g


# sums: the a in, their gradients out. dh, dc: by h' and c' in, by h (besides U) and c out. d_own is added to.
cdef inline void lstm_options_backward(
    real* sums, real* dh, real* dc, const real* dy, const real* c, const real* c_prev, const real* own, real* d_own,
    const fl_options* o, const fl_masks* masks, Py_ssize_t place, bint coupled, Py_ssize_t H, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k, at_g = H if coupled else 2 * H, at_o = at_g + H, last = at_g
    cdef real i, f, g, e, m, out, s, da_i, da_f = 0, da_o, dh_k, dc_k, de, c_k, z_h, z_c, kept, most = <real>o.clip
    for k in range(width):
        c_k, m = c_prev[k], <real>factor(o, masks, place + k)
        z_h = <real>stays_h(o, masks, place + k)
        z_c = <real>stays_c(o, masks, place + k)
        i = apply(&o.gate, clip(sums[k], -most, most))
        g = apply(&o.candidate, clip(sums[at_g + k], -most, most))
        f = 1 - i if coupled else apply(&o.gate, clip(sums[H + k], -most, most))
        kept = f * c_k + i * g * m
        e = clip(kept, <real>-o.cell_clip, <real>o.cell_clip)
        out = apply(&o.gate, clip(sums[at_o + k], -most, most))
        s = apply(&o.output, e)
        dh_k = (dh[k] + dy[k]) * (1 - z_h)
        da_o = pass_clip(dh_k * s * slope(&o.gate, sums[at_o + k], out), sums[at_o + k], o.clip)
        dc_k = dc[k] + da_o * own[last + k]
        de = pass_clip(dc_k * (1 - z_c) + dh_k * out * slope(&o.output, e, s), kept, o.cell_clip)
        da_i = pass_clip(
            de * (g * m - c_k if coupled else g * m) * slope(&o.gate, sums[k], i), sums[k], o.clip
        )
        if not coupled:
            da_f = pass_clip(de * c_k * slope(&o.gate, sums[H + k], f), sums[H + k], o.clip)
            sums[H + k] = da_f
            d_own[H + k] += da_f * c_k
        sums[at_g + k] = pass_clip(
            de * i * m * slope(&o.candidate, sums[at_g + k], g), sums[at_g + k], o.clip
        )
        sums[k], sums[at_o + k] = da_i, da_o
        d_own[k] += da_i * c_k
        d_own[last + k] += da_o * c[k]
        dc[k] = dc_k * z_c + de * f + da_i * own[k] + (0 if coupled else da_f * own[H + k])
        dh[k] = (dh[k] + dy[k]) * z_h
