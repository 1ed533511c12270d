/* Compiles the loops of training.h for one instruction set, FL_ISA, for float and double. */
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "activations.h"
#include "ctc.h"
#include "density.h"
#include "philox.h"
#include "training.h"

#define FL_TABLE_(isa, type) fl_training_##isa##_##type
#define FL_TABLE(isa, type) FL_TABLE_(isa, type)
#define FL_TRAINING                                                                             \
    {FL_X(squares), FL_X(update), FL_X(loss), FL_X(ctc), FL_X(drop), FL_X(columns), FL_X(scatter), \
     FL_X(norm), FL_X(norm_backward), FL_X(activate), FL_X(softmax)}

#include "real_float.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
#include "norm_template.h"
#include "activate_template.h"
const struct fl_training FL_TABLE(FL_ISA, f) = FL_TRAINING;
#include "real_end.h"

#include "real_double.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
#include "norm_template.h"
#include "activate_template.h"
const struct fl_training FL_TABLE(FL_ISA, d) = FL_TRAINING;
#include "real_end.h"
