/* AVX2 with fused multiply-adds: 16 registers of 32 bytes. */
#define FL_ISA avx2
#define FL_BYTES 32
#define FL_ROWS 3
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include <immintrin.h>
#define FL_MIN_f(a, b) ((__typeof__(a))_mm256_min_ps((__m256)(a), (__m256)(b)))
#define FL_MIN_d(a, b) ((__typeof__(a))_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#define FL_MAX_f(a, b) ((__typeof__(a))_mm256_max_ps((__m256)(a), (__m256)(b)))
#define FL_MAX_d(a, b) ((__typeof__(a))_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#define FL_MULTIPLY_ADD_f(a, b, c) ((__typeof__(a))_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define FL_MULTIPLY_ADD_d(a, b, c) ((__typeof__(a))_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define FL_MULTIPLY_SUBTRACT_f(a, b, c) ((__typeof__(a))_mm256_fnmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define FL_MULTIPLY_SUBTRACT_d(a, b, c) ((__typeof__(a))_mm256_fnmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define FL_FIRST_f(count) _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define FL_FIRST_d(count) _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3))
#define FL_LOAD_PART_f(V, p, count) ((V)_mm256_maskload_ps(p, FL_FIRST_f(count)))
#define FL_LOAD_PART_d(V, p, count) ((V)_mm256_maskload_pd(p, FL_FIRST_d(count)))
#define FL_STORE_PART_f(p, count, v) _mm256_maskstore_ps(p, FL_FIRST_f(count), (__m256)(v))
#define FL_STORE_PART_d(p, count, v) _mm256_maskstore_pd(p, FL_FIRST_d(count), (__m256d)(v))
/* bfloat16 and int8 numbers as floats */
#define FL_WIDEN_BFLOAT16(p) _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16)
#define FL_WIDEN_INT8(p) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
