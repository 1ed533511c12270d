#include "compiler.h"
#if FL_ARMV8_6
#define FL_PAIRS
#include "isa_baseline.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
