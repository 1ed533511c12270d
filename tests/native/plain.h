/* One batch of sequences through one direction of a recurrent layer, forwards and back, by plain loops in double. */
#ifndef FASTLSTM_PLAIN_H
#define FASTLSTM_PLAIN_H

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plain_cells.h"

#if defined(_WIN32)
#include <malloc.h>
static void *aligned(size_t bytes) { return _aligned_malloc(bytes, 64); }
#define free_aligned _aligned_free
#else
static void *aligned(size_t bytes) {
    void *p;
    return posix_memalign(&p, 64, bytes) ? NULL : p;
}
#define free_aligned free
#endif

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
    void *p = held_count < sizeof held / sizeof *held ? aligned(bytes + GUARD) : NULL;
    if (!p) exit(2);
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
        free_aligned(held[held_count].start);
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

/* x, dx are (N, T, I); y, dy are (N, T, Y), of which the columns from COLUMN on are this direction's. The phases of a
   step are problems that stand one after the other; dy and dh of all but the last are none. */
enum { COLUMN = 1, BESIDE = 2, MOST_PHASES = 4 };
struct problem;

/* A phase that takes whole rows of the sums of the two phases before it: of one row, after what its cell does, h is made
   of them; and back, d holds the gradients of h, and both sums become their gradients. */
struct plain_rows {
    void (*forward)(const struct problem *q, struct unit *units, const double *h, const double *x);
    void (*backward)(const struct problem *q, const struct unit *units, double *d, double *dc, double *h, double *x);
};
struct problem {
    const struct plain_cell *cell;
    ptrdiff_t N, T, I, H, K, Y; /* K: the numbers that U sees */
    ptrdiff_t C;                /* parts of c; one that means nothing of a cell without c */
    int phases;                 /* from this one on */
    int hands_on;               /* of phases: whether c is only handed on, and all of them see the h of the last */
    int whole;                  /* whether it takes whole rows, or is what such a phase takes */
    const struct plain_rows *row;
    const struct fl_options *options;
    int reversed, fresh; /* fresh: from a state of zeros */
    ptrdiff_t *lengths;  /* never more than of the sequence before */
    double *w, *u, *b;   /* b may be NULL */
    double *v, *dv;      /* the weights that each unit has for itself, and their gradients */
    double *x, *h0, *c0, *dy, *dh, *dc; /* c0 and dc are (N, C, H); dh and dc: of the final state */
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
        sum[cell->feeds[g]] += inner_product(q->u + (g * q->H + j) * q->K, h, q->K);
    }
    cell->forward(sum, unit);
}

/* Those of unit j. */
static void own_weights(const struct problem *q, ptrdiff_t j, struct unit *unit) {
    for (int k = 0; k < q->cell->own; k++)
        unit->own[k] = q->v[k * q->H + j], unit->d_own[k] = q->dv + k * q->H + j;
}

/* One sequence forwards, through all phases of each step. sums [T][H][4] of each becomes what its cell keeps; units
   [T][H]; h holds the state. */
static void plain_forward(const struct problem *q, ptrdiff_t n, double *const *sums, struct unit *const *units,
                          double *const *h) {
    const ptrdiff_t T = q->lengths[n];
    const int last = q->phases - 1;
    memcpy(h[last], q[last].h0 + n * q[last].H, (size_t)q[last].H * sizeof **h);
    for (ptrdiff_t t = 0; t < T; t++)
        for (int k = 0; k <= last; k++) {
            const struct problem *p = q + k;
            const ptrdiff_t H = p->H, at = at_step(p, n, t);
            const double *seen = h[k ? k - 1 : last];
            for (ptrdiff_t j = 0; j < H; j++) {
                struct unit *unit = units[k] + t * H + j;
                unit->h_prev = p->hands_on ? h[last][j] : h[k][j];
                for (ptrdiff_t c = 0; c < p->C; c++)
                    unit->parts_prev[c] = t ? unit[-H].parts[c] : p->c0[(n * p->C + c) * H + j];
                if (k && p->hands_on) unit->c_prev = units[k - 1][t * H + j].c;
                own_weights(p, j, unit);
                plain_step(p, j, p->x + at * p->I, seen, sums[k] + (t * H + j) * 4, unit);
            }
            if (p->row) p->row->forward(p, units[k] + t * H, sums[k - 2] + t * H * 4, sums[k - 1] + t * H * 4);
            for (ptrdiff_t j = 0; j < H; j++) h[k][j] = p->y[at * p->Y + COLUMN + j] = units[k][t * H + j].h;
        }
    for (int k = 0; k <= last; k++)
        for (ptrdiff_t j = 0, H = q[k].H, C = q[k].C; j < C * H; j++)
            q[k].c[n * C * H + j] = units[k][(T - 1) * H + j % H].parts[j / H];
}

/* The gradients that a step of a phase adds, from those of its sums: of what U has seen, to dh, and all others. */
static void plain_gradients(const struct problem *q, const double *sums, ptrdiff_t at, const double *seen, double *dh) {
    const struct plain_cell *cell = q->cell;
    const ptrdiff_t I = q->I, H = q->H, K = q->K;
    for (ptrdiff_t j = 0; j < H; j++, sums += 4) {
        for (int s = 0; s < cell->sums; s++) q->db[s * H + j] += sums[s];
        for (int g = 0; g < cell->gates; g++) {
            const double of_x = sums[g], of_h = sums[cell->feeds[g]];
            add_scaled(q->dx + at * I, of_x, q->w + (g * H + j) * I, I);
            add_scaled(q->dw + (g * H + j) * I, of_x, q->x + at * I, I);
            add_scaled(dh, of_h, q->u + (g * H + j) * K, K);
            add_scaled(q->du + (g * H + j) * K, of_h, seen, K);
        }
    }
}

/* And back. dh0 and dc0 hold the gradients of the state after step t, then those of the state before it; h is room. */
static void plain_backward(const struct problem *q, ptrdiff_t n, double *const *sums, struct unit *const *units,
                           double *h) {
    const int last = q->phases - 1;
    double *const dh_last = q[last].dh0 + n * q[last].H;
    for (int k = 0; k <= last; k++) {
        const ptrdiff_t H = q[k].H, of_c = q[k].C * H;
        for (ptrdiff_t j = n * H; j < (n + 1) * H; j++) q[k].dh0[j] = k == last ? q[k].dh[j] : 0;
        for (ptrdiff_t j = n * of_c; j < (n + 1) * of_c; j++) q[k].dc0[j] = q[k].dc[j];
    }
    for (ptrdiff_t t = q->lengths[n] - 1; t >= 0; t--) {
        for (int k = last; k >= 0; k--)
            for (ptrdiff_t j = 0; j < q[k].I; j++) q[k].dx[at_step(q + k, n, t) * q[k].I + j] = 0;
        for (int k = last; k >= 0; k--) {
            const struct problem *p = q + k, *before = q + (k ? k - 1 : last);
            const ptrdiff_t H = p->H, K = p->K, at = at_step(p, n, t);
            double *d = sums[k] + t * H * 4, *dh = p->dh0 + n * H, *dc = p->dc0 + n * p->C * H;
            for (ptrdiff_t j = 0; j < H; j++) {
                struct unit *unit = units[k] + t * H + j;
                const double of_h = dh[j] + (k == last ? p->dy[at * p->Y + COLUMN + j] : 0);
                double carried[MOST_PARTS];
                for (ptrdiff_t c = 0; c < p->C; c++) carried[c] = dc[c * H + j];
                unit->past = 0;
                p->cell->backward(d + j * 4, unit, of_h, carried);
                for (ptrdiff_t c = 0; c < p->C; c++) dc[c * H + j] = carried[c];
                dh[j] = p->cell->c_parts ? 0 : carried[0];
                if (p->hands_on) dh_last[j] += unit->past;
            }
            if (p->row) p->row->backward(p, units[k] + t * H, d, dc, sums[k - 2] + t * H * 4, sums[k - 1] + t * H * 4);
            for (ptrdiff_t j = 0; j < K; j++) {
                const struct unit *made = units[before - q] + (k ? t : t - 1) * K + j;
                h[j] = k || t ? made->h : before->h0[n * K + j];
            }
            plain_gradients(p, d, at, h, before->dh0 + n * K);
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

/* A problem at random, not solved yet, or a phase of one. In every other row n, where c has such a part, is the
   logarithm of as good as nothing, as where a sequence begins. */
#define NOTHING (-1e30)
static struct problem posed_phase(const struct plain_cell *cell, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t K,
                                  ptrdiff_t H, struct kind kind) {
    const ptrdiff_t G = cell->gates, S = cell->sums, C = cell->c_parts ? cell->c_parts : 1;
    const double scale = I + K ? exp2(-ceil(log2((double)(I + K)) / 2)) : 1, before = !kind.fresh;
    struct problem q = {.cell = cell, .N = N, .T = T, .I = I, .H = H, .K = K, .Y = H + BESIDE, .C = C, .phases = 1,
                        .options = &plain_options, .reversed = kind.reversed, .fresh = kind.fresh};
    q.lengths = room((size_t)N * sizeof *q.lengths);
    for (ptrdiff_t n = 0; n < N; n++) q.lengths[n] = kind.ragged ? T - n * T / (N + 1) : T;
    q.w = numbers(G * H * I, scale), q.u = numbers(G * H * K, scale), q.b = kind.bias ? numbers(S * H, 1) : NULL;
    q.v = numbers(cell->own * H, 1), q.dv = numbers(cell->own * H, 0);
    q.x = numbers(N * T * I, 1), q.dy = numbers(N * T * q.Y, 1);
    q.h0 = numbers(N * H, before), q.c0 = numbers(N * C * H, before);
    for (ptrdiff_t k = 0; k < N * C * H && before; k++)
        if (k / H % C && k / H / C % 2) q.c0[k] = NOTHING;
    q.dh = numbers(N * H, 1), q.dc = numbers(N * C * H, cell->c_parts > 0);
    q.y = unset(N * T * q.Y), q.dx = unset(N * T * I), q.c = unset(N * C * H);
    q.dw = numbers(G * H * I, 0), q.du = numbers(G * H * K, 0), q.db = numbers(S * H, 0);
    q.dh0 = unset(N * H), q.dc0 = unset(N * C * H);
    return q;
}
static struct problem posed(const struct plain_cell *cell, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H,
                            struct kind kind) {
    return posed_phase(cell, N, T, I, H, H, kind);
}

static void solve(const struct problem *q) {
    for (ptrdiff_t n = 0; n < q->N; n++) {
        double *sums[MOST_PHASES], *h[MOST_PHASES];
        struct unit *units[MOST_PHASES];
        ptrdiff_t most = 0;
        for (int k = 0; k < q->phases; k++) {
            sums[k] = numbers(q[k].T * q[k].H * 4, 0), h[k] = numbers(q[k].H, 0);
            units[k] = room((size_t)(q[k].T * q[k].H) * sizeof **units);
            most = q[k].K > most ? q[k].K : most;
        }
        plain_forward(q, n, sums, units, h);
        plain_backward(q, n, sums, units, numbers(most, 0));
    }
}

#endif
