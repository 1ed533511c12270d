/* Packs the weights of a cell. */
#ifndef FASTLSTM_PACK_HPP
#define FASTLSTM_PACK_HPP

#include "cells/cell.hpp"
#include "tile.hpp"

namespace {

/* Where the weights of vector v of a block come from: rows row..row + units of (G H, columns). */
struct Rows {
    ptrdiff_t row, units;
};
template <class Cell> FL_INLINE Rows rows_of(ptrdiff_t block, int v, ptrdiff_t H) {
    constexpr ptrdiff_t L = lanes<typename Cell::Real>;
    const ptrdiff_t unit = (block * Cell::units + v % Cell::units) * L;
    return {v / Cell::units * H + unit, least(H - unit, L)};
}

/* A panel's rows of the weight (G H, columns); the units beyond the last one become zero. */
template <class Cell>
void pack_rows(typename Cell::Format::Weight *to, const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t block,
               ptrdiff_t H) {
    for (int v = 0; v < panel_width<Cell>; v++) {
        const Rows from = rows_of<Cell>(block, v, H);
        Cell::Format::pack(to, panel_width<Cell>, v, weight + from.row * columns, from.units, columns);
    }
}

template <class Cell>
void pack_bias(typename Cell::Real *to, const typename Cell::Real *b, ptrdiff_t block, ptrdiff_t H) {
    using Real = typename Cell::Real;
    for (int s = 0; s < block_sums<Cell>; s++) {
        const Rows from = rows_of<Cell>(block, s, H);
        store<Real>(to + s * lanes<Real>, b ? load_at_most<Real>(b + from.row, from.units) : Vec<Real>{});
    }
}

/* The units' own weights (V H), or zeros. */
template <class Cell>
void pack_own(typename Cell::Real *to, const typename Cell::Real *own, ptrdiff_t block, ptrdiff_t H) {
    using Real = typename Cell::Real;
    for (int v = 0; v < Cell::own * Cell::units; v++) {
        const Rows from = rows_of<Cell>(block, v, H);
        store<Real>(to + v * lanes<Real>, own ? load_at_most<Real>(own + from.row, from.units) : Vec<Real>{});
    }
}

template <class Cell> void pack(void *packing, int thread, fl_team *team) {
    using Real = typename Cell::Real;
    const fl_packing &p = *(const fl_packing *)packing;
    using Format = typename Cell::Format;
    constexpr ptrdiff_t L = lanes<Real>, row = panel_width<Cell> * L * Format::depth;
    const ptrdiff_t of_x = whole(p.I, Format::depth) + Format::tail, of_h = whole(p.K, Format::depth) + Format::tail;
    const Range blocks = share_of(whole(p.H, L * Cell::units), thread, team);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++) {
        typename Format::Weight *panel = (typename Format::Weight *)p.panels + block * (of_x + of_h) * row;
        pack_rows<Cell>(panel, (const Real *)p.w, p.I, block, p.H);
        pack_rows<Cell>(panel + of_x * row, (const Real *)p.u, p.K, block, p.H);
        Real *bias = (Real *)p.bias + block * (Cell::sums + Cell::own) * Cell::units * L;
        pack_bias<Cell>(bias, (const Real *)p.b, block, p.H);
        pack_own<Cell>(bias + block_sums<Cell> * L, (const Real *)p.v, block, p.H);
    }
}

}

#endif
