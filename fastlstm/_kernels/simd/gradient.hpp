/* The gradients of a cell's weights: one product over all the rows of a segment, whose right side, the gradients of the
   sums, lies packed already. */
#ifndef FASTLSTM_GRADIENT_HPP
#define FASTLSTM_GRADIENT_HPP

#include "products.hpp"

namespace {

constexpr ptrdiff_t copied_at_once = FL_ROWS == 6 ? 8 : 4; /* numbers of a row: FL_ROWS up to whole vectors */
constexpr ptrdiff_t some_rows = 32;                /* rows whose addresses are held */
static_assert(rows_of_tile <= copied_at_once && copied_at_once <= FL_BEYOND, "fl_columns_room leaves too little room");

/* R columns of the gradients: c (R, G LANES) = a' b or that added to c, for a [k][R] and b [k][S][LANES], where a k is
   a row, or as many rows of a step as the format is deep. The last k comes first, as the last step does: then no bit
   depends on where a segment or a pass ends. */
template <class Format, int S, class Feed, int R>
__attribute__((noinline)) void gradient(const typename Format::Input *a, const typename Format::Weight *b,
                                        typename Format::Real *c, ptrdiff_t K, bool add) {
    using Real = typename Format::Real;
    using Vector = decltype(Format::load(b));
    constexpr int G = Feed::width;
    constexpr ptrdiff_t L = lanes<Real>;
    Vec<Real> sum[R][G];
    EACH(r, R) EACH(g, G) sum[r][g] = add ? load<Real>(c + (r * G + g) * L) : Vec<Real>{};
    for (ptrdiff_t k = K; k-- > 0;) {
        Vector v[G];
        EACH(g, G) v[g] = Format::load(b + (k * S + Feed::at(g)) * L * Format::depth);
        __builtin_prefetch(a + k * R - 512); /* the processor's own prefetch stops at the end of a page */
        EACH(r, R) {
            const Vector x = Format::broadcast(a[k * R + r]);
            EACH(g, G) sum[r][g] = Format::multiply_add(x, v[g], sum[r][g]);
        }
    }
    EACH(r, R) EACH(g, G) store<Real>(c + (r * G + g) * L, sum[r][g]);
}

/* The columns of x and of h, see fl_columns_room, in strips of FL_ROWS; those of h begin with a strip of their own. */
template <class Cell> struct Columns {
    ptrdiff_t of_x, of_h, x_strips, h_strips;
    explicit Columns(const fl_backward &p)
        : of_x(p.I + 1), of_h(fl_state_columns(p.K, Cell::gates, Cell::sums)), x_strips(whole(of_x, rows_of_tile)),
          h_strips(whole(of_h, rows_of_tile)) {}
    ptrdiff_t strips() const { return x_strips + h_strips; }
    static ptrdiff_t room(ptrdiff_t rows) { return rows * rows_of_tile + FL_BEYOND; } /* of a strip */
    bool is_x(ptrdiff_t strip) const { return strip < x_strips; }
    ptrdiff_t first(ptrdiff_t strip) const { return (is_x(strip) ? strip : strip - x_strips) * rows_of_tile; }
    ptrdiff_t count(ptrdiff_t strip) const { return least((is_x(strip) ? of_x : of_h) - first(strip), rows_of_tile); }
    /* the place of its first column among all */
    ptrdiff_t place(ptrdiff_t strip) const { return (is_x(strip) ? 0 : of_x) + first(strip); }
};

/* The rows of a segment are taken one by one, or as many of a step together as the format is deep: the number of such
   bundles. The last bundle of a step may lack rows. */
template <class Format> ptrdiff_t bundles_of(const fl_backward &p, const fl_segment &segment) {
    ptrdiff_t bundles = 0;
    for (ptrdiff_t t = segment.first; t < segment.last; t++) bundles += whole(p.alive[t], Format::depth);
    return bundles;
}

/* Copy some columns of a bundle of rows of `length` numbers, each of which is followed by a 1. Null stands for zeros. */
template <class Format, class Real>
FL_INLINE void copy_columns(typename Format::Input *to, const Real *const (&from)[Format::depth], ptrdiff_t length,
                            ptrdiff_t first, ptrdiff_t count) {
    constexpr int D = Format::depth;
    constexpr ptrdiff_t L = lanes<Real>;
    typename Format::Input all[L > copied_at_once ? L : copied_at_once] FL_ALIGNED;
    if (from[0] && first + copied_at_once <= length) {
        if constexpr (D == 1) memcpy(to, from[0] + first, copied_at_once * sizeof(Real));
        else {
            for (ptrdiff_t j = 0; j < copied_at_once; j += L) {
                Vec<Real> rows[D];
                EACH(d, D) rows[d] = load_at_most<Real>(from[d] + first + j, copied_at_once - j);
                Format::interleave((typename Format::Weight *)(all + j), rows);
            }
            memcpy(to, all, copied_at_once * sizeof *to);
        }
        return;
    }
    for (ptrdiff_t j = 0; j < count; j++) {
        Vec<Real> number[D];
        EACH(d, D) number[d] = set<Real>(first + j < length ? from[0] ? from[d][first + j] : 0 : 1);
        Format::interleave((typename Format::Weight *)all, number);
        to[j] = all[0];
    }
}

/* The factors of the h of row r that the U of this phase sees, or none. */
template <class Cell> FL_INLINE const typename Cell::Real *fed_factors(const fl_backward &p, ptrdiff_t r) {
    if constexpr (Cell::by_rows)
        if (p.masks && p.masks->state) return (const typename Cell::Real *)p.masks->state + r * p.seen_width;
    return nullptr;
}

/* The same of rows that are first multiplied by factors. */
template <class Format, class Real>
void copy_products(typename Format::Input *to, const Real *const (&from)[Format::depth],
                   const Real *const (&factors)[Format::depth], ptrdiff_t length, ptrdiff_t first, ptrdiff_t count) {
    Real products[Format::depth][copied_at_once];
    const Real *begin[Format::depth];
    const ptrdiff_t some = least(count, length - first) > 0 ? least(count, length - first) : 0;
    for (int d = 0; d < Format::depth; d++) {
        for (ptrdiff_t j = 0; j < some; j++) products[d][j] = from[d][first + j] * factors[d][first + j];
        begin[d] = products[d];
    }
    copy_columns<Format>(to, begin, some, 0, count);
}

/* The h that U has seen at step t, of row r; null for zeros. */
template <class Real> FL_INLINE const Real *seen_at(const fl_backward &p, ptrdiff_t t, ptrdiff_t r) {
    const ptrdiff_t made = t - !p.ahead; /* the step that made it */
    if (made >= 0) return (const Real *)p.seen + p.seen_row[r] + made * p.seen_step;
    return p.seen_h ? (const Real *)p.seen_h + r * p.seen_width : nullptr;
}

/* x, 1 and the h that U has seen, of a segment's rows, into strips of columns [k][columns]. A row that a bundle lacks is the first
   one once more: its gradients are zeros. */
template <class Cell>
void gather_columns(const fl_backward &p, const fl_segment &segment, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    using Input = typename Cell::Format::Input;
    constexpr int D = Cell::Format::depth;
    const Columns<Cell> columns(p);
    const ptrdiff_t K = bundles_of<typename Cell::Format>(p, segment), room = columns.room(K);
    const Range strips = share_of(columns.strips(), thread, team);
    ptrdiff_t t = segment.first, row = 0;
    for (ptrdiff_t k0 = 0, count; k0 < K; k0 += count) {
        const Real *x[some_rows][D], *h[some_rows][D], *factors[some_rows][D];
        count = least(K - k0, some_rows);
        for (ptrdiff_t k = 0; k < count; k++, row += D) {
            if (row >= p.alive[t]) t++, row = 0;
            for (int d = 0; d < D; d++) {
                const ptrdiff_t r = row + d < p.alive[t] ? row + d : row;
                x[k][d] = (const Real *)p.x + p.x_row[r] + t * p.x_step;
                h[k][d] = p.K ? seen_at<Real>(p, t, r) : nullptr;
                factors[k][d] = fed_factors<Cell>(p, r);
            }
        }
        for (ptrdiff_t strip = strips.first; strip < strips.last; strip++) {
            const bool is_x = columns.is_x(strip);
            const ptrdiff_t some = columns.count(strip);
            Input *to = (Input *)p.columns + strip * room + k0 * some;
            for (ptrdiff_t k = 0; k < count; k++, to += some) {
                if constexpr (Cell::by_rows)
                    if (!is_x && h[k][0] && factors[k][0]) {
                        copy_products<typename Cell::Format>(to, h[k], factors[k], p.K, columns.first(strip), some);
                        continue;
                    }
                copy_columns<typename Cell::Format>(to, is_x ? x[k] : h[k], is_x ? p.I : p.K, columns.first(strip), some);
            }
        }
    }
}

/* The gradients of the sums of a block in a segment, its rows in bundles: [k][S][LANES], interleaved. */
template <class Cell>
void interleave_gradients(const Backward<Cell> &b, const fl_segment &segment, ptrdiff_t block,
                          typename Cell::Format::Weight *to) {
    using Format = typename Cell::Format;
    using Real = typename Cell::Real;
    constexpr int D = Format::depth, S = block_sums<Cell>;
    constexpr ptrdiff_t inputs = Backward<Cell>::inputs;
    for (ptrdiff_t t = segment.first; t < segment.last; t++) {
        const typename Format::Input *from = b.gradients(block * b.p.rows + b.p.offset[t]).first;
        for (ptrdiff_t row = 0; row < b.p.alive[t]; row += D, from += D * S * inputs)
            EACH(s, S) {
                Vec<Real> some[D] = {};
                EACH(d, D) if (row + d < b.p.alive[t]) some[d] = Format::get(from + (d * S + s) * inputs);
                Format::interleave(to, some);
                to += D * lanes<Real>;
            }
    }
}

/* The part of a segment's rows in the gradients of the weights. */
template <class Cell>
void add_gradients(const Backward<Cell> &b, const fl_segment &segment, bool add, int thread, const fl_team *team) {
    using Format = typename Cell::Format;
    using Real = typename Cell::Real;
    using Weight = typename Format::Weight;
    constexpr int S = block_sums<Cell>;
    const fl_backward &p = b.p;
    const Columns<Cell> columns(p);
    const ptrdiff_t K = bundles_of<Format>(p, segment), all = columns.strips(), room = columns.room(K);
    const Range mine = share_of(b.blocks() * all, thread, team);
    for (ptrdiff_t n = mine.first; n < mine.last; n++) {
        const ptrdiff_t block = n / all, strip = n % all;
        const typename Format::Input *x = (const typename Format::Input *)p.columns + strip * room;
        const Weight *sums = (const Weight *)p.kept + (block * p.rows + p.offset[segment.first]) * S * b.L;
        if constexpr (Format::depth > 1) {
            Weight *const own = (Weight *)((Real *)p.interleaved + thread * p.interleaved_each);
            if (n == mine.first || strip == 0) interleave_gradients(b, segment, block, own);
            sums = own;
        }
        const ptrdiff_t column = block * (columns.of_x + columns.of_h) + columns.place(strip);
        Real *to = (Real *)p.panels + column * panel_width<Cell> * b.L;
        with_constant<rows_of_tile>(columns.count(strip), [&](auto r) {
            constexpr int R = decltype(r)::value;
            if (columns.is_x(strip)) gradient<Format, S, FromInputs<Cell>, R>(x, sums, to, K, add);
            else gradient<Format, S, FromState<Cell>, R>(x, sums, to, K, add);
        });
    }
}

/* to (units, columns) becomes the transpose of some vectors of a panel, or that is added to it; they stand `row`
   numbers apart, one for each column. */
template <class Real>
void take_gradients(Real *to, const Real *from, ptrdiff_t row, ptrdiff_t columns, ptrdiff_t units, bool add) {
    constexpr ptrdiff_t at_once = 64;
    if (!add) {
        transpose<Real>(to, columns, from, row, columns, units);
        return;
    }
    Real transposed[lanes<Real> * at_once];
    for (ptrdiff_t j = 0; j < columns; j += at_once) {
        const ptrdiff_t some = least(columns - j, at_once);
        transpose<Real>(transposed, at_once, from + j * row, row, some, units);
        for (ptrdiff_t unit = 0; unit < units; unit++)
            write_columns<Real>(to + unit * columns + j, 0, some, true, [&](ptrdiff_t k, ptrdiff_t left) {
                return load_at_most<Real>(transposed + unit * at_once + k, left);
            });
    }
}

/* Where the gradients of the own weights of a vector of units stand in the panels, after those of all columns: [V][LANES]. */
template <class Cell> typename Cell::Real *own_gradients(const Backward<Cell> &b, ptrdiff_t vector) {
    const Columns<Cell> columns(b.p);
    const ptrdiff_t before = b.p.width * Cell::gates * (columns.of_x + columns.of_h);
    return (typename Cell::Real *)b.p.panels + before + vector * Cell::own * b.L;
}

template <class Real> void take_bias(Real *to, const Real *from, ptrdiff_t units, bool add) {
    for (ptrdiff_t unit = 0; unit < units; unit++) to[unit] = from[unit] + (add ? to[unit] : 0);
}

/* The gradients from the panels to where they are wanted. */
template <class Cell> void deliver_gradients(const fl_backward *pass, int thread, const fl_team *team) {
    const fl_backward &p = *pass;
    using Real = typename Cell::Real;
    constexpr int G = panel_width<Cell>, U = Cell::units;
    constexpr ptrdiff_t L = lanes<Real>, row = G * L;
    const Columns<Cell> columns(p);
    const ptrdiff_t I = p.I, H = p.H, K = p.K;
    const Range mine = share_of(G * (p.width / (L * U)), thread, team);
    for (ptrdiff_t n = mine.first; n < mine.last; n++) {
        const ptrdiff_t block = n / G;
        const int v = (int)(n % G), sum = FromState<Cell>::at(v);
        const Rows to = rows_of<Cell>(block, v, H);
        const Real *of_x = (const Real *)p.panels + block * (columns.of_x + columns.of_h) * row + v * L;
        const Real *of_h = of_x + columns.of_x * row;
        take_gradients((Real *)p.dw + to.row * I, of_x, row, I, to.units, p.add_dw);
        take_gradients((Real *)p.du + to.row * K, of_h, row, K, to.units, p.add_du);
        if (p.db) take_bias((Real *)p.db + to.row, of_x + I * row, to.units, p.add_db);
        if (p.db && sum >= G)
            take_bias((Real *)p.db + rows_of<Cell>(block, sum, H).row, of_h + K * row, to.units, p.add_db);
    }
    if (!Cell::own || !p.dv) return;
    const Range vectors = share_of(p.width / L, thread, team);
    for (ptrdiff_t vector = vectors.first; vector < vectors.last; vector++)
        for (int v = 0; v < Cell::own; v++)
            take_bias((Real *)p.dv + v * H + vector * L, own_gradients(Backward<Cell>{p}, vector) + v * L,
                      least(H - vector * L, L), p.add_dv);
}

}

#endif
