"""The LSTM with layer norm on the plain path: one row of one step, all of its units.

The equations, norm being over all numbers of a row, and otherwise with the names of plain_lstm_options.pxd:
    norm(v) = (v - mean(v)) / sqrt(variance(v) + eps)
    a = b + alpha_x norm(W x) + alpha_h norm(U h)      over the sums of all gates
    i, f, g, o, e and c' of these a as there
    n = beta_c + alpha_c norm(e)                       over the units
    h' = z_h h + (1 - z_h) o output(n)

Back: with d the gradient by norm(v), that by v is (d - mean(d) - norm(v) mean(d norm(v))) / sqrt(variance(v) + eps).

The own weights of a unit are the peepholes, then b, alpha_x and alpha_h of each gate, alpha_c and beta_c.
"""

from libc.math cimport sqrt

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, factor, pass_clip, slope, stays_c, stays_h
from fastlstm._kernels.real cimport real


# The mean of n numbers, and one over the root of their variance.
cdef struct Moments:
    double mean, scale


cdef inline Moments moments_of(const real* v, Py_ssize_t n, double eps) noexcept nogil:
    cdef Moments found
    cdef Py_ssize_t k
    cdef double total = 0, squares = 0
    for k in range(n):
        total += v[k]
    found.mean = total / n
    for k in range(n):
        squares += (v[k] - found.mean) * (v[k] - found.mean)
    found.scale = 1 / sqrt(squares / n + eps)
    return found


cdef inline real normed(real v, Moments of) noexcept nogil:
    return <real>((v - of.mean) * of.scale)


# v: n numbers in, their gradients out, from those by alpha norm(v); d_alpha is added to.
cdef inline void norm_back(
    real* v, const real* dy, const real* alpha, real* d_alpha, Moments of, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef double total = 0, product = 0
    cdef real y
    for k in range(n):
        y = normed(v[k], of)
        d_alpha[k] += dy[k] * y
        total += dy[k] * alpha[k]
        product += dy[k] * alpha[k] * y
    for k in range(n):
        v[k] = <real>((dy[k] * alpha[k] - total / n - normed(v[k], of) * product / n) * of.scale)


# The a, of the sums W x and U h (both of all gates), but for the peepholes.
cdef inline void add_norms(real* a, const real* sums, const real* b, Moments x, Moments u, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        a[k] = b[k] + b[n + k] * normed(sums[k], x) + b[2 * n + k] * normed(sums[n + k], u)


# room: (G + 1)·H numbers
cdef inline void lstm_norm_forward(
    real* h, real* c, const real* sums, const real* h_prev, const real* c_prev, const real* own, real* room,
    const fl_options* o, const fl_masks* masks, Py_ssize_t place, bint coupled, Py_ssize_t H,
) noexcept nogil:
    cdef Py_ssize_t k, G = 3 if coupled else 4, last = (G - 2) * H, at_o = (G - 1) * H
    cdef real i, f, g, z_h, z_c, c_k, n, most = <real>o.clip
    cdef real* a = room
    cdef real* e = room + G * H
    cdef const real* alpha_c = own + (4 * G - 1) * H
    cdef Moments of_c
    add_norms(a, sums, own + at_o, moments_of(sums, G * H, o.norm), moments_of(sums + G * H, G * H, o.norm), G * H)
    for k in range(H):
        c_k, z_c = c_prev[k], <real>stays_c(o, masks, place + k)
        i = apply(&o.gate, clip(a[k] + own[k] * c_k, -most, most))
        f = 1 - i if coupled else apply(&o.gate, clip(a[H + k] + own[H + k] * c_k, -most, most))
        g = apply(&o.candidate, clip(a[last + k], -most, most)) * <real>factor(o, masks, place + k)
        e[k] = clip(f * c_k + i * g, <real>-o.cell_clip, <real>o.cell_clip)
        c[k] = z_c * c_k + (1 - z_c) * e[k]
    of_c = moments_of(e, H, o.norm)
    for k in range(H):
        z_h, n = <real>stays_h(o, masks, place + k), alpha_c[H + k] + alpha_c[k] * normed(e[k], of_c)
        f = apply(&o.gate, clip(a[at_o + k] + own[last + k] * c[k], -most, most)) * apply(&o.output, n)
        h[k] = z_h * h_prev[k] + (1 - z_h) * f


# sums: W x and U h in, their gradients out. dh, dc: by h' and c' in, by h (besides U) and c out. d_own is added to.
cdef inline void lstm_norm_backward(
    real* sums, real* dh, real* dc, const real* dy, const real* c, const real* c_prev, const real* own, real* d_own,
    real* room, const fl_options* o, const fl_masks* masks, Py_ssize_t place, bint coupled, Py_ssize_t H,
) noexcept nogil:
    cdef Py_ssize_t k, G = 3 if coupled else 4, last = (G - 2) * H, at_o = (G - 1) * H
    cdef real i, f, g, m, n, s, out, c_k, z_c, dh_k, dc_k, de, raw, most = <real>o.clip
    cdef real* a = room
    cdef real* e = room + G * H
    cdef real* dn = room + (G + 1) * H
    cdef const real* alpha_c = own + (4 * G - 1) * H
    cdef real* d_alpha_c = d_own + (4 * G - 1) * H
    cdef Moments x = moments_of(sums, G * H, o.norm), u = moments_of(sums + G * H, G * H, o.norm), of_c
    add_norms(a, sums, own + at_o, x, u, G * H)
    for k in range(H):
        c_k = c_prev[k]
        a[k] += own[k] * c_k
        if not coupled:
            a[H + k] += own[H + k] * c_k
        a[at_o + k] += own[last + k] * c[k]
        i = apply(&o.gate, clip(a[k], -most, most))
        f = 1 - i if coupled else apply(&o.gate, clip(a[H + k], -most, most))
        g = apply(&o.candidate, clip(a[last + k], -most, most)) * <real>factor(o, masks, place + k)
        e[k] = clip(f * c_k + i * g, <real>-o.cell_clip, <real>o.cell_clip)
    of_c = moments_of(e, H, o.norm)
    for k in range(H):
        n = alpha_c[H + k] + alpha_c[k] * normed(e[k], of_c)
        out, s = apply(&o.gate, clip(a[at_o + k], -most, most)), apply(&o.output, n)
        dh_k = (dh[k] + dy[k]) * (1 - <real>stays_h(o, masks, place + k))
        dn[k] = dh_k * out * slope(&o.output, n, s)
        d_alpha_c[H + k] += dn[k]
        a[at_o + k] = pass_clip(dh_k * s * slope(&o.gate, a[at_o + k], out), a[at_o + k], o.clip)
        dh[k] = (dh[k] + dy[k]) * <real>stays_h(o, masks, place + k)
    norm_back(e, dn, alpha_c, d_alpha_c, of_c, H)
    for k in range(H):
        c_k, m, z_c = c_prev[k], <real>factor(o, masks, place + k), <real>stays_c(o, masks, place + k)
        i = apply(&o.gate, clip(a[k], -most, most))
        f = 1 - i if coupled else apply(&o.gate, clip(a[H + k], -most, most))
        g = apply(&o.candidate, clip(a[last + k], -most, most))
        raw = f * c_k + i * g * m
        dc_k = dc[k] + a[at_o + k] * own[last + k]
        d_own[last + k] += a[at_o + k] * c[k]
        de = pass_clip(dc_k * (1 - z_c) + e[k], raw, o.cell_clip)
        a[last + k] = pass_clip(de * i * m * slope(&o.candidate, a[last + k], g), a[last + k], o.clip)
        a[k] = pass_clip(de * (g * m - c_k if coupled else g * m) * slope(&o.gate, a[k], i), a[k], o.clip)
        d_own[k] += a[k] * c_k
        dc[k] = dc_k * z_c + de * f + a[k] * own[k]
        if not coupled:
            a[H + k] = pass_clip(de * c_k * slope(&o.gate, a[H + k], f), a[H + k], o.clip)
            d_own[H + k] += a[H + k] * c_k
            dc[k] += a[H + k] * own[H + k]
    for k in range(G * H):
        d_own[at_o + k] += a[k]
    norm_back(sums, a, own + at_o + G * H, d_own + at_o + G * H, x, G * H)
    norm_back(sums + G * H, a, own + at_o + 2 * G * H, d_own + at_o + 2 * G * H, u, G * H)
