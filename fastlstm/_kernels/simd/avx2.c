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
#include "kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
