/* What a template needs to know of float; undone by real_end.h. */
#define FL_REAL float
#define FL_BITS uint32_t
#define FL_INT int32_t
#define FL_X(name) name##_f
#define FL_MANTISSA 23
#define FL_ONE 0x3f800000u
#define FL_SIGN 0x80000000u
#define FL_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define FL_LN2_HI 0.693115234375f
#define FL_LN2_LO 3.19461849453e-5f
#define FL_LOG2E 1.44269504088896341f
#define FL_EXP_MIN (-110.0f) /* below it exp is 0 */
#define FL_EXP_MAX 89.0f     /* above it exp is infinite */
#define FL_TANH_MAX 20.0f    /* at 2|x| = 20 tanh rounds to 1 */
#define FL_FLUSH_MIN (-88.0f) /* here exp falls below the least normal number */
#define FL_ABS fabsf
#define FL_COPYSIGN copysignf
#define FL_ERFC erfcf
#define FL_SQRT sqrtf
/* exp(r) = 1 + r + r^2 q(r) on |r| <= ln(2)/2; near-minimax q by Chebyshev interpolation, relative error 8e-9 */
#define FL_Q(r) \
    FL_MADD(FL_MADD(FL_MADD(FL_MADD(0.0013926183587713495f, r, 0.0083631790527225774f), r, \
    0.041666554617204574f), r, 0.16666577f), r, 0.5f)
/* atanh(s) = s + s^3 times this of z = s^2, for s up to 1/3; near-minimax, relative error 4e-10 */
#define FL_ATANH(z) \
    (0.3333333366f + (z) * (0.1999985317f + (z) * (0.1429617900f + (z) * (0.1085328790f + (z) * 0.1161216461f))))
