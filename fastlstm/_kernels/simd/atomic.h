/* Numbers that several threads read and write. They are plain ptrdiff_t in our structures, so that what includes these
   needs no _Atomic, which C++ and some compilers of C have not. */
#ifndef FASTLSTM_ATOMIC_H
#define FASTLSTM_ATOMIC_H

#include <stddef.h>

#if defined(__GNUC__) || defined(__clang__)
/* What is read here comes after it; all of this and of fl_store has one order that every thread sees. */
static inline ptrdiff_t fl_load(const ptrdiff_t *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
static inline void fl_store(ptrdiff_t *at, ptrdiff_t value) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }

/* What was written before it is seen by who sees it. */
static inline void fl_release(ptrdiff_t *at, ptrdiff_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }

/* Returns what was there before. */
static inline ptrdiff_t fl_add(ptrdiff_t *at, ptrdiff_t more) { return __atomic_fetch_add(at, more, __ATOMIC_ACQ_REL); }
#else
#include <windows.h>
static inline ptrdiff_t fl_load(const ptrdiff_t *at) {
    const ptrdiff_t found = *(const volatile ptrdiff_t *)at;
    MemoryBarrier();
    return found;
}
static inline void fl_store(ptrdiff_t *at, ptrdiff_t value) {
    InterlockedExchangePointer((PVOID volatile *)at, (PVOID)value);
}
static inline void fl_release(ptrdiff_t *at, ptrdiff_t value) {
    MemoryBarrier();
    *(volatile ptrdiff_t *)at = value;
}
static inline ptrdiff_t fl_add(ptrdiff_t *at, ptrdiff_t more) {
    return (ptrdiff_t)InterlockedExchangeAddSizeT((SIZE_T volatile *)at, (SIZE_T)more);
}
#endif

#endif
