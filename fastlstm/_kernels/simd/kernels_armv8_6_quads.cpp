#if defined(__aarch64__) && defined(__GNUC__)
#define FL_QUADS
#include "isa_baseline.h"
#include "kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
