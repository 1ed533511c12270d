/* Workers spin for a short while after a job, in case the next one follows at once, and then sleep. Waking them takes
   as long as much work does: a small job that finds them asleep is done by the caller alone. Only where such jobs
   follow each other closely are the workers called, to be awake for the next ones. One job at a time: who finds the
   pool busy works alone, so that there are never more running threads than asked for. After a fork the child has no
   workers and starts its own when it first needs them. */
#include "pool.h"

#include <stddef.h>

#include "atomic.h"
#include "system.h"

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#include <immintrin.h>
#define FL_PAUSE() _mm_pause()
typedef unsigned int fl_fp_state;
/* subnormal numbers count as zero while a job runs: they slow arithmetic down a hundredfold */
static fl_fp_state flush_subnormals(void) {
    fl_fp_state before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}
static void restore(fl_fp_state before) { _mm_setcsr(before); }
#elif defined(__aarch64__)
#include <stdint.h>
#define FL_PAUSE() __asm__ volatile("yield")
typedef uint64_t fl_fp_state;
static fl_fp_state flush_subnormals(void) {
    fl_fp_state before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)));
    return before;
}
static void restore(fl_fp_state before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#elif defined(_M_ARM64)
#include <intrin.h>
#define FL_PAUSE() __yield()
typedef __int64 fl_fp_state;
static fl_fp_state flush_subnormals(void) {
    const fl_fp_state before = _ReadStatusReg(ARM64_FPCR);
    _WriteStatusReg(ARM64_FPCR, before | (1 << 24));
    return before;
}
static void restore(fl_fp_state before) { _WriteStatusReg(ARM64_FPCR, before); }
#else
#define FL_PAUSE() ((void)0)
typedef int fl_fp_state;
static fl_fp_state flush_subnormals(void) { return 0; }
static void restore(fl_fp_state before) { (void)before; }
#endif

#define MAX_WORKERS (FL_MOST_THREADS - 1)
#define SPIN 50            /* microseconds that a worker waits for the next job before it sleeps */
#define SPIN_LENT 1000     /* how long threads of OpenMP are likely to wait before they sleep */
#define SPIN_CALLED 250    /* the same after a call: the caller first finishes the current job alone */
#define BARRIER_SPINS 2000 /* then let others run: a partner may have lost its processor */

static fl_lock busy = FL_UNLOCKED; /* held while a job runs */
static fl_lock sleeping = FL_UNLOCKED;
static int workers;

/* Of jobs that were too small to wake the workers: when the last one ended, and the work of those that followed each
   other closely. Guarded by `busy`. */
static double last_end, missed;

double fl_microseconds(void) { return fl_clock(); }

/* Each worker has a place of its own to look at: `go` asks it to work, it answers with 0; `called`, to be awake. */
static struct {
    ptrdiff_t go, called, asleep;
    char apart[64 - 3 * sizeof(ptrdiff_t)];
} places[MAX_WORKERS + 1];
static fl_bell bells[MAX_WORKERS + 1];

static struct fl_openmp lender; /* whose threads run the jobs, if any. Guarded by `busy`. */

static fl_job current;
static void *current_argument;
static struct fl_team current_team;

void fl_barrier(struct fl_team *team) {
    if (team->size == 1) return;
    const ptrdiff_t phase = fl_load(&team->phase);
    if (fl_add(&team->arrived, 1) == team->size - 1) {
        fl_release(&team->arrived, 0);
        fl_release(&team->phase, !phase);
        return;
    }
    for (int spins = 0; fl_load(&team->phase) == phase; spins++) {
        if (spins < BARRIER_SPINS) FL_PAUSE();
        else fl_yield();
    }
}

void fl_reach(ptrdiff_t *count, ptrdiff_t reached) { fl_release(count, reached); }

ptrdiff_t fl_wait(const ptrdiff_t *count, ptrdiff_t wanted) {
    ptrdiff_t now;
    for (int spins = 0; (now = fl_load(count)) < wanted; spins++) {
        if (spins < BARRIER_SPINS) FL_PAUSE();
        else fl_yield();
    }
    return now;
}

static void run_part(int thread) {
    fl_fp_state before = flush_subnormals();
    current(current_argument, thread, &current_team);
    restore(before);
}

static void run_alone(fl_job job, void *argument) {
    struct fl_team alone = {1, 0, 0};
    const fl_fp_state before = flush_subnormals();
    job(argument, 0, &alone);
    restore(before);
}

/* Whether there is something to do, for which it waits this many microseconds. */
static int spin_for(const ptrdiff_t *go, double longest) {
    double begin = 0;
    for (int spins = 1;; spins++) {
        if (fl_load(go)) return 1;
        FL_PAUSE();
        if (spins % 64) continue;
        const double now = fl_microseconds();
        if (!begin) begin = now;
        else if (now - begin > longest) return fl_load(go) != 0;
    }
}

static fl_thread_result FL_THREAD work_on(void *number) {
    int thread = (int)(ptrdiff_t)number;
    double spin = SPIN;
    for (;;) {
        if (!spin_for(&places[thread].go, spin)) {
            fl_lock_take(&sleeping);
            fl_store(&places[thread].asleep, 1); /* before the last look, so that either sees the other */
            while (!fl_load(&places[thread].go) && !fl_load(&places[thread].called))
                fl_bell_wait(&bells[thread], &sleeping);
            fl_store(&places[thread].called, 0);
            fl_store(&places[thread].asleep, 0);
            fl_lock_leave(&sleeping);
            spin = SPIN_CALLED;
            continue;
        }
        run_part(thread);
        fl_release(&places[thread].go, 0);
        spin = SPIN;
    }
    return 0;
}

#if defined(_WIN32)
static void handle_forks(void) {}
#else
static void before_fork(void) { fl_lock_take(&busy); }
static void after_fork_parent(void) { fl_lock_leave(&busy); }
static void after_fork_child(void) {
    pthread_mutex_init(&busy, NULL);
    pthread_mutex_init(&sleeping, NULL);
    workers = 0;
    lender.parallel = NULL; /* the child has none of its threads */
    for (int thread = 0; thread <= MAX_WORKERS; thread++) {
        fl_store(&places[thread].go, 0);
        fl_store(&places[thread].called, 0);
        fl_store(&places[thread].asleep, 0);
    }
}

static void handle_forks(void) {
    static int handled;
    if (!handled) handled = !pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
#endif

void fl_borrow(const struct fl_openmp *from) {
    const struct fl_openmp none = {NULL, NULL, NULL};
    fl_lock_take(&busy);
    handle_forks();
    lender = from ? *from : none;
    fl_lock_leave(&busy);
}

/* Start workers until there are so many; fewer if the system gives no more. */
static int have_workers(int wanted) {
    handle_forks();
    while (workers < wanted) {
        fl_bell_make(&bells[workers + 1]);
        if (!fl_thread_start(work_on, (void *)(ptrdiff_t)(workers + 1))) break;
        workers++;
    }
    return workers < wanted ? workers : wanted;
}

static int are_awake(int helpers) {
    if (workers < helpers) return 0;
    for (int thread = 1; thread <= helpers; thread++)
        if (fl_load(&places[thread].asleep)) return 0;
    return 1;
}

static void ring(int helpers) {
    fl_lock_take(&sleeping);
    for (int thread = 1; thread <= helpers; thread++)
        if (fl_load(&places[thread].asleep)) fl_bell_ring(&bells[thread]);
    fl_lock_leave(&sleeping);
}

/* Whether `helpers` workers are to share a job of so much work: if they are awake, or if it is worth waking or
   starting them. If many small jobs follow each other closely, they are called for the next one. */
static int worth_sharing(int helpers, double work) {
    if (work >= FL_WORTH_WAKING || are_awake(helpers)) return 1;
    missed = fl_microseconds() - last_end < SPIN ? missed + work : work;
    if (missed >= FL_WORTH_WAKING) {
        missed = 0;
        helpers = have_workers(helpers);
        for (int thread = 1; thread <= helpers; thread++) fl_store(&places[thread].called, 1);
        ring(helpers);
    }
    return 0;
}

static void set_current(fl_job job, void *argument, int threads) {
    current = job;
    current_argument = argument;
    current_team.size = threads;
    fl_store(&current_team.arrived, 0);
}

static void run_together(fl_job job, void *argument, int wanted) {
    const int helpers = have_workers(wanted);
    set_current(job, argument, helpers + 1);
    for (int thread = 1; thread <= helpers; thread++) fl_store(&places[thread].go, 1);
    if (!are_awake(helpers)) ring(helpers);
    run_part(0);
    for (int thread = 1; thread <= helpers; thread++)
        for (int spins = 0; fl_load(&places[thread].go); spins++) {
            if (spins < BARRIER_SPINS) FL_PAUSE();
            else fl_yield();
        }
}

/* What each thread of OpenMP does. Where it has given fewer than asked for, the first one works alone. */
static void run_lent_part(void *argument) {
    (void)argument;
    const int thread = lender.thread();
    if (lender.threads() == current_team.size) run_part(thread);
    else if (thread == 0) run_alone(current, current_argument);
}

/* Whether they are awake is not known, but likely soon after a job. */
static void run_lent(fl_job job, void *argument, int threads, double work) {
    if (work < FL_WORTH_WAKING && fl_microseconds() - last_end > SPIN_LENT) {
        run_alone(job, argument);
        return;
    }
    set_current(job, argument, threads);
    lender.parallel(run_lent_part, NULL, (unsigned)threads, 0);
}

void fl_run(fl_job job, void *argument, int threads, double work) {
    if (threads < 2 || !fl_lock_try(&busy)) {
        run_alone(job, argument);
        return;
    }
    const int helpers = threads - 1 < MAX_WORKERS ? threads - 1 : MAX_WORKERS;
    if (lender.parallel) run_lent(job, argument, helpers + 1, work);
    else if (worth_sharing(helpers, work)) run_together(job, argument, helpers);
    else run_alone(job, argument);
    last_end = fl_microseconds();
    fl_lock_leave(&busy);
}

void fl_run_side_by_side(void *arguments, int thread, struct fl_team *team) {
    const struct fl_side_by_side *all = arguments;
    int own = thread / all->threads;
    if (team->size >= all->count * all->threads) {
        if (own < all->count) all->job(all->arguments[own], thread % all->threads, &all->teams[own]);
        return;
    }
    struct fl_team alone = {1, 0, 0};
    if (thread == 0)
        for (int k = 0; k < all->count; k++) all->job(all->arguments[k], 0, &alone);
}
