/* Vectors of FL_BYTES bytes, and the few operations that all kernels are written in. A product and a sum are one
   rounding where the processor has fused multiply-adds, and only where `multiply_add` says so: the compiler is told
   not to fuse by itself, so that the bits do not depend on what it sees. */
#ifndef FASTLSTM_VECTOR_HPP
#define FASTLSTM_VECTOR_HPP

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <utility>

#define FL_INLINE inline __attribute__((always_inline))
#define FL_ALIGNED __attribute__((aligned(64))) /* an array of vectors, none of which then lies in two cache lines */
#define EACH(r, R) _Pragma("GCC unroll 16") for (int r = 0; r < (R); r++)

/* Nothing in here is seen from outside: the linker must not take the code of one instruction set for another's. */
namespace {

template <class Real> struct Number; /* what a kernel needs to know of float and of double */

#define FL_MADD(a, b, c) multiply_add(a, b, c)
#include "real_float.h"
#include "number.hpp"
#include "real_end.h"
#include "real_double.h"
#include "number.hpp"
#include "real_end.h"
#undef FL_MADD

template <class Real> using Vec = typename Number<Real>::Vec;

/* numbers in a vector */
template <class Real> constexpr ptrdiff_t lanes = FL_BYTES / sizeof(Real);

template <class Real> FL_INLINE Vec<Real> set(Real x) { return x - Vec<Real>{}; }
template <class Real> FL_INLINE Vec<Real> load(const Real *p) {
    return *reinterpret_cast<const typename Number<Real>::Stored *>(p);
}
template <class Real> FL_INLINE void store(Real *p, Vec<Real> v) {
    *reinterpret_cast<typename Number<Real>::Stored *>(p) = v;
}

/* The first `count` numbers, fewer than a vector holds, and zeros beyond them; none if count is below 0. */
template <class Real> FL_INLINE Vec<Real> load_part(const Real *p, ptrdiff_t count) {
    return Number<Real>::load_part(p, count > 0 ? (int)count : 0);
}
template <class Real> FL_INLINE void store_part(Real *p, ptrdiff_t count, Vec<Real> v) {
    Number<Real>::store_part(p, count > 0 ? (int)count : 0, v);
}

/* The same where count may be as many or more. */
template <class Real> FL_INLINE Vec<Real> load_at_most(const Real *p, ptrdiff_t count) {
    return count < lanes<Real> ? load_part<Real>(p, count) : load<Real>(p);
}

template <class Real> FL_INLINE void store_at_most(Real *p, ptrdiff_t count, Vec<Real> v) {
    if (count < lanes<Real>) store_part<Real>(p, count, v);
    else store<Real>(p, v);
}

/* The first `count` numbers of a vector, and zeros beyond them. */
template <class Real> FL_INLINE Vec<Real> first_numbers(Vec<Real> v, ptrdiff_t count) {
    if (count >= lanes<Real>) return v;
    Real numbers[lanes<Real>];
    store<Real>(numbers, v);
    return load_part<Real>(numbers, count);
}

/* The sum of the numbers in so many bytes: the second half is added to the first one until one number is left. */
template <class Real, int BYTES = FL_BYTES> FL_INLINE Real sum_of(const Real *numbers) {
    if constexpr (BYTES == sizeof(Real)) return *numbers;
    else {
        typedef Real Half __attribute__((vector_size(BYTES / 2), aligned(sizeof(Real)), may_alias));
        const Half *halves = (const Half *)numbers, sum = halves[0] + halves[1];
        return sum_of<Real, BYTES / 2>((const Real *)&sum);
    }
}
template <class Real> FL_INLINE Real sum_of(const Vec<Real> &v) { return sum_of<Real>((const Real *)&v); }

/* to[j] = f(j, how many columns are left), or that added to it, for columns first..last, a vector at a time. */
template <class Real, class F> FL_INLINE void write_columns(Real *to, ptrdiff_t first, ptrdiff_t last, bool add, F f) {
    for (ptrdiff_t j = first; j < last; j += lanes<Real>) {
        const ptrdiff_t left = last - j;
        const Vec<Real> found = f(j, left);
        store_at_most<Real>(to + j, left, add ? load_at_most<Real>(to + j, left) + found : found);
    }
}

constexpr ptrdiff_t whole(ptrdiff_t n, ptrdiff_t of) { return (n + of - 1) / of; } /* n / of, rounded up */
FL_INLINE ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

#if defined(__clang__) /* whose shuffles take constants alone */
/* Rows r and r + D of a square: of each 2 D numbers, the second half of the one and the first half of the other change
   places. */
template <class Real, int D, int... l>
FL_INLINE void exchange(Vec<Real> &a, Vec<Real> &b, std::integer_sequence<int, l...>) {
    constexpr int L = (int)lanes<Real>;
    const Vec<Real> low = __builtin_shufflevector(a, b, (l & D ? l - D + L : l)...);
    b = __builtin_shufflevector(a, b, (l & D ? l + L : l + D)...);
    a = low;
}

template <class Real, int D> FL_INLINE void exchange_rows(Vec<Real> *v) {
    constexpr int L = (int)lanes<Real>;
    if constexpr (D < L) {
        EACH(r, L) if (!(r & D)) exchange<Real, D>(v[r], v[r + D], std::make_integer_sequence<int, L>());
        exchange_rows<Real, 2 * D>(v);
    }
}
#endif

/* A square of as many vectors as a vector has numbers, in registers: in each pass, halves of rows r and r + d change
   places, for d = 1, 2, 4, ... */
template <class Real> FL_INLINE void transpose_square(Real *to, ptrdiff_t to_row, const Real *from, ptrdiff_t from_row) {
    constexpr int L = (int)lanes<Real>;
    Vec<Real> v[L];
    EACH(r, L) {
        v[r] = load<Real>(from + r * from_row);
        __builtin_prefetch(from + (r + L) * from_row);
    }
#if defined(__clang__)
    exchange_rows<Real, 1>(v);
#else
    typename Number<Real>::Bits low, high;
    _Pragma("GCC unroll 4") for (int d = 1; d < L; d *= 2) {
        EACH(l, L) {
            low[l] = (typename Number<Real>::Unsigned)(l & d ? l - d + L : l);
            high[l] = (typename Number<Real>::Unsigned)(l & d ? l + L : l + d);
        }
        EACH(r, L) if (!(r & d)) {
            const Vec<Real> a = v[r], b = v[r + d];
            v[r] = __builtin_shuffle(a, b, low);
            v[r + d] = __builtin_shuffle(a, b, high);
        }
    }
#endif
    EACH(r, L) store<Real>(to + r * to_row, v[r]);
}

/* to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns */
template <class Real>
void transpose(Real *to, ptrdiff_t to_row, const Real *from, ptrdiff_t from_row, ptrdiff_t rows, ptrdiff_t columns) {
    constexpr ptrdiff_t L = lanes<Real>;
    ptrdiff_t i = 0;
    for (; i + L <= rows; i += L) {
        ptrdiff_t j = 0;
        for (; j + L <= columns; j += L)
            transpose_square<Real>(to + j * to_row + i, to_row, from + i * from_row + j, from_row);
        for (; j < columns; j++)
            for (ptrdiff_t r = i; r < i + L; r++) to[j * to_row + r] = from[r * from_row + j];
    }
    for (; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++) to[j * to_row + i] = from[i * from_row + j];
}

}

#endif
