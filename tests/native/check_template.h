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
   was not to be written. The bits go into those of the run. */
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

/* A forward pass that keeps nothing, one that keeps gates and cells, and the backward pass, on the kernels for a single
   step or not. segments is how many steps each segment has; `bits` becomes a digest of all that is found. */
static double X(lstm)(const struct fl_kernels *kernels, const struct problem *q, int threads, enum sharing sharing,
                      ptrdiff_t steps, int single, int add, uint64_t *bits) {
    const ptrdiff_t N = q->N, T = q->T, I = q->I, H = q->H, lanes = kernels->bytes / (ptrdiff_t)sizeof(REAL);
    const ptrdiff_t width = (H + lanes - 1) / lanes * lanes, inputs = (I + lanes - 1) / lanes * lanes;
    const ptrdiff_t tile = kernels->sums / 4, strips = (I + tile) / tile + (H + tile - 1) / tile;
    const struct fl_functions *table = &kernels->TABLE;
    const int turn = q->reversed ? -1 : 1, full = q->lengths[N - 1] == T;
    REAL *w = X(copy)(q->w, 4 * H * I), *u = X(copy)(q->u, 4 * H * H), *x = X(copy)(q->x, N * T * I);
    REAL *b = q->b ? X(copy)(q->b, 4 * H) : room((size_t)(4 * H) * sizeof *b), *dy = X(copy)(q->dy, N * T * q->Y);
    struct fl_packing packing = {I, H, w, u, b, X(scratch)(width * 4 * (I + H)), X(scratch)(width * 4)};
    ptrdiff_t *alive = room((size_t)T * sizeof *alive), *before = room((size_t)(T + 1) * sizeof *before);
    ptrdiff_t *x_row = room((size_t)N * sizeof *x_row), *y_row = room((size_t)N * sizeof *y_row);
    ptrdiff_t longest = 0, count = 0;
    struct fl_segment *segments = room((size_t)T * sizeof *segments);
    double worst = 0, off;
    for (ptrdiff_t t = 0; t < T; t++) {
        while (alive[t] < N && q->lengths[alive[t]] > t) alive[t]++;
        before[t + 1] = before[t] + alive[t];
    }
    for (ptrdiff_t t = 0; t < T; t += steps, count++) {
        const ptrdiff_t last = t + steps < T ? t + steps : T;
        segments[count] = (struct fl_segment){t, last, sharing == UNITS || (sharing == IN_TURN && count % 2)};
        if (before[last] - before[t] > longest) longest = before[last] - before[t];
    }
    for (ptrdiff_t n = 0; n < N; n++) x_row[n] = at_step(q, n, 0) * I, y_row[n] = at_step(q, n, 0) * q->Y + COLUMN;
    const ptrdiff_t S = before[T];
    REAL *gates = X(scratch)(S * 4 * width), *cells = X(scratch)(S * width), *y = NULL;
    REAL *dx = X(filled)(N * T * I, BEFORE);
    REAL *dw = X(filled)(4 * H * I, BEFORE), *du = X(filled)(4 * H * H, BEFORE), *db = X(filled)(4 * H, BEFORE);
    REAL *h0 = X(wide)(q->h0, N, H, width), *c0 = X(wide)(q->c0, N, H, width);
    REAL *dh = X(wide)(q->dh, N, H, width), *dc = X(wide)(q->dc, N, H, width);
    *bits = 0;
    fl_run(table->pack, &packing, threads, FL_WORTH_WAKING);
    for (int keeps = single; keeps < 2; keeps++) {
        int phase = keeps;
        REAL *h = room((size_t)(2 * N * width) * sizeof *h), *c = X(wide)(q->c0, N, H, width);
        memcpy(h + phase * N * width, h0, (size_t)(N * width) * sizeof *h);
        y = X(filled)(N * T * q->Y, BEFORE);
        struct fl_pass forward = {
            .T = T, .N = N, .I = I, .H = H, .width = width, .alive = alive, .x = x, .x_row = x_row, .x_step = turn * I,
            .panels = packing.panels, .bias = packing.bias, .c = c, .h = h, .y = y, .y_row = y_row,
            .y_step = turn * q->Y, .chunk = 3, .segment_count = count, .segments = segments, .phase = &phase,
            .fresh = q->fresh, .before = before, .S = S, .w = w, .u = u, .b = q->b ? b : NULL};
        if (keeps) forward.gates = gates, forward.cells = cells;
        else if (full && count == 1) forward.projected = X(scratch)(3 * N * width * 4);
        fl_run(single ? table->forward_single : table->forward, &forward, threads, FL_WORTH_WAKING);
        worst = fmax(worst, X(error)(y, q->Y, q->y, N * T, q->Y, 0, bits));
        worst = fmax(worst, X(error)(c, width, q->c, N, H, 0, bits));
    }
    struct fl_backward backward = {
        .T = T, .N = N, .S = S, .I = I, .H = H, .width = width, .alive = alive, .before = before,
        .segment_count = count, .segments = segments, .strip = 1 + (N + I) % 4, .x = x, .y = y, .dy = dy,
        .x_row = x_row, .y_row = y_row, .x_step = turn * I, .y_step = turn * q->Y, .h = q->fresh ? NULL : h0,
        .c = q->fresh ? NULL : c0, .gates = gates, .cells = cells, .dh = dh, .dc = dc, .initial = !q->fresh, .w = w,
        .u = u, .turned = X(scratch)((width + inputs) * 4 * width), .dx = dx, .add_dx = add,
        .columns = X(scratch)(strips * (tile * longest + 8)), .panels = X(scratch)(width * 4 * (I + 1 + H)), .dw = dw,
        .du = du, .db = q->b ? db : NULL, .add_dw = add, .add_du = !add, .add_db = add};
    fl_run(single ? table->backward_single : table->backward, &backward, threads, FL_WORTH_WAKING);
    worst = fmax(worst, X(error)(dx, I, q->dx, N * T, I, add, bits));
    worst = fmax(worst, X(error)(dw, I, q->dw, 4 * H, I, add, bits));
    worst = fmax(worst, X(error)(du, H, q->du, 4 * H, H, !add, bits));
    worst = fmax(worst, X(error)(dc, width, q->dc0, N, H, 0, bits));
    if (q->b) worst = fmax(worst, X(error)(db, 1, q->db, 4 * H, 1, add, bits));
    if (!q->fresh && (off = X(error)(dh, width, q->dh0, N, H, 0, bits)) > worst) worst = off;
    return worst;
}

/* Of a problem, all the ways in which threads can share it, which must give the same bits. */
static double X(shared)(const struct fl_kernels *kernels, const struct problem *q, ptrdiff_t steps, int single,
                        int add) {
    uint64_t first, bits;
    double worst = X(lstm)(kernels, q, 1, ROWS, steps, single, add, &first);
    for (int sharing = ROWS; sharing <= (single ? ROWS : IN_TURN); sharing++) {
        worst = fmax(worst, X(lstm)(kernels, q, 3, sharing, steps, single, add, &bits));
        if (bits != first) worst = INFINITY;
    }
    return worst;
}

static double X(matmul)(const struct fl_kernels *kernels, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads,
                        int a_turned, int b_turned) {
    REAL *a = X(copy)(numbers(m * k, 1), m * k), *b = X(copy)(numbers(k * n, 1), k * n), *c = X(scratch)(m * n);
    struct fl_matmul p = {.m = m, .n = n, .k = k, .a_row = a_turned ? 1 : k, .a_k = a_turned ? m : 1, .a = a, .b = b,
                          .b_k = b_turned ? 1 : n, .b_col = b_turned ? k : 1, .c = c, .c_row = n,
                          .room = room((size_t)(threads * kernels->TABLE.matmul_room))};
    double worst = 0;
    fl_run(kernels->TABLE.matmul, &p, threads, FL_WORTH_WAKING);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = 0;
            for (ptrdiff_t l = 0; l < k; l++) sum += (double)a[i * p.a_row + l * p.a_k] * b[l * p.b_k + j * p.b_col];
            worst = fmax(worst, fabs(sum - c[i * n + j]) / (double)k);
        }
    return worst / TOLERANCE;
}

#undef REAL
#undef X
#undef TABLE
#undef TOLERANCE
