/* Checks the kernels of one instruction set without Python, so that it can run under an emulator: the LSTM, forwards
   and back, and the matrix product against plain loops in double, the rest of training against plain.c, for float and
   double, odd sizes, one thread and three.

       check [avx512 | avx2 | baseline]        the best that there is, if none is named
*/
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../fastlstm/_kernels/simd/table.h"
#include "plain.h"

#define BEFORE 0.5f /* what stands in every array that a kernel is to write or to add to */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
enum sharing { ROWS, UNITS, IN_TURN }; /* what threads share: rows, units of each step, one or the other by segments */

#define REAL float
#define X(name) name##_float
#define TABLE f
#define TOLERANCE 4e-6
#include "rest_template.h"
#include "check_template.h"

#define REAL double
#define X(name) name##_double
#define TABLE d
#define TOLERANCE 1e-14
#include "rest_template.h"
#include "check_template.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static double both(const struct fl_kernels *kernels, struct problem q, ptrdiff_t steps, int single, int add) {
    double worst = fmax(shared_float(kernels, &q, steps, single, add), shared_double(kernels, &q, steps, single, add));
    if (!(worst < 1))
        printf("N %td, T %td, I %td, H %td, %td steps a segment, single %d, add %d: error %g\n", q.N, q.T, q.I, q.H,
               steps, single, add, worst);
    give_back();
    return worst;
}

static double lstm(const struct fl_kernels *kernels) {
    static const ptrdiff_t rows[] = {1, 2, 3, 7, 13}, inputs[] = {1, 3, 5, 17, 70}, units[] = {1, 5, 17, 33};
    double worst = 0;
    unsigned k = 0;
    for (size_t r = 0; r < COUNT(rows); r++)
        for (size_t i = 0; i < COUNT(inputs); i++)
            for (size_t u = 0; u < COUNT(units); u++, k++) {
                const int ragged = coin(), reversed = coin(), fresh = coin();
                const ptrdiff_t steps = 5 + k % 3;
                struct problem q = problem_of(rows[r], steps, inputs[i], units[u], ragged, reversed, fresh, k % 4 > 0);
                worst = fmax(worst, both(kernels, q, coin() ? 2 : steps, 0, coin()));
            }
    for (ptrdiff_t n = 1; n <= 4; n++)
        for (size_t i = 0; i < COUNT(inputs); i++)
            for (size_t u = 0; u < COUNT(units); u++, k++) {
                struct problem q = problem_of(n, 1, inputs[i], units[u], 0, 0, coin(), k % 4 > 0);
                worst = fmax(worst, both(kernels, q, 1, 1, coin()));
            }
    return worst;
}

static double matmul(const struct fl_kernels *kernels) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 7, 17, 33};
    double worst = 0;
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t r = 0; r < COUNT(sizes); r++)
            for (int threads = 1; threads <= 3; threads += 2)
                for (int turned = 0; turned < 4; turned++) {
                    const ptrdiff_t m = 3 * sizes[r], n = 4 * sizes[s], k = 19 * sizes[(s + r) % COUNT(sizes)];
                    worst = fmax(worst, matmul_float(kernels, m, n, k, threads, turned & 1, turned & 2));
                    worst = fmax(worst, matmul_double(kernels, m, n, k, threads, turned & 1, turned & 2));
                    give_back();
                }
    return worst;
}

static double rest(const struct fl_kernels *kernels) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 7, 17, 33};
    double worst = 0;
    for (size_t r = 0; r < COUNT(sizes); r++)
        for (size_t s = 0; s < COUNT(sizes); s++)
            for (int threads = 1; threads <= 3; threads += 2) {
                worst = fmax(worst, rest_float(kernels->f.training, 3 * sizes[r], sizes[s], threads));
                worst = fmax(worst, rest_double(kernels->d.training, 3 * sizes[r], sizes[s], threads));
                give_back();
            }
    return worst;
}

int main(int count, char **words) {
    const struct fl_kernels *kernels = fl_select(count > 1 ? words[1] : "");
    if (!kernels) {
        printf("this processor has no %s\n", words[1]);
        return 77;
    }
    const double worst = fmax(fmax(lstm(kernels), matmul(kernels)), rest(kernels));
    printf("%s: largest error %.2f of what is allowed\n", kernels->name, worst);
    return !(worst < 1);
}
