#include <string.h>

#include "table.h"

extern const struct fl_kernels fl_kernels_avx512_bf16, fl_kernels_avx512_vnni, fl_kernels_avx512, fl_kernels_avx2,
    fl_kernels_baseline;

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
