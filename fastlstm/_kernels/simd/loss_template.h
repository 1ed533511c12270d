/* Losses and their gradients. A row whose weight is 0 is not looked at. */

#ifndef FL_SPAN
#define FL_SPAN 256
#define FL_LANES 64
#define FL_MOST_CHUNKS 64
#endif

/* the sum of few numbers of like size: lanes in their own precision, the lanes in double */
static inline double FL_X(total)(const FL_REAL *x, ptrdiff_t n) {
    FL_REAL part[FL_LANES] = {0};
    double sum = 0;
    ptrdiff_t k = 0;
    for (; k + FL_LANES <= n; k += FL_LANES)
        for (int lane = 0; lane < FL_LANES; lane++) part[lane] += x[k + lane];
    if (k)
        for (int lane = 0; lane < FL_LANES; lane++) sum += part[lane];
    for (; k < n; k++) sum += x[k];
    return sum;
}

/* Each of these losses fills dpred, the slopes, from n numbers pred and target, which weigh w, and returns the sum. */
static inline FL_REAL FL_X(weighted)(FL_REAL w, FL_REAL x) { return w != 0 ? w * x : 0; }

static double FL_X(mse)(const FL_REAL *restrict pred, const FL_REAL *restrict target, const FL_REAL *restrict w,
                        FL_REAL *restrict dpred, int n, FL_REAL delta) {
    FL_REAL part[FL_SPAN];
    (void)delta;
    for (int k = 0; k < n; k++) {
        const FL_REAL d = pred[k] - target[k];
        part[k] = FL_X(weighted)(w[k], d * d);
        dpred[k] = FL_X(weighted)(w[k], 2 * d);
    }
    return FL_X(total)(part, n);
}

static double FL_X(mae)(const FL_REAL *restrict pred, const FL_REAL *restrict target, const FL_REAL *restrict w,
                        FL_REAL *restrict dpred, int n, FL_REAL delta) {
    FL_REAL part[FL_SPAN];
    (void)delta;
    for (int k = 0; k < n; k++) {
        const FL_REAL d = pred[k] - target[k];
        part[k] = FL_X(weighted)(w[k], FL_ABS(d));
        dpred[k] = FL_X(weighted)(w[k], (FL_REAL)((d > 0) - (d < 0)));
    }
    return FL_X(total)(part, n);
}

/* Huber 1964 */
static double FL_X(huber)(const FL_REAL *restrict pred, const FL_REAL *restrict target, const FL_REAL *restrict w,
                          FL_REAL *restrict dpred, int n, FL_REAL delta) {
    FL_REAL part[FL_SPAN];
    for (int k = 0; k < n; k++) {
        const FL_REAL d = pred[k] - target[k], size = FL_ABS(d);
        part[k] = FL_X(weighted)(w[k], size <= delta ? d * d / 2 : delta * (size - delta / 2));
        dpred[k] = FL_X(weighted)(w[k], size <= delta ? d : d > 0 ? delta : -delta);
    }
    return FL_X(total)(part, n);
}

/* -t log s(x) - (1 - t) log(1 - s(x)), written so that nothing overflows; log(1 + e) = 2 atanh(e / (2 + e)) */
static double FL_X(sigmoid_cross_entropy)(const FL_REAL *restrict pred, const FL_REAL *restrict target,
                                          const FL_REAL *restrict w, FL_REAL *restrict dpred, int n, FL_REAL delta) {
    FL_REAL part[FL_SPAN];
    (void)delta;
    for (int k = 0; k < n; k++) {
        const FL_REAL x = pred[k], t = target[k], e = FL_X(fl_exp)(-FL_ABS(x)), s = e / (2 + e);
        part[k] = FL_X(weighted)(w[k], (x > 0 ? x : 0) - x * t + 2 * (s + s * s * s * FL_ATANH(s * s)));
        dpred[k] = FL_X(weighted)(w[k], (x < 0 ? e : 1) / (1 + e) - t);
    }
    return FL_X(total)(part, n);
}

static double FL_X(element_rows)(const struct fl_loss *p, ptrdiff_t first, ptrdiff_t last) {
    static double (*const losses[])(const FL_REAL *, const FL_REAL *, const FL_REAL *, FL_REAL *, int, FL_REAL) = {
        FL_X(mse), FL_X(mae), FL_X(huber), FL_X(sigmoid_cross_entropy)};
    const FL_REAL *weight = p->weight, *pred = p->pred, *target = p->target;
    FL_REAL w[FL_SPAN];
    ptrdiff_t row = first, column = 0, end = last * p->width;
    double sum = 0;
    for (ptrdiff_t k = first * p->width; k < end; k += FL_SPAN) {
        int n = end - k < FL_SPAN ? (int)(end - k) : FL_SPAN;
        if (p->width == 1)
            for (int i = 0; i < n; i++) w[i] = (FL_REAL)(weight[k + i] * p->scale);
        else
            for (int i = 0; i < n;) {
                int stop = p->width - column < n - i ? i + (int)(p->width - column) : n;
                FL_REAL own = (FL_REAL)(weight[row] * p->scale);
                column += stop - i;
                if (column == p->width) column = 0, row++;
                while (i < stop) w[i++] = own;
            }
        sum += losses[p->kind](pred + k, target + k, w, (FL_REAL *)p->dpred + k, n, (FL_REAL)p->delta);
    }
    return sum;
}

static FL_REAL FL_X(largest)(const FL_REAL *x, ptrdiff_t n) {
    FL_REAL best[FL_LANES], top = (FL_REAL)(sizeof(FL_REAL) == 4 ? -FLT_MAX : -DBL_MAX);
    ptrdiff_t k = 0;
    for (int lane = 0; lane < FL_LANES; lane++) best[lane] = top;
    for (; k + FL_LANES <= n; k += FL_LANES)
        for (int lane = 0; lane < FL_LANES; lane++) best[lane] = x[k + lane] > best[lane] ? x[k + lane] : best[lane];
    for (int lane = 0; lane < FL_LANES; lane++) top = best[lane] > top ? best[lane] : top;
    for (; k < n; k++) top = x[k] > top ? x[k] : top;
    return top;
}

/* y = exp(x - top), which is not above 1, and 0 where it would be subnormal; a NaN passes */
static double FL_X(exp_below)(const FL_REAL *restrict x, FL_REAL *restrict y, ptrdiff_t n, FL_REAL top) {
    for (ptrdiff_t k = 0; k < n; k++) {
        FL_REAL d = x[k] - top, whole, e;
        d = d < FL_FLUSH_MIN ? FL_FLUSH_MIN : d;
        e = FL_X(fl_reduced_expm1)(d, &whole);
        y[k] = (1 + e) * FL_X(fl_power_of_two)(whole);
    }
    return FL_X(total)(y, n);
}

/* The loss of one row that weighs w. Chunk by chunk, each from its own largest number on, so that memory is read once
   for the exponentials and once to scale them. */
static double FL_X(softmax_row)(const FL_REAL *x, FL_REAL *y, ptrdiff_t width, ptrdiff_t target, double w) {
    FL_REAL tops[FL_MOST_CHUNKS];
    ptrdiff_t chunk = (width + FL_MOST_CHUNKS - 1) / FL_MOST_CHUNKS;
    double sum = 0, top = -HUGE_VAL;
    if (chunk < 1024) chunk = 1024;
    for (ptrdiff_t k = 0, c = 0; k < width; k += chunk, c++) {
        ptrdiff_t n = width - k < chunk ? width - k : chunk;
        tops[c] = FL_X(largest)(x + k, n);
        double part = FL_X(exp_below)(x + k, y + k, n, tops[c]);
        if (tops[c] > top) {
            sum *= exp(top - tops[c]);
            top = tops[c];
        } else {
            part *= exp(tops[c] - top);
        }
        sum += part;
    }
    for (ptrdiff_t k = 0, c = 0; k < width; k += chunk, c++) {
        ptrdiff_t end = width - k < chunk ? width : k + chunk;
        FL_REAL factor = (FL_REAL)(w / sum * exp(tops[c] - top));
        for (ptrdiff_t l = k; l < end; l++) y[l] *= factor;
    }
    y[target] -= (FL_REAL)w;
    return w * (log(sum) + top - x[target]);
}

/* Lin et al. 2017: (1 - P)^gamma times the loss of a softmax; the slope by P comes through the softmax alike */
static double FL_X(focal_row)(const FL_REAL *x, FL_REAL *y, ptrdiff_t width, ptrdiff_t target, double w, double gamma) {
    double entropy = FL_X(softmax_row)(x, y, width, target, w) / w;
    double miss = -expm1(-entropy), power = pow(miss, gamma);
    FL_REAL factor = (FL_REAL)(power + (miss > 0 && miss < 1 ? gamma * (1 - miss) * power / miss * entropy : 0));
    for (ptrdiff_t k = 0; k < width; k++) y[k] *= factor;
    return w * power * entropy;
}

static double FL_X(softmax_rows)(const struct fl_loss *p, ptrdiff_t first, ptrdiff_t last) {
    double sum = 0;
    for (ptrdiff_t row = first; row < last; row++) {
        const double w = ((const FL_REAL *)p->weight)[row] * p->scale;
        const FL_REAL *x = (const FL_REAL *)p->pred + row * p->width;
        FL_REAL *y = (FL_REAL *)p->dpred + row * p->width;
        const ptrdiff_t *target = (const ptrdiff_t *)p->target + row;
        if (w == 0) memset(y, 0, (size_t)p->width * sizeof *y);
        else if (p->kind == FL_FOCAL) sum += FL_X(focal_row)(x, y, p->width, *target, w, p->delta);
        else sum += FL_X(softmax_row)(x, y, p->width, *target, w);
    }
    return sum;
}

static void FL_X(loss)(void *argument, int thread, struct fl_team *team) {
    const struct fl_loss *p = argument;
    ptrdiff_t blocks = (p->rows + p->block - 1) / p->block, end = blocks * (thread + 1) / team->size;
    for (ptrdiff_t b = blocks * thread / team->size; b < end; b++) {
        ptrdiff_t first = b * p->block, last = p->rows - first < p->block ? p->rows : first + p->block;
        p->sums[b] = (p->kind >= FL_QUANTILE              ? FL_X(density_rows)
                      : p->kind >= FL_SOFTMAX_CROSS_ENTROPY ? FL_X(softmax_rows)
                                                            : FL_X(element_rows))(p, first, last);
    }
}
