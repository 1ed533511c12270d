#include <string.h>

#include "table.h"

#if FL_ARMV8_6 && defined(__linux__)
#include <sys/auxv.h>
#elif FL_ARMV8_6 && defined(__APPLE__)
#include <sys/sysctl.h>
#elif FL_ARMV8_6 && defined(_WIN32)
#include <windows.h>
#elif FL_AVX
#include <cpuid.h>
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
#elif defined(_WIN32) /* where older headers do not name I8MM and BF16 */
    return IsProcessorFeaturePresent(66) && IsProcessorFeaturePresent(68);
#else
    return 0;
#endif
}
#endif

#if FL_AVX
enum { HAS_AVX2 = 1, HAS_AVX512 = 2, HAS_VNNI = 4, HAS_BF16 = 8 };

/* What the processor has and the system saves for each thread. Asked of the processor itself: __builtin_cpu_supports needs a
   library that clang-cl does not link, and that of zig says no to all. */
static int features(void) {
    unsigned a, b, c, d, most, low, high;
    __cpuid(0, most, b, c, d);
    __cpuid(1, a, b, c, d);
    const unsigned fma = 1u << 12, xsave = 1u << 27, avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* f dq bw vl */
    if (most < 7 || (c & (fma | xsave)) != (fma | xsave)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
#if defined(__APPLE__)
    low |= 0xe0; /* macOS begins to save these registers when they are first used */
#endif
    __cpuid_count(7, 0, a, b, c, d);
    if ((low & 0x6) != 0x6 || !(b & 1u << 5)) return 0;
    if ((low & 0xe6) != 0xe6 || (b & avx512) != avx512) return HAS_AVX2;
    int found = HAS_AVX2 | HAS_AVX512;
    if (c & 1u << 11) found |= HAS_VNNI;
    if (a >= 1) {
        __cpuid_count(7, 1, a, b, c, d);
        if (a & 1u << 5) found |= HAS_BF16;
    }
    return found;
}
#endif

const struct fl_kernels *fl_select(const char *name) {
    const struct fl_kernels *best_first[5] = {NULL};
    int count = 0;
#if FL_AVX
    const int has = features();
    if (has & HAS_AVX512) {
        if (has & HAS_VNNI) {
            if (has & HAS_BF16) best_first[count++] = &fl_kernels_avx512_bf16;
            best_first[count++] = &fl_kernels_avx512_vnni;
        }
        best_first[count++] = &fl_kernels_avx512;
    }
    if (has & HAS_AVX2) best_first[count++] = &fl_kernels_avx2;
#elif FL_ARMV8_6
    if (has_narrow_products()) best_first[count++] = &fl_kernels_armv8_6;
#endif
#if FL_VECTORS
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
