/* Checks the pool of threads and their scratch without Python, on whatever system it is compiled for: jobs with barriers
   and counts, for workers that are awake, asleep or not there yet, from several callers at once, who come and go. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../fastlstm/_kernels/simd/atomic.h"
#include "../../fastlstm/_kernels/simd/pool.h"
#include "../../fastlstm/_kernels/simd/scratch.h"
#include "../../fastlstm/_kernels/simd/system.h"

enum { CALLERS = 3, GENERATIONS = 4, JOBS = 60, ROUNDS = 20 };

static ptrdiff_t ended, shared, wrong;

struct task {
    ptrdiff_t arrived, written, reached;
    ptrdiff_t numbers[ROUNDS];
};

/* Each round ends when all have added 1; then the first thread writes, and the others wait for it. */
static void job(void *argument, int thread, struct fl_team *team) {
    struct task *task = argument;
    if (thread == 0 && team->size > 1) fl_add(&shared, 1);
    for (ptrdiff_t round = 0; round < ROUNDS; round++) {
        fl_add(&task->arrived, 1);
        fl_barrier(team);
        if (fl_load(&task->arrived) != (round + 1) * team->size) fl_add(&wrong, 1);
        if (thread == 0) {
            task->numbers[round] = round + 7;
            fl_reach(&task->reached, round + 1);
        }
        if (fl_wait(&task->reached, round + 1) <= round || task->numbers[round] != round + 7) fl_add(&wrong, 1);
        fl_barrier(team);
    }
    if (thread == team->size - 1) fl_add(&task->written, 1);
}

static void pause_for(double microseconds) {
    const double begin = fl_microseconds();
    while (fl_microseconds() - begin < microseconds) fl_yield();
}

/* Scratch of its own, which grows, at a cache line. */
static void use_scratch(size_t bytes, int byte) {
    unsigned char *room = fl_room(bytes);
    if (!room || (uintptr_t)room % 64) {
        fl_add(&wrong, 1);
        return;
    }
    memset(room, byte, bytes);
    fl_yield();
    for (size_t k = 0; k < bytes; k++)
        if (room[k] != byte) fl_add(&wrong, 1);
}

static fl_thread_result FL_THREAD caller(void *number) {
    const int me = (int)(intptr_t)number;
    for (int k = 0; k < JOBS; k++) {
        struct task task;
        memset(&task, 0, sizeof task);
        fl_run(job, &task, 1 + (k + me) % 5, k % 3 ? FL_WORTH_WAKING : FL_WORTH_SHARING);
        if (task.written != 1 || task.numbers[ROUNDS - 1] != ROUNDS + 6) fl_add(&wrong, 1);
        use_scratch((size_t)(k % 7 + 1) * 1000, k + me);
        if (k % 10 == 0) pause_for(1500); /* until the workers are asleep */
    }
    fl_add(&ended, 1);
    return 0;
}

int main(void) {
    for (int generation = 0; generation < GENERATIONS; generation++) {
        for (int n = 0; n < CALLERS; n++)
            if (!fl_thread_start(caller, (void *)(intptr_t)n)) return 2;
        while (fl_load(&ended) < (generation + 1) * CALLERS) fl_yield();
    }
    caller((void *)(intptr_t)CALLERS);
    printf("threads: %d jobs, %d of them by several threads, %d errors\n", (GENERATIONS * CALLERS + 1) * JOBS, (int)shared,
           (int)wrong);
    return wrong || !shared;
}
