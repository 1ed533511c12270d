/* Back-propagation through time: the products of products.hpp, and the cell's derivatives on their sums. */
#ifndef FASTLSTM_BACKWARD_HPP
#define FASTLSTM_BACKWARD_HPP

#include "gradient.hpp"
#include "products.hpp"

namespace {

/* The states around a step of one row, for one vector of units, and what the cell is told. A null pointer stands for
   zeros. */
template <class Real> struct States : Told<Real> {
    const Real *kept_c, *kept_c_prev, *state_prev;
    ptrdiff_t left; /* units from this vector on */
    Vec<Real> c() const { return load<Real>(kept_c); }
    Vec<Real> c_prev() const { return kept_c_prev ? load<Real>(kept_c_prev) : Vec<Real>{}; }
    Vec<Real> h_prev() const { return state_prev ? load_at_most<Real>(state_prev, left) : Vec<Real>{}; }
};

/* The states around step t of row r, of which `at` gives those of a vector of units. */
template <class Cell> struct Around {
    using Real = typename Cell::Real;
    static constexpr ptrdiff_t L = lanes<Real>, U = Cell::units;
    const fl_backward &p;
    const Real *c = nullptr, *c_prev = nullptr, *h_prev = nullptr;
    ptrdiff_t place;
    bool first;

    FL_INLINE Around(const fl_backward &p, ptrdiff_t t, ptrdiff_t r) : p(p), place(p.y_row[r] + t * p.y_step), first(!t) {
        if constexpr (Cell::keeps_c) {
            c = (const Real *)p.kept_c + (p.offset[t] + r) * U * L;
            if (t) c_prev = (const Real *)p.kept_c + (p.offset[t - 1] + r) * U * L;
            else if (p.c) c_prev = (const Real *)p.c + r * p.width;
        }
        if constexpr (Cell::reads_h) {
            if (t) h_prev = (const Real *)p.y + p.y_row[r] + (t - 1) * p.y_step;
            else if (p.h) h_prev = (const Real *)p.h + r * p.width;
        }
    }
    FL_INLINE States<Real> at(ptrdiff_t v) const {
        const ptrdiff_t in_block = (v / U * p.rows * U + v % U) * L; /* of c, which a block has U vectors of */
        const Real *own = nullptr;
        if constexpr (Cell::own > 0)
            own = (const Real *)p.bias + (v / U * (Cell::sums + Cell::own) + Cell::sums) * U * L + v % U * L;
        return {{p.option, p.options, p.masks, place + v * L, own, U * L},
                c ? c + in_block : nullptr, c_prev ? c_prev + (first ? v * L : in_block) : nullptr,
                h_prev ? h_prev + v * L : nullptr, p.H - v * L};
    }
};

/* The cell at step t, for some rows and vectors of units: makes the gradients of the sums, and what goes past them to
   the step before. `products` are the gradients of h that come from the next step. It is null at the last step of a
   row; then those of its final state are used. */
template <class Cell>
void cell_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector,
                   ptrdiff_t vectors, const Vec<typename Cell::Real> *products) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    constexpr ptrdiff_t L = lanes<Real>, U = Cell::units, S = block_sums<Cell>;
    const fl_backward &p = b.p;
    const ptrdiff_t H = p.H, width = p.width, next = p.rows; /* rows from a block to the next */
    for (ptrdiff_t r = row; r < row + rows; r++) {
        const Real *dy = (const Real *)p.dy + p.y_row[r] + t * p.y_step, *dh_in = (const Real *)p.dh + r * width;
        Real *kept = b.kept(p.offset[t] + r), *dc = (Real *)p.dc + r * width, *past = (Real *)p.past + r * width;
        const Real *factors = fed_factors<Cell>(p, r);
        typename Cell::Format::Input *gradients = b.gradients(p.offset[t] + r).first;
        const Around<Cell> around(p, t, r);
        for (ptrdiff_t v = vector; v < vector + vectors; v++) {
            const ptrdiff_t place = v / U * next * S + v % U; /* of the first sum among all vectors */
            const Real *sums = kept + place * L;
            V sum[Cell::sums];
            Flow<Real> d = {};
            EACH(s, Cell::sums) sum[s] = load<Real>(sums + s * U * L);
            d.h = products ? *products++ : load<Real>(dh_in + v * L);
            if (products && factors) d.h *= load<Real>(factors + v * L);
            if constexpr (Cell::carries_h) d.h += load<Real>(past + v * L); /* as in dh_in, which dy is added to as well */
            d.h += load_at_most<Real>(dy + v * L, H - v * L);
            if constexpr (Cell::keeps_c) d.c = load<Real>(dc + v * L);
            Cell::backward(sum, d, around.at(v));
            EACH(s, Cell::sums) Cell::Format::put(gradients + (place + s * U) * b.inputs, sum[s]);
            if constexpr (Cell::keeps_c) store<Real>(dc + v * L, d.c);
            if constexpr (Cell::carries_h) store<Real>(past + v * L, d.past);
        }
    }
}

/* Step t of the rows first..last and a strip of units. */
template <class Cell>
void step_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last, ptrdiff_t vector,
                   ptrdiff_t vectors) {
    const ptrdiff_t going = t + 1 < b.p.T ? b.p.alive[t + 1] : 0, continued = least(going, last);
    Vec<typename Cell::Real> products[held_rows * FL_STRIP] FL_ALIGNED;
    while (first < continued) {
        const ptrdiff_t rows = rows_at_once(b, vectors, first, continued);
        multiply_state(b, b.p.offset[t + 1] + first, rows, vector, vectors, products);
        cell_backward(b, t, first, rows, vector, vectors, products);
        first += rows;
    }
    if (first < last) cell_backward<Cell>(b, t, first, last - first, vector, vectors, nullptr);
}

/* The address of dx of a row of all steps. Advances t to the step of the row. */
template <class Cell> typename Cell::Real *dx_of(const Backward<Cell> &b, ptrdiff_t &t, ptrdiff_t row) {
    while (b.p.offset[t + 1] <= row) t++;
    return (typename Cell::Real *)b.p.dx + b.p.x_row[row - b.p.offset[t]] + t * b.p.x_step;
}

/* dx of the rows from..to of all steps, from step t on: one strip of its columns. */
template <class Cell>
void inputs_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t from, ptrdiff_t to, ptrdiff_t strip) {
    using Real = typename Cell::Real;
    const ptrdiff_t first = strip * FL_STRIP * b.L, last = least(first + FL_STRIP * b.L, b.p.I);
    const ptrdiff_t vectors = whole(last - first, b.L);
    Vec<Real> sums[held_rows * FL_STRIP] FL_ALIGNED;
    for (ptrdiff_t row = from, rows; row < to; row += rows) {
        rows = rows_at_once(b, vectors, row, to);
        multiply_strip<FromInputs<Cell>>(b, row, rows, b.strip(b.vectors() + strip * FL_STRIP), vectors, sums);
        const Vec<Real> *sum = sums;
        for (ptrdiff_t r = row; r < row + rows; r++)
            write_columns<Real>(dx_of(b, t, r), first, last, b.p.add_dx, [&](ptrdiff_t, ptrdiff_t) { return *sum++; });
    }
}

/* The same for one of few inputs, by an inner product with the weights that `weights`(block, vector) gives. */
template <class Cell, class Weights>
typename Cell::Real few_backward(const Backward<Cell> &b, ptrdiff_t row, Weights weights) {
    using Real = typename Cell::Real;
    constexpr int G = panel_width<Cell>;
    Vec<Real> sum[G] = {};
    for (ptrdiff_t block = 0; block < b.blocks(); block++)
        EACH(v, G) {
            const auto *gradients = b.gradients(block * b.p.rows + row).first + FromInputs<Cell>::at(v) * b.inputs;
            sum[v] = multiply_add(Cell::Format::get(gradients), weights(block, v), sum[v]);
        }
    for (int n = 1; n < G; n *= 2)
        for (int v = 0; v + n < G; v += 2 * n) sum[v] += sum[v + n];
    return sum_of<Real>(sum[0]);
}

template <class Cell> void few_inputs_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t from, ptrdiff_t to) {
    using Real = typename Cell::Real;
    for (ptrdiff_t row = from; row < to; row++) {
        Real *dx = dx_of(b, t, row);
        for (ptrdiff_t j = 0; j < b.p.I; j++) {
            const auto *w = b.few_weights() + j * b.depth() / Cell::Format::depth;
            const Real found = few_backward(b, row, [&](ptrdiff_t block, int v) {
                return Cell::Format::get(w + (block * b.G + v) * b.inputs);
            });
            dx[j] = b.p.add_dx ? dx[j] + found : found;
        }
    }
}

/* A thread's part of dx of a segment: of the rows where they are many, else of the strips. */
template <class Cell>
void share_inputs(const Backward<Cell> &b, const fl_segment &segment, int thread, const fl_team *team) {
    const ptrdiff_t t = segment.first, first = b.p.offset[t], rows = b.p.offset[segment.last] - first;
    const bool by_rows = b.p.I <= few_inputs || rows >= 2 * rows_of_tile * team->size;
    const Range all = {0, whole(b.p.I, FL_STRIP * b.L)};
    const Range mine = by_rows ? share_of(rows, thread, team) : Range{0, rows};
    const Range strips = by_rows ? all : share_of(all.last, thread, team);
    if (b.p.I <= few_inputs) few_inputs_backward(b, t, first + mine.first, first + mine.last);
    else
        for (ptrdiff_t n = strips.first; n < strips.last; n++)
            inputs_backward(b, t, first + mine.first, first + mine.last, n);
}

/* dh of the initial states. */
template <class Cell> void initial_backward(const Backward<Cell> &b, Range strips) {
    using Real = typename Cell::Real;
    const fl_backward &p = b.p;
    for (ptrdiff_t n = strips.first; n < strips.last; n++) {
        const ptrdiff_t vector = n * p.strip, vectors = least(b.vectors() - vector, p.strip);
        for (ptrdiff_t row = 0, rows; row < p.alive[0]; row += rows) {
            Vec<Real> products[held_rows * FL_STRIP] FL_ALIGNED, *product = products;
            rows = rows_at_once(b, vectors, row, p.alive[0]);
            multiply_state(b, row, rows, vector, vectors, products);
            for (ptrdiff_t r = row; r < row + rows; r++)
                for (ptrdiff_t v = vector; v < vector + vectors; v++, product++) {
                    const ptrdiff_t at = r * p.width + v * b.L;
                    if (const Real *factors = fed_factors<Cell>(p, r)) *product *= load<Real>(factors + v * b.L);
                    if constexpr (Cell::carries_h) {
                        *product += load<Real>((const Real *)p.past + at);
                        store<Real>((Real *)p.past + at, Vec<Real>{});
                    }
                    store<Real>((Real *)p.dh + at, *product);
                }
        }
    }
}

/* The part of a segment's rows in the gradients of the units' own weights, the last row first. */
template <class Cell>
void add_own_gradients(const Backward<Cell> &b, const fl_segment &segment, bool add, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    constexpr int S = Cell::sums, V = Cell::own, U = Cell::units;
    const fl_backward &p = b.p;
    const Range mine = share_of(b.vectors(), thread, team);
    for (ptrdiff_t v = mine.first; v < mine.last; v++) {
        Real *to = own_gradients(b, v);
        Vec<Real> total[V];
        EACH(k, V) total[k] = add ? load<Real>(to + k * b.L) : Vec<Real>{};
        for (ptrdiff_t t = segment.last; t-- > segment.first;)
            for (ptrdiff_t r = p.alive[t]; r-- > 0;) {
                const auto *gradients = b.gradients(v / U * p.rows + p.offset[t] + r).first + v % U * b.inputs;
                Vec<Real> sum[S];
                EACH(s, S) sum[s] = Cell::Format::get(gradients + s * U * b.inputs);
                Cell::add_own(total, sum, Around<Cell>(p, t, r).at(v));
            }
        EACH(k, V) store<Real>(to + k * b.L, total[k]);
    }
}

template <class Cell> void backward(void *argument, int thread, fl_team *team) {
    const fl_backward &p = *(const fl_backward *)argument;
    const Backward<Cell> b{p};
    const ptrdiff_t vectors = b.vectors(), strips = whole(vectors, p.strip);
    transpose_weights(b, thread, team);
    fl_barrier(team);
    for (const fl_segment *segment = p.segments + p.segment_count; segment-- > p.segments;) {
        const Part share = share_segment(p.alive, *segment, p.N, strips, thread, team);
        const Range units = share.columns;
        for (ptrdiff_t t = segment->last - 1; t >= segment->first; t--) {
            const ptrdiff_t last = least(p.alive[t], share.rows.last);
            /* back and forth, so that each step begins with the weights that the last one left in the caches */
            for (ptrdiff_t n = units.first; n < units.last; n++) {
                const ptrdiff_t vector = (t & 1 ? units.first + units.last - 1 - n : n) * p.strip;
                step_backward(b, t, share.rows.first, last, vector, least(vectors - vector, p.strip));
            }
            if (segment->by_units) fl_barrier(team);
        }
        if (!segment->by_units) fl_barrier(team);
        gather_columns<Cell>(p, *segment, thread, team);
        if (p.dx) share_inputs(b, *segment, thread, team);
        fl_barrier(team);
        const bool add = p.later || segment + 1 < p.segments + p.segment_count;
        add_gradients(b, *segment, add, thread, team);
        if constexpr (Cell::own > 0) add_own_gradients(b, *segment, add, thread, team);
    }
    if (p.initial) initial_backward(b, share_of(strips, thread, team));
    if (!p.dw) return;
    fl_barrier(team);
    deliver_gradients<Cell>(p, thread, team);
}

}

#endif
