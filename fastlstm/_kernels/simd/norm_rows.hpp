/* The steps of a cell that takes whole rows: an LSTM with layer norm (cells/lstm_norm.hpp). The two phases before it have
   left the sums of a step, of U h and of W x, where they are kept. Threads share rows, even where they share the units of
   the phases before. Units beyond the last one stay zero, and count for nothing. */
#ifndef FASTLSTM_NORM_ROWS_HPP
#define FASTLSTM_NORM_ROWS_HPP

#include <math.h>

#include "cells/lstm_norm.hpp"
#include "forward.hpp"

namespace {

/* S numbers of each of H units of a row: vectors [S][LANES] of blocks that are `next` numbers apart. S is up to 4. */
template <class Real> struct Row {
    static constexpr ptrdiff_t L = lanes<Real>;
    using Bits = typename Number<Real>::Bits;
    const Real *first;
    ptrdiff_t next, H, blocks;
    int S;
    Bits last; /* the units of the last block */
    __attribute__((noinline)) Row(const Real *first, ptrdiff_t next, ptrdiff_t H, int S)
        : first(first), next(next), H(H), blocks(whole(H, L)), S(S),
          last((Bits)(first_numbers<Real>(set<Real>(1), H - (blocks - 1) * L) > 0)) {}
    FL_INLINE Vec<Real> at(ptrdiff_t block, int s) const { return load<Real>(first + block * next + s * L); }
    FL_INLINE Vec<Real> only_units(ptrdiff_t block, Vec<Real> v) const {
        return block + 1 < blocks ? v : (Vec<Real>)((Bits)v & last);
    }
    __attribute__((noinline)) Real mean(const Vec<Real> *totals) const {
        Vec<Real> total = totals[0];
        for (int s = 1; s < S; s++) total += totals[s];
        return sum_of<Real>(total) / (Real)(S * H);
    }
    /* The sums over blocks of f(block, s), for each s; they stay in registers. */
    template <class F> FL_INLINE void add_up(Vec<Real> (&totals)[4], F f) const {
        Vec<Real> a = {}, b = {}, c = {}, d = {};
        for (ptrdiff_t block = 0; block < blocks; block++) {
            a += f(block, 0);
            if (S == 1) continue;
            b += f(block, 1);
            c += f(block, 2);
            if (S > 3) d += f(block, 3);
        }
        totals[0] = a, totals[1] = b, totals[2] = c, totals[3] = d;
    }
};

/* The same less their mean, over the root of their variance. */
template <class Real> struct Normed : Row<Real> {
    Vec<Real> middle, scale;
    Normed(Row<Real> row, double eps) : Row<Real>(row) {
        Vec<Real> totals[4];
        row.add_up(totals, [&](ptrdiff_t b, int s) { return row.at(b, s); });
        middle = set<Real>(row.mean(totals));
        row.add_up(totals, [&](ptrdiff_t b, int s) {
            const Vec<Real> off = row.only_units(b, row.at(b, s) - middle);
            return off * off;
        });
        scale = set<Real>((Real)(1 / sqrt((double)row.mean(totals) + eps)));
    }
    FL_INLINE Vec<Real> operator()(ptrdiff_t block, int s) const { return (this->at(block, s) - middle) * scale; }
};

/* A row of a step: the sums of both phases before, and the own weights, which follow the shift of c in each block. */
template <class Real> struct NormRow {
    static constexpr ptrdiff_t L = lanes<Real>;
    using V = Vec<Real>;
    using W = NormWeights;
    W w;
    const Real *bias;
    Normed<Real> x, u;

    /* of kept sums of W x and U h, of which each block has so many rows */
    NormRow(int gates, const void *bias, const void *of_x, const void *of_h, ptrdiff_t slot, ptrdiff_t rows, ptrdiff_t H,
            double eps)
        : w(gates), bias((const Real *)bias), x(row_of(of_x, slot, rows, H), eps), u(row_of(of_h, slot, rows, H), eps) {}
    Row<Real> row_of(const void *kept, ptrdiff_t slot, ptrdiff_t rows, ptrdiff_t H) const {
        return {(const Real *)kept + slot * w.G * L, rows * w.G * L, H, w.G};
    }
    const Real *shift(ptrdiff_t block) const { return bias + block * (1 + w.all) * L; }
    const Real *own(ptrdiff_t block) const { return shift(block) + L; }
    FL_INLINE V weight(ptrdiff_t block, int k) const { return load<Real>(own(block) + k * L); }

    /* The a of a block, without peepholes. */
    __attribute__((noinline)) void add_up(V *a, ptrdiff_t b) const {
        for (int g = 0; g < w.G; g++)
            a[g] = multiply_add(weight(b, w.of_x + g), x(b, g),
                                multiply_add(weight(b, w.of_h + g), u(b, g), weight(b, w.bias + g)));
    }
    FL_INLINE V taken(ptrdiff_t b, V normed) const {
        return multiply_add(weight(b, w.of_c), normed, load<Real>(shift(b)));
    }
};

/* The gates of a cell with this option, which is whether it is coupled. */
inline int gates_of(int coupled) { return coupled ? 3 : 4; }
template <class Real> using FourGates = NormGates<LstmNorm<Exact<Real>, false>>;
template <class Real> using ThreeGates = NormGates<LstmNorm<Exact<Real>, true>>;

template <class Real> using RowForward = Forward<Exact<Real>, 1, 1>;

/* Step t of a row. */
template <class Real> void forward_row(const RowForward<Real> &f, ptrdiff_t t, ptrdiff_t row) {
    using V = Vec<Real>;
    using Lstm = typename FourGates<Real>::Lstm;
    constexpr ptrdiff_t L = lanes<Real>;
    const fl_pass &p = f.p, &of_x = *p.before, &of_h = *of_x.before;
    const NormRow<Real> all(gates_of(p.option), p.bias, of_x.kept, of_h.kept, p.offset[t] + row, p.rows, p.H,
                            p.options->norm);
    const bool resumed = f.resumed(t);
    Real *c = f.c(row), *h = f.h(row, t + 1), *made = f.kept(f.slot(0, t, row));
    const Real *h_prev = f.h(row, t);
    const ptrdiff_t next = p.rows * L;
    const auto told = [&](ptrdiff_t b) {
        return Told<Real>{p.option, p.options, p.masks, p.y_row[row] + t * p.y_step + b * L, all.own(b), L};
    };
    for (ptrdiff_t b = 0; b < f.blocks; b++) {
        V a[4], of_c = resumed ? load<Real>(c + b * L) : V{}, out;
        all.add_up(a, b);
        const V one = p.option ? ThreeGates<Real>::remember(a, of_c, out, told(b))
                               : FourGates<Real>::remember(a, of_c, out, told(b));
        of_c = all.x.only_units(b, of_c);
        store<Real>(made + b * next, all.x.only_units(b, one));
        store<Real>(c + b * L, of_c);
        if (p.kept_c) store<Real>(f.kept_c(f.slot(b, t, row), 1), of_c);
        store<Real>(h + b * L, out); /* until all c' are there */
    }
    const Normed<Real> normed({made, next, p.H, 1}, p.options->norm);
    for (ptrdiff_t b = 0; b < f.blocks; b++) {
        const V before = resumed ? load<Real>(h_prev + b * L) : V{};
        const V shown = Lstm::show(load<Real>(h + b * L), all.taken(b, normed(b, 0)), before, told(b));
        store<Real>(h + b * L, all.x.only_units(b, shown));
        store_at_most<Real>(f.y(row, t) + b * L, p.H - b * L, shown);
    }
}

/* A thread's rows of step t, of those that it has in a segment. */
inline Range rows_at(ptrdiff_t alive, bool by_units, Range rows, int thread, const fl_team *team) {
    return by_units ? share_of(alive, thread, team) : Range{rows.first, least(alive, rows.last)};
}

template <class Real> struct RowsWalk {
    RowForward<Real> f;
    Range rows;
    bool by_units;
    int thread;
    const fl_team *team;
};

template <class Real> void walk_rows(fl_walk *walk, ptrdiff_t t) {
    const RowsWalk<Real> &w = *(const RowsWalk<Real> *)walk->own;
    const Range rows = rows_at(w.f.p.alive[t], w.by_units, w.rows, w.thread, w.team);
    for (ptrdiff_t row = rows.first; row < rows.last; row++) forward_row<Real>(w.f, t, row);
}

template <class Real>
void begin_rows(fl_walk *walk, fl_pass *pass, const fl_segment *segment, int thread, const fl_team *team) {
    static_assert(fits_walk<RowsWalk<Real>>, "fl_walk has too little room");
    const Range rows = share_segment(pass->alive, *segment, pass->N, 1, thread, team).rows;
    const RowForward<Real> f = forward_of<LstmNorm<Exact<Real>, false>>(*pass);
    new (walk->own) RowsWalk<Real>{f, rows, segment->by_units != 0, thread, team};
    walk->step = walk_rows<Real>;
}

}

#endif
