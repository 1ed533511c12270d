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
void pack_rows(typename Cell::Weight *to, const typename Cell::Real *weight, ptrdiff_t columns, ptrdiff_t block,
               ptrdiff_t H) {
    using Real = typename Cell::Real;
    constexpr int G = panel_width<Cell>;
    constexpr ptrdiff_t L = lanes<Real>;
    for (int v = 0; v < G; v++) {
        const Rows from = rows_of<Cell>(block, v, H);
        if (from.units < L)
            for (ptrdiff_t j = 0; j < columns; j++) store_weights(to + (j * G + v) * L, Vec<Real>{});
        transpose<Real>(to + v * L, G * L, weight + from.row * columns, columns, from.units, columns);
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

template <class Cell> void pack(void *packing, int thread, fl_team *team) {
    using Real = typename Cell::Real;
    const fl_packing &p = *(const fl_packing *)packing;
    constexpr ptrdiff_t L = lanes<Real>, row = panel_width<Cell> * L;
    const Range blocks = share_of(whole(p.H, L * Cell::units), thread, team);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++) {
        typename Cell::Weight *panel = (typename Cell::Weight *)p.panels + block * (p.I + p.H) * row;
        pack_rows<Cell>(panel, (const Real *)p.w, p.I, block, p.H);
        pack_rows<Cell>(panel + p.I * row, (const Real *)p.u, p.H, block, p.H);
        pack_bias<Cell>((Real *)p.bias + block * block_sums<Cell> * L, (const Real *)p.b, block, p.H);
    }
}

}

#endif
