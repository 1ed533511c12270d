/* The products that back-propagation takes: gradients of the sums times the transposed weights, by the register tile.

   A strip is some columns of a weight (G H, columns), a few vectors wide: row k of it is the weight's row of the k-th
   number of a row of gradients, [block][gate and vector of units][LANES]. In a format of some depth, so many rows are
   interleaved. */
#ifndef FASTLSTM_PRODUCTS_HPP
#define FASTLSTM_PRODUCTS_HPP

#include "pack.hpp"

namespace {

constexpr ptrdiff_t few_inputs = 4; /* up to which dx comes from inner products */

/* Rows of gradients of the sums, [block][row][S][LANES] numbers. */
template <class Input> struct Gradients {
    Input *first;
    ptrdiff_t next_block; /* Inputs from a block to the next */
};

/* R rows' products with some blocks of a strip of W vectors, or those added to `sums` [R][W]. */
template <int S, class Feed, int R, int W, class Format>
__attribute__((noinline)) void multiply_rows(Gradients<typename Format::Input> a, ptrdiff_t blocks,
                                             const typename Format::Weight *w, Vec<typename Format::Real> *sums,
                                             bool add) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>, inputs = L / Format::depth; /* of a vector */
    constexpr int lines = S * FL_BYTES / Format::depth / 64;
    Vec<Real> sum[R][W];
    EACH(r, R) EACH(v, W) sum[r][v] = add ? sums[r * W + v] : Vec<Real>{};
    for (ptrdiff_t block = 0; block < blocks; block++, a.first += a.next_block) {
        /* the next block lies so far on that no processor fetches it by itself */
        EACH(r, R) EACH(l, lines) __builtin_prefetch((const char *)(a.first + r * S * inputs + a.next_block) + l * 64);
        for (int g = 0, run; g < Feed::width; g += run, w += run * L * W * L) {
            const typename Format::Input *row[R];
            run = run_of<Feed>(g);
            EACH(r, R) row[r] = a.first + (r * S + Feed::at(g)) * inputs;
            tile<R, 1, InOrder<W>, Format>(sum, run * inputs, row, w, 0, W * L * Format::depth);
        }
    }
    EACH(r, R) EACH(v, W) sums[r * W + v] = sum[r][v];
}

/* The same where few units leave a tile too few independent sums: several chains of additions for each, one for each
   block, or if there is but one block, for each of its gates. */
template <int S, class Feed, int R, int W, int BLOCKS, class Real>
__attribute__((noinline)) void multiply_few(Gradients<Real> a, const Real *w, Vec<Real> *sums) {
    constexpr bool by_gate = BLOCKS == 1;
    constexpr int CHAINS = by_gate ? Feed::width : BLOCKS, gates = by_gate ? 1 : Feed::width;
    constexpr ptrdiff_t L = lanes<Real>;
    Vec<Real> sum[CHAINS][R][W] = {};
    for (int g = 0; g < gates; g++)
        for (ptrdiff_t k = 0; k < L; k++)
            EACH(chain, CHAINS) {
                const int gate = by_gate ? chain : g;
                const Real *from = a.first + (by_gate ? 0 : chain * a.next_block) + Feed::at(gate) * L + k;
                const Real *weights = w + ((chain * gates + g) * L + k) * W * L;
                EACH(r, R) EACH(v, W) sum[chain][r][v] =
                    multiply_add(set<Real>(from[r * S * L]), load<Real>(weights + v * L), sum[chain][r][v]);
            }
    for (int n = 1; n < CHAINS; n *= 2)
        for (int chain = 0; chain + n < CHAINS; chain += 2 * n)
            EACH(r, R) EACH(v, W) sum[chain][r][v] += sum[chain + n][r][v];
    EACH(r, R) EACH(v, W) sums[r * W + v] = sum[0][r][v];
}

/* One thread's part of a pass. */
template <class Cell> struct Backward {
    using Format = typename Cell::Format;
    using Real = typename Format::Real;
    using Weight = typename Format::Weight;
    using Input = typename Format::Input;
    static constexpr ptrdiff_t L = lanes<Real>, inputs = L / Format::depth; /* of a vector */
    static constexpr int G = panel_width<Cell>, S = block_sums<Cell>, U = Cell::units;

    const fl_backward &p;
    ptrdiff_t blocks() const { return p.width / (U * L); }
    ptrdiff_t vectors() const { return p.width / L; }           /* of units */
    ptrdiff_t seen_vectors() const { return p.seen_width / L; } /* of what U sees */
    ptrdiff_t depth() const { return p.width * Cell::gates; } /* numbers that a product adds up */
    Real *kept(ptrdiff_t slot) const { return (Real *)p.kept + slot * S * L; }
    Gradients<Input> gradients(ptrdiff_t slot) const {
        void *const all = Format::rounds ? p.rounded : p.kept;
        return {(Input *)all + slot * S * inputs, p.rows * S * inputs};
    }
    Weight *strip(ptrdiff_t vector) const { return (Weight *)p.transposed + vector * L * depth(); }
    Input *few_weights() const { return (Input *)strip(seen_vectors()); } /* of few inputs, each of which has depth() */
    static constexpr ptrdiff_t vector_bytes = L * (ptrdiff_t)sizeof(Weight); /* of a vector of a strip */
};

/* The number of rows, of first..last, that a strip of the weights is used for at a time: one group if the strip stays
   near, else up to held_rows. A strip that is half as large again as a part is still best used whole. */
template <class Cell>
ptrdiff_t rows_at_once(const Backward<Cell> &b, ptrdiff_t vectors, ptrdiff_t first, ptrdiff_t last) {
    if (b.depth() * vectors * b.vector_bytes <= near_bytes * 3 / 2) return group_of(first, last);
    return least(last - first, held_rows);
}

/* The products of some rows, from `row` of all steps on, with a strip. As many weights are used at a time as stay near,
   which does not change the order of additions. */
template <class Feed, class Cell>
void multiply_strip(const Backward<Cell> &b, ptrdiff_t row, ptrdiff_t rows, const typename Cell::Format::Weight *strip,
                    ptrdiff_t vectors, Vec<typename Cell::Real> *sums) {
    const ptrdiff_t blocks = b.blocks(), near = near_bytes / (b.G * b.L * vectors * b.vector_bytes);
    const ptrdiff_t parts = rows > rows_of_tile && near ? whole(blocks, near) : 1;
    for (ptrdiff_t part = 0; part < parts; part++) {
        const ptrdiff_t block = blocks * part / parts, count = blocks * (part + 1) / parts - block;
        in_groups(0, rows, [&](auto r, ptrdiff_t n) {
            auto a = b.gradients(row + n);
            a.first += block * a.next_block;
            with_constant<FL_STRIP>(vectors, [&](auto v) {
                multiply_rows<block_sums<Cell>, Feed, decltype(r)::value, decltype(v)::value, typename Cell::Format>(
                    a, count, strip + block * b.G * b.L * vectors * b.L, sums + n * vectors, part > 0);
            });
        });
    }
}

/* The products of some rows, from `row` of all steps on, with a strip of the state's weights. The order of additions
   depends on the numbers of units and of what U sees alone. */
template <class Cell>
void multiply_state(const Backward<Cell> &b, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors,
                    Vec<typename Cell::Real> *sums) {
    using Feed = FromState<Cell>;
    constexpr int S = block_sums<Cell>;
    const typename Cell::Format::Weight *strip = b.strip(vector);
    if (Cell::units > 1 || Cell::Format::rounds || b.blocks() > 2 || b.seen_vectors() != b.vectors()) {
        multiply_strip<Feed>(b, row, rows, strip, vectors, sums);
        return;
    }
    if constexpr (!Cell::Format::rounds)
        in_groups(0, rows, [&](auto r, ptrdiff_t n) {
            constexpr int R = decltype(r)::value;
            const auto a = b.gradients(row + n);
            if (b.blocks() == 1) multiply_few<S, Feed, R, 1, 1>(a, strip, sums + n);
            else if (vectors == 1) multiply_few<S, Feed, R, 1, 2>(a, strip, sums + n);
            else multiply_few<S, Feed, R, 2, 2>(a, strip, sums + n * 2);
        });
}

/* The same for as many rows, up to `rows`, as are taken at a time. Returns their number. */
template <class Cell>
ptrdiff_t multiply(const fl_backward *pass, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors,
                   void *products) {
    const Backward<Cell> b{*pass};
    Vec<typename Cell::Real> *const sums = (Vec<typename Cell::Real> *)products;
    rows = rows_at_once(b, vectors, 0, rows);
    if (pass->K) multiply_state(b, row, rows, vector, vectors, sums);
    else
        for (ptrdiff_t n = 0; n < rows * vectors; n++) sums[n] = Vec<typename Cell::Real>{};
    return rows;
}

/* The strip of `vectors` vectors of a weight's columns, from column `first` on; zeros beyond the last one. */
template <class Cell>
void transpose_strip(const Backward<Cell> &b, typename Cell::Format::Weight *to, const typename Cell::Real *weight,
                     ptrdiff_t columns, ptrdiff_t first, ptrdiff_t vectors) {
    using Format = typename Cell::Format;
    using Real = typename Format::Real;
    constexpr int D = Format::depth;
    constexpr ptrdiff_t L = lanes<Real>;
    for (ptrdiff_t block = 0; block < b.blocks(); block++)
        for (int v = 0; v < b.G; v++) {
            const Rows rows = rows_of<Cell>(block, v, b.p.H);
            const Real *from = weight + rows.row * columns + first;
            for (ptrdiff_t k = 0; k < L; k += D, from += D * columns)
                for (ptrdiff_t n = 0; n < vectors; n++, to += D * L) {
                    Vec<Real> some[D];
                    EACH(d, D) {
                        const ptrdiff_t left = k + d < rows.units ? columns - first - n * L : 0;
                        some[d] = load_at_most<Real>(from + d * columns + n * L, left);
                    }
                    Format::interleave(to, some);
                }
        }
}

/* A gate's weights of column j for a vector of units. */
template <class Cell>
__attribute__((noinline)) Vec<typename Cell::Real> weights_of(const Backward<Cell> &b, ptrdiff_t block, int v,
                                                              ptrdiff_t j) {
    const Rows rows = rows_of<Cell>(block, v, b.p.H);
    Vec<typename Cell::Real> found = {};
    const typename Cell::Real *w = (const typename Cell::Real *)b.p.w + rows.row * b.p.I + j;
    for (ptrdiff_t k = 0; k < rows.units; k++) found[k] = w[k * b.p.I];
    return found;
}

/* A thread's part of all strips, those of u and then those of w. If w has few columns, each is stored
   in one piece instead, for inner products. */
template <class Cell> void transpose_weights(const fl_backward *pass, int thread, const fl_team *team) {
    using Real = typename Cell::Real;
    const fl_backward &p = *pass;
    const Backward<Cell> b{p};
    const ptrdiff_t seen = b.seen_vectors(), columns = whole(p.I, b.L);
    const ptrdiff_t strips = whole(seen, p.strip), more = p.dx ? whole(columns, FL_STRIP) : 0;
    const Range mine = share_of(strips + more, thread, team);
    for (ptrdiff_t k = mine.first; k < mine.last; k++) {
        if (k < strips) {
            const ptrdiff_t first = k * p.strip;
            transpose_strip(b, b.strip(first), (const Real *)p.u, p.K, first * b.L, least(seen - first, p.strip));
        } else if (p.I > few_inputs) {
            const ptrdiff_t first = (k - strips) * FL_STRIP;
            transpose_strip(b, b.strip(seen + first), (const Real *)p.w, p.I, first * b.L,
                            least(columns - first, FL_STRIP));
        } else {
            typename Cell::Format::Input *to = b.few_weights();
            for (ptrdiff_t j = 0; j < p.I; j++)
                for (ptrdiff_t block = 0; block < b.blocks(); block++)
                    for (int v = 0; v < b.G; v++, to += b.inputs) Cell::Format::put(to, weights_of(b, block, v, j));
        }
    }
}

}

#endif
