/* All loops of training for one type, FL_TYPE, and their table. Included after real_float.h or real_double.h. */
#include "update_template.h"
#include "density_template.h"
#include "loss_template.h"
#include "ctc_template.h"
#include "rows_template.h"
#include "norm_template.h"
#include "activate_template.h"

const struct fl_training FL_TABLE(FL_ISA, FL_TYPE) = {
    FL_X(squares), FL_X(update), FL_X(loss), FL_X(ctc), FL_X(drop), FL_X(mask), FL_X(columns), FL_X(scatter),
    FL_X(norm), FL_X(norm_backward), FL_X(activate), FL_X(softmax),
    FL_X(sum), FL_X(largest_rows), FL_X(magnitude)};
#undef FL_TYPE
