/* AVX-512: 32 registers of 64 bytes. Who includes it may define FL_PAIRS, FL_QUADS or FL_WORDS, for
   products of narrow numbers. */
#define FL_ISA avx512
#define FL_AVX512
#define FL_BYTES 64
#define FL_ROWS 6
#if defined(FL_PAIRS)
#define FL_TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma"
#elif defined(FL_QUADS) || defined(FL_WORDS)
#define FL_TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma"
#else
#define FL_TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"
#endif
#define FL_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FL_FOR(target_) FL_PRAGMA(clang attribute push(__attribute__((target(target_))), apply_to = function))
#else
#define FL_FOR(target_) FL_PRAGMA(GCC target(target_))
#endif
FL_FOR(FL_TARGET)
#include <immintrin.h>
/* masked, since GCC 12 warns of what the others leave undefined in its own headers */
#define FL_MIN_f(a, b) ((__typeof__(a))_mm512_maskz_min_ps((__mmask16)-1, (__m512)(a), (__m512)(b)))
#define FL_MIN_d(a, b) ((__typeof__(a))_mm512_maskz_min_pd((__mmask8)-1, (__m512d)(a), (__m512d)(b)))
#define FL_MAX_f(a, b) ((__typeof__(a))_mm512_maskz_max_ps((__mmask16)-1, (__m512)(a), (__m512)(b)))
#define FL_MAX_d(a, b) ((__typeof__(a))_mm512_maskz_max_pd((__mmask8)-1, (__m512d)(a), (__m512d)(b)))
#define FL_MULTIPLY_ADD_f(a, b, c) ((__typeof__(a))_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define FL_MULTIPLY_ADD_d(a, b, c) ((__typeof__(a))_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define FL_MULTIPLY_SUBTRACT_f(a, b, c) ((__typeof__(a))_mm512_fnmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define FL_MULTIPLY_SUBTRACT_d(a, b, c) ((__typeof__(a))_mm512_fnmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#define FL_LOAD_PART_f(V, p, count) ((V)_mm512_maskz_loadu_ps((__mmask16)((1u << (count)) - 1), p))
#define FL_LOAD_PART_d(V, p, count) ((V)_mm512_maskz_loadu_pd((__mmask8)((1u << (count)) - 1), p))
#define FL_STORE_PART_f(p, count, v) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (count)) - 1), (__m512)(v))
#define FL_STORE_PART_d(p, count, v) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (count)) - 1), (__m512d)(v))
/* bfloat16 and int8 numbers as floats */
#define FL_WIDEN_BFLOAT16(p) \
    _mm512_maskz_slli_epi32( \
        (__mmask16)-1, _mm512_maskz_cvtepu16_epi32((__mmask16)-1, _mm256_loadu_si256((const __m256i *)(p))), 16)
#define FL_WIDEN_INT8(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#if defined(FL_PAIRS) /* two products of bfloat16 for each float; vectors of floats rounded to bfloat16, and of two of them */
#define FL_MULTIPLY_PAIRS(x, w, sum) ((__typeof__(sum))_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(w), (__m512bh)(x)))
#define FL_STORE_BFLOAT16(to, x) _mm256_storeu_si256((__m256i *)(to), (__m256i)_mm512_cvtneps_pbh((__m512)(x)))
#define FL_INTERLEAVE_BFLOAT16(a, b, V) \
    ((V)_mm512_permutexvar_epi16((__m512i)(fl_halves){ \
        0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}, \
        (__m512i)_mm512_cvtne2ps_pbh((__m512)(b), (__m512)(a))))
typedef short fl_halves __attribute__((vector_size(64)));
#elif defined(FL_QUADS) /* four products of unsigned and signed bytes for each int32 */
#define FL_MULTIPLY_QUADS(x, w, sum) \
    ((__typeof__(sum))_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w)))
#elif defined(FL_WORDS) /* two products of int16 for each int32; bytes as int16 */
#define FL_MULTIPLY_WORDS(x, w, sum) \
    ((__typeof__(sum))_mm512_dpwssd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w)))
#define FL_WIDEN_WORDS(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#endif
