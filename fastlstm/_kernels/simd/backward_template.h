/* Back-propagation through time. The products of the gates' gradients with the transposed weights come from the register
   tile, and the cell's derivatives follow on its sums. */

/* The rows' products with some blocks of a strip of `turned`, [rows][vectors], or those added to it: a is the first row in
   the first block, its next block a_block on. */
#ifndef FL_SUMS
#define FL_SUMS(NAME, R, G, DEEP)                                                                               \
    FL_TILE(turned_tile##NAME, R, G, DEEP, 0)                                                                   \
    static void FL_X(sums##NAME)(const FL_REAL *a, ptrdiff_t a_block, ptrdiff_t blocks, const FL_REAL *w, VEC *sums, \
                                int add) {                                                                      \
        VEC sum[R][G];                                                                                          \
        EACH(r, R) EACH(g, G) sum[r][g] = add ? sums[r * G + g] : (VEC){0};                                     \
        for (ptrdiff_t block = 0; block < blocks; block++, a += a_block, w += 4 * LANES * G * LANES) {          \
            const FL_REAL *row[R];                                                                              \
            EACH(r, R) row[r] = a + r * 4 * LANES;                                                              \
            /* the next block lies so far on that no processor fetches it by itself */                          \
            EACH(r, R) EACH(l, 4 * FL_BYTES / 64) __builtin_prefetch((const char *)(row[r] + a_block) + l * 64); \
            FL_X(turned_tile##NAME)(sum, 4 * LANES, row, w);                                                    \
        }                                                                                                       \
        EACH(r, R) EACH(g, G) sums[r * G + g] = sum[r][g];                                                      \
    }
#define FL_SUMS_OF(NAME, R, DEEP)                                                                               \
    FL_SUMS(R##x1##NAME, R, 1, DEEP) FL_SUMS(R##x2##NAME, R, 2, DEEP)                                           \
    FL_SUMS(R##x3##NAME, R, 3, DEEP) FL_SUMS(R##x4##NAME, R, 4, DEEP)
#define FL_OF_VECTORS(R, NAME) \
    {NULL, FL_X(sums##R##x1##NAME), FL_X(sums##R##x2##NAME), FL_X(sums##R##x3##NAME), FL_X(sums##R##x4##NAME)}

#define FL_FEW 4 /* inputs up to which dx comes from inner products */
#endif

FL_SUMS_OF(_deep, 1, FL_DEEP1)
FL_SUMS_OF(_deep, 2, FL_DEEP2)
FL_SUMS_OF(, 1, 1)
FL_SUMS_OF(, 2, 1)
FL_SUMS_OF(, 3, 1)
#if FL_ROWS == 6
FL_SUMS_OF(, 4, 1)
FL_SUMS_OF(, 5, 1)
FL_SUMS_OF(, 6, 1)
#endif

typedef void (*FL_X(summing))(const FL_REAL *a, ptrdiff_t a_block, ptrdiff_t blocks, const FL_REAL *w, VEC *sums, int add);
static const FL_X(summing) FL_X(sums)[FL_ROWS + 1][5] = {
    {NULL}, FL_OF_VECTORS(1, ), FL_OF_VECTORS(2, ), FL_OF_VECTORS(3, ),
#if FL_ROWS == 6
    FL_OF_VECTORS(4, ), FL_OF_VECTORS(5, ), FL_OF_VECTORS(6, ),
#endif
};
/* for batches of 1 and 2, whose few sums would else wait for each other */
static const FL_X(summing) FL_X(deep_sums)[3][5] = {{NULL}, FL_OF_VECTORS(1, _deep), FL_OF_VECTORS(2, _deep)};

/* How many of the rows first..last are summed up at a time: a group of them, if a strip of the weights stays near. */
static ptrdiff_t FL_X(rows_at_once)(const struct fl_backward *p, ptrdiff_t vectors, ptrdiff_t first, ptrdiff_t last) {
    if (4 * p->width * vectors * FL_BYTES <= FL_NEAR * 3 / 2) return fl_group(first, last);
    return last - first < FL_HELD ? last - first : FL_HELD;
}

/* The products of some rows of the gates, from `row` of all steps on, with a strip; as many weights at a time as stay near,
   which does not change the order of additions. */
static void FL_X(sum_rows)(const struct fl_backward *p, ptrdiff_t row, ptrdiff_t rows, const FL_REAL *strip,
                           ptrdiff_t vectors, int pair, VEC *sums) {
    const FL_X(summing) (*all)[5] = pair ? FL_X(deep_sums) : FL_X(sums);
    const ptrdiff_t blocks = p->width / LANES, near = FL_NEAR / (4 * LANES * vectors * FL_BYTES);
    const ptrdiff_t parts = rows > FL_ROWS ? (blocks + near - 1) / near : 1;
    for (ptrdiff_t part = 0; part < parts; part++) {
        const ptrdiff_t block = blocks * part / parts, count = blocks * (part + 1) / parts - block;
        for (ptrdiff_t r = 0, some; r < rows; r += some) {
            some = fl_group(r, rows);
            all[some][vectors](AT(gates) + (block * p->S + row + r) * 4 * LANES, p->S * 4 * LANES, count,
                               strip + block * 4 * LANES * vectors * LANES, sums + r * vectors, part > 0);
        }
    }
}

/* A strip of a weight's columns: row k of it is the weight's row of the k-th number of a row of gates. */
static void FL_X(turn_strip)(FL_REAL *to, const FL_REAL *weight, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t vectors,
                             ptrdiff_t H, ptrdiff_t width) {
    const ptrdiff_t row = vectors * LANES, count = columns - first < row ? columns - first : row;
    for (ptrdiff_t block = 0; block < width; block += LANES)
        for (int g = 0; g < 4; g++)
            for (ptrdiff_t unit = block; unit < block + LANES; unit++, to += row) {
                const FL_REAL *from = weight + (g * H + unit) * columns + first;
                if (unit >= H) memset(to, 0, (size_t)row * sizeof(FL_REAL));
                else if (count == row)
                    for (ptrdiff_t v = 0; v < vectors; v++) FL_X(store)(to + v * LANES, FL_X(load)(from + v * LANES));
                else {
                    memcpy(to, from, (size_t)count * sizeof(FL_REAL));
                    memset(to + count, 0, (size_t)(row - count) * sizeof(FL_REAL));
                }
            }
}

/* All strips: those of u, then those of w, of which there are none but columns where they are few. */
static void FL_X(turn)(const struct fl_backward *p, int thread, int threads) {
    const ptrdiff_t H = p->H, I = p->I, width = p->width, row = 4 * width * LANES;
    const ptrdiff_t units = width / LANES, inputs = (I + LANES - 1) / LANES;
    const ptrdiff_t strips = FL_X(strips_of)(units, p->strip), more = p->dx ? FL_X(strips_of)(inputs, 4) : 0;
    for (ptrdiff_t k = (strips + more) * thread / threads; k < (strips + more) * (thread + 1) / threads; k++) {
        const int of_w = k >= strips;
        const ptrdiff_t first = of_w ? (k - strips) * 4 : k * p->strip, left = (of_w ? inputs : units) - first;
        const ptrdiff_t most = of_w ? 4 : p->strip;
        FL_REAL *to = AT(turned) + ((of_w ? units : 0) + first) * row;
        if (of_w && I <= FL_FEW)
            for (ptrdiff_t j = 0; j < I; j++) {
                for (ptrdiff_t n = 0; n < 4 * width; n++, to++) {
                    ptrdiff_t unit = n / (4 * LANES) * LANES + n % LANES;
                    *to = unit < H ? AT(w)[(n / LANES % 4 * H + unit) * I + j] : 0;
                }
            }
        else
            FL_X(turn_strip)(to, of_w ? p->w : p->u, of_w ? I : H, first * LANES, left < most ? left : most, H, width);
    }
}

/* The cell at step t: from the gradients of h by way of the next step (none: those of the final state), for some rows
   and vectors of units, those of the gates, and of c before. */
static void FL_X(cell_backward)(const struct fl_backward *p, ptrdiff_t t, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t block,
                                ptrdiff_t vectors, const VEC *sums) {
    const ptrdiff_t width = p->width;
    for (ptrdiff_t r = row; r < row + rows; r++) {
        const FL_REAL *dy = AT(dy) + p->y_row[r] + t * p->y_step;
        for (ptrdiff_t b = block; b < block + vectors; b++) {
            const ptrdiff_t unit = b * LANES, slot = b * p->S + p->before[t] + r;
            FL_REAL *gates = AT(gates) + slot * 4 * LANES, *running = AT(dc) + r * width + unit;
            VEC i = FL_X(load)(gates), f = FL_X(load)(gates + LANES), g = FL_X(load)(gates + 2 * LANES);
            VEC o = FL_X(load)(gates + 3 * LANES), c = (VEC){0}, dh, dc, shown;
            FL_X(quotient) s = FL_X(v_tanh)(FL_X(load)(AT(cells) + slot * LANES));
            dh = sums ? *sums++ : FL_X(load)(AT(dh) + r * width + unit);
            dh += unit + LANES <= p->H ? FL_X(load)(dy + unit) : FL_X(load_part)(dy + unit, p->H - unit);
            if (t) c = FL_X(load)(AT(cells) + (b * p->S + p->before[t - 1] + r) * LANES);
            else if (p->c) c = FL_X(load)(AT(c) + r * width + unit);
            shown = s.above / s.below;
            dc = FL_X(load)(running) + dh * o * (1 - shown * shown);
            FL_X(store)(gates, dc * g * (i * (1 - i)));
            FL_X(store)(gates + LANES, dc * (f * (1 - f)) * c); /* c may be so large that dc c is infinite */
            FL_X(store)(gates + 2 * LANES, dc * i * (1 - g * g));
            FL_X(store)(gates + 3 * LANES, dh * shown * (o * (1 - o)));
            FL_X(store)(running, dc * f);
        }
    }
}

/* Step t of the rows first..last and a strip of units. */
static void FL_X(step_backward)(const struct fl_backward *p, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last, ptrdiff_t block,
                                ptrdiff_t vectors) {
    const ptrdiff_t going = t + 1 < p->T ? p->alive[t + 1] : 0, continued = going < last ? going : last;
    const FL_REAL *strip = AT(turned) + block * LANES * 4 * p->width;
    VEC sums[FL_HELD * 4];
    while (first < continued) {
        const ptrdiff_t rows = FL_X(rows_at_once)(p, vectors, first, continued);
        FL_X(sum_rows)(p, p->before[t + 1] + first, rows, strip, vectors, p->N <= 2, sums);
        FL_X(cell_backward)(p, t, first, rows, block, vectors, sums);
        first += rows;
    }
    if (first < last) FL_X(cell_backward)(p, t, first, last - first, block, vectors, NULL);
}

/* Where dx of a row of all steps lies; t goes on from a step that is not after it. */
static FL_REAL *FL_X(dx_of)(const struct fl_backward *p, ptrdiff_t *t, ptrdiff_t row) {
    while (p->before[*t + 1] <= row) ++*t;
    return AT(dx) + p->x_row[row - p->before[*t]] + *t * p->x_step;
}

/* dx of the rows from..to of all steps, from step t on: one strip of its columns. */
static void FL_X(inputs_backward)(const struct fl_backward *p, ptrdiff_t t, ptrdiff_t from, ptrdiff_t to, ptrdiff_t strip) {
    const ptrdiff_t I = p->I, first = strip * 4 * LANES, all = FL_X(strips_of)(I, LANES) - strip * 4;
    const ptrdiff_t vectors = all < 4 ? all : 4;
    const FL_REAL *turned = AT(turned) + (p->width + first) * 4 * p->width;
    VEC sums[FL_HELD * 4];
    for (ptrdiff_t row = from, rows; row < to; row += rows) {
        const VEC *sum = sums;
        rows = FL_X(rows_at_once)(p, vectors, row, to);
        FL_X(sum_rows)(p, row, rows, turned, vectors, 0, sums);
        for (ptrdiff_t r = row; r < row + rows; r++) {
            FL_REAL *dx = FL_X(dx_of)(p, &t, r) + first;
            for (ptrdiff_t left = I - first, v = 0; v < vectors; v++, left -= LANES, dx += LANES, sum++) {
                const VEC before = !p->add_dx ? (VEC){0} : left < LANES ? FL_X(load_part)(dx, left) : FL_X(load)(dx);
                if (left < LANES) FL_X(store_part)(dx, left, *sum + before);
                else FL_X(store)(dx, *sum + before);
            }
        }
    }
}

/* The same where the inputs are few: by inner products. */
static void FL_X(few_inputs_backward)(const struct fl_backward *p, ptrdiff_t t, ptrdiff_t from, ptrdiff_t to) {
    const ptrdiff_t row = 4 * p->width;
    for (ptrdiff_t r = from; r < to; r++) {
        FL_REAL *dx = FL_X(dx_of)(p, &t, r);
        for (ptrdiff_t j = 0; j < p->I; j++) {
            const FL_REAL *gates = AT(gates) + r * 4 * LANES, *w = AT(turned) + p->width * row + j * row;
            VEC sum[4] = {{0}, {0}, {0}, {0}};
            FL_REAL total = p->add_dx ? dx[j] : 0;
            for (ptrdiff_t k = 0; k < row; k += 4 * LANES, gates += p->S * 4 * LANES)
                EACH(g, 4) sum[g] += FL_X(load)(gates + g * LANES) * FL_X(load)(w + k + g * LANES);
            sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            for (int lane = 0; lane < (int)LANES; lane++) total += sum[0][lane];
            dx[j] = total;
        }
    }
}

/* A thread's part of dx of a segment: of the rows where they are many, else of the strips. */
static void FL_X(share_inputs)(const struct fl_backward *p, const struct fl_segment *segment, int thread, int threads) {
    const ptrdiff_t t = segment->first, first = p->before[t], rows = p->before[segment->last] - first;
    const ptrdiff_t strips = FL_X(strips_of)(p->I, 4 * LANES);
    const int by_rows = p->I <= FL_FEW || rows >= 2 * FL_ROWS * threads;
    const ptrdiff_t from = first + (by_rows ? rows * thread / threads : 0);
    const ptrdiff_t to = first + (by_rows ? rows * (thread + 1) / threads : rows);
    if (p->I <= FL_FEW) {
        FL_X(few_inputs_backward)(p, t, from, to);
        return;
    }
    for (ptrdiff_t n = by_rows ? 0 : strips * thread / threads; n < (by_rows ? strips : strips * (thread + 1) / threads); n++)
        FL_X(inputs_backward)(p, t, from, to, n);
}

static void FL_X(backward)(void *argument, int thread, struct fl_team *team) {
    const struct fl_backward *p = argument;
    const ptrdiff_t blocks = p->width / LANES, strips = FL_X(strips_of)(blocks, p->strip);
    FL_X(turn)(p, thread, team->size);
    fl_barrier(team);
    for (const struct fl_segment *segment = p->segments + p->segment_count; segment-- > p->segments;) {
        const struct fl_part part = FL_X(part_of)(p->alive, segment, p->N, strips, thread, team);
        for (ptrdiff_t t = segment->last - 1; t >= segment->first; t--) {
            const ptrdiff_t last = p->alive[t] < part.last ? p->alive[t] : part.last;
            /* back and forth, so that each step begins with the weights that the last one left in the caches */
            for (ptrdiff_t n = part.unit0; n < part.unit1; n++) {
                const ptrdiff_t block = (t & 1 ? part.unit0 + part.unit1 - 1 - n : n) * p->strip;
                FL_X(step_backward)(p, t, part.first, last, block, blocks - block < p->strip ? blocks - block : p->strip);
            }
            if (segment->by_units) fl_barrier(team);
        }
        if (!segment->by_units) fl_barrier(team);
        FL_X(collect)(p, segment, thread, team->size);
        if (p->dx) FL_X(share_inputs)(p, segment, thread, team->size);
        fl_barrier(team);
        FL_X(weights_backward)(p, segment, p->later || segment + 1 < p->segments + p->segment_count, thread, team->size);
    }
    if (p->initial)
        for (ptrdiff_t n = strips * thread / team->size; n < strips * (thread + 1) / team->size; n++) {
            const ptrdiff_t block = n * p->strip, vectors = blocks - block < p->strip ? blocks - block : p->strip;
            for (ptrdiff_t row = 0, rows; row < p->alive[0]; row += rows) {
                VEC sums[FL_ROWS * 4];
                rows = fl_group(row, p->alive[0]);
                FL_X(sum_rows)(p, row, rows, AT(turned) + block * LANES * 4 * p->width, vectors, p->N <= 2, sums);
                for (ptrdiff_t r = 0; r < rows; r++)
                    for (ptrdiff_t v = 0; v < vectors; v++)
                        FL_X(store)(AT(dh) + (row + r) * p->width + (block + v) * LANES, sums[r * vectors + v]);
            }
        }
    if (!p->dw) return;
    fl_barrier(team);
    FL_X(deliver)(p, thread, team->size);
}
