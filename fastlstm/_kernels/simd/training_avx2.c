#if defined(__x86_64__) && defined(__GNUC__)
#include "isa_avx2.h"
#include "training_kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
