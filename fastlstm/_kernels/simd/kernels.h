/* Compiles the kernels for one instruction set. The including file says which, by FL_ISA (its name), FL_BYTES (of a
   vector), FL_ROWS (rows of a register tile: FL_ROWS x 4 sums must fit in the registers) and FL_DEEP1, FL_DEEP2 (how many
   k are walked at once where a tile has but 1 or 2 rows, so that there are enough independent sums). */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "activations.h"
#include "ctc.h"
#include "density.h"
#include "philox.h"
#include "table.h"
#include "tile.h"

#include "real_float.h"
#include "tile_template.h"
#include "lstm_template.h"
#include "gradient_template.h"
#include "backward_template.h"
#include "matmul_template.h"
#include "single_template.h"
#include "probe_template.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
static const struct fl_training FL_X(training) = FL_TRAINING;
#include "real_end.h"

#include "real_double.h"
#include "tile_template.h"
#include "lstm_template.h"
#include "gradient_template.h"
#include "backward_template.h"
#include "matmul_template.h"
#include "single_template.h"
#include "probe_template.h"
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
static const struct fl_training FL_X(training) = FL_TRAINING;
#include "real_end.h"

#define FL_TABLE_(isa) fl_kernels_##isa
#define FL_TABLE(isa) FL_TABLE_(isa)
#define FL_TEXT_(isa) #isa
#define FL_TEXT(isa) FL_TEXT_(isa)
#define FL_OF_TYPE(x)                                                                                            \
    {x(pack), x(forward), x(backward), x(forward_single), x(backward_single), x(pack_matrix), x(affine),         \
     x(matmul), x(fma), x(read), x(activate), &x(training), x(matmul_room)}
#define FL_OF_FLOAT(name) name##_f
#define FL_OF_DOUBLE(name) name##_d
const struct fl_kernels FL_TABLE(FL_ISA) = {
    FL_TEXT(FL_ISA), FL_BYTES, 4 * FL_ROWS, FL_OF_TYPE(FL_OF_FLOAT), FL_OF_TYPE(FL_OF_DOUBLE)};
