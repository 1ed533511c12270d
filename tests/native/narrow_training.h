/* Training with products in a narrow format. A row has the same bits in every way, and the gradients of the weights in
   every way of the same batch. Gradients are near those of the rounded weights and inputs, taken exactly: where they are
   rounded themselves, one that lies between two numbers may tip. tests/test_precision.py has them by their definition.
 */
#ifndef FASTLSTM_NARROW_TRAINING_H
#define FASTLSTM_NARROW_TRAINING_H

#include "narrow_cells.h"

#define NARROW_NEAR 0.03 /* of the largest number; with max(0, .), whose slope jumps where a sum is near zero: */
#define NARROW_NEAR_RELU 10

static double narrow_gradients(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I,
                               ptrdiff_t H, struct kind kind, ptrdiff_t part) {
    const size_t before = held_count;
    const struct problem q = posed(plain_of(cell), N, T, I, H, kind), seen = as_rounded(as, &q);
    const double allowed = (cell->option && !is_bounded(cell) ? NARROW_NEAR_RELU : NARROW_NEAR) / FLOAT_TOLERANCE;
    struct way ways[MOST_WAYS];
    const size_t count = all_ways_of(&seen, part, ways);
    solve(&seen);
    const double worst = all_ways_float(as->kernels, as->format, &cell, &seen, ways, count, allowed);
    if (!(worst < 1)) printf("of N %td, T %td, I %td, H %td in %s\n", N, T, I, H, as->name);
    give_back(before);
    return worst;
}

static double narrow_training(const struct narrow *as) {
    static const ptrdiff_t rows[] = {13, 1, 7, 2, 3}, inputs[] = {1, 3, 5, 70};
    const ptrdiff_t vector = as->kernels->bytes / (ptrdiff_t)sizeof(float);
    const ptrdiff_t small[] = {1, 3, 17, 33, 70}, large[] = {4 * vector - 1, 8 * vector - 3, 12 * vector};
    double worst = 0;
    size_t n = 0;
    for (const struct fl_cell *cell = as->format->cells; cell->name; cell++) {
        if (is_phase(cell)) continue;
        const size_t count = cell->units > 1 ? COUNT(large) : COUNT(small);
        const ptrdiff_t tile = as->kernels->rows, bytes = as->kernels->bytes;
        const ptrdiff_t most = FL_NEAR_BYTES / (cell->gates * cell->units * bytes); /* inputs of a part in 32 bits */
        const struct kind even = {0, 0, 0, 1};
        for (size_t i = 0; i < COUNT(inputs); i++)
            for (size_t u = 0; u < count; u++, n++) {
                const ptrdiff_t H = (cell->units > 1 ? large : small)[u], N = rows[n % COUNT(rows)];
                worst = fmax(worst, narrow_gradients(as, cell, N, 3 + (ptrdiff_t)n % 3, inputs[i], H, any_kind(), 0));
                worst = fmax(worst, narrow_gradients(as, cell, rows[(n + i) % COUNT(rows)], 1, inputs[i], H, even, 0));
            }
        if (cell->gates > 1 && !cell->option && bytes == 64) /* several parts of the weights; else as many more units */
            worst = fmax(worst, narrow_gradients(as, cell, 2 * tile + 1, 2, 3, 2 * most + 5, even, tile));
    }
    return worst;
}

/* Products of matrices as they lie, in all ways but those of the exact format alone. */
static double narrow_product(const struct narrow *as, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads, int way) {
    const double *const a = rounded(as->inputs, numbers(m * k, 1), m * k, 1);
    const double *const b = rounded(as->weights, numbers(k * n, 1), k * n, 1);
    const double *const bias = numbers(n, 1);
    float *c = filled_float(m * n, BEFORE);
    const struct fl_matmul p = {
        .m = m, .n = n, .k = k, .a_row = way & A_TRANSPOSED ? 1 : k, .a_k = way & A_TRANSPOSED ? m : 1,
        .a = copy_float(a, m * k), .b_k = way & B_TRANSPOSED ? 1 : n, .b_col = way & B_TRANSPOSED ? k : 1,
        .b = copy_float(b, k * n), .c = c, .c_row = n, .add = (way & ADD) != 0,
        .bias = way & BIAS ? copy_float(bias, n) : NULL,
        .room = garbage(threads * as->kernels->f.matmul_room)};
    double worst = 0;
    if (p.bias && (p.a_k != 1 || p.add)) return 0;
    fl_run(as->format->matmul, (void *)&p, threads, FL_WORTH_WAKING);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = p.add ? (double)BEFORE : p.bias ? bias[j] : 0;
            for (ptrdiff_t l = 0; l < k; l++) sum += a[i * p.a_row + l * p.a_k] * b[l * p.b_k + j * p.b_col];
            worst = fmax(worst, fabs(sum - c[i * n + j]) / (double)k);
        }
    return worst / NARROW_TOLERANCE;
}

static double narrow_products(const struct narrow *as) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 7, 17, 33};
    double worst = 0;
    for (int way = 0; way < ALL_PRODUCTS; way++) {
        if (way & IN_ORDER) continue;
        for (size_t s = 0; s < COUNT(sizes); s++)
            for (size_t r = 0; r < COUNT(sizes); r++) {
                const size_t before = held_count;
                const ptrdiff_t k = 19 * sizes[(s + r) % COUNT(sizes)];
                worst = fmax(worst, narrow_product(as, 3 * sizes[r], 4 * sizes[s] - 1, k, 1 + (int)(s % 3), way));
                give_back(before);
            }
        worst = fmax(worst, narrow_product(as, 150, 530, 1100, 3, way)); /* several blocks of rows, columns and k */
        give_back(0);
    }
    return worst;
}

#endif
