/* The rest of a training step, against the same loops for any processor, training_plain.c; masks must be the same to
   the last bit. For REAL, before check_template.h undoes it. */

static REAL *X(random)(ptrdiff_t count, int absolute) {
    REAL *p = room((size_t)count * sizeof *p);
    for (ptrdiff_t k = 0; k < count; k++) p[k] = (REAL)(absolute ? fabs(number()) : number());
    return p;
}

static double X(between)(const REAL *a, const REAL *b, ptrdiff_t count) {
    double worst = 0;
    for (ptrdiff_t k = 0; k < count; k++) {
        const double apart = fabs((double)a[k] - b[k]) / (1 + fabs((double)b[k]));
        if (!(apart <= worst)) worst = apart == apart ? apart : HUGE_VAL;
    }
    return worst / (TOLERANCE);
}

static double X(apart)(double a, double b) { return fabs(a - b) / (1 + fabs(b)) / (TOLERANCE); }

static double X(updates)(const struct fl_training *const sides[2], ptrdiff_t size, int threads) {
    const REAL *start[4] = {X(random)(size, 0), X(random)(size, 0), X(random)(size, 0), X(random)(size, 1)};
    double worst = 0, sums[2];
    for (int rule = FL_SCALE; rule <= FL_ADAM; rule++) {
        REAL *out[2][4];
        for (int side = 0; side < 2; side++) {
            for (int a = 0; a < 4; a++) {
                out[side][a] = room((size_t)size * sizeof(REAL));
                memcpy(out[side][a], start[a], (size_t)size * sizeof(REAL));
            }
            struct fl_block block = {out[side][0], out[side][1], {out[side][3], out[side][2]}, size};
            if (rule == FL_ADAM) block.slot[0] = out[side][2], block.slot[1] = out[side][3];
            struct fl_update p = {&block, 1, rule, 0.5, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, &sums[side]};
            fl_run(sides[side]->update, &p, threads, FL_WORTH_WAKING);
            fl_run(sides[side]->squares, &p, threads, FL_WORTH_WAKING);
        }
        for (int a = 0; a < 4; a++) worst = fmax(worst, X(between)(out[0][a], out[1][a], size));
        worst = fmax(worst, X(apart)(sums[0], sums[1]));
    }
    return worst;
}

static double X(losses)(const struct fl_training *const sides[2], ptrdiff_t m, ptrdiff_t n, ptrdiff_t *index, int threads) {
    const REAL *pred = X(random)(3 * m * n, 0), *target = X(random)(m * n, 0), *weight = X(random)(m, 1);
    const double levels[2] = {0.1, 0.75};
    double worst = 0;
    for (int kind = FL_MSE; kind <= FL_STUDENT_T; kind++) {
        const ptrdiff_t outputs = kind == FL_STUDENT_T ? 3 : kind >= FL_QUANTILE ? 2 : 1, size = m * n * outputs;
        REAL *dpred[2];
        double sums[2];
        for (int side = 0; side < 2; side++) {
            const void *wanted = kind == FL_SOFTMAX_CROSS_ENTROPY || kind == FL_FOCAL ? (const void *)index : target;
            dpred[side] = room((size_t)size * sizeof(REAL));
            struct fl_loss p = {kind, m, n, m, pred, wanted, weight, dpred[side], 1.0, 0.5, &sums[side], outputs, levels};
            fl_run(sides[side]->loss, &p, threads, FL_WORTH_WAKING);
        }
        worst = fmax(worst, fmax(X(between)(dpred[0], dpred[1], size), X(apart)(sums[0], sums[1])));
    }
    return worst;
}

/* Three sequences: a label, two equal ones, none; the second one ends before T. Logarithms of probabilities grow to
   T log C, in double for both types, and so does their rounding, which a gradient, the exponential of their sum, has. */
static double X(labelling)(const struct fl_training *const sides[2], ptrdiff_t m, ptrdiff_t n, int threads) {
    enum { N = 3, S = 2 };
    const ptrdiff_t T = m < 4 ? 4 : m, C = n < 3 ? 3 : n, each = FL_CTC_ROOM(T, S);
    const ptrdiff_t target[N * S] = {C - 1, -1, 1, 1, -1, -1};
    const REAL *pred = X(random)(N * T * C, 0);
    REAL *weight = room((size_t)(N * T) * sizeof *weight), *dpred[2];
    double losses[2][N], worst = 0;
    for (int k = 0; k < N * T; k++) weight[k] = k == 2 * T - 1 ? 0 : (REAL)0.5;
    for (int side = 0; side < 2; side++) {
        dpred[side] = room((size_t)(N * T * C) * sizeof(REAL));
        struct fl_ctc p = {.N = N, .T = T, .C = C, .S = S, .pred = pred, .target = target, .weight = weight,
                           .dpred = dpred[side], .scale = 0.5, .losses = losses[side], .room_each = each};
        p.room = room((size_t)(each * threads) * sizeof(double));
        fl_run(sides[side]->ctc, &p, threads, FL_WORTH_WAKING);
    }
    for (int k = 0; k < N; k++) worst = fmax(worst, X(apart)(losses[0][k], losses[1][k]));
    worst = fmax(worst, X(between)(dpred[0], dpred[1], N * T * C));
    return worst / (1 + (double)T * log((double)C) * DBL_EPSILON / (TOLERANCE));
}

/* Activations, softmax, and layer normalisation forwards and back. */
static double X(rows)(const struct fl_training *const sides[2], ptrdiff_t m, ptrdiff_t n, int threads) {
    enum { FUNCTIONS = FL_SILU + 1, ALL = FUNCTIONS + 9 };
    const ptrdiff_t block = 5, blocks = (m + block - 1) / block, most = m * n + 2 * blocks * n + m;
    const REAL *x = X(random)(m * n, 0), *weight = X(random)(n, 0), *bias = X(random)(n, 0), *dy = X(random)(m * n, 0);
    ptrdiff_t *index = room((size_t)(2 * m) * sizeof *index);
    REAL *out[2][ALL];
    double worst = 0;
    for (ptrdiff_t k = 0; k < 2 * m; k++) index[k] = (k * 5 + 1) % (m + 1) - 1;
    for (int side = 0; side < 2; side++) {
        REAL **o = out[side];
        for (int a = 0; a < ALL; a++) o[a] = room((size_t)most * sizeof(REAL));
        for (int function = FL_EXP; function <= FL_SILU; function++) {
            struct fl_activation p = {function, 0.3, 0.4, m * n, x, o[function]};
            fl_run(sides[side]->activate, &p, threads, FL_WORTH_WAKING);
        }
        struct fl_softmax softmax = {m, n, x, o[FUNCTIONS]};
        struct fl_norm norm = {m, n, n, block, 1e-2, x, weight, bias, dy, o[FUNCTIONS + 1], o[FUNCTIONS + 2],
                               o[FUNCTIONS + 3], o[FUNCTIONS + 4], o[FUNCTIONS + 5]};
        fl_run(sides[side]->softmax, &softmax, threads, FL_WORTH_WAKING);
        fl_run(sides[side]->norm, &norm, threads, FL_WORTH_WAKING);
        fl_run(sides[side]->norm_backward, &norm, threads, FL_WORTH_WAKING);
        struct fl_sum sum = {m * n, x, dy, o[FUNCTIONS + 6]};
        struct fl_largest largest = {m, 2, n, index, x, o[FUNCTIONS + 7], NULL};
        fl_run(sides[side]->sum, &sum, threads, FL_WORTH_WAKING);
        struct fl_magnitude magnitude = {m, n / 2, x, o[FUNCTIONS + 8]};
        fl_run(sides[side]->largest, &largest, threads, FL_WORTH_WAKING);
        fl_run(sides[side]->magnitude, &magnitude, threads, FL_WORTH_WAKING);
    }
    for (int a = 0; a < ALL; a++) worst = fmax(worst, X(between)(out[0][a], out[1][a], most));
    return worst;
}

static double X(rest)(const struct fl_training *ours, ptrdiff_t m, ptrdiff_t n, int threads) {
    const struct fl_training *sides[2] = {ours, &JOIN(fl_training_plain_, TABLE)};
    const REAL *source = X(random)(m * n, 0);
    ptrdiff_t *index = room((size_t)m * sizeof *index);
    REAL *out[2][3];
    for (ptrdiff_t k = 0; k < m; k++) index[k] = (k * 7 + 3) % n;
    double worst = fmax(X(updates)(sides, m * n, threads), X(losses)(sides, m, n, index, threads));
    worst = fmax(worst, fmax(X(labelling)(sides, m, n, threads), X(rows)(sides, m, n, threads)));
    for (int side = 0; side < 2; side++) {
        for (int a = 0; a < 3; a++) out[side][a] = room((size_t)(m * n + n * n) * sizeof(REAL));
        struct fl_drop drop = {m * n, 45, source, out[side][0], 0x123456789abcdefu, 77, 0x60000000u, 1.5};
        struct fl_columns columns = {m, n, n, source, out[side][1], 0};
        struct fl_scatter scatter = {m, n, n, index, source, out[side][2], 0};
        fl_run(sides[side]->drop, &drop, threads, FL_WORTH_WAKING);
        fl_run(sides[side]->columns, &columns, threads, FL_WORTH_WAKING);
        fl_run(sides[side]->scatter, &scatter, threads, FL_WORTH_WAKING);
    }
    if (memcmp(out[0][0], out[1][0], (size_t)(m * n) * sizeof(REAL))) worst = HUGE_VAL;
    return fmax(worst, fmax(X(between)(out[0][1], out[1][1], n), X(between)(out[0][2], out[1][2], n * n)));
}
