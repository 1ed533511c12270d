/* Matrix products from the same tile. The right-hand matrix stands in strips of G = 4, 2 or 1 vectors of columns,
   [strip][k][G][LANES], the columns beyond the last zero; the rows of the left-hand one are read where they lie. */

#ifndef FASTLSTM_MATMUL_HPP
#define FASTLSTM_MATMUL_HPP

#include "operands.hpp"

namespace {

/* vectors of the next strip if so many columns are left */
template <class Real> FL_INLINE ptrdiff_t strip_width(ptrdiff_t left) {
    return left > 3 * lanes<Real> ? 4 : left > lanes<Real> ? 2 : 1;
}

/* What is packed at a time. Of b, a block of depth x breadth, in strips of up to four vectors; a strip takes 128 KiB at
   most, and is used for all rows of a. Of a, height x depth, about 256 KiB at most, which stay in the L2 meanwhile. Its
   rows are not a power of two apart, for then they would take each other's place in the cache. Depth counts Inputs, which
   in a format that trains are as large as Real. */
template <class Real> constexpr ptrdiff_t depth_of = 2048 / sizeof(Real);
template <class Real> constexpr ptrdiff_t breadth_of = 32 * lanes<Real>;
constexpr ptrdiff_t height_of = FL_ROWS * 21;
template <class Real> constexpr ptrdiff_t packed_row = depth_of<Real> + lanes<Real>;
/* numbers: of b, then of a */
template <class Real>
constexpr ptrdiff_t packed_size = depth_of<Real> * breadth_of<Real> + height_of * packed_row<Real>;

constexpr ptrdiff_t narrow = 256; /* columns of b up to which a product may be formed transposed */

/* Rows times one strip: c[i] = a[i] w, or that added to c, or to the bias. */
template <class Format> struct Strip {
    using Real = typename Format::Real;
    ptrdiff_t k, a_row, c_row, columns; /* k and a_row in Inputs */
    const typename Format::Input *a;
    const typename Format::Weight *w;
    const Real *bias;
    Real *c;
    bool add;
};

template <class Format, int R, int G>
__attribute__((noinline)) void rows_by_strip(const Strip<Format> &s, ptrdiff_t row) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    const typename Format::Input *a[R];
    Real *c = s.c + row * s.c_row;
    Vec<Real> sum[R][G];
    EACH(r, R) a[r] = s.a + (row + r) * s.a_row;
    if (s.add) EACH(r, R) EACH(g, G) sum[r][g] = load_at_most<Real>(c + r * s.c_row + g * L, s.columns - g * L);
    else EACH(r, R) EACH(g, G) sum[r][g] = s.bias ? load<Real>(s.bias + g * L) : Vec<Real>{};
    tile<R, 1, InOrder<G>, Format>(sum, s.k, a, s.w, 0, G * L * Format::depth);
    EACH(r, R) EACH(g, G) store_at_most<Real>(c + r * s.c_row + g * L, s.columns - g * L, sum[r][g]);
}

template <class Format> void run_strip(const Strip<Format> &s, ptrdiff_t width, ptrdiff_t first, ptrdiff_t last) {
    in_groups(first, last, [&](auto r, ptrdiff_t row) {
        constexpr int R = decltype(r)::value;
        if (width == 1) rows_by_strip<Format, R, 1>(s, row);
        else if (width == 2) rows_by_strip<Format, R, 2>(s, row);
        else rows_by_strip<Format, R, 4>(s, row);
    });
}

/* The inner products of R rows of k numbers with b. Their order of additions depends on k alone. */
template <class Real, int R>
FL_INLINE void inner_products(const Real *const (&row)[R], const Real *b, ptrdiff_t k, Real (&product)[R]) {
    constexpr ptrdiff_t L = lanes<Real>;
    Vec<Real> sum[R] = {};
    ptrdiff_t l = 0;
    for (; l + L <= k; l += L) {
        const Vec<Real> v = load<Real>(b + l);
        EACH(r, R) sum[r] = multiply_add(load<Real>(row[r] + l), v, sum[r]);
    }
    if (l < k) {
        const Vec<Real> v = load_part<Real>(b + l, k - l);
        EACH(r, R) sum[r] = multiply_add(load_part<Real>(row[r] + l, k - l), v, sum[r]);
    }
    EACH(r, R) product[r] = sum_of<Real>(sum[r]);
}

/* c[i] = a[i] b + start (or + c[i]) for a vector b: what a single column takes. */
template <class Real>
void inner(const Real *a, ptrdiff_t a_row, const Real *b, ptrdiff_t k, Real start, bool add, Real *c, ptrdiff_t c_row,
           ptrdiff_t rows) {
    for (ptrdiff_t i = 0; i < rows; i += 4) {
        const int some = (int)least(rows - i, 4);
        const Real *row[4];
        Real product[4];
        EACH(r, 4) row[r] = a + (i + (r < some ? r : 0)) * a_row;
        inner_products<Real>(row, b, k, product);
        for (int r = 0; r < some; r++) {
            Real *out = c + (i + r) * c_row;
            *out = product[r] + (add ? *out : start);
        }
    }
}

/* c = a b or c += a b for a single row a, whose numbers lie a_k apart, and columns of b that lie side by side. */
template <class Real> void outer(const fl_matmul &p, Range columns) {
    constexpr ptrdiff_t L = lanes<Real>;
    for (ptrdiff_t j = columns.first; j < columns.last; j += 4 * L) {
        const Real *a = (const Real *)p.a, *b = (const Real *)p.b + j;
        Real *c = (Real *)p.c + j;
        const ptrdiff_t left = columns.last - j;
        Vec<Real> sum[4] = {};
        if (p.add) EACH(g, 4) sum[g] = load_at_most<Real>(c + g * L, left - g * L);
        for (ptrdiff_t k = 0; k < p.k; k++) {
            const Vec<Real> x = set<Real>(a[k * p.a_k]);
            if (left >= 4 * L) EACH(g, 4) sum[g] = multiply_add(x, load<Real>(b + k * p.b_k + g * L), sum[g]);
            else EACH(g, 4) sum[g] = multiply_add(x, load_at_most<Real>(b + k * p.b_k + g * L, left - g * L), sum[g]);
        }
        EACH(g, 4) store_at_most<Real>(c + g * L, left - g * L, sum[g]);
    }
}

/* c = a b, or that added to c or to the bias, for a single row a that lies in one piece. b is packed as it is used, so
   that the tile adds up in the order that a row has among others. */
template <class Real> void one_row(const fl_matmul &p, Range columns) {
    constexpr ptrdiff_t L = lanes<Real>, at_once = 64;
    Real packed[at_once * 4 * L] FL_ALIGNED;
    for (ptrdiff_t j = columns.first; j < columns.last; j += 4 * L) {
        Real *c = (Real *)p.c + j;
        const ptrdiff_t left = columns.last - j;
        Vec<Real> sum[1][4] = {};
        EACH(g, 4) {
            if (p.add) sum[0][g] = load_at_most<Real>(c + g * L, left - g * L);
            else if (p.bias) sum[0][g] = load_at_most<Real>((const Real *)p.bias + j + g * L, left - g * L);
        }
        for (ptrdiff_t k = 0, count; k < p.k; k += count) {
            const Real *a = (const Real *)p.a + k;
            count = least(p.k - k, at_once);
            pack_strip<Real>(packed, 4, (const Real *)p.b + j * p.b_col + k * p.b_k, p.b_k, p.b_col, count, left);
            tile<1, 1, InOrder<4>, Exact<Real>>(sum, count, &a, packed, 0, 4 * L);
        }
        EACH(g, 4) store_at_most<Real>(c + g * L, left - g * L, sum[0][g]);
    }
}

/* All strips of the weights (n, k) and of the bias (n) or NULL of an affine map. A single column stays as it is, for inner
   products, in every format. */
template <class Format>
void pack_matrix(void *panels, void *bias, const void *w, const void *b, ptrdiff_t n, ptrdiff_t k) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    typename Format::Weight *to = (typename Format::Weight *)panels;
    Real *start = (Real *)bias;
    const Real *weight = (const Real *)w, *from = (const Real *)b;
    if (n == 1) {
        memcpy(panels, weight, (size_t)k * sizeof(Real));
        *start = from ? *from : 0;
        return;
    }
    for (ptrdiff_t j = 0, width; j < n; j += width * L) {
        width = strip_width<Real>(n - j);
        for (ptrdiff_t v = 0; v < width; v++)
            Format::pack(to, (int)width, (int)v, weight + (j + v * L) * k, least(n - j - v * L, L), k);
        to += (whole(k, Format::depth) + Format::tail) * width * L * Format::depth;
        for (ptrdiff_t l = j; l < j + width * L; l++) start[l] = from && l < n ? from[l] : 0;
    }
}

/* A thread's part of a product: of the rows where they are many, else of the columns, in whole strips. */
template <class Real> Part part_of(ptrdiff_t m, ptrdiff_t n, int thread, const fl_team *team) {
    constexpr ptrdiff_t strip = 4 * lanes<Real>;
    if (m >= 4 * rows_of_tile * team->size || m >= n) return {share_of(m, thread, team), {0, n}};
    const Range strips = share_of(whole(n, strip), thread, team);
    return {{0, m}, {strips.first * strip, least(strips.last * strip, n)}};
}

/* Some rows of x times all strips of a thread's columns. */
template <class Format>
void affine_rows(const fl_affine &p, const typename Format::Input *x, ptrdiff_t x_row, Range rows, Range columns) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    const ptrdiff_t k = whole(p.k, Format::depth);
    for (ptrdiff_t j = columns.first, width; j < columns.last; j += width * L) {
        width = strip_width<Real>(p.n - j);
        const typename Format::Weight *w =
            (const typename Format::Weight *)p.panels + j * (k + Format::tail) * Format::depth;
        const Strip<Format> s = {k, x_row, p.y_row, p.n - j, x, w, (const Real *)p.bias + j,
                                 (Real *)p.y + rows.first * p.y_row + j, false};
        run_strip(s, width, 0, rows.last - rows.first);
    }
}

template <class Format> void affine(void *argument, int thread, fl_team *team) {
    using Real = typename Format::Real;
    const fl_affine &p = *(const fl_affine *)argument;
    const Part part = part_of<Real>(p.m, p.n, thread, team);
    const Range rows = part.rows;
    const Real *x = (const Real *)p.x;
    if (p.n == 1)
        inner<Real>(x + rows.first * p.x_row, p.x_row, (const Real *)p.panels, p.k, *(const Real *)p.bias, false,
                    (Real *)p.y + rows.first * p.y_row, p.y_row, rows.last - rows.first);
    else if constexpr (!Format::rounds)
        affine_rows<Format>(p, x + rows.first * p.x_row, p.x_row, rows, part.columns);
    else {
        const ptrdiff_t row = whole(p.k, Format::depth) + Format::ends;
        typename Format::Input *rounded = (typename Format::Input *)p.rounded + thread * held_rows * row;
        for (ptrdiff_t first = rows.first, last; first < rows.last; first = last) {
            last = least(first + held_rows, rows.last);
            for (ptrdiff_t n = first; n < last; n++) Format::round(rounded + (n - first) * row, x + n * p.x_row, p.k);
            affine_rows<Format>(p, rounded, row, {first, last}, part.columns);
        }
    }
}

/* Rows times a packed block of b, `breadth` columns from j on and K of the k from k on. */
template <class Format>
void multiply_block(const fl_matmul &p, Range rows, ptrdiff_t j, ptrdiff_t k, ptrdiff_t breadth, ptrdiff_t K,
                    const typename Format::Weight *packed_b, typename Format::Input *packed_a) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>;
    const ptrdiff_t depth = whole(K, Format::depth);
    Real last_bias[4 * L] = {};
    for (ptrdiff_t i = rows.first, height; i < rows.last; i += height) {
        const Real *a = (const Real *)p.a + i * p.a_row + k * p.a_k;
        const bool packs = Format::rounds || p.a_k != 1;
        height = least(rows.last - i, height_of);
        if (packs) pack_inputs<Format>(packed_a, packed_row<Real>, a, p.a_row, p.a_k, height, K);
        Strip<Format> s = {depth, packed_row<Real>, p.c_row, 0, packed_a, nullptr, nullptr, nullptr, p.add || k};
        if constexpr (!Format::rounds)
            if (!packs) s.a = a, s.a_row = p.a_row;
        for (ptrdiff_t l = 0, width; l < breadth; l += width * L) {
            width = strip_width<Real>(breadth - l);
            s.w = packed_b + l * depth * Format::depth;
            s.c = (Real *)p.c + i * p.c_row + j + l;
            s.columns = breadth - l;
            s.bias = p.bias && !k ? (const Real *)p.bias + j + l : nullptr;
            if (s.bias && s.columns < width * L)
                s.bias = (const Real *)memcpy(last_bias, s.bias, (size_t)s.columns * sizeof(Real));
            run_strip(s, width, 0, height);
        }
    }
}

/* A part of the product. */
template <class Format> void multiply(const fl_matmul &p, Part part, typename Format::Real *scratch) {
    using Real = typename Format::Real;
    using Weight = typename Format::Weight;
    constexpr ptrdiff_t L = lanes<Real>, most = depth_of<Real> * Format::depth;
    Weight *packed_b = (Weight *)scratch;
    auto *packed_a = (typename Format::Input *)(scratch + depth_of<Real> * breadth_of<Real>);
    if (part.rows.first == part.rows.last) return;
    for (ptrdiff_t j = part.columns.first, breadth; j < part.columns.last; j += breadth) {
        breadth = least(part.columns.last - j, breadth_of<Real>);
        for (ptrdiff_t k = 0, K; k < p.k; k += K) {
            K = least(p.k - k, most);
            for (ptrdiff_t l = 0, width; l < breadth; l += width * L) {
                width = strip_width<Real>(breadth - l);
                pack_strip_in<Format>(packed_b + l * whole(K, Format::depth) * Format::depth, width,
                                      (const Real *)p.b + k * p.b_k + (j + l) * p.b_col, p.b_k, p.b_col, K, breadth - l);
            }
            multiply_block<Format>(p, part.rows, j, k, breadth, K, packed_b, packed_a);
        }
    }
}

/* Where a must be transposed and has many more rows than b has columns, the product is formed transposed, so that it is
   b that is transposed: c' = b' a', in parts of breadth_of rows of c. */
template <class Format>
void multiply_transposed(const fl_matmul &p, Range rows, typename Format::Real *scratch) {
    using Real = typename Format::Real;
    constexpr ptrdiff_t L = lanes<Real>, breadth = breadth_of<Real>;
    Real *product = scratch + packed_size<Real>;
    for (ptrdiff_t i = rows.first; i < rows.last; i += breadth) {
        const ptrdiff_t count = least(rows.last - i, breadth);
        Real *c = (Real *)p.c + i * p.c_row;
        const fl_matmul q = {p.n, count, p.k, p.b_col, p.b_k, p.a_k, p.a_row, breadth,
                             p.b, (const Real *)p.a + i * p.a_row, product, 0, 0, nullptr, nullptr};
        multiply<Format>(q, {{0, p.n}, {0, count}}, scratch);
        if (!p.add) transpose<Real>(c, p.c_row, product, breadth, p.n, count);
        else
            for (ptrdiff_t r = 0; r < count; r += L) {
                Real some[L * narrow];
                const ptrdiff_t rest = least(count - r, L);
                transpose<Real>(some, narrow, product + r, breadth, p.n, rest);
                for (ptrdiff_t l = 0; l < rest; l++)
                    write_columns<Real>(c + (r + l) * p.c_row, 0, p.n, true, [&](ptrdiff_t j, ptrdiff_t left) {
                        return load_at_most<Real>(some + l * narrow + j, left);
                    });
            }
    }
}

/* Each thread's part of the room, in whole cache lines: what is packed, and a transposed product. */
template <class Real>
constexpr ptrdiff_t matmul_room = whole((packed_size<Real> + narrow * breadth_of<Real>) * sizeof(Real), 64) * 64;

/* A thread's part of a product of a single row or column; whether it is one. */
template <class Real> bool multiply_single(const fl_matmul &p, int thread, const fl_team *team) {
    if (p.n == 1 && p.a_k == 1 && p.b_k == 1) {
        const Range rows = share_of(p.m, thread, team);
        inner<Real>((const Real *)p.a + rows.first * p.a_row, p.a_row, (const Real *)p.b, p.k, 0, p.add,
                    (Real *)p.c + rows.first * p.c_row, p.c_row, rows.last - rows.first);
    } else if (p.m == 1 && p.b_col == 1 && !p.bias) outer<Real>(p, share_of(p.n, thread, team));
    else if (p.m == 1 && p.a_k == 1 && p.in_order) one_row<Real>(p, share_of(p.n, thread, team));
    else if (p.m == 1 && p.a_k == 1) {
        const Range columns = share_of(p.n, thread, team);
        inner<Real>((const Real *)p.b + columns.first * p.b_col, p.b_col, (const Real *)p.a, p.k, 0, p.add,
                    (Real *)p.c + columns.first, 1, columns.last - columns.first);
    } else return false;
    return true;
}

template <class Format> void matmul(void *argument, int thread, fl_team *team) {
    using Real = typename Format::Real;
    const fl_matmul &p = *(const fl_matmul *)argument;
    Real *scratch = (Real *)((char *)p.room + thread * matmul_room<Real>);
    if constexpr (!Format::rounds)
        if (multiply_single<Real>(p, thread, team)) return;
    if (p.a_k != 1 && p.n <= narrow && 2 * p.n <= p.m)
        multiply_transposed<Format>(p, share_of(p.m, thread, team), scratch);
    else multiply<Format>(p, part_of<Real>(p.m, p.n, thread, team), scratch);
}

}

#endif
