/* The functions that a cell with options may have for its gates, its candidate and its output, and their slopes. */
#ifndef FASTLSTM_FUNCTIONS_HPP
#define FASTLSTM_FUNCTIONS_HPP

#include "activations.hpp"
#include "table.h"

namespace {

/* a where the bits of `where` are set, else b */
template <class Real> FL_INLINE Vec<Real> choose(typename Number<Real>::Bits where, Vec<Real> a, Vec<Real> b) {
    using Bits = typename Number<Real>::Bits;
    return (Vec<Real>)((where & (Bits)a) | (~where & (Bits)b));
}
template <class Real> FL_INLINE Vec<Real> where_positive(Vec<Real> x, Vec<Real> a, Vec<Real> b) {
    return choose<Real>((typename Number<Real>::Bits)(x > 0), a, b);
}

/* exp(x) - 1 for x up to 0 */
template <class Real> FL_INLINE Vec<Real> expm1_of_negative(Vec<Real> x) {
    Vec<Real> scale, p = reduced_expm1<Real>(larger(set<Real>(Number<Real>::flush_min), smaller(Vec<Real>{}, x)), scale);
    return multiply_add(scale, p, scale - 1);
}

/* exp(x) for x up to 0 */
template <class Real> FL_INLINE Vec<Real> exp_of_negative(Vec<Real> x) {
    Vec<Real> scale, p = reduced_expm1<Real>(larger(set<Real>(Number<Real>::flush_min), smaller(Vec<Real>{}, x)), scale);
    return scale * (1 + p);
}

/* log(1 + u) for u from 0 to 1: 2 artanh(s) with s = u / (2 + u), up to 1/3, by its series */
template <class Real> FL_INLINE Vec<Real> log1p_of_part(Vec<Real> u) {
    constexpr int terms = sizeof(Real) == 4 ? 8 : 17;
    const Vec<Real> s = u / (2 + u), square = s * s;
    Vec<Real> sum = set<Real>((Real)1 / (2 * terms - 1));
    for (int k = terms - 2; k >= 0; k--) sum = multiply_add(sum, square, (Real)1 / (Real)(2 * k + 1));
    return 2 * s * sum;
}

/* log(1 + exp(x)) */
template <class Real> FL_INLINE Vec<Real> softplus(Vec<Real> x) {
    const Vec<Real> below = smaller(x, -x);
    return larger(Vec<Real>{}, x) + log1p_of_part<Real>(exp_of_negative<Real>(below));
}

/* Those that are rarely used. */
template <class Real> __attribute__((noinline)) Vec<Real> other_function(const fl_function &f, Vec<Real> x) {
    const Vec<Real> zero = {}, one = set<Real>(1), alpha = set<Real>((Real)f.alpha), beta = set<Real>((Real)f.beta);
    switch (f.kind) {
    case FL_F_RELU: return larger(zero, x);
    case FL_F_HARD_SIGMOID: return smaller(one, larger(zero, multiply_add(alpha, x, beta))); /* 0 to 1 */
    case FL_F_SOFTSIGN: return x / (1 + where_positive<Real>(x, x, -x));
    case FL_F_SOFTPLUS: return softplus<Real>(x);
    case FL_F_LEAKY_RELU: return where_positive<Real>(x, x, alpha * x);
    case FL_F_THRESHOLDED_RELU: return choose<Real>((typename Number<Real>::Bits)(x <= alpha), zero, x);
    case FL_F_ELU: return where_positive<Real>(x, x, alpha * expm1_of_negative<Real>(x));
    case FL_F_AFFINE: return multiply_add(alpha, x, beta);
    default: {
        const Quotient<Real> s = tanh<Real>(beta * x); /* FL_F_SCALED_TANH */
        return alpha * (s.above / s.below);
    }
    }
}

/* The slope of the same at x. */
template <class Real> __attribute__((noinline)) Vec<Real> other_slope(const fl_function &f, Vec<Real> x) {
    const Vec<Real> zero = {}, one = set<Real>(1), alpha = set<Real>((Real)f.alpha), beta = set<Real>((Real)f.beta);
    switch (f.kind) {
    case FL_F_RELU: return where_positive<Real>(x, one, zero);
    case FL_F_HARD_SIGMOID: {
        const Vec<Real> line = multiply_add(alpha, x, beta);
        return where_positive<Real>(line, where_positive<Real>(one - line, alpha, zero), zero);
    }
    case FL_F_SOFTSIGN: {
        const Vec<Real> below = 1 + where_positive<Real>(x, x, -x);
        return one / below / below; /* below squared may be infinite */
    }
    case FL_F_SOFTPLUS: {
        const Quotient<Real> s = sigmoid<Real>(x);
        return s.above / s.below;
    }
    case FL_F_LEAKY_RELU: return where_positive<Real>(x, one, alpha);
    case FL_F_THRESHOLDED_RELU: return choose<Real>((typename Number<Real>::Bits)(x <= alpha), zero, one);
    case FL_F_ELU: return where_positive<Real>(x, one, alpha * (1 + expm1_of_negative<Real>(x)));
    case FL_F_AFFINE: return alpha;
    default: {
        const Quotient<Real> s = tanh<Real>(beta * x);
        return alpha * beta * one_minus_square<Real>(s.above / s.below);
    }
    }
}

template <class Real> FL_INLINE Vec<Real> apply(const fl_function &f, Vec<Real> x) {
    if (f.kind == FL_F_SIGMOID) {
        const Quotient<Real> s = sigmoid<Real>(x);
        return s.above / s.below;
    }
    if (f.kind == FL_F_TANH) {
        const Quotient<Real> s = tanh<Real>(x);
        return s.above / s.below;
    }
    return other_function<Real>(f, x);
}

/* The slope at x, where the function is y. */
template <class Real> FL_INLINE Vec<Real> slope(const fl_function &f, Vec<Real> x, Vec<Real> y) {
    if (f.kind == FL_F_SIGMOID) return y * (1 - y);
    if (f.kind == FL_F_TANH) return one_minus_square<Real>(y);
    return other_slope<Real>(f, x);
}

/* x from -most to most, and a gradient that passes where x was not clipped. */
template <class Real> FL_INLINE Vec<Real> clip(Vec<Real> x, double most) {
    return larger(set<Real>((Real)-most), smaller(set<Real>((Real)most), x));
}
template <class Real> FL_INLINE Vec<Real> pass_clip(Vec<Real> gradient, Vec<Real> x, double most) {
    using Bits = typename Number<Real>::Bits;
    return (Vec<Real>)((Bits)gradient & (Bits)(x <= (Real)most) & (Bits)(x >= (Real)-most));
}

/* The gradient by a of f(clip(a)), whose value is y, from that by y. */
template <class Real> FL_INLINE Vec<Real> back(const fl_function &f, Vec<Real> dy, Vec<Real> a, Vec<Real> y, double most) {
    return pass_clip<Real>(dy * slope<Real>(f, a, y), a, most);
}

/* What stays as it was with z, and becomes `after` with 1 - z; exact where z is 0 or 1. */
template <class Real> FL_INLINE Vec<Real> zone(Vec<Real> z, Vec<Real> before, Vec<Real> after) {
    return multiply_add(z, before, (1 - z) * after);
}

}

#endif
