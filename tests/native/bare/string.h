/* Headers of C and C++ for a compiler that comes without a library, with no more than the kernels use: .ci/wheels looks
   at them as clang-cl does, without Microsoft's. */
#pragma once
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int strcmp(const char *a, const char *b);
#ifdef __cplusplus
}
#endif
