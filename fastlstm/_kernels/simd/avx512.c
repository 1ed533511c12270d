#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif
#define FL_ISA avx512
#define FL_BYTES 64
#define FL_ROWS 6
#define FL_DEEP1 4
#define FL_DEEP2 2
#include <immintrin.h>
#define FL_MIN_f(a, b) ((vec_f)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define FL_MIN_d(a, b) ((vec_d)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define FL_MAX_f(a, b) ((vec_f)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define FL_MAX_d(a, b) ((vec_d)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#include "kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
