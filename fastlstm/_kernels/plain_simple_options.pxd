"""The simple recurrent network with options on the plain path: one row of one step, up to BLOCK of its units.

The equations, candidate being a function (plain_functions.pxd), z_h what stays as it was, and k the factors of the
candidate (1 if nothing is left out):
    a = W x + U h + b   h' = z_h h + (1 - z_h) k candidate(clip(a))

Back, dh being the gradient by h':
    da = dh (1 - z_h) k candidate'(a)   dh = dh z_h by h, besides what comes through U
"""

from fastlstm._kernels.cpu cimport fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip, factor, pass_clip, slope, stays_h
from fastlstm._kernels.real cimport real


# sums: without bias in, a out
cdef inline void simple_options_forward(
    real* h, real* sums, const real* h_prev, const real* bias, const fl_options* o, const fl_masks* masks,
    Py_ssize_t place, Py_ssize_t width,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real y, z_h, most = <real>o.clip
    for k in range(width):
        sums[k] += bias[k]
        y = apply(&o.candidate, clip(sums[k], -most, most)) * <real>factor(o, masks, place + k)
        z_h = <real>stays_h(o, masks, place + k)
        h[k] = z_h * h_prev[k] + (1 - z_h) * y


# sums: a in, its gradient out. dh: by h' in, by h out.
cdef inline void simple_options_backward(
    real* sums, real* dh, const real* dy, const fl_options* o, const fl_masks* masks, Py_ssize_t place, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t k
    cdef real y, d, z_h, most = <real>o.clip
    for k in range(width):
        y = apply(&o.candidate, clip(sums[k], -most, most))
        z_h, d = <real>stays_h(o, masks, place + k), dh[k] + dy[k]
        sums[k] = pass_clip(
            d * (1 - z_h) * <real>factor(o, masks, place + k) * slope(&o.candidate, sums[k], y), sums[k], o.clip
        )
        dh[k] = d * z_h
