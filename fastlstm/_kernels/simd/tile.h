/* Macros of the templates. They expand where they are used, so that one definition serves float and double. */
#ifndef FASTLSTM_TILE_H
#define FASTLSTM_TILE_H

#define FL_AHEAD 32
#define FL_NEAR (1 << 18) /* bytes of weights that stay in a core's L2 cache beside what they are multiplied with */
#define FL_HELD 96       /* rows whose sums are held while such a part of the weights is used for all of them */
#define FL_INLINE static inline __attribute__((always_inline))
#define VEC FL_X(vec)
#define BITS FL_X(bits)
#define SIGNED FL_X(signed)
#define FL_MIN FL_X(FL_MIN)
#define FL_MAX FL_X(FL_MAX)
#define LANES ((ptrdiff_t)(FL_BYTES / sizeof(FL_REAL)))
#define AT(field) ((FL_REAL *)p->field)
#define EACH(r, R) _Pragma("GCC unroll 16") for (int r = 0; r < (R); r++)

/* How many of the rows first..last come next, in groups of at most FL_ROWS and as even as can be: a group of few rows
   costs nearly as much as a full one. */
FL_INLINE ptrdiff_t fl_group(ptrdiff_t first, ptrdiff_t last) {
    ptrdiff_t groups = (last - first + FL_ROWS - 1) / FL_ROWS;
    return (last - first + groups - 1) / groups;
}

/* Row where the part of this thread begins, if each gets about as many rows times steps of a segment; alive never grows. */
FL_INLINE ptrdiff_t fl_share_rows(const ptrdiff_t *alive, const struct fl_segment *segment, int thread, int threads) {
    ptrdiff_t t = segment->last, rows = alive[segment->first], total = 0, sum = 0, row = 0;
    if (alive[t - 1] == rows || thread == threads) return rows * thread / threads;
    for (ptrdiff_t step = segment->first; step < t; step++) total += alive[step];
    for (; sum * threads < total * thread; row++) {
        while (alive[t - 1] <= row) t--;
        sum += t - segment->first;
    }
    return row;
}

/* What of a segment is a thread's own: these rows, and these blocks or strips of units. */
struct fl_part {
    ptrdiff_t first, last, unit0, unit1;
};

/* sum[r][g] += sum over k of a[r][k] w[k][g], DEEP values of k at a time, for R rows and G vectors. The order of the
   additions, and with it every bit of the result, depends on DEEP but on neither R nor G. With AHEAD, the weights of so
   many k later are asked for in time: for those that must come from beyond the core's own caches. */
#define FL_TILE(NAME, R, G, DEEP, AHEAD)                                                                        \
    FL_INLINE void FL_X(NAME)(VEC sum[R][G], ptrdiff_t K, const FL_REAL *const *a, const FL_REAL *w) {          \
        VEC part[DEEP][R][G];                                                                                   \
        ptrdiff_t k = 0;                                                                                        \
        EACH(u, DEEP) EACH(r, R) EACH(g, G) part[u][r][g] = u ? (VEC){0} : sum[r][g];                           \
        for (; k + DEEP <= K; k += DEEP) EACH(u, DEEP) {                                                        \
            VEC b[G];                                                                                           \
            EACH(g, G) b[g] = FL_X(load)(w + ((k + u) * G + g) * LANES);                                        \
            if (AHEAD) EACH(g, G) __builtin_prefetch(w + ((k + u + AHEAD) * G + g) * LANES);                    \
            EACH(r, R) {                                                                                        \
                VEC x = FL_X(set)(a[r][k + u]);                                                                 \
                EACH(g, G) part[u][r][g] += x * b[g];                                                           \
            }                                                                                                   \
        }                                                                                                       \
        for (; k < K; k++) EACH(r, R) EACH(g, G)                                                                \
            part[0][r][g] += FL_X(set)(a[r][k]) * FL_X(load)(w + (k * G + g) * LANES);                          \
        EACH(r, R) EACH(g, G) {                                                                                 \
            sum[r][g] = part[0][r][g];                                                                          \
            EACH(u, DEEP - 1) sum[r][g] += part[u + 1][r][g];                                                   \
        }                                                                                                       \
    }

#endif
