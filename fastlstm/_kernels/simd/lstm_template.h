/* The forward pass of the LSTM on packed weights, for inference and for training. */

/* The activations of activations_template.h as quotients, so that products of them need fewer divisions. Subnormal
   results are zero, as everywhere in these kernels: 2^n is 0 where n is one below the least exponent. */
typedef struct {
    VEC above, below;
} FL_X(quotient);

/* exp(x) = (1 + expm1(r)) 2^n */
FL_INLINE VEC FL_X(v_reduced_expm1)(VEC x, VEC *scale) {
    VEC shifted = x * FL_LOG2E + FL_MAGIC, n = shifted - FL_MAGIC;
    VEC r = (x - n * FL_LN2_HI) - n * FL_LN2_LO;
    *scale = (VEC)(((BITS)shifted << FL_MANTISSA) + FL_ONE);
    return r + r * r * FL_Q(r);
}

/* exp(-|x|), or 1 where x is not negative, over 1 + exp(-|x|) */
FL_INLINE FL_X(quotient) FL_X(v_sigmoid)(VEC x) {
    VEC scale, p = FL_X(v_reduced_expm1)(FL_MAX(FL_X(set)(FL_FLUSH_MIN), (VEC)((BITS)x | FL_SIGN)), &scale);
    VEC e = scale * (1 + p); /* not scale + scale p, whose product would be flushed first where there is no fused one */
    BITS negative = (BITS)((SIGNED)x >> (int)(8 * sizeof(FL_REAL) - 1));
    return (FL_X(quotient)){(VEC)((negative & (BITS)e) | (~negative & (BITS)FL_X(set)(1))), 1 + e};
}

/* expm1(2|x|), with the sign of x, over expm1(2|x|) + 2 */
FL_INLINE FL_X(quotient) FL_X(v_tanh)(VEC x) {
    VEC scale, m, p = FL_X(v_reduced_expm1)(FL_MIN(FL_X(set)(FL_TANH_MAX), 2 * (VEC)((BITS)x & ~FL_SIGN)), &scale);
    m = scale * p + (scale - 1);
    return (FL_X(quotient)){(VEC)((BITS)m | ((BITS)x & FL_SIGN)), m + 2};
}

#ifndef FL_PROJECT
/* The sums of R rows and a part of the weights, for what is done in parts: weights that are near for all the rows. */
#define FL_PART(NAME, R)                                                                                        \
    static void FL_X(part##NAME)(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {        \
        const ptrdiff_t k = p->part, count = p->part_end - k;                                                   \
        const FL_REAL *w = AT(panels) + (block * (p->I + p->H) + k) * 4 * LANES, *from[R];                      \
        FL_REAL *out = AT(partial) + (row - p->first) * 4 * LANES;                                              \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) {                                                                                            \
            if (k < p->I) from[r] = AT(x) + p->x_row[row + r] + t * p->x_step + k;                              \
            else from[r] = AT(h) + (((t + *p->phase) & 1) * p->N + row + r) * p->width + k - p->I;              \
            EACH(g, 4) sum[r][g] = FL_X(load)(k ? out + (r * 4 + g) * LANES : AT(bias) + (block * 4 + g) * LANES); \
        }                                                                                                       \
        FL_X(tile##NAME)(sum, count, from, w);                                                                  \
        EACH(r, R) EACH(g, 4) FL_X(store)(out + (r * 4 + g) * LANES, sum[r][g]);                                \
    }

/* R rows of the inputs of a chunk of steps, with the bias: the q-th is row first + q % count at step t0 + q / count */
#define FL_PROJECT(NAME, R)                                                                                     \
    static void FL_X(project##NAME)(const struct fl_pass *p, ptrdiff_t t0, ptrdiff_t block, ptrdiff_t q) {      \
        const FL_REAL *w = AT(panels) + block * (p->I + p->H) * 4 * LANES, *x[R];                               \
        const FL_REAL *bias = AT(bias) + block * 4 * LANES;                                                     \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) x[r] = AT(x) + p->x_row[p->first + (q + r) % p->count] + (t0 + (q + r) / p->count) * p->x_step; \
        EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(bias + g * LANES);                                         \
        FL_X(tile##NAME)(sum, p->I, x, w);                                                                      \
        EACH(r, R) {                                                                                            \
            ptrdiff_t row = (q + r) / p->count * p->N + p->first + (q + r) % p->count;                          \
            FL_REAL *out = AT(projected) + (row * p->width + block * LANES) * 4;                                \
            EACH(g, 4) FL_X(store)(out + g * LANES, sum[r][g]);                                                 \
        }                                                                                                       \
    }

/* One step of R rows and one block of units: the tiles, and the cell on their sums. The tile of the inputs adds up as that
   of FL_PROJECT does: whether they have been projected ahead changes no bit. */
#define FL_CELL(NAME, R, INPUTS, STATES)                                                                        \
    static void FL_X(cell##NAME)(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {        \
        const ptrdiff_t I = p->I, H = p->H, width = p->width, unit = block * LANES;                             \
        const int resumed = t || !p->fresh;                                                                     \
        const FL_REAL *w = AT(panels) + block * (I + H) * 4 * LANES, *x[R], *h[R];                              \
        FL_REAL *h_new = AT(h) + ((~(t + *p->phase) & 1) * p->N + row) * width + unit;                          \
        FL_REAL *c = AT(c) + row * width + unit;                                                                \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) h[r] = AT(h) + (((t + *p->phase) & 1) * p->N + row + r) * width;                             \
        if (p->partial) {                                                                                       \
            const FL_REAL *q = AT(partial) + (row - p->first) * 4 * LANES;                                      \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(q + (r * 4 + g) * LANES);                              \
        } else if (p->projected) {                                                                              \
            const FL_REAL *q = AT(projected) + ((t % p->chunk * p->N + row) * width + unit) * 4;                \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(q + r * 4 * width + g * LANES);                        \
        } else {                                                                                                \
            const FL_REAL *bias = AT(bias) + 4 * unit;                                                          \
            EACH(r, R) x[r] = AT(x) + p->x_row[row + r] + t * p->x_step;                                        \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(bias + g * LANES);                                     \
            FL_X(INPUTS)(sum, I, x, w);                                                                         \
        }                                                                                                       \
        if (resumed) {                                                                                          \
            const ptrdiff_t done = p->partial ? p->part_end - I : 0;                                            \
            EACH(r, R) h[r] += done;                                                                            \
            FL_X(STATES)(sum, H - done, h, w + (I + done) * 4 * LANES);                                         \
        }                                                                                                       \
        /* in passes over all rows, so that the chains of several of them are under way at once */              \
        VEC cell[R], out[R];                                                                                    \
        if (p->gates) {                                                                                         \
            FL_REAL *kept = AT(gates) + (block * p->S + p->before[t] + row) * 4 * LANES;                        \
            FL_REAL *cells = AT(cells) + (block * p->S + p->before[t] + row) * LANES;                           \
            EACH(r, R) {                                                                                        \
                FL_X(quotient) i = FL_X(v_sigmoid)(sum[r][0]), g = FL_X(v_tanh)(sum[r][2]);                     \
                VEC one = 1 / (i.below * g.below);                                                              \
                sum[r][0] = i.above * g.below * one;                                                            \
                sum[r][2] = g.above * i.below * one;                                                            \
            }                                                                                                   \
            EACH(r, R) {                                                                                        \
                FL_X(quotient) f = FL_X(v_sigmoid)(sum[r][1]), o = FL_X(v_sigmoid)(sum[r][3]);                  \
                VEC before = resumed ? FL_X(load)(c + r * width) : FL_X(set)(0), one = 1 / (f.below * o.below); \
                sum[r][1] = f.above * o.below * one;                                                            \
                sum[r][3] = o.above * f.below * one;                                                            \
                cell[r] = sum[r][1] * before + sum[r][0] * sum[r][2];                                           \
            }                                                                                                   \
            EACH(r, R) {                                                                                        \
                FL_X(quotient) s = FL_X(v_tanh)(cell[r]);                                                       \
                out[r] = sum[r][3] * s.above / s.below;                                                         \
            }                                                                                                   \
            EACH(r, R) EACH(g, 4) FL_X(store)(kept + (r * 4 + g) * LANES, sum[r][g]);                           \
            EACH(r, R) FL_X(store)(cells + r * LANES, cell[r]);                                                 \
        } else {                                                                                                \
            FL_X(quotient) shown[R];                                                                            \
            EACH(r, R) {                                                                                        \
                FL_X(quotient) i = FL_X(v_sigmoid)(sum[r][0]), f = FL_X(v_sigmoid)(sum[r][1]);                  \
                FL_X(quotient) g = FL_X(v_tanh)(sum[r][2]);                                                     \
                VEC before = resumed ? FL_X(load)(c + r * width) : FL_X(set)(0);                                \
                cell[r] = f.above * before / f.below + i.above * g.above / (i.below * g.below);                 \
            }                                                                                                   \
            EACH(r, R) shown[r] = FL_X(v_sigmoid)(sum[r][3]);                                                   \
            EACH(r, R) {                                                                                        \
                FL_X(quotient) o = shown[r], s = FL_X(v_tanh)(cell[r]);                                         \
                out[r] = o.above * s.above / (o.below * s.below);                                               \
            }                                                                                                   \
        }                                                                                                       \
        EACH(r, R) {                                                                                            \
            FL_REAL *y = AT(y) + p->y_row[row + r] + t * p->y_step + unit;                                      \
            FL_X(store)(c + r * width, cell[r]);                                                                \
            FL_X(store)(h_new + r * width, out[r]);                                                             \
            if (unit + LANES <= H) FL_X(store)(y, out[r]);                                                      \
            else memcpy(y, h_new + r * width, (size_t)(H - unit) * sizeof(FL_REAL));                            \
        }                                                                                                       \
    }

#define FL_ROUTINES(NAME, R, AHEAD) FL_TILE(tile##NAME, R, 4, 1, AHEAD) FL_PROJECT(NAME, R) FL_PART(NAME, R) \
    FL_CELL(NAME, R, tile##NAME, tile##NAME)
#define FL_LARGE (3 << 19) /* bytes of a thread's weights from which on they do not stay in its caches */
#endif

FL_ROUTINES(1, 1, 0)
FL_ROUTINES(2, 2, 0)
FL_TILE(tile1_deep, 1, 4, FL_DEEP1, 0) FL_CELL(1_deep, 1, tile1, tile1_deep)
FL_TILE(tile2_deep, 2, 4, FL_DEEP2, 0) FL_CELL(2_deep, 2, tile2, tile2_deep)
FL_ROUTINES(3, 3, 0)
FL_ROUTINES(3_ahead, 3, FL_AHEAD)
#if FL_ROWS == 6
FL_ROUTINES(4, 4, 0)
FL_ROUTINES(5, 5, 0)
FL_ROUTINES(6, 6, 0)
FL_ROUTINES(4_ahead, 4, FL_AHEAD)
FL_ROUTINES(5_ahead, 5, FL_AHEAD)
FL_ROUTINES(6_ahead, 6, FL_AHEAD)
#define FL_OF_ROWS(f, more) FL_X(f##3##more), FL_X(f##4##more), FL_X(f##5##more), FL_X(f##6##more)
#else
#define FL_OF_ROWS(f, more) FL_X(f##3##more)
#endif

typedef void (*FL_X(routine))(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row);
/* by the number of rows; for weights that are near, and for such as come from afar */
static const FL_X(routine) FL_X(project)[2][FL_ROWS + 1] = {
    {NULL, FL_X(project1), FL_X(project2), FL_OF_ROWS(project, )},
    {NULL, FL_X(project1), FL_X(project2), FL_OF_ROWS(project, _ahead)}};
static const FL_X(routine) FL_X(cell)[2][FL_ROWS + 1] = {
    {NULL, FL_X(cell1), FL_X(cell2), FL_OF_ROWS(cell, )}, {NULL, FL_X(cell1), FL_X(cell2), FL_OF_ROWS(cell, _ahead)}};
static const FL_X(routine) FL_X(part)[2][FL_ROWS + 1] = {
    {NULL, FL_X(part1), FL_X(part2), FL_OF_ROWS(part, )}, {NULL, FL_X(part1), FL_X(part2), FL_OF_ROWS(part, _ahead)}};
/* for batches of 1 and 2, whose few sums of h would else wait for each other */
static const FL_X(routine) FL_X(deep_cell)[2][FL_ROWS + 1] = {
    {NULL, FL_X(cell1_deep), FL_X(cell2_deep)}, {NULL, FL_X(cell1_deep), FL_X(cell2_deep)}};
#undef FL_OF_ROWS

/* The first group of rows fetches the weights for the others. */
static void FL_X(in_groups)(const FL_X(routine) routines[2][FL_ROWS + 1], const struct fl_pass *p, ptrdiff_t t,
                            ptrdiff_t block, ptrdiff_t first, ptrdiff_t last, int afar) {
    for (; first < last; afar = 0) {
        ptrdiff_t rows = fl_group(first, last);
        routines[afar][rows](p, t, block, first);
        first += rows;
    }
}

/* What of a segment is this thread's: which rows, which blocks or strips of units. A pair of rows stays together: each
   alone would be added up in another order. */
static struct fl_part FL_X(part_of)(const ptrdiff_t *alive, const struct fl_segment *segment, ptrdiff_t N, ptrdiff_t units,
                                    int thread, const struct fl_team *team) {
    struct fl_part part = {0, N, 0, units};
    if (segment->by_units) {
        part.unit0 = units * thread / team->size;
        part.unit1 = units * (thread + 1) / team->size;
    } else if (N > 2) {
        part.first = fl_share_rows(alive, segment, thread, team->size);
        part.last = fl_share_rows(alive, segment, thread + 1, team->size);
    } else if (thread) {
        part.last = 0;
    }
    return part;
}

/* One step of a block of units for many rows: the weights in parts that stay near, all but the last one ahead of the cell.
   The order of additions is the same. */
static void FL_X(in_parts)(struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t first, ptrdiff_t last, int afar) {
    const ptrdiff_t near = FL_NEAR / (4 * FL_BYTES), H = t || !p->fresh ? p->H : 0;
    FL_REAL sums[FL_HELD * 4 * (FL_BYTES / sizeof(FL_REAL))] __attribute__((aligned(64)));
    p->partial = sums;
    for (ptrdiff_t end; first < last; first = end) {
        end = last - first < FL_HELD ? last : first + FL_HELD;
        p->first = first;
        p->part_end = 0;
        while (p->part_end < p->I || p->I + H - p->part_end > near) {
            const ptrdiff_t left = (p->part_end < p->I ? p->I : p->I + H) - p->part_end;
            p->part = p->part_end;
            p->part_end += left < near ? left : near;
            FL_X(in_groups)(FL_X(part), p, t, block, first, end, afar);
        }
        FL_X(in_groups)(FL_X(cell), p, t, block, first, end, afar);
    }
    p->partial = NULL;
}

static void FL_X(forward)(void *pass, int thread, struct fl_team *team) {
    struct fl_pass mine = *(const struct fl_pass *)pass, *p = &mine;
    const FL_X(routine) (*cell)[FL_ROWS + 1] = p->N <= 2 ? FL_X(deep_cell) : FL_X(cell);
    ptrdiff_t known = 0;
    for (const struct fl_segment *segment = p->segments; segment < p->segments + p->segment_count; segment++) {
        const struct fl_part part = FL_X(part_of)(p->alive, segment, p->N, p->width / LANES, thread, team);
        const ptrdiff_t block0 = part.unit0, block1 = part.unit1;
        const int afar = (block1 - block0) * (p->projected ? p->H : p->I + p->H) * 4 * FL_BYTES > FL_LARGE;
        const int parts = !p->projected && part.last - part.first > 2 * FL_ROWS && (p->I + p->H) * 4 * FL_BYTES > FL_NEAR;
        p->first = part.first;
        p->count = part.last - part.first;
        for (ptrdiff_t t = segment->first; t < segment->last; t++) {
            ptrdiff_t end = p->alive[t] < part.last ? p->alive[t] : part.last, steps = 1;
            if (p->projected) steps = t % p->chunk ? 0 : p->T - t < p->chunk ? p->T - t : p->chunk;
            if (p->below && known < t + steps) known = fl_wait(&p->below->done, t + steps);
            if (p->projected && steps && p->count)
                for (ptrdiff_t block = block0; block < block1; block++)
                    FL_X(in_groups)(FL_X(project), p, t, block, 0, steps * p->count, afar);
            /* back and forth, so that each step begins with the weights that the last one left in the caches */
            for (ptrdiff_t b = block0; b < block1; b++) {
                const ptrdiff_t block = t & 1 ? block0 + block1 - 1 - b : b;
                if (parts) FL_X(in_parts)(p, t, block, part.first, end, afar);
                else FL_X(in_groups)(cell, p, t, block, part.first, end, afar);
            }
            if (segment->by_units) fl_barrier(team);
            if (team->size == 1) atomic_store_explicit(&((struct fl_pass *)pass)->done, t + 1, memory_order_release);
        }
        if (!segment->by_units && segment + 1 < p->segments + p->segment_count) fl_barrier(team);
    }
}

static void FL_X(pack)(void *packing, int thread, struct fl_team *team) {
    const struct fl_packing *p = packing;
    const ptrdiff_t I = p->I, H = p->H, blocks = (H + LANES - 1) / LANES;
    for (ptrdiff_t block = blocks * thread / team->size; block < blocks * (thread + 1) / team->size; block++) {
        const ptrdiff_t units = H - block * LANES < LANES ? H - block * LANES : LANES;
        FL_REAL *panel = AT(panels) + block * (I + H) * 4 * LANES, *bias = AT(bias) + block * 4 * LANES;
        if (units < LANES) {
            memset(panel, 0, (size_t)((I + H) * 4 * LANES) * sizeof(FL_REAL));
            memset(bias, 0, (size_t)(4 * LANES) * sizeof(FL_REAL));
        }
        for (int g = 0; g < 4; g++) {
            const ptrdiff_t row = g * H + block * LANES;
            FL_X(transpose)(panel + g * LANES, 4 * LANES, AT(w) + row * I, I, units, I);
            FL_X(transpose)(panel + (I * 4 + g) * LANES, 4 * LANES, AT(u) + row * H, H, units, H);
            memcpy(bias + g * LANES, AT(b) + row, (size_t)units * sizeof(FL_REAL));
        }
    }
}
