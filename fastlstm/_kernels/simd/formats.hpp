/* Formats of packed weights: how they lie in a panel, and how they are multiplied with inputs.

   A row of a panel has the weights of `depth` inputs, those of a unit side by side. An Input is what is multiplied with
   a row: `depth` inputs of one row of a batch. Products are added up in Sums; where these are not yet in the units of
   the result (`scales`), `tail` rows after those of the weights hold what makes them so (`scale`) and what they begin
   with (`start`), and each row of inputs ends with `ends` Inputs more. Where a format `rounds`, inputs are rounded first;
   elsewhere they are read where they lie. Where it `widens`, weights become Real as they are loaded.

   Where a format `trains`, what a backward pass multiplies is in it, too: `put` and `get` are a vector of numbers as
   Inputs, each of `depth` numbers that stand side by side, and `interleave` writes vectors of `depth` rows as one row
   of a panel. */
#ifndef FASTLSTM_FORMATS_HPP
#define FASTLSTM_FORMATS_HPP

#include "vector.hpp"

namespace {

/* Weights and inputs are of the type of the sums. */
template <class T> struct Exact {
    using Real = T;
    using Weight = T;
    using Input = T;
    using Sums = Vec<T>;
    static constexpr int depth = 1, tail = 0, ends = 0;
    static constexpr bool rounds = false, scales = false, widens = false, trains = true;
    FL_INLINE static Vec<T> load(const Weight *w) { return ::load<T>(w); }
    FL_INLINE static Vec<T> broadcast(Input x) { return set<T>(x); }
    FL_INLINE static Vec<T> multiply_add(Vec<T> x, Vec<T> w, Vec<T> sum) { return ::multiply_add(x, w, sum); }
    FL_INLINE static void put(Input *to, Vec<T> x) { store<T>(to, x); }
    FL_INLINE static Vec<T> get(const Input *from) { return ::load<T>(from); }
    FL_INLINE static void interleave(Weight *to, const Vec<T> (&rows)[1]) { store<T>(to, rows[0]); }

    /* Vector v, of G, of each row of a panel: from (units, columns). */
    static void pack(Weight *panel, int G, int v, const T *from, ptrdiff_t units, ptrdiff_t columns) {
        Weight *to = panel + v * lanes<T>;
        const ptrdiff_t row = G * lanes<T>;
        if (units < lanes<T>)
            for (ptrdiff_t j = 0; j < columns; j++) store<T>(to + j * row, Vec<T>{});
        transpose<T>(to, row, from, columns, units, columns);
    }
};

/* The upper half of a float, to nearest, ties to even; NaN stays NaN. */
FL_INLINE uint16_t bfloat16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* As many narrow numbers as a vector has floats. */
template <class T> struct NarrowOf {
    typedef T Vec __attribute__((vector_size(FL_BYTES / sizeof(float) * sizeof(T)), aligned(1), may_alias));
};
template <class T> using Narrow = typename NarrowOf<T>::Vec;

FL_INLINE Number<float>::Bits bfloat16_of(Vec<float> x) {
    using Bits = Number<float>::Bits;
    const Bits bits = (Bits)x, nan = (Bits)(x != x);
    return ((~nan & (bits + 0x7fff + (bits >> 16 & 1))) | (nan & (bits | 0x400000))) >> 16;
}
FL_INLINE Vec<float> widen_bfloat16(const uint16_t *from) {
#ifdef FL_WIDEN_BFLOAT16
    return (Vec<float>)FL_WIDEN_BFLOAT16(from);
#else
    const Narrow<uint16_t> narrow = *reinterpret_cast<const Narrow<uint16_t> *>(from);
    return (Vec<float>)(__builtin_convertvector(narrow, Number<float>::Bits) << 16);
#endif
}

/* bfloat16 weights, DEPTH inputs of a unit side by side. */
template <int DEPTH>
void pack_bfloat16(uint16_t *panel, int G, int v, const float *from, ptrdiff_t units, ptrdiff_t columns) {
    constexpr ptrdiff_t L = lanes<float>, at_once = 32;
    static_assert(DEPTH <= 2 && at_once % DEPTH == 0, "numbers are put into the two halves of 32 bits");
    uint16_t *to = panel + v * DEPTH * L;
    float inputs[at_once * L] FL_ALIGNED;
    for (ptrdiff_t j = 0; j < columns; j += at_once) {
        const ptrdiff_t some = least(columns - j, at_once);
        if (units < L || some < at_once) memset(inputs, 0, sizeof inputs);
        transpose<float>(inputs, L, from + j, columns, units, some);
        for (ptrdiff_t k = 0; k < some; k += DEPTH, to += G * DEPTH * L) {
            const Number<float>::Bits first = bfloat16_of(load<float>(inputs + k * L));
            if constexpr (DEPTH == 1)
                *reinterpret_cast<Narrow<uint16_t> *>(to) = __builtin_convertvector(first, Narrow<uint16_t>);
            else
                *reinterpret_cast<Number<float>::Bits *>(to) = first | bfloat16_of(load<float>(inputs + k * L + L)) << 16;
        }
    }
}

/* The scale of numbers whose largest size is `most`, which becomes the whole number `steps`. It is 0 if all are as good as
   zero, and not finite if one of them is not, which makes all results of its unit or row NaN. */
inline float scale_of(float most, float steps = 127) { return most < 1e-30f ? 0 : most / steps; }

/* A scale with 16 significant bits, rounded up. Then whole numbers up to 127 times it are exact, and weights that are such
   products have the same scale and numbers again: those of a model from a file with as few bits (narrow.py). */
inline float rounded_up(float scale) {
    uint32_t bits;
    if (scale != scale) return scale; /* its bits may have no room for more */
    memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0xff) & ~0xffu;
    memcpy(&scale, &bits, sizeof bits);
    return scale;
}

/* The factor from a number to multiples of the scale. */
inline float steps_of(float scale) { return scale > 0 && scale - scale == 0 ? 1 / scale : 0; }

/* The bits of the sizes of numbers, which are in the order of the sizes, NaN above all. */
FL_INLINE Number<float>::Signed size_bits(Vec<float> x) {
    return (Number<float>::Signed)((Number<float>::Bits)x & ~Number<float>::sign);
}

/* The largest of the whole numbers in so many bytes: the halves are compared until one number is left. */
template <int BYTES = FL_BYTES> FL_INLINE int32_t largest_of(const int32_t *numbers) {
    if constexpr (BYTES == sizeof(int32_t)) return *numbers;
    else {
        typedef int32_t Half __attribute__((vector_size(BYTES / 2), aligned(sizeof(int32_t)), may_alias));
        const Half *halves = (const Half *)numbers, most = halves[0] > halves[1] ? halves[0] : halves[1];
        return largest_of<BYTES / 2>((const int32_t *)&most);
    }
}

/* The largest size of some numbers. */
inline float largest(const float *x, ptrdiff_t count) {
    using Signed = Number<float>::Signed;
    Signed most = {};
    for (ptrdiff_t i = 0; i < count; i += lanes<float>) {
        const Signed size = size_bits(load_at_most<float>(x + i, count - i));
        most = size > most ? size : most;
    }
    const int32_t found = largest_of((const int32_t *)&most);
    float size;
    memcpy(&size, &found, sizeof size);
    return size;
}

/* Numbers to the nearest whole ones, ties to even; they must be small. */
FL_INLINE Number<float>::Bits to_nearest(Vec<float> x) { return (Number<float>::Bits)(x + Number<float>::magic); }

/* `count` numbers in multiples of the scale, to which `zero` is added, up to a whole DEPTH of them; and the scale after
   them. */
template <class Whole, int DEPTH>
void round_row(uint32_t *to, const float *from, ptrdiff_t count, float scale, uint32_t zero) {
    constexpr ptrdiff_t L = lanes<float>;
    constexpr uint32_t bits = (Whole)-1;
    const float steps = steps_of(scale);
    Whole *numbers = reinterpret_cast<Whole *>(to);
    for (ptrdiff_t i = 0; i < count; i += L) {
        const Vec<float> x = load_at_most<float>(from + i, count - i);
        const Number<float>::Bits q32 = to_nearest(steps ? x * steps : Vec<float>{}) + zero;
        const Narrow<Whole> q = __builtin_convertvector(q32 & bits, Narrow<Whole>);
        if (count - i >= L) *reinterpret_cast<Narrow<Whole> *>(numbers + i) = q;
        else memcpy(numbers + i, &q, (size_t)(whole(count - i, DEPTH) * DEPTH) * sizeof(Whole));
    }
    memcpy(to + whole(count, DEPTH), &scale, sizeof scale);
}
inline float scale_of_row(const uint32_t *end) {
    float scale;
    memcpy(&scale, end, sizeof scale);
    return scale;
}

/* int8 weights of one unit, DEPTH side by side in rows of `row` bytes, and their sum. */
template <int DEPTH>
int32_t pack_unit(int8_t *to, ptrdiff_t row, const float *from, ptrdiff_t columns, float scale) {
    const float steps = steps_of(scale);
    int32_t sum = 0;
    for (ptrdiff_t j = 0; j < columns; j++) {
        const float x = steps ? from[j] * steps + Number<float>::magic : Number<float>::magic;
        int32_t q;
        memcpy(&q, &x, sizeof q);
        sum += to[j / DEPTH * row + j % DEPTH] = (int8_t)(q & 0xff);
    }
    return sum;
}

/* After the weights stand the scales of all units of the panel, and, if they are wanted, -128 times the sums of their
   weights. */
template <int DEPTH, bool SUMS>
void pack_int8(int8_t *panel, int G, int v, const float *from, ptrdiff_t units, ptrdiff_t columns) {
    constexpr ptrdiff_t L = lanes<float>, vector = L * DEPTH;
    const ptrdiff_t rows = whole(columns, DEPTH), row = G * vector;
    int8_t *to = panel + v * vector;
    float *scales = reinterpret_cast<float *>(panel + rows * row), *scale = scales + v * L;
    for (ptrdiff_t k = 0; k < rows; k++) memset(to + k * row, 0, (size_t)vector);
    for (ptrdiff_t unit = 0; unit < L; unit++) {
        const float *w = from + unit * columns;
        int32_t sum = 0;
        scale[unit] = unit < units ? rounded_up(scale_of(largest(w, columns))) : 0;
        if (unit < units) sum = pack_unit<DEPTH>(to + unit * DEPTH, row, w, columns, scale[unit]);
        if constexpr (SUMS) reinterpret_cast<int32_t *>(scales + G * L)[v * L + unit] = -128 * sum;
    }
}
FL_INLINE Vec<float> unit_scale(const int8_t *tail, int g) {
    return load<float>(reinterpret_cast<const float *>(tail) + g * lanes<float>);
}

/* bfloat16 weights that become float as they are loaded. */
struct WideningBfloat16 : Exact<float> {
    using Weight = uint16_t;
    static constexpr bool widens = true, trains = false;
    FL_INLINE static Vec<float> load(const Weight *w) { return widen_bfloat16(w); }
    static constexpr auto pack = pack_bfloat16<1>;
};

/* int8 weights that become float as they are loaded; the tail has the scale of each unit. */
struct WideningInt8 : Exact<float> {
    using Weight = int8_t;
    static constexpr int tail = sizeof(float);
    static constexpr bool scales = true, widens = true, trains = false;
    FL_INLINE static Vec<float> load(const Weight *w) {
#ifdef FL_WIDEN_INT8
        return (Vec<float>)FL_WIDEN_INT8(w);
#else
        const auto whole = __builtin_convertvector(*reinterpret_cast<const Narrow<int8_t> *>(w), Number<float>::Signed);
        return __builtin_convertvector(whole, Vec<float>);
#endif
    }

    FL_INLINE static Sums start(const Weight *, int, int) { return Sums{}; }
    FL_INLINE static Vec<float> scale(const Weight *tail, int g) { return unit_scale(tail, g); }
    FL_INLINE static Vec<float> add_scaled(Sums products, Vec<float> scale, const Input *, Vec<float> sum) {
        return ::multiply_add(products, scale, sum);
    }

    static constexpr auto pack = pack_int8<1, false>;
};

#ifdef FL_MULTIPLY_PAIRS
/* bfloat16 weights and inputs in pairs, the first one in the lower half of 32 bits. */
struct PairsOfBfloat16 {
    using Real = float;
    using Weight = uint16_t;
    using Input = uint32_t;
    using Sums = Vec<float>;
    using Bits = Number<float>::Bits;
    static constexpr int depth = 2, tail = 0, ends = 0;
    static constexpr bool rounds = true, scales = false, widens = false, trains = true;
    FL_INLINE static Bits load(const Weight *w) { return *reinterpret_cast<const Bits *>(w); }
    FL_INLINE static Bits broadcast(Input x) { return x - Bits{}; }
    FL_INLINE static Sums multiply_add(Bits x, Bits w, Sums sum) { return FL_MULTIPLY_PAIRS(x, w, sum); }
    FL_INLINE static void put(Input *to, Vec<float> x) { FL_STORE_BFLOAT16(to, x); }
    FL_INLINE static Vec<float> get(const Input *from) { return widen_bfloat16(reinterpret_cast<const uint16_t *>(from)); }
    FL_INLINE static void interleave(Weight *to, const Vec<float> (&rows)[2]) {
#ifdef FL_INTERLEAVE_BFLOAT16
        *reinterpret_cast<Bits *>(to) = FL_INTERLEAVE_BFLOAT16(rows[0], rows[1], Bits);
#else
        *reinterpret_cast<Bits *>(to) = bfloat16_of(rows[0]) | bfloat16_of(rows[1]) << 16;
#endif
    }
    static constexpr auto pack = pack_bfloat16<2>;

    /* `count` numbers and zeros up to a whole pair. */
    static void round(Input *to, const float *from, ptrdiff_t count) {
        ptrdiff_t i = 0;
        for (; i + lanes<float> <= count; i += lanes<float>) put(to + i / 2, ::load<float>(from + i));
        for (; i < count; i += 2) {
            const uint32_t second = i + 1 < count ? bfloat16_of(from[i + 1]) : 0;
            to[i / 2] = bfloat16_of(from[i]) | second << 16;
        }
    }
};
#endif

/* What formats of int8 weights share whose inputs are whole numbers, too, each row of them with a scale at its end. Their
   products are added up exactly. */
struct WholeNumbers {
    using Real = float;
    using Weight = int8_t;
    using Input = uint32_t;
    using Sums = Number<float>::Signed;
    using Bits = Number<float>::Bits;
    static constexpr int tail = 2, ends = 1;
    static constexpr bool rounds = true, scales = true, widens = false, trains = false;
    FL_INLINE static Bits broadcast(Input x) { return x - Bits{}; }
    FL_INLINE static Vec<float> scale(const Weight *tail, int g) { return unit_scale(tail, g); }
    FL_INLINE static Vec<float> add_scaled(Sums products, Vec<float> scale, const Input *end, Vec<float> sum) {
        /* that of the unit first: large inputs may have sums that are no float before they are scaled down */
        const Vec<float> of_unit = __builtin_convertvector(products, Vec<float>) * scale;
        return ::multiply_add(of_unit, scale_of_row(end) - Vec<float>{}, sum);
    }
};

#ifdef FL_MULTIPLY_QUADS
/* int8 weights in fours, and inputs in 8 bits: a number q + 128 stands for q. So sums start at -128 times the weights, which
   the tail has after the scale of each unit. There may be up to 2^16 inputs. */
struct QuadsOfInt8 : WholeNumbers {
    static constexpr int depth = 4;
    FL_INLINE static Bits load(const Weight *w) { return *reinterpret_cast<const Bits *>(w); }
    FL_INLINE static Sums multiply_add(Bits x, Bits w, Sums sum) { return FL_MULTIPLY_QUADS(x, w, sum); }
    FL_INLINE static Sums start(const Weight *tail, int G, int g) { return *(reinterpret_cast<const Sums *>(tail) + G + g); }
    static constexpr auto pack = pack_int8<4, true>;

    /* `count` numbers, zeros up to a whole four, and their scale. */
    static void round(Input *to, const float *from, ptrdiff_t count) {
        round_row<uint8_t, depth>(to, from, count, scale_of(largest(from, count)), 128);
    }
};
#endif

#ifdef FL_MULTIPLY_WORDS
/* int8 weights in pairs, that become 16 bits as they are loaded, and inputs in 16 bits: the largest one is as large a
   number as the sum of products has room for. The tail has the scale of each unit. */
struct WordsOfInt8 : WholeNumbers {
    static constexpr int depth = 2;
    FL_INLINE static Bits load(const Weight *w) { return (Bits)FL_WIDEN_WORDS(w); }
    FL_INLINE static Sums multiply_add(Bits x, Bits w, Sums sum) { return FL_MULTIPLY_WORDS(x, w, sum); }
    FL_INLINE static Sums start(const Weight *, int, int) { return Sums{}; }
    static constexpr auto pack = pack_int8<2, false>;

    /* `count` numbers, a zero up to a whole pair, and their scale. */
    static void round(Input *to, const float *from, ptrdiff_t count) {
        const ptrdiff_t most = least(INT32_MAX / 127 / count, INT16_MAX);
        round_row<uint16_t, depth>(to, from, count, scale_of(largest(from, count), (float)most), 0);
    }
};
#endif

}

#endif
