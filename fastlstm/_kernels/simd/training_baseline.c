#include "compiler.h"
#if FL_VECTORS
#include "isa_baseline.h"
#include "training_kernels.h"
#endif
