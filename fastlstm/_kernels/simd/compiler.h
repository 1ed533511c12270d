/* What the compiler can do, and for which processor. */
#ifndef FASTLSTM_COMPILER_H
#define FASTLSTM_COMPILER_H

/* Whether it has vectors, as GCC and clang do. Where not, as in Microsoft's, there are no kernels, but the plain path. */
#if defined(__GNUC__) || defined(__clang__)
#define FL_VECTORS 1
#else
#define FL_VECTORS 0
#endif

/* Whether it makes code for AVX2 and AVX-512, unless it is told. On Windows GCC does not align the stack for their vectors. */
#if defined(FL_AVX)
#elif FL_VECTORS && defined(__x86_64__) && (defined(__clang__) || !defined(_WIN32))
#define FL_AVX 1
#else
#define FL_AVX 0
#endif

/* Whether it knows the products of narrow numbers of Armv8.6. */
#if defined(__aarch64__) && defined(__clang__)
#define FL_ARMV8_6 (__clang_major__ >= 16)
#elif defined(__aarch64__) && defined(__GNUC__)
#define FL_ARMV8_6 (__GNUC__ >= 10)
#else
#define FL_ARMV8_6 0
#endif

#endif
