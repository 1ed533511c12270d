/* The forward pass of the LSTM on packed weights. */

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

/* one step of R rows and one block of units: the tile, and the cell on its sums */
#define FL_CELL(NAME, R)                                                                                        \
    static void FL_X(cell##NAME)(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {        \
        const ptrdiff_t I = p->I, H = p->H, width = p->width, unit = block * LANES;                             \
        const int resumed = t || !p->fresh;                                                                     \
        const FL_REAL *w = AT(panels) + block * (I + H) * 4 * LANES, *x[R], *h[R];                              \
        FL_REAL *h_new = AT(h) + ((~(t + *p->phase) & 1) * p->N + row) * width + unit;                           \
        FL_REAL *c = AT(c) + row * width + unit;                                                                \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) h[r] = AT(h) + (((t + *p->phase) & 1) * p->N + row + r) * width;                              \
        if (p->projected) {                                                                                     \
            const FL_REAL *q = AT(projected) + ((t % p->chunk * p->N + row) * width + unit) * 4;                \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(q + r * 4 * width + g * LANES);                        \
        } else {                                                                                                \
            const FL_REAL *bias = AT(bias) + 4 * unit;                                                          \
            EACH(r, R) x[r] = AT(x) + p->x_row[row + r] + t * p->x_step;                                        \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(bias + g * LANES);                                     \
            FL_X(tile##NAME)(sum, I, x, w);                                                                     \
        }                                                                                                       \
        if (resumed) FL_X(tile##NAME)(sum, H, h, w + I * 4 * LANES);                                            \
        /* in passes over all rows, so that the chains of several of them are under way at once */              \
        VEC cell[R], out[R];                                                                                    \
        FL_X(quotient) shown[R];                                                                                \
        EACH(r, R) {                                                                                            \
            FL_X(quotient) i = FL_X(v_sigmoid)(sum[r][0]), f = FL_X(v_sigmoid)(sum[r][1]), g = FL_X(v_tanh)(sum[r][2]);\
            VEC before = resumed ? FL_X(load)(c + r * width) : FL_X(set)(0);                                    \
            cell[r] = f.above * before / f.below + i.above * g.above / (i.below * g.below);                     \
        }                                                                                                       \
        EACH(r, R) shown[r] = FL_X(v_sigmoid)(sum[r][3]);                                                       \
        EACH(r, R) {                                                                                            \
            FL_X(quotient) o = shown[r], s = FL_X(v_tanh)(cell[r]);                                             \
            out[r] = o.above * s.above / (o.below * s.below);                                                   \
        }                                                                                                       \
        EACH(r, R) {                                                                                            \
            FL_REAL *y = AT(y) + p->y_row[row + r] + t * p->y_step + unit;                                      \
            FL_X(store)(c + r * width, cell[r]);                                                                \
            FL_X(store)(h_new + r * width, out[r]);                                                             \
            if (unit + LANES <= H) FL_X(store)(y, out[r]);                                                      \
            else memcpy(y, h_new + r * width, (size_t)(H - unit) * sizeof(FL_REAL));                            \
        }                                                                                                       \
    }

#define FL_ROUTINES(NAME, R, AHEAD) FL_TILE(tile##NAME, R, 4, 1, AHEAD) FL_PROJECT(NAME, R) FL_CELL(NAME, R)
#define FL_LARGE (3 << 19) /* bytes of a thread's weights from which on they do not stay in its caches */
#endif

FL_TILE(tile1_deep, 1, 4, FL_DEEP1, 0) FL_CELL(1_deep, 1)
FL_TILE(tile2_deep, 2, 4, FL_DEEP2, 0) FL_CELL(2_deep, 2)
FL_ROUTINES(1, 1, 0)
FL_ROUTINES(2, 2, 0)
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
/* for batches of 1 and 2, whose few sums would else wait for each other */
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

static void FL_X(forward)(void *pass, int thread, struct fl_team *team) {
    struct fl_pass mine = *(const struct fl_pass *)pass, *p = &mine;
    const FL_X(routine) (*cell)[FL_ROWS + 1] = p->N <= 2 ? FL_X(deep_cell) : FL_X(cell);
    ptrdiff_t blocks = p->width / LANES, first = 0, last = p->N, block0 = 0, block1 = blocks, known = 0;
    if (p->by_units) {
        block0 = blocks * thread / team->size;
        block1 = blocks * (thread + 1) / team->size;
    } else if (p->N > 2) {
        first = p->N * thread / team->size;
        last = p->N * (thread + 1) / team->size;
    } else if (thread) { /* a pair of rows stays together: each alone would be added up in another order */
        return;
    }
    p->first = first;
    p->count = last - first;
    if (!p->count) return;
    const int afar = (block1 - block0) * (p->projected ? p->H : p->I + p->H) * 4 * FL_BYTES > FL_LARGE;
    for (ptrdiff_t t = 0; t < p->T; t++) {
        ptrdiff_t end = p->alive[t] < last ? p->alive[t] : last, steps = 1;
        if (p->projected) steps = t % p->chunk ? 0 : p->T - t < p->chunk ? p->T - t : p->chunk;
        if (p->below && known < t + steps) known = fl_wait(&p->below->done, t + steps);
        if (p->projected && steps)
            for (ptrdiff_t block = block0; block < block1; block++)
                FL_X(in_groups)(FL_X(project), p, t, block, 0, steps * p->count, afar);
        /* back and forth, so that each step begins with the weights that the last one left in the caches */
        for (ptrdiff_t b = block0; b < block1; b++)
            FL_X(in_groups)(cell, p, t, t & 1 ? block0 + block1 - 1 - b : b, first, end, afar);
        if (p->by_units) fl_barrier(team);
        if (team->size == 1) atomic_store_explicit(&((struct fl_pass *)pass)->done, t + 1, memory_order_release);
    }
}

static void FL_X(pack)(void *panels, void *biases, const void *weight, const void *recurrent, const void *b, ptrdiff_t I,
                       ptrdiff_t H) {
    const FL_REAL *w = weight, *u = recurrent;
    FL_REAL *bias = biases;
    for (ptrdiff_t block = 0; block * LANES < H; block++)
        for (int g = 0; g < 4; g++)
            for (ptrdiff_t lane = 0; lane < LANES; lane++) {
                ptrdiff_t unit = block * LANES + lane, row = g * H + unit;
                FL_REAL *out = (FL_REAL *)panels + (block * (I + H) * 4 + g) * LANES + lane;
                bias[(block * 4 + g) * LANES + lane] = unit < H ? ((const FL_REAL *)b)[row] : 0;
                for (ptrdiff_t k = 0; k < I; k++, out += 4 * LANES) *out = unit < H ? w[row * I + k] : 0;
                for (ptrdiff_t k = 0; k < H; k++, out += 4 * LANES) *out = unit < H ? u[row * H + k] : 0;
            }
}
