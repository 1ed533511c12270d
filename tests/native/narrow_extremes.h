/* Numbers at the ends of what there is, with weights in the narrow formats: NaN and infinity in one row or one unit,
   zeros, the smallest and the largest. */
#ifndef FASTLSTM_NARROW_EXTREMES_H
#define FASTLSTM_NARROW_EXTREMES_H

#include "narrow_cells.h"
#include "narrow_maps.h"

static const double no_numbers[] = {NAN, INFINITY, -INFINITY};
static const double sizes[] = {1e-38, 1e-30, 1, 1e30};

static void scale(double *x, double factor, ptrdiff_t count) { /* and to what a float can hold */
    for (ptrdiff_t k = 0; k < count; k++) x[k] = (float)(x[k] * factor);
}

static double wrong(const struct narrow *as, const char *what, const char *of) {
    printf("%s: %s of %s\n", as->name, what, of);
    return INFINITY;
}

/* No number in one row of x, or in one unit's weights: what comes of it is no number, and all else is as before. */
static double poisoned_map(const struct narrow *as, ptrdiff_t n, ptrdiff_t k, double poison) {
    enum { M = 5 };
    const struct map q = map_of(M, n, k);
    const struct packed w = packed_of(as, &q);
    const ptrdiff_t row = 2, unit = n / 2, y_row = n + APART;
    double worst = 0, *const x = q.x + row * k + k / 3, *const weight = q.w + unit * k + k / 3, kept = *x;
    const float *clean = map_rows(as, &q, &w, 0, M, 1);
    *x = poison;
    for (int threads = 1; threads <= 3; threads += 2) {
        const float *y = map_rows(as, &q, &w, 0, M, threads);
        for (ptrdiff_t i = 0; i < M; i++)
            if (i != row && !same_row(&q, clean, y, i)) worst = wrong(as, "others' bits", "a poisoned row");
        for (ptrdiff_t j = 0; j < n; j++)
            if (isfinite(y[row * y_row + j])) worst = wrong(as, "a finite number", "a poisoned row");
    }
    *x = kept;
    *weight = poison;
    const struct packed bad = packed_of(as, &q);
    const float *y = map_rows(as, &q, &bad, 0, M, 1);
    for (ptrdiff_t k = 0; k < M * y_row; k++)
        if (k % y_row == unit ? isfinite(y[k]) != 0 : memcmp(y + k, clean + k, sizeof *y) != 0)
            worst = wrong(as, k % y_row == unit ? "a finite number" : "others' bits", "a poisoned unit");
    return worst;
}

/* Rows of zeros, units of zeros, and no bias: what is left is exactly the bias. */
static double empty_map(const struct narrow *as, ptrdiff_t n, ptrdiff_t k) {
    enum { M = 4 };
    const struct map q = map_of(M, n, k);
    const float *y, *bias = copy_float(q.b, n);
    scale(q.x + k, 0, k); /* row 1 */
    scale(q.w + (n - 1) * k, 0, k);
    double worst = map_in_all_ways(as, &q, &y);
    for (ptrdiff_t i = 0; i < M; i++)
        for (ptrdiff_t j = 0; j < n; j++)
            if ((i == 1 || j == n - 1) && y[i * (n + APART) + j] != bias[j]) worst = wrong(as, "no bias", "zeros");
    return worst;
}

static double extreme_maps(const struct narrow *as) {
    static const ptrdiff_t columns[] = {2, 17, 70}, depths[] = {1, 3, 21, 40};
    double worst = 0;
    for (size_t n = 0; n < COUNT(columns); n++)
        for (size_t d = 0; d < COUNT(depths); d++) {
            const size_t before = held_count;
            for (size_t p = 0; p < COUNT(no_numbers); p++)
                worst = fmax(worst, poisoned_map(as, columns[n], depths[d], no_numbers[p]));
            worst = fmax(worst, empty_map(as, columns[n], depths[d]));
            for (size_t s = 0; s < COUNT(sizes) * COUNT(sizes); s++) {
                const struct map q = map_of(3, columns[n], depths[d]);
                scale(q.x, sizes[s % COUNT(sizes)], depths[d] * 2); /* but the last row */
                scale(q.w, sizes[s / COUNT(sizes)], depths[d] * (columns[n] - 1));
                worst = fmax(worst, map_in_all_ways(as, &q, NULL));
            }
            give_back(before);
        }
    return worst;
}

/* Whether y has the bits of `clean` but in one row from step `from` on, which is NaN if that `spreads`. */
static double beside_nan(const struct narrow *as, const struct fl_cell *cell, const struct problem *q,
                         const float *clean, const float *y, ptrdiff_t row, ptrdiff_t from, int spreads) {
    double worst = 0;
    for (ptrdiff_t n = 0; n < q->N; n++)
        for (ptrdiff_t t = 0; t < q->lengths[n]; t++) {
            const ptrdiff_t at = at_step(q, n, t) * q->Y + COLUMN;
            if (n != row || t < from) {
                if (memcmp(y + at, clean + at, (size_t)q->H * sizeof *y)) worst = wrong(as, "others' bits", cell->name);
            } else
                for (ptrdiff_t j = 0; j < q->H; j++)
                    if (spreads && !isnan(y[at + j])) worst = wrong(as, "a number from none", cell->name);
        }
    return worst;
}

/* No number in one row's x, or in its first state. What infinity comes to is the cell's affair, unless it makes the
   scale of the row, and so all of it, NaN. */
static double poisoned_cell(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t I, ptrdiff_t H, int ragged) {
    enum { N = 5, T = 3 };
    const struct problem q = posed(plain_of(cell), N, T, I, H, (struct kind){ragged, 0, 0, 1});
    static const struct way ways[] = {{N, T, 1, ROWS, 0, 0}, {N, T, 3, ROWS, 0, 0}, {N, 1, 3, UNITS, 0, 0}};
    int same = 1;
    double worst = 0;
    const float *clean = passes(as, cell, &q, ways, &same).y;
    for (size_t p = 0; p < COUNT(no_numbers); p++)
        for (size_t k = 0; k < COUNT(ways); k++) {
            const size_t here = held_count;
            const int spreads = isnan(no_numbers[p]) || as->format->ends;
            double *const x = q.x + at_step(&q, 2, 1) * I + I / 2, *const h = q.h0 + 2 * H + H / 2;
            const double of_x = *x, of_h = *h;
            *x = no_numbers[p];
            const float *y = passes(as, cell, &q, ways + k, &same).y;
            worst = fmax(worst, beside_nan(as, cell, &q, clean, y, 2, 1, spreads));
            *x = of_x;
            *h = no_numbers[p];
            y = passes(as, cell, &q, ways + k, &same).y;
            worst = fmax(worst, beside_nan(as, cell, &q, clean, y, 2, 0, spreads));
            *h = of_h;
            give_back(here);
        }
    return worst;
}

/* Factors of x and of the weights. Where sums of large numbers may cancel out, it is only asked that a bounded cell
   stays finite, and that bits do not depend on the threads. */
static double scaled_cell(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t I, ptrdiff_t H, double of_x,
                          double of_w) {
    enum { N = 4, T = 3 };
    static const struct way few = {N, T, 1, ROWS, 0, 0}, many = {N, 1, 3, UNITS, 0, 0};
    const struct problem q = posed(plain_of(cell), N, T, I, H, (struct kind){0, 0, 0, 1});
    struct way ways[MOST_WAYS];
    scale(q.x, of_x, (N - 1) * T * I); /* but the last row */
    scale(q.w, of_w, (cell->gates * H - 1) * I); /* but the last unit of the last gate */
    scale(q.u, of_w, (cell->gates * H - 1) * H);
    if (of_x <= 1 && of_w <= 1) return narrow_ways(as, cell, &q, ways, all_ways_of(&q, N - 1, ways));
    int same = 1, finite = 1;
    const float *one = passes(as, cell, &q, &few, &same).y, *other = passes(as, cell, &q, &many, &same).y;
    for (ptrdiff_t k = 0; k < N * T * q.Y; k++) finite &= isfinite(one[k]) != 0;
    if (!finite && of_x * of_w <= 1e30 && is_bounded(cell)) return wrong(as, "no finite numbers", cell->name);
    return memcmp(one, other, (size_t)(N * T * q.Y) * sizeof *one) ? wrong(as, "bits by threads", cell->name) : 0;
}

/* Two rows of zeros, and a unit without weights. */
static double empty_cell(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t I, ptrdiff_t H, int fresh) {
    enum { N = 4, T = 3 };
    const struct problem q = posed(plain_of(cell), N, T, I, H, (struct kind){0, 0, fresh, 1});
    struct way ways[MOST_WAYS];
    scale(q.x + T * I, 0, 2 * T * I);
    scale(q.h0 + H, 0, 2 * H);
    scale(q.w, 0, I);
    scale(q.u, 0, H);
    return narrow_ways(as, cell, &q, ways, all_ways_of(&q, 0, ways));
}

static double extreme_cell(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t I, ptrdiff_t H) {
    const size_t here = held_count;
    double worst = poisoned_cell(as, cell, I, H, I == 4);
    for (int fresh = 0; fresh < 2; fresh++) worst = fmax(worst, empty_cell(as, cell, I, H, fresh));
    give_back(here);
    for (size_t s = 0; s < COUNT(sizes) * COUNT(sizes); s++) {
        worst = fmax(worst, scaled_cell(as, cell, I, H, sizes[s % COUNT(sizes)], sizes[s / COUNT(sizes)]));
        give_back(here);
    }
    return worst;
}

static double extremes(const struct narrow *as) {
    double worst = extreme_maps(as);
    for (const struct fl_cell *cell = as->format->cells; cell->name; cell++) {
        if (is_of_rows(cell)) continue;
        const ptrdiff_t H = cell->units * as->kernels->bytes / (ptrdiff_t)sizeof(float) - 1;
        for (ptrdiff_t I = 1; I <= 7; I += 3) worst = fmax(worst, extreme_cell(as, cell, I, H));
    }
    return worst;
}

#endif
