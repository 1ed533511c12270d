#include "compiler.h"
#if FL_AVX
#define FL_QUADS
#include "isa_avx512.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
