/* Rows of targets with several outputs for each, side by side. A row whose weight is 0 is not looked at. */
static double FL_X(density_rows)(const struct fl_loss *p, ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t each = p->outputs;
    double sum = 0, in[3] = {0}, slope[3];
    for (ptrdiff_t row = first; row < last; row++) {
        const double w = ((const FL_REAL *)p->weight)[row] * p->scale;
        const FL_REAL *target = (const FL_REAL *)p->target + row * p->width;
        const FL_REAL *x = (const FL_REAL *)p->pred + row * p->width * each;
        FL_REAL *y = (FL_REAL *)p->dpred + row * p->width * each;
        if (w == 0) memset(y, 0, (size_t)(p->width * each) * sizeof *y);
        else if (p->kind == FL_QUANTILE)
            for (ptrdiff_t k = 0; k < p->width * each; k++) {
                sum += w * fl_quantile(x[k], target[k / each], p->numbers[k % each], slope);
                y[k] = (FL_REAL)(w * *slope);
            }
        else
            for (ptrdiff_t k = 0; k < p->width; k++, x += each, y += each) {
                for (int i = 0; i < each; i++) in[i] = x[i];
                sum += w * (each == 2 ? fl_gaussian : fl_student_t)(in, target[k], p->delta, slope);
                for (int i = 0; i < each; i++) y[i] = (FL_REAL)(w * slope[i]);
            }
    }
    return sum;
}
