/* Compiles the kernels for one instruction set. The including file says which, by FL_ISA (its name), FL_BYTES (of a
   vector), FL_ROWS (rows of a register tile: FL_ROWS x 4 sums must fit in the registers) and FL_DEEP1, FL_DEEP2 (how many
   k are walked at once where a tile has but 1 or 2 rows, so that there are enough independent sums). */
#include <stdint.h>
#include <string.h>

#include "packed.h"

#define FL_INLINE static inline __attribute__((always_inline))

#include "real_float.h"
#include "packed_template.h"
#include "real_end.h"

#include "real_double.h"
#include "packed_template.h"
#include "real_end.h"

#define FL_TABLE_(isa) fl_kernels_##isa
#define FL_TABLE(isa) FL_TABLE_(isa)
#define FL_TEXT_(isa) #isa
#define FL_TEXT(isa) FL_TEXT_(isa)
const struct fl_kernels FL_TABLE(FL_ISA) = {FL_TEXT(FL_ISA), FL_BYTES, pack_f, pack_d, forward_f, forward_d};
