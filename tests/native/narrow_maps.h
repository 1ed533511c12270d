/* Affine maps on weights in the narrow formats, against plain loops in double on what the formats make of the numbers;
   a row has the same bits alone, and with any number of threads. */
#ifndef FASTLSTM_NARROW_MAPS_H
#define FASTLSTM_NARROW_MAPS_H

#include "formats.h"

#define NARROW_TOLERANCE 4e-6 /* times the sum of the sizes of what is added up */

/* y = x w^T + b; the rows of x and of y lie one number apart. */
struct map {
    ptrdiff_t m, n, k;
    double *x, *w, *b; /* (m, k), (n, k), (n) */
};
enum { APART = 1 };

static struct map map_of(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k) {
    return (struct map){m, n, k, numbers(m * k, 1), numbers(n * k, 1), numbers(n, 1)};
}

struct packed {
    const void *panels, *bias;
};
static struct packed packed_of(const struct narrow *as, const struct map *q) {
    const ptrdiff_t lanes = as->kernels->bytes / (ptrdiff_t)sizeof(float), width = (q->n + lanes - 1) / lanes * lanes;
    void *panels = garbage(panel_bytes(as->format, width, q->k)), *bias = garbage(width * (ptrdiff_t)sizeof(float));
    as->format->pack_matrix(panels, bias, copy_float(q->w, q->n * q->k), copy_float(q->b, q->n), q->n, q->k);
    return (struct packed){panels, bias};
}

/* y of all rows, of which only some are written. */
static float *map_rows(const struct narrow *as, const struct map *q, const struct packed *w, ptrdiff_t first,
                       ptrdiff_t rows, int threads) {
    const ptrdiff_t x_row = q->k + APART, y_row = q->n + APART;
    float *x = wide_float(q->x, q->m, q->k, x_row), *y = filled_float(q->m * y_row, BEFORE);
    struct fl_affine p = {.m = rows, .n = q->n, .k = q->k, .x_row = x_row, .y_row = y_row, .x = x + first * x_row,
                          .panels = w->panels, .bias = w->bias, .y = y + first * y_row};
    p.rounded = garbage(threads * FL_HELD_ROWS * row_inputs(as->format, q->k) * (ptrdiff_t)sizeof(uint32_t));
    fl_run(as->format->affine, &p, threads, FL_WORTH_WAKING);
    return y;
}

/* The largest error in parts of what is allowed. Sums that may be beyond float's range may be anything, and a number
   below its least normal one may count as zero. */
static double map_error(const struct narrow *as, const struct map *q, const float *y) {
    const double most = 1e38, least = 1.2e-38;
    const double *x = rounded(q->n > 1 ? as->inputs : to_itself, q->x, q->m, q->k);
    const double *w = rounded(q->n > 1 ? as->weights : to_itself, q->w, q->n, q->k);
    double worst = 0;
    for (ptrdiff_t i = 0; i < q->m; i++) {
        for (ptrdiff_t j = 0; j < q->n; j++) {
            double sum = q->b[j], size = fabs(sum), lost = 0;
            for (ptrdiff_t l = 0; l < q->k; l++) {
                const double a = x[i * q->k + l], b = w[j * q->k + l];
                sum += a * b;
                size += fabs(a * b);
                lost += (fabs(a) + fabs(b)) * least;
            }
            const double off = fabs(y[i * (q->n + APART) + j] - sum) / (size * NARROW_TOLERANCE + lost + least);
            if (size < most && !(off <= worst)) worst = isnan(off) ? INFINITY : off;
        }
        if (y[i * (q->n + APART) + q->n] != BEFORE) worst = INFINITY;
    }
    return worst;
}

static int same_row(const struct map *q, const float *a, const float *b, ptrdiff_t i) {
    const ptrdiff_t y_row = q->n + APART;
    return !memcmp(a + i * y_row, b + i * y_row, (size_t)y_row * sizeof *a);
}

/* A map by some threads: its values, and the bits of each row beside those alone; y is what has been found. */
static double map_in_all_ways(const struct narrow *as, const struct map *q, const float **y) {
    const struct packed w = packed_of(as, q);
    const float *first = map_rows(as, q, &w, 0, q->m, 1);
    double worst = map_error(as, q, first);
    for (int threads = 2; threads <= 4; threads++) {
        const float *other = map_rows(as, q, &w, 0, q->m, threads);
        for (ptrdiff_t i = 0; i < q->m; i++)
            if (!same_row(q, first, other, i)) worst = INFINITY;
    }
    for (ptrdiff_t i = 0; i < q->m; i += 1 + q->m / 16) {
        const size_t here = held_count;
        if (!same_row(q, first, map_rows(as, q, &w, i, 1, 1), i)) worst = INFINITY;
        give_back(here);
    }
    if (!(worst < 1))
        printf("%s, affine map of m %td, n %td, k %td: error %g\n", as->name, q->m, q->n, q->k, worst);
    if (y) *y = first;
    return worst;
}

/* Odd sizes, among them the single column, which stays as it is, and more rows than are rounded at a time. */
static double maps(const struct narrow *as) {
    static const ptrdiff_t columns[] = {1, 2, 3, 17, 33, 70}, depths[] = {1, 2, 3, 4, 5, 17, 33, 130};
    static const ptrdiff_t rows[] = {1, 2, 5, 7, 13, 2 * FL_HELD_ROWS + 11};
    double worst = 0;
    for (size_t n = 0; n < COUNT(columns); n++)
        for (size_t k = 0; k < COUNT(depths); k++)
            for (size_t m = 0; m < COUNT(rows); m++) {
                const size_t before = held_count;
                if (rows[m] > FL_HELD_ROWS && (n + k) % 4) continue;
                const struct map q = map_of(rows[m], columns[n], depths[k]);
                worst = fmax(worst, map_in_all_ways(as, &q, NULL));
                give_back(before);
            }
    return worst;
}

#endif
