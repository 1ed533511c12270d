#if defined(__x86_64__) && defined(__GNUC__)
#define FL_WORDS
#include "isa_avx512.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
