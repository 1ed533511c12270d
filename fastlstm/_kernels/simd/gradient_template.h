/* The gradients of an LSTM's weights: one product over all the rows of a segment, whose right side, the gates' gradients,
   lies packed already. */

#ifndef FL_GRADIENT
/* R columns of the weights' gradients: c (R, 4 LANES) = a' b or that added to c, for a [k][R] and b [k][4][LANES]. The last
   k come first, as the steps do: then no bit depends on where a segment or a pass ends. */
#define FL_GRADIENT(R)                                                                                          \
    static void FL_X(gradient##R)(const FL_REAL *a, const FL_REAL *b, FL_REAL *c, ptrdiff_t K, int add) {       \
        VEC sum[R][4];                                                                                          \
        EACH(r, R) EACH(g, 4) sum[r][g] = add ? FL_X(load)(c + (r * 4 + g) * LANES) : (VEC){0};                 \
        for (ptrdiff_t k = K; k-- > 0;) {                                                                       \
            VEC v[4];                                                                                           \
            EACH(g, 4) v[g] = FL_X(load)(b + (k * 4 + g) * LANES);                                              \
            __builtin_prefetch(a + k * R - 512); /* across pages, too */                                        \
            EACH(r, R) {                                                                                        \
                VEC x = FL_X(set)(a[k * R + r]);                                                                \
                EACH(g, 4) sum[r][g] += x * v[g];                                                               \
            }                                                                                                   \
        }                                                                                                       \
        EACH(r, R) EACH(g, 4) FL_X(store)(c + (r * 4 + g) * LANES, sum[r][g]);                                  \
    }

#define FL_COPY (FL_ROWS == 6 ? 8 : 4) /* numbers that are copied for at most FL_ROWS of them: whole vectors */
#define FL_SOME 32 /* rows whose addresses are held */
#endif

FL_GRADIENT(1)
FL_GRADIENT(2)
FL_GRADIENT(3)
#if FL_ROWS == 6
FL_GRADIENT(4)
FL_GRADIENT(5)
FL_GRADIENT(6)
#endif
static void (*const FL_X(gradients)[])(const FL_REAL *, const FL_REAL *, FL_REAL *, ptrdiff_t, int) = {
    NULL, FL_X(gradient1), FL_X(gradient2), FL_X(gradient3),
#if FL_ROWS == 6
    FL_X(gradient4), FL_X(gradient5), FL_X(gradient6),
#endif
};

static ptrdiff_t FL_X(strips_of)(ptrdiff_t vectors, ptrdiff_t strip) { return (vectors + strip - 1) / strip; }

/* x, 1 and the h before, of a segment's rows, in strips of FL_ROWS columns [k][columns]; the strips of h begin anew. */
static void FL_X(collect)(const struct fl_backward *p, const struct fl_segment *segment, int thread, int threads) {
    const ptrdiff_t K = p->before[segment->last] - p->before[segment->first], room = K * FL_ROWS + FL_COPY;
    const ptrdiff_t of_x = FL_X(strips_of)(p->I + 1, FL_ROWS), all = of_x + FL_X(strips_of)(p->H, FL_ROWS);
    ptrdiff_t t = segment->first, row = 0;
    for (ptrdiff_t k0 = 0, count; k0 < K; k0 += count) {
        const FL_REAL *x[FL_SOME], *h[FL_SOME];
        count = K - k0 < FL_SOME ? K - k0 : FL_SOME;
        for (ptrdiff_t k = 0; k < count; k++, row++) {
            if (row == p->alive[t]) t++, row = 0;
            x[k] = AT(x) + p->x_row[row] + t * p->x_step;
            h[k] = t ? AT(y) + p->y_row[row] + (t - 1) * p->y_step : p->h ? AT(h) + row * p->width : NULL;
        }
        for (ptrdiff_t strip = all * thread / threads; strip < all * (thread + 1) / threads; strip++) {
            const ptrdiff_t first = (strip < of_x ? strip : strip - of_x) * FL_ROWS, length = strip < of_x ? p->I : p->H;
            const ptrdiff_t left = length + (strip < of_x) - first, columns = left < FL_ROWS ? left : FL_ROWS;
            const FL_REAL **from = strip < of_x ? x : h;
            FL_REAL *to = AT(columns) + strip * room + k0 * columns;
            for (ptrdiff_t k = 0; k < count; k++, to += columns) {
                if (!from[k]) memset(to, 0, (size_t)columns * sizeof(FL_REAL));
                else if (first + FL_COPY <= length) memcpy(to, from[k] + first, FL_COPY * sizeof(FL_REAL));
                else
                    for (ptrdiff_t j = 0; j < columns; j++) to[j] = first + j < length ? from[k][first + j] : 1;
            }
        }
    }
}

/* The part of a segment's rows in the gradients of the weights. */
static void FL_X(weights_backward)(const struct fl_backward *p, const struct fl_segment *segment, int add, int thread,
                                   int threads) {
    const ptrdiff_t blocks = p->width / LANES, start = p->before[segment->first], K = p->before[segment->last] - start;
    const ptrdiff_t of_x = FL_X(strips_of)(p->I + 1, FL_ROWS), all = of_x + FL_X(strips_of)(p->H, FL_ROWS);
    const ptrdiff_t room = K * FL_ROWS + FL_COPY;
    for (ptrdiff_t n = blocks * all * thread / threads; n < blocks * all * (thread + 1) / threads; n++) {
        const ptrdiff_t block = n / all, strip = n % all;
        const ptrdiff_t first = (strip < of_x ? strip : strip - of_x) * FL_ROWS;
        const ptrdiff_t left = (strip < of_x ? p->I + 1 : p->H) - first, columns = left < FL_ROWS ? left : FL_ROWS;
        const ptrdiff_t column = block * (p->I + 1 + p->H) + (strip < of_x ? 0 : p->I + 1) + first;
        FL_X(gradients)[columns](AT(columns) + strip * room, AT(gates) + (block * p->S + start) * 4 * LANES,
                                 AT(panels) + column * 4 * LANES, K, add);
    }
}

/* to (count, columns) becomes, or has added, a panel's columns, transposed: from is [columns][4][LANES] */
static void FL_X(unpack)(FL_REAL *to, const FL_REAL *from, ptrdiff_t columns, ptrdiff_t count, int add) {
    if (!add) {
        FL_X(transpose)(to, columns, from, 4 * LANES, columns, count);
        return;
    }
    FL_REAL turned[FL_BYTES / sizeof(FL_REAL) * 64];
    for (ptrdiff_t j = 0; j < columns; j += 64) {
        const ptrdiff_t some = columns - j < 64 ? columns - j : 64;
        FL_X(transpose)(turned, 64, from + j * 4 * LANES, 4 * LANES, some, count);
        for (ptrdiff_t unit = 0; unit < count; unit++)
            for (ptrdiff_t k = 0; k < some; k++) to[unit * columns + j + k] += turned[unit * 64 + k];
    }
}

static void FL_X(deliver)(const struct fl_backward *p, int thread, int threads) {
    const ptrdiff_t I = p->I, H = p->H, blocks = p->width / LANES;
    for (ptrdiff_t n = 4 * blocks * thread / threads; n < 4 * blocks * (thread + 1) / threads; n++) {
        const ptrdiff_t block = n / 4, g = n % 4, row = g * H + block * LANES;
        const ptrdiff_t units = H - block * LANES < LANES ? H - block * LANES : LANES;
        const FL_REAL *panel = AT(panels) + (block * (I + 1 + H) * 4 + g) * LANES, *bias = panel + I * 4 * LANES;
        FL_X(unpack)(AT(dw) + row * I, panel, I, units, p->add_dw);
        FL_X(unpack)(AT(du) + row * H, panel + (I + 1) * 4 * LANES, H, units, p->add_du);
        if (p->db)
            for (ptrdiff_t unit = 0; unit < units; unit++)
                AT(db)[row + unit] = bias[unit] + (p->add_db ? AT(db)[row + unit] : 0);
    }
}
