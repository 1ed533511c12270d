/* The register tile that everything is built from, for one type and one width of vectors: R rows by G vectors of sums. */

typedef FL_REAL FL_X(vec) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_BITS FL_X(bits) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_INT FL_X(signed) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));

FL_INLINE VEC FL_X(set)(FL_REAL x) { return x - (VEC){0}; }
FL_INLINE VEC FL_X(load)(const FL_REAL *p) { return *(const VEC *)p; }
FL_INLINE void FL_X(store)(FL_REAL *p, VEC v) { *(VEC *)p = v; }

static inline VEC FL_X(load_part)(const FL_REAL *p, ptrdiff_t count) {
    VEC v = {0};
    for (int l = 0; l < (int)LANES && l < count; l++) v[l] = p[l];
    return v;
}

static inline void FL_X(store_part)(FL_REAL *p, ptrdiff_t count, VEC v) {
    for (int l = 0; l < (int)LANES && l < count; l++) p[l] = v[l];
}

/* to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns */
static void FL_X(transpose)(FL_REAL *to, ptrdiff_t to_row, const FL_REAL *from, ptrdiff_t from_row, ptrdiff_t rows,
                            ptrdiff_t columns) {
    ptrdiff_t i = 0;
#if !defined(__clang__)
    /* squares of LANES x LANES in registers: in each pass, halves of rows i and i + d change places */
    for (; i + LANES <= rows; i += LANES) {
        ptrdiff_t j = 0;
        for (; j + LANES <= columns; j += LANES) {
            VEC v[FL_BYTES / sizeof(FL_REAL)];
            EACH(r, (int)LANES) {
                v[r] = FL_X(load)(from + (i + r) * from_row + j);
                __builtin_prefetch(from + (i + r + LANES) * from_row + j);
            }
            _Pragma("GCC unroll 4") for (int d = 1; d < (int)LANES; d *= 2) {
                BITS low, high;
                EACH(l, (int)LANES) {
                    low[l] = (FL_BITS)(l & d ? l - d + (int)LANES : l);
                    high[l] = (FL_BITS)(l & d ? l + (int)LANES : l + d);
                }
                EACH(r, (int)LANES) if (!(r & d)) {
                    VEC a = v[r], b = v[r + d];
                    v[r] = __builtin_shuffle(a, b, low);
                    v[r + d] = __builtin_shuffle(a, b, high);
                }
            }
            EACH(r, (int)LANES) FL_X(store)(to + (j + r) * to_row + i, v[r]);
        }
        for (; j < columns; j++)
            for (ptrdiff_t r = i; r < i + LANES; r++) to[j * to_row + r] = from[r * from_row + j];
    }
#endif
    for (; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++) to[j * to_row + i] = from[i * from_row + j];
}
