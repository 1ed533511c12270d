/* Included once for float and once for double by activations.h. */

/* 2^n for a whole number n: adding MAGIC leaves n in the low bits of the mantissa, from where it moves to the
   exponent. */
static inline FL_REAL FL_X(fl_power_of_two)(FL_REAL n) {
    FL_REAL shifted = n + FL_MAGIC;
    FL_BITS bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << FL_MANTISSA) + FL_ONE;
    memcpy(&shifted, &bits, sizeof bits);
    return shifted;
}

/* x = n ln 2 + r with |r| <= ln(2)/2 (Cody and Waite 1980); returns exp(r) - 1 */
static inline FL_REAL FL_X(fl_reduced_expm1)(FL_REAL x, FL_REAL *n) {
    FL_REAL whole = (x * FL_LOG2E + FL_MAGIC) - FL_MAGIC;
    FL_REAL r = (x - whole * FL_LN2_HI) - whole * FL_LN2_LO;
    *n = whole;
    return r + r * r * FL_Q(r);
}

/* exp(x). The scale is applied in two halves so that subnormal results, 0 and infinity come out right. NaN passes:
   the comparisons are written so that a NaN is the value chosen. */
static inline FL_REAL FL_X(fl_exp)(FL_REAL x) {
    FL_REAL n, p, half;
    x = x < FL_EXP_MIN ? FL_EXP_MIN : x;
    x = x > FL_EXP_MAX ? FL_EXP_MAX : x;
    p = FL_X(fl_reduced_expm1)(x, &n);
    half = (n * (FL_REAL)0.5 + FL_MAGIC) - FL_MAGIC;
    return (1 + p) * FL_X(fl_power_of_two)(half) * FL_X(fl_power_of_two)(n - half);
}

/* 1 / (1 + exp(-x)), from e = exp(-|x|) so that nothing overflows and both tails keep their relative precision */
static inline FL_REAL FL_X(fl_sigmoid)(FL_REAL x) {
    FL_REAL e = FL_X(fl_exp)(-FL_ABS(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* tanh(x) = sign(x) m / (m + 2) with m = exp(2|x|) - 1, which keeps its relative precision near 0 */
static inline FL_REAL FL_X(fl_tanh)(FL_REAL x) {
    FL_REAL n, p, scale, m, z = 2 * FL_ABS(x);
    z = z > FL_TANH_MAX ? FL_TANH_MAX : z;
    p = FL_X(fl_reduced_expm1)(z, &n);
    scale = FL_X(fl_power_of_two)(n);
    m = scale * p + (scale - 1);
    return FL_COPYSIGN(m / (m + 2), x);
}
