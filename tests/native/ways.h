/* In how many ways the rows of a problem can be worked on: in which batches, by how many threads, how shared. */
#ifndef FASTLSTM_WAYS_H
#define FASTLSTM_WAYS_H

#include <stdint.h>
#include <stdio.h>

#include "../../fastlstm/_kernels/simd/table.h"
#include "plain.h"

enum sharing { ROWS, UNITS, IN_TURN }; /* what threads share: rows, units of each step, one or the other by segments */

struct way {
    ptrdiff_t rows, steps; /* of a batch; of a segment */
    int threads;
    enum sharing sharing;
    int single, add; /* the kernels for a single step; add the gradients of x, weights and bias to what is there */
};

/* What has come of it: the largest error in parts of what is allowed, and digests of what each row has of its own and
   of the gradients of the weights. */
struct found {
    double error;
    uint64_t row_bits, weight_bits;
};

static void print_way(const struct way *way) {
    static const char *const names[] = {"rows", "units", "rows and units in turn"};
    printf("%d threads that share %s, %td rows a batch, %td steps a segment%s%s\n", way->threads, names[way->sharing],
           way->rows, way->steps, way->single ? ", single" : "", way->add ? ", add" : "");
}

/* The first way is one batch on one thread. A large problem has but two more, one of them in batches of `part` rows. */
enum { MOST_WAYS = 32 };
static size_t all_ways_of(const struct problem *q, ptrdiff_t part, struct way *ways) {
    const ptrdiff_t N = q->N, T = q->T;
    const int add = coin();
    size_t count = 0;
    ways[count++] = (struct way){N, T, 1, ROWS, 0, add};
    if (part) {
        ways[count++] = (struct way){N, T, 3, UNITS, 0, add};
        ways[count++] = (struct way){part, T, 1, ROWS, 0, add};
        return count;
    }
    for (int sharing = ROWS; sharing <= IN_TURN; sharing++)
        ways[count++] = (struct way){N, sharing == ROWS ? T : 2, 3, (enum sharing)sharing, 0, add};
    for (ptrdiff_t rows = 1; rows <= 7 && rows < N; rows++)
        ways[count++] = (struct way){rows, 1 + rows % 3, rows & 1 ? 3 : 1, (enum sharing)(rows % 3), 0, add};
    for (ptrdiff_t rows = 1; rows <= FL_SINGLE && rows <= N && T == 1; rows++)
        for (int threads = 1; threads <= 3; threads += 2)
            ways[count++] = (struct way){rows, 1, threads, ROWS, 1, add};
    return count;
}

/* Some rows of a problem, as the kernels are told of them. */
struct batch {
    ptrdiff_t first, N, T, segment_count;
    int full; /* whether all rows have all the steps */
    ptrdiff_t *alive, *offset, *x_row, *y_row;
    struct fl_segment *segments;
};

static ptrdiff_t *indices(ptrdiff_t count) { return room((size_t)count * sizeof(ptrdiff_t)); }

static struct batch batch_of(const struct problem *q, const struct way *way, ptrdiff_t first) {
    const ptrdiff_t N = q->N - first < way->rows ? q->N - first : way->rows, T = q->lengths[first];
    struct batch b = {.first = first, .N = N, .T = T, .full = q->lengths[first + N - 1] == T};
    b.alive = indices(T), b.offset = indices(T + 1), b.x_row = indices(N), b.y_row = indices(N);
    b.segments = room((size_t)T * sizeof *b.segments);
    for (ptrdiff_t t = 0; t < T; t++) {
        while (b.alive[t] < N && q->lengths[first + b.alive[t]] > t) b.alive[t]++;
        b.offset[t + 1] = b.offset[t] + b.alive[t];
    }
    for (ptrdiff_t n = 0; n < N; n++) {
        b.x_row[n] = at_step(q, first + n, 0) * q->I;
        b.y_row[n] = at_step(q, first + n, 0) * q->Y + COLUMN;
    }
    for (ptrdiff_t t = 0, k; t < T; t += way->steps) {
        const ptrdiff_t last = t + way->steps < T ? t + way->steps : T;
        k = b.segment_count++;
        b.segments[k] = (struct fl_segment){t, last, way->sharing == UNITS || (way->sharing == IN_TURN && k % 2)};
    }
    return b;
}

/* The largest number of bundles of up to `depth` rows of a step in a segment. */
static ptrdiff_t longest_in_bundles(const struct batch *b, ptrdiff_t depth) {
    ptrdiff_t most = 0;
    for (ptrdiff_t k = 0; k < b->segment_count; k++) {
        ptrdiff_t bundles = 0;
        for (ptrdiff_t t = b->segments[k].first; t < b->segments[k].last; t++) bundles += (b->alive[t] + depth - 1) / depth;
        if (bundles > most) most = bundles;
    }
    return most;
}

#endif
