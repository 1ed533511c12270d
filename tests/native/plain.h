/* One batch of sequences through one direction of a recurrent layer, forwards and back, by plain loops in double. */
#ifndef FASTLSTM_PLAIN_H
#define FASTLSTM_PLAIN_H

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plain_cells.h"

static unsigned state = 1;
static double number(void) { /* from -1 to 1, and no more than a float can hold */
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}
static int coin(void) { return number() > 0; }

/* Memory, zeros at first. Bytes after it tell whether somebody has written beyond its end. */
enum { GUARD = 64, UNTOUCHED = 0xA5 };
static struct {
    unsigned char *start;
    size_t bytes;
} held[4096];
static size_t held_count;
static void *room(size_t bytes) {
    void *p;
    if (held_count == sizeof held / sizeof *held || posix_memalign(&p, 64, bytes + GUARD)) exit(2);
    memset(p, 0, bytes);
    memset((char *)p + bytes, UNTOUCHED, GUARD);
    held[held_count].bytes = bytes;
    held[held_count++].start = p;
    return p;
}
/* Free all but the first `count` rooms. */
static void give_back(size_t count) {
    while (held_count > count) {
        held_count--;
        for (size_t k = 0; k < GUARD; k++)
            if (held[held_count].start[held[held_count].bytes + k] != UNTOUCHED) {
                printf("a kernel has written beyond the end of an array of %zu bytes\n", held[held_count].bytes);
                exit(1);
            }
        free(held[held_count].start);
    }
}

static double *numbers(ptrdiff_t count, double scale) {
    double *p = room((size_t)count * sizeof *p);
    for (ptrdiff_t k = 0; k < count; k++) p[k] = scale * number();
    return p;
}

static double *unset(ptrdiff_t count) { /* NAN: what no kernel may write */
    double *p = room((size_t)count * sizeof *p);
    for (ptrdiff_t k = 0; k < count; k++) p[k] = NAN;
    return p;
}

/* x, dx are (N, T, I); y, dy are (N, T, Y), of which the columns from COLUMN on are this direction's. */
enum { COLUMN = 1, BESIDE = 2 };
struct problem {
    const struct plain_cell *cell;
    ptrdiff_t N, T, I, H, Y;
    int reversed, fresh; /* fresh: from a state of zeros */
    ptrdiff_t *lengths;  /* never more than of the sequence before */
    double *w, *u, *b;   /* b may be NULL */
    double *v, *dv;      /* the weights that each unit has for itself, and their gradients */
    double *x, *h0, *c0, *dy, *dh, *dc; /* dh and dc: of the final state */
    double *y, *c, *dx, *dw, *du, *db, *dh0, *dc0; /* what is to be found; c is the final one */
};

static ptrdiff_t at_step(const struct problem *q, ptrdiff_t n, ptrdiff_t t) {
    return n * q->T + (q->reversed ? q->lengths[n] - 1 - t : t);
}

static double inner_product(const double *a, const double *b, ptrdiff_t count) {
    double sum = 0;
    for (ptrdiff_t k = 0; k < count; k++) sum += a[k] * b[k];
    return sum;
}
static void add_scaled(double *to, double factor, const double *from, ptrdiff_t count) {
    for (ptrdiff_t k = 0; k < count; k++) to[k] += factor * from[k];
}

/* One unit's step from its states before it; products see x and h. */
static void plain_step(const struct problem *q, ptrdiff_t j, const double *x, const double *h, double *sum,
                       struct unit *unit) {
    const struct plain_cell *cell = q->cell;
    for (int s = 0; s < cell->sums; s++) sum[s] = q->b ? q->b[s * q->H + j] : 0;
    for (int g = 0; g < cell->gates; g++) {
        sum[g] += inner_product(q->w + (g * q->H + j) * q->I, x, q->I);
        sum[cell->feeds[g]] += inner_product(q->u + (g * q->H + j) * q->H, h, q->H);
    }
    cell->forward(sum, unit);
}

/* Those of unit j. */
static void own_weights(const struct problem *q, ptrdiff_t j, struct unit *unit) {
    for (int k = 0; k < q->cell->own; k++)
        unit->own[k] = q->v[k * q->H + j], unit->d_own[k] = q->dv + k * q->H + j;
}

/* One sequence forwards. sums [T][H][4] becomes what the cell keeps; units [T][H]. */
static void plain_forward(const struct problem *q, ptrdiff_t n, double *sums, struct unit *units, double *h) {
    const ptrdiff_t H = q->H, T = q->lengths[n];
    memcpy(h, q->h0 + n * H, (size_t)H * sizeof *h);
    for (ptrdiff_t t = 0; t < T; t++) {
        for (ptrdiff_t j = 0; j < H; j++) {
            struct unit *unit = units + t * H + j;
            unit->h_prev = h[j];
            unit->c_prev = t ? units[(t - 1) * H + j].c : q->c0[n * H + j];
            own_weights(q, j, unit);
            plain_step(q, j, q->x + at_step(q, n, t) * q->I, h, sums + (t * H + j) * 4, unit);
        }
        for (ptrdiff_t j = 0; j < H; j++) h[j] = q->y[at_step(q, n, t) * q->Y + COLUMN + j] = units[t * H + j].h;
    }
    for (ptrdiff_t j = 0; j < H; j++) q->c[n * H + j] = units[(T - 1) * H + j].c;
}

/* And back. dh0 and dc0 hold the gradients of the state after step t, then those of the state before it; h is room. */
static void plain_backward(const struct problem *q, ptrdiff_t n, double *sums, const struct unit *units, double *h) {
    const struct plain_cell *cell = q->cell;
    const ptrdiff_t I = q->I, H = q->H;
    double *dh = q->dh0 + n * H, *dc = q->dc0 + n * H;
    memcpy(dh, q->dh + n * H, (size_t)H * sizeof *dh);
    memcpy(dc, q->dc + n * H, (size_t)H * sizeof *dc);
    for (ptrdiff_t t = q->lengths[n] - 1; t >= 0; t--) {
        const double *x = q->x + at_step(q, n, t) * I;
        double *d = sums + t * H * 4, *dx = q->dx + at_step(q, n, t) * I;
        for (ptrdiff_t j = 0; j < H; j++) {
            cell->backward(d + j * 4, units + t * H + j, dh[j] + q->dy[at_step(q, n, t) * q->Y + COLUMN + j], dc + j);
            dh[j] = cell->keeps_c ? 0 : dc[j];
            h[j] = units[t * H + j].h_prev;
        }
        for (ptrdiff_t j = 0; j < I; j++) dx[j] = 0;
        for (ptrdiff_t j = 0; j < H; j++) {
            for (int s = 0; s < cell->sums; s++) q->db[s * H + j] += d[j * 4 + s];
            for (int g = 0; g < cell->gates; g++) {
                const double of_x = d[j * 4 + g], of_h = d[j * 4 + cell->feeds[g]];
                add_scaled(dx, of_x, q->w + (g * H + j) * I, I);
                add_scaled(q->dw + (g * H + j) * I, of_x, x, I);
                add_scaled(dh, of_h, q->u + (g * H + j) * H, H);
                add_scaled(q->du + (g * H + j) * H, of_h, h, H);
            }
        }
    }
}

/* What a problem is beside its sizes. */
struct kind {
    int ragged, reversed, fresh, bias;
};
static struct kind any_kind(void) {
    const int ragged = coin(), reversed = coin(), fresh = coin();
    return (struct kind){ragged, reversed, fresh, number() < 0.5};
}

/* A problem at random, not solved yet. */
static struct problem posed(const struct plain_cell *cell, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H,
                            struct kind kind) {
    const ptrdiff_t G = cell->gates, S = cell->sums;
    const double scale = exp2(-ceil(log2((double)(I + H)) / 2)), before = !kind.fresh;
    struct problem q = {.cell = cell, .N = N, .T = T, .I = I, .H = H, .Y = H + BESIDE, .reversed = kind.reversed,
                        .fresh = kind.fresh};
    q.lengths = room((size_t)N * sizeof *q.lengths);
    for (ptrdiff_t n = 0; n < N; n++) q.lengths[n] = kind.ragged ? T - n * T / (N + 1) : T;
    q.w = numbers(G * H * I, scale), q.u = numbers(G * H * H, scale), q.b = kind.bias ? numbers(S * H, 1) : NULL;
    q.v = numbers(cell->own * H, 1), q.dv = numbers(cell->own * H, 0);
    q.x = numbers(N * T * I, 1), q.dy = numbers(N * T * q.Y, 1);
    q.h0 = numbers(N * H, before), q.c0 = numbers(N * H, before);
    q.dh = numbers(N * H, 1), q.dc = numbers(N * H, cell->keeps_c);
    q.y = unset(N * T * q.Y), q.dx = unset(N * T * I), q.c = unset(N * H);
    q.dw = numbers(G * H * I, 0), q.du = numbers(G * H * H, 0), q.db = numbers(S * H, 0);
    q.dh0 = unset(N * H), q.dc0 = unset(N * H);
    return q;
}

static void solve(const struct problem *q) {
    for (ptrdiff_t n = 0; n < q->N; n++) {
        double *sums = numbers(q->T * q->H * 4, 0), *h = numbers(q->H, 0);
        struct unit *units = room((size_t)(q->T * q->H) * sizeof *units);
        plain_forward(q, n, sums, units, h);
        plain_backward(q, n, sums, units, h);
    }
}

#endif
