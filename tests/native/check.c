/* Checks the kernels of one instruction set without Python, so that it can run under an emulator: the LSTM and the matrix
   product against plain loops in double, for float and double, odd sizes, one thread and three.

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
                              a, b, c, 0};                                                                           \
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

CHECK(float, single, f, 4e-6)
CHECK(double, twice, d, 1e-14)

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
                for (int turned = 0; turned < 4; turned++) {
                    worst = fmax(worst, single_matmul(kernels, 3 * n, 4 * h, 19 * i, threads, turned & 1, turned & 2));
                    worst = fmax(worst, twice_matmul(kernels, 3 * n, 4 * h, 19 * i, threads, turned & 1, turned & 2));
                }
            }
    printf("%s: largest error %.2f of what is allowed\n", kernels->name, worst);
    return !(worst < 1);
}
