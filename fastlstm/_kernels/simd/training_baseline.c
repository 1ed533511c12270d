#if defined(__GNUC__)
#include "isa_baseline.h"
#include "training_kernels.h"
#endif
