/* Back-propagation through time: the products of products.hpp, and the cell's derivatives on their sums. */
#ifndef FASTLSTM_BACKWARD_HPP
#define FASTLSTM_BACKWARD_HPP

#include "gradient.hpp"
#include "products.hpp"

namespace {

/* The states around a step of one row, for one vector of units, and what the cell is told. A null pointer stands for
   zeros. h_prev is what U has seen, if the cell reads that; it was multiplied by `factors`, if there are some. */
template <class Real> struct States : Told<Real> {
    const Real *kept_c, *kept_c_prev, *state_prev, *factors;
    ptrdiff_t left;                /* units from this vector on */
    ptrdiff_t next_c, next_c_prev; /* numbers from one part of c to the next */
    Vec<Real> c(int part = 0) const { return load<Real>(kept_c + part * next_c); }
    Vec<Real> c_prev(int part = 0) const {
        return kept_c_prev ? load<Real>(kept_c_prev + part * next_c_prev) : Vec<Real>{};
    }
    Vec<Real> h_prev() const { return state_prev ? load_at_most<Real>(state_prev, left) : Vec<Real>{}; }
    Vec<Real> factor() const { return factors ? load<Real>(factors) : set<Real>(1); }
};

/* The states around step t of row r, of which `at` gives those of a vector of units. */
template <class Cell> struct Around {
    using Real = typename Cell::Real;
    static constexpr ptrdiff_t L = lanes<Real>, U = Cell::units, C = Cell::c_parts;
    const fl_backward &p;
    const Real *c = nullptr, *c_prev = nullptr, *h_prev = nullptr, *factors = nullptr;
    ptrdiff_t place;
    bool first;

    FL_INLINE Around(const fl_backward &p, ptrdiff_t t, ptrdiff_t r) : p(p), place(p.y_row[r] + t * p.y_step), first(!t) {
        if constexpr (Cell::keeps_c) {
            c = (const Real *)p.kept_c + (p.offset[t] + r) * U * C * L;
            if (t) c_prev = (const Real *)p.kept_c + (p.offset[t - 1] + r) * U * C * L;
            else if (p.c) c_prev = (const Real *)p.c + r * C * p.width;
        }
        if constexpr (Cell::reads_h) {
            if (t) h_prev = (const Real *)p.y + p.y_row[r] + (t - 1) * p.y_step;
            else if (p.h) h_prev = (const Real *)p.h + r * p.width;
        }
        if constexpr (Cell::reads_seen) h_prev = seen_at<Real>(p, t, r), factors = fed_factors<Cell>(p, r);
    }
    FL_INLINE States<Real> at(ptrdiff_t v) const {
        const ptrdiff_t in_block = (v / U * p.rows * U * C + v % U) * L; /* of c, which a block has U C vectors of */
        const Real *own = nullptr;
        if constexpr (Cell::own > 0)
            own = (const Real *)p.bias + (v / U * (Cell::sums + Cell::own) + Cell::sums) * U * L + v % U * L;
        return {{p.option, p.options, p.masks, place + v * L, own, U * L},
                c ? c + in_block : nullptr, c_prev ? c_prev + (first ? v * L : in_block) : nullptr,
                h_prev ? h_prev + v * L : nullptr, factors ? factors + v * L : nullptr, p.H - v * L, U * L,
                first ? p.width : U * L};
    }
};

/* The cell at step t, for some rows and vectors of units: makes the gradients of the sums, and what goes past them to
   the step before. `products` are the gradients of h that come from where it is seen. It is null at the last step of
   a row, if that would be at the next step; then those of its final state are used. */
template <class Cell>
void cell_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector,
                   ptrdiff_t vectors, const Vec<typename Cell::Real> *products) {
    using Real = typename Cell::Real;
    using V = Vec<Real>;
    constexpr ptrdiff_t L = lanes<Real>, U = Cell::units, S = block_sums<Cell>;
    const fl_backward &p = b.p;
    const ptrdiff_t H = p.H, width = p.width, next = p.rows; /* rows from a block to the next */
    for (ptrdiff_t r = row; r < row + rows; r++) {
        const Real *dy = p.dy ? (const Real *)p.dy + p.y_row[r] + t * p.y_step : nullptr;
        const Real *dh_in = (const Real *)p.dh + r * width;
        Real *kept = b.kept(p.offset[t] + r), *dc = (Real *)p.dc + r * Cell::c_parts * width;
        Real *past = (Real *)p.past + r * width;
        const Real *factors = fed_factors<Cell>(*p.user, r);
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
            if (dy) d.h += load_at_most<Real>(dy + v * L, H - v * L);
            if constexpr (Cell::keeps_c) d.c = load<Real>(dc + v * L);
            if constexpr (Cell::c_parts > 1) d.n = load<Real>(dc + width + v * L);
            Cell::backward(sum, d, around.at(v));
            EACH(s, Cell::sums) Cell::Format::put(gradients + (place + s * U) * b.inputs, sum[s]);
            if constexpr (Cell::keeps_c) store<Real>(dc + v * L, d.c);
            if constexpr (Cell::c_parts > 1) store<Real>(dc + width + v * L, d.n);
            if constexpr (Cell::carries_h) store<Real>(past + v * L, d.past);
            if constexpr (Cell::adds_past) store<Real>(past + v * L, load<Real>(past + v * L) + d.past);
        }
    }
}

/* Step t of the rows first..last and a strip of units. */
template <class Cell>
void step_backward(const Backward<Cell> &b, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last, ptrdiff_t vector,
                   ptrdiff_t vectors) {
    const fl_backward *user = b.p.user;
    const ptrdiff_t seen = user->ahead ? t : t + 1; /* the step at which this h is seen */
    const ptrdiff_t continued = seen < b.p.T ? least(b.p.alive[seen], last) : 0;
    Vec<typename Cell::Real> products[held_rows * FL_STRIP] FL_ALIGNED;
    while (first < continued) {
        if constexpr (Cell::by_rows) /* of the first rows: they come while the products are added up */
            for (ptrdiff_t r = first, end = least(continued, first + rows_of_tile); r < end; r++)
                fetch_masks(b.p.masks, b.p.y_row[r] + t * b.p.y_step + vector * b.L);
        const ptrdiff_t row = b.p.offset[seen] + first;
        const ptrdiff_t rows = user->cell->backward->multiply(user, row, continued - first, vector, vectors, products);
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
        multiply_strip<FromInputs<Cell>>(b, row, rows, b.strip(b.seen_vectors() + strip * FL_STRIP), vectors, sums);
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
template <class Cell> void initial_backward(const fl_backward *pass, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    const fl_backward &p = *pass, *user = p.user;
    const Backward<Cell> b{p};
    const Range strips = share_of(whole(b.vectors(), user->strip), thread, team);
    for (ptrdiff_t n = strips.first; n < strips.last; n++) {
        const ptrdiff_t vector = n * user->strip, vectors = least(b.vectors() - vector, user->strip);
        for (ptrdiff_t row = 0, rows; row < p.alive[0]; row += rows) {
            Vec<Real> products[held_rows * FL_STRIP] FL_ALIGNED, *product = products;
            rows = user->cell->backward->multiply(user, row, p.alive[0] - row, vector, vectors, products);
            for (ptrdiff_t r = row; r < row + rows; r++)
                for (ptrdiff_t v = vector; v < vector + vectors; v++, product++) {
                    const ptrdiff_t at = r * p.width + v * b.L;
                    if (const Real *factors = fed_factors<Cell>(*user, r)) *product *= load<Real>(factors + v * b.L);
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

/* One thread's part of a segment. */
template <class Cell> struct WalkBack {
    Backward<Cell> b;
    Part share; /* of rows and strips */
};

template <class Cell> void walk_step_back(fl_walk *walk, ptrdiff_t t) {
    const WalkBack<Cell> &w = *(const WalkBack<Cell> *)walk->own;
    const fl_backward &p = w.b.p;
    const Range rows = w.share.rows, strips = w.share.columns;
    const ptrdiff_t last = least(p.alive[t], rows.last), strip = p.user->strip, vectors = w.b.vectors();
    /* back and forth, so that each step begins with the weights that the last one left in the caches */
    for (ptrdiff_t n = strips.first; n < strips.last; n++) {
        const ptrdiff_t vector = (t & 1 ? strips.first + strips.last - 1 - n : n) * strip;
        step_backward(w.b, t, rows.first, last, vector, least(vectors - vector, strip));
    }
}

template <class Cell>
void begin_backward(fl_walk *walk, const fl_backward *pass, const fl_segment *segment, int thread, fl_team *team) {
    static_assert(fits_walk<WalkBack<Cell>>, "fl_walk has too little room");
    const Backward<Cell> b{*pass};
    const ptrdiff_t strips = whole(b.vectors(), pass->user->strip);
    new (walk->own) WalkBack<Cell>{b, share_segment(pass->alive, *segment, pass->N, strips, thread, team)};
    walk->step = walk_step_back<Cell>;
}

template <class Cell> void gather(const fl_backward *pass, const fl_segment *segment, int thread, const fl_team *team) {
    if (!pass->frozen) gather_columns<Cell>(*pass, *segment, thread, team);
    if (pass->dx) share_inputs(Backward<Cell>{*pass}, *segment, thread, team);
}

template <class Cell>
void add_segment(const fl_backward *pass, const fl_segment *segment, int add, int thread, const fl_team *team) {
    const Backward<Cell> b{*pass};
    add_gradients(b, *segment, add, thread, team);
    if constexpr (Cell::own > 0) add_own_gradients(b, *segment, add, thread, team);
}

template <class Cell>
constexpr fl_backward_functions backward_of = {transpose_weights<Cell>, begin_backward<Cell>, multiply<Cell>, gather<Cell>,
                                               add_segment<Cell>, initial_backward<Cell>, deliver_gradients<Cell>};

}

#endif
