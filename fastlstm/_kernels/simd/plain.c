/* The loops of training for any processor and compiler: what is left where no instruction set has been chosen. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "activations.h"
#include "ctc.h"
#include "density.h"
#include "philox.h"
#include "training.h"

#include "real_float.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
const struct fl_training fl_plain_f = FL_TRAINING;
#include "real_end.h"

#include "real_double.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
const struct fl_training fl_plain_d = FL_TRAINING;
#include "real_end.h"
