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
#include "training.h"

/* Everything is all float or all double. */

/* Steps of a pass, among which the threads are shared out in one way. */
struct fl_segment {
    ptrdiff_t first, last; /* steps; last is one beyond */
    ptrdiff_t by_units;    /* whether threads share the units of each step, or each has rows of its own */
};

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
    ptrdiff_t segment_count;
    const struct fl_segment *segments;
    int *phase;             /* which of the two h holds the initial states */
    int fresh;              /* whether the initial states are zero, whatever c and h hold */
    ptrdiff_t first, count; /* each thread's own: the rows that it projects */
    void *partial;          /* and the sums of rows from `first` on, [row][4][LANES], by the weights up to part_end */
    ptrdiff_t part, part_end;
    /* what a backward pass needs, or none: the activated gates [blocks][S][4][LANES] and c [blocks][S][LANES], where S is
       the number of rows of all steps, and step t begins with row before[t] of them */
    void *gates, *cells;
    const ptrdiff_t *before;
    ptrdiff_t S;
    const void *w, *u, *b;  /* for a single step: the weights (4H, I) and (4H, H) and the bias (4H) or none */
    struct fl_pass *below;  /* the layer that writes x while this one reads it, if they run side by side */
    _Atomic ptrdiff_t done; /* steps whose outputs are there */
};

/* Back-propagation through time of a pass that has kept its gates and cells. */
struct fl_backward {
    ptrdiff_t T, N, S, I, H, width;
    const ptrdiff_t *alive, *before; /* as in fl_pass; before[T] is S */
    ptrdiff_t segment_count;
    const struct fl_segment *segments; /* after each, the gradients of the weights by its rows are added up */
    ptrdiff_t strip;                 /* vectors of units in a strip of `turned`; the last may have fewer */
    const void *x, *y, *dy;          /* y is the output of the forward pass, that is h; dy lies as y does, dx as x does */
    const ptrdiff_t *x_row, *y_row;
    ptrdiff_t x_step, y_step;
    const void *h, *c;               /* initial states [N][width], or none for zeros */
    void *gates;                     /* become their gradients */
    const void *cells;
    void *dh, *dc;                   /* [N][width] gradients of the final states in, of the initial ones out */
    int initial;                     /* whether dh is wanted */
    const void *w, *u;               /* the weights (4H, I) and (4H, H) */
    void *turned;                    /* room for the weights: strips of columns, [strip][4 width][vectors][LANES] */
    void *dx;                        /* or none */
    int add_dx;
    void *columns;                   /* room for x, 1 and h of a segment's rows: FL_COLUMNS numbers */
    void *panels;                    /* room for [blocks][I + 1 + H][4][LANES], the gradients of weights and bias */
    int later;                       /* whether the parts of later steps are in there, from a pass without dw */
    void *dw, *du, *db;              /* their gradients, or none: they stay in panels; db alone may be none, too */
    int add_dw, add_du, add_db;      /* whether to add to what is there */
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
    const void *bias; /* added to each row, or none; only with rows of a that are contiguous, m and n above 1, and not add */
    void *room;       /* fl_functions.matmul_room bytes for each thread */
};

struct fl_probe {
    ptrdiff_t count, size;
    double value;
    const void *in;
    void *out; /* room for 64 bytes a thread */
};

/* panels and bias, as above, from the weights (4H, I) and (4H, H) and the bias (4H) */
struct fl_packing {
    ptrdiff_t I, H;
    const void *w, *u, *b;
    void *panels, *bias;
};

struct fl_functions {
    fl_job pack, forward, backward; /* of a struct fl_packing, fl_pass, fl_backward */
    fl_job forward_single, backward_single; /* of one step of up to 4 rows that keeps its gates */
    /* panels and bias from the weights (n, k) and the bias (n) or NULL; both as long as n rounded up to LANES wants */
    void (*pack_matrix)(void *panels, void *bias, const void *w, const void *b, ptrdiff_t n, ptrdiff_t k);
    fl_job affine, matmul;
    fl_job fma, read, activate; /* of a struct fl_probe */
    const struct fl_training *training;
    ptrdiff_t matmul_room;
};

struct fl_kernels {
    const char *name;
    int bytes, sums; /* of a vector; in the tile */
    struct fl_functions f, d;
};

/* The table of this name, or of the best instruction set of this processor for "", or NULL. */
const struct fl_kernels *fl_select(const char *name);

#endif
