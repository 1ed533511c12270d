/* The steps of a cell that takes whole rows: an LSTM with layer norm (cells/lstm_norm.hpp). The two phases before it have
   left the sums of a step, of U h and of W x, where they are kept. Threads share rows, even where they share the units of
   the phases before. Units beyond the last one stay zero, and count for nothing. */
#ifndef FASTLSTM_NORM_ROWS_HPP
#define FASTLSTM_NORM_ROWS_HPP

#include <math.h>

#include "backward.hpp"
#include "cells/lstm_norm.hpp"
#include "cells/lstm.hpp"
#include "cells/min_lstm.hpp"
#include "forward.hpp"

namespace {

/* S numbers of each of H units of a row: vectors [S][LANES] of blocks that are `next` numbers apart. */
template <int S, class Real> struct Row {
    static constexpr ptrdiff_t L = lanes<Real>;
    using Bits = typename Number<Real>::Bits;
    const Real *first;
    ptrdiff_t next, H, blocks;
    Bits last; /* the units of the last block */
    Row(const Real *first, ptrdiff_t next, ptrdiff_t H)
        : first(first), next(next), H(H), blocks(whole(H, L)),
          last((Bits)(first_numbers<Real>(set<Real>(1), H - (blocks - 1) * L) > 0)) {}
    FL_INLINE Vec<Real> at(ptrdiff_t block, int s) const { return load<Real>(first + block * next + s * L); }
    FL_INLINE Vec<Real> only_units(ptrdiff_t block, Vec<Real> v) const {
        return block + 1 < blocks ? v : (Vec<Real>)((Bits)v & last);
    }
    Real mean(const Vec<Real> (&totals)[S]) const {
        Vec<Real> total = totals[0];
        for (int s = 1; s < S; s++) total += totals[s];
        return sum_of<Real>(total) / (Real)(S * H);
    }
};

/* The same less their mean, over the root of their variance. */
template <int S, class Real> struct Normed : Row<S, Real> {
    Vec<Real> middle, scale;
    explicit Normed(Row<S, Real> row, double eps) : Row<S, Real>(row) {
        Vec<Real> total[S] = {}, squares[S] = {};
        for (ptrdiff_t b = 0; b < this->blocks; b++) EACH(s, S) total[s] += this->at(b, s);
        middle = set<Real>(this->mean(total));
        for (ptrdiff_t b = 0; b < this->blocks; b++)
            EACH(s, S) {
                const Vec<Real> off = this->only_units(b, this->at(b, s) - middle);
                squares[s] = multiply_add(off, off, squares[s]);
            }
        scale = set<Real>((Real)(1 / sqrt((double)this->mean(squares) + eps)));
    }
    FL_INLINE Vec<Real> operator()(ptrdiff_t block, int s) const { return (this->at(block, s) - middle) * scale; }
};

/* The gradient by the numbers, from that by the normed ones: d - mean(d) - normed mean(d normed), times the scale. The
   means are over all numbers of a row, added up block by block. */
template <int S, class Real> struct NormBack {
    Vec<Real> first[S] = {}, second[S] = {};
    Vec<Real> mean, mean_product;
    FL_INLINE void add(int s, Vec<Real> d, Vec<Real> normed) {
        first[s] += d;
        second[s] = multiply_add(d, normed, second[s]);
    }
    void close(const Row<S, Real> &row) { mean = set<Real>(row.mean(first)), mean_product = set<Real>(row.mean(second)); }
    FL_INLINE Vec<Real> of(const Normed<S, Real> &row, ptrdiff_t block, Vec<Real> d, Vec<Real> normed) const {
        return row.only_units(block, (d - mean - normed * mean_product) * row.scale);
    }
};

/* What a phase before has kept of a row, one of the `rows` rows of each block. */
template <class Cell> Row<Cell::G, typename Cell::Real> sums_of(const void *kept, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t H) {
    using Real = typename Cell::Real;
    constexpr ptrdiff_t vectors = Cell::G * lanes<Real>;
    return Row<Cell::G, Real>((const Real *)kept + row * vectors, rows * vectors, H);
}

/* Step t of a row. */
template <class Cell> void forward_row(const ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t row) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    using Lstm = typename Cell::Lstm;
    constexpr int G = Cell::G;
    constexpr ptrdiff_t L = lanes<Real>;
    const fl_pass &p = f.p, &of_x = *p.before, &of_h = *of_x.before;
    const double eps = p.options->norm;
    const Normed<G, Real> x(sums_of<Cell>(of_x.kept, of_x.rows, of_x.offset[t] + row, p.H), eps);
    const Normed<G, Real> u(sums_of<Cell>(of_h.kept, of_h.rows, of_h.offset[t] + row, p.H), eps);
    const bool resumed = f.resumed(t);
    Real *c = f.c(row), *h = f.h(row, t + 1), *made = f.kept(f.slot(0, t, row));
    const Real *h_prev = f.h(row, t);
    const ptrdiff_t next = f.kept(f.slot(1, t, row)) - made;
    for (ptrdiff_t b = 0; b < f.blocks; b++) { /* h holds the output gate meanwhile */
        Told<Real> told = told_of<Cell>(f, b);
        told.place = p.y_row[row] + t * p.y_step + b * L;
        V a[G], of_c = resumed ? load<Real>(c + b * L) : V{};
        Cell::add_up(a, [&](int g) { return x(b, g); }, [&](int g) { return u(b, g); }, told);
        store<Real>(made + b * next, x.only_units(b, Lstm::remember(a, of_c, told)));
        of_c = x.only_units(b, of_c);
        store<Real>(c + b * L, of_c);
        if (p.kept_c) store<Real>(f.kept_c(f.slot(b, t, row), 1), of_c);
        store<Real>(h + b * L, Lstm::output_gate(a[Lstm::O], told));
    }
    const Normed<1, Real> c_normed(Row<1, Real>(made, next, p.H), eps);
    for (ptrdiff_t b = 0; b < f.blocks; b++) {
        Told<Real> told = told_of<Cell>(f, b);
        told.place = p.y_row[row] + t * p.y_step + b * L;
        const V taken = multiply_add(told.own(Cell::OF_C), c_normed(b, 0), load<Real>(f.bias(b)));
        const V before = resumed ? load<Real>(h_prev + b * L) : V{};
        const V shown = x.only_units(b, Lstm::show(load<Real>(h + b * L), taken, before, told));
        store<Real>(h + b * L, shown);
        store_at_most<Real>(f.y(row, t) + b * L, p.H - b * L, shown);
    }
}

/* A thread's rows of step t, of those that it has in a segment. */
inline Range rows_at(ptrdiff_t alive, bool by_units, Range rows, int thread, const fl_team *team) {
    return by_units ? share_of(alive, thread, team) : Range{rows.first, least(alive, rows.last)};
}

template <class Cell> struct RowsWalk {
    ForwardOf<Cell> f;
    Range rows;
    bool by_units;
    int thread;
    const fl_team *team;
};

template <class Cell> void walk_rows(fl_walk *walk, ptrdiff_t t) {
    const RowsWalk<Cell> &w = *(const RowsWalk<Cell> *)walk->own;
    const Range rows = rows_at(w.f.p.alive[t], w.by_units, w.rows, w.thread, w.team);
    for (ptrdiff_t row = rows.first; row < rows.last; row++) forward_row<Cell>(w.f, t, row);
}

template <class Cell>
void begin_rows(fl_walk *walk, fl_pass *pass, const fl_segment *segment, int thread, const fl_team *team) {
    static_assert(sizeof(RowsWalk<Cell>) <= sizeof walk->own, "fl_walk has too little room");
    const Range rows = share_segment(pass->alive, *segment, pass->N, 1, thread, team).rows;
    new (walk->own) RowsWalk<Cell>{forward_of<Cell>(*pass), rows, segment->by_units != 0, thread, team};
    walk->step = walk_rows<Cell>;
}

/* A cell that has what both forms of the LSTM have in common. */
template <class Cell> using AnyLstm = LstmOptions<typename Cell::Format, false>;

/* One thread's part of a segment, back. `panels` has the gradients of the units' own weights of each row for itself,
   [N][blocks][S + V][LANES], so that no bit depends on who takes a row; `columns` has room for a row of each thread. */
template <class Cell> struct RowsBack {
    using Real = typename Cell::Real;
    static constexpr ptrdiff_t L = lanes<Real>, own = Cell::sums + Cell::own;
    Backward<Cell> b;
    Part share;
    bool by_units;
    int thread;
    fl_team *team;
    Real *room() const { return (Real *)b.p.columns + thread * Cell::row_room * b.p.width; }
    static Real *gradients(const fl_backward &p, ptrdiff_t row, ptrdiff_t block) {
        return (Real *)p.panels + (row * (p.width / L) + block) * own * L;
    }
};

template <class Real> FL_INLINE void add_to(Real *to, Vec<Real> v) { store<Real>(to, load<Real>(to) + v); }

/* Step t of a row, whose gradient of h by the step that has seen it stands in dh. */
template <class Cell> void backward_row(const RowsBack<Cell> &w, ptrdiff_t t, ptrdiff_t row) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    using Lstm = typename Cell::Lstm;
    using Products = Backward<typename Cell::Lstm>;
    constexpr int G = Cell::G, C = 1 + Cell::OF_C, X = 1 + Cell::OF_X, U = 1 + Cell::OF_H, B = 1 + Cell::B;
    constexpr ptrdiff_t L = lanes<Real>;
    const fl_backward &p = w.b.p;
    const Products of_x{*p.then}, of_h{*p.then->then};
    const double eps = p.options->norm;
    const ptrdiff_t slot = p.offset[t] + row, blocks = p.width / L;
    const Normed<G, Real> x(sums_of<Cell>(of_x.p.kept, p.rows, slot, p.H), eps);
    const Normed<G, Real> u(sums_of<Cell>(of_h.p.kept, p.rows, slot, p.H), eps);
    const Normed<1, Real> c(Row<1, Real>(w.b.kept(slot), p.rows * L, p.H), eps);
    const Around<Cell> around(p, t, row);
    const Real *dh = (const Real *)p.dh + row * p.width, *dy = p.dy ? (const Real *)p.dy + around.place : nullptr;
    Real *dc = (Real *)p.dc + row * p.width, *past = (Real *)p.past + row * p.width;
    Real *const da = w.room(), *const d_normed = da + G * p.width; /* [blocks][G][LANES], of c' [blocks][LANES] */
    NormBack<1, Real> c_back;
    NormBack<G, Real> x_back, u_back;
    const auto sums = [&](V(&a)[G], ptrdiff_t b, const States<Real> &at) {
        Cell::add_up(a, [&](int g) { return x(b, g); }, [&](int g) { return u(b, g); }, at);
        a[Lstm::O] = multiply_add(at.own(Lstm::P_O), at.c(), a[Lstm::O]);
    };
    for (ptrdiff_t b = 0; b < blocks; b++) { /* what is shown of c' */
        const States<Real> at = around.at(b);
        const V normed = c(b, 0), alpha = at.own(Cell::OF_C);
        V a[G];
        Flow<Real> d = {};
        sums(a, b, at);
        d.h = load<Real>(dh + b * L) + load<Real>(past + b * L);
        if (dy) d.h += load_at_most<Real>(dy + b * L, p.H - b * L);
        const V taken = multiply_add(alpha, normed, load<Real>((const Real *)p.bias + b * (1 + Cell::own) * L));
        const auto shown = Lstm::show_back(a[Lstm::O], taken, d, at);
        const V d_taken = shown.by_output * shown.slope;
        store<Real>(past + b * L, d.past);
        store<Real>(da + (b * G + Lstm::O) * L, shown.a_o);
        store<Real>(d_normed + b * L, d_taken * alpha);
        c_back.add(0, d_taken * alpha, normed);
        if (p.frozen) continue;
        Real *own = w.gradients(p, row, b);
        add_to<Real>(own, d_taken);
        add_to<Real>(own + C * L, d_taken * normed);
    }
    c_back.close(c);
    for (ptrdiff_t b = 0; b < blocks; b++) { /* c' and the a */
        const States<Real> at = around.at(b);
        const V c_prev = at.c_prev();
        V a[G];
        Flow<Real> d = {};
        sums(a, b, at);
        Lstm::look_before(a, c_prev, at);
        d.c = load<Real>(dc + b * L);
        const V made = c_back.of(c, b, load<Real>(d_normed + b * L), c(b, 0));
        const typename Lstm::Gates gates(a, c_prev, at);
        Lstm::remember_back(a, d, gates, {load<Real>(da + (b * G + Lstm::O) * L), made, set<Real>(1)}, at);
        store<Real>(dc + b * L, d.c);
        Real *own = w.gradients(p, row, b);
        for (int g = 0; g < G; g++) {
            const V x_g = x(b, g), u_g = u(b, g);
            store<Real>(da + (b * G + g) * L, a[g]);
            x_back.add(g, a[g] * at.own(Cell::OF_X + g), x_g);
            u_back.add(g, a[g] * at.own(Cell::OF_H + g), u_g);
            if (p.frozen) continue;
            add_to<Real>(own + (B + g) * L, a[g]);
            add_to<Real>(own + (X + g) * L, a[g] * x_g);
            add_to<Real>(own + (U + g) * L, a[g] * u_g);
        }
        if (p.frozen) continue;
        V total[Lstm::own];
        EACH(k, Lstm::own) total[k] = load<Real>(own + (1 + k) * L);
        Lstm::add_own(total, a, at);
        EACH(k, Lstm::own) store<Real>(own + (1 + k) * L, total[k]);
    }
    x_back.close(x), u_back.close(u);
    const auto d_x = of_x.gradients(slot), d_u = of_h.gradients(slot);
    for (ptrdiff_t b = 0; b < blocks; b++) { /* the sums, which become their gradients */
        const States<Real> at = around.at(b);
        for (int g = 0; g < G; g++) {
            const V d = load<Real>(da + (b * G + g) * L), by_x = d * at.own(Cell::OF_X + g), by_u = d * at.own(Cell::OF_H + g);
            const ptrdiff_t place = g * Products::inputs;
            const V new_x = x_back.of(x, b, by_x, x(b, g)), new_u = u_back.of(u, b, by_u, u(b, g));
            Cell::Format::put(d_x.first + b * d_x.next_block + place, new_x);
            Cell::Format::put(d_u.first + b * d_u.next_block + place, new_u);
        }
    }
}

/* The gradients of h at step t by where it is seen, of some rows and a strip of units, to dh, which has those of the
   final states of the others. */
template <class Cell>
__attribute__((noinline)) void seen_back(const Backward<Cell> &b, ptrdiff_t t, Range rows, ptrdiff_t vector, ptrdiff_t vectors) {
    using Real = typename Cell::Real;
    const fl_backward *user = b.p.user;
    const ptrdiff_t seen = user->ahead ? t : t + 1, last = seen < b.p.T ? least(b.p.alive[seen], rows.last) : 0;
    Vec<Real> products[held_rows * FL_STRIP] FL_ALIGNED;
    for (ptrdiff_t first = rows.first, count; first < last; first += count) {
        const Vec<Real> *product = products;
        count = user->cell->backward->multiply(user, b.p.offset[seen] + first, last - first, vector, vectors, products);
        for (ptrdiff_t row = first; row < first + count; row++) {
            const Real *factors = fed_factors<Cell>(*user, row);
            for (ptrdiff_t v = vector; v < vector + vectors; v++, product++)
                store<Real>((Real *)b.p.dh + row * b.p.width + v * b.L,
                            factors ? *product * load<Real>(factors + v * b.L) : *product);
        }
    }
}

template <class Cell> void walk_rows_back(fl_walk *walk, ptrdiff_t t) {
    const RowsBack<Cell> &w = *(const RowsBack<Cell> *)walk->own;
    const fl_backward &p = w.b.p;
    const ptrdiff_t strip = p.user->strip, vectors = w.b.vectors();
    for (ptrdiff_t n = w.share.columns.first; n < w.share.columns.last; n++)
        seen_back(Backward<AnyLstm<Cell>>{p}, t, w.share.rows, n * strip, least(vectors - n * strip, strip));
    if (w.by_units) fl_barrier(w.team);
    const Range rows = rows_at(p.alive[t], w.by_units, w.share.rows, w.thread, w.team);
    for (ptrdiff_t row = rows.first; row < rows.last; row++) backward_row<Cell>(w, t, row);
}

template <class Cell>
void begin_rows_back(fl_walk *walk, const fl_backward *pass, const fl_segment *segment, int thread, fl_team *team) {
    static_assert(sizeof(RowsBack<Cell>) <= sizeof walk->own, "fl_walk has too little room");
    const Backward<Cell> b{*pass};
    const Part share = share_segment(pass->alive, *segment, pass->N, whole(b.vectors(), pass->user->strip), thread, team);
    new (walk->own) RowsBack<Cell>{b, share, segment->by_units != 0, thread, team};
    walk->step = walk_rows_back<Cell>;
}

/* Ahead of all steps: no gradients of the own weights yet. */
template <class Cell> void clear_rows(const fl_backward *pass, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    if (pass->later) return;
    const Range rows = share_of(pass->N, thread, team);
    Real *first = RowsBack<Cell>::gradients(*pass, rows.first, 0);
    memset(first, 0, (char *)RowsBack<Cell>::gradients(*pass, rows.last, 0) - (char *)first);
}

/* The sums of these gradients over all rows, the first one first. */
template <class Cell> void deliver_rows(const fl_backward *pass, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    constexpr ptrdiff_t L = lanes<Real>, own = RowsBack<Cell>::own;
    const fl_backward &p = *pass;
    const Range blocks = share_of(p.width / L, thread, team);
    for (ptrdiff_t b = blocks.first; b < blocks.last; b++)
        for (int k = 0; k < own; k++) {
            Real sums[L];
            Vec<Real> total = {};
            Real *const to = (Real *)(k ? p.dv : p.db);
            for (ptrdiff_t row = 0; row < p.N; row++) total += load<Real>(RowsBack<Cell>::gradients(p, row, b) + k * L);
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
    clear_rows<LstmNorm<Format, COUPLED>>, begin_rows_back<LstmNorm<Format, COUPLED>>, nullptr, nothing_of_a_segment,
    nothing_to_add, initial_backward<LstmOptions<Format, false>>, deliver_rows<LstmNorm<Format, COUPLED>>};

}

#endif
