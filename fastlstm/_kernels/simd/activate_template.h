/* The activations of arrays, and softmax of rows. x and y may be the same array: what is computed goes to y span by
   span, from an array that overlaps with nothing. Comes after loss_template.h, of which it has `largest` and
   `exp_below`. */

/* exp(x) - 1 for x up to 0, with its relative precision near 0 */
static inline FL_REAL FL_X(expm1_below)(FL_REAL x) {
    FL_REAL n, p, scale;
    x = x < FL_FLUSH_MIN ? FL_FLUSH_MIN : x;
    p = FL_X(fl_reduced_expm1)(x, &n);
    scale = FL_X(fl_power_of_two)(n);
    return scale * p + (scale - 1);
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + u) with u = exp(-|x|), and log(1 + u) = 2 artanh(u / (2 + u)) */
static inline FL_REAL FL_X(softplus)(FL_REAL x) {
    const FL_REAL u = FL_X(fl_exp)(-FL_ABS(x)), s = u / (2 + u);
    return (x < 0 ? 0 : x) + 2 * (s + s * s * s * FL_ATANH(s * s));
}

/* x times the distribution function of the normal distribution, and Hendrycks and Gimpel's approximation to that */
static inline FL_REAL FL_X(gelu)(FL_REAL x) {
    const FL_REAL half = (FL_REAL)0.5, root = (FL_REAL)0.70710678118654752; /* sqrt(1/2) */
    return half * x * FL_ERFC(-root * x);
}
static inline FL_REAL FL_X(gelu_tanh)(FL_REAL x) {
    const FL_REAL half = (FL_REAL)0.5, root = (FL_REAL)0.79788456080286536; /* sqrt(2/pi) */
    return half * x * (1 + FL_X(fl_tanh)(root * (x + (FL_REAL)0.044715 * x * x * x)));
}

/* The functions, with alpha and beta. Comparisons are written so that a NaN passes. */
static inline FL_REAL FL_X(function)(int name, FL_REAL x, FL_REAL a, FL_REAL b) {
    FL_REAL line;
    switch (name) {
    case FL_EXP: return FL_X(fl_exp)(x);
    case FL_SIGMOID: return FL_X(fl_sigmoid)(x);
    case FL_TANH: return FL_X(fl_tanh)(x);
    case FL_RELU: return x < 0 ? 0 : x;
    case FL_HARD_SIGMOID:
        line = a * x + b;
        return line < 0 ? 0 : line > 1 ? 1 : line;
    case FL_SOFTSIGN: return x / (1 + FL_ABS(x));
    case FL_SOFTPLUS: return FL_X(softplus)(x);
    case FL_LEAKY_RELU: return x < 0 ? a * x : x;
    case FL_THRESHOLDED_RELU: return x <= a ? 0 : x;
    case FL_ELU: return x < 0 ? a * FL_X(expm1_below)(x) : x;
    case FL_AFFINE: return a * x + b;
    case FL_SCALED_TANH: return a * FL_X(fl_tanh)(b * x);
    case FL_GELU: return FL_X(gelu)(x);
    case FL_GELU_TANH: return FL_X(gelu_tanh)(x);
    default: return x * FL_X(fl_sigmoid)(x); /* FL_SILU */
    }
}

/* One span of a function that the compiler knows, so that it makes a loop of vectors for each. */
static inline void FL_X(known)(
    int name, const FL_REAL *restrict x, FL_REAL *restrict y, ptrdiff_t n, FL_REAL a, FL_REAL b) {
    for (ptrdiff_t k = 0; k < n; k++) y[k] = FL_X(function)(name, x[k], a, b);
}
static void FL_X(span)(const struct fl_activation *p, const FL_REAL *x, FL_REAL *y, ptrdiff_t n) {
    const FL_REAL a = (FL_REAL)p->alpha, b = (FL_REAL)p->beta;
    switch (p->function) {
    case FL_EXP: FL_X(known)(FL_EXP, x, y, n, a, b); break;
    case FL_SIGMOID: FL_X(known)(FL_SIGMOID, x, y, n, a, b); break;
    case FL_TANH: FL_X(known)(FL_TANH, x, y, n, a, b); break;
    case FL_RELU: FL_X(known)(FL_RELU, x, y, n, a, b); break;
    case FL_HARD_SIGMOID: FL_X(known)(FL_HARD_SIGMOID, x, y, n, a, b); break;
    case FL_SOFTSIGN: FL_X(known)(FL_SOFTSIGN, x, y, n, a, b); break;
    case FL_SOFTPLUS: FL_X(known)(FL_SOFTPLUS, x, y, n, a, b); break;
    case FL_LEAKY_RELU: FL_X(known)(FL_LEAKY_RELU, x, y, n, a, b); break;
    case FL_THRESHOLDED_RELU: FL_X(known)(FL_THRESHOLDED_RELU, x, y, n, a, b); break;
    case FL_ELU: FL_X(known)(FL_ELU, x, y, n, a, b); break;
    case FL_AFFINE: FL_X(known)(FL_AFFINE, x, y, n, a, b); break;
    case FL_SCALED_TANH: FL_X(known)(FL_SCALED_TANH, x, y, n, a, b); break;
    case FL_GELU: FL_X(known)(FL_GELU, x, y, n, a, b); break;
    case FL_GELU_TANH: FL_X(known)(FL_GELU_TANH, x, y, n, a, b); break;
    case FL_SILU: FL_X(known)(FL_SILU, x, y, n, a, b); break;
    }
}

static void FL_X(activate)(void *argument, int thread, struct fl_team *team) {
    const struct fl_activation *p = argument;
    const ptrdiff_t spans = (p->size + FL_SPAN - 1) / FL_SPAN, last = spans * (thread + 1) / team->size;
    FL_REAL part[FL_SPAN];
    for (ptrdiff_t span = spans * thread / team->size; span < last; span++) {
        const ptrdiff_t left = p->size - span * FL_SPAN, n = left < FL_SPAN ? left : FL_SPAN;
        FL_X(span)(p, (const FL_REAL *)p->x + span * FL_SPAN, part, n);
        memcpy((FL_REAL *)p->y + span * FL_SPAN, part, (size_t)n * sizeof *part);
    }
}

/* y = exp(x - top) / sum of exp(x - top), where top is the largest of a row */
static void FL_X(softmax)(void *argument, int thread, struct fl_team *team) {
    const struct fl_softmax *p = argument;
    const ptrdiff_t last = p->rows * (thread + 1) / team->size;
    FL_REAL part[FL_SPAN];
    for (ptrdiff_t row = p->rows * thread / team->size; row < last; row++) {
        const FL_REAL *x = (const FL_REAL *)p->x + row * p->width;
        const FL_REAL top = FL_X(largest)(x, p->width);
        FL_REAL *y = (FL_REAL *)p->y + row * p->width;
        double sum = 0;
        for (ptrdiff_t k = 0; k < p->width; k += FL_SPAN) {
            const ptrdiff_t left = p->width - k, n = left < FL_SPAN ? left : FL_SPAN;
            sum += FL_X(exp_below)(x + k, part, n, top);
            memcpy(y + k, part, (size_t)n * sizeof *part);
        }
        const FL_REAL factor = (FL_REAL)(1 / sum);
        for (ptrdiff_t k = 0; k < p->width; k++) y[k] *= factor;
    }
}

static void FL_X(magnitude)(void *argument, int thread, struct fl_team *team) {
    const struct fl_magnitude *p = argument;
    const ptrdiff_t last = p->rows * (thread + 1) / team->size, n = p->width;
    for (ptrdiff_t row = p->rows * thread / team->size; row < last; row++) {
        const FL_REAL *a = (const FL_REAL *)p->x + row * 2 * n, *b = a + n;
        FL_REAL *restrict y = (FL_REAL *)p->y + row * n;
        for (ptrdiff_t k = 0; k < n; k++) { /* top sqrt(1 + (low / top)^2), which overflows only where it must */
            const FL_REAL u = FL_ABS(a[k]), q = FL_ABS(b[k]), top = u > q ? u : q, part = (u > q ? q : u) / top;
            y[k] = top > 0 ? top * FL_SQRT(1 + part * part) : top;
        }
    }
}
