"""The activations, number by number, softmax, sums of two arrays, and magnitudes, by activate_template.h of simd/.

x and y may be the same array.
"""

from fastlstm._kernels.cpu cimport (
    FL_AFFINE,
    FL_ELU,
    FL_EXP,
    FL_GELU,
    FL_GELU_TANH,
    FL_HARD_SIGMOID,
    FL_LEAKY_RELU,
    FL_RELU,
    FL_SCALED_TANH,
    FL_SIGMOID,
    FL_SILU,
    FL_SOFTPLUS,
    FL_SOFTSIGN,
    FL_TANH,
    FL_THRESHOLDED_RELU,
    fl_activation,
    fl_magnitude,
    fl_softmax,
    fl_sum,
    fl_team,
    run_for,
    team_for,
    training,
)
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage

cdef dict NUMBERS = {
    "exp": FL_EXP, "sigmoid": FL_SIGMOID, "tanh": FL_TANH, "relu": FL_RELU, "hard_sigmoid": FL_HARD_SIGMOID,
    "softsign": FL_SOFTSIGN, "softplus": FL_SOFTPLUS, "leaky_relu": FL_LEAKY_RELU,
    "thresholded_relu": FL_THRESHOLDED_RELU, "elu": FL_ELU, "affine": FL_AFFINE, "scaled_tanh": FL_SCALED_TANH,
    "gelu": FL_GELU, "gelu_tanh": FL_GELU_TANH, "silu": FL_SILU,
}


cdef int fill(fl_activation* p, str function, double alpha, double beta, const real[::1] x, real[::1] y) except -1:
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"activations: sizes do not agree ({x.shape[0]} and {y.shape[0]})")
    p.function, p.alpha, p.beta, p.size = NUMBERS[function], alpha, beta, x.shape[0]
    p.x, p.y = &x[0] if p.size else NULL, &y[0] if p.size else NULL
    return 0


def activate(str function, const real[::1] x, real[::1] y, double alpha=0, double beta=0):
    """y = function(x), by the caller alone: the threads of the pool count subnormal numbers as zero."""
    cdef fl_activation p
    cdef fl_team caller
    fill(&p, function, alpha, beta, x, y)
    caller.size = 1
    with nogil:
        training(real is float).activate(&p, 0, &caller)


cdef class Activate(Stage):
    """y = function(x). Made by `activate_stage`."""

    cdef fl_activation p


def activate_stage(str function, const real[::1] x, real[::1] y, double alpha=0, double beta=0):
    """A stage of `activate`."""
    cdef Activate made = Activate()
    fill(&made.p, function, alpha, beta, x, y)
    made.job, made.argument, made.work = training(real is float).activate, &made.p, made.p.size / 1e3
    made.threads = team_for(made.work)
    made.input, made.output, made.output_bytes = &made.p.x, &made.p.y, made.p.size * sizeof(real)
    made.x, made.y = x, y
    return made


cdef int fill_softmax(fl_softmax* p, const real[:, ::1] x, real[:, ::1] y) except -1:
    p.rows, p.width = x.shape[0], x.shape[1]
    if y.shape[0] != p.rows or y.shape[1] != p.width:
        raise ValueError("softmax: sizes do not agree")
    p.x, p.y = &x[0, 0] if p.rows and p.width else NULL, &y[0, 0] if p.rows and p.width else NULL
    return 0


def softmax(const real[:, ::1] x, real[:, ::1] y):
    """y[r] = exp(x[r]) / sum of exp(x[r])"""
    cdef fl_softmax p
    fill_softmax(&p, x, y)
    if p.x != NULL:
        with nogil:
            run_for(training(real is float).softmax, &p, p.rows * p.width / 1e3)


cdef class Softmax(Stage):
    """y = softmax(x), row by row. Made by `softmax_stage`."""

    cdef fl_softmax p


def softmax_stage(const real[:, ::1] x, real[:, ::1] y):
    """A stage of `softmax`."""
    cdef Softmax made = Softmax()
    fill_softmax(&made.p, x, y)
    if made.p.x == NULL:
        raise ValueError("softmax_stage: expected numbers, got none")
    made.job, made.argument, made.work = training(real is float).softmax, &made.p, made.p.rows * made.p.width / 1e3
    made.threads = team_for(made.work)
    made.input, made.output = &made.p.x, &made.p.y
    made.output_bytes = made.p.rows * made.p.width * sizeof(real)
    made.x, made.y = x, y
    return made


cdef class Sum(Stage):
    """out = x + y. Made by `sum_stage`."""

    cdef fl_sum p


def sum_stage(const real[::1] x, const real[::1] y, real[::1] out):
    """A stage of out = x + y, of which x and y stay where they lie."""
    cdef Sum made = Sum()
    if x.shape[0] != out.shape[0] or y.shape[0] != out.shape[0] or x.shape[0] == 0:
        raise ValueError("sum_stage: sizes do not agree")
    made.p.size, made.p.x, made.p.y, made.p.out = x.shape[0], &x[0], &y[0], &out[0]
    made.job, made.argument, made.work = training(real is float).sum, &made.p, made.p.size / 4e3
    made.threads = team_for(made.work)
    made.output, made.output_bytes = &made.p.out, made.p.size * sizeof(real)
    made.x, made.y = (x, y), out
    return made


cdef class Magnitude(Stage):
    """y = sqrt(a² + b²). Made by `magnitude_stage`."""

    cdef fl_magnitude p


def magnitude_stage(const real[:, ::1] x, real[:, ::1] y):
    """A stage from x (R, 2F) to y (R, F): the root of a² + b², a and b being the first and the second half of a row."""
    cdef Magnitude made = Magnitude()
    made.p.rows, made.p.width = y.shape[0], y.shape[1]
    if x.shape[0] != made.p.rows or x.shape[1] != 2 * made.p.width or 0 in (made.p.rows, made.p.width):
        raise ValueError("magnitude_stage: sizes do not agree")
    made.p.x, made.p.y = &x[0, 0], &y[0, 0]
    made.job, made.argument, made.work = training(real is float).magnitude, &made.p, made.p.rows * made.p.width / 2e3
    made.threads = team_for(made.work)
    made.input, made.output = &made.p.x, &made.p.y
    made.output_bytes = made.p.rows * made.p.width * sizeof(real)
    made.x, made.y = x, y
    return made
