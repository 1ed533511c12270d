/* Connectionist temporal classification (Graves et al. 2006, section 4): the labels with a blank around each are states
   s = 0 .. 2 S; a path stays, takes a step, or skips the blank between two labels that differ.

       alpha[t][s] = log P(the first t steps end in s)
       beta[t][s]  = log P(the steps after t + 1 reach the end | step t + 1 is in s)
       d loss / d score[t][k] = P(k at t) - sum over the s of class k of exp(alpha[t + 1][s] + beta[t][s] - log P) */

/* softmax of each row, and log of its divisor */
static void FL_X(ctc_softmax)(const FL_REAL *x, FL_REAL *y, double *divisor, ptrdiff_t steps, ptrdiff_t C) {
    for (ptrdiff_t t = 0; t < steps; t++, x += C, y += C) {
        FL_REAL top = FL_X(largest)(x, C);
        double sum = FL_X(exp_below)(x, y, C, top);
        FL_REAL factor = (FL_REAL)(1 / sum);
        divisor[t] = log(sum) + top;
        for (ptrdiff_t k = 0; k < C; k++) y[k] *= factor;
    }
}

/* log of the probability of each state's class at one step */
static void FL_X(ctc_emission)(double *out, const FL_REAL *x, double divisor, const ptrdiff_t *label, ptrdiff_t S,
                               ptrdiff_t blank) {
    for (ptrdiff_t s = 0; s <= 2 * S; s++) {
        double e = x[s & 1 ? label[s / 2] : blank] - divisor;
        out[s] = e < FL_NEVER ? FL_NEVER : e;
    }
}

/* y = w (softmax - occupation), from y = softmax */
static void FL_X(ctc_slope)(FL_REAL *y, const double *p, const ptrdiff_t *label, ptrdiff_t S, ptrdiff_t blank,
                            ptrdiff_t C, double w) {
    double idle = p[0];
    for (ptrdiff_t k = 0; k < C; k++) y[k] *= (FL_REAL)w;
    for (ptrdiff_t s = 0; s < S; s++) {
        y[label[s]] -= (FL_REAL)(w * p[2 * s + 1]);
        idle += p[2 * s + 2];
    }
    y[blank] -= (FL_REAL)(w * idle);
}

/* The loss of one sequence that weighs w, and its gradient y. */
static double FL_X(ctc_sequence)(const struct fl_ctc *p, double *room, const FL_REAL *x, FL_REAL *y,
                                 const ptrdiff_t *label, ptrdiff_t S, ptrdiff_t steps, double w) {
    const ptrdiff_t C = p->C, L = 2 * S + 1, row = L + 4; /* two states that never are on each side */
    double *divisor = room, *closed = divisor + steps, *emission = closed + row, *occupied = emission + row;
    double *beta = occupied + row, *next = beta + row, *alpha = next + row, total;
    for (ptrdiff_t s = 0; s < 6 * row; s++) closed[s] = FL_NEVER;
    for (ptrdiff_t t = 0; t <= steps; t++)
        alpha[t * row] = alpha[t * row + 1] = FL_NEVER;
    closed += 2, beta += 2, next += 2, alpha += 2;
    for (ptrdiff_t s = 1; s < S; s++)
        if (label[s] != label[s - 1]) closed[2 * s + 1] = 0;
    alpha[0] = 0;
    FL_X(ctc_softmax)(x, y, divisor, steps, C);
    for (ptrdiff_t t = 0; t < steps; t++) {
        const double *a = alpha + t * row;
        FL_X(ctc_emission)(emission, x + t * C, divisor[t], label, S, p->blank);
        fl_log_add_rows(alpha + (t + 1) * row, a, a - 1, a - 2, closed, emission, L);
    }
    total = fl_log_add(alpha[steps * row + L - 1], alpha[steps * row + L - 2], FL_NEVER);
    if (total < FL_NEVER / 2) {
        memset(y, 0, (size_t)(steps * C) * sizeof *y);
        return p->zero_infinity ? 0 : HUGE_VAL;
    }
    next[L - 1] = 0; /* beta and emission of the step before which all are done */
    for (ptrdiff_t s = 0; s < L; s++) emission[s] = 0;
    for (ptrdiff_t t = steps; t-- > 0;) {
        fl_log_add_rows(beta, next, next + 1, next + 2, closed + 2, emission, L);
        fl_occupation(occupied, alpha + (t + 1) * row, beta, total, L);
        FL_X(ctc_slope)(y + t * C, occupied, label, S, p->blank, C, w);
        FL_X(ctc_emission)(next, x + t * C, divisor[t], label, S, p->blank);
        for (ptrdiff_t s = 0; s < L; s++) next[s] += beta[s];
    }
    return -total * w;
}

static void FL_X(ctc)(void *argument, int thread, struct fl_team *team) {
    struct fl_ctc *p = argument;
    const size_t bytes = (size_t)(p->T * p->C) * sizeof(FL_REAL);
    double *room = p->room + thread * p->room_each;
    ptrdiff_t n;
    (void)team;
    while ((n = fl_add(&p->next, 1)) < p->N) {
        const FL_REAL *weight = (const FL_REAL *)p->weight + n * p->T;
        const ptrdiff_t *label = p->target + n * p->S;
        FL_REAL *y = (FL_REAL *)p->dpred + n * p->T * p->C;
        ptrdiff_t steps = weight[0] != 0 ? p->T : 0, S = 0;
        while (steps > 0 && weight[steps - 1] == 0) steps--;
        while (S < p->S && label[S] >= 0) S++;
        memset(y + steps * p->C, 0, bytes - (size_t)(steps * p->C) * sizeof *y);
        p->losses[n] = 0;
        if (steps)
            p->losses[n] = FL_X(ctc_sequence)(p, room, (const FL_REAL *)p->pred + n * p->T * p->C, y, label, S, steps,
                                              weight[0] * p->scale / (p->per_label && S ? S : 1));
    }
}
