#pragma once
#define HUGE_VAL __builtin_huge_val()
#ifdef __cplusplus
extern "C" {
#endif
double exp(double), expm1(double), log(double), log1p(double), pow(double, double), erfc(double), sqrt(double);
double fabs(double), copysign(double, double);
float erfcf(float), sqrtf(float), fabsf(float), copysignf(float, float);
#ifdef __cplusplus
}
#endif
