"""Optimizer updates, each a single pass over one parameter: value, gradient and what the optimizer remembers of it."""

from libc.math cimport sqrt, sqrtf

from fastlstm._kernels.real cimport real

cdef enum:
    LANES = 16


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef check_equal(Py_ssize_t size, Py_ssize_t other):
    if size != other:
        raise ValueError(f"update: sizes do not agree ({size} and {other})")


def sum_squares(const real[::1] x):
    """Sum of squares, added up in double precision."""
    cdef Py_ssize_t n = x.shape[0], k = 0, lane
    cdef double[LANES] sums
    cdef double total = 0
    with nogil:
        for lane in range(LANES):
            sums[lane] = 0
        while k + LANES <= n:
            for lane in range(LANES):
                sums[lane] += <double>x[k + lane] * x[k + lane]
            k += LANES
        for lane in range(LANES):
            total += sums[lane]
        for k in range(k, n):
            total += <double>x[k] * x[k]
    return total


def scale(real[::1] x, real factor):
    """x *= factor"""
    cdef Py_ssize_t k
    with nogil:
        for k in range(x.shape[0]):
            x[k] *= factor


def sgd(real[::1] value, const real[::1] grad, real lr, real weight_decay):
    """value -= lr (grad + weight_decay value)"""
    cdef Py_ssize_t k
    check_equal(value.shape[0], grad.shape[0])
    with nogil:
        for k in range(value.shape[0]):
            value[k] -= lr * (grad[k] + weight_decay * value[k])


def momentum(
    real[::1] value, const real[::1] grad, real[::1] velocity, real lr, real mu, real weight_decay, bint nesterov
):
    """velocity = mu velocity + g; value -= lr velocity, or lr (g + mu velocity) by Nesterov; g = grad + decay value"""
    cdef Py_ssize_t k
    cdef real g, v, own = 1 if nesterov else 0, ahead = mu if nesterov else 1
    check_equal(value.shape[0], grad.shape[0])
    check_equal(value.shape[0], velocity.shape[0])
    with nogil:
        for k in range(value.shape[0]):
            g = grad[k] + weight_decay * value[k]
            v = mu * velocity[k] + g
            velocity[k] = v
            value[k] -= lr * (own * g + ahead * v)


def rmsprop(real[::1] value, const real[::1] grad, real[::1] square, real lr, real rho, real eps):
    """square = rho square + (1 - rho) grad²; value -= lr grad / (sqrt(square) + eps)"""
    cdef Py_ssize_t k
    cdef real s
    check_equal(value.shape[0], grad.shape[0])
    check_equal(value.shape[0], square.shape[0])
    with nogil:
        for k in range(value.shape[0]):
            s = rho * square[k] + (1 - rho) * grad[k] * grad[k]
            square[k] = s
            value[k] -= lr * grad[k] / (square_root(s) + eps)


def adam(
    real[::1] value, const real[::1] grad, real[::1] mean, real[::1] square,
    double lr, double beta1, double beta2, double eps, double weight_decay, long step,
):
    """Adam with bias correction, after a decay of value by lr·weight_decay; step counts from 1."""
    cdef Py_ssize_t k
    cdef real m, s, b1 = <real>beta1, b2 = <real>beta2, epsilon = <real>eps, keep = <real>(1 - lr * weight_decay)
    cdef real a1 = <real>(1 - beta1), a2 = <real>(1 - beta2)
    cdef real rate = <real>(lr / (1 - beta1 ** step)), widen = <real>(1 / sqrt(1 - beta2 ** step))
    check_equal(value.shape[0], grad.shape[0])
    check_equal(value.shape[0], mean.shape[0])
    check_equal(value.shape[0], square.shape[0])
    with nogil:
        for k in range(value.shape[0]):
            m = b1 * mean[k] + a1 * grad[k]
            s = b2 * square[k] + a2 * grad[k] * grad[k]
            mean[k] = m
            square[k] = s
            value[k] = keep * value[k] - rate * m / (square_root(s) * widen + epsilon)
