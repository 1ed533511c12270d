/* What every processor of this kind has: SSE2 on x86-64, NEON with its 32 registers on 64-bit ARM. */
#if defined(__GNUC__)
#define FL_ISA baseline
#define FL_BYTES 16
#define FL_DEEP1 2
#if defined(__aarch64__)
#define FL_ROWS 6
#define FL_DEEP2 2
#else
#define FL_ROWS 3
#define FL_DEEP2 1
#endif
#include "kernels.h"
#endif
