/* The forward pass of a cell on packed weights, for inference and for training. */
#ifndef FASTLSTM_FORWARD_HPP
#define FASTLSTM_FORWARD_HPP

#include <new>

#include "cells/cell.hpp"
#include "tile.hpp"

namespace {

/* One thread's part of a pass, with G vectors of weights and S vectors of sums in a block. */
template <class Format_, int G_, int S_> struct Forward {
    using Format = Format_;
    using Real = typename Format::Real;
    using Weight = typename Format::Weight;
    using Input = typename Format::Input;
    static constexpr ptrdiff_t L = lanes<Real>;
    static constexpr int G = G_, S = S_;
    static constexpr ptrdiff_t panel_row = G * L * Format::depth; /* numbers */

    const fl_pass &p;
    ptrdiff_t blocks;
    ptrdiff_t of_x, of_h;      /* Inputs of a row of a batch: rows of a panel without their tails */
    ptrdiff_t of_bias;         /* numbers of a block of the bias, with the units' own weights */
    const Real *fed = nullptr; /* the states that U sees before a step, rows fed_next numbers apart */
    ptrdiff_t fed_next = 0;
    Range projecting = {0, 0}; /* the rows that it projects */
    /* Where a format rounds: inputs of some steps from rounded_step on, [step][N][of_x + ends], and the states of one
       step, [N][of_h + ends]. */
    Input *rounded_x = nullptr, *rounded_h = nullptr;
    ptrdiff_t rounded_step = 0;
    /* The sums of rows from partial_row on, [row][S][LANES], by the weights up to partial_end. */
    Real *partial = nullptr;
    ptrdiff_t partial_row = 0, partial_begin = 0, partial_end = 0;

    const Weight *panel(ptrdiff_t block) const {
        return (const Weight *)p.panels + block * (of_x + of_h + 2 * Format::tail) * panel_row;
    }
    const Weight *state_panel(ptrdiff_t block) const { return panel(block) + (of_x + Format::tail) * panel_row; }
    const Real *bias(ptrdiff_t block) const { return (const Real *)p.bias + block * of_bias; }
    const Real *x(ptrdiff_t row, ptrdiff_t t) const { return (const Real *)p.x + p.x_row[row] + t * p.x_step; }
    Input *x_rounded(ptrdiff_t row, ptrdiff_t t) const {
        return rounded_x + ((t - rounded_step) * p.N + row) * (of_x + Format::ends);
    }
    Input *h_rounded(ptrdiff_t row) const { return rounded_h + row * (of_h + Format::ends); }
    const Input *x_inputs(ptrdiff_t row, ptrdiff_t t) const {
        if constexpr (Format::rounds) return x_rounded(row, t);
        else return x(row, t);
    }
    const Input *h_inputs(ptrdiff_t row) const {
        if constexpr (Format::rounds) return h_rounded(row);
        else return fed + row * fed_next;
    }
    Real *h(ptrdiff_t row, ptrdiff_t t) const { return state(p, row, t); }
    /* the state that U sees at step t */
    const Real *seen(ptrdiff_t row, ptrdiff_t t) const { return state(*p.seen, row, t + p.ahead); }
    static Real *state(const fl_pass &of, ptrdiff_t row, ptrdiff_t t) {
        return (Real *)of.h + (((t + *of.phase) & 1) * of.N + row) * of.width;
    }
    Real *c(ptrdiff_t row, int parts = 1) const { return (Real *)p.c + row * parts * p.width; }
    Real *y(ptrdiff_t row, ptrdiff_t t) const { return (Real *)p.y + p.y_row[row] + t * p.y_step; }
    ptrdiff_t slot(ptrdiff_t block, ptrdiff_t t, ptrdiff_t row) const { return block * p.rows + p.offset[t] + row; }
    Real *kept(ptrdiff_t slot) const { return (Real *)p.kept + slot * S * L; }
    Real *kept_c(ptrdiff_t slot, int vectors) const { return (Real *)p.kept_c + slot * vectors * L; } /* of a block */
    Real *projected(ptrdiff_t row, ptrdiff_t block) const {
        return (Real *)p.projected + (row * blocks + block) * S * L;
    }
    /* whether its states before step t, and what U sees there, are not known to be zeros */
    bool resumed(ptrdiff_t t) const { return t || !p.fresh; }
    bool sees(ptrdiff_t t) const { return p.K && (p.ahead || resumed(t)); }
};
template <class Cell>
using ForwardOf = Forward<typename Cell::Format, panel_width<Cell>, block_sums<Cell>>;
template <class Cell> ForwardOf<Cell> forward_of(const fl_pass &p) {
    constexpr ptrdiff_t depth = Cell::Format::depth;
    return {p, p.width / (Cell::units * lanes<typename Cell::Real>), whole(p.I, depth), whole(p.K, depth),
            (Cell::sums + Cell::own) * Cell::units * lanes<typename Cell::Real>};
}

/* R rows of the inputs of a chunk of steps, with the bias: the q-th is row first + q % count at step t0 + q / count. */
template <int R, class F>
__attribute__((noinline)) void project(const F &f, ptrdiff_t t0, ptrdiff_t block, ptrdiff_t q) {
    using Real = typename F::Real;
    constexpr int S = F::S;
    const ptrdiff_t first = f.projecting.first, count = f.projecting.last - first;
    const typename F::Input *x[R];
    Vec<Real> sum[R][S];
    EACH(r, R) x[r] = f.x_inputs(first + (q + r) % count, t0 + (q + r) / count);
    EACH(r, R) EACH(s, S) sum[r][s] = load<Real>(f.bias(block) + s * lanes<Real>);
    tile<R, 1, InOrder<F::G>, typename F::Format>(sum, f.of_x, x, f.panel(block), 0, f.panel_row);
    EACH(r, R) {
        Real *out = f.projected((q + r) / count * f.p.N + first + (q + r) % count, block);
        EACH(s, S) store<Real>(out + s * lanes<Real>, sum[r][s]);
    }
}

/* The sums of R rows by a part of the weights: a part that stays near for all the rows. */
template <class FromState, int R, class F>
__attribute__((noinline)) void add_part(const F &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Real = typename F::Real;
    constexpr int S = F::S;
    const ptrdiff_t I = f.of_x, k = f.partial_begin, count = f.partial_end - k;
    const typename F::Weight *w = f.panel(block) + k * f.panel_row;
    const typename F::Input *a[R];
    Real *out = f.partial + (row - f.partial_row) * S * f.L;
    Vec<Real> sum[R][S];
    EACH(r, R) a[r] = k < I ? f.x_inputs(row + r, t) + k : f.h_inputs(row + r) + k - I;
    EACH(r, R) EACH(s, S) sum[r][s] = load<Real>(k ? out + (r * S + s) * f.L : f.bias(block) + s * f.L);
    if (k < I) tile<R, 1, InOrder<F::G>, typename F::Format>(sum, count, a, w, 0, f.panel_row);
    else tile<R, 1, FromState, typename F::Format>(sum, count, a, w, 0, f.panel_row);
    EACH(r, R) EACH(s, S) store<Real>(out + (r * S + s) * f.L, sum[r][s]);
}

/* The sums of R rows and B blocks by the inputs. They are added up in one order, whether the inputs have been projected
   ahead, or in parts, or not. */
template <int R, int B, class F, int N, int S>
FL_INLINE void sum_inputs(const F &f, Vec<typename F::Real> (&sum)[N][S], ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Real = typename F::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    const Real *bias = f.bias(block);
    if (f.partial || f.p.projected) {
        const Real *from = f.partial ? f.partial + (row - f.partial_row) * S * L
                                     : f.projected(t % f.p.chunk * f.p.N + row, block);
        const ptrdiff_t next_row = f.partial ? S * L : f.blocks * S * L;
        EACH(b, B) EACH(r, R) EACH(s, S) sum[b * R + r][s] = load<Real>(from + b * S * L + r * next_row + s * L);
        return;
    }
    if (!f.p.I) {
        EACH(b, B) EACH(r, R) EACH(s, S) sum[b * R + r][s] = load<Real>(bias + b * f.of_bias + s * L);
        return;
    }
    const typename F::Input *x[R];
    EACH(r, R) x[r] = f.x_inputs(row + r, t);
    begin_tile<R, B, InOrder<F::G>, typename F::Format>(
        sum, f.of_x, x, f.panel(block), f.panel(1) - f.panel(0), f.panel_row,
        [&](int n, int s) { return load<Real>(bias + n / R * f.of_bias + s * L); });
}

/* The sums of R rows and B blocks, by inputs and states. */
template <class FromState, int R, int B, class F, int N, int S>
FL_INLINE void add_up(const F &f, Vec<typename F::Real> (&sum)[N][S], ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Format = typename F::Format;
    sum_inputs<R, B>(f, sum, t, block, row);
    if (!f.sees(t)) return;
    const ptrdiff_t done = f.partial ? f.partial_end - f.of_x : 0;
    const typename Format::Weight *w = f.state_panel(block) + done * f.panel_row;
    const typename Format::Input *a[R];
    EACH(r, R) a[r] = f.h_inputs(row + r) + done;
    tile<R, B, FromState, Format>(sum, f.of_h - done, a, w, f.panel(1) - f.panel(0), f.panel_row);
}

/* The same, left in memory [B][R][S][LANES]. */
template <class FromState, int R, int B, class F>
__attribute__((noinline)) void add_up_to(typename F::Real *to, const F &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Real = typename F::Real;
    Vec<Real> sum[B * R][F::S];
    add_up<FromState, R, B>(f, sum, t, block, row);
    EACH(n, B * R) EACH(s, F::S) store<Real>(to + (n * F::S + s) * f.L, sum[n][s]);
}

/* Whether a cell that may stop at its sums does. They are kept for a later phase. */
template <class Cell> FL_INLINE bool only_sums(const fl_pass &p) { return Cell::stops && p.option == FL_ONLY_SUMS; }

/* Asks for the memory that a step writes, which then comes while the products are added up. Else the stores wait for it,
   and all that follows for the stores. And for the masks that it reads. */
template <class Cell, int R, int B, bool KEEP>
FL_INLINE void fetch_written(const ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    constexpr int S = block_sums<Cell>, U = Cell::units, C = U * Cell::c_parts;
    const bool whole_step = !only_sums<Cell>(f.p);
    if (whole_step) EACH(r, R) EACH(v, B * U) __builtin_prefetch(f.y(row + r, t) + (block * U + v) * f.L, 1);
    if constexpr (Cell::by_rows)
        if (whole_step)
            EACH(r, R) fetch_masks(f.p.masks, f.p.y_row[row + r] + t * f.p.y_step + block * U * f.L);
    if (!KEEP || !f.p.kept) return;
    EACH(b, B) {
        const ptrdiff_t slot = f.slot(block + b, t, row);
        EACH(v, R * S) __builtin_prefetch(f.kept(slot) + v * f.L, 1);
        if constexpr (Cell::keeps_c)
            if (whole_step) EACH(v, R * C) __builtin_prefetch(f.kept_c(slot, C) + v * f.L, 1);
    }
}

/* What the backward pass reads of one step. */
template <class Cell, int R, int B, int N, int S, int M>
FL_INLINE void keep(const ForwardOf<Cell> &f, const Vec<typename Cell::Real> (&sum)[N][S],
                    const Vec<typename Cell::Real> (&c)[M], ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Real = typename Cell::Real;
    constexpr int U = Cell::units;
    EACH(b, B) {
        const ptrdiff_t slot = f.slot(block + b, t, row);
        EACH(r, R) EACH(s, S) store<Real>(f.kept(slot) + (r * S + s) * f.L, sum[b * R + r][s]);
        if constexpr (Cell::keeps_c)
            EACH(r, R) EACH(u, U) store<Real>(f.kept_c(slot, U) + (r * U + u) * f.L, c[(b * R + r) * U + u]);
    }
}

/* The new states, and the outputs, whose last vector of units may have fewer numbers than the others. */
template <class Cell, int R, int B, int M>
FL_INLINE void write_states(const ForwardOf<Cell> &f, const Vec<typename Cell::Real> (&c)[M],
                            const Vec<typename Cell::Real> (&h)[M], ptrdiff_t t, ptrdiff_t unit, ptrdiff_t row) {
    using Real = typename Cell::Real;
    constexpr int U = Cell::units;
    constexpr ptrdiff_t L = lanes<Real>;
    const ptrdiff_t left = f.p.H - unit, width = f.p.width;
    Real *h_next = f.h(row, t + 1) + unit, *y[R];
    EACH(r, R) y[r] = f.y(row + r, t) + unit;
    EACH(b, B) EACH(r, R) EACH(u, U) {
        const ptrdiff_t at = r * width + (b * U + u) * L;
        if constexpr (Cell::keeps_c) store<Real>(f.c(row) + unit + at, c[(b * R + r) * U + u]);
        store<Real>(h_next + at, h[(b * R + r) * U + u]);
    }
    if (left >= B * U * L) EACH(b, B) EACH(r, R) EACH(u, U) store<Real>(y[r] + (b * U + u) * L, h[(b * R + r) * U + u]);
    else
        EACH(b, B) EACH(r, R) EACH(u, U)
            store_at_most<Real>(y[r] + (b * U + u) * L, left - (b * U + u) * L, h[(b * R + r) * U + u]);
}

template <class Cell> FL_INLINE Told<typename Cell::Real> told_of(const ForwardOf<Cell> &f, ptrdiff_t block) {
    return {f.p.option, f.p.options, f.p.masks, 0, f.bias(block) + block_sums<Cell> * f.L, Cell::units * f.L};
}

/* A cell that is called for one row and one vector of units at a time, on the sums in memory of some rows of a block. */
template <class Cell>
__attribute__((noinline)) void cell_by_rows(const ForwardOf<Cell> &f, const typename Cell::Real *sums, ptrdiff_t t,
                                            ptrdiff_t block, ptrdiff_t row, ptrdiff_t rows) {
    using Real = typename Cell::Real;
    constexpr int S = Cell::sums, U = Cell::units, C = Cell::c_parts;
    if (only_sums<Cell>(f.p)) {
        memcpy(f.kept(f.slot(block, t, row)), sums, rows * S * U * f.L * sizeof(Real));
        return;
    }
    const bool resumed = f.resumed(t);
    Told<Real> told = told_of<Cell>(f, block);
    for (ptrdiff_t last = row + rows; row < last; row++, sums += S * U * f.L) {
        for (ptrdiff_t u = 0; u < U; u++) {
            const ptrdiff_t unit = (block * U + u) * f.L;
            Real *const own_c = f.c(row, C) + unit;
            Vec<Real> sum[1][S], c[C] = {}, h[1] = {};
            EACH(s, S) sum[0][s] = load<Real>(sums + (s * U + u) * f.L);
            if constexpr (Cell::keeps_c)
                if (resumed || f.p.ahead) EACH(k, C) c[k] = load<Real>(own_c + k * f.p.width);
            if constexpr (Cell::reads_h) if (resumed) h[0] = load<Real>(f.h(row, t) + unit);
            if constexpr (Cell::reads_seen) if (resumed) h[0] = load_at_most<Real>(f.fed + row * f.fed_next + unit, f.p.K - unit);
            told.place = f.p.y_row[row] + t * f.p.y_step + unit;
            told.weights = f.bias(block) + (block_sums<Cell> + u) * f.L;
            Cell::template forward<true>(sum, c, h, told);
            /* beyond the last unit they stay zero: a function of zero need not be zero, and what it makes would grow */
            EACH(k, C) c[k] = first_numbers<Real>(c[k], f.p.H - unit);
            h[0] = first_numbers<Real>(h[0], f.p.H - unit);
            if (f.p.kept) {
                const ptrdiff_t slot = f.slot(block, t, row);
                EACH(s, S) store<Real>(f.kept(slot) + (s * U + u) * f.L, sum[0][s]);
                if constexpr (Cell::keeps_c) EACH(k, C) store<Real>(f.kept_c(slot, U * C) + (k * U + u) * f.L, c[k]);
            }
            if constexpr (Cell::keeps_c) EACH(k, C) store<Real>(own_c + k * f.p.width, c[k]);
            store<Real>(f.h(row, t + 1) + unit, h[0]);
            store_at_most<Real>(f.y(row, t) + unit, f.p.H - unit, h[0]);
        }
    }
}

/* One step of R rows and B blocks of units: the tiles, and the cell on their sums. */
template <class Cell, int R, int B, bool KEEP>
__attribute__((noinline)) void step(const ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row) {
    using Real = typename Cell::Real;
    constexpr int S = block_sums<Cell>, U = Cell::units;
    constexpr ptrdiff_t L = lanes<Real>;
    if constexpr (R > 1) fetch_written<Cell, R, B, KEEP>(f, t, block, row); /* how one row goes on is easily foreseen */
    if constexpr (Cell::by_rows) {
        Real sums[B * R * S * L] FL_ALIGNED;
        add_up_to<FromState<Cell>, R, B>(sums, f, t, block, row);
        for (ptrdiff_t b = 0; b < B; b++) cell_by_rows<Cell>(f, sums + b * R * S * L, t, block + b, row, R);
    } else {
        const ptrdiff_t width = f.p.width, unit = block * U * L;
        const bool resumed = f.resumed(t);
        const Real *h_prev = f.h(row, t);
        Vec<Real> sum[B * R][S], c[B * R * U], h[B * R * U];
        add_up<FromState<Cell>, R, B>(f, sum, t, block, row);
        EACH(b, B) EACH(r, R) EACH(u, U) {
            const int n = (b * R + r) * U + u;
            const ptrdiff_t at = r * width + unit + (b * U + u) * L;
            if constexpr (Cell::keeps_c) c[n] = resumed ? load<Real>(f.c(row) + at) : Vec<Real>{};
            if constexpr (Cell::reads_h) h[n] = resumed ? load<Real>(h_prev + at) : Vec<Real>{};
        }
        Cell::template forward<KEEP>(sum, c, h, told_of<Cell>(f, block));
        if (KEEP && f.p.kept) keep<Cell, R, B>(f, sum, c, t, block, row);
        write_states<Cell, R, B>(f, c, h, t, unit, row);
    }
}

template <class Cell, bool KEEP>
void step_block(const ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t first, ptrdiff_t last) {
    in_groups(first, last, [&](auto r, ptrdiff_t row) { step<Cell, decltype(r)::value, 1, KEEP>(f, t, block, row); });
}

/* One step of a block of units for many rows: the weights in parts that stay near, all but the last one ahead of the
   cell. */
template <class Cell, bool KEEP>
void step_in_parts(ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t near = near_bytes / (f.panel_row * (ptrdiff_t)sizeof(typename Cell::Format::Weight));
    const ptrdiff_t I = f.of_x, all = I + (f.sees(t) ? f.of_h : 0);
    typename Cell::Real sums[held_rows * ForwardOf<Cell>::S * ForwardOf<Cell>::L] FL_ALIGNED;
    f.partial = sums;
    for (ptrdiff_t end; first < last; first = end) {
        end = least(last, first + held_rows);
        f.partial_row = first;
        f.partial_end = 0;
        while (f.partial_end < I || all - f.partial_end > near) {
            f.partial_begin = f.partial_end;
            f.partial_end = least(f.partial_begin + near, f.partial_begin < I ? I : all);
            in_groups(first, end, [&](auto r, ptrdiff_t row) {
                add_part<FromState<Cell>, decltype(r)::value>(f, t, block, row);
            });
        }
        step_block<Cell, KEEP>(f, t, block, first, end);
    }
    f.partial = nullptr;
}

/* Up to so many rows take two blocks at once, for they alone have too few independent sums. All fit in the registers. */
constexpr ptrdiff_t paired_rows = rows_of_tile > 4 ? 2 : 1;

template <class Cell, bool KEEP>
void step_pair(const ForwardOf<Cell> &f, ptrdiff_t t, ptrdiff_t block, ptrdiff_t row, ptrdiff_t rows) {
    with_constant<paired_rows>(rows, [&](auto r) { step<Cell, decltype(r)::value, 2, KEEP>(f, t, block, row); });
}

/* One step of a thread's blocks and rows; back and forth, so that each step begins with the weights that the last one
   left in the caches. */
template <class Cell, bool KEEP>
void step_units(ForwardOf<Cell> &f, ptrdiff_t t, Range blocks, Range rows, bool parts) {
    const ptrdiff_t count = rows.last - rows.first;
    for (ptrdiff_t b = blocks.first, some; b < blocks.last; b += some) {
        some = count <= paired_rows && blocks.last - b >= 2 ? 2 : 1;
        const ptrdiff_t block = t & 1 ? blocks.first + blocks.last - b - some : b;
        if (count <= 0) continue;
        if (some == 2) step_pair<Cell, KEEP>(f, t, block, rows.first, count);
        else if (parts) step_in_parts<Cell, KEEP>(f, t, block, rows.first, rows.last);
        else step_block<Cell, KEEP>(f, t, block, rows.first, rows.last);
    }
}

/* Each thread rounds for itself, in a room of its own: inputs of some steps from t on, and the states before a step. */
template <class F> void take_room(F &f, int thread) {
    f.rounded_x = (typename F::Input *)f.p.rounded + thread * f.p.rounded_each;
    f.rounded_h = f.rounded_x + f.p.chunk * f.p.N * (f.of_x + F::Format::ends);
}
template <class F> void round_inputs(F &f, ptrdiff_t t, ptrdiff_t steps, Range rows) {
    /* of rows that are read soon their first lines are asked for; the processor then sees by itself how they go on */
    constexpr ptrdiff_t line = 64 / sizeof(typename F::Real), lines = 16, ahead = 2;
    const ptrdiff_t first = least(f.p.I, lines * line);
    f.rounded_step = t;
    for (ptrdiff_t step = t; step < t + steps; step++)
        for (ptrdiff_t row = rows.first, last = least(rows.last, f.p.alive[step]); row < last; row++) {
            if (row + ahead < last)
                for (ptrdiff_t i = 0; i < first; i += line) __builtin_prefetch(f.x(row + ahead, step) + i);
            F::Format::round(f.x_rounded(row, step), f.x(row, step), f.p.I);
        }
}
/* The states at step t as U sees them: times their factors, if there are masks of them, and rounded. */
template <class F> void feed_states(F &f, ptrdiff_t t, Range rows, int thread) {
    using Real = typename F::Real;
    const ptrdiff_t K = f.p.K, width = f.p.seen->width;
    f.fed = f.seen(0, t), f.fed_next = width;
    if (f.p.masks && f.p.masks->state) {
        Real *const own = (Real *)f.p.fed + thread * f.p.N * K;
        for (ptrdiff_t row = rows.first; row < rows.last; row++) {
            const Real *h = f.seen(row, t), *factors = (const Real *)f.p.masks->state + row * width;
            write_columns<Real>(own + row * K, 0, K, false, [&](ptrdiff_t j, ptrdiff_t) {
                return load<Real>(h + j) * load<Real>(factors + j);
            });
        }
        f.fed = own, f.fed_next = K;
    }
    if constexpr (F::Format::rounds)
        for (ptrdiff_t row = rows.first; row < rows.last; row++)
            F::Format::round(f.h_rounded(row), f.fed + row * f.fed_next, K);
}

template <class F> void project_chunk(const F &f, ptrdiff_t t, ptrdiff_t steps, Range blocks) {
    const ptrdiff_t rows = steps * (f.projecting.last - f.projecting.first);
    for (ptrdiff_t block = blocks.first; block < blocks.last; block++)
        in_groups(0, rows, [&](auto r, ptrdiff_t row) { project<decltype(r)::value>(f, t, block, row); });
}

/* One thread's part of a segment: its share of rows and blocks, and the steps below that it knows are done. */
template <class Cell> struct Walk {
    ForwardOf<Cell> f;
    Part share;
    int thread;
    bool parts; /* whether many rows take the weights in parts */
    ptrdiff_t known;
};

template <class Cell, bool KEEP> void walk_step(fl_walk *walk, ptrdiff_t t) {
    Walk<Cell> &w = *(Walk<Cell> *)walk->own;
    ForwardOf<Cell> &f = w.f;
    const fl_pass &p = f.p;
    const Range rows = {w.share.rows.first, least(p.alive[t], w.share.rows.last)};
    ptrdiff_t steps = 1;
    if (p.projected) steps = t % p.chunk ? 0 : least(p.T - t, p.chunk);
    if (p.below && w.known < t + steps) w.known = fl_wait(&p.below->done, t + steps);
    if constexpr (Cell::Format::rounds)
        if (steps && p.I) round_inputs(f, t, steps, w.share.rows);
    if (f.sees(t)) feed_states(f, t, rows, w.thread);
    if (p.projected && steps && w.share.rows.last > w.share.rows.first) project_chunk(f, t, steps, w.share.columns);
    step_units<Cell, KEEP>(f, t, w.share.columns, rows, w.parts);
}

template <class Cell> void begin(fl_walk *walk, fl_pass *pass, const fl_segment *segment, int thread, const fl_team *team) {
    static_assert(fits_walk<Walk<Cell>>, "fl_walk has too little room");
    const fl_pass &p = *pass;
    const ForwardOf<Cell> f = forward_of<Cell>(p);
    const Part share = share_segment(p.alive, *segment, p.N, f.blocks, thread, team);
    const bool parts = !Cell::Format::scales && !p.projected && share.rows.last - share.rows.first > 2 * rows_of_tile
        && (f.of_x + f.of_h) * f.panel_row * (ptrdiff_t)sizeof(typename Cell::Format::Weight) > near_bytes;
    Walk<Cell> &own = *new (walk->own) Walk<Cell>{f, share, thread, parts, 0};
    own.f.projecting = share.rows;
    if constexpr (Cell::Format::rounds) take_room(own.f, thread);
    constexpr bool may_keep = Cell::keeps_all || Cell::Format::trains;
    walk->step = may_keep && (Cell::keeps_all || p.kept) ? walk_step<Cell, may_keep> : walk_step<Cell, Cell::keeps_all>;
}

}

#endif
