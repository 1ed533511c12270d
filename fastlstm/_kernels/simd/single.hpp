/* Training on a single step of a few rows. The weights are read once where they lie: packing all of them first would take
   longer than all the rest. The order of additions is that of the other passes. */
#ifndef FASTLSTM_SINGLE_HPP
#define FASTLSTM_SINGLE_HPP

#include "backward.hpp"

namespace {

constexpr ptrdiff_t packed_rows = 64; /* inputs whose weights are packed at a time: they stay in the L1 cache */

/* The sums of R rows of `columns` numbers by a weight. */
template <class Cell, class Feed, int R>
FL_INLINE void sum_where_it_lies(Vec<typename Cell::Real> (&sum)[R][block_sums<Cell>], const typename Cell::Real *const *a,
                                 const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t block, ptrdiff_t H) {
    using Real = typename Cell::Real;
    constexpr ptrdiff_t row = panel_width<Cell> * lanes<Real>;
    Real packed[packed_rows * row] __attribute__((aligned(64)));
    const Real *from[R];
    EACH(r, R) from[r] = a[r];
    for (ptrdiff_t k = 0, count; k < columns; k += count) {
        count = least(columns - k, packed_rows);
        pack_rows<Cell>(packed, weight, columns, block, H, k, count);
        tile<R, 1, Feed, false, Real>(sum, count, from, packed, 0, row);
        EACH(r, R) from[r] += count;
    }
}

template <class Cell, int R> void step_single(const fl_pass &p, ptrdiff_t block) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    constexpr int S = block_sums<Cell>, U = Cell::units;
    constexpr ptrdiff_t L = lanes<Real>;
    const ForwardOf<Cell> f = forward_of<Cell>(p);
    const Real *x[R], *h_prev[R];
    Real bias[S * L];
    V sum[R][S], c[R * U], h[R * U];
    pack_bias<Cell>(bias, (const Real *)p.b, block, p.H);
    EACH(r, R) x[r] = f.x(r, 0), h_prev[r] = f.h(r, 0);
    EACH(r, R) EACH(s, S) sum[r][s] = load<Real>(bias + s * L);
    sum_where_it_lies<Cell, FromInputs<Cell>, R>(sum, x, (const Real *)p.w, p.I, block, p.H);
    if (!p.fresh) sum_where_it_lies<Cell, FromState<Cell>, R>(sum, h_prev, (const Real *)p.u, p.H, block, p.H);
    EACH(r, R) EACH(u, U) {
        const ptrdiff_t at = (block * U + u) * L;
        if constexpr (Cell::keeps_c) c[r * U + u] = p.fresh ? V{} : load<Real>(f.c(r) + at);
        if constexpr (Cell::reads_h) h[r * U + u] = p.fresh ? V{} : load<Real>(h_prev[r] + at);
    }
    Cell::template forward<true>(sum, c, h, p.option);
    EACH(r, R) {
        const ptrdiff_t slot = block * p.rows + r;
        EACH(s, S) store<Real>((Real *)p.kept + (slot * S + s) * L, sum[r][s]);
        EACH(u, U) {
            const ptrdiff_t at = (block * U + u) * L;
            if constexpr (Cell::keeps_c) {
                store<Real>((Real *)p.kept_c + (slot * U + u) * L, c[r * U + u]);
                store<Real>(f.c(r) + at, c[r * U + u]);
            }
            store<Real>(f.h(r, 1) + at, h[r * U + u]);
            store_at_most<Real>((Real *)p.y + p.y_row[r] + at, p.H - at, h[r * U + u]);
        }
    }
}

template <class Cell> void forward_single(void *pass, int thread, fl_team *team) {
    const fl_pass &p = *(const fl_pass *)pass;
    const Range blocks = share_of(p.width / (lanes<typename Cell::Real> * Cell::units), thread, team);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++) switch (p.N) {
        case 1: step_single<Cell, 1>(p, block); break;
        case 2: step_single<Cell, 2>(p, block); break;
        case 3: step_single<Cell, 3>(p, block); break;
        case 4: step_single<Cell, 4>(p, block); break;
        }
}

/* The gradient of sum v of a block, for one row and unit of it. */
template <class Cell> FL_INLINE typename Cell::Real gradient_of(const Backward<Cell> &b, ptrdiff_t block, int v, ptrdiff_t row, ptrdiff_t unit) {
    return b.kept(block * b.p.rows + row)[v * b.L + unit];
}

/* grad (., columns) = d' from, or that added to it, for the rows of one block; from NULL is zeros. */
template <class Feed, class Cell>
void outer_products(const Backward<Cell> &b, ptrdiff_t block, const typename Cell::Real *const *from,
                    typename Cell::Real *grad, ptrdiff_t columns, bool add) {
    using Real = typename Cell::Real;
    for (int v = 0; v < Feed::width; v++) {
        const Rows rows = rows_of<Cell>(block, v, b.p.H);
        for (ptrdiff_t unit = 0; unit < rows.units; unit++) {
            Real *__restrict to = grad + (rows.row + unit) * columns;
            for (ptrdiff_t n = 0; n < b.p.N; n++) {
                const Real d = gradient_of(b, block, Feed::at(v), n, unit), *__restrict x = from[n];
                if (!x) {
                    if (!add && !n) memset(to, 0, (size_t)columns * sizeof(Real));
                } else if (add || n)
                    for (ptrdiff_t j = 0; j < columns; j++) to[j] += d * x[j];
                else
                    for (ptrdiff_t j = 0; j < columns; j++) to[j] = d * x[j];
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
            for (ptrdiff_t n = 0; n < b.p.N; n++) sum += gradient_of(b, block, s, n, unit);
            *db = sum;
        }
    }
}

/* R rows' products with W vectors of columns of a weight where it lies, and of those `left` columns at the end. The chains
   of sums are those of multiply_state, where there are several. */
template <class Feed, int R, int W, class Cell>
void multiply_where_it_lies(const Backward<Cell> &b, const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t left,
                            int chains, Vec<typename Cell::Real> (&sum)[R][W]) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    V part[4][R][W] = {};
    for (ptrdiff_t block = 0; block < b.blocks(); block++)
        for (int v = 0; v < Feed::width; v++) {
            const Rows rows = rows_of<Cell>(block, v, b.p.H);
            const int chain = chains == 1 ? 0 : b.blocks() == 1 ? v : (int)block;
            const Real *w = weight + rows.row * columns;
            V own[R][W];
            EACH(r, R) EACH(n, W) own[r][n] = part[chain][r][n];
            for (ptrdiff_t unit = 0; unit < rows.units; unit++, w += columns)
                EACH(n, W) {
                    const V weights = load_at_most<Real>(w + n * b.L, left - n * b.L);
                    EACH(r, R) own[r][n] =
                        multiply_add(set<Real>(gradient_of(b, block, Feed::at(v), r, unit)), weights, own[r][n]);
                }
            EACH(r, R) EACH(n, W) part[chain][r][n] = own[r][n];
        }
    for (int n = 1; n < chains; n *= 2)
        for (int chain = 0; chain + n < chains; chain += 2 * n)
            EACH(r, R) EACH(v, W) part[chain][r][v] += part[chain + n][r][v];
    EACH(r, R) EACH(v, W) sum[r][v] = part[0][r][v];
}

/* out[n] = d[n] weight, or that added to it, for all rows and a thread's part of the columns. */
template <class Feed, int R, class Cell>
void multiply_back(const Backward<Cell> &b, const typename Cell::Real *weight, ptrdiff_t columns, Range vectors, int chains,
                   typename Cell::Real *const *out, bool add) {
    constexpr int W = R > 2 ? 2 : 4; /* vectors */
    Vec<typename Cell::Real> sum[R][W];
    for (ptrdiff_t v = vectors.first; v < vectors.last; v += W) {
        const ptrdiff_t first = v * b.L, left = least(columns, vectors.last * b.L) - first;
        multiply_where_it_lies<Feed, R, W>(b, weight + first, columns, left, chains, sum);
        EACH(r, R) write_dx<typename Cell::Real>(out[r] + first, left, least(W, vectors.last - v), sum[r], add);
    }
}

template <int R, class Cell>
void back_single(const Backward<Cell> &b, typename Cell::Real *const *dx, typename Cell::Real *const *dh, int thread,
                 const fl_team *team) {
    using Real = typename Cell::Real;
    const fl_backward &p = b.p;
    const int chains = Cell::units > 1 || b.blocks() > 2 ? 1 : b.blocks() == 1 ? b.G : 2;
    if (p.dx && p.I > few_inputs)
        multiply_back<FromInputs<Cell>, R>(b, (const Real *)p.w, p.I, share_of(whole(p.I, b.L), thread, team), 1, dx, p.add_dx);
    else if (p.dx && !thread)
        for (ptrdiff_t j = 0; j < p.I; j++)
            EACH(r, R) {
                const Real found = few_backward(b, r, [&](ptrdiff_t block, int v) { return weights_of(b, block, v, j); });
                dx[r][j] = p.add_dx ? dx[r][j] + found : found;
            }
    if (!p.initial) return;
    const Range vectors = share_of(b.vectors(), thread, team);
    multiply_back<FromState<Cell>, R>(b, (const Real *)p.u, p.H, vectors, chains, dh, false);
    if (Cell::carries_h)
        EACH(r, R)
            for (ptrdiff_t j = vectors.first * b.L; j < vectors.last * b.L; j++) {
                Real &carried = ((Real *)p.carried)[r * p.width + j];
                dh[r][j] += carried;
                carried = 0;
            }
}

template <class Cell> void backward_single(void *argument, int thread, fl_team *team) {
    using Real = typename Cell::Real;
    const fl_backward &p = *(const fl_backward *)argument;
    const Backward<Cell> b{p};
    const Range blocks = share_of(b.blocks(), thread, team);
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
    switch (p.N) {
    case 1: return back_single<1>(b, dx, dh, thread, team);
    case 2: return back_single<2>(b, dx, dh, thread, team);
    case 3: return back_single<3>(b, dx, dh, thread, team);
    case 4: return back_single<4>(b, dx, dh, thread, team);
    }
}

}

#endif
