#include <string.h>

#include "table.h"

#if FL_ARMV8_6 && defined(__linux__)
#include <sys/auxv.h>
#elif FL_ARMV8_6 && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

extern const struct fl_kernels fl_kernels_avx512_bf16, fl_kernels_avx512_vnni, fl_kernels_avx512, fl_kernels_avx2,
    fl_kernels_armv8_6, fl_kernels_baseline;

#if FL_ARMV8_6
/* Whether an ARM processor has the products of bfloat16 and of 8 bits, as all have from Armv8.6 on. */
static int has_narrow_products(void) {
#if defined(__linux__)
    const unsigned long i8mm = 1ul << 13, bf16 = 1ul << 14; /* of AT_HWCAP2: older headers do not name them */
    return (getauxval(AT_HWCAP2) & (i8mm | bf16)) == (i8mm | bf16);
#elif defined(__APPLE__)
    int i8mm = 0, bf16 = 0;
    size_t size = sizeof i8mm;
    return !sysctlbyname("hw.optional.arm.FEAT_I8MM", &i8mm, &size, NULL, 0) && i8mm
        && !sysctlbyname("hw.optional.arm.FEAT_BF16", &bf16, &size, NULL, 0) && bf16;
#else
    return 0;
#endif
}
#endif

const struct fl_kernels *fl_select(const char *name) {
    const struct fl_kernels *best_first[5] = {NULL};
    int count = 0;
#if defined(__GNUC__)
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl")) {
        if (__builtin_cpu_supports("avx512vnni")) {
            if (__builtin_cpu_supports("avx512bf16")) best_first[count++] = &fl_kernels_avx512_bf16;
            best_first[count++] = &fl_kernels_avx512_vnni;
        }
        best_first[count++] = &fl_kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best_first[count++] = &fl_kernels_avx2;
#elif FL_ARMV8_6
    if (has_narrow_products()) best_first[count++] = &fl_kernels_armv8_6;
#endif
    best_first[count++] = &fl_kernels_baseline;
#endif
    for (int k = 0; k < count; k++)
        if (!*name || !strcmp(name, best_first[k]->name)) return best_first[k];
    return NULL;
}

const struct fl_cell *fl_cell_of(const struct fl_format *format, const char *name, ptrdiff_t vectors) {
    const struct fl_cell *best = NULL;
    for (const struct fl_cell *cell = format->cells; cell->name; cell++)
        if (!strcmp(cell->name, name) && vectors % cell->units == 0 && (!best || cell->units > best->units)) best = cell;
    return best;
}
