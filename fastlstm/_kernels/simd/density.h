/* Losses of one target by several outputs, for density_template.h: all in double, whatever the scores are. */

/* log(1 + exp x), and its derivative */
static inline double fl_softplus(double x, double *slope) {
    double e = exp(-fabs(x));
    *slope = (x < 0 ? e : 1) / (1 + e);
    return (x > 0 ? x : 0) + log1p(e);
}

/* log Gamma(x + 1/2) - log Gamma(x) for x above 0, and its derivative: Stirling's series, from x + k >= 10 down to x */
static double fl_log_gamma_step(double x, double *slope) {
    double product = 1, sum = 0;
    for (; x < 10; x++) {
        product *= x / (x + 0.5);
        sum += 0.5 / (x * (x + 0.5));
    }
    double r = 1 / x, z = r * r;
    *slope = sum + r * (0.5 + r * (1.0 / 8 - z * (1.0 / 64 - z * (1.0 / 128 - z * (17.0 / 2048 - z * (31.0 / 2048
           - z * 691.0 / 16384))))));
    return log(product) + 0.5 * log(x) - r * (1.0 / 8 - z * (1.0 / 192 - z * (1.0 / 640 - z * (17.0 / 14336
           - z * (31.0 / 18432 - z * 691.0 / 180224)))));
}

/* Koenker and Bassett 1978: x is the quantile of this level, t - x weighs level where positive, level - 1 elsewhere */
static inline double fl_quantile(double x, double t, double level, double *slope) {
    *slope = t > x ? -level : t < x ? 1 - level : x != x ? x : 0;
    return (t - x) * (t > x ? level : level - 1);
}

/* x = (mean, raw scale); scale = softplus + least */
static inline double fl_gaussian(const double *x, double t, double least, double *slope) {
    double dscale, scale = fl_softplus(x[1], &dscale) + least, z = (t - x[0]) / scale;
    slope[0] = -z / scale;
    slope[1] = (1 - z * z) / scale * dscale;
    return 0.91893853320467274 + log(scale) + z * z / 2;
}

/* x = (mean, raw scale, raw degrees of freedom); scale = softplus + least, degrees = softplus + 2 */
static inline double fl_student_t(const double *x, double t, double least, double *slope) {
    double dscale, ddegrees, dgamma, scale = fl_softplus(x[1], &dscale) + least, nu = fl_softplus(x[2], &ddegrees) + 2;
    double z = (t - x[0]) / scale, square = z * z, tail = log1p(square / nu), pull = (nu + 1) / (nu + square);
    double gamma = fl_log_gamma_step(nu / 2, &dgamma);
    slope[0] = -pull * z / scale;
    slope[1] = (1 - pull * square) / scale * dscale;
    slope[2] = (tail + 1 / nu - dgamma - pull * square / nu) / 2 * ddegrees;
    return 0.5 * log(nu * 3.14159265358979324) - gamma + log(scale) + (nu + 1) / 2 * tail;
}
