/* sigmoid, tanh and exp for float and double, written so that a compiler turns a loop over them into vector code:
   no branch, no call, no table. One template for both types; see activations_template.h. */
#ifndef FASTLSTM_ACTIVATIONS_H
#define FASTLSTM_ACTIVATIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp(r) - 1 - r = r^2 q(r) on |r| <= ln(2)/2; near-minimax q by Chebyshev interpolation (relative error 8e-9, 1.3e-17) */
#define FL_Q_float(r) \
    (0.5f + r * (0.16666577f + r * (0.041666554617204574f + r * (0.0083631790527225774f + r * 0.0013926183587713495f))))
#define FL_Q_double(r) \
    (0.5 + r * (0.16666666666666667453 + r * (0.041666666666624127873 + r * (0.0083333333333300618325 \
    + r * (0.0013888888917213716901 + r * (0.00019841269863053616878 + r * (2.4801521295954375131e-5 \
    + r * (2.7557268459997064772e-6 + r * (2.7620088445409748161e-7 + r * 2.5100385495510319078e-8)))))))))

#define FL_REAL float
#define FL_BITS uint32_t
#define FL_NAME(name) fl_##name##_f
#define FL_MANTISSA 23
#define FL_ONE 0x3f800000u
#define FL_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define FL_LN2_HI 0.693115234375f
#define FL_LN2_LO 3.19461849453e-5f
#define FL_LOG2E 1.44269504088896341f
#define FL_EXP_MIN (-110.0f) /* below it exp is 0 */
#define FL_EXP_MAX 89.0f     /* above it exp is infinite */
#define FL_TANH_MAX 20.0f    /* at 2|x| = 20 tanh rounds to 1 */
#define FL_Q FL_Q_float
#define FL_ABS fabsf
#define FL_COPYSIGN copysignf
#include "activations_template.h"

#define FL_REAL double
#define FL_BITS uint64_t
#define FL_NAME(name) fl_##name##_d
#define FL_MANTISSA 52
#define FL_ONE 0x3ff0000000000000u
#define FL_MAGIC 6755399441055744.0 /* 1.5 * 2^52 */
#define FL_LN2_HI 0.6931471803691238
#define FL_LN2_LO 1.908214929270587816144e-10
#define FL_LOG2E 1.4426950408889634074
#define FL_EXP_MIN (-750.0)
#define FL_EXP_MAX 710.0
#define FL_TANH_MAX 40.0
#define FL_Q FL_Q_double
#define FL_ABS fabs
#define FL_COPYSIGN copysign
#include "activations_template.h"

#endif
