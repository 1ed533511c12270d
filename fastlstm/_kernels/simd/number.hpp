/* Included once between real_float.h and real_end.h, and once between real_double.h and real_end.h. */

template <> struct Number<FL_REAL> {
    typedef FL_REAL Vec __attribute__((vector_size(FL_BYTES)));
    typedef FL_BITS Bits __attribute__((vector_size(FL_BYTES)));
    typedef FL_INT Signed __attribute__((vector_size(FL_BYTES)));
    /* A Vec in an array of numbers. No variable is one: clang takes a reference to it for one to a Vec, which is aligned. */
    typedef FL_REAL Stored __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
    typedef FL_BITS Unsigned;
    static constexpr int mantissa = FL_MANTISSA, width = 8 * sizeof(FL_REAL);
    static constexpr FL_BITS one = FL_ONE, sign = FL_SIGN;
    static constexpr FL_REAL magic = FL_MAGIC, log2e = FL_LOG2E, ln2_high = FL_LN2_HI, ln2_low = FL_LN2_LO;
    static constexpr FL_REAL tanh_max = FL_TANH_MAX, flush_min = FL_FLUSH_MIN;
    static Vec expm1_terms(Vec r); /* q of exp(r) = 1 + r + r^2 q(r) */
#ifdef FL_LOAD_PART_f
    FL_INLINE static Vec load_part(const FL_REAL *p, int count) { return FL_X(FL_LOAD_PART)(Vec, p, count); }
    FL_INLINE static void store_part(FL_REAL *p, int count, Vec v) { FL_X(FL_STORE_PART)(p, count, v); }
#else
    static Vec load_part(const FL_REAL *p, int count) {
        Vec v = {};
        for (int l = 0; l < count; l++) v[l] = p[l];
        return v;
    }
    static void store_part(FL_REAL *p, int count, Vec v) {
        for (int l = 0; l < count; l++) p[l] = v[l];
    }
#endif
};

FL_INLINE Number<FL_REAL>::Vec multiply_add(Number<FL_REAL>::Vec a, Number<FL_REAL>::Vec b, Number<FL_REAL>::Vec c) {
    return FL_X(FL_MULTIPLY_ADD)(a, b, c);
}
FL_INLINE Number<FL_REAL>::Vec multiply_add(Number<FL_REAL>::Vec a, Number<FL_REAL>::Vec b, FL_REAL c) {
    return multiply_add(a, b, c - Number<FL_REAL>::Vec{});
}
FL_INLINE Number<FL_REAL>::Vec multiply_add(FL_REAL a, Number<FL_REAL>::Vec b, FL_REAL c) {
    return multiply_add(a - Number<FL_REAL>::Vec{}, b, c - Number<FL_REAL>::Vec{});
}
/* c - a b */
FL_INLINE Number<FL_REAL>::Vec multiply_subtract(Number<FL_REAL>::Vec a, Number<FL_REAL>::Vec b, Number<FL_REAL>::Vec c) {
    return FL_X(FL_MULTIPLY_SUBTRACT)(a, b, c);
}

/* Where b is NaN, it is b. */
FL_INLINE Number<FL_REAL>::Vec smaller(Number<FL_REAL>::Vec a, Number<FL_REAL>::Vec b) { return FL_X(FL_MIN)(a, b); }
FL_INLINE Number<FL_REAL>::Vec larger(Number<FL_REAL>::Vec a, Number<FL_REAL>::Vec b) { return FL_X(FL_MAX)(a, b); }

FL_INLINE Number<FL_REAL>::Vec Number<FL_REAL>::expm1_terms(Vec r) { return FL_Q(r); }
