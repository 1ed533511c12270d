/* One batch of sequences through one direction of an LSTM, forwards and back, by plain loops in double. */
#ifndef FASTLSTM_PLAIN_H
#define FASTLSTM_PLAIN_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 1;
static double number(void) { /* from -1 to 1, and no more than a float can hold */
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}
static int coin(void) { return number() > 0; }

static void *held[4096];
static size_t held_count;
static void *room(size_t bytes) { /* zeros, until `give_back` */
    void *p;
    if (held_count == sizeof held / sizeof *held || posix_memalign(&p, 64, bytes)) exit(2);
    memset(p, 0, bytes);
    return held[held_count++] = p;
}
static void give_back(void) {
    while (held_count) free(held[--held_count]);
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
    ptrdiff_t N, T, I, H, Y;
    int reversed, fresh; /* fresh: from a state of zeros */
    ptrdiff_t *lengths;  /* never more than of the sequence before */
    double *w, *u, *b;   /* b may be NULL */
    double *x, *h0, *c0, *dy, *dh, *dc; /* dh and dc: of the final state */
    double *y, *c, *dx, *dw, *du, *db, *dh0, *dc0; /* what is to be found; c is the final one */
};

static ptrdiff_t at_step(const struct problem *q, ptrdiff_t n, ptrdiff_t t) {
    return n * q->T + (q->reversed ? q->lengths[n] - 1 - t : t);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One sequence. gates [T][4][H], c and h [T + 1][H]: the initial ones first. */
static void plain_sequence(struct problem *q, ptrdiff_t n, double *gates, double *c, double *h) {
    const ptrdiff_t I = q->I, H = q->H, T = q->lengths[n];
    double *dh = q->dh0 + n * H, *dc = q->dc0 + n * H;
    memcpy(h, q->h0 + n * H, (size_t)H * sizeof *h);
    memcpy(c, q->c0 + n * H, (size_t)H * sizeof *c);
    for (ptrdiff_t t = 0; t < T; t++) {
        const double *x = q->x + at_step(q, n, t) * I, *old = h + t * H;
        double *gate = gates + t * 4 * H, *y = q->y + at_step(q, n, t) * q->Y + COLUMN;
        for (ptrdiff_t k = 0; k < 4 * H; k++) {
            double z = q->b ? q->b[k] : 0;
            for (ptrdiff_t j = 0; j < I; j++) z += q->w[k * I + j] * x[j];
            for (ptrdiff_t j = 0; j < H; j++) z += q->u[k * H + j] * old[j];
            gate[k] = k / H == 2 ? tanh(z) : sigmoid(z);
        }
        for (ptrdiff_t j = 0; j < H; j++) {
            double cell = gate[H + j] * c[t * H + j] + gate[j] * gate[2 * H + j];
            c[(t + 1) * H + j] = cell;
            h[(t + 1) * H + j] = y[j] = gate[3 * H + j] * tanh(cell);
        }
    }
    memcpy(q->c + n * H, c + T * H, (size_t)H * sizeof *c);
    memcpy(dh, q->dh + n * H, (size_t)H * sizeof *dh);
    memcpy(dc, q->dc + n * H, (size_t)H * sizeof *dc);
    for (ptrdiff_t t = T - 1; t >= 0; t--) {
        const double *x = q->x + at_step(q, n, t) * I, *dy = q->dy + at_step(q, n, t) * q->Y + COLUMN;
        double *da = gates + t * 4 * H, *dx = q->dx + at_step(q, n, t) * I;
        for (ptrdiff_t j = 0; j < H; j++) {
            double i = da[j], f = da[H + j], g = da[2 * H + j], o = da[3 * H + j], shown = tanh(c[(t + 1) * H + j]);
            dh[j] += dy[j];
            dc[j] += dh[j] * o * (1 - shown * shown);
            da[j] = dc[j] * g * i * (1 - i);
            da[H + j] = dc[j] * c[t * H + j] * f * (1 - f);
            da[2 * H + j] = dc[j] * i * (1 - g * g);
            da[3 * H + j] = dh[j] * shown * o * (1 - o);
            dc[j] *= f;
        }
        for (ptrdiff_t j = 0; j < I; j++) dx[j] = 0;
        for (ptrdiff_t j = 0; j < H; j++) dh[j] = 0;
        for (ptrdiff_t k = 0; k < 4 * H; k++) {
            for (ptrdiff_t j = 0; j < I; j++) dx[j] += q->w[k * I + j] * da[k], q->dw[k * I + j] += x[j] * da[k];
            for (ptrdiff_t j = 0; j < H; j++)
                dh[j] += q->u[k * H + j] * da[k], q->du[k * H + j] += h[t * H + j] * da[k];
            q->db[k] += da[k];
        }
    }
}

/* A problem at random, solved. */
static struct problem problem_of(ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H, int ragged, int reversed,
                                 int fresh, int bias) {
    struct problem q = {.N = N, .T = T, .I = I, .H = H, .Y = H + BESIDE, .reversed = reversed, .fresh = fresh};
    q.lengths = room((size_t)N * sizeof *q.lengths);
    for (ptrdiff_t n = 0; n < N; n++) q.lengths[n] = ragged ? T - n * T / (N + 1) : T;
    q.w = numbers(4 * H * I, 0.25), q.u = numbers(4 * H * H, 0.25), q.b = bias ? numbers(4 * H, 1) : NULL;
    q.x = numbers(N * T * I, 1), q.dy = numbers(N * T * q.Y, 1);
    q.h0 = numbers(N * H, fresh ? 0 : 1), q.c0 = numbers(N * H, fresh ? 0 : 1);
    q.dh = numbers(N * H, 1), q.dc = numbers(N * H, 1);
    q.y = unset(N * T * q.Y), q.dx = unset(N * T * I), q.c = unset(N * H);
    q.dw = numbers(4 * H * I, 0), q.du = numbers(4 * H * H, 0), q.db = numbers(4 * H, 0);
    q.dh0 = unset(N * H), q.dc0 = unset(N * H);
    for (ptrdiff_t n = 0; n < N; n++)
        plain_sequence(&q, n, numbers(T * 4 * H, 0), numbers((T + 1) * H, 0), numbers((T + 1) * H, 0));
    return q;
}

#endif
