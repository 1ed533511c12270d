/* The optimizers' steps, and the norm of the gradient: one pass over all arrays, block by block. */

#ifndef FL_SQRT
#define FL_SQRT(x) (sizeof(FL_REAL) == 4 ? (FL_REAL)sqrtf((float)(x)) : (FL_REAL)sqrt((double)(x)))
#define FL_NUMBER(name, i) const FL_REAL name = (FL_REAL)p->numbers[i];
/* with the gradient g, its k-th number times the scale */
#define FL_RULE(NAME, NUMBERS, STEP)                                                                     \
    static void FL_X(NAME)(const struct fl_update *p, const struct fl_block *b) {                        \
        FL_REAL *restrict value = b->value, *restrict first = b->slot[0], *restrict second = b->slot[1]; \
        const FL_REAL *restrict grad = b->grad;                                                          \
        const FL_REAL scale = (FL_REAL)p->scale;                                                         \
        NUMBERS                                                                                          \
        (void)first, (void)second;                                                                       \
        for (ptrdiff_t k = 0; k < b->size; k++) {                                                        \
            FL_REAL g = scale * grad[k];                                                                 \
            STEP                                                                                         \
        }                                                                                                \
    }
#endif

static void FL_X(scale)(const struct fl_update *p, const struct fl_block *b) {
    FL_REAL *grad = b->grad;
    const FL_REAL scale = (FL_REAL)p->scale;
    for (ptrdiff_t k = 0; k < b->size; k++) grad[k] *= scale;
}

/* value -= lr (g + decay value) */
FL_RULE(sgd, FL_NUMBER(lr, 0) FL_NUMBER(decay, 1),
    value[k] -= lr * (g + decay * value[k]);)

/* velocity = mu velocity + g with g += decay value; value -= lr (own g + ahead velocity): own is 0 and ahead 1, or by
   Nesterov 1 and mu */
FL_RULE(momentum,
    FL_NUMBER(lr, 0) FL_NUMBER(decay, 1) FL_NUMBER(mu, 2) FL_NUMBER(own, 3) FL_NUMBER(ahead, 4),
    g += decay * value[k];
    first[k] = mu * first[k] + g;
    value[k] -= lr * (own * g + ahead * first[k]);)

/* square = rho square + rest g^2 with rest = 1 - rho; value -= lr g / (sqrt(square) + eps) */
FL_RULE(rmsprop,
    FL_NUMBER(lr, 0) FL_NUMBER(rho, 1) FL_NUMBER(rest, 2) FL_NUMBER(eps, 3),
    first[k] = rho * first[k] + rest * g * g;
    value[k] -= lr * g / (FL_SQRT(first[k]) + eps);)

/* mean = b1 mean + (1 - b1) g; square = b2 square + (1 - b2) g^2;
   value = keep value - rate mean / (sqrt(square) widen + eps), where rate and widen hold the corrections for the start */
FL_RULE(adam,
    FL_NUMBER(b1, 0) FL_NUMBER(b2, 1) FL_NUMBER(rate, 2) FL_NUMBER(widen, 3) FL_NUMBER(eps, 4) FL_NUMBER(keep, 5)
    const FL_REAL a1 = (FL_REAL)(1 - p->numbers[0]);
    const FL_REAL a2 = (FL_REAL)(1 - p->numbers[1]);,
    first[k] = b1 * first[k] + a1 * g;
    second[k] = b2 * second[k] + a2 * g * g;
    value[k] = keep * value[k] - rate * first[k] / (FL_SQRT(second[k]) * widen + eps);)

static void FL_X(update)(void *argument, int thread, struct fl_team *team) {
    static void (*const rules[])(const struct fl_update *, const struct fl_block *) = {
        FL_X(scale), FL_X(sgd), FL_X(momentum), FL_X(rmsprop), FL_X(adam)};
    const struct fl_update *p = argument;
    ptrdiff_t last = p->count * (thread + 1) / team->size;
    for (ptrdiff_t b = p->count * thread / team->size; b < last; b++) rules[p->rule](p, p->blocks + b);
}

/* sums[b] = sum of grad^2 in block b, in double */
static void FL_X(squares)(void *argument, int thread, struct fl_team *team) {
    const struct fl_update *p = argument;
    ptrdiff_t last = p->count * (thread + 1) / team->size;
    for (ptrdiff_t b = p->count * thread / team->size; b < last; b++) {
        const FL_REAL *grad = p->blocks[b].grad;
        ptrdiff_t size = p->blocks[b].size, k = 0;
        double part[32] = {0}, total = 0;
        for (; k + 32 <= size; k += 32)
            for (int lane = 0; lane < 32; lane++) part[lane] += (double)grad[k + lane] * grad[k + lane];
        for (; k < size; k++) total += (double)grad[k] * grad[k];
        for (int lane = 0; lane < 32; lane++) total += part[lane];
        p->sums[b] = total;
    }
}
