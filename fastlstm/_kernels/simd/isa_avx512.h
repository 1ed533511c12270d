/* AVX-512: 32 registers of 64 bytes. */
#define FL_ISA avx512
#define FL_BYTES 64
#define FL_ROWS 6
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif
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
