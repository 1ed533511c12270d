/* What there is to do beside the recurrent cells and the matrix products. These are plain loops, which the compiler
   turns into vector code: once for each instruction set, and once for none of them (training_plain.c). Each result is
   added up in an order that does not depend on the number of threads. */
#ifndef FASTLSTM_TRAINING_H
#define FASTLSTM_TRAINING_H

#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/* A part of a parameter: all of its arrays, so many numbers of each. */
struct fl_block {
    void *value, *grad, *slot[2];
    ptrdiff_t size;
};

/* The numbers of each rule are named where it is written, in update_template.h. */
enum { FL_SCALE, FL_SGD, FL_MOMENTUM, FL_RMSPROP, FL_ADAM };
struct fl_update {
    const struct fl_block *blocks;
    ptrdiff_t count;
    int rule;
    double scale; /* of the gradient */
    double numbers[6];
    double *sums; /* one for each block */
};

enum {
    FL_MSE, FL_MAE, FL_HUBER, FL_SIGMOID_CROSS_ENTROPY,
    FL_SOFTMAX_CROSS_ENTROPY, FL_FOCAL,
    FL_QUANTILE, FL_GAUSSIAN, FL_STUDENT_T
};
struct fl_loss {
    int kind;
    ptrdiff_t rows, width, block; /* so many rows are a block, with a sum of its own */
    const void *pred, *target;    /* the target of a softmax or focal loss is ptrdiff_t */
    const void *weight;           /* of each row */
    void *dpred;
    double scale, delta; /* of the weights; of huber, gamma of focal, the least scale of a density */
    double *sums;
    ptrdiff_t outputs;     /* of pred for each number of target, where there are several; width is the target's */
    const double *numbers; /* levels of quantile */
};

/* Sequences (N, T, C), each with up to S labels, -1 beyond them; a step of weight 0 at the end is beyond the end. */
struct fl_ctc {
    ptrdiff_t N, T, C, S, blank;
    const void *pred;
    const ptrdiff_t *target;
    const void *weight; /* (N, T); that of its first step is a sequence's */
    void *dpred;
    double scale;                 /* of the weights */
    int per_label, zero_infinity; /* whether a loss is divided by the number of labels; whether 0 stands for infinity */
    double *losses;               /* (N), weighted */
    double *room;                 /* so much for each thread: FL_CTC_ROOM(T, S) */
    ptrdiff_t room_each;
    ptrdiff_t next;               /* sequence that nobody has taken yet; atomic.h */
};
#define FL_CTC_ROOM(T, S) ((T) + ((T) + 6) * (2 * (S) + 5))

/* y = x with those numbers zero whose random word is below the threshold, and the others times scale. The words are
   those from `first` on, so that a part of an array gets what the whole of it would. For `mask`, y is bytes, 1 for those
   that would be zero. */
struct fl_drop {
    ptrdiff_t size;
    uint64_t first;
    const void *x;
    void *y;
    uint64_t key, call;
    uint32_t threshold;
    double scale;
};

/* out[j] = or += sum over i of a[i * row + j], i < m and j < n */
struct fl_columns {
    ptrdiff_t m, n, row;
    const void *a;
    void *out;
    int add;
};

/* out[index[k]] += source[k], after out = 0 unless add; rows of width numbers */
struct fl_scatter {
    ptrdiff_t count, width, rows;
    const ptrdiff_t *index;
    const void *source;
    void *out;
    int add;
};

/* Rows of `width` numbers to a mean of 0 and a variance of 1, and the way back. */
struct fl_norm {
    ptrdiff_t rows, width, x_row, block; /* row r of x is at x + r * x_row; so many rows are a block */
    double eps;
    const void *x, *weight, *bias, *dy;
    void *y, *mean, *scale; /* mean and scale of each row */
    void *dx;               /* or none */
    void *sums;             /* [blocks][2][width]: the gradients of weight and bias by each block */
};

/* y = function(x), of `size` numbers */
enum {
    FL_EXP, FL_SIGMOID, FL_TANH, FL_RELU, FL_HARD_SIGMOID, FL_SOFTSIGN, FL_SOFTPLUS, FL_LEAKY_RELU,
    FL_THRESHOLDED_RELU, FL_ELU, FL_AFFINE, FL_SCALED_TANH, FL_GELU, FL_GELU_TANH, FL_SILU
};
struct fl_activation {
    int function;
    double alpha, beta;
    ptrdiff_t size;
    const void *x;
    void *y;
};

/* out = x + y, of `size` numbers */
struct fl_sum {
    ptrdiff_t size;
    const void *x, *y;
    void *out;
};

/* y[r] = sqrt(a^2 + b^2), where a is the first half of the row x[r], and b the second one; width is that of y */
struct fl_magnitude {
    ptrdiff_t rows, width;
    const void *x;
    void *y;
};

/* out[k] = the largest of the rows source[index[k, j]], j < size, number by number; those with an index of -1 are left
   out, and without any, out is 0. `at` is the j of each, or none. */
struct fl_largest {
    ptrdiff_t count, size, width;
    const ptrdiff_t *index;
    const void *source;
    void *out;
    ptrdiff_t *at;
};

/* y = softmax(x), row by row */
struct fl_softmax {
    ptrdiff_t rows, width;
    const void *x;
    void *y;
};

struct fl_training {
    fl_job squares, update; /* of a struct fl_update: its sums of grad^2; its rule */
    fl_job loss, ctc, drop, mask, columns, scatter, norm, norm_backward, activate, softmax, sum, largest, magnitude;
};

/* Those for any processor, for float and double. */
extern const struct fl_training fl_training_plain_f, fl_training_plain_d;

#endif
