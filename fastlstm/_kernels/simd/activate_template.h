/* The activations of arrays, and softmax of rows. x and y may be the same array: what is computed goes to y span by
   span, from an array that overlaps with nothing. Comes after loss_template.h, of which it has `largest` and
   `exp_below`. */

static void FL_X(exp_span)(const FL_REAL *restrict x, FL_REAL *restrict y, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k++) y[k] = FL_X(fl_exp)(x[k]);
}

static void FL_X(sigmoid_span)(const FL_REAL *restrict x, FL_REAL *restrict y, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k++) y[k] = FL_X(fl_sigmoid)(x[k]);
}

static void FL_X(tanh_span)(const FL_REAL *restrict x, FL_REAL *restrict y, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k++) y[k] = FL_X(fl_tanh)(x[k]);
}

static void FL_X(activate)(void *argument, int thread, struct fl_team *team) {
    static void (*const functions[])(const FL_REAL *, FL_REAL *, ptrdiff_t) = {
        FL_X(exp_span), FL_X(sigmoid_span), FL_X(tanh_span)};
    const struct fl_activation *p = argument;
    const ptrdiff_t spans = (p->size + FL_SPAN - 1) / FL_SPAN, last = spans * (thread + 1) / team->size;
    FL_REAL part[FL_SPAN];
    for (ptrdiff_t span = spans * thread / team->size; span < last; span++) {
        const ptrdiff_t left = p->size - span * FL_SPAN, n = left < FL_SPAN ? left : FL_SPAN;
        functions[p->function]((const FL_REAL *)p->x + span * FL_SPAN, part, n);
        memcpy((FL_REAL *)p->y + span * FL_SPAN, part, (size_t)n * sizeof *part);
    }
}

/* y = exp(x - top) / sum of exp(x - top), where top is the largest of a row */
static void FL_X(softmax)(void *argument, int thread, struct fl_team *team) {
    const struct fl_softmax *p = argument;
    const ptrdiff_t last = p->rows * (thread + 1) / team->size;
    FL_REAL part[FL_SPAN];
    for (ptrdiff_t row = p->rows * thread / team->size; row < last; row++) {
        const FL_REAL *x = (const FL_REAL *)p->x + row * p->width;
        const FL_REAL top = FL_X(largest)(x, p->width);
        FL_REAL *y = (FL_REAL *)p->y + row * p->width;
        double sum = 0;
        for (ptrdiff_t k = 0; k < p->width; k += FL_SPAN) {
            const ptrdiff_t left = p->width - k, n = left < FL_SPAN ? left : FL_SPAN;
            sum += FL_X(exp_below)(x + k, part, n, top);
            memcpy(y + k, part, (size_t)n * sizeof *part);
        }
        const FL_REAL factor = (FL_REAL)(1 / sum);
        for (ptrdiff_t k = 0; k < p->width; k++) y[k] *= factor;
    }
}
