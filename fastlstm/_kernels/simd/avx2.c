#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define FL_ISA avx2
#define FL_BYTES 32
#define FL_ROWS 3
#define FL_DEEP1 2
#define FL_DEEP2 1
#include <immintrin.h>
#define FL_MIN_f(a, b) ((vec_f)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define FL_MIN_d(a, b) ((vec_d)_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#define FL_MAX_f(a, b) ((vec_f)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define FL_MAX_d(a, b) ((vec_d)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#include "kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
