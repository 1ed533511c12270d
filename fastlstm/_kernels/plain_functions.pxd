"""The functions of a cell with options on the plain path, and their slopes. They are those of simd/functions.hpp."""

from libc.math cimport exp, expm1, fabs, log1p

from fastlstm._kernels.cpu cimport (
    FL_F_AFFINE,
    FL_F_ELU,
    FL_F_HARD_SIGMOID,
    FL_F_LEAKY_RELU,
    FL_F_RELU,
    FL_F_SIGMOID,
    FL_F_SOFTPLUS,
    FL_F_SOFTSIGN,
    FL_F_TANH,
    FL_F_THRESHOLDED_RELU,
    fl_function,
    fl_masks,
    fl_options,
)
from fastlstm._kernels.real cimport real, sigmoid, tanh


cdef inline real apply(const fl_function* f, real x) noexcept nogil:
    cdef real alpha = <real>f.alpha, beta = <real>f.beta
    if f.kind == FL_F_SIGMOID:
        return sigmoid(x)
    if f.kind == FL_F_TANH:
        return tanh(x)
    if f.kind == FL_F_RELU:
        return x if not x <= 0 else 0
    if f.kind == FL_F_HARD_SIGMOID:
        return clip(alpha * x + beta, 0, 1)
    if f.kind == FL_F_SOFTSIGN:
        return x / (1 + <real>fabs(x))
    if f.kind == FL_F_SOFTPLUS:
        return (x if x > 0 else 0) + <real>log1p(exp(-fabs(x)))
    if f.kind == FL_F_LEAKY_RELU:
        return x if x > 0 else alpha * x
    if f.kind == FL_F_THRESHOLDED_RELU:
        return 0 if x <= alpha else x
    if f.kind == FL_F_ELU:
        return x if x > 0 else alpha * <real>expm1(x)
    if f.kind == FL_F_AFFINE:
        return alpha * x + beta
    return alpha * tanh(beta * x)  # FL_F_SCALED_TANH


# The slope at x, where the function is y.
cdef inline real slope(const fl_function* f, real x, real y) noexcept nogil:
    cdef real alpha = <real>f.alpha, beta = <real>f.beta, other
    if f.kind == FL_F_SIGMOID:
        return y * (1 - y)
    if f.kind == FL_F_TANH:
        return 1 - y * y
    if f.kind == FL_F_RELU:
        return x > 0
    if f.kind == FL_F_HARD_SIGMOID:
        return alpha if 0 < y < 1 else 0
    if f.kind == FL_F_SOFTSIGN:
        other = 1 + <real>fabs(x)
        return 1 / other / other
    if f.kind == FL_F_SOFTPLUS:
        return sigmoid(x)
    if f.kind == FL_F_LEAKY_RELU:
        return 1 if x > 0 else alpha
    if f.kind == FL_F_THRESHOLDED_RELU:
        return 0 if x <= alpha else 1
    if f.kind == FL_F_ELU:
        return 1 if x > 0 else alpha * <real>exp(x)
    if f.kind == FL_F_AFFINE:
        return alpha
    other = tanh(beta * x)  # FL_F_SCALED_TANH
    return alpha * beta * (1 - other * other)


cdef inline real clip(real x, real low, real high) noexcept nogil:
    return low if x < low else high if x > high else x


# A gradient by clip(x, -most, most) as one by x.
cdef inline real pass_clip(real gradient, real x, double most) noexcept nogil:
    return gradient if -<real>most <= x <= <real>most else 0


# What stays of a number of h, and of c, as it was: 0 or 1 by a mask, or the mean.
cdef inline double stays_h(const fl_options* o, const fl_masks* masks, Py_ssize_t at) noexcept nogil:
    return o.zone_h if masks == NULL or masks.zone_h == NULL else masks.zone_h[at]


cdef inline double stays_c(const fl_options* o, const fl_masks* masks, Py_ssize_t at) noexcept nogil:
    return o.zone_c if masks == NULL or masks.zone_c == NULL else masks.zone_c[at]


# The factor of a number of the candidate.
cdef inline double factor(const fl_options* o, const fl_masks* masks, Py_ssize_t at) noexcept nogil:
    return 1 if masks == NULL or masks.candidate == NULL else (1 - masks.candidate[at]) * o.candidate_scale
