/* An LSTM with layer norm: its phases are the products U h and W x, and one that takes whole rows of both. Plain loops in
   double, for a row of a step. */
#ifndef FASTLSTM_NORM_H
#define FASTLSTM_NORM_H

#include "plain.h"

enum { SUMS = 4 }; /* numbers of a unit in a row of sums */

/* The products: nothing is made of them but what is kept, and they put out nothing. */
static void only_sums_forward(double *sum, struct unit *unit) {
    (void)sum;
    unit->h = NAN;
}
static void only_sums_backward(double *sum, struct unit *unit, double dh, double *carried) {
    (void)sum, (void)unit, (void)dh, (void)carried; /* the gradients stand there already */
}
/* The phase after them: `sum` takes the gradient of h to the row. */
static void norm_unit_forward(double *sum, struct unit *unit) { (void)sum, (void)unit; }
static void norm_unit_backward(double *sum, struct unit *unit, double dh, double *carried) {
    (void)unit, (void)carried;
    sum[0] = dh;
}
static const struct plain_cell norm_cells[2][2] = {
    {{"lstm_sums", 4, 4, {0, 1, 2, 3}, 0, 0, only_sums_forward, only_sums_backward},
     {"lstm_norm", 1, 1, {0}, 1, 16, norm_unit_forward, norm_unit_backward}},
    {{"lstm_coupled_sums", 3, 3, {0, 1, 2}, 0, 0, only_sums_forward, only_sums_backward},
     {"lstm_norm_coupled", 1, 1, {0}, 1, 12, norm_unit_forward, norm_unit_backward}},
};

/* (v - mean) / sqrt(variance + eps) of the first `columns` of each SUMS numbers */
struct norm {
    double mean, scale;
};
static struct norm norm_of(const double *v, ptrdiff_t rows, int columns, double eps) {
    struct norm norm = {0, 0};
    const double count = (double)(rows * columns);
    for (ptrdiff_t j = 0; j < rows; j++)
        for (int g = 0; g < columns; g++) norm.mean += v[j * SUMS + g] / count;
    for (ptrdiff_t j = 0; j < rows; j++)
        for (int g = 0; g < columns; g++) norm.scale += pow(v[j * SUMS + g] - norm.mean, 2) / count;
    norm.scale = 1 / sqrt(norm.scale + eps);
    return norm;
}
static double normed(struct norm norm, double v) { return (v - norm.mean) * norm.scale; }

/* v become their gradients, from those by what is normed, d. */
static void norm_back(struct norm norm, double *v, const double *d, ptrdiff_t rows, int columns) {
    const double count = (double)(rows * columns);
    double mean = 0, product = 0;
    for (ptrdiff_t j = 0; j < rows; j++)
        for (int g = 0; g < columns; g++)
            mean += d[j * SUMS + g] / count, product += d[j * SUMS + g] * normed(norm, v[j * SUMS + g]) / count;
    for (ptrdiff_t j = 0; j < rows; j++)
        for (int g = 0; g < columns; g++) {
            double *one = v + j * SUMS + g;
            *one = (d[j * SUMS + g] - mean - normed(norm, *one) * product) * norm.scale;
        }
}

/* The own weights of a unit are P peepholes, b, alpha_x and alpha_h of G gates each, and alpha_c. */
struct norm_step {
    int G, P;
    struct norm x, h, c;
};
static double norm_sum(const struct norm_step *s, const struct unit *unit, int g, double x, double h) {
    const double *own = unit->own + s->P;
    return own[g] + own[s->G + g] * normed(s->x, x) + own[2 * s->G + g] * normed(s->h, h);
}
/* i, f, g, c and o of a unit */
static struct gates {
    double i, f, g, c, o;
} norm_gates(const struct norm_step *s, const struct unit *unit, const double *x, const double *h) {
    struct gates gates;
    const int o = s->G - 1;
    gates.i = sigmoid(norm_sum(s, unit, 0, x[0], h[0]) + unit->own[0] * unit->c_prev);
    gates.f = s->G == 3 ? 1 - gates.i : sigmoid(norm_sum(s, unit, 1, x[1], h[1]) + unit->own[1] * unit->c_prev);
    gates.g = candidate(norm_sum(s, unit, o - 1, x[o - 1], h[o - 1]));
    gates.c = gates.f * unit->c_prev + gates.i * gates.g;
    gates.o = sigmoid(norm_sum(s, unit, o, x[o], h[o]) + unit->own[s->P - 1] * gates.c);
    return gates;
}
static struct norm_step norm_step_of(const struct problem *q, const struct unit *units, const double *h,
                                     const double *x, double *c) {
    struct norm_step s = {.G = (q->cell->own - 1) / 4 + 1};
    s.P = s.G - 1;
    s.x = norm_of(x, q->H, s.G, q->options->norm), s.h = norm_of(h, q->H, s.G, q->options->norm);
    for (ptrdiff_t j = 0; j < q->H; j++) c[j * SUMS] = norm_gates(&s, units + j, x + j * SUMS, h + j * SUMS).c;
    s.c = norm_of(c, q->H, 1, q->options->norm);
    return s;
}
static double norm_taken(const struct problem *q, const struct norm_step *s, const struct unit *unit, ptrdiff_t j, double c) {
    return (q->b ? q->b[j] : 0) + unit->own[q->cell->own - 1] * normed(s->c, c);
}

static void norm_row_forward(const struct problem *q, struct unit *units, const double *h, const double *x) {
    double c[q->H * SUMS];
    const struct norm_step s = norm_step_of(q, units, h, x, c);
    for (ptrdiff_t j = 0; j < q->H; j++) {
        const struct gates gates = norm_gates(&s, units + j, x + j * SUMS, h + j * SUMS);
        units[j].c = gates.c;
        units[j].h = gates.o * output(norm_taken(q, &s, units + j, j, gates.c));
    }
}

/* d holds the gradients of h, which become those of what the output function takes; dc those of c; h and x the sums, which
   become their gradients. */
static void norm_row_backward(const struct problem *q, const struct unit *units, double *d, double *dc, double *h, double *x) {
    double c[q->H * SUMS], d_c[q->H * SUMS], a[q->H * SUMS], by_x[q->H * SUMS], by_h[q->H * SUMS];
    const struct norm_step s = norm_step_of(q, units, h, x, c);
    const int G = s.G, P = s.P, C = q->cell->own - 1;
    for (ptrdiff_t j = 0; j < q->H; j++) {
        const struct unit *unit = units + j;
        const struct gates gates = norm_gates(&s, unit, x + j * SUMS, h + j * SUMS);
        const double taken = norm_taken(q, &s, unit, j, gates.c), dh = d[j * SUMS];
        a[j * SUMS + G - 1] = dh * output(taken) * gates.o * (1 - gates.o);
        d[j * SUMS] = dh * gates.o * output_slope(taken);
        d_c[j * SUMS] = d[j * SUMS] * unit->own[C];
        *unit->d_own[C] += d[j * SUMS] * normed(s.c, gates.c);
    }
    norm_back(s.c, c, d_c, q->H, 1);
    for (ptrdiff_t j = 0; j < q->H; j++) {
        const struct unit *unit = units + j;
        const struct gates gates = norm_gates(&s, unit, x + j * SUMS, h + j * SUMS);
        double *own = a + j * SUMS;
        const double all = c[j * SUMS] + dc[j] + own[G - 1] * unit->own[P - 1];
        own[0] = all * (G == 3 ? gates.g - unit->c_prev : gates.g) * gates.i * (1 - gates.i);
        own[G - 2] = all * gates.i * candidate_slope(gates.g);
        dc[j] = all * gates.f + own[0] * unit->own[0];
        *unit->d_own[0] += own[0] * unit->c_prev;
        if (G == 4) {
            own[1] = all * unit->c_prev * gates.f * (1 - gates.f);
            dc[j] += own[1] * unit->own[1];
            *unit->d_own[1] += own[1] * unit->c_prev;
        }
        *unit->d_own[P - 1] += own[G - 1] * unit->c;
        for (int g = 0; g < G; g++) {
            const ptrdiff_t k = j * SUMS + g;
            *unit->d_own[P + g] += own[g];
            *unit->d_own[P + G + g] += own[g] * normed(s.x, x[k]);
            *unit->d_own[P + 2 * G + g] += own[g] * normed(s.h, h[k]);
            by_x[k] = own[g] * unit->own[P + G + g], by_h[k] = own[g] * unit->own[P + 2 * G + g];
        }
    }
    norm_back(s.x, x, by_x, q->H, G), norm_back(s.h, h, by_h, q->H, G);
}

static const struct plain_rows norm_rows = {norm_row_forward, norm_row_backward};
static const struct fl_options norm_options = {
    {FL_F_SIGMOID, 0, 0}, {FL_F_SCALED_TANH, 1.2, 0.8}, {FL_F_SOFTSIGN, 0, 0}, INFINITY, INFINITY, 0, 0, 1, 0.01};

/* H units, and P numbers that the state has of them if P is not 0. */
static void pose_norm(struct problem *q, int coupled, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H, ptrdiff_t P,
                      struct kind kind) {
    const struct plain_cell *cells = norm_cells[coupled];
    const struct kind unbiased = {kind.ragged, kind.reversed, kind.fresh, 0};
    q[0] = posed_phase(cells, N, T, 0, P ? P : H, H, unbiased);
    q[1] = posed_phase(cells, N, T, I, 0, H, unbiased);
    q[2] = posed_phase(cells + 1, N, T, 0, 0, H, kind);
    if (P) q[3] = posed_phase(projection_cells + T % 2, N, T, 0, H, P, kind), q[3].options = &projection_options;
    for (int k = 0; k < 3; k++) q[k].options = &norm_options;
    q[0].whole = q[1].whole = q[2].whole = 1, q[2].row = &norm_rows;
    q[0].phases = P ? 4 : 3;
}

#endif
