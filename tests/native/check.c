/* Checks the kernels of one instruction set without Python, so that it can run under an emulator: every recurrent cell,
   forwards and back, steps of several phases, and the matrix product against plain loops in double, the rest of
   training against training_plain.c, for float and double, odd sizes, one thread and three; then cells forwards and
   affine maps with weights in bfloat16 and int8. Each row of a batch has the same bits in batches of any size, and
   likewise in single steps.

       check [avx512_bf16 | avx512_vnni | avx512 | avx2 | baseline [part]]        the best that there is, if none is named

   For avx512_bf16 and avx512_vnni only what avx512 has not is checked, if they are named. A part is small and exact, in a
   fifth of the sizes, for what slows every step down.
*/
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../fastlstm/_kernels/simd/table.h"
#include "formats.h"
#include "plain.h"
#include "ways.h"

static int is_part; /* see above */

/* How a product is formed. */
enum product { A_TRANSPOSED = 1, B_TRANSPOSED = 2, ADD = 4, IN_ORDER = 8, BIAS = 16, ALL_PRODUCTS = 32 };

#define BEFORE 0.5f /* what stands in every array that a kernel is to write or to add to */
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define REAL float
#define X(name) name##_float
#define TABLE f
#define FLOAT_TOLERANCE 4e-6
#define TOLERANCE FLOAT_TOLERANCE
#include "rest_template.h"
#include "check_template.h"

#define REAL double
#define X(name) name##_double
#define TABLE d
#define TOLERANCE 1e-14
#include "rest_template.h"
#include "check_template.h"

/* A cell by its equations. */
static const struct plain_cell *plain_of(const struct fl_cell *cell) {
    for (size_t n = 0; n < COUNT(plain_cells); n++) {
        const struct plain_cell *plain = plain_cells + n;
        if (!strcmp(cell->name, plain->name) && cell->gates == plain->gates && cell->sums == plain->sums
            && cell->c_parts == plain->c_parts)
            return plain;
    }
    printf("plain_cells.h has no such cell as %s\n", cell->name);
    exit(1);
}

/* Whether a cell takes whole rows, or is what such a cell takes. */
static int is_of_rows(const struct fl_cell *cell) { return cell->row_room || strstr(cell->name, "_sums"); }

/* Whether a cell is no step by itself; phases.h has those. */
static int is_phase(const struct fl_cell *cell) {
    return is_of_rows(cell) || !strcmp(cell->name, "gru_reset") || !strcmp(cell->name, "gru_candidate");
}

/* Whether its state has bounds, unlike that of max(0, .) and of the minLSTM. */
static int is_bounded(const struct fl_cell *cell) {
    return strcmp(cell->name, "relu") && strcmp(cell->name, "identity") && strncmp(cell->name, "min_lstm", 8);
}

#include "narrow_cells.h"
#include "narrow_extremes.h"
#include "narrow_maps.h"
#include "narrow_training.h"
#include "phases.h"

/* Both types in all ways, or, of a large problem, in those with `part` rows a batch. */
static double both(const struct fl_kernels *kernels, int k, ptrdiff_t N, ptrdiff_t T, ptrdiff_t I, ptrdiff_t H,
                   struct kind kind, ptrdiff_t part) {
    const size_t before = held_count;
    const struct fl_cell *f = kernels->f.formats[FL_EXACT]->cells + k, *d = kernels->d.formats[FL_EXACT]->cells + k;
    const struct problem q = posed(plain_of(f), N, T, I, H, kind);
    struct way ways[MOST_WAYS];
    const size_t count = all_ways_of(&q, part, ways);
    if (plain_of(d) != q.cell || d->units != f->units) return INFINITY;
    solve(&q);
    const double of_float = all_ways_float(kernels, kernels->f.formats[FL_EXACT], &f, &q, ways, count, 1);
    const double of_double = all_ways_double(kernels, kernels->d.formats[FL_EXACT], &d, &q, ways, count, 1);
    const double worst = fmax(of_float, of_double);
    if (!(worst < 1))
        printf("of N %td, T %td, I %td, H %td, %s%s%s%s\n", N, T, I, H, kind.ragged ? "ragged, " : "",
               kind.reversed ? "reversed, " : "", kind.fresh ? "fresh, " : "", kind.bias ? "biased" : "not biased");
    give_back(before);
    return worst;
}

/* Odd sizes of one cell. */
static double cell(const struct fl_kernels *kernels, int k) {
    static const ptrdiff_t rows[] = {13, 1, 7, 2, 3}, inputs[] = {1, 3, 5, 17, 70};
    const ptrdiff_t vector = kernels->bytes / (ptrdiff_t)sizeof(float);
    const ptrdiff_t small[] = {1, 5, 17, 33}, large[] = {4 * vector - 1, 8 * vector - 1, 12 * vector, 4 * vector};
    const struct fl_cell *cell = kernels->f.formats[FL_EXACT]->cells + k;
    const ptrdiff_t *units = cell->units > 1 ? large : small; /* in whole blocks, of double, too */
    double worst = 0;
    unsigned n = 0;
    for (size_t i = 0; i < COUNT(inputs); i++)
        for (size_t u = 0; u < COUNT(small); u++, n++) {
            const struct kind kind = any_kind(), even = {0, 0, kind.fresh, kind.bias};
            if (is_part && n % 5) continue;
            worst = fmax(worst, both(kernels, k, rows[n % COUNT(rows)], 5 + n % 3, inputs[i], units[u], kind, 0));
            worst = fmax(worst, both(kernels, k, rows[(n + i) % COUNT(rows)], 1, inputs[i], units[u], even, 0));
        }
    return worst;
}

static double cells(const struct fl_kernels *kernels) {
    double worst = 0;
    for (int k = 0; kernels->f.formats[FL_EXACT]->cells[k].name; k++)
        if (!is_phase(kernels->f.formats[FL_EXACT]->cells + k)) worst = fmax(worst, cell(kernels, k));
    return worst;
}

/* Weights that do not stay in a core's cache, which the kernels therefore use in parts, each for many rows. */
static double large(const struct fl_kernels *kernels) {
    const ptrdiff_t near = FL_NEAR_BYTES, bytes = kernels->bytes, tile = kernels->rows;
    const struct kind kind = {0, 0, 0, 1};
    double worst = 0;
    for (int k = 0; kernels->f.formats[FL_EXACT]->cells[k].name; k++) {
        const struct fl_cell *cell = kernels->f.formats[FL_EXACT]->cells + k;
        if (is_phase(cell) || cell->option) continue; /* by an option alone, products are no others */
        const ptrdiff_t block = cell->units * bytes / 4, most = near / (cell->gates * cell->units * bytes); /* inputs */
        worst = fmax(worst, both(kernels, k, 2 * tile + 1, 2, most + 3, block, kind, tile));
        if (bytes < 32) continue; /* it would take as many more units as vectors are shorter */
        if (cell->units > 1)
            worst = fmax(worst, both(kernels, k, 2 * tile + 1, 1, 3, most + block, kind, tile));
        if (cell->gates > 1) /* a strip of the transposed weights that is more than a part, but not by much */
            worst = fmax(worst, both(kernels, k, tile + 1, 2, bytes, most * 3 / 8 + 5, kind, 1));
        if (cell->gates > 1 && bytes == 64) /* several parts of the weights of the state */
            worst = fmax(worst, both(kernels, k, 2 * tile + 1, 2, 3, most + 5, kind, tile));
    }
    return worst;
}

/* One row and one column among them, which have loops of their own. */
static double matmul(const struct fl_kernels *kernels) {
    static const ptrdiff_t sizes[] = {1, 2, 3, 7, 17, 33};
    double worst = 0;
    for (int way = 0; way < ALL_PRODUCTS && !is_part; way += 5) { /* several blocks of rows, columns and of what is added up */
        worst = fmax(worst, matmul_float(kernels, 270, 530, 600, 3, way));
        worst = fmax(worst, matmul_double(kernels, 130, 20, 300, 1, way));
        give_back(0);
    }
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t r = is_part ? s : 0; r < COUNT(sizes); r += is_part ? COUNT(sizes) : 1)
            for (int threads = 1; threads <= 3; threads += 2)
                for (int way = 0; way < ALL_PRODUCTS; way++) {
                    const ptrdiff_t m = r ? 3 * sizes[r] : 1, n = s ? 4 * sizes[s] : 1;
                    const ptrdiff_t k = 19 * sizes[(s + r) % COUNT(sizes)];
                    worst = fmax(worst, matmul_float(kernels, m, n, k, threads, way));
                    worst = fmax(worst, matmul_double(kernels, m, n, k, threads, way));
                    give_back(0);
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
                give_back(0);
            }
    return worst;
}

/* Whether a table has kernels for a format that are not those of another one. */
static int is_new(const struct fl_kernels *kernels, int format) {
    for (int before = FL_EXACT; before < format; before++)
        if (kernels->f.formats[before] == kernels->f.formats[format]) return 0;
    return 1;
}

/* Whether a table has the kernels of a format itself, and not from the one without products of narrow numbers. */
static int is_own(const struct fl_kernels *kernels, int format) {
    const struct fl_kernels *other = fl_select(strcmp(kernels->name, "armv8_6") ? "avx512" : "baseline");
    return !other || other == kernels || other->f.formats[format] != kernels->f.formats[format];
}

static double exact(const struct fl_kernels *kernels) {
    const double of_large = is_part ? 0 : large(kernels);
    return fmax(fmax(fmax(cells(kernels), phases(kernels)), of_large), fmax(matmul(kernels), rest(kernels)));
}
static double narrow(const struct fl_kernels *kernels, int format) {
    const struct narrow as = narrow_of(kernels, format);
    double worst = fmax(maps(&as), fmax(narrow_cells(&as), extremes(&as)));
    if (as.format->matmul) {
        worst = fmax(worst, fmax(narrow_training(&as), narrow_phases(&as)));
        worst = fmax(worst, narrow_products(&as));
    }
    return worst;
}

int main(int count, char **words) {
    const struct fl_kernels *kernels = fl_select(count > 1 ? words[1] : "");
    double worst = 0;
    is_part = count > 2;
    if (!kernels) {
        printf("this processor has no %s\n", words[1]);
        return 77;
    }
    for (int format = FL_EXACT; format < (is_part ? FL_EXACT + 1 : FL_FORMATS); format++)
        if (is_new(kernels, format) && (count == 1 || is_own(kernels, format)))
            worst = fmax(worst, format == FL_EXACT ? exact(kernels) : narrow(kernels, format));
    printf("%s: largest error %.2f of what is allowed\n", kernels->name, worst);
    return !(worst < 1);
}
