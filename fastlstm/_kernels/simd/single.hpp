/* Training on a single step of a few rows. The weights are read once where they lie: packing them first would take
   longer than all the rest. The sums are inner products, which are added up in another order than the tile's. Whoever
   needs the bits of a larger batch takes the other kernels (fl.set_batch_invariant). */
#ifndef FASTLSTM_SINGLE_HPP
#define FASTLSTM_SINGLE_HPP

#include "backward.hpp"
#include "matmul.hpp"

namespace {

/* Up to four rows of a weight (G H, columns) that are read at once: those of all gates of a unit, or of more units where
   there are fewer gates. So each is followed in memory by one of the next four, which the processor fetches ahead. */
template <class Cell, class Feed> struct Four {
    static constexpr int units = Feed::width > 2 ? 1 : 4 / Feed::width; /* at once */
    int count = 0;
    ptrdiff_t row[4], sum[4]; /* of the weight; the number in a block's sums [S][LANES] that its product belongs to */

    Four(ptrdiff_t block, ptrdiff_t first, ptrdiff_t H) {
        for (int k = 0; k < units * Feed::width; k++) {
            const int v = k % Feed::width;
            const ptrdiff_t unit = first + k / Feed::width;
            const Rows rows = rows_of<Cell>(block, v, H);
            if (unit >= rows.units) continue;
            row[count] = rows.row + unit;
            sum[count++] = Feed::at(v) * lanes<typename Cell::Real> + unit;
        }
    }
};

/* f(up to four rows) for all rows of a block. */
template <class Cell, class Feed, class F> FL_INLINE void each_four(ptrdiff_t block, ptrdiff_t H, F f) {
    for (ptrdiff_t unit = 0; unit < rows_of<Cell>(block, 0, H).units; unit += Four<Cell, Feed>::units)
        f(Four<Cell, Feed>(block, unit, H));
}

/* The products of N rows of `columns` numbers with the weights of a block, added to its sums [N][S][LANES]. */
template <class Cell, class Feed>
void add_products(typename Cell::Real *sums, const typename Cell::Real *const *rows, ptrdiff_t N,
                  const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t block, ptrdiff_t H) {
    using Real = typename Cell::Real;
    each_four<Cell, Feed>(block, H, [&](const Four<Cell, Feed> &four) {
        const Real *w[4];
        Real product[4];
        EACH(k, 4) w[k] = weight + four.row[k < four.count ? k : 0] * columns;
        for (ptrdiff_t n = 0; n < N; n++) {
            four_products<Real>(w, rows[n], columns, product);
            for (int k = 0; k < four.count; k++) sums[n * block_sums<Cell> * lanes<Real> + four.sum[k]] += product[k];
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
        Real sums[FL_SINGLE * S * ForwardOf<Cell>::L];
        for (ptrdiff_t n = 0; n < p.N; n++) pack_bias<Cell>(sums + n * S * f.L, (const Real *)p.b, block, p.H);
        add_products<Cell, FromInputs<Cell>>(sums, x, p.N, (const Real *)p.w, p.I, block, p.H);
        if (!p.fresh) add_products<Cell, FromState<Cell>>(sums, h_prev, p.N, (const Real *)p.u, p.H, block, p.H);
        for (ptrdiff_t n = 0; n < p.N; n++) {
            const ptrdiff_t at = block * U * f.L;
            Vec<Real> sum[1][S], c[U], h[U];
            EACH(s, S) sum[0][s] = load<Real>(sums + (n * S + s) * f.L);
            EACH(u, U) {
                if constexpr (Cell::keeps_c) c[u] = p.fresh ? Vec<Real>{} : load<Real>(f.c(n) + at + u * f.L);
                if constexpr (Cell::reads_h) h[u] = p.fresh ? Vec<Real>{} : load<Real>(h_prev[n] + at + u * f.L);
            }
            Cell::template forward<true>(sum, c, h, p.option);
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

/* out[j] += d[0] w[0][j] + d[1] w[1][j] + ... for some rows of a weight. */
template <int ROWS, class Real>
FL_INLINE void add_rows(Real *out, const Real *d, const Real *const *w, Range some) {
    write_columns<Real>(out, some.first, some.last, true, [&](ptrdiff_t j, ptrdiff_t left) {
        Vec<Real> sum[2] = {};
        EACH(k, ROWS) sum[k % 2] = multiply_add(set<Real>(d[k]), load_at_most<Real>(w[k] + j, left), sum[k % 2]);
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
        each_four<Cell, Feed>(block, b.p.H, [&](const Four<Cell, Feed> &four) {
            const Real *w[4];
            Real d[4];
            for (int k = 0; k < four.count; k++) w[k] = weight + four.row[k] * columns;
            for (ptrdiff_t n = 0; n < b.p.N; n++) {
                for (int k = 0; k < four.count; k++) d[k] = gradients_of(b, block, 0, n)[four.sum[k]];
                with_constant<4>(four.count, [&](auto count) { add_rows<decltype(count)::value>(out[n], d, w, some); });
            }
        });
}

/* The direct part of dh of the initial states. */
template <class Cell> void add_carried(const Backward<Cell> &b, typename Cell::Real *const *dh, Range some) {
    for (ptrdiff_t n = 0; n < b.p.N; n++)
        for (ptrdiff_t j = some.first; j < some.last; j++) {
            typename Cell::Real &carried = ((typename Cell::Real *)b.p.carried)[n * b.p.width + j];
            dh[n][j] += carried;
            carried = 0;
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
    if constexpr (Cell::carries_h) add_carried(b, dh, units);
}

}

#endif
