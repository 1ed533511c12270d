/* The optimizers' steps, and the norm of the gradient: one pass over all arrays, block by block. */

#ifndef FL_SQRT
#define FL_SQRT(x) (sizeof(FL_REAL) == 4 ? (FL_REAL)sqrtf((float)(x)) : (FL_REAL)sqrt((double)(x)))
#endif

static void FL_X(scale)(const struct fl_update *p, const struct fl_block *b) {
    FL_REAL *grad = b->grad;
    const FL_REAL scale = (FL_REAL)p->scale;
    for (ptrdiff_t k = 0; k < b->size; k++) grad[k] *= scale;
}

/* In the rules, g is the gradient's number times the scale. */

/* value -= lr (g + decay value) */
static void FL_X(sgd)(const struct fl_update *p, const struct fl_block *b) {
    const FL_REAL scale = (FL_REAL)p->scale, lr = (FL_REAL)p->numbers[0], decay = (FL_REAL)p->numbers[1];
    const FL_REAL *restrict grad = b->grad;
    FL_REAL *restrict value = b->value;
    for (ptrdiff_t k = 0; k < b->size; k++) {
        const FL_REAL g = scale * grad[k];
        value[k] -= lr * (g + decay * value[k]);
    }
}

/* velocity = mu velocity + g with g += decay value; value -= lr (own g + ahead velocity): own is 0 and ahead 1, or by
   Nesterov 1 and mu */
static void FL_X(momentum)(const struct fl_update *p, const struct fl_block *b) {
    const FL_REAL scale = (FL_REAL)p->scale, lr = (FL_REAL)p->numbers[0], decay = (FL_REAL)p->numbers[1];
    const FL_REAL mu = (FL_REAL)p->numbers[2], own = (FL_REAL)p->numbers[3], ahead = (FL_REAL)p->numbers[4];
    const FL_REAL *restrict grad = b->grad;
    FL_REAL *restrict value = b->value, *restrict velocity = b->slot[0];
    for (ptrdiff_t k = 0; k < b->size; k++) {
        FL_REAL g = scale * grad[k];
        g += decay * value[k];
        velocity[k] = mu * velocity[k] + g;
        value[k] -= lr * (own * g + ahead * velocity[k]);
    }
}

/* square = rho square + rest g^2 with rest = 1 - rho; value -= lr g / (sqrt(square) + eps) */
static void FL_X(rmsprop)(const struct fl_update *p, const struct fl_block *b) {
    const FL_REAL scale = (FL_REAL)p->scale, lr = (FL_REAL)p->numbers[0], rho = (FL_REAL)p->numbers[1];
    const FL_REAL rest = (FL_REAL)p->numbers[2], eps = (FL_REAL)p->numbers[3];
    const FL_REAL *restrict grad = b->grad;
    FL_REAL *restrict value = b->value, *restrict square = b->slot[0];
    for (ptrdiff_t k = 0; k < b->size; k++) {
        const FL_REAL g = scale * grad[k];
        square[k] = rho * square[k] + rest * g * g;
        value[k] -= lr * g / (FL_SQRT(square[k]) + eps);
    }
}

/* mean = b1 mean + (1 - b1) g; square = b2 square + (1 - b2) g^2;
   value = keep value - rate mean / (sqrt(square) widen + eps), where rate and widen hold the corrections for the start */
static void FL_X(adam)(const struct fl_update *p, const struct fl_block *b) {
    const FL_REAL scale = (FL_REAL)p->scale, b1 = (FL_REAL)p->numbers[0], b2 = (FL_REAL)p->numbers[1];
    const FL_REAL a1 = (FL_REAL)(1 - p->numbers[0]), a2 = (FL_REAL)(1 - p->numbers[1]);
    const FL_REAL rate = (FL_REAL)p->numbers[2], widen = (FL_REAL)p->numbers[3];
    const FL_REAL eps = (FL_REAL)p->numbers[4], keep = (FL_REAL)p->numbers[5];
    const FL_REAL *restrict grad = b->grad;
    FL_REAL *restrict value = b->value, *restrict mean = b->slot[0], *restrict square = b->slot[1];
    for (ptrdiff_t k = 0; k < b->size; k++) {
        const FL_REAL g = scale * grad[k];
        mean[k] = b1 * mean[k] + a1 * g;
        square[k] = b2 * square[k] + a2 * g * g;
        value[k] = keep * value[k] - rate * mean[k] / (FL_SQRT(square[k]) * widen + eps);
    }
}

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
