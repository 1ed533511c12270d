/* What every processor of this kind has: SSE2 on x86-64, NEON with its 32 registers on 64-bit ARM. */
#if defined(__GNUC__)
#define FL_ISA baseline
#define FL_BYTES 16
#define FL_DEEP1 2
#if defined(__aarch64__)
#define FL_ROWS 6
#define FL_DEEP2 2
#else
#define FL_ROWS 3
#define FL_DEEP2 1
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#define FL_MIN_f(a, b) ((vec_f)_mm_min_ps((__m128)(a), (__m128)(b)))
#define FL_MIN_d(a, b) ((vec_d)_mm_min_pd((__m128d)(a), (__m128d)(b)))
#define FL_MAX_f(a, b) ((vec_f)_mm_max_ps((__m128)(a), (__m128)(b)))
#define FL_MAX_d(a, b) ((vec_d)_mm_max_pd((__m128d)(a), (__m128d)(b)))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FL_MIN_f(a, b) ((vec_f)vminq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define FL_MAX_f(a, b) ((vec_f)vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define FL_MIN_d(a, b) ((vec_d)vminq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define FL_MAX_d(a, b) ((vec_d)vmaxq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define FL_MULTIPLY(a, b) ((fl_counters)vmull_u32(vmovn_u64((uint64x2_t)(a)), vmovn_u64((uint64x2_t)(b))))
#else
/* by comparison, lane by lane: where b is NaN it is not above a, and passes */
#define FL_PICK(x, mask, a, b) ((vec_##x)(((bits_##x)(mask) & (bits_##x)(a)) | (~(bits_##x)(mask) & (bits_##x)(b))))
#define FL_MIN_f(a, b) FL_PICK(f, (a) < (b), a, b)
#define FL_MAX_f(a, b) FL_PICK(f, (a) > (b), a, b)
#define FL_MIN_d(a, b) FL_PICK(d, (a) < (b), a, b)
#define FL_MAX_d(a, b) FL_PICK(d, (a) > (b), a, b)
#endif
#include "kernels.h"
#endif
