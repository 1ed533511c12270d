/* exp, sigmoid and tanh for float and double, written so that a compiler turns a loop over them into vector code: no
   branch, no call, no table. */
#ifndef FASTLSTM_ACTIVATIONS_H
#define FASTLSTM_ACTIVATIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define FL_MADD(a, b, c) ((a) * (b) + (c))
#include "real_float.h"
#include "activations_template.h"
#include "real_end.h"

#include "real_double.h"
#include "activations_template.h"
#include "real_end.h"
#undef FL_MADD

#endif
