/* Matrix products from the same tile. The right-hand matrix stands in strips of G = 4, 2 or 1 vectors of columns,
   [strip][k][G][LANES], the columns beyond the last zero; the rows of the left-hand one are read where they lie. */

#ifndef FL_STRIP_WIDTH
/* vectors of the next strip if so many columns are left */
#define FL_STRIP_WIDTH(left) ((left) > 3 * LANES ? 4 : (left) > LANES ? 2 : 1)
/* What is packed at a time: blocks of FL_DEPTH x FL_BREADTH of b, a strip of which stays in L1 and L2, and of
   FL_HEIGHT x FL_DEPTH of a, which stays in L2; its rows are a little apart from a power of two. */
#define FL_DEPTH ((ptrdiff_t)(2048 / sizeof(FL_REAL)))
#define FL_BREADTH (32 * LANES)
#define FL_HEIGHT (FL_ROWS * 21)
#define FL_NARROW 256
#define FL_PACKED_ROW (FL_DEPTH + LANES)
#define FL_PACKED (FL_DEPTH * FL_BREADTH + FL_HEIGHT * FL_PACKED_ROW) /* numbers: of b, then of a */

#define FL_STRIP(R, G)                                                                                           \
    FL_TILE(tile##R##x##G, R, G, 1, 0)                                                                              \
    static void FL_X(strip##R##x##G)(const struct FL_X(strip) *s, ptrdiff_t row) {                               \
        const FL_REAL *a[R];                                                                                     \
        FL_REAL *c = s->c + row * s->c_row;                                                                      \
        ptrdiff_t columns = s->columns;                                                                          \
        VEC sum[R][G];                                                                                           \
        EACH(r, R) a[r] = s->a + (row + r) * s->a_row;                                                           \
        if (s->add) EACH(r, R) EACH(g, G) {                                                                      \
            if ((g + 1) * LANES <= columns) sum[r][g] = FL_X(load)(c + r * s->c_row + g * LANES);                \
            else sum[r][g] = FL_X(load_part)(c + r * s->c_row + g * LANES, columns - g * LANES);                 \
        }                                                                                                        \
        else EACH(r, R) EACH(g, G) sum[r][g] = s->bias ? FL_X(load)(s->bias + g * LANES) : (VEC){0};             \
        FL_X(tile##R##x##G)(sum, s->k, a, s->w);                                                                 \
        EACH(r, R) EACH(g, G) {                                                                                  \
            if ((g + 1) * LANES <= columns) FL_X(store)(c + r * s->c_row + g * LANES, sum[r][g]);                \
            else FL_X(store_part)(c + r * s->c_row + g * LANES, columns - g * LANES, sum[r][g]);                 \
        }                                                                                                        \
    }
#define FL_STRIPS(R) FL_STRIP(R, 1) FL_STRIP(R, 2) FL_STRIP(R, 4)
#define FL_OF_WIDTHS(R) {NULL, FL_X(strip##R##x1), FL_X(strip##R##x2), NULL, FL_X(strip##R##x4)}
#endif

/* Rows times one strip: c[i] = a[i] w, or that added to c, or to the bias. */
struct FL_X(strip) {
    ptrdiff_t k, a_row, c_row, columns;
    const FL_REAL *a, *w, *bias;
    FL_REAL *c;
    int add;
};

FL_STRIPS(1)
FL_STRIPS(2)
FL_STRIPS(3)
#if FL_ROWS == 6
FL_STRIPS(4)
FL_STRIPS(5)
FL_STRIPS(6)
#endif
static void (*const FL_X(strips)[][5])(const struct FL_X(strip) *, ptrdiff_t) = {
    {NULL}, FL_OF_WIDTHS(1), FL_OF_WIDTHS(2), FL_OF_WIDTHS(3),
#if FL_ROWS == 6
    FL_OF_WIDTHS(4), FL_OF_WIDTHS(5), FL_OF_WIDTHS(6),
#endif
};

static void FL_X(run_strip)(const struct FL_X(strip) *s, ptrdiff_t width, ptrdiff_t first, ptrdiff_t last) {
    while (first < last) {
        ptrdiff_t rows = fl_group(first, last);
        FL_X(strips)[rows][width](s, first);
        first += rows;
    }
}

/* One strip, `width` vectors wide, of the matrix whose element (k, j) lies at b + k * b_k + j * b_col. */
static void FL_X(pack_strip)(FL_REAL *to, ptrdiff_t width, const FL_REAL *b, ptrdiff_t b_k, ptrdiff_t b_col, ptrdiff_t K,
                             ptrdiff_t columns) {
    ptrdiff_t row = width * LANES;
    if (columns > row) columns = row;
    if (b_col == 1 && columns == row)
        for (ptrdiff_t k = 0; k < K; k++)
            for (ptrdiff_t g = 0; g < width; g++)
            {
                FL_X(store)(to + k * row + g * LANES, FL_X(load)(b + k * b_k + g * LANES));
                __builtin_prefetch(b + (k + 8) * b_k + g * LANES);
            }
    else {
        if (columns < row) memset(to, 0, (size_t)(K * row) * sizeof(FL_REAL));
        if (b_col == 1)
            for (ptrdiff_t k = 0; k < K; k++) memcpy(to + k * row, b + k * b_k, (size_t)columns * sizeof(FL_REAL));
        else FL_X(transpose)(to, row, b, b_col, columns, K);
    }
}

/* c[i] = a[i] b + start (or + c[i]) for vectors b: the inner products that a single column takes. The order of additions
   does not depend on how many rows there are. */
static void FL_X(inner)(const FL_REAL *a, ptrdiff_t a_row, const FL_REAL *b, ptrdiff_t k, FL_REAL start, int add, FL_REAL *c,
                        ptrdiff_t c_row, ptrdiff_t rows) {
    for (ptrdiff_t i = 0; i < rows; i += 4) {
        int some = rows - i < 4 ? (int)(rows - i) : 4;
        VEC sum[4] = {{0}, {0}, {0}, {0}};
        const FL_REAL *row[4];
        EACH(r, 4) row[r] = a + (i + (r < some ? r : 0)) * a_row;
        ptrdiff_t l = 0;
        for (; l + LANES <= k; l += LANES) {
            VEC v = FL_X(load)(b + l);
            EACH(r, 4) sum[r] += FL_X(load)(row[r] + l) * v;
        }
        if (l < k) {
            VEC v = FL_X(load_part)(b + l, k - l);
            EACH(r, 4) sum[r] += FL_X(load_part)(row[r] + l, k - l) * v;
        }
        for (int r = 0; r < some; r++) {
            FL_REAL *out = c + (i + r) * c_row, total = 0;
            for (int lane = 0; lane < (int)LANES; lane++) total += sum[r][lane];
            *out = total + (add ? *out : start);
        }
    }
}

/* c = a b or c += a b for a single row a, whose numbers lie a_k apart, and columns of b that lie side by side. */
static void FL_X(outer)(const struct fl_matmul *p, ptrdiff_t first, ptrdiff_t last) {
    for (ptrdiff_t j = first; j < last; j += 4 * LANES) {
        const FL_REAL *a = AT(a), *b = AT(b) + j;
        FL_REAL *c = AT(c) + j;
        ptrdiff_t columns = last - j;
        VEC sum[4] = {{0}, {0}, {0}, {0}};
        if (p->add) EACH(g, 4) sum[g] = FL_X(load_part)(c + g * LANES, columns - g * LANES);
        if (columns >= 4 * LANES)
            for (ptrdiff_t k = 0; k < p->k; k++)
                EACH(g, 4) sum[g] += FL_X(set)(a[k * p->a_k]) * FL_X(load)(b + k * p->b_k + g * LANES);
        else
            for (ptrdiff_t k = 0; k < p->k; k++)
                EACH(g, 4) sum[g] += FL_X(set)(a[k * p->a_k]) * FL_X(load_part)(b + k * p->b_k + g * LANES, columns - g * LANES);
        EACH(g, 4) FL_X(store_part)(c + g * LANES, columns - g * LANES, sum[g]);
    }
}

/* All strips of the weights (n, k) and of the bias (n) or NULL of an affine map. */
static void FL_X(pack_matrix)(void *panels, void *bias, const void *w, const void *b, ptrdiff_t n, ptrdiff_t k) {
    if (n == 1) { /* for inner products */
        memcpy(panels, w, (size_t)k * sizeof(FL_REAL));
        *(FL_REAL *)bias = b ? *(const FL_REAL *)b : 0;
        return;
    }
    for (ptrdiff_t j = 0, width; j < n; j += width * LANES) {
        width = FL_STRIP_WIDTH(n - j);
        FL_X(pack_strip)((FL_REAL *)panels + j * k, width, (const FL_REAL *)w + j * k, 1, k, k, n - j);
        for (ptrdiff_t l = j; l < j + width * LANES; l++)
            ((FL_REAL *)bias)[l] = b && l < n ? ((const FL_REAL *)b)[l] : 0;
    }
}

/* Each thread's part: of the rows where they are many, else of the strips. */
static void FL_X(share)(ptrdiff_t m, ptrdiff_t n, int thread, int threads, ptrdiff_t rows[2], ptrdiff_t columns[2]) {
    ptrdiff_t strips = (n + 4 * LANES - 1) / (4 * LANES);
    int by_rows = m >= 4 * FL_ROWS * threads || m >= n;
    rows[0] = by_rows ? m * thread / threads : 0;
    rows[1] = by_rows ? m * (thread + 1) / threads : m;
    columns[0] = by_rows ? 0 : strips * thread / threads * 4 * LANES;
    columns[1] = by_rows ? n : strips * (thread + 1) / threads * 4 * LANES;
    if (columns[1] > n) columns[1] = n;
}

static void FL_X(affine)(void *argument, int thread, struct fl_team *team) {
    const struct fl_affine *p = argument;
    ptrdiff_t rows[2], columns[2];
    FL_X(share)(p->m, p->n, thread, team->size, rows, columns);
    if (p->n == 1) {
        FL_X(inner)(AT(x) + rows[0] * p->x_row, p->x_row, AT(panels), p->k, *AT(bias), 0, AT(y) + rows[0] * p->y_row, p->y_row,
                    rows[1] - rows[0]);
        return;
    }
    for (ptrdiff_t j = columns[0], width; j < columns[1]; j += width * LANES) {
        width = FL_STRIP_WIDTH(p->n - j);
        struct FL_X(strip) s = {p->k, p->x_row, p->y_row, p->n - j, p->x, AT(panels) + j * p->k, AT(bias) + j, AT(y) + j, 0};
        FL_X(run_strip)(&s, width, rows[0], rows[1]);
    }
}

/* These rows and columns of the product. */
static void FL_X(multiply)(const struct fl_matmul *p, const ptrdiff_t rows[2], const ptrdiff_t columns[2], FL_REAL *scratch) {
    FL_REAL *packed_b = scratch, *packed_a = packed_b + FL_DEPTH * FL_BREADTH;
    ptrdiff_t height, depth, breadth, width;
    for (ptrdiff_t j = columns[0]; j < columns[1] && rows[0] < rows[1]; j += breadth) {
        breadth = columns[1] - j < FL_BREADTH ? columns[1] - j : FL_BREADTH;
        for (ptrdiff_t k = 0; k < p->k; k += depth) {
            depth = p->k - k < FL_DEPTH ? p->k - k : FL_DEPTH;
            for (ptrdiff_t l = 0; l < breadth; l += width * LANES) {
                width = FL_STRIP_WIDTH(breadth - l);
                FL_X(pack_strip)(packed_b + l * depth, width, AT(b) + k * p->b_k + (j + l) * p->b_col, p->b_k, p->b_col,
                                 depth, breadth - l);
            }
            FL_REAL last_bias[4 * FL_BYTES / sizeof(FL_REAL)] = {0};
            for (ptrdiff_t i = rows[0]; i < rows[1]; i += height) {
                const FL_REAL *a = AT(a) + i * p->a_row + k * p->a_k;
                height = rows[1] - i < FL_HEIGHT ? rows[1] - i : FL_HEIGHT;
                if (p->a_k != 1) FL_X(transpose)(packed_a, FL_PACKED_ROW, a, p->a_k, depth, height);
                struct FL_X(strip) s = {depth, p->a_row, p->c_row, 0, a, NULL, NULL, NULL, p->add || k};
                if (p->a_k != 1) s.a = packed_a, s.a_row = FL_PACKED_ROW;
                for (ptrdiff_t l = 0; l < breadth; l += width * LANES) {
                    width = FL_STRIP_WIDTH(breadth - l);
                    s.w = packed_b + l * depth;
                    s.c = AT(c) + i * p->c_row + j + l;
                    s.columns = breadth - l;
                    s.bias = p->bias && !k ? (const FL_REAL *)p->bias + j + l : NULL;
                    if (s.bias && s.columns < width * LANES)
                        s.bias = memcpy(last_bias, s.bias, (size_t)s.columns * sizeof(FL_REAL));
                    FL_X(run_strip)(&s, width, 0, height);
                }
            }
        }
    }
}

/* Where a must be transposed and has many more rows than b has columns, the product is formed transposed, so that it is
   b that is transposed: c' = b' a', in parts of FL_BREADTH rows of c. */
static void FL_X(multiply_transposed)(const struct fl_matmul *p, const ptrdiff_t rows[2], FL_REAL *scratch) {
    FL_REAL *turned = scratch + FL_PACKED;
    for (ptrdiff_t i = rows[0]; i < rows[1]; i += FL_BREADTH) {
        ptrdiff_t count = rows[1] - i < FL_BREADTH ? rows[1] - i : FL_BREADTH;
        struct fl_matmul q = {p->n, count, p->k, p->b_col, p->b_k, p->a_k, p->a_row, FL_BREADTH,
                              p->b, AT(a) + i * p->a_row, turned, 0, NULL, NULL};
        FL_X(multiply)(&q, (ptrdiff_t[2]){0, p->n}, (ptrdiff_t[2]){0, count}, scratch);
        if (!p->add) FL_X(transpose)(AT(c) + i * p->c_row, p->c_row, turned, FL_BREADTH, p->n, count);
        else for (ptrdiff_t r = 0; r < count; r += LANES) {
            FL_REAL some[FL_BYTES / sizeof(FL_REAL) * FL_NARROW];
            ptrdiff_t rest = count - r < LANES ? count - r : LANES;
            FL_X(transpose)(some, FL_NARROW, turned + r, FL_BREADTH, p->n, rest);
            for (ptrdiff_t l = 0; l < rest; l++) {
                FL_REAL *restrict c = AT(c) + (i + r + l) * p->c_row;
                for (ptrdiff_t j = 0; j < p->n; j++) c[j] += some[l * FL_NARROW + j];
            }
        }
    }
}

/* Each thread's part of the room, in whole cache lines: what is packed, and a transposed product. */
enum { FL_X(matmul_room) = ((FL_PACKED + FL_NARROW * FL_BREADTH) * (int)sizeof(FL_REAL) + 63) / 64 * 64 };

static void FL_X(matmul)(void *argument, int thread, struct fl_team *team) {
    const struct fl_matmul *p = argument;
    FL_REAL *scratch = (FL_REAL *)((char *)p->room + (ptrdiff_t)thread * FL_X(matmul_room));
    ptrdiff_t rows[2], columns[2];
    if (p->n == 1 && p->a_k == 1 && p->b_k == 1) {
        ptrdiff_t first = p->m * thread / team->size, last = p->m * (thread + 1) / team->size;
        FL_X(inner)(AT(a) + first * p->a_row, p->a_row, p->b, p->k, 0, p->add, AT(c) + first * p->c_row, p->c_row, last - first);
    } else if (p->m == 1 && p->a_k == 1 && p->b_k == 1) {
        ptrdiff_t first = p->n * thread / team->size, last = p->n * (thread + 1) / team->size;
        FL_X(inner)(AT(b) + first * p->b_col, p->b_col, p->a, p->k, 0, p->add, AT(c) + first, 1, last - first);
    } else if (p->m == 1 && p->b_col == 1) {
        FL_X(outer)(p, p->n * thread / team->size, p->n * (thread + 1) / team->size);
    } else if (p->a_k != 1 && p->n <= FL_NARROW && 2 * p->n <= p->m) {
        rows[0] = p->m * thread / team->size;
        rows[1] = p->m * (thread + 1) / team->size;
        FL_X(multiply_transposed)(p, rows, scratch);
    } else {
        FL_X(share)(p->m, p->n, thread, team->size, rows, columns);
        FL_X(multiply)(p, rows, columns, scratch);
    }
}
