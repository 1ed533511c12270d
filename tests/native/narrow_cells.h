/* Recurrent cells forwards on weights in the narrow formats, against their equations in double on what the formats make
   of the numbers. Each step is compared by itself, from the h that the kernels have found before it: else an h that
   both round, but one up and one down, would hide what is wrong. A row has the same bits in every way. */
#ifndef FASTLSTM_NARROW_CELLS_H
#define FASTLSTM_NARROW_CELLS_H

#include "formats.h"
#include "ways.h"

/* What products see of a problem; its y and c are the problem's own. */
static struct problem as_rounded(const struct narrow *as, const struct problem *q) {
    const ptrdiff_t units = q->cell->gates * q->H;
    struct problem seen = *q;
    seen.w = rounded(as->weights, q->w, units, q->I);
    seen.u = rounded(as->weights, q->u, units, q->K);
    seen.x = rounded(as->inputs, q->x, q->N * q->T, q->I);
    return seen;
}

/* One sequence: y and c from the outputs that were found. */
static void plain_steps(const struct narrow *as, const struct problem *q, const float *found, ptrdiff_t n) {
    const ptrdiff_t H = q->H;
    double *before = numbers(H, 0), *c = q->c + n * q->C * H, sum[4];
    memcpy(before, q->h0 + n * H, (size_t)H * sizeof *before);
    memcpy(c, q->c0 + n * q->C * H, (size_t)(q->C * H) * sizeof *c);
    for (ptrdiff_t t = 0; t < q->lengths[n]; t++) {
        const size_t here = held_count;
        const ptrdiff_t at = at_step(q, n, t), out = at * q->Y + COLUMN;
        const double *h = rounded(as->inputs, before, 1, H);
        for (ptrdiff_t j = 0; j < H; j++) {
            struct unit unit = {.h_prev = before[j]};
            for (ptrdiff_t k = 0; k < q->C; k++) unit.parts_prev[k] = c[k * H + j];
            own_weights(q, j, &unit);
            plain_step(q, j, q->x + at * q->I, h, sum, &unit);
            for (ptrdiff_t k = 0; k < q->C; k++) c[k * H + j] = unit.parts[k];
            q->y[out + j] = unit.h;
        }
        for (ptrdiff_t j = 0; j < H; j++) before[j] = found[out + j];
        give_back(here);
    }
}

/* The passes of a problem in one way; it leaves y and c. */
static struct arrays_float passes(const struct narrow *as, const struct fl_cell *cell, const struct problem *q,
                                  const struct way *way, int *same) {
    const struct arrays_float a = arrays_of_float(as->kernels, as->format, cell, q);
    struct fl_packing packing = {q->I, q->H, q->K, a.w, a.u, a.b, a.v, a.panels, a.bias};
    fl_run(cell->pack, &packing, way->threads, FL_WORTH_WAKING);
    for (ptrdiff_t first = 0; first < q->N; first += way->rows) {
        const size_t here = held_count;
        const struct batch batch = batch_of(q, way, first);
        *same &= forward_float(&cell, q, &a, &batch, way, NULL, NULL);
        give_back(here);
    }
    return a;
}

/* The largest error of all ways in parts of what is allowed. */
static double narrow_ways(const struct narrow *as, const struct fl_cell *cell, const struct problem *q,
                          const struct way *ways, size_t count) {
    const struct problem seen = as_rounded(as, q);
    uint64_t first = 0;
    double worst = 0;
    for (size_t k = 0; k < count && !ways[k].single; k++) {
        const size_t before = held_count;
        uint64_t bits = 0;
        int same = 1;
        const struct arrays_float a = passes(as, cell, q, ways + k, &same);
        for (ptrdiff_t n = 0; n < q->N && !k; n++) plain_steps(as, &seen, a.y, n);
        double error = error_float(a.y, q->Y, q->y, q->N * q->T, q->Y, 0, &bits);
        if (cell->c_parts) error = fmax(error, error_float(a.c, a.width, q->c, q->N * q->C, q->H, 0, &bits));
        if (!k) first = bits;
        worst = fmax(worst, error / sqrt(1 + (double)(q->I + q->H) / 256));
        if (!same || bits != first) worst = INFINITY;
        give_back(before);
        if (!(worst < 1)) {
            printf("%s, %s in blocks of %d: N %td, T %td, I %td, H %td, %s%s%s: error %g, bits %s, by ", as->name,
                   cell->name, cell->units, q->N, q->T, q->I, q->H, q->reversed ? "reversed, " : "",
                   q->fresh ? "fresh, " : "", q->b ? "biased" : "not biased", worst,
                   bits == first ? "the same" : "others");
            print_way(ways + k);
            break;
        }
    }
    return worst;
}

static double narrow_problem(const struct narrow *as, const struct fl_cell *cell, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I,
                             ptrdiff_t H, struct kind kind, ptrdiff_t part) {
    const size_t before = held_count;
    const struct problem q = posed(plain_of(cell), N, T, I, H, kind);
    struct way ways[MOST_WAYS];
    const double worst = narrow_ways(as, cell, &q, ways, all_ways_of(&q, part, ways));
    give_back(before);
    return worst;
}

/* Odd sizes of one cell, in whole blocks. */
static double narrow_sizes(const struct narrow *as, const struct fl_cell *cell) {
    static const ptrdiff_t rows[] = {13, 1, 7, 2, 3}, inputs[] = {1, 3, 5, 70};
    const ptrdiff_t vector = as->kernels->bytes / (ptrdiff_t)sizeof(float);
    const ptrdiff_t small[] = {1, 3, 17, 33, 70}, large[] = {4 * vector - 1, 8 * vector - 3, 12 * vector};
    const ptrdiff_t *units = cell->units > 1 ? large : small;
    const size_t count = cell->units > 1 ? COUNT(large) : COUNT(small);
    double worst = 0;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(inputs); i++)
        for (size_t u = 0; u < count; u++, n++) {
            const struct kind kind = any_kind(), even = {0, 0, kind.fresh, kind.bias}, other = {0, 0, !kind.fresh, 1};
            const ptrdiff_t N = rows[n % COUNT(rows)], M = rows[(n + i + 1) % COUNT(rows)];
            worst = fmax(worst, narrow_problem(as, cell, N, 3 + (ptrdiff_t)n % 3, inputs[i], units[u], kind, 0));
            worst = fmax(worst, narrow_problem(as, cell, M, 3, inputs[i], units[u], other, 0));
            worst = fmax(worst, narrow_problem(as, cell, M, 1, inputs[i], units[u], even, 0));
        }
    return worst;
}

/* Weights that do not stay in a core's cache: of x, and of the state. */
static double narrow_parts(const struct narrow *as, const struct fl_cell *cell) {
    const ptrdiff_t bytes = as->kernels->bytes, tile = as->kernels->rows, block = cell->units * bytes / 4;
    const ptrdiff_t most = FL_NEAR_BYTES / (cell->gates * block * as->format->bytes); /* inputs of a part */
    const struct kind kind = {0, 0, 0, 1};
    double worst = narrow_problem(as, cell, 2 * tile + 1, 2, most + 3, block - 1, kind, tile);
    if (bytes == 64 && cell->units > 1 && !as->format->tail) /* with a tail there are no parts */
        worst = fmax(worst, narrow_problem(as, cell, 2 * tile + 1, 1, 3, most + block, kind, tile));
    return worst;
}

static double narrow_cells(const struct narrow *as) {
    double worst = 0;
    for (const struct fl_cell *cell = as->format->cells; cell->name; cell++)
        if (!is_phase(cell))
            worst = fmax(worst, fmax(narrow_sizes(as, cell), cell->option ? 0 : narrow_parts(as, cell)));
    return worst;
}

#endif
