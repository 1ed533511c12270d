#include "compiler.h"
#if FL_AVX
#define FL_WORDS
#include "isa_avx512.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
