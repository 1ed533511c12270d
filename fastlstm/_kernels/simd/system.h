/* What the pool and its scratch need of the system: threads, a clock and memory, of POSIX or of Windows. */
#ifndef FASTLSTM_SYSTEM_H
#define FASTLSTM_SYSTEM_H

#include <stddef.h>

#if defined(_WIN32)
#if !defined(_WIN32_WINNT) || _WIN32_WINNT < 0x0601
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <malloc.h>
#include <process.h>

#if defined(_MSC_VER)
#define FL_OF_THREAD __declspec(thread)
#else
#define FL_OF_THREAD __thread
#endif

typedef SRWLOCK fl_lock;
#define FL_UNLOCKED SRWLOCK_INIT
static inline void fl_lock_take(fl_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline int fl_lock_try(fl_lock *lock) { return TryAcquireSRWLockExclusive(lock); }
static inline void fl_lock_leave(fl_lock *lock) { ReleaseSRWLockExclusive(lock); }

typedef CONDITION_VARIABLE fl_bell;
static inline void fl_bell_make(fl_bell *bell) { InitializeConditionVariable(bell); }
static inline void fl_bell_wait(fl_bell *bell, fl_lock *lock) { SleepConditionVariableSRW(bell, lock, INFINITE, 0); }
static inline void fl_bell_ring(fl_bell *bell) { WakeConditionVariable(bell); }

typedef unsigned fl_thread_result;
#define FL_THREAD __stdcall

/* Start a thread that nobody waits for; whether there is one. */
static inline int fl_thread_start(fl_thread_result(FL_THREAD *function)(void *), void *argument) {
    const uintptr_t handle = _beginthreadex(NULL, 0, function, argument, 0, NULL);
    if (handle) CloseHandle((HANDLE)handle);
    return handle != 0;
}
static inline void fl_yield(void) { SwitchToThread(); }

static inline double fl_clock(void) {
    LARGE_INTEGER now, each_second;
    QueryPerformanceFrequency(&each_second); /* the same whenever it is asked */
    QueryPerformanceCounter(&now);
    return 1e6 * (double)now.QuadPart / (double)each_second.QuadPart;
}

static inline void *fl_memory(size_t bytes) { return _aligned_malloc(bytes, 64); }
static inline void fl_memory_free(void *memory) { _aligned_free(memory); }

/* A pointer that each thread has for itself, and what is done with it when the thread ends. */
typedef DWORD fl_own;
typedef void(NTAPI *fl_own_end)(void *);
#define FL_OWN_END NTAPI
static inline int fl_own_make(fl_own *own, fl_own_end end) { return (*own = FlsAlloc(end)) != FLS_OUT_OF_INDEXES; }
static inline void *fl_own_get(fl_own own) { return FlsGetValue(own); }
static inline int fl_own_set(fl_own own, void *value) { return FlsSetValue(own, value); }

#else
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define FL_OF_THREAD __thread

typedef pthread_mutex_t fl_lock;
#define FL_UNLOCKED PTHREAD_MUTEX_INITIALIZER
static inline void fl_lock_take(fl_lock *lock) { pthread_mutex_lock(lock); }
static inline int fl_lock_try(fl_lock *lock) { return !pthread_mutex_trylock(lock); }
static inline void fl_lock_leave(fl_lock *lock) { pthread_mutex_unlock(lock); }

typedef pthread_cond_t fl_bell;
static inline void fl_bell_make(fl_bell *bell) { pthread_cond_init(bell, NULL); }
static inline void fl_bell_wait(fl_bell *bell, fl_lock *lock) { pthread_cond_wait(bell, lock); }
static inline void fl_bell_ring(fl_bell *bell) { pthread_cond_signal(bell); }

typedef void *fl_thread_result;
#define FL_THREAD

/* Start a thread that nobody waits for; whether there is one. */
static inline int fl_thread_start(fl_thread_result (*function)(void *), void *argument) {
    pthread_t id;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    const int failed = pthread_create(&id, &detached, function, argument);
    pthread_attr_destroy(&detached);
    return !failed;
}
static inline void fl_yield(void) { sched_yield(); }

static inline double fl_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

static inline void *fl_memory(size_t bytes) {
    void *memory;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}
static inline void fl_memory_free(void *memory) { free(memory); }

/* A pointer that each thread has for itself, and what is done with it when the thread ends. */
typedef pthread_key_t fl_own;
typedef void (*fl_own_end)(void *);
#define FL_OWN_END
static inline int fl_own_make(fl_own *own, fl_own_end end) { return !pthread_key_create(own, end); }
static inline void *fl_own_get(fl_own own) { return pthread_getspecific(own); }
static inline int fl_own_set(fl_own own, void *value) { return !pthread_setspecific(own, value); }
#endif

#endif
