/* Steps of several phases: an LSTM whose h is a product with its outputs (a projection), the GRU with the reset gate
   before the product, and an LSTM with layer norm, forwards and back against plain loops in double. */
#ifndef FASTLSTM_PHASES_H
#define FASTLSTM_PHASES_H

#include "narrow_training.h"
#include "norm.h"

/* The equations of this name. */
static const struct plain_cell *plain_named(const char *name) {
    const struct plain_cell *plain = plain_cells;
    while (strcmp(plain->name, name)) plain++;
    return plain;
}

/* H units of the cell of this name, and P numbers that the state has of them. */
static void pose_projected(struct problem *q, const char *name, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H,
                           ptrdiff_t P, struct kind kind) {
    q[0] = posed_phase(plain_named(name), N, T, I, P, H, kind);
    q[1] = posed_phase(projection_cells + (q[0].cell->own > 0), N, T, 0, H, P, kind);
    q[1].options = &projection_options;
    q[0].phases = 2;
}

/* Both phases read the same x, and have one c, which is no part of the state. */
static void pose_gru_before(struct problem *q, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H, struct kind kind) {
    q[0] = posed_phase(plain_named("gru_reset"), N, T, I, H, H, kind);
    q[1] = posed_phase(plain_named("gru_candidate"), N, T, I, H, H, kind);
    q[1].x = q[0].x, q[1].dx = q[0].dx, q[1].dc0 = q[0].dc0;
    q[0].phases = 2;
    q[0].hands_on = q[1].hands_on = 1;
}

/* The kernels with the largest blocks, for vectors of so many numbers. */
static void cells_of(const struct fl_format *format, ptrdiff_t lanes, const struct problem *q,
                     const struct fl_cell **cells) {
    for (int k = 0; k < q->phases; k++)
        cells[k] = fl_cell_of(format, q[k].cell->name, (q[k].H + lanes - 1) / lanes);
}

/* Both types in all ways. */
static double phases_of(const struct fl_kernels *kernels, const struct problem *q, ptrdiff_t part) {
    const struct fl_format *f = kernels->f.formats[FL_EXACT], *d = kernels->d.formats[FL_EXACT];
    const struct fl_cell *of_float[MOST_PHASES], *of_double[MOST_PHASES];
    struct way ways[MOST_WAYS];
    const size_t count = all_ways_of(q, part, ways);
    solve(q);
    cells_of(f, kernels->bytes / 4, q, of_float);
    cells_of(d, kernels->bytes / 8, q, of_double);
    const double worst = fmax(all_ways_float(kernels, f, of_float, q, ways, count, 1),
                              all_ways_double(kernels, d, of_double, q, ways, count, 1));
    if (!(worst < 1))
        printf("of N %td, T %td, I %td, H %td, K %td, %s%s%s%s\n", q->N, q->T, q->I, q->H, q->K,
               q->lengths[q->N - 1] < q->T ? "ragged, " : "", q->reversed ? "reversed, " : "",
               q->fresh ? "fresh, " : "", q->b ? "biased" : "not biased");
    give_back(0);
    return worst;
}

/* Odd sizes: fewer and more numbers of the state than units, and whole blocks of them. */
static double phases(const struct fl_kernels *kernels) {
    static const ptrdiff_t rows[] = {13, 1, 7, 2, 3}, inputs[] = {1, 3, 17, 70};
    const ptrdiff_t vector = kernels->bytes / (ptrdiff_t)sizeof(float);
    const ptrdiff_t units[] = {1, 5, 17, 33}, projected[] = {3, 33, 4 * vector - 1, 1, 8 * vector};
    struct problem q[MOST_PHASES];
    double worst = 0;
    unsigned n = 0;
    for (size_t i = 0; i < COUNT(inputs); i++)
        for (size_t u = 0; u < COUNT(units); u++, n++) {
            const ptrdiff_t N = rows[n % COUNT(rows)], T = n % 4 ? 4 + n % 3 : 1;
            const ptrdiff_t P = projected[(n + i) % COUNT(projected)];
            pose_projected(q, n % 2 ? "lstm" : "lstm_options", N, T, inputs[i], units[u], P, any_kind());
            worst = fmax(worst, phases_of(kernels, q, 0));
            pose_projected(q, n % 2 ? "lstm_options" : "lstm", N, T, inputs[i], units[u], P, any_kind());
            worst = fmax(worst, phases_of(kernels, q, 0));
            pose_gru_before(q, N, T, inputs[i], units[u], any_kind());
            worst = fmax(worst, phases_of(kernels, q, 0));
            pose_norm(q, n % 2, N, T, inputs[i], units[u], n % 3 ? 0 : P, any_kind());
            worst = fmax(worst, phases_of(kernels, q, 0));
        }
    if (kernels->bytes < 32) return worst; /* it would take as many more numbers as vectors are shorter */
    /* products with a part of the weights at a time: of each phase, forwards and back */
    const ptrdiff_t most = FL_NEAR_BYTES / (4 * kernels->bytes) + 5, tile = kernels->rows;
    const struct kind even = {0, 0, 0, 1};
    pose_projected(q, "lstm", 2 * tile + 1, 2, 3, most, 4 * vector - 1, even);
    worst = fmax(worst, phases_of(kernels, q, tile));
    pose_projected(q, "lstm_options", 2 * tile + 1, 2, 3, 17, most, even);
    return fmax(worst, phases_of(kernels, q, tile));
}

/* The same in a narrow format that trains; what narrow_training.h says of it holds here. */
static double narrow_phases(const struct narrow *as) {
    static const ptrdiff_t rows[] = {13, 3, 7}, inputs[] = {1, 5, 70}, units[] = {3, 33, 17};
    const ptrdiff_t lanes = as->kernels->bytes / 4;
    const double allowed = NARROW_NEAR / FLOAT_TOLERANCE;
    double worst = 0;
    for (int n = 0; n < 9; n++) {
        const ptrdiff_t N = rows[n % 3], I = inputs[n / 3], H = units[(n + n / 3) % 3], P = n % 2 ? 4 * lanes - 1 : 5;
        struct problem q[MOST_PHASES], seen[MOST_PHASES];
        const struct fl_cell *cells[MOST_PHASES];
        struct way ways[MOST_WAYS];
        if (n > 6) pose_norm(q, n % 2, N, 4, I, H, n % 2 ? 0 : P, any_kind());
        else if (n % 3) pose_projected(q, n % 2 ? "lstm" : "lstm_options", N, 4, I, H, P, any_kind());
        else pose_gru_before(q, N, 4, I, H, any_kind());
        for (int k = 0; k < q->phases; k++) seen[k] = as_rounded(as, q + k);
        const size_t count = all_ways_of(seen, 0, ways);
        solve(seen);
        cells_of(as->format, lanes, seen, cells);
        worst = fmax(worst, all_ways_float(as->kernels, as->format, cells, seen, ways, count, allowed));
        if (!(worst < 1)) printf("of N %td, I %td, H %td, K %td in %s\n", N, I, H, seen->K, as->name);
        give_back(0);
    }
    return worst;
}

#endif
