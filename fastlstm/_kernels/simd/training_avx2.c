#include "compiler.h"
#if FL_AVX
#include "isa_avx2.h"
#include "training_kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
