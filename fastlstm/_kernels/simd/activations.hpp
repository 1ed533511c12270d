/* The sigmoid and tanh of vectors. */
#ifndef FASTLSTM_ACTIVATIONS_HPP
#define FASTLSTM_ACTIVATIONS_HPP

#include "vector.hpp"

namespace {

/* An activation as a quotient, so that products of several need fewer divisions. */
template <class Real> struct Quotient {
    Vec<Real> above, below;
};

/* 1 - a^2, the derivative of tanh where it is a */
template <class Real> FL_INLINE Vec<Real> one_minus_square(Vec<Real> a) {
    return multiply_subtract(a, a, set<Real>(1));
}

/* exp(x) = (1 + expm1(r)) 2^n for x = n ln 2 + r (Cody and Waite 1980). Adding `magic` leaves n in the low bits of the
   mantissa, from where it moves to the exponent. Subnormal results are zero, as everywhere in these kernels: 2^n is 0
   where n is one below the least exponent. */
template <class Real> FL_INLINE Vec<Real> reduced_expm1(Vec<Real> x, Vec<Real> &scale) {
    using N = Number<Real>;
    const Vec<Real> shifted = multiply_add(x, set<Real>(N::log2e), N::magic), n = shifted - N::magic;
    const Vec<Real> r = multiply_subtract(n, set<Real>(N::ln2_low), multiply_subtract(n, set<Real>(N::ln2_high), x));
    scale = (Vec<Real>)(((typename N::Bits)shifted << N::mantissa) + N::one);
    return multiply_add(r * r, N::expm1_terms(r), r);
}

/* exp(-|x|), or 1 where x is not negative, over 1 + exp(-|x|) */
template <class Real> FL_INLINE Quotient<Real> sigmoid(Vec<Real> x) {
    using N = Number<Real>;
    using Bits = typename N::Bits;
    const Vec<Real> negated = (Vec<Real>)((Bits)x | N::sign);
    Vec<Real> scale, p = reduced_expm1<Real>(larger(set<Real>(N::flush_min), negated), scale);
    const Vec<Real> e = scale * (1 + p); /* not scale + scale p, whose product would be flushed first where none is fused */
    const Bits negative = (Bits)((typename N::Signed)x >> (N::width - 1));
    return {(Vec<Real>)((negative & (Bits)e) | (~negative & (Bits)set<Real>(1))), 1 + e};
}

/* expm1(2|x|), with the sign of x, over expm1(2|x|) + 2 */
template <class Real> FL_INLINE Quotient<Real> tanh(Vec<Real> x) {
    using N = Number<Real>;
    using Bits = typename N::Bits;
    const Vec<Real> magnitude = (Vec<Real>)((Bits)x & ~N::sign);
    Vec<Real> scale, p = reduced_expm1<Real>(smaller(set<Real>(N::tanh_max), 2 * magnitude), scale);
    const Vec<Real> m = multiply_add(scale, p, scale - 1);
    return {(Vec<Real>)((Bits)m | ((Bits)x & N::sign)), m + 2};
}

}

#endif
