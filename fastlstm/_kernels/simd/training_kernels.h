/* Compiles the loops of training.h for one instruction set, FL_ISA, for float and double. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "activations.h"
#include "atomic.h"
#include "ctc.h"
#include "density.h"
#include "philox.h"
#include "training.h"

#define FL_TABLE_(isa, type) fl_training_##isa##_##type
#define FL_TABLE(isa, type) FL_TABLE_(isa, type)
#include "real_float.h"
#define FL_TYPE f
#include "training_loops.h"
#include "real_end.h"

#include "real_double.h"
#define FL_TYPE d
#include "training_loops.h"
#include "real_end.h"
