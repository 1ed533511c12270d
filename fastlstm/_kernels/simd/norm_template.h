/* Rows normalised to a mean of 0 and a variance of 1 (Ba et al. 2016), and the gradient:

       n = (x - mean) scale     scale = 1 / sqrt(variance + eps)     y = n weight + bias

   A row is one thread's, and its sums are added up in lanes, in an order that its width alone decides. */

#ifndef FL_NORM_LANES
#define FL_NORM_LANES 16
#endif

/* the sum of x - shift, or of its squares */
static inline FL_REAL FL_X(moment)(const FL_REAL *x, FL_REAL shift, ptrdiff_t n, int squared) {
    FL_REAL part[FL_NORM_LANES] = {0}, total = 0;
    ptrdiff_t j = 0;
    for (; j + FL_NORM_LANES <= n; j += FL_NORM_LANES)
        for (int lane = 0; lane < FL_NORM_LANES; lane++) {
            FL_REAL d = x[j + lane] - shift;
            part[lane] += squared ? d * d : d;
        }
    for (int lane = 0; lane < FL_NORM_LANES; lane++) total += part[lane];
    for (; j < n; j++) total += squared ? (x[j] - shift) * (x[j] - shift) : x[j] - shift;
    return total;
}

static void FL_X(norm_row)(const struct fl_norm *p, ptrdiff_t row) {
    const ptrdiff_t n = p->width;
    const FL_REAL *restrict x = (const FL_REAL *)p->x + row * p->x_row;
    const FL_REAL *restrict weight = p->weight, *restrict bias = p->bias;
    FL_REAL *restrict y = (FL_REAL *)p->y + row * n;
    FL_REAL mean = FL_X(moment)(x, 0, n, 0) / n;
    mean += FL_X(moment)(x, mean, n, 0) / n; /* what the first sum has lost by rounding */
    const FL_REAL scale = (FL_REAL)(1 / sqrt(FL_X(moment)(x, mean, n, 1) / n + p->eps));
    for (ptrdiff_t j = 0; j < n; j++) y[j] = (x[j] - mean) * scale * weight[j] + bias[j];
    ((FL_REAL *)p->mean)[row] = mean;
    ((FL_REAL *)p->scale)[row] = scale;
}

static void FL_X(norm)(void *argument, int thread, struct fl_team *team) {
    const struct fl_norm *p = argument;
    const ptrdiff_t last = p->rows * (thread + 1) / team->size;
    for (ptrdiff_t row = p->rows * thread / team->size; row < last; row++) FL_X(norm_row)(p, row);
}

/* dn = dy weight     dx = scale (dn - mean of dn - n mean of dn n) */
static void FL_X(norm_dx)(FL_REAL *restrict dx, const FL_REAL *restrict dy, const FL_REAL *restrict weight,
                          const FL_REAL *restrict x, FL_REAL mean, FL_REAL scale, ptrdiff_t n) {
    FL_REAL part[FL_NORM_LANES] = {0}, part_along[FL_NORM_LANES] = {0}, sum = 0, along = 0;
    ptrdiff_t j = 0;
    for (; j + FL_NORM_LANES <= n; j += FL_NORM_LANES)
        for (int lane = 0; lane < FL_NORM_LANES; lane++) {
            FL_REAL dn = dy[j + lane] * weight[j + lane];
            part[lane] += dn;
            part_along[lane] += dn * ((x[j + lane] - mean) * scale);
        }
    for (int lane = 0; lane < FL_NORM_LANES; lane++) sum += part[lane], along += part_along[lane];
    for (; j < n; j++) {
        FL_REAL dn = dy[j] * weight[j];
        sum += dn;
        along += dn * ((x[j] - mean) * scale);
    }
    sum /= n, along /= n;
    for (j = 0; j < n; j++) dx[j] = scale * (dy[j] * weight[j] - sum - (x[j] - mean) * scale * along);
}

/* Each block of rows has sums of dy n and of dy of its own, so that they do not depend on the number of threads. */
static void FL_X(norm_block)(const struct fl_norm *p, ptrdiff_t block) {
    const ptrdiff_t n = p->width, end = (block + 1) * p->block, last = end < p->rows ? end : p->rows;
    FL_REAL *restrict dweight = (FL_REAL *)p->sums + 2 * block * n, *restrict dbias = dweight + n;
    memset(dweight, 0, 2 * (size_t)n * sizeof *dweight);
    for (ptrdiff_t row = block * p->block; row < last; row++) {
        const FL_REAL *restrict x = (const FL_REAL *)p->x + row * p->x_row;
        const FL_REAL *restrict dy = (const FL_REAL *)p->dy + row * n;
        const FL_REAL mean = ((const FL_REAL *)p->mean)[row], scale = ((const FL_REAL *)p->scale)[row];
        if (p->dx) FL_X(norm_dx)((FL_REAL *)p->dx + row * n, dy, p->weight, x, mean, scale, n);
        for (ptrdiff_t j = 0; j < n; j++) dweight[j] += dy[j] * ((x[j] - mean) * scale);
        for (ptrdiff_t j = 0; j < n; j++) dbias[j] += dy[j];
    }
}

static void FL_X(norm_backward)(void *argument, int thread, struct fl_team *team) {
    const struct fl_norm *p = argument;
    const ptrdiff_t blocks = (p->rows + p->block - 1) / p->block, last = blocks * (thread + 1) / team->size;
    for (ptrdiff_t block = blocks * thread / team->size; block < last; block++) FL_X(norm_block)(p, block);
}
