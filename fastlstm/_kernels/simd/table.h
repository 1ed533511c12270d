/* The kernels on packed weights: one interface, one table of functions for each instruction set.

   A vector holds LANES numbers. The weights of a recurrent layer stand gate-interleaved: a block of units has the
   weights of all its gates side by side. So one register tile holds the sums of all gates of the same units and rows,
   and the cell is computed on the accumulators. A cell with G gates and S sums, whose blocks have UNITS vectors of
   units, has

       panels [blocks][I + K][G UNITS][LANES]    bias [blocks][(S + V) UNITS][LANES]    blocks = width / (UNITS LANES)

   where width is H rounded up to whole vectors, whose number UNITS divides, K the numbers of the state that U sees,
   and V the number of weights that each unit has for itself, such as those of peepholes; they follow the bias. This is
   the exact format. Others have the weights of several inputs in a row, and more rows after those of I and of K
   (formats.hpp).

   A step has one phase or several: where a unit needs what others have made of the same step, that is another phase. A
   phase is a pass of its own, with a cell, weights and a state h. What U sees is the state of the phase before: that of
   the last one, after the step before, for the first; of the one before it, after the same step, for the others. A cell
   of one phase sees its own state, and then K is H. A phase that has no weights of a state has a K of 0.
   A phase may also leave but its sums, W x or U h, for one that takes whole rows of them (norm_rows.hpp).
*/
#ifndef FASTLSTM_TABLE_H
#define FASTLSTM_TABLE_H

#include <stddef.h>

#include "compiler.h"
#include "pool.h"
#include "training.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Everything is all float or all double. */

/* Steps of a pass, among which the threads are shared out in one way. */
struct fl_segment {
    ptrdiff_t first, last; /* steps; last is one beyond */
    ptrdiff_t by_units;    /* whether threads share the units of each step, or each has rows of its own */
};

/* A function of a cell. What alpha and beta are is said where it is computed (functions.hpp). */
enum {
    FL_F_SIGMOID, FL_F_TANH, FL_F_RELU, FL_F_HARD_SIGMOID, FL_F_SOFTSIGN, FL_F_SOFTPLUS, FL_F_LEAKY_RELU,
    FL_F_THRESHOLDED_RELU, FL_F_ELU, FL_F_AFFINE, FL_F_SCALED_TANH, FL_FUNCTIONS
};
struct fl_function {
    int kind;
    double alpha, beta;
};

/* What a cell with options is told besides its weights. */
struct fl_options {
    struct fl_function gate, candidate, output;
    double clip, cell_clip; /* of what the functions of gates and candidate take, and of c; infinite for none */
    double zone_h, zone_c;  /* the part of h and of c that stays as it was, unless masks say which numbers stay */
    double candidate_scale; /* of the numbers of the candidate that a mask keeps */
    double norm;            /* what is added to the variance of a layer norm */
};

/* What is left out at random in a pass that trains. Bytes lie as y does, 1 where h or c stays as it was, or where the
   candidate is 0; a vector of them may be read beyond the last. Each may be none. */
struct fl_masks {
    const unsigned char *zone_h, *zone_c, *candidate;
    const void *state; /* [N][width] factors of h as U sees it, the same at each step */
};

/* A forward pass, or a phase of one. Threads only read it, but for `done`. */
struct fl_pass {
    const struct fl_cell *cell;
    struct fl_pass *then;       /* the next phase of each step, or none */
    const struct fl_pass *before; /* the phase before it in a step, or none */
    const struct fl_pass *seen; /* the phase whose h U sees, itself if there is but one */
    int ahead;                  /* whether it sees h after the same step; else that after the step before */
    ptrdiff_t T, N, I, H, K, width;
    const ptrdiff_t *alive; /* rows still running at each step, never more than at the step before */
    const void *x;          /* row n at step t is at x + x_row[n] + t * x_step */
    const ptrdiff_t *x_row;
    ptrdiff_t x_step;
    const void *panels, *bias;
    void *c;                /* [N][parts of c][width], or none for a cell without c: the initial states before, the final
                               ones after */
    void *h;                /* [2][N][width]: one half holds the states before a step, the other takes those after it */
    void *y;                /* row n at step t is at y + y_row[n] + t * y_step, H numbers */
    const ptrdiff_t *y_row;
    ptrdiff_t y_step;
    void *rounded;          /* room for rounded inputs of N rows of `chunk` steps, and for the states of a step, if the
                               format of the weights rounds them: rounded_each Inputs for each thread */
    ptrdiff_t rounded_each;
    void *projected;        /* [chunk][N][blocks][S UNITS][LANES], or none: then x is projected step by step */
    ptrdiff_t chunk;
    ptrdiff_t segment_count;
    const struct fl_segment *segments;
    int *phase;             /* which of the two h holds the initial states */
    int option;             /* of the cell */
    const struct fl_options *options; /* of a cell that has them */
    const struct fl_masks *masks;     /* or none */
    void *fed;              /* room for [N][K] of h times its factors for each thread, if there are such masks */
    int fresh;              /* whether the initial states are zero, whatever c and h hold */
    /* What a backward pass needs, or none: what the cell keeps [blocks][rows][S UNITS][LANES], and its c
       [blocks][rows][parts][UNITS][LANES], where step t begins with row offset[t] of the `rows` rows of all steps.
       Sums that a later phase takes are kept in any pass: in one without a backward pass each step's in the place of the
       last one's. */
    void *kept, *kept_c;
    const ptrdiff_t *offset;
    ptrdiff_t rows;
    const void *w, *u, *b;  /* for a single step: the weights (G H, I) and (G H, H) and the bias (S H) or none */
    struct fl_pass *below;  /* the layer that writes x while this one reads it, if they run side by side */
    ptrdiff_t done;         /* steps whose outputs are there; atomic.h */
};

/* Back-propagation through time of a pass, or a phase of one, that has kept what it needs. */
struct fl_backward {
    const struct fl_cell *cell;
    struct fl_backward *then; /* the phase that comes before this one in a step, or none: the last phase comes first */
    struct fl_backward *user; /* the phase whose U sees the h of this one, itself if there is but one */
    int ahead;                /* whether its own U sees h after the same step; else that after the step before */
    ptrdiff_t T, N, rows, I, H, K, width;
    const ptrdiff_t *alive, *offset; /* as in fl_pass; offset[T] is rows */
    ptrdiff_t segment_count;
    const struct fl_segment *segments; /* after each, the gradients of the weights by its rows are added up */
    ptrdiff_t strip;                 /* vectors of K in a strip of `transposed`, up to FL_STRIP; the last has the rest */
    const void *x, *y, *dy;          /* y is the output of the forward pass, that is h; dy lies as y, dx as x; dy may be
                                        none, of a phase whose h is no output */
    const ptrdiff_t *x_row, *y_row;
    ptrdiff_t x_step, y_step;
    const void *seen;                /* the h that U sees, as y: row n after step t is at seen + seen_row[n] + t * seen_step */
    const ptrdiff_t *seen_row;
    ptrdiff_t seen_step, seen_width; /* seen_width is K rounded up to whole vectors */
    const void *seen_h;              /* the initial state [N][seen_width] of what U sees, or none for zeros */
    const void *h, *c;               /* those [N][width] of its own, likewise, c with all its parts */
    void *kept;                      /* becomes the gradients of the sums, unless the format of the weights rounds */
    void *rounded;                   /* their room if it does: [blocks][rows][S UNITS][LANES] in the format */
    const void *kept_c;
    void *dh, *dc;                   /* [N][width] gradients of the final h and c in, of the initial ones out; dc as c */
    void *past;                      /* [N][width] the part of the gradient of h that goes past U; zeros before */
    int option;                      /* of the cell */
    const struct fl_options *options;
    const struct fl_masks *masks;
    const void *bias;                /* as packed: the weights of each unit for itself follow the bias */
    int initial;                     /* whether dh is wanted */
    const void *w, *u;               /* the weights (G H, I) and (G H, K) */
    void *transposed;                /* fl_transposed_room numbers: the weights in strips, see products.hpp */
    void *dx;                        /* or none */
    int add_dx;
    void *columns;                   /* fl_columns_room numbers: x, 1 and h of a segment's rows */
    void *interleaved;               /* room for a segment's gradients of the sums of a block, in bundles of rows, if the
                                        format has a depth: interleaved_each fours of bytes for each thread */
    ptrdiff_t interleaved_each;
    void *panels;                    /* fl_gradients_room numbers: the gradients of weights and bias */
    int frozen;                      /* whether no gradients of the weights are wanted */
    int later;                       /* whether `panels` already holds the sums of later steps, from a pass without dw */
    void *dw, *du, *db, *dv;         /* their gradients, and those of the weights of each unit for itself (V H), or none:
                                        they stay in panels; db and dv alone may be none, too */
    int add_dw, add_du, add_db, add_dv; /* whether to add to what is there */
};

/* The columns whose products with the gradients of the sums are those of the weights: x and a 1 for the bias, then h,
   and another 1 where a cell has sums that x does not feed. */
static inline ptrdiff_t fl_state_columns(ptrdiff_t K, int gates, int sums) { return K + (sums > gates); }

/* Room for these columns of at most `rows` rows, or bundles of rows: strips of `tile` columns, and FL_BEYOND numbers
   beyond each, for numbers are copied in whole vectors. */
#define FL_BEYOND 8
static inline ptrdiff_t fl_columns_room(ptrdiff_t I, ptrdiff_t K, int gates, int sums, ptrdiff_t tile, ptrdiff_t rows) {
    const ptrdiff_t of_x = I + 1, of_h = fl_state_columns(K, gates, sums);
    return ((of_x + tile - 1) / tile + (of_h + tile - 1) / tile) * (tile * rows + FL_BEYOND);
}
static inline ptrdiff_t fl_gradients_room(ptrdiff_t I, ptrdiff_t K, int gates, int sums, int own, ptrdiff_t width) {
    return width * (gates * (I + 1 + fl_state_columns(K, gates, sums)) + own);
}

/* Vectors of columns in a strip of the transposed weights, at most; and room for all strips of both weights, for inputs,
   seen numbers and units rounded up to whole vectors. */
#define FL_STRIP 4
static inline ptrdiff_t fl_transposed_room(ptrdiff_t inputs, ptrdiff_t seen, ptrdiff_t width, int gates) {
    return (seen + inputs) * gates * width;
}

/* Weights that stay in a core's L2 cache, of 512 KiB and more, beside what they are multiplied with. */
#define FL_NEAR_BYTES (1 << 18)
#define FL_HELD_ROWS 96 /* whose sums are held while such a part of the weights is used for all of them */

#define FL_SINGLE 4 /* rows of a single step up to which the weights are used where they lie */

/* y = x w^T + bias: x is m rows of k, y is m rows of n; panels and bias by pack_matrix */
struct fl_affine {
    ptrdiff_t m, n, k, x_row, y_row;
    const void *x, *panels, *bias;
    void *y;
    void *rounded; /* room for FL_HELD_ROWS rows of inputs for each thread, if the format rounds them */
};

/* c (m, n) = a b, or c += a b; a's element (i, k) is at a + i * a_row + k * a_k, one of which is 1; b's likewise */
struct fl_matmul {
    ptrdiff_t m, n, k, a_row, a_k, b_k, b_col, c_row;
    const void *a, *b;
    void *c;
    int add;
    int in_order;     /* whether a single row of contiguous numbers must have the bits that it has among others, as it
                         always has where the format rounds */
    const void *bias; /* added to each row, or none; only with rows of a that are contiguous, n above 1, m above 1 or
                         in_order, and not add */
    void *room;       /* fl_functions.matmul_room bytes for each thread, in any format */
};

struct fl_probe {
    ptrdiff_t count, size;
    double value;
    const void *in;
    void *out; /* room for 64 bytes a thread */
};

/* panels and bias, as above, from the weights (G H, I) and (G H, K), the bias (S H), and the weights of each unit for
   itself (V H) or none */
struct fl_packing {
    ptrdiff_t I, H, K;
    const void *w, *u, *b, *v;
    void *panels, *bias;
};

/* Formats of weights: FL_EXACT is of the type of the sums; the others exist only where that is float. */
enum { FL_EXACT, FL_BFLOAT16, FL_INT8, FL_INT8X16, FL_FORMATS };

#define FL_PHASES 4 /* of a step, at most */

/* The option of a cell that leaves its sums as they are, for a later phase. */
#define FL_ONLY_SUMS (-1)

/* One thread's part of a segment of a phase. Only the cell's functions read what `own` holds. */
struct fl_walk {
    void (*step)(struct fl_walk *, ptrdiff_t t);
    void *own[40];
};

/* What a segment of a backward pass consists of, for a phase; each function does a thread's part. */
struct fl_backward_functions {
    void (*transpose)(const struct fl_backward *, int thread, const struct fl_team *team); /* the weights, ahead of all steps */
    void (*begin)(struct fl_walk *, const struct fl_backward *, const struct fl_segment *, int thread, struct fl_team *team);
    /* the products of the state's weights for some rows, from `row` of all steps on: some vectors of the gradient of
       what U sees. Returns the number of rows, up to `rows`, that it took */
    ptrdiff_t (*multiply)(const struct fl_backward *, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors,
                          void *products);
    /* after the steps of a segment: the columns of the weights' gradients, and dx; then these gradients by its rows */
    void (*gather)(const struct fl_backward *, const struct fl_segment *, int thread, const struct fl_team *team);
    void (*add)(const struct fl_backward *, const struct fl_segment *, int add, int thread, const struct fl_team *team);
    void (*initial)(const struct fl_backward *, int thread, const struct fl_team *team); /* dh of the initial states */
    void (*deliver)(const struct fl_backward *, int thread, const struct fl_team *team); /* the gradients, to where they belong */
};

struct fl_cell {
    const char *name;
    int gates, sums, units, option;
    int c_parts; /* numbers that c has for each unit, 0 without c */
    int own;     /* weights that each unit has for itself */
    int options; /* whether it reads fl_options */
    int row_room; /* 0, or of a cell that takes whole rows: numbers of a unit that a thread holds of a row back */
    fl_job pack; /* of a struct fl_packing */
    void (*begin)(struct fl_walk *, struct fl_pass *, const struct fl_segment *, int thread, const struct fl_team *team);
    const struct fl_backward_functions *backward; /* NULL in formats in which nothing trains */
    fl_job forward_single, backward_single; /* of one step of up to FL_SINGLE rows that keeps what backward needs, and
                                               has dw and du; NULL where there are none */
};

/* The passes: jobs of a struct fl_pass and of a struct fl_backward, of the last phase (walk.c). */
void fl_forward(void *pass, int thread, struct fl_team *team);
void fl_backward_through_time(void *pass, int thread, struct fl_team *team);

/* What packed weights in one format serve. */
struct fl_format {
    ptrdiff_t depth, bytes;      /* inputs in a row of a panel; bytes of a weight */
    ptrdiff_t tail;              /* rows that follow those of the weights */
    ptrdiff_t rounds, ends;      /* whether inputs are rounded, into fours of bytes, of which so many are beyond them */
    const struct fl_cell *cells; /* those of one name stand one after the other, by their units; the last has no name */
    /* panels and bias from the weights (n, k) and the bias (n) or NULL; both as long as n rounded up to LANES wants */
    void (*pack_matrix)(void *panels, void *bias, const void *w, const void *b, ptrdiff_t n, ptrdiff_t k);
    fl_job affine; /* of a struct fl_affine */
    fl_job matmul; /* of a struct fl_matmul, or NULL */
};

struct fl_functions {
    const struct fl_format *formats[FL_FORMATS]; /* or NULL */
    fl_job fma, read, activate; /* of a struct fl_probe */
    const struct fl_training *training;
    ptrdiff_t matmul_room;
};

struct fl_kernels {
    const char *name;
    int bytes, rows; /* of a vector; of a register tile */
    struct fl_functions f, d;
};

/* The table of this name, or of the best instruction set of this processor for "", or NULL. */
const struct fl_kernels *fl_select(const char *name);

/* The cell of this name for so many vectors of units: the kernels with the largest blocks that divide them. */
const struct fl_cell *fl_cell_of(const struct fl_format *format, const char *name, ptrdiff_t vectors);

#ifdef __cplusplus
}
#endif

#endif
