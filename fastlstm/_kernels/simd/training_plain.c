/* The loops of training for any processor and compiler: what is left where no instruction set has been chosen. */
#define FL_ISA plain
#include "training_kernels.h"
