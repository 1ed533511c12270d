/* Dropout, sums over columns, the gradient of an embedding, sums of two arrays, and the largest of several rows. */

#ifndef FL_COLUMNS_AT_ONCE
#define FL_COLUMNS_AT_ONCE 256
#define FL_ROWS_AT_ONCE 128
#define FL_LINE ((ptrdiff_t)(64 / sizeof(FL_REAL)))
/* this thread's part of so many columns, in whole cache lines */
#define FL_SHARE(n, thread) ((thread) == team->size ? (n) : ((n) / FL_LINE) * (thread) / team->size * FL_LINE)
#endif

/* The random words of a part of an array: those from skip on are of its `count` numbers from `begin` on. */
static ptrdiff_t FL_X(draw)(const struct fl_drop *p, ptrdiff_t part, uint32_t *words, ptrdiff_t *skip, ptrdiff_t *begin) {
    const ptrdiff_t lead = (ptrdiff_t)(p->first % FL_TOGETHER); /* words before the first one, which nobody needs */
    const ptrdiff_t from = part * FL_WORDS - lead, left = p->size - from;
    *skip = from < 0 ? -from : 0;
    *begin = from + *skip;
    fl_random_words(words, (p->first - (uint64_t)lead) / 4 + (uint64_t)part * (FL_WORDS / 4), p->key, p->call);
    return (left < FL_WORDS ? left : FL_WORDS) - *skip;
}
static ptrdiff_t FL_X(parts)(const struct fl_drop *p) {
    return ((ptrdiff_t)(p->first % FL_TOGETHER) + p->size + FL_WORDS - 1) / FL_WORDS;
}

static void FL_X(drop)(void *argument, int thread, struct fl_team *team) {
    const struct fl_drop *p = argument;
    ptrdiff_t parts = FL_X(parts)(p), last = parts * (thread + 1) / team->size, skip, begin;
    const FL_REAL scale = (FL_REAL)p->scale;
    const uint32_t threshold = p->threshold;
    uint32_t words[FL_WORDS];
    for (ptrdiff_t part = parts * thread / team->size; part < last; part++) {
        const ptrdiff_t n = FL_X(draw)(p, part, words, &skip, &begin);
        const FL_REAL *restrict x = (const FL_REAL *)p->x + begin;
        FL_REAL *restrict y = (FL_REAL *)p->y + begin;
        for (ptrdiff_t k = 0; k < n; k++) y[k] = words[skip + k] < threshold ? 0 : x[k] * scale;
    }
}

static void FL_X(mask)(void *argument, int thread, struct fl_team *team) {
    const struct fl_drop *p = argument;
    ptrdiff_t parts = FL_X(parts)(p), last = parts * (thread + 1) / team->size, skip, begin;
    const uint32_t threshold = p->threshold;
    uint32_t words[FL_WORDS];
    for (ptrdiff_t part = parts * thread / team->size; part < last; part++) {
        const ptrdiff_t n = FL_X(draw)(p, part, words, &skip, &begin);
        unsigned char *restrict y = (unsigned char *)p->y + begin;
        for (ptrdiff_t k = 0; k < n; k++) y[k] = words[skip + k] < threshold;
    }
}

/* So many rows at a time are added in their own precision, and these sums in double, so that millions of rows lose
   nothing. */
static void FL_X(columns)(void *argument, int thread, struct fl_team *team) {
    const struct fl_columns *p = argument;
    ptrdiff_t end = FL_SHARE(p->n, thread + 1), width;
    for (ptrdiff_t column = FL_SHARE(p->n, thread); column < end; column += width) {
        FL_REAL part[FL_COLUMNS_AT_ONCE], *out = (FL_REAL *)p->out + column;
        double total[FL_COLUMNS_AT_ONCE] = {0};
        width = end - column < FL_COLUMNS_AT_ONCE ? end - column : FL_COLUMNS_AT_ONCE;
        for (ptrdiff_t i = 0; i < p->m;) {
            ptrdiff_t stop = p->m - i < FL_ROWS_AT_ONCE ? p->m : i + FL_ROWS_AT_ONCE;
            for (ptrdiff_t j = 0; j < width; j++) part[j] = 0;
            for (; i < stop; i++) {
                const FL_REAL *line = (const FL_REAL *)p->a + i * p->row + column;
                for (ptrdiff_t j = 0; j < width; j++) part[j] += line[j];
            }
            for (ptrdiff_t j = 0; j < width; j++) total[j] += part[j];
        }
        for (ptrdiff_t j = 0; j < width; j++) out[j] = (FL_REAL)((p->add ? out[j] : 0) + total[j]);
    }
}

/* Each thread has columns of its own, so that every sum has the order of the index. */
static void FL_X(scatter)(void *argument, int thread, struct fl_team *team) {
    const struct fl_scatter *p = argument;
    ptrdiff_t first = FL_SHARE(p->width, thread), n = FL_SHARE(p->width, thread + 1) - first;
    FL_REAL *out = (FL_REAL *)p->out + first;
    if (n == 0) return;
    if (!p->add)
        for (ptrdiff_t r = 0; r < p->rows; r++) memset(out + r * p->width, 0, (size_t)n * sizeof *out);
    for (ptrdiff_t k = 0; k < p->count; k++) {
        const ptrdiff_t row = p->index[k];
        const FL_REAL *restrict a = (const FL_REAL *)p->source + k * p->width + first;
        FL_REAL *restrict b = out + row * p->width;
        if (row < 0 || row >= p->rows) continue; /* another thread wrote it after the check */
        for (ptrdiff_t j = 0; j < n; j++) b[j] += a[j];
    }
}

static void FL_X(sum)(void *argument, int thread, struct fl_team *team) {
    const struct fl_sum *p = argument;
    const ptrdiff_t last = FL_SHARE(p->size, thread + 1);
    const FL_REAL *x = p->x, *y = p->y;
    FL_REAL *out = p->out; /* which may be x */
    for (ptrdiff_t k = FL_SHARE(p->size, thread); k < last; k++) out[k] = x[k] + y[k];
}

static void FL_X(largest_rows)(void *argument, int thread, struct fl_team *team) {
    const struct fl_largest *p = argument;
    const ptrdiff_t last = p->count * (thread + 1) / team->size, n = p->width;
    for (ptrdiff_t k = p->count * thread / team->size; k < last; k++) {
        FL_REAL *restrict out = (FL_REAL *)p->out + k * n;
        ptrdiff_t *restrict at = p->at ? p->at + k * n : NULL;
        int found = 0;
        memset(out, 0, (size_t)n * sizeof *out);
        if (at) memset(at, 0, (size_t)n * sizeof *at);
        for (ptrdiff_t j = 0; j < p->size; j++) {
            const ptrdiff_t row = p->index[k * p->size + j];
            const FL_REAL *restrict x = (const FL_REAL *)p->source + row * n;
            if (row < 0) continue;
            if (at)
                for (ptrdiff_t i = 0; i < n; i++) at[i] = !found || x[i] > out[i] ? j : at[i];
            for (ptrdiff_t i = 0; i < n; i++) out[i] = !found || x[i] > out[i] ? x[i] : out[i];
            found = 1;
        }
    }
}
