/* What a template needs to know of double; undone by real_end.h. */
#define FL_REAL double
#define FL_BITS uint64_t
#define FL_INT int64_t
#define FL_X(name) name##_d
#define FL_MANTISSA 52
#define FL_ONE 0x3ff0000000000000u
#define FL_SIGN 0x8000000000000000u
#define FL_MAGIC 6755399441055744.0 /* 1.5 * 2^52 */
#define FL_LN2_HI 0.6931471803691238
#define FL_LN2_LO 1.908214929270587816144e-10
#define FL_LOG2E 1.4426950408889634074
#define FL_EXP_MIN (-750.0) /* below it exp is 0 */
#define FL_EXP_MAX 710.0    /* above it exp is infinite */
#define FL_TANH_MAX 40.0    /* at 2|x| = 40 tanh rounds to 1 */
#define FL_FLUSH_MIN (-709.1) /* here exp falls below the least normal number */
#define FL_ABS fabs
#define FL_COPYSIGN copysign
#define FL_ERFC erfc
#define FL_SQRT sqrt
/* exp(r) = 1 + r + r^2 q(r) on |r| <= ln(2)/2; near-minimax q by Chebyshev interpolation, relative error 1.3e-17 */
#define FL_Q(r) \
    FL_MADD(FL_MADD(FL_MADD(FL_MADD(FL_MADD(FL_MADD(FL_MADD(FL_MADD(FL_MADD(2.5100385495510319078e-8, r, \
    2.7620088445409748161e-7), r, 2.7557268459997064772e-6), r, 2.4801521295954375131e-5), r, \
    0.00019841269863053616878), r, 0.0013888888917213716901), r, 0.0083333333333300618325), r, \
    0.041666666666624127873), r, 0.16666666666666667453), r, 0.5)
/* atanh(s) = s + s^3 times this of z = s^2, for s up to 1/3; near-minimax, relative error 5.02e-18 */
#define FL_ATANH(z) \
    (0.33333333333333331 + (z) * (0.20000000000007292 + (z) * (0.14285714283554379 + (z) * (0.11111111358713932 \
    + (z) * (0.090908947180664293 + (z) * (0.076927850324793115 + (z) * (0.066570721048274675 \
    + (z) * (0.060005364047953563 + (z) * (0.044003692430723371 + (z) * 0.080820228059717655)))))))))
