/* Training on a single step of a few rows. The weights are read once where they lie: packing them first would take
   longer than all the rest. The sums are inner products, which are added up in another order than the tile's. Whoever
   needs the bits of a larger batch takes the other kernels (fl.set_batch_invariant). */
#ifndef FASTLSTM_SINGLE_HPP
#define FASTLSTM_SINGLE_HPP

#include "backward.hpp"
#include "matmul.hpp"

namespace {

constexpr int weight_rows = 4; /* that are read at once: enough independent sums for a processor */

/* Some rows of a weight (G H, columns) that are read at once: those of all gates of a unit, or of more units where a
   cell has fewer gates. Each gate's rows follow each other in memory, so the processor fetches those of the next units
   ahead. */
template <class Cell, class Feed> struct SomeRows {
    static_assert(Feed::width <= weight_rows, "a block has more vectors of weights than rows are read at once");
    static constexpr int units = weight_rows / Feed::width, most = units * Feed::width;
    int count = 0;
    ptrdiff_t row[most], sum[most]; /* of the weight; the place in a block's sums [S][LANES] of its product */

    SomeRows(ptrdiff_t block, ptrdiff_t first, ptrdiff_t H) {
        for (int k = 0; k < most; k++) {
            const int v = k % Feed::width;
            const ptrdiff_t unit = first + k / Feed::width;
            const Rows rows = rows_of<Cell>(block, v, H);
            if (unit >= rows.units) continue;
            row[count] = rows.row + unit;
            sum[count++] = Feed::at(v) * lanes<typename Cell::Real> + unit;
        }
    }
};

/* f(how many as a constant, some rows) for all rows of a block. */
template <class Cell, class Feed, class F> FL_INLINE void for_some_rows(ptrdiff_t block, ptrdiff_t H, F f) {
    using Some = SomeRows<Cell, Feed>;
    for (ptrdiff_t unit = 0; unit < rows_of<Cell>(block, 0, H).units; unit += Some::units) {
        const Some some(block, unit, H);
        with_constant<Some::most>(some.count, [&](auto count) { f(count, some); });
    }
}

/* The products of N rows of `columns` numbers with the weights of a block, added to its sums [N][S][LANES]. */
template <class Cell, class Feed>
void add_inner_products(typename Cell::Real *sums, const typename Cell::Real *const *rows, ptrdiff_t N,
                  const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t block, ptrdiff_t H) {
    using Real = typename Cell::Real;
    for_some_rows<Cell, Feed>(block, H, [&](auto count, const SomeRows<Cell, Feed> &some) {
        constexpr int R = decltype(count)::value;
        const Real *w[R];
        Real product[R];
        EACH(k, R) w[k] = weight + some.row[k] * columns;
        for (ptrdiff_t n = 0; n < N; n++) {
            inner_products<Real>(w, rows[n], columns, product);
            EACH(k, R) sums[n * block_sums<Cell> * lanes<Real> + some.sum[k]] += product[k];
        }
    });
}

template <class Cell> void forward_single(void *pass, int thread, fl_team *team) {
    using Real = typename Cell::Real;
    constexpr int S = block_sums<Cell>, U = Cell::units;
    const fl_pass &p = *(const fl_pass *)pass;
    const ForwardOf<Cell> f = forward_of<Cell>(p);
    const Range blocks = share_of(f.blocks, thread, team);
    const Real *x[FL_SINGLE], *h_prev[FL_SINGLE];
    for (ptrdiff_t n = 0; n < p.N; n++) x[n] = f.x(n, 0), h_prev[n] = f.h(n, 0);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++) {
        Real sums[FL_SINGLE * S * ForwardOf<Cell>::L] FL_ALIGNED;
        for (ptrdiff_t n = 0; n < p.N; n++) pack_bias<Cell>(sums + n * S * f.L, (const Real *)p.b, block, p.H);
        add_inner_products<Cell, FromInputs<Cell>>(sums, x, p.N, (const Real *)p.w, p.I, block, p.H);
        if (!p.fresh) add_inner_products<Cell, FromState<Cell>>(sums, h_prev, p.N, (const Real *)p.u, p.H, block, p.H);
        for (ptrdiff_t n = 0; n < p.N; n++) {
            const ptrdiff_t at = block * U * f.L;
            Vec<Real> sum[1][S], c[U], h[U];
            EACH(s, S) sum[0][s] = load<Real>(sums + (n * S + s) * f.L);
            EACH(u, U) {
                if constexpr (Cell::keeps_c) c[u] = p.fresh ? Vec<Real>{} : load<Real>(f.c(n) + at + u * f.L);
                if constexpr (Cell::reads_h) h[u] = p.fresh ? Vec<Real>{} : load<Real>(h_prev[n] + at + u * f.L);
            }
            Cell::template forward<true>(sum, c, h, told_of<Cell>(f, block));
            keep<Cell, 1, 1>(f, sum, c, 0, block, n);
            write_states<Cell, 1, 1>(f, c, h, 0, at, n);
        }
    }
}

/* The gradients of a sum of one row, for the units of a block. */
template <class Cell>
FL_INLINE const typename Cell::Real *gradients_of(const Backward<Cell> &b, ptrdiff_t block, int sum, ptrdiff_t row) {
    return b.kept(block * b.p.rows + row) + sum * b.L;
}

/* grad (., columns) = d' from, or that added to it, for the rows of one block; from NULL is zeros. */
template <class Feed, class Cell>
void outer_products(const Backward<Cell> &b, ptrdiff_t block, const typename Cell::Real *const *from,
                    typename Cell::Real *grad, ptrdiff_t columns, bool add) {
    using Real = typename Cell::Real;
    for (int v = 0; v < Feed::width; v++) {
        const Rows rows = rows_of<Cell>(block, v, b.p.H);
        for (ptrdiff_t unit = 0; unit < rows.units; unit++) {
            Real *to = grad + (rows.row + unit) * columns;
            for (ptrdiff_t n = 0; n < b.p.N; n++) {
                const Vec<Real> d = set<Real>(gradients_of(b, block, Feed::at(v), n)[unit]);
                const Real *x = from[n];
                if (x) write_columns<Real>(to, 0, columns, add || n, [&](ptrdiff_t j, ptrdiff_t left) {
                    return d * load_at_most<Real>(x + j, left);
                });
                else if (!add && !n) memset(to, 0, (size_t)columns * sizeof(Real));
            }
        }
    }
}

template <class Cell> void bias_single(const Backward<Cell> &b, ptrdiff_t block) {
    using Real = typename Cell::Real;
    for (int s = 0; s < b.S; s++) {
        const Rows rows = rows_of<Cell>(block, s, b.p.H);
        for (ptrdiff_t unit = 0; unit < rows.units; unit++) {
            Real *db = (Real *)b.p.db + rows.row + unit, sum = b.p.add_db ? *db : 0;
            for (ptrdiff_t n = 0; n < b.p.N; n++) sum += gradients_of(b, block, s, n)[unit];
            *db = sum;
        }
    }
}

/* out[j] += d[0] w[0][j] + d[1] w[1][j] + ... for R rows of a weight; two chains of additions have half the latency. */
template <class Real, int R>
FL_INLINE void add_rows(Real *out, const Real (&d)[R], const Real *const (&w)[R], Range some) {
    write_columns<Real>(out, some.first, some.last, true, [&](ptrdiff_t j, ptrdiff_t left) {
        Vec<Real> sum[2] = {};
        EACH(k, R) sum[k % 2] = multiply_add(set<Real>(d[k]), load_at_most<Real>(w[k] + j, left), sum[k % 2]);
        return sum[0] + sum[1];
    });
}

/* out[n] = d[n] weight, or that added to it, for some columns of the weight, where it lies. */
template <class Feed, class Cell>
void multiply_back(const Backward<Cell> &b, const typename Cell::Real *weight, ptrdiff_t columns, Range some,
                   typename Cell::Real *const *out, bool add) {
    using Real = typename Cell::Real;
    for (ptrdiff_t n = 0; n < b.p.N && !add; n++)
        memset(out[n] + some.first, 0, (size_t)(some.last - some.first) * sizeof(Real));
    for (ptrdiff_t block = 0; block < b.blocks(); block++)
        for_some_rows<Cell, Feed>(block, b.p.H, [&](auto count, const SomeRows<Cell, Feed> &read) {
            constexpr int R = decltype(count)::value;
            const Real *w[R];
            Real d[R];
            EACH(k, R) w[k] = weight + read.row[k] * columns;
            for (ptrdiff_t n = 0; n < b.p.N; n++) {
                EACH(k, R) d[k] = gradients_of(b, block, 0, n)[read.sum[k]];
                add_rows<Real, R>(out[n], d, w, some);
            }
        });
}

/* The direct part of dh of the initial states. */
template <class Cell> void add_past(const Backward<Cell> &b, typename Cell::Real *const *dh, Range some) {
    for (ptrdiff_t n = 0; n < b.p.N; n++)
        for (ptrdiff_t j = some.first; j < some.last; j++) {
            typename Cell::Real &past = ((typename Cell::Real *)b.p.past)[n * b.p.width + j];
            dh[n][j] += past;
            past = 0;
        }
}

template <class Cell> void backward_single(void *argument, int thread, fl_team *team) {
    using Real = typename Cell::Real;
    const fl_backward &p = *(const fl_backward *)argument;
    const Backward<Cell> b{p};
    const Range blocks = share_of(b.blocks(), thread, team), units = share_of(p.H, thread, team);
    const Real *x[FL_SINGLE] = {}, *h[FL_SINGLE] = {};
    Real *dx[FL_SINGLE] = {}, *dh[FL_SINGLE] = {};
    for (ptrdiff_t n = 0; n < p.N; n++) {
        x[n] = (const Real *)p.x + p.x_row[n];
        if (p.h) h[n] = (const Real *)p.h + n * p.width;
        if (p.dx) dx[n] = (Real *)p.dx + p.x_row[n];
        dh[n] = (Real *)p.dh + n * p.width;
    }
    cell_backward<Cell>(b, 0, 0, p.N, blocks.first * b.U, (blocks.last - blocks.first) * b.U, nullptr);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++) {
        outer_products<FromInputs<Cell>>(b, block, x, (Real *)p.dw, p.I, p.add_dw);
        outer_products<FromState<Cell>>(b, block, h, (Real *)p.du, p.H, p.add_du);
        if (p.db) bias_single(b, block);
    }
    fl_barrier(team);
    if (p.dx) multiply_back<FromInputs<Cell>>(b, (const Real *)p.w, p.I, share_of(p.I, thread, team), dx, p.add_dx);
    if (!p.initial) return;
    multiply_back<FromState<Cell>>(b, (const Real *)p.u, p.H, units, dh, false);
    if constexpr (Cell::carries_h) add_past(b, dh, units);
}

}

#endif
