/* The LSTM on packed, gate-interleaved weights: one interface, one table of functions for each instruction set.

   A vector holds LANES units. A block of units has its four gates side by side, so that one register tile holds the
   pre-activations of i, f, g and o of the same units and rows, and the gates are computed on the accumulators:

       panels [blocks][I + H][4][LANES]    bias [blocks][4][LANES]    blocks = width / LANES, width = H rounded up
*/
#ifndef FASTLSTM_PACKED_H
#define FASTLSTM_PACKED_H

#include <stddef.h>

#include "pool.h"

/* A forward pass; its numbers are all float or all double. */
struct fl_pass {
    ptrdiff_t T, N, I, H, width;
    const ptrdiff_t *alive; /* rows still running at each step, never more than at the step before */
    const void *x;          /* row n at step t is at x + x_row[n] + t * x_step */
    const ptrdiff_t *x_row;
    ptrdiff_t x_step;
    const void *panels, *bias;
    void *c, *h;            /* [N][width], [2][N][width]; the initial states first, c the final one last */
    void *y;                /* row n at step t is at y + y_row[n] + t * y_step, H numbers */
    const ptrdiff_t *y_row;
    ptrdiff_t y_step;
    void *projected;        /* [chunk][N][blocks][4][LANES], or none: then x is projected step by step */
    ptrdiff_t chunk;
    int by_units;           /* whether threads share the units of each step, or each has rows of its own */
    int phase;              /* which of the two h holds the initial states */
    ptrdiff_t first, count; /* each thread's own: the rows that it projects */
};

struct fl_kernels {
    const char *name;
    int bytes; /* of a vector */
    /* panels and bias from the weights (4H, I) and (4H, H) and the bias (4H) */
    void (*pack_f)(float *panels, float *bias, const float *w, const float *u, const float *b, ptrdiff_t I,
                   ptrdiff_t H);
    void (*pack_d)(double *panels, double *bias, const double *w, const double *u, const double *b, ptrdiff_t I,
                   ptrdiff_t H);
    fl_job forward_f, forward_d; /* of a struct fl_pass */
};

/* The table of this name, or of the best instruction set of this processor for "", or NULL. */
const struct fl_kernels *fl_select(const char *name);

#endif
