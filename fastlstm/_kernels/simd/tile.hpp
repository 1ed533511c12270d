/* The register tile that everything is built from, and how rows are shared among tiles and threads. */
#ifndef FASTLSTM_TILE_HPP
#define FASTLSTM_TILE_HPP

#include "table.h"
#include "vector.hpp"

namespace {

constexpr int rows_of_tile = FL_ROWS;    /* FL_ROWS x 4 sums fit in the registers */
constexpr ptrdiff_t near_bytes = 1 << 18; /* weights that stay in a core's L2 cache beside what they are multiplied with */
constexpr ptrdiff_t held_rows = 96;      /* whose sums are held while such a part of the weights is used for all of them */

/* A weight in a panel has a type of its own; this is where it becomes what is multiplied. */
template <class Real> FL_INLINE Vec<Real> load_weights(const Real *w) { return load<Real>(w); }

/* sum[b R + r][Feed::at(g)] += sum over k of a[r][k] w[b][k][g], for R rows, B blocks of weights `apart` numbers apart,
   each of whose rows of Feed::width vectors is `row` numbers after the last one.

   Each sum is added up one k after the other, whatever R and B are: a row has the same bits in any tile. One row has
   enough independent sums, which is what the processor needs, by B. */
template <int R, int B, class Feed, class Real, class Weight, int N, int S>
FL_INLINE void tile(Vec<Real> (&sum)[N][S], ptrdiff_t K, const Real *const *a, const Weight *w, ptrdiff_t apart,
                    ptrdiff_t row) {
    constexpr int G = Feed::width;
    constexpr ptrdiff_t L = lanes<Real>;
    for (ptrdiff_t k = 0; k < K; k++, w += row) {
        Vec<Real> x[R];
        if constexpr (B > 1) EACH(r, R) x[r] = set<Real>(a[r][k]);
        EACH(b, B) {
            Vec<Real> v[G];
            EACH(g, G) v[g] = load_weights<Real>(w + b * apart + g * L);
            EACH(r, R) {
                if constexpr (B == 1) x[r] = set<Real>(a[r][k]);
                EACH(g, G) sum[b * R + r][Feed::at(g)] = multiply_add(x[r], v[g], sum[b * R + r][Feed::at(g)]);
            }
        }
    }
}

/* How many of the rows first..last come next, in groups of at most FL_ROWS and as even as can be: a group of few rows
   costs nearly as much as a full one. */
FL_INLINE ptrdiff_t group_of(ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t groups = whole(last - first, rows_of_tile);
    return whole(last - first, groups);
}

/* Row where the part of this thread begins, if each gets about as many rows times steps of a segment; alive never grows. */
inline ptrdiff_t share_rows(const ptrdiff_t *alive, const fl_segment &segment, int thread, int threads) {
    ptrdiff_t t = segment.last, rows = alive[segment.first], total = 0, sum = 0, row = 0;
    if (alive[t - 1] == rows || thread == threads) return rows * thread / threads;
    for (ptrdiff_t step = segment.first; step < t; step++) total += alive[step];
    for (; sum * threads < total * thread; row++) {
        while (alive[t - 1] <= row) t--;
        sum += t - segment.first;
    }
    return row;
}

/* A thread's part of something that is shared. */
struct Range {
    ptrdiff_t first, last;
};
FL_INLINE Range share_of(ptrdiff_t count, int thread, const fl_team *team) {
    return {count * thread / team->size, count * (thread + 1) / team->size};
}

/* A thread's part of a segment: rows, and blocks or strips of units. */
struct Share {
    Range rows, units;
};
inline Share share_segment(const ptrdiff_t *alive, const fl_segment &segment, ptrdiff_t N, ptrdiff_t units, int thread,
                           const fl_team *team) {
    if (segment.by_units) return {{0, N}, share_of(units, thread, team)};
    return {{share_rows(alive, segment, thread, team->size), share_rows(alive, segment, thread + 1, team->size)},
            {0, units}};
}

}

#endif
