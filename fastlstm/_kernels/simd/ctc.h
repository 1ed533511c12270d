/* Sums of probabilities by their logarithms, for ctc_template.h: always double, whatever the scores are. */
#include <stddef.h>

#include "real_double.h"

#define FL_NEVER (-1e30) /* log 0: finite, so that the difference of two is no NaN */

/* exp(x) for x up to 0, as exp_below */
static inline double fl_exp_negative(double x) {
    double whole, e;
    x = x < FL_FLUSH_MIN ? FL_FLUSH_MIN : x;
    e = fl_reduced_expm1_d(x, &whole);
    return (1 + e) * fl_power_of_two_d(whole);
}

/* log(exp a + exp b + exp c) = top + log(1 + z), with log(1 + z) = 2 atanh(z / (2 + z)), or ln 2 more than that of
   half */
static inline double fl_log_add(double a, double b, double c) {
    double high = a > b ? a : b, low = a > b ? b : a, top = c > high ? c : high, middle = c > high ? high : c;
    double z = fl_exp_negative(low - top) + fl_exp_negative(middle - top);
    double s = (z - (z > 0.5 ? 1.0 : 0.0)) / (z + (z > 0.5 ? 3.0 : 2.0));
    return top + ((z > 0.5 ? 0.69314718055994531 : 0.0) + 2 * (s + s * s * s * FL_ATANH(s * s)));
}

/* out[s] = log(exp a[s] + exp b[s] + exp(c[s] + closed[s])) + emission[s] */
static void fl_log_add_rows(double *restrict out, const double *a, const double *b, const double *c,
                            const double *restrict closed, const double *restrict emission, ptrdiff_t n) {
    for (ptrdiff_t s = 0; s < n; s++) out[s] = fl_log_add(a[s], b[s], c[s] + closed[s]) + emission[s];
}

/* p[s] = exp(a[s] + b[s] - total) */
static void fl_occupation(double *restrict p, const double *restrict a, const double *restrict b, double total,
                          ptrdiff_t n) {
    for (ptrdiff_t s = 0; s < n; s++) p[s] = fl_exp_negative(a[s] + b[s] - total);
}

#include "real_end.h"
