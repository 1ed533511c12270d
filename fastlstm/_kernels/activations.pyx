"""The activations, element by element, and softmax (simd/activate_template.h). x and y may be the same array."""

from fastlstm._kernels.cpu cimport (
    FL_EXP,
    FL_SIGMOID,
    FL_TANH,
    fl_activation,
    fl_softmax,
    fl_team,
    run_for,
    training,
)
from fastlstm._kernels.real cimport real


cdef int activate(int function, const real[::1] x, real[::1] y) except -1:
    """y = function(x), by the caller alone: the threads of the pool count subnormal numbers as zero."""
    cdef fl_activation p
    cdef fl_team caller
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"activations: sizes do not agree ({x.shape[0]} and {y.shape[0]})")
    if x.shape[0] == 0:
        return 0
    p.function, p.size, p.x, p.y, caller.size = function, x.shape[0], &x[0], &y[0], 1
    with nogil:
        training(real is float).activate(&p, 0, &caller)
    return 0


def exp(const real[::1] x, real[::1] y):
    """y = exp(x)"""
    activate(FL_EXP, x, y)


def sigmoid(const real[::1] x, real[::1] y):
    """y = 1 / (1 + exp(-x))"""
    activate(FL_SIGMOID, x, y)


def tanh(const real[::1] x, real[::1] y):
    """y = tanh(x)"""
    activate(FL_TANH, x, y)


def softmax(const real[:, ::1] x, real[:, ::1] y):
    """y[r] = exp(x[r]) / sum of exp(x[r])"""
    cdef fl_softmax p
    p.rows, p.width = x.shape[0], x.shape[1]
    if y.shape[0] != p.rows or y.shape[1] != p.width:
        raise ValueError("softmax: sizes do not agree")
    if p.rows == 0 or p.width == 0:
        return
    p.x, p.y = &x[0, 0], &y[0, 0]
    with nogil:
        run_for(training(real is float).softmax, &p, p.rows * p.width / 1e3)
