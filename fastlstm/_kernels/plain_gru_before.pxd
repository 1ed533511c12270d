"""The gated recurrent unit whose reset gate comes before the product, on the plain path: one row of one step, up to
BLOCK of its units, in two phases.

The equations, gate and candidate being functions (plain_functions.pxd), z_h what stays as it was, k the factors of the
candidate (1 if nothing is left out), and f those of h as U sees it:
    reset       r, z = gate(clip(W x + U (f h) + b))   s = r f h, and z
    candidate   a_n = W_n x + U_n s + b_n   n = k candidate(clip(a_n))   h' = z_h h + (1 - z_h) ((1 - z) n + z h)

Back, dh being the gradient by h', d = dh (1 - z_h), and ds that by s:
    candidate   da_n = d (1 - z) k candidate'(a_n)   dz = d (h - n)   dh = dh z_h + d z by h
    reset       da_r = ds f h gate'(a_r)   da_z = dz gate'(a_z)   ds r f by h, besides what comes through U
"""

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, factor, pass_clip, slope, stays_h
from fastlstm._kernels.real cimport real


# sums (r, z): without bias in, the a out; h is s, and c is z. `seen` is f h.
cdef inline void gru_reset_forward(
    real* h, real* c, real* sums, const real* seen, const real* bias, const fl_options* o, Py_ssize_t H,
    Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real most = <real>o.clip
    for k in range(width):
        sums[k] += bias[k]
        sums[H + k] += bias[H + k]
        h[k] = apply(&o.gate, clip(sums[k], -most, most)) * seen[k]
        c[k] = apply(&o.gate, clip(sums[H + k], -most, most))


# sums: the a in, their gradients out. ds: by s in, by f h besides U out.
cdef inline void gru_reset_backward(
    real* sums, real* ds, const real* dz, const real* seen, const fl_options* o, Py_ssize_t H, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real r, z, most = <real>o.clip
    for k in range(width):
        r = apply(&o.gate, clip(sums[k], -most, most))
        z = apply(&o.gate, clip(sums[H + k], -most, most))
        sums[k] = pass_clip(ds[k] * seen[k] * slope(&o.gate, sums[k], r), sums[k], o.clip)
        sums[H + k] = pass_clip(dz[k] * slope(&o.gate, sums[H + k], z), sums[H + k], o.clip)
        ds[k] *= r


# sums (n): without bias in, a out. c is z before and after.
cdef inline void gru_candidate_forward(
    real* h, real* c, real* sums, const real* h_prev, const real* z, const real* bias, const fl_options* o,
    const fl_masks* masks, Py_ssize_t place, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real n, z_h, most = <real>o.clip
    for k in range(width):
        sums[k] += bias[k]
        n = apply(&o.candidate, clip(sums[k], -most, most)) * <real>factor(o, masks, place + k)
        z_h = <real>stays_h(o, masks, place + k)
        h[k] = z_h * h_prev[k] + (1 - z_h) * ((1 - z[k]) * n + z[k] * h_prev[k])
        c[k] = z[k]


# sums: a in, its gradient out. dh: by h' in, by h besides U out. dz is written.
cdef inline void gru_candidate_backward(
    real* sums, real* dh, real* dz, const real* dy, const real* h_prev, const real* z, const fl_options* o,
    const fl_masks* masks, Py_ssize_t place, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real g, d, z_h, kept, most = <real>o.clip
    for k in range(width):
        g = apply(&o.candidate, clip(sums[k], -most, most))
        z_h, kept, d = <real>stays_h(o, masks, place + k), <real>factor(o, masks, place + k), dh[k] + dy[k]
        dh[k] = d * z_h + d * (1 - z_h) * z[k]
        d *= 1 - z_h
        dz[k] = d * (h_prev[k] - g * kept)
        sums[k] = pass_clip(d * (1 - z[k]) * kept * slope(&o.candidate, sums[k], g), sums[k], o.clip)
