#if defined(__GNUC__)
#include "isa_baseline.h"
#include "kernels.hpp"
#endif
