/* The kernels on packed weights: one interface, one table of functions for each instruction set.

   A vector holds LANES numbers. The weights of an LSTM stand gate-interleaved: a block of LANES units has its four gates
   side by side, so that one register tile holds the pre-activations of i, f, g and o of the same units and rows, and the
   gates are computed on the accumulators:

       panels [blocks][I + H][4][LANES]    bias [blocks][4][LANES]    blocks = width / LANES, width = H rounded up
*/
#ifndef FASTLSTM_TABLE_H
#define FASTLSTM_TABLE_H

#include <stdatomic.h>
#include <stddef.h>

#include "pool.h"

/* Everything is all float or all double. */

/* A forward pass. */
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
    int *phase;             /* which of the two h holds the initial states */
    int fresh;              /* whether the initial states are zero, whatever c and h hold */
    ptrdiff_t first, count; /* each thread's own: the rows that it projects */
    struct fl_pass *below;  /* the layer that writes x while this one reads it, if they run side by side */
    _Atomic ptrdiff_t done; /* steps whose outputs are there */
};

/* y = x w^T + bias: x is m rows of k, y is m rows of n; panels and bias by pack_matrix */
struct fl_affine {
    ptrdiff_t m, n, k, x_row, y_row;
    const void *x, *panels, *bias;
    void *y;
};

/* c (m, n) = a b, or c += a b; a's element (i, k) is at a + i * a_row + k * a_k, and one of the two is 1; b's likewise */
struct fl_matmul {
    ptrdiff_t m, n, k, a_row, a_k, b_k, b_col, c_row;
    const void *a, *b;
    void *c;
    int add;
};

struct fl_probe {
    ptrdiff_t count, size;
    double value;
    const void *in;
    void *out; /* room for 64 bytes a thread */
};

struct fl_functions {
    /* panels and bias from the weights (4H, I) and (4H, H) and the bias (4H) */
    void (*pack)(void *panels, void *bias, const void *w, const void *u, const void *b, ptrdiff_t I, ptrdiff_t H);
    fl_job forward; /* of a struct fl_pass */
    /* panels and bias from the weights (n, k) and the bias (n) or NULL; both as long as n rounded up to LANES wants */
    void (*pack_matrix)(void *panels, void *bias, const void *w, const void *b, ptrdiff_t n, ptrdiff_t k);
    fl_job affine, matmul;
    fl_job fma, read, activate; /* of a struct fl_probe */
};

struct fl_kernels {
    const char *name;
    int bytes, sums; /* of a vector; in the tile */
    struct fl_functions f, d;
};

/* The table of this name, or of the best instruction set of this processor for "", or NULL. */
const struct fl_kernels *fl_select(const char *name);

#endif
