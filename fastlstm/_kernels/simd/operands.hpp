/* The matrices of a product, packed as the tile reads them: the right-hand one in strips, the left-hand one in rows. */
#ifndef FASTLSTM_OPERANDS_HPP
#define FASTLSTM_OPERANDS_HPP

#include "tile.hpp"

namespace {

/* One strip, `width` vectors wide, of the matrix whose element (k, j) lies at b + k * b_k + j * b_col. */
template <class Real>
void pack_strip(Real *to, ptrdiff_t width, const Real *b, ptrdiff_t b_k, ptrdiff_t b_col, ptrdiff_t K,
                ptrdiff_t columns) {
    constexpr ptrdiff_t L = lanes<Real>;
    const ptrdiff_t row = width * L;
    columns = least(columns, row);
    if (b_col == 1 && columns == row) {
        for (ptrdiff_t k = 0; k < K; k++)
            for (ptrdiff_t g = 0; g < width; g++) {
                store<Real>(to + k * row + g * L, load<Real>(b + k * b_k + g * L));
                __builtin_prefetch(b + (k + 8) * b_k + g * L);
            }
        return;
    }
    if (columns < row) memset(to, 0, (size_t)(K * row) * sizeof(Real));
    if (b_col == 1)
        for (ptrdiff_t k = 0; k < K; k++) memcpy(to + k * row, b + k * b_k, (size_t)columns * sizeof(Real));
    else transpose<Real>(to, row, b, b_col, columns, K);
}

/* A square of as many rows of Inputs as a vector has numbers, of which `rows` rows of `count` are written. Inputs are as
   large as numbers, and are moved as such. */
template <class Real, class To>
void transpose_inputs(To *to, ptrdiff_t to_row, const Real *square, ptrdiff_t rows, ptrdiff_t count) {
    constexpr ptrdiff_t L = lanes<Real>;
    Real transposed[L * L] FL_ALIGNED;
    transpose<Real>(transposed, L, square, L, L, L);
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(to + r * to_row, transposed + r * L, (size_t)count * sizeof(Real));
}

/* A strip in a format, where the rows of `depth` k are interleaved. */
template <class Format>
void pack_strip_in(typename Format::Weight *to, ptrdiff_t width, const typename Format::Real *b, ptrdiff_t b_k,
                   ptrdiff_t b_col, ptrdiff_t K, ptrdiff_t columns) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>, inputs = L / Format::depth;
    constexpr int D = Format::depth;
    if constexpr (D == 1) pack_strip<Real>(to, width, b, b_k, b_col, K, columns);
    else if (b_col == 1)
        for (ptrdiff_t k = 0; k < K; k += D)
            for (ptrdiff_t g = 0; g < width; g++, to += D * L) {
                Vec<Real> rows[D] = {};
                EACH(d, D) if (k + d < K)
                    rows[d] = load_at_most<Real>(b + (k + d) * b_k + g * L, columns - g * L);
                Format::interleave(to, rows);
            }
    else
        for (ptrdiff_t g = 0; g < width; g++)
            for (ptrdiff_t k = 0; k < K; k += D * L) {
                Real square[L * L] FL_ALIGNED = {}; /* [column][Inputs] */
                for (ptrdiff_t l = 0; l < least(columns - g * L, L); l++)
                    EACH(d, D) Format::put((typename Format::Input *)(square + l * L + d * inputs),
                                           load_at_most<Real>(b + (g * L + l) * b_col + k + d * L, K - k - d * L));
                transpose_inputs<Real>((typename Format::Input *)to + (k / D * width + g) * L, width * L, square,
                                       least(whole(K - k, D), L), L);
            }
}

/* Rows of K numbers as Inputs, `next` of them apart, of the matrix whose element (i, k) lies at a + i * a_row + k * a_k. */
template <class Format>
void pack_inputs(typename Format::Input *to, ptrdiff_t next, const typename Format::Real *a, ptrdiff_t a_row,
                 ptrdiff_t a_k, ptrdiff_t rows, ptrdiff_t K) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    constexpr int D = Format::depth;
    static_assert(sizeof(typename Format::Input) == sizeof(Real), "Inputs are moved as Reals");
    if constexpr (D == 1) transpose<Real>(to, next, a, a_k, K, rows);
    else if (a_k == 1)
        for (ptrdiff_t row = 0; row < rows; row++) Format::round(to + row * next, a + row * a_row, K);
    else
        for (ptrdiff_t row = 0; row < rows; row += L)
            for (ptrdiff_t k = 0; k < K; k += D * L) {
                Real square[L * L] FL_ALIGNED; /* [k][rows] of Inputs */
                for (ptrdiff_t l = 0; l < L; l++) {
                    Vec<Real> numbers[D] = {};
                    EACH(d, D) if (k + l * D + d < K)
                        numbers[d] = load_at_most<Real>(a + row + (k + l * D + d) * a_k, rows - row);
                    Format::interleave((typename Format::Weight *)(square + l * L), numbers);
                }
                transpose_inputs<Real>(to + row * next + k / D, next, square, least(rows - row, L),
                                       least(whole(K - k, D), L));
            }
}

}

#endif
