/* The forward pass on packed weights, for one type and one width of vectors. Included twice by kernels.h.

   All is built from one tile, R rows by four vectors of sums in registers; the rest says where its two inputs lie. */

typedef FL_REAL FL_X(vec) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_BITS FL_X(bits) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_INT FL_X(signed) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
#define VEC FL_X(vec)
#define BITS FL_X(bits)
#define SIGNED FL_X(signed)
#define FL_MIN FL_X(FL_MIN)
#define FL_MAX FL_X(FL_MAX)
#define LANES ((ptrdiff_t)(FL_BYTES / sizeof(FL_REAL)))
#define AT(field) ((FL_REAL *)p->field)
#define EACH(r, R) _Pragma("GCC unroll 8") for (int r = 0; r < R; r++)

FL_INLINE VEC FL_X(set)(FL_REAL x) { return x - (VEC){0}; }
FL_INLINE VEC FL_X(load)(const FL_REAL *p) { return *(const VEC *)p; }
FL_INLINE void FL_X(store)(FL_REAL *p, VEC v) { *(VEC *)p = v; }

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
    VEC e = scale + scale * p;
    BITS negative = (BITS)((SIGNED)x >> (int)(8 * sizeof(FL_REAL) - 1));
    return (FL_X(quotient)){(VEC)((negative & (BITS)e) | (~negative & (BITS)FL_X(set)(1))), 1 + e};
}

/* expm1(2|x|), with the sign of x, over expm1(2|x|) + 2 */
FL_INLINE FL_X(quotient) FL_X(v_tanh)(VEC x) {
    VEC scale, m, p = FL_X(v_reduced_expm1)(FL_MIN(FL_X(set)(FL_TANH_MAX), 2 * (VEC)((BITS)x & ~FL_SIGN)), &scale);
    m = scale * p + (scale - 1);
    return (FL_X(quotient)){(VEC)((BITS)m | ((BITS)x & FL_SIGN)), m + 2};
}

/* sum[r][0..3] += sum over k of a[r][k] w[k][0..3], DEEP values of k at a time. The order of the additions, and with it
   every bit of the result, depends on DEEP but not on R. */
#define FL_TILE(NAME, R, DEEP)                                                                                  \
    FL_INLINE void FL_X(NAME)(VEC sum[R][4], ptrdiff_t K, const FL_REAL *const *a, const FL_REAL *w) {          \
        VEC part[DEEP][R][4];                                                                                   \
        ptrdiff_t k = 0;                                                                                        \
        EACH(u, DEEP) EACH(r, R) EACH(g, 4) part[u][r][g] = u ? (VEC){0} : sum[r][g];                           \
        for (; k + DEEP <= K; k += DEEP) EACH(u, DEEP) {                                                        \
            const FL_REAL *b = w + (k + u) * 4 * LANES;                                                         \
            VEC b0 = FL_X(load)(b), b1 = FL_X(load)(b + LANES);                                                 \
            VEC b2 = FL_X(load)(b + 2 * LANES), b3 = FL_X(load)(b + 3 * LANES);                                 \
            EACH(r, R) {                                                                                        \
                VEC x = FL_X(set)(a[r][k + u]);                                                                 \
                part[u][r][0] += x * b0;                                                                        \
                part[u][r][1] += x * b1;                                                                        \
                part[u][r][2] += x * b2;                                                                        \
                part[u][r][3] += x * b3;                                                                        \
            }                                                                                                   \
        }                                                                                                       \
        for (; k < K; k++) EACH(r, R) EACH(g, 4)                                                                \
            part[0][r][g] += FL_X(set)(a[r][k]) * FL_X(load)(w + (k * 4 + g) * LANES);                          \
        EACH(r, R) EACH(g, 4) {                                                                                 \
            sum[r][g] = part[0][r][g];                                                                          \
            EACH(u, DEEP - 1) sum[r][g] += part[u + 1][r][g];                                                   \
        }                                                                                                       \
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

/* one step of R rows and one block of units: the tile, and the cell on its sums */
#define FL_CELL(NAME, R)                                                                                        \
    static void FL_X(cell##NAME)(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {        \
        const ptrdiff_t I = p->I, H = p->H, width = p->width, unit = block * LANES;                             \
        const FL_REAL *w = AT(panels) + block * (I + H) * 4 * LANES, *x[R], *h[R];                              \
        FL_REAL *h_new = AT(h) + ((~(t + p->phase) & 1) * p->N + row) * width + unit;                           \
        FL_REAL *c = AT(c) + row * width + unit;                                                                \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) h[r] = AT(h) + (((t + p->phase) & 1) * p->N + row + r) * width;                              \
        if (p->projected) {                                                                                     \
            const FL_REAL *q = AT(projected) + ((t % p->chunk * p->N + row) * width + unit) * 4;                \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(q + r * 4 * width + g * LANES);                        \
        } else {                                                                                                \
            const FL_REAL *bias = AT(bias) + 4 * unit;                                                          \
            EACH(r, R) x[r] = AT(x) + p->x_row[row + r] + t * p->x_step;                                        \
            EACH(r, R) EACH(g, 4) sum[r][g] = FL_X(load)(bias + g * LANES);                                     \
            FL_X(tile##NAME)(sum, I, x, w);                                                                     \
        }                                                                                                       \
        FL_X(tile##NAME)(sum, H, h, w + I * 4 * LANES);                                                         \
        EACH(r, R) {                                                                                            \
            FL_X(quotient) i = FL_X(v_sigmoid)(sum[r][0]), f = FL_X(v_sigmoid)(sum[r][1]), shown;               \
            FL_X(quotient) g = FL_X(v_tanh)(sum[r][2]), o = FL_X(v_sigmoid)(sum[r][3]);                         \
            VEC cell = f.above * FL_X(load)(c + r * width) / f.below + i.above * g.above / (i.below * g.below), out; \
            shown = FL_X(v_tanh)(cell);                                                                         \
            out = o.above * shown.above / (o.below * shown.below);                                              \
            FL_REAL *y = AT(y) + p->y_row[row + r] + t * p->y_step + unit;                                      \
            FL_X(store)(c + r * width, cell);                                                                   \
            FL_X(store)(h_new + r * width, out);                                                                \
            if (unit + LANES <= H) FL_X(store)(y, out);                                                         \
            else memcpy(y, h_new + r * width, (size_t)(H - unit) * sizeof(FL_REAL));                            \
        }                                                                                                       \
    }

#define FL_ROUTINES(NAME, R, DEEP) FL_TILE(tile##NAME, R, DEEP) FL_PROJECT(NAME, R) FL_CELL(NAME, R)
FL_TILE(tile1_deep, 1, FL_DEEP1) FL_CELL(1_deep, 1)
FL_TILE(tile2_deep, 2, FL_DEEP2) FL_CELL(2_deep, 2)
FL_ROUTINES(1, 1, 1)
FL_ROUTINES(2, 2, 1)
FL_ROUTINES(3, 3, 1)
#if FL_ROWS == 6
FL_ROUTINES(4, 4, 1)
FL_ROUTINES(5, 5, 1)
FL_ROUTINES(6, 6, 1)
#define FL_UP_TO_6(f) FL_X(f##4), FL_X(f##5), FL_X(f##6)
#else
#define FL_UP_TO_6(f) NULL
#endif

typedef void (*FL_X(routine))(const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row);
static const FL_X(routine) FL_X(project)[] = {
    NULL, FL_X(project1), FL_X(project2), FL_X(project3), FL_UP_TO_6(project)};
static const FL_X(routine) FL_X(cell)[] = {NULL, FL_X(cell1), FL_X(cell2), FL_X(cell3), FL_UP_TO_6(cell)};
/* for batches of 1 and 2, whose few sums would else wait for each other */
static const FL_X(routine) FL_X(deep_cell)[] = {NULL, FL_X(cell1_deep), FL_X(cell2_deep)};

/* Rows first..last in groups of at most FL_ROWS, as even as can be: few rows cost nearly as much as a full group. */
static void FL_X(in_groups)(const FL_X(routine) *routines, const struct fl_pass *p, ptrdiff_t t, ptrdiff_t block,
                            ptrdiff_t first, ptrdiff_t last) {
    while (first < last) {
        ptrdiff_t groups = (last - first + FL_ROWS - 1) / FL_ROWS, rows = (last - first + groups - 1) / groups;
        routines[rows](p, t, block, first);
        first += rows;
    }
}

static void FL_X(forward)(void *pass, int thread, struct fl_team *team) {
    struct fl_pass mine = *(const struct fl_pass *)pass, *p = &mine;
    const FL_X(routine) *cell = p->N <= 2 ? FL_X(deep_cell) : FL_X(cell);
    ptrdiff_t blocks = p->width / LANES, first = 0, last = p->N, block0 = 0, block1 = blocks;
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
    for (ptrdiff_t t = 0; t < p->T; t++) {
        ptrdiff_t end = p->alive[t] < last ? p->alive[t] : last;
        if (p->projected && t % p->chunk == 0) {
            ptrdiff_t steps = p->T - t < p->chunk ? p->T - t : p->chunk;
            for (ptrdiff_t block = block0; block < block1; block++)
                FL_X(in_groups)(FL_X(project), p, t, block, 0, steps * p->count);
        }
        /* to and fro, so that each step begins with the weights that the last one left in the caches */
        for (ptrdiff_t b = block0; b < block1; b++)
            FL_X(in_groups)(cell, p, t, t & 1 ? block0 + block1 - 1 - b : b, first, end);
        if (p->by_units) fl_barrier(team);
    }
}

static void FL_X(pack)(FL_REAL *panels, FL_REAL *bias, const FL_REAL *w, const FL_REAL *u, const FL_REAL *b,
                       ptrdiff_t I, ptrdiff_t H) {
    for (ptrdiff_t block = 0; block * LANES < H; block++)
        for (int g = 0; g < 4; g++)
            for (ptrdiff_t lane = 0; lane < LANES; lane++) {
                ptrdiff_t unit = block * LANES + lane, row = g * H + unit;
                FL_REAL *out = panels + (block * (I + H) * 4 + g) * LANES + lane;
                bias[(block * 4 + g) * LANES + lane] = unit < H ? b[row] : 0;
                for (ptrdiff_t k = 0; k < I; k++, out += 4 * LANES) *out = unit < H ? w[row * I + k] : 0;
                for (ptrdiff_t k = 0; k < H; k++, out += 4 * LANES) *out = unit < H ? u[row * H + k] : 0;
            }
}

#undef VEC
#undef BITS
#undef SIGNED
#undef FL_MIN
#undef FL_MAX
#undef LANES
#undef EACH
#undef AT
#undef FL_TILE
#undef FL_PROJECT
#undef FL_CELL
#undef FL_ROUTINES
#undef FL_UP_TO_6
