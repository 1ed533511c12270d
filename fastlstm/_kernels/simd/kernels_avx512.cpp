#include "compiler.h"
#if FL_AVX
#include "isa_avx512.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
