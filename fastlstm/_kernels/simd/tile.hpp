/* The register tile that everything is built from, and how rows are shared among tiles and threads. */
#ifndef FASTLSTM_TILE_HPP
#define FASTLSTM_TILE_HPP

#include <type_traits>

#include "formats.hpp"
#include "table.h"

namespace {

/* Which sum of a block each vector of weights feeds: here, each its own. */
template <int G> struct InOrder {
    static constexpr int width = G;
    static constexpr int at(int v) { return v; }
};

constexpr int rows_of_tile = FL_ROWS; /* FL_ROWS x 4 sums fit in the registers */

/* Weights that outgrow a core's L2 cache are used in parts of near_bytes, each for many rows, whose sums are held
   meanwhile. So many rows that loading and storing their sums takes little beside the products. */
constexpr ptrdiff_t near_bytes = FL_NEAR_BYTES;
constexpr ptrdiff_t held_rows = FL_HELD_ROWS;

/* sum[b R + r][Feed::at(g)] += sum over k of a[r][k] w[b][k][g], for R rows, B blocks of weights `apart` numbers apart,
   each of whose rows of Feed::width vectors is `row` numbers after the last one.

   Each sum is added up one k after the other, whatever R and B are: a row has the same bits in any tile. A processor
   needs many independent sums; B gives them to one row. */
template <int R, int B, class Feed, class Format, int N, int S>
FL_INLINE void add_products(typename Format::Sums (&sum)[N][S], ptrdiff_t K, const typename Format::Input *const *a,
                            const typename Format::Weight *w, ptrdiff_t apart, ptrdiff_t row) {
    using Vector = decltype(Format::load(w));
    constexpr int G = Feed::width;
    constexpr ptrdiff_t vector = lanes<typename Format::Real> * Format::depth; /* numbers */
    for (ptrdiff_t k = 0; k < K; k++, w += row) {
        Vector x[R];
        if constexpr (B > 1 || Format::widens) EACH(r, R) x[r] = Format::broadcast(a[r][k]);
        if constexpr (Format::widens) { /* one weight at a time, since it takes a register */
            EACH(b, B) EACH(g, G) {
                const Vector v = Format::load(w + b * apart + g * vector);
                EACH(r, R) {
                    typename Format::Sums &to = sum[b * R + r][Feed::at(g)];
                    to = Format::multiply_add(x[r], v, to);
                }
            }
            continue;
        }
        EACH(b, B) {
            Vector v[G];
            EACH(g, G) v[g] = Format::load(w + b * apart + g * vector);
            EACH(r, R) {
                if constexpr (B == 1) x[r] = Format::broadcast(a[r][k]);
                EACH(g, G) {
                    typename Format::Sums &to = sum[b * R + r][Feed::at(g)];
                    to = Format::multiply_add(x[r], v[g], to);
                }
            }
        }
    }
}

/* The same in the units of the result, whatever those of the format's own sums are; sum n, s is first set to begin(n, s).
   Products that are scaled take the registers of sums that have been set before. */
template <int R, int B, class Feed, class Format, int N, int S, class Begin>
FL_INLINE void begin_tile(Vec<typename Format::Real> (&sum)[N][S], ptrdiff_t K, const typename Format::Input *const *a,
                          const typename Format::Weight *w, ptrdiff_t apart, ptrdiff_t row, Begin begin) {
    constexpr int G = Feed::width;
    if constexpr (!Format::scales) {
        EACH(n, N) EACH(s, S) sum[n][s] = begin(n, s);
        add_products<R, B, Feed, Format>(sum, K, a, w, apart, row);
    } else {
        const typename Format::Weight *const tail = w + K * row;
        typename Format::Sums products[B * R][G];
        EACH(b, B) EACH(g, G) EACH(r, R) products[b * R + r][g] = Format::start(tail + b * apart, G, g);
        add_products<R, B, InOrder<G>, Format>(products, K, a, w, apart, row);
        EACH(n, N) EACH(s, S) sum[n][s] = begin(n, s);
        EACH(b, B) EACH(g, G) {
            const auto scale = Format::scale(tail + b * apart, g);
            EACH(r, R) {
                Vec<typename Format::Real> &to = sum[b * R + r][Feed::at(g)];
                to = Format::add_scaled(products[b * R + r][g], scale, a[r] + K, to);
            }
        }
    }
}
template <int R, int B, class Feed, class Format, int N, int S>
FL_INLINE void tile(Vec<typename Format::Real> (&sum)[N][S], ptrdiff_t K, const typename Format::Input *const *a,
                    const typename Format::Weight *w, ptrdiff_t apart, ptrdiff_t row) {
    begin_tile<R, B, Feed, Format>(sum, K, a, w, apart, row, [&](int n, int s) { return sum[n][s]; });
}

/* How many of the rows first..last come next, in groups of at most FL_ROWS and as even as can be: a group of few rows
   costs nearly as much as a full one. */
FL_INLINE ptrdiff_t group_of(ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t groups = whole(last - first, rows_of_tile);
    return whole(last - first, groups);
}

/* f with n, which is 1 to MOST, as a constant. */
template <int N> using Int = std::integral_constant<int, N>;
template <int MOST, class F> FL_INLINE void with_constant(ptrdiff_t n, F f) {
    if constexpr (MOST == 1) f(Int<1>());
    else if (n == MOST) f(Int<MOST>());
    else with_constant<MOST - 1>(n, f);
}

/* The rows first..last in groups: f(rows as a constant, the first row). */
template <class F> FL_INLINE void in_groups(ptrdiff_t first, ptrdiff_t last, F f) {
    for (ptrdiff_t rows; first < last; first += rows) {
        rows = group_of(first, last);
        with_constant<rows_of_tile>(rows, [&](auto r) { f(r, first); });
    }
}

/* The first row of a thread's share of a segment. Shares have about equal numbers of rows times steps. */
inline ptrdiff_t share_rows(const ptrdiff_t *alive, const fl_segment &segment, int thread, int threads) {
    ptrdiff_t t = segment.last, rows = alive[segment.first], total = 0, sum = 0, row = 0;
    if (alive[t - 1] == rows || thread == threads) return rows * thread / threads;
    for (ptrdiff_t step = segment.first; step < t; step++) total += alive[step];
    for (; sum * threads < total * thread; row++) { /* which takes part in the steps first..t, as alive never grows */
        while (alive[t - 1] <= row) t--;
        sum += t - segment.first;
    }
    return row;
}

/* Whether what a thread keeps between the steps of a segment lies well in its fl_walk. */
template <class Own> constexpr bool fits_walk = sizeof(Own) <= sizeof(fl_walk::own) && alignof(Own) <= alignof(void *);

/* A thread's part of something that is shared. */
struct Range {
    ptrdiff_t first, last;
};
FL_INLINE Range share_of(ptrdiff_t count, int thread, const fl_team *team) {
    return {count * thread / team->size, count * (thread + 1) / team->size};
}

/* A thread's part of the rows, and of the columns, blocks or strips. */
struct Part {
    Range rows, columns;
};

/* A thread's rows of a segment, and its blocks or strips, of which each step has `units`. */
inline Part share_segment(const ptrdiff_t *alive, const fl_segment &segment, ptrdiff_t N, ptrdiff_t units, int thread,
                           const fl_team *team) {
    if (segment.by_units) return {{0, N}, share_of(units, thread, team)};
    return {{share_rows(alive, segment, thread, team->size), share_rows(alive, segment, thread + 1, team->size)},
            {0, units}};
}

}

#endif
