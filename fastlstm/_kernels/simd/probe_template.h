/* What benchmarks and tests ask of the processor: its speed, and the activations by themselves. */

/* FL_ROWS x 4 independent chains of fused multiply-adds, as many as the tile has */
static void FL_X(fma)(void *argument, int thread, struct fl_team *team) {
    struct fl_probe *p = argument;
    VEC sum[FL_ROWS][4], factor = FL_X(set)((FL_REAL)p->value), term = factor;
    (void)team;
    EACH(r, FL_ROWS) EACH(g, 4) sum[r][g] = FL_X(set)((FL_REAL)(4 * r + g));
    for (ptrdiff_t n = 0; n < p->count; n++) EACH(r, FL_ROWS) EACH(g, 4) sum[r][g] = sum[r][g] * factor + term;
    EACH(r, FL_ROWS) EACH(g, 4) term += sum[r][g];
    FL_X(store)((FL_REAL *)((char *)p->out + 64 * thread), term);
}

/* reads this thread's part of an array again and again */
static void FL_X(read)(void *argument, int thread, struct fl_team *team) {
    struct fl_probe *p = argument;
    ptrdiff_t step = 16 * LANES, steps = p->size / team->size / step;
    const FL_REAL *from = (const FL_REAL *)p->in + steps * step * thread;
    VEC sum[16];
    EACH(g, 16) sum[g] = FL_X(set)(0);
    for (ptrdiff_t n = 0; n < p->count; n++)
        for (ptrdiff_t i = 0; i < steps; i++) EACH(g, 16) sum[g] += FL_X(load)(from + i * step + g * LANES);
    EACH(g, 15) sum[0] += sum[g + 1];
    FL_X(store)((FL_REAL *)((char *)p->out + 64 * thread), sum[0]);
}

/* out = sigmoid(in), or tanh(in), of `size` numbers, as the cell computes them */
static void FL_X(activate)(void *argument, int thread, struct fl_team *team) {
    struct fl_probe *p = argument;
    (void)thread, (void)team;
    for (ptrdiff_t i = 0; i < p->size; i += LANES) {
        ptrdiff_t count = p->size - i < LANES ? p->size - i : LANES;
        VEC x = FL_X(load_part)((const FL_REAL *)p->in + i, count);
        FL_X(quotient) q = p->count ? FL_X(v_tanh)(x) : FL_X(v_sigmoid)(x);
        FL_X(store_part)((FL_REAL *)p->out + i, count, q.above / q.below);
    }
}
