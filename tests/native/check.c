/* Checks the kernels of one instruction set without Python, so that it can run under an emulator: the LSTM and the matrix
   product against plain loops in double, the rest of training against plain.c, for float and double, odd sizes, one
   thread and three.

       check [avx512 | avx2 | baseline]        the best that there is, if none is named
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../fastlstm/_kernels/simd/table.h"

static unsigned state = 1;
static double number(void) { /* from -1 to 1 */
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}

static void *room(size_t bytes) {
    void *p;
    if (posix_memalign(&p, 64, bytes)) exit(2);
    memset(p, 0, bytes);
    return p;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

#define CHECK(REAL, X, TABLE, TOLERANCE)                                                                             \
    static REAL *X##_random(ptrdiff_t n) {                                                                           \
        REAL *p = room((size_t)n * sizeof(REAL));                                                                    \
        for (ptrdiff_t k = 0; k < n; k++) p[k] = (REAL)number();                                                     \
        return p;                                                                                                    \
    }                                                                                                                \
    static double X##_lstm(const struct fl_kernels *kernels, ptrdiff_t T, ptrdiff_t N, ptrdiff_t I, ptrdiff_t H,      \
                           int threads, int by_units) {                                                              \
        ptrdiff_t lanes = kernels->bytes / (ptrdiff_t)sizeof(REAL), width = (H + lanes - 1) / lanes * lanes;         \
        REAL *w = X##_random(4 * H * I), *u = X##_random(4 * H * H), *b = X##_random(4 * H), *x = X##_random(N * T * I); \
        REAL *panels = room((size_t)(width * 4 * (I + H)) * sizeof(REAL)), *bias = room((size_t)width * 4 * sizeof(REAL)); \
        REAL *c = room((size_t)(N * width) * sizeof(REAL)), *h = room((size_t)(2 * N * width) * sizeof(REAL));       \
        REAL *y = room((size_t)(N * T * H) * sizeof(REAL));                                                          \
        ptrdiff_t *alive = room((size_t)T * sizeof *alive), *x_row = room((size_t)N * sizeof *x_row);                \
        ptrdiff_t *y_row = room((size_t)N * sizeof *y_row);                                                          \
        int phase = 0;                                                                                               \
        double worst = 0, *c1 = room((size_t)(N * H) * sizeof *c1), *h1 = room((size_t)(2 * N * H) * sizeof *h1);    \
        for (ptrdiff_t t = 0; t < T; t++) alive[t] = N;                                                              \
        for (ptrdiff_t n = 0; n < N; n++) x_row[n] = n * T * I, y_row[n] = n * T * H;                                \
        kernels->TABLE.pack(panels, bias, w, u, b, I, H);                                                            \
        struct fl_pass p = {.T = T, .N = N, .I = I, .H = H, .width = width, .alive = alive, .x = x, .x_row = x_row,  \
                            .x_step = I, .panels = panels, .bias = bias, .c = c, .h = h, .y = y, .y_row = y_row,     \
                            .y_step = H, .chunk = 1, .by_units = by_units, .phase = &phase, .fresh = T & 1};         \
        fl_run(kernels->TABLE.forward, &p, threads);                                                                 \
        for (ptrdiff_t t = 0; t < T; t++) {                                                                          \
            double *old = h1 + (t & 1) * N * H, *new = h1 + (~t & 1) * N * H;                                        \
            for (ptrdiff_t n = 0; n < N; n++)                                                                        \
                for (ptrdiff_t j = 0; j < H; j++) {                                                                  \
                    double z[4];                                                                                     \
                    for (int g = 0; g < 4; g++) {                                                                    \
                        z[g] = b[g * H + j];                                                                         \
                        for (ptrdiff_t k = 0; k < I; k++) z[g] += (double)w[(g * H + j) * I + k] * x[(n * T + t) * I + k]; \
                        for (ptrdiff_t k = 0; k < H; k++) z[g] += (double)u[(g * H + j) * H + k] * old[n * H + k];   \
                    }                                                                                                \
                    double *cell = c1 + n * H + j;                                                                   \
                    *cell = sigmoid(z[1]) * *cell + sigmoid(z[0]) * tanh(z[2]);                                      \
                    new[n * H + j] = sigmoid(z[3]) * tanh(*cell);                                                    \
                    worst = fmax(worst, fabs(new[n * H + j] - y[(n * T + t) * H + j]));                              \
                }                                                                                                    \
        }                                                                                                            \
        void *all[] = {w, u, b, x, panels, bias, c, h, y, alive, x_row, y_row, c1, h1};                              \
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);                                          \
        return worst / (TOLERANCE);                                                                                  \
    }                                                                                                                \
    static double X##_matmul(const struct fl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads,   \
                             int a_turned, int b_turned) {                                                           \
        REAL *a = X##_random(m * k), *b = X##_random(k * n), *c = X##_random(m * n);                                 \
        struct fl_matmul p = {m, n, k, a_turned ? 1 : k, a_turned ? m : 1, b_turned ? 1 : n, b_turned ? k : 1, n,    \
                              a, b, c, 0, NULL};                                                                           \
        double worst = 0;                                                                                            \
        fl_run(kernels->TABLE.matmul, &p, threads);                                                                  \
        for (ptrdiff_t i = 0; i < m; i++)                                                                            \
            for (ptrdiff_t j = 0; j < n; j++) {                                                                      \
                double sum = 0;                                                                                      \
                for (ptrdiff_t l = 0; l < k; l++)                                                                    \
                    sum += (double)a[i * p.a_row + l * p.a_k] * b[l * p.b_k + j * p.b_col];                          \
                worst = fmax(worst, fabs(sum - c[i * n + j]) / (double)k);                                           \
            }                                                                                                        \
        free(a), free(b), free(c);                                                                                   \
        return worst / (TOLERANCE);                                                                                  \
    }

/* The loops of training, against the same loops for any processor; masks must be the same to the last bit. */
#define CHECK_TRAINING(REAL, X, TABLE, TOLERANCE)                                                                    \
    static double X##_between(const REAL *a, const REAL *b, ptrdiff_t n) {                                           \
        double worst = 0;                                                                                            \
        for (ptrdiff_t k = 0; k < n; k++) {                                                                          \
            double apart = fabs((double)a[k] - b[k]) / (1 + fabs((double)b[k]));                                     \
            if (!(apart <= worst)) worst = apart == apart ? apart : HUGE_VAL;                                        \
        }                                                                                                            \
        return worst / (TOLERANCE);                                                                                  \
    }                                                                                                                \
    static double X##_training(const struct fl_training *ours, ptrdiff_t m, ptrdiff_t n, int threads) {              \
        const struct fl_training *sides[2] = {ours, &fl_plain_##TABLE};                                              \
        REAL *arrays[4] = {X##_random(m * n), X##_random(m * n), X##_random(m * n), X##_random(m * n)}, *out[2][4];  \
        double worst = 0, sums[2][1];                                                                                \
        ptrdiff_t *index = room((size_t)m * sizeof *index);                                                          \
        for (ptrdiff_t k = 0; k < m; k++) index[k] = (k * 7 + 3) % n;                                                \
        for (ptrdiff_t k = 0; k < m * n; k++) arrays[3][k] = FABS(arrays[3][k]);                                     \
        for (int rule = FL_SCALE; rule <= FL_ADAM; rule++) {                                                         \
            for (int side = 0; side < 2; side++) {                                                                   \
                for (int a = 0; a < 4; a++) memcpy(out[side][a] = room((size_t)(m * n) * sizeof(REAL)), arrays[a],   \
                                                   (size_t)(m * n) * sizeof(REAL));                                  \
                struct fl_block block = {out[side][0], out[side][1], {out[side][3], out[side][2]}, m * n};           \
                if (rule == FL_ADAM) block.slot[0] = out[side][2], block.slot[1] = out[side][3];                     \
                struct fl_update p = {&block, 1, rule, 0.5, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, sums[side]};             \
                fl_run(sides[side]->update, &p, threads);                                                            \
                fl_run(sides[side]->squares, &p, threads);                                                           \
            }                                                                                                        \
            for (int a = 0; a < 4; a++) worst = fmax(worst, X##_between(out[0][a], out[1][a], m * n));               \
            worst = fmax(worst, fabs(sums[0][0] - sums[1][0]) / (1 + sums[1][0]) / (TOLERANCE));                     \
            for (int a = 0; a < 8; a++) free(out[a / 4][a % 4]);                                                     \
        }                                                                                                            \
        for (int kind = FL_MSE; kind <= FL_SOFTMAX_CROSS_ENTROPY; kind++) {                                          \
            REAL *dpred[2];                                                                                          \
            for (int side = 0; side < 2; side++) {                                                                   \
                const void *target = kind == FL_SOFTMAX_CROSS_ENTROPY ? (void *)index : arrays[1];                   \
                dpred[side] = room((size_t)(m * n) * sizeof(REAL));                                                  \
                struct fl_loss p = {kind, m, n, m, arrays[0], target, arrays[3], dpred[side], 1.0, 0.5, sums[side]}; \
                fl_run(sides[side]->loss, &p, threads);                                                              \
            }                                                                                                        \
            worst = fmax(worst, X##_between(dpred[0], dpred[1], m * n));                                             \
            worst = fmax(worst, fabs(sums[0][0] - sums[1][0]) / (1 + fabs(sums[1][0])) / (TOLERANCE));               \
            free(dpred[0]), free(dpred[1]);                                                                          \
        }                                                                                                            \
        for (int side = 0; side < 2; side++) {                                                                       \
            for (int a = 0; a < 3; a++) out[side][a] = room((size_t)(m * n + n * n) * sizeof(REAL));                 \
            struct fl_drop drop = {m * n, arrays[0], out[side][0], 0x123456789abcdefu, 77, 0x60000000u, 1.5};        \
            struct fl_columns columns = {m, n, n, arrays[0], out[side][1], 0};                                       \
            struct fl_scatter scatter = {m, n, n, index, arrays[0], out[side][2], 0};                                \
            fl_run(sides[side]->drop, &drop, threads);                                                               \
            fl_run(sides[side]->columns, &columns, threads);                                                         \
            fl_run(sides[side]->scatter, &scatter, threads);                                                         \
        }                                                                                                            \
        if (memcmp(out[0][0], out[1][0], (size_t)(m * n) * sizeof(REAL))) worst = HUGE_VAL;                          \
        worst = fmax(worst, X##_between(out[0][1], out[1][1], n));                                                   \
        worst = fmax(worst, X##_between(out[0][2], out[1][2], n * n));                                               \
        for (int a = 0; a < 6; a++) free(out[a / 3][a % 3]);                                                         \
        for (int a = 0; a < 4; a++) free(arrays[a]);                                                                 \
        free(index);                                                                                                 \
        return worst;                                                                                                \
    }
#define FABS(x) ((x) < 0 ? -(x) : (x))

CHECK(float, single, f, 4e-6)
CHECK(double, twice, d, 1e-14)
CHECK_TRAINING(float, single, f, 4e-6)
CHECK_TRAINING(double, twice, d, 1e-14)

int main(int count, char **words) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 7, 17, 33};
    const struct fl_kernels *kernels = fl_select(count > 1 ? words[1] : "");
    double worst = 0;
    if (!kernels) {
        printf("this processor has no %s\n", words[1]);
        return 77;
    }
    for (size_t s = 0; s < 6; s++)
        for (size_t r = 0; r < 6; r++)
            for (int threads = 1; threads <= 3; threads += 2) {
                ptrdiff_t n = sizes[r], h = sizes[s], i = sizes[(s + r) % 6];
                for (int by_units = 0; by_units < 2; by_units++) {
                    worst = fmax(worst, single_lstm(kernels, 5, n, i, h, threads, by_units));
                    worst = fmax(worst, twice_lstm(kernels, 6, n, i, h, threads, by_units));
                }
                worst = fmax(worst, single_training(kernels->f.training, 3 * n, h, threads));
                worst = fmax(worst, twice_training(kernels->d.training, 3 * n, h, threads));
                for (int turned = 0; turned < 4; turned++) {
                    worst = fmax(worst, single_matmul(kernels, 3 * n, 4 * h, 19 * i, threads, turned & 1, turned & 2));
                    worst = fmax(worst, twice_matmul(kernels, 3 * n, 4 * h, 19 * i, threads, turned & 1, turned & 2));
                }
            }
    printf("%s: largest error %.2f of what is allowed\n", kernels->name, worst);
    return !(worst < 1);
}
