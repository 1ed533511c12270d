/* The way back of steps that take whole rows (norm_rows.hpp), and of the sums that they take. */
#ifndef FASTLSTM_NORM_ROWS_BACK_HPP
#define FASTLSTM_NORM_ROWS_BACK_HPP

#include "backward.hpp"
#include "cells/lstm.hpp"
#include "cells/min_lstm.hpp"
#include "norm_rows.hpp"

namespace {

/* The gradient by the numbers, from that by the normed ones: d - mean(d) - normed mean(d normed), times the scale. The
   means are over all numbers of a row, added up block by block. */
template <class Real> struct NormBack {
    Vec<Real> first[4] = {}, second[4] = {};
    Vec<Real> mean, mean_product;
    FL_INLINE void add(int s, Vec<Real> d, Vec<Real> normed) {
        first[s] += d;
        second[s] = multiply_add(d, normed, second[s]);
    }
    void close(const Row<Real> &row) { mean = set<Real>(row.mean(first)), mean_product = set<Real>(row.mean(second)); }
    FL_INLINE Vec<Real> of(const Normed<Real> &row, ptrdiff_t block, Vec<Real> d, Vec<Real> normed) const {
        return row.only_units(block, (d - mean - normed * mean_product) * row.scale);
    }
};

/* What is the same of all cells that are an LSTM with options, of any number of gates. */
template <class Format> using AnyLstm = Backward<LstmOptions<Format, false>>;

/* One thread's part of a segment, back. `panels` has the gradients of the units' own weights of each row for itself,
   [N][blocks][1 + V][LANES], so that no bit depends on who takes a row; `columns` has room for a row of each thread. */
template <class Format> struct RowsBack {
    using Real = typename Format::Real;
    static constexpr ptrdiff_t L = lanes<Real>;
    AnyLstm<Format> b;
    Part share;
    bool by_units;
    int thread;
    fl_team *team;
    static Real *gradients(const fl_backward &p, ptrdiff_t row, ptrdiff_t block) {
        return (Real *)p.panels + (row * (p.width / L) + block) * (1 + NormWeights(gates_of(p.option)).all) * L;
    }
};

template <class Real> FL_INLINE void add_to(Real *to, Vec<Real> v) { store<Real>(to, load<Real>(to) + v); }

/* Step t of a row, whose gradient of h by the step that has seen it stands in dh. */
template <class Format> void backward_row(const RowsBack<Format> &w, ptrdiff_t t, ptrdiff_t row) {
    using Real = typename Format::Real;
    using V = Vec<Real>;
    using Lstm = typename FourGates<Real>::Lstm;
    constexpr ptrdiff_t L = lanes<Real>, inputs = L / Format::depth;
    const fl_backward &p = w.b.p, &of_x = *p.then, &of_h = *of_x.then;
    const ptrdiff_t slot = p.offset[t] + row, blocks = p.width / L;
    const int G = gates_of(p.option);
    const NormRow<Real> all(G, p.bias, of_x.kept, of_h.kept, slot, p.rows, p.H, p.options->norm);
    const Normed<Real> c({(const Real *)p.kept + slot * L, p.rows * L, p.H, 1}, p.options->norm);
    const Around<LstmNorm<Format, false>> around(p, t, row);
    const Real *dh = (const Real *)p.dh + row * p.width, *dy = p.dy ? (const Real *)p.dy + around.place : nullptr;
    Real *dc = (Real *)p.dc + row * p.width, *past = (Real *)p.past + row * p.width;
    /* the gradients of the a [blocks][G][LANES], and of the normed c' [blocks][LANES] */
    Real *const da = (Real *)p.columns + w.thread * (G + 1) * p.width, *const d_normed = da + G * p.width;
    NormBack<Real> c_back, x_back, u_back;
    const auto around_of = [&](ptrdiff_t b) {
        States<Real> at = around.at(b);
        at.weights = all.own(b);
        return at;
    };
    for (ptrdiff_t b = 0; b < blocks; b++) { /* what is shown of c' */
        const States<Real> at = around_of(b);
        const V normed = c(b, 0);
        V a[4];
        Flow<Real> d = {};
        all.add_up(a, b);
        d.h = load<Real>(dh + b * L) + load<Real>(past + b * L);
        if (dy) d.h += load_at_most<Real>(dy + b * L, p.H - b * L);
        const auto shown = Lstm::show_back(multiply_add(at.own(all.w.look_o), at.c(), a[G - 1]), all.taken(b, normed), d, at);
        const V d_taken = shown.by_output * shown.slope, by_normed = d_taken * at.own(all.w.of_c);
        store<Real>(past + b * L, d.past);
        store<Real>(da + (b * G + G - 1) * L, shown.a_o);
        store<Real>(d_normed + b * L, by_normed);
        c_back.add(0, by_normed, normed);
        if (p.frozen) continue;
        Real *own = w.gradients(p, row, b);
        add_to<Real>(own, d_taken);
        add_to<Real>(own + (1 + all.w.of_c) * L, d_taken * normed);
    }
    c_back.close(c);
    for (ptrdiff_t b = 0; b < blocks; b++) { /* c' and the a */
        const States<Real> at = around_of(b);
        Real *own = p.frozen ? nullptr : w.gradients(p, row, b) + L;
        const V made = c_back.of(c, b, load<Real>(d_normed + b * L), c(b, 0)), da_o = load<Real>(da + (b * G + G - 1) * L);
        V a[4];
        Flow<Real> d = {};
        all.add_up(a, b);
        d.c = load<Real>(dc + b * L);
        if (p.option) ThreeGates<Real>::back(a, d, da_o, made, own, at);
        else FourGates<Real>::back(a, d, da_o, made, own, at);
        store<Real>(dc + b * L, d.c);
        for (int g = 0; g < G; g++) {
            const V x = all.x(b, g), u = all.u(b, g);
            store<Real>(da + (b * G + g) * L, a[g]);
            x_back.add(g, a[g] * at.own(all.w.of_x + g), x);
            u_back.add(g, a[g] * at.own(all.w.of_h + g), u);
            if (!own) continue;
            add_to<Real>(own + (all.w.bias + g) * L, a[g]);
            add_to<Real>(own + (all.w.of_x + g) * L, a[g] * x);
            add_to<Real>(own + (all.w.of_h + g) * L, a[g] * u);
        }
    }
    x_back.close(all.x), u_back.close(all.u);
    const auto place = [&](const fl_backward &of, ptrdiff_t b, int g) { /* of the gradient of a sum */
        void *const gradients = Format::rounds ? of.rounded : of.kept;
        return (typename Format::Input *)gradients + ((b * p.rows + slot) * G + g) * inputs;
    };
    for (ptrdiff_t b = 0; b < blocks; b++)
        for (int g = 0; g < G; g++) {
            const V d = load<Real>(da + (b * G + g) * L), x = all.x(b, g), u = all.u(b, g);
            const V by_x = d * all.weight(b, all.w.of_x + g), by_u = d * all.weight(b, all.w.of_h + g);
            Format::put(place(of_x, b, g), x_back.of(all.x, b, by_x, x));
            Format::put(place(of_h, b, g), u_back.of(all.u, b, by_u, u));
        }
}

/* The gradients of h at step t by where it is seen, of some rows and a strip of units, to dh, which has those of the
   final states of the others. */
template <class Format>
void seen_back(const AnyLstm<Format> &b, ptrdiff_t t, Range rows, ptrdiff_t vector, ptrdiff_t vectors) {
    using Real = typename Format::Real;
    const fl_backward *user = b.p.user;
    const ptrdiff_t seen = user->ahead ? t : t + 1, last = seen < b.p.T ? least(b.p.alive[seen], rows.last) : 0;
    Vec<Real> products[held_rows * FL_STRIP] FL_ALIGNED;
    for (ptrdiff_t first = rows.first, count; first < last; first += count) {
        const Vec<Real> *product = products;
        count = user->cell->backward->multiply(user, b.p.offset[seen] + first, last - first, vector, vectors, products);
        for (ptrdiff_t row = first; row < first + count; row++) {
            const Real *factors = fed_factors<LstmOptions<Format, false>>(*user, row);
            for (ptrdiff_t v = vector; v < vector + vectors; v++, product++)
                store<Real>((Real *)b.p.dh + row * b.p.width + v * b.L,
                            factors ? *product * load<Real>(factors + v * b.L) : *product);
        }
    }
}

template <class Format> void walk_rows_back(fl_walk *walk, ptrdiff_t t) {
    const RowsBack<Format> &w = *(const RowsBack<Format> *)walk->own;
    const fl_backward &p = w.b.p;
    const ptrdiff_t strip = p.user->strip, vectors = w.b.vectors();
    for (ptrdiff_t n = w.share.columns.first; n < w.share.columns.last; n++)
        seen_back<Format>(w.b, t, w.share.rows, n * strip, least(vectors - n * strip, strip));
    if (w.by_units) fl_barrier(w.team);
    const Range rows = rows_at(p.alive[t], w.by_units, w.share.rows, w.thread, w.team);
    for (ptrdiff_t row = rows.first; row < rows.last; row++) backward_row<Format>(w, t, row);
}

template <class Format>
void begin_rows_back(fl_walk *walk, const fl_backward *pass, const fl_segment *segment, int thread, fl_team *team) {
    static_assert(fits_walk<RowsBack<Format>>, "fl_walk has too little room");
    const AnyLstm<Format> b{*pass};
    const Part share = share_segment(pass->alive, *segment, pass->N, whole(b.vectors(), pass->user->strip), thread, team);
    new (walk->own) RowsBack<Format>{b, share, segment->by_units != 0, thread, team};
    walk->step = walk_rows_back<Format>;
}

/* Ahead of all steps: no gradients of the own weights yet. */
template <class Real> void clear_rows(const fl_backward *pass, int thread, const fl_team *team) {
    if (pass->later) return;
    const Range rows = share_of(pass->N, thread, team);
    Real *first = RowsBack<Exact<Real>>::gradients(*pass, rows.first, 0);
    memset(first, 0, (char *)RowsBack<Exact<Real>>::gradients(*pass, rows.last, 0) - (char *)first);
}

/* The sums of these gradients over all rows, the first one first. */
template <class Real> void deliver_rows(const fl_backward *pass, int thread, const fl_team *team) {
    constexpr ptrdiff_t L = lanes<Real>;
    const fl_backward &p = *pass;
    const Range blocks = share_of(p.width / L, thread, team);
    for (ptrdiff_t b = blocks.first; b < blocks.last; b++)
        for (int k = 0; k <= NormWeights(gates_of(p.option)).all; k++) {
            Real sums[L];
            Vec<Real> total = {};
            Real *const to = (Real *)(k ? p.dv : p.db);
            for (ptrdiff_t row = 0; row < p.N; row++)
                total += load<Real>(RowsBack<Exact<Real>>::gradients(p, row, b) + k * L);
            store<Real>(sums, total);
            if (to) take_bias(to + (k ? k - 1 : 0) * p.H + b * L, sums, least(p.H - b * L, L), k ? p.add_dv : p.add_db);
        }
}

inline void nothing_at_a_step(fl_walk *, ptrdiff_t) {}
inline void begin_nothing(fl_walk *walk, const fl_backward *, const fl_segment *, int, fl_team *) {
    walk->step = nothing_at_a_step;
}
inline void nothing_of_a_segment(const fl_backward *, const fl_segment *, int, const fl_team *) {}
inline void nothing_to_add(const fl_backward *, const fl_segment *, int, int, const fl_team *) {}

/* Cells without own weights, whose gradients are added up by the same code. */
template <class Format> Lstm<Format> bare(LstmOptions<Format, false>);
template <class Format> MinLstm<Format> bare(LstmOptions<Format, true>);

template <class Cell>
constexpr fl_backward_functions backward_of_sums = {
    transpose_weights<Cell>, begin_nothing, multiply<Cell>, gather<Cell>, add_segment<decltype(bare(Cell()))>, nullptr,
    deliver_gradients<Cell>};
template <class Format, bool COUPLED>
constexpr fl_backward_functions backward_of<LstmNorm<Format, COUPLED>> = {
    clear_rows<typename Format::Real>, begin_rows_back<Format>, nullptr, nothing_of_a_segment, nothing_to_add,
    initial_backward<LstmOptions<Format, false>>, deliver_rows<typename Format::Real>};

}

#endif
