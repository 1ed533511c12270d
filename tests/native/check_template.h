/* The kernels for one type, REAL, beside plain loops; X(name) is a name of its own for it, TABLE its functions. */

static REAL *X(copy)(const double *from, ptrdiff_t count) {
    REAL *p = room((size_t)count * sizeof *p);
    for (ptrdiff_t k = 0; k < count; k++) p[k] = (REAL)from[k];
    return p;
}

/* (rows, columns) into rows of `width` numbers, zeros beyond */
static REAL *X(wide)(const double *from, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width) {
    REAL *p = room((size_t)(rows * width) * sizeof *p);
    for (ptrdiff_t k = 0; k < rows * columns; k++) p[k / columns * width + k % columns] = (REAL)from[k];
    return p;
}

static REAL *X(filled)(ptrdiff_t count, REAL value) {
    REAL *p = room((size_t)count * sizeof *p);
    for (ptrdiff_t k = 0; k < count; k++) p[k] = value;
    return p;
}
static REAL *X(scratch)(ptrdiff_t count) { return X(filled)(count, NAN); }

/* The largest error, in parts of what is allowed; with `add`, BEFORE was there already, and it still is where a number
   was not to be written. The bits go into a digest. */
static double X(error)(const REAL *found, ptrdiff_t width, const double *wanted, ptrdiff_t rows, ptrdiff_t columns,
                       int add, uint64_t *bits) {
    double worst = 0, most = 1;
    for (ptrdiff_t k = 0; k < rows * columns; k++)
        if (fabs(wanted[k]) > most) most = fabs(wanted[k]);
    for (ptrdiff_t k = 0; k < rows * columns; k++) {
        const REAL *one = found + k / columns * width + k % columns;
        const double off = fabs(*one - (isnan(wanted[k]) ? BEFORE : wanted[k] + (add ? BEFORE : 0))) / most;
        uint64_t own = 0;
        memcpy(&own, one, sizeof *one);
        *bits = (*bits ^ own) * 0x9E3779B97F4A7C15u + (*bits >> 29);
        if (!(off <= worst)) worst = isnan(off) ? INFINITY : off;
    }
    return worst / TOLERANCE;
}

/* A problem's arrays for the kernels: what they read, and what they leave, of all rows. */
struct X(arrays) {
    const struct fl_format *format; /* of the panels */
    ptrdiff_t lanes, width;
    void *panels;
    REAL *w, *u, *b, *v, *x, *dy, *h0, *c0, *bias;
    REAL *y, *y_kept, *c, *dx, *dw, *du, *db, *dv, *dh, *carried; /* y of a pass that keeps nothing, and of one that does */
};

static struct X(arrays) X(arrays_of)(const struct fl_kernels *kernels, const struct fl_format *format,
                                     const struct fl_cell *cell, const struct problem *q) {
    const ptrdiff_t N = q->N, T = q->T, I = q->I, H = q->H, G = cell->gates, S = cell->sums;
    const ptrdiff_t lanes = kernels->bytes / (ptrdiff_t)sizeof(REAL), width = (H + lanes - 1) / lanes * lanes;
    return (struct X(arrays)){
        .format = format, .lanes = lanes, .width = width, .w = X(copy)(q->w, G * H * I), .u = X(copy)(q->u, G * H * H),
        .b = q->b ? X(copy)(q->b, S * H) : NULL, .v = X(copy)(q->v, cell->own * H), .x = X(copy)(q->x, N * T * I), .dy = X(copy)(q->dy, N * T * q->Y),
        .h0 = X(wide)(q->h0, N, H, width), .c0 = X(wide)(q->c0, N, H, width),
        .panels = garbage(panel_bytes(format, width * G, I) + panel_bytes(format, width * G, H)),
        .bias = X(scratch)(width * (S + cell->own)),
        .y = X(filled)(N * T * q->Y, BEFORE), .y_kept = X(filled)(N * T * q->Y, BEFORE), .c = X(wide)(q->c0, N, H, width),
        .dx = X(filled)(N * T * I, BEFORE), .dw = X(filled)(G * H * I, BEFORE), .du = X(filled)(G * H * H, BEFORE),
        .db = q->b ? X(filled)(S * H, BEFORE) : NULL, .dv = X(filled)(cell->own * H, BEFORE), .dh = X(wide)(q->dh, N, H, width),
        .carried = X(wide)(q->dc, N, H, width)};
}

/* Forwards, with and without keeping what `backward` needs, if there is one; the final h is the last output. */
static int X(forward)(const struct fl_cell *cell, const struct problem *q, const struct X(arrays) *a,
                      const struct batch *batch, const struct way *way, REAL *kept, REAL *kept_c) {
    const ptrdiff_t N = batch->N, H = q->H, width = a->width, state = batch->first * width;
    const int turn = q->reversed ? -1 : 1;
    int same = 1;
    for (int keeps = way->single; keeps < (cell->backward ? 2 : 1); keeps++) {
        int phase = (keeps + N) & 1;
        REAL *h = X(scratch)(2 * N * width), *c = a->c + state, *y = keeps ? a->y_kept : a->y;
        memcpy(h + phase * N * width, a->h0 + state, (size_t)(N * width) * sizeof *h);
        memcpy(c, a->c0 + state, (size_t)(N * width) * sizeof *c);
        struct fl_pass p = {
            .T = batch->T, .N = N, .I = q->I, .H = H, .width = width, .alive = batch->alive, .x = a->x,
            .x_row = batch->x_row, .x_step = turn * q->I, .c = cell->keeps_c ? c : NULL, .h = h, .y = y,
            .y_row = batch->y_row, .y_step = turn * q->Y, .chunk = 3, .segment_count = batch->segment_count,
            .segments = batch->segments, .phase = &phase, .option = cell->option, .options = &plain_options,
            .fresh = q->fresh};
        if (way->single) p.w = a->w, p.u = a->u, p.b = a->b;
        else p.panels = a->panels, p.bias = a->bias;
        if (keeps) p.kept = kept, p.kept_c = kept_c, p.offset = batch->offset, p.rows = batch->offset[batch->T];
        else if (batch->full && batch->segment_count == 1)
            p.projected = X(scratch)(3 * N * width * cell->sums);
        p.rounded_each = N * (p.chunk * row_inputs(a->format, q->I) + row_inputs(a->format, H));
        p.rounded = garbage(way->threads * p.rounded_each * (ptrdiff_t)sizeof(uint32_t));
        fl_run(way->single ? cell->forward_single : cell->forward, &p, way->threads, FL_WORTH_WAKING);
        for (ptrdiff_t n = 0; n < N; n++) {
            const ptrdiff_t T = q->lengths[batch->first + n], last = batch->y_row[n] + (T - 1) * turn * q->Y;
            same &= !memcmp(h + (((T + phase) & 1) * N + n) * width, y + last, (size_t)H * sizeof *h);
        }
    }
    return same;
}

static void X(backward)(const struct fl_kernels *kernels, const struct fl_cell *cell, const struct problem *q,
                        const struct X(arrays) *a, const struct batch *batch, const struct way *way, REAL *kept,
                        REAL *kept_c) {
    const ptrdiff_t I = q->I, H = q->H, G = cell->gates, S = cell->sums, width = a->width, state = batch->first * width;
    const ptrdiff_t inputs = (I + a->lanes - 1) / a->lanes * a->lanes;
    const int turn = q->reversed ? -1 : 1, more = batch->first > 0;
    struct fl_backward p = {
        .T = batch->T, .N = batch->N, .rows = batch->offset[batch->T], .I = I, .H = H, .width = width,
        .alive = batch->alive, .offset = batch->offset, .segment_count = batch->segment_count,
        .segments = batch->segments, .strip = H > 128 ? FL_STRIP : 1 + (batch->N + I) % FL_STRIP, .x = a->x, .y = a->y_kept, .dy = a->dy,
        .x_row = batch->x_row, .y_row = batch->y_row, .x_step = turn * I, .y_step = turn * q->Y,
        .h = q->fresh ? NULL : a->h0 + state, .c = q->fresh || !cell->keeps_c ? NULL : a->c0 + state, .kept = kept,
        .kept_c = kept_c, .dh = a->dh + state, .dc = a->carried + state,
        .past = X(filled)(batch->N * width, 0), .option = cell->option,
        .options = &plain_options, .bias = a->bias, .initial = !q->fresh, .w = a->w, .u = a->u, .dx = a->dx, .add_dx = way->add, .dw = a->dw, .du = a->du,
        .db = a->db, .dv = a->dv, .add_dw = way->add || more, .add_du = !way->add || more,
        .add_db = way->add || more, .add_dv = !way->add || more};
    if (!way->single) {
        const ptrdiff_t depth = a->format->depth, bundles = longest_in_bundles(batch, depth);
        p.transposed = garbage(fl_transposed_room(inputs, width, G) * a->format->bytes);
        p.columns = X(scratch)(fl_columns_room(I, H, G, S, kernels->rows, bundles));
        p.panels = X(scratch)(fl_gradients_room(I, H, G, S, cell->own, width));
        if (a->format->rounds) p.rounded = X(scratch)(p.rows * S * width / depth);
        p.interleaved_each = bundles * S * cell->units * a->lanes;
        if (depth > 1) p.interleaved = X(scratch)(way->threads * p.interleaved_each);
    }
    fl_run(way->single ? cell->backward_single : cell->backward, &p, way->threads, FL_WORTH_WAKING);
}

/* A problem in one way: batch after batch, and its errors. */
static struct found X(run)(const struct fl_kernels *kernels, const struct fl_format *format,
                           const struct fl_cell *cell, const struct problem *q, const struct way *way) {
    const size_t before = held_count;
    const ptrdiff_t N = q->N, T = q->T, I = q->I, H = q->H, G = cell->gates, S = cell->sums;
    const struct X(arrays) a = X(arrays_of)(kernels, format, cell, q);
    struct fl_packing packing = {I, H, a.w, a.u, a.b, a.v, a.panels, a.bias};
    struct found found = {0, 0, 0};
    uint64_t bits = 0;
    int same = 1;
    if (!way->single) fl_run(cell->pack, &packing, way->threads, FL_WORTH_WAKING);
    for (ptrdiff_t first = 0; first < N; first += way->rows) {
        const size_t here = held_count;
        const struct batch batch = batch_of(q, way, first);
        const ptrdiff_t kept = batch.offset[batch.T] * a.width;
        REAL *sums = X(scratch)(kept * S), *c = cell->keeps_c ? X(scratch)(kept) : NULL;
        same &= X(forward)(cell, q, &a, &batch, way, sums, c);
        X(backward)(kernels, cell, q, &a, &batch, way, sums, c);
        give_back(here);
    }
    if (!way->single) found.error = X(error)(a.y, q->Y, q->y, N * T, q->Y, 0, &bits);
    found.error = fmax(found.error, X(error)(a.y_kept, q->Y, q->y, N * T, q->Y, 0, &found.row_bits));
    if (!same || (!way->single && bits != found.row_bits)) found.error = INFINITY;
    found.error = fmax(found.error, X(error)(a.dx, I, q->dx, N * T, I, way->add, &found.row_bits));
    if (cell->keeps_c) {
        found.error = fmax(found.error, X(error)(a.c, a.width, q->c, N, H, 0, &found.row_bits));
        found.error = fmax(found.error, X(error)(a.carried, a.width, q->dc0, N, H, 0, &found.row_bits));
    }
    if (!q->fresh) found.error = fmax(found.error, X(error)(a.dh, a.width, q->dh0, N, H, 0, &found.row_bits));
    found.error = fmax(found.error, X(error)(a.dw, I, q->dw, G * H, I, way->add, &found.weight_bits));
    found.error = fmax(found.error, X(error)(a.du, H, q->du, G * H, H, !way->add, &found.weight_bits));
    if (q->b) found.error = fmax(found.error, X(error)(a.db, 1, q->db, S * H, 1, way->add, &found.weight_bits));
    found.error = fmax(found.error, X(error)(a.dv, 1, q->dv, cell->own * H, 1, !way->add, &found.weight_bits));
    found.error /= sqrt(1 + (double)(I + H) / 256); /* the errors of long sums grow as their root */
    give_back(before);
    return found;
}

/* All the ways: whatever threads share and whatever batch a row stands in, its own bits are those of the first way,
   and in single steps those of the first of these; the bits of the gradients of the weights depend on the batch alone.
   Errors may be `allowed` times as large as those of exact formats. */
static double X(all_ways)(const struct fl_kernels *kernels, const struct fl_format *format, const struct fl_cell *cell,
                          const struct problem *q, const struct way *ways, size_t count, double allowed) {
    struct found first = {0, 0, 0}, last = first;
    double worst = 0;
    for (size_t k = 0; k < count && (!ways[k].single || cell->forward_single); k++) {
        const int same_batch = k && ways[k].rows == ways[k - 1].rows && ways[k].single == ways[k - 1].single;
        const struct found found = X(run)(kernels, format, cell, q, ways + k);
        if (!k || ways[k].single != ways[k - 1].single) first = found;
        worst = fmax(worst, found.error / allowed);
        if (found.row_bits != first.row_bits || (same_batch && found.weight_bits != last.weight_bits)) worst = INFINITY;
        if (!(worst < 1)) {
            printf("%s, %zu bytes: error %g, bits of rows %s, by ", cell->name, sizeof(REAL), worst,
                   found.row_bits == first.row_bits ? "the same" : "others");
            print_way(ways + k);
            break;
        }
        last = found;
    }
    return worst;
}

/* A product in one of the ways of `enum product`, or 0 where there is none. */
static double X(matmul)(const struct fl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads, int way) {
    REAL *a = X(copy)(numbers(m * k, 1), m * k), *b = X(copy)(numbers(k * n, 1), k * n), *c = X(scratch)(m * n);
    REAL *bias = X(copy)(numbers(n, 1), n);
    struct fl_matmul p = {.m = m, .n = n, .k = k, .a_row = way & A_TRANSPOSED ? 1 : k,
                          .a_k = way & A_TRANSPOSED ? m : 1, .a = a, .b = b, .b_k = way & B_TRANSPOSED ? 1 : n,
                          .b_col = way & B_TRANSPOSED ? k : 1, .c = c, .c_row = n, .add = (way & ADD) != 0,
                          .in_order = (way & IN_ORDER) != 0, .bias = way & BIAS ? bias : NULL,
                          .room = room((size_t)(threads * kernels->TABLE.matmul_room))};
    double worst = 0;
    if (p.bias && (p.a_k != 1 || n == 1 || (m == 1 && !p.in_order) || p.add)) return 0;
    for (ptrdiff_t i = 0; i < m * n; i++) c[i] = (REAL)BEFORE;
    fl_run(kernels->TABLE.formats[FL_EXACT]->matmul, &p, threads, FL_WORTH_WAKING);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = p.add ? (double)BEFORE : p.bias ? (double)bias[j] : 0;
            for (ptrdiff_t l = 0; l < k; l++) sum += (double)a[i * p.a_row + l * p.a_k] * b[l * p.b_k + j * p.b_col];
            worst = fmax(worst, fabs(sum - c[i * n + j]) / (double)k);
        }
    return worst / TOLERANCE;
}

#undef REAL
#undef X
#undef TABLE
#undef TOLERANCE
