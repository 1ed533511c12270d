"""The activations of the LSTM kernel, element by element, and softmax."""

from fastlstm._kernels.real cimport exp as real_exp
from fastlstm._kernels.real cimport real
from fastlstm._kernels.real cimport sigmoid as real_sigmoid
from fastlstm._kernels.real cimport tanh as real_tanh

cdef enum:
    LANES = 16


cdef check_equal(Py_ssize_t size, Py_ssize_t other):
    if size != other:
        raise ValueError(f"activations: sizes do not agree ({size} and {other})")


def exp(const real[::1] x, real[::1] y):
    """y = exp(x)"""
    cdef Py_ssize_t k
    check_equal(x.shape[0], y.shape[0])
    with nogil:
        for k in range(x.shape[0]):
            y[k] = real_exp(x[k])


def sigmoid(const real[::1] x, real[::1] y):
    """y = 1 / (1 + exp(-x))"""
    cdef Py_ssize_t k
    check_equal(x.shape[0], y.shape[0])
    with nogil:
        for k in range(x.shape[0]):
            y[k] = real_sigmoid(x[k])


def tanh(const real[::1] x, real[::1] y):
    """y = tanh(x)"""
    cdef Py_ssize_t k
    check_equal(x.shape[0], y.shape[0])
    with nogil:
        for k in range(x.shape[0]):
            y[k] = real_tanh(x[k])


cdef real row_max(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0, lane
    cdef real[LANES] best
    cdef real top = x[0]
    if n >= LANES:
        for lane in range(LANES):
            best[lane] = x[lane]
        j = LANES
        while j + LANES <= n:
            for lane in range(LANES):
                best[lane] = x[j + lane] if x[j + lane] > best[lane] else best[lane]
            j += LANES
        for lane in range(LANES):
            top = best[lane] if best[lane] > top else top
    for j in range(j, n):
        top = x[j] if x[j] > top else top
    return top


cdef double row_sum(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j = 0, lane
    cdef double[LANES] sums
    cdef double total = 0
    for lane in range(LANES):
        sums[lane] = 0
    while j + LANES <= n:
        for lane in range(LANES):
            sums[lane] += x[j + lane]
        j += LANES
    for lane in range(LANES):
        total += sums[lane]
    for j in range(j, n):
        total += x[j]
    return total


# y[j] = exp(x[j] - max); returns the sum. The loop over exp is vector code.
cdef double row_exp(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    cdef real shift = row_max(x, n)
    for j in range(n):
        y[j] = real_exp(x[j] - shift)
    return row_sum(y, n)


def softmax(const real[:, ::1] x, real[:, ::1] y):
    """y[r] = exp(x[r]) / sum of exp(x[r])"""
    cdef Py_ssize_t R = x.shape[0], V = x.shape[1], r, j
    cdef real inverse
    if y.shape[0] != R or y.shape[1] != V:
        raise ValueError("softmax: sizes do not agree")
    if V == 0:
        return
    with nogil:
        for r in range(R):
            inverse = <real>(1 / row_exp(&x[r, 0], &y[r, 0], V))
            for j in range(V):
                y[r, j] *= inverse
