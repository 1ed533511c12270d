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
    const ptrdiff_t N = q->N, T = q->T, I = q->I, H = q->H, K = q->K, G = cell->gates, S = cell->sums;
    const ptrdiff_t own = q->cell->own * H, C = q->C;
    const ptrdiff_t lanes = kernels->bytes / (ptrdiff_t)sizeof(REAL), width = (H + lanes - 1) / lanes * lanes;
    return (struct X(arrays)){
        .format = format, .lanes = lanes, .width = width, .w = X(copy)(q->w, G * H * I), .u = X(copy)(q->u, G * H * K),
        .b = q->b ? X(copy)(q->b, S * H) : NULL, .v = own ? X(copy)(q->v, own) : NULL, .x = X(copy)(q->x, N * T * I),
        .dy = X(copy)(q->dy, N * T * q->Y), .h0 = X(wide)(q->h0, N, H, width), .c0 = X(wide)(q->c0, N * C, H, width),
        .panels = garbage(panel_bytes(format, width * G, I) + panel_bytes(format, width * G, K)),
        .bias = X(scratch)(width * (S + cell->own)),
        .y = X(filled)(N * T * q->Y, BEFORE), .y_kept = X(filled)(N * T * q->Y, BEFORE),
        .c = X(wide)(q->c0, N * C, H, width),
        .dx = X(filled)(N * T * I, BEFORE), .dw = X(filled)(G * H * I, BEFORE), .du = X(filled)(G * H * K, BEFORE),
        .db = q->b ? X(filled)(S * H, BEFORE) : NULL, .dv = own ? X(filled)(own, BEFORE) : NULL, .dh = X(wide)(q->dh, N, H, width),
        .carried = X(wide)(q->dc, N * C, H, width)};
}

/* What one phase is, forwards: its own arrays, which no other phase has. It begins with half `*phase` of h. */
static struct fl_pass X(pass_of)(const struct fl_cell *cell, const struct problem *q, const struct X(arrays) *a,
                                 const struct batch *batch, const struct way *way, int keeps, int *phase) {
    const ptrdiff_t N = batch->N, width = a->width, of_c = q->C * width, state = batch->first * of_c;
    const int turn = q->reversed ? -1 : 1;
    struct fl_pass p = {
        .cell = cell, .T = batch->T, .N = N, .I = q->I, .H = q->H, .K = q->K, .width = width, .alive = batch->alive,
        .x = a->x, .x_row = batch->x_row, .x_step = turn * q->I, .c = cell->c_parts ? a->c + state : NULL,
        .h = X(scratch)(2 * N * width), .y = keeps ? a->y_kept : a->y, .y_row = batch->y_row, .y_step = turn * q->Y,
        .chunk = 3, .segment_count = batch->segment_count, .segments = batch->segments, .phase = phase,
        .option = cell->option, .options = q->options, .fresh = q->fresh};
    if (cell->c_parts) memcpy(p.c, a->c0 + state, (size_t)(N * of_c) * sizeof(REAL));
    if (way->single) p.w = a->w, p.u = a->u, p.b = a->b;
    else p.panels = a->panels, p.bias = a->bias;
    if (keeps) p.offset = batch->offset, p.rows = batch->offset[batch->T];
    else if (q->whole)
        p.kept = X(scratch)(N * width * cell->sums), p.offset = indices(batch->T), p.rows = N;
    if (!keeps && q->I && batch->full && batch->segment_count == 1)
        p.projected = X(scratch)(3 * N * width * cell->sums);
    p.rounded_each = N * (p.chunk * row_inputs(a->format, q->I) + row_inputs(a->format, q->K));
    p.rounded = garbage(way->threads * p.rounded_each * (ptrdiff_t)sizeof(uint32_t));
    return p;
}

/* Forwards, with and without keeping what `backward` needs, if there is one; the final h is the last output. Only the
   h of the last phase has a beginning. */
static int X(forward)(const struct fl_cell *const *cells, const struct problem *q, const struct X(arrays) *a,
                      const struct batch *batch, const struct way *way, REAL *const *kept, REAL *const *kept_c) {
    const int last = q->phases - 1, turn = q->reversed ? -1 : 1;
    const ptrdiff_t N = batch->N, width = a[last].width, Y = q[last].Y;
    int same = 1;
    for (int keeps = way->single; keeps < (cells[0]->backward ? 2 : 1); keeps++) {
        struct fl_pass p[MOST_PHASES];
        int half[MOST_PHASES];
        for (int k = 0; k <= last; k++) {
            half[k] = (keeps + N + k) & 1;
            p[k] = X(pass_of)(cells[k], q + k, a + k, batch + k, way, keeps, half + k);
            p[k].then = k < last ? p + k + 1 : NULL, p[k].before = k ? p + k - 1 : NULL;
            p[k].seen = p + (k ? k - 1 : last), p[k].ahead = k > 0;
            if (k && q->hands_on) p[k].c = p->c;
            if (keeps && kept) p[k].kept = kept[k], p[k].kept_c = kept_c[k];
        }
        REAL *const h = p[last].h, *const y = p[last].y;
        memcpy(h + half[last] * N * width, a[last].h0 + batch->first * width, (size_t)(N * width) * sizeof *h);
        fl_run(way->single ? cells[0]->forward_single : fl_forward, p, way->threads, FL_WORTH_WAKING);
        for (ptrdiff_t n = 0; n < N; n++) {
            const ptrdiff_t T = q->lengths[batch->first + n], end = batch[last].y_row[n] + (T - 1) * turn * Y;
            same &= !memcmp(h + (((T + half[last]) & 1) * N + n) * width, y + end, (size_t)q[last].H * sizeof *h);
        }
    }
    return same;
}

/* What one phase is, backwards; what it shares with others is not set yet. */
static struct fl_backward X(backward_of)(const struct fl_kernels *kernels, const struct fl_cell *cell,
                                         const struct problem *q, const struct X(arrays) *a, const struct batch *batch,
                                         const struct way *way) {
    const ptrdiff_t I = q->I, H = q->H, K = q->K, G = cell->gates, S = cell->sums, width = a->width;
    const ptrdiff_t state = batch->first * q->C * width, inputs = (I + a->lanes - 1) / a->lanes * a->lanes;
    const int turn = q->reversed ? -1 : 1, more = batch->first > 0;
    struct fl_backward p = {
        .cell = cell, .T = batch->T, .N = batch->N, .rows = batch->offset[batch->T], .I = I, .H = H, .K = K,
        .width = width, .alive = batch->alive, .offset = batch->offset, .segment_count = batch->segment_count,
        .segments = batch->segments, .strip = K > 128 ? FL_STRIP : 1 + (batch->N + I) % FL_STRIP, .x = I ? a->x : NULL,
        .y = a->y_kept, .x_row = batch->x_row, .y_row = batch->y_row, .x_step = turn * I, .y_step = turn * q->Y,
        .seen_width = (K + a->lanes - 1) / a->lanes * a->lanes,
        .c = q->fresh || !cell->c_parts ? NULL : a->c0 + state, .dc = a->carried + state,
        .past = X(filled)(batch->N * width, 0), .option = cell->option, .options = q->options, .bias = a->bias,
        .w = a->w, .u = a->u, .dx = I ? a->dx : NULL, .add_dx = way->add, .dw = a->dw, .du = a->du, .db = a->db,
        .dv = a->dv, .add_dw = way->add || more, .add_du = !way->add || more, .add_db = way->add || more,
        .add_dv = !way->add || more};
    if (way->single) return p;
    const ptrdiff_t depth = a->format->depth, bundles = longest_in_bundles(batch, depth);
    p.transposed = garbage(fl_transposed_room(inputs, p.seen_width, width, G) * a->format->bytes);
    p.columns = X(scratch)(cell->row_room ? way->threads * cell->row_room * width
                                          : fl_columns_room(I, K, G, S, kernels->rows, bundles));
    p.panels = X(scratch)(fl_gradients_room(I, K, G, S, cell->own, width) * (cell->row_room ? batch->N : 1));
    if (a->format->rounds) p.rounded = X(scratch)(p.rows * S * width / depth);
    p.interleaved_each = bundles * S * cell->units * a->lanes;
    if (depth > 1) p.interleaved = X(scratch)(way->threads * p.interleaved_each);
    return p;
}

/* The last phase comes first. Only it has gradients from outside, and a state h to begin with. */
static void X(backward)(const struct fl_kernels *kernels, const struct fl_cell *const *cells, const struct problem *q,
                        const struct X(arrays) *a, const struct batch *batch, const struct way *way, REAL *const *kept,
                        REAL *const *kept_c) {
    const int last = q->phases - 1;
    const ptrdiff_t state = batch->first * a[last].width;
    struct fl_backward p[MOST_PHASES];
    for (int k = 0; k <= last; k++) {
        const int before = k ? k - 1 : last;
        p[k] = X(backward_of)(kernels, cells[k], q + k, a + k, batch + k, way);
        int user = k < last ? k + 1 : 0;
        while (user && !q[user].K) user = user < last ? user + 1 : 0;
        p[k].then = k ? p + k - 1 : NULL, p[k].user = p + user, p[k].ahead = k > 0;
        p[k].seen = a[before].y_kept, p[k].seen_row = batch[before].y_row;
        p[k].seen_step = (q->reversed ? -1 : 1) * q[before].Y;
        p[k].kept = kept[k], p[k].kept_c = kept_c[k];
        p[k].dh = k == last ? a[k].dh + state : X(scratch)(batch->N * a[k].width);
        if (k && q->hands_on) p[k].dc = p->dc, p[k].past = p->past, p[k].dx = p->dx;
    }
    if (last && p[last].dx) p->add_dx = 1; /* what the last phase has written there */
    p[last].dy = a[last].dy, p[last].initial = !q->fresh;
    p[last].h = p->seen_h = q->fresh ? NULL : a[last].h0 + state;
    fl_run(way->single ? cells[0]->backward_single : fl_backward_through_time, p + last, way->threads, FL_WORTH_WAKING);
}

/* The errors of what the passes of a phase have left. */
static struct found X(found)(const struct fl_cell *cell, const struct problem *q, const struct X(arrays) *a,
                             const struct way *way, int last) {
    const ptrdiff_t N = q->N, T = q->T, I = q->I, H = q->H, K = q->K, G = cell->gates, S = cell->sums;
    struct found found = {0, 0, 0};
    uint64_t bits = 0;
    if (!way->single) found.error = X(error)(a->y, q->Y, q->y, N * T, q->Y, 0, &bits);
    found.error = fmax(found.error, X(error)(a->y_kept, q->Y, q->y, N * T, q->Y, 0, &found.row_bits));
    if (!way->single && bits != found.row_bits) found.error = INFINITY;
    if (!last || !q->hands_on) /* else dx is that of the first phase */
        found.error = fmax(found.error, X(error)(a->dx, I, q->dx, N * T, I, way->add, &found.row_bits));
    if (cell->c_parts && !q->hands_on) {
        found.error = fmax(found.error, X(error)(a->c, a->width, q->c, N * q->C, H, 0, &found.row_bits));
        found.error = fmax(found.error, X(error)(a->carried, a->width, q->dc0, N * q->C, H, 0, &found.row_bits));
    }
    if (last && !q->fresh) found.error = fmax(found.error, X(error)(a->dh, a->width, q->dh0, N, H, 0, &found.row_bits));
    found.error = fmax(found.error, X(error)(a->dw, I, q->dw, G * H, I, way->add, &found.weight_bits));
    found.error = fmax(found.error, X(error)(a->du, K, q->du, G * H, K, !way->add, &found.weight_bits));
    if (q->b) found.error = fmax(found.error, X(error)(a->db, 1, q->db, S * H, 1, way->add, &found.weight_bits));
    found.error = fmax(found.error, X(error)(a->dv, 1, q->dv, q->cell->own * H, 1, !way->add, &found.weight_bits));
    found.error /= sqrt(1 + (double)(I + K) / 256); /* the errors of long sums grow as their root */
    return found;
}

/* A problem in one way: batch after batch, and its errors. */
static struct found X(run)(const struct fl_kernels *kernels, const struct fl_format *format,
                           const struct fl_cell *const *cells, const struct problem *q, const struct way *way) {
    const size_t before = held_count;
    const int phases = q->phases;
    struct X(arrays) a[MOST_PHASES];
    struct found all = {0, 0, 0};
    for (int k = 0; k < phases; k++) {
        a[k] = X(arrays_of)(kernels, format, cells[k], q + k);
        struct fl_packing packing = {q[k].I, q[k].H, q[k].K, a[k].w, a[k].u, a[k].b, a[k].v, a[k].panels, a[k].bias};
        if (!way->single) fl_run(cells[k]->pack, &packing, way->threads, FL_WORTH_WAKING);
    }
    for (ptrdiff_t first = 0; first < q->N; first += way->rows) {
        const size_t here = held_count;
        struct batch batch[MOST_PHASES];
        REAL *sums[MOST_PHASES], *c[MOST_PHASES];
        for (int k = 0; k < phases; k++) {
            batch[k] = batch_of(q + k, way, first);
            const ptrdiff_t kept = batch[k].offset[batch[k].T] * a[k].width;
            sums[k] = X(scratch)(kept * cells[k]->sums);
            c[k] = k && q->hands_on ? c[0] : X(scratch)(kept * cells[k]->c_parts);
        }
        if (!X(forward)(cells, q, a, batch, way, sums, c)) all.error = INFINITY;
        X(backward)(kernels, cells, q, a, batch, way, sums, c);
        give_back(here);
    }
    for (int k = 0; k < phases; k++) {
        const struct found found = X(found)(cells[k], q + k, a + k, way, k == phases - 1);
        all.error = fmax(all.error, found.error);
        all.row_bits = all.row_bits * 0x9E3779B97F4A7C15u ^ found.row_bits;
        all.weight_bits = all.weight_bits * 0x9E3779B97F4A7C15u ^ found.weight_bits;
    }
    give_back(before);
    return all;
}

/* All the ways: whatever threads share and whatever batch a row stands in, its own bits are those of the first way,
   and in single steps those of the first of these; the bits of the gradients of the weights depend on the batch alone.
   Errors may be `allowed` times as large as those of exact formats. */
static double X(all_ways)(const struct fl_kernels *kernels, const struct fl_format *format,
                          const struct fl_cell *const *cells, const struct problem *q, const struct way *ways,
                          size_t count, double allowed) {
    struct found first = {0, 0, 0}, last = first;
    double worst = 0;
    for (size_t k = 0; k < count && (!ways[k].single || (q->phases == 1 && cells[0]->forward_single)); k++) {
        const int same_batch = k && ways[k].rows == ways[k - 1].rows && ways[k].single == ways[k - 1].single;
        const struct found found = X(run)(kernels, format, cells, q, ways + k);
        if (!k || ways[k].single != ways[k - 1].single) first = found;
        worst = fmax(worst, found.error / allowed);
        if (found.row_bits != first.row_bits || (same_batch && found.weight_bits != last.weight_bits)) worst = INFINITY;
        if (!(worst < 1)) {
            printf("%s, %zu bytes: error %g, bits of rows %s, by ", cells[0]->name, sizeof(REAL), worst,
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
