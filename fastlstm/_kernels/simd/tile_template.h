/* The register tile that everything is built from, for one type and one width of vectors: R rows by G vectors of sums. */

typedef FL_REAL FL_X(vec) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_BITS FL_X(bits) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));
typedef FL_INT FL_X(signed) __attribute__((vector_size(FL_BYTES), aligned(sizeof(FL_REAL)), may_alias));

FL_INLINE VEC FL_X(set)(FL_REAL x) { return x - (VEC){0}; }
FL_INLINE VEC FL_X(load)(const FL_REAL *p) { return *(const VEC *)p; }
FL_INLINE void FL_X(store)(FL_REAL *p, VEC v) { *(VEC *)p = v; }
