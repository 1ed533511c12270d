"""The simple recurrent network on the plain path: one row of one step, up to BLOCK of its units.

The equation (Elman 1990), phi being tanh, max(0, ·) or nothing:
    h' = phi(W x + U h + b)

Back, dh being the gradient by h':
    da = dh phi'       phi' is 1 - h'^2 for tanh, 1 where h' is above 0 for max(0, ·), and 1 for nothing
"""

from fastlstm._kernels.plain_block cimport BLOCK, copy
from fastlstm._kernels.real cimport real, tanh


# sums: without bias in, h' out
cdef inline void tanh_forward(real* h, real* sums, const real* bias, Py_ssize_t width) noexcept nogil:
    cdef real[BLOCK] h_new
    cdef Py_ssize_t k
    for k in range(width):
        h_new[k] = tanh(sums[k] + bias[k])
    copy(sums, h_new, width)
    copy(h, h_new, width)


# sums: h' in, the gradient da out
cdef inline void tanh_backward(real* sums, const real* dh, const real* dy, Py_ssize_t width) noexcept nogil:
    cdef real[BLOCK] da
    cdef Py_ssize_t k
    for k in range(width):
        da[k] = (dh[k] + dy[k]) * (1 - sums[k] * sums[k])
    copy(sums, da, width)


cdef inline void relu_forward(real* h, real* sums, const real* bias, Py_ssize_t width) noexcept nogil:
    cdef real[BLOCK] h_new
    cdef real total
    cdef Py_ssize_t k
    for k in range(width):
        total = sums[k] + bias[k]
        h_new[k] = 0 if total < 0 else total  # which passes NaN, as the other kernels do
    copy(sums, h_new, width)
    copy(h, h_new, width)


cdef inline void relu_backward(real* sums, const real* dh, const real* dy, Py_ssize_t width) noexcept nogil:
    cdef real[BLOCK] da
    cdef Py_ssize_t k
    for k in range(width):
        da[k] = dh[k] + dy[k] if sums[k] > 0 else 0
    copy(sums, da, width)


cdef inline void identity_forward(real* h, real* sums, const real* bias, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(width):
        h[k] = sums[k] + bias[k]


# dh: by h' in, by h out, of which h' is no function but through U
cdef inline void identity_backward(real* sums, real* dh, const real* dy, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(width):
        sums[k], dh[k] = dh[k] + dy[k], 0
