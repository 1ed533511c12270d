/* What every processor of this kind has: SSE2 on x86-64 (without fused multiply-adds), NEON with its 32 registers on
   64-bit ARM. Who includes it for ARM may define FL_PAIRS or FL_QUADS, for the products of narrow numbers of Armv8.6. */
#define FL_ISA baseline
#define FL_BYTES 16
#if defined(__x86_64__)
#define FL_ROWS 3
#include <immintrin.h>
#define FL_MIN_f(a, b) ((__typeof__(a))_mm_min_ps((__m128)(a), (__m128)(b)))
#define FL_MIN_d(a, b) ((__typeof__(a))_mm_min_pd((__m128d)(a), (__m128d)(b)))
#define FL_MAX_f(a, b) ((__typeof__(a))_mm_max_ps((__m128)(a), (__m128)(b)))
#define FL_MAX_d(a, b) ((__typeof__(a))_mm_max_pd((__m128d)(a), (__m128d)(b)))
#define FL_MULTIPLY_ADD_f(a, b, c) ((a) * (b) + (c))
#define FL_MULTIPLY_ADD_d(a, b, c) ((a) * (b) + (c))
#define FL_MULTIPLY_SUBTRACT_f(a, b, c) ((c) - (a) * (b))
#define FL_MULTIPLY_SUBTRACT_d(a, b, c) ((c) - (a) * (b))
#define FL_MULTIPLY(a, b) ((fl_counters)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#elif defined(__aarch64__)
#define FL_ROWS 6
#if defined(FL_PAIRS) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("bf16"))), apply_to = function)
#elif defined(FL_PAIRS)
#pragma GCC target("arch=armv8.2-a+bf16")
#elif defined(FL_QUADS) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("i8mm"))), apply_to = function)
#elif defined(FL_QUADS)
#pragma GCC target("arch=armv8.2-a+i8mm")
#endif
#include <arm_neon.h>
#if defined(FL_PAIRS) /* two products of bfloat16 for each float; a vector of floats rounded to bfloat16 */
#define FL_MULTIPLY_PAIRS(x, w, sum) \
    ((__typeof__(sum))vbfdotq_f32((float32x4_t)(sum), (bfloat16x8_t)(w), (bfloat16x8_t)(x)))
#define FL_STORE_BFLOAT16(to, x) vst1_bf16((bfloat16_t *)(to), vcvt_bf16_f32((float32x4_t)(x)))
#elif defined(FL_QUADS) /* four products of unsigned and signed bytes for each int32 */
#define FL_MULTIPLY_QUADS(x, w, sum) \
    ((__typeof__(sum))vusdotq_s32((int32x4_t)(sum), (uint8x16_t)(x), (int8x16_t)(w)))
#endif
#define FL_MIN_f(a, b) ((__typeof__(a))vminq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define FL_MAX_f(a, b) ((__typeof__(a))vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define FL_MIN_d(a, b) ((__typeof__(a))vminq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define FL_MAX_d(a, b) ((__typeof__(a))vmaxq_f64((float64x2_t)(a), (float64x2_t)(b)))
#define FL_MULTIPLY_ADD_f(a, b, c) ((__typeof__(a))vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define FL_MULTIPLY_ADD_d(a, b, c) ((__typeof__(a))vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#define FL_MULTIPLY_SUBTRACT_f(a, b, c) ((__typeof__(a))vfmsq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define FL_MULTIPLY_SUBTRACT_d(a, b, c) ((__typeof__(a))vfmsq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#define FL_MULTIPLY(a, b) ((fl_counters)vmull_u32(vmovn_u64((uint64x2_t)(a)), vmovn_u64((uint64x2_t)(b))))
#else
#define FL_ROWS 3
/* lane by lane, by a comparison: where b is NaN it is not above a, and passes */
#define FL_PICK(mask, a, b) ((__typeof__(a))(((mask) & (__typeof__(mask))(a)) | (~(mask) & (__typeof__(mask))(b))))
#define FL_MIN_f(a, b) FL_PICK((a) < (b), a, b)
#define FL_MAX_f(a, b) FL_PICK((a) > (b), a, b)
#define FL_MIN_d(a, b) FL_PICK((a) < (b), a, b)
#define FL_MAX_d(a, b) FL_PICK((a) > (b), a, b)
#define FL_MULTIPLY_ADD_f(a, b, c) ((a) * (b) + (c))
#define FL_MULTIPLY_ADD_d(a, b, c) ((a) * (b) + (c))
#define FL_MULTIPLY_SUBTRACT_f(a, b, c) ((c) - (a) * (b))
#define FL_MULTIPLY_SUBTRACT_d(a, b, c) ((c) - (a) * (b))
#endif
