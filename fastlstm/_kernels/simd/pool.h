/* One pool of threads: a job is run by several at once, the caller among them. */
#ifndef FASTLSTM_POOL_H
#define FASTLSTM_POOL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_team {
    int size;
    ptrdiff_t arrived, phase; /* of the barrier (atomic.h): a new phase begins when all have arrived */
};

/* One thread's part of a job. */
typedef void (*fl_job)(void *argument, int thread, struct fl_team *team);

/* Wait until every thread of the team is here. */
void fl_barrier(struct fl_team *team);

/* Let a count be seen by who waits for it; what was written before it is seen, too. */
void fl_reach(ptrdiff_t *count, ptrdiff_t reached);

/* Wait until a count has come to what is wanted, and return how far it is. */
ptrdiff_t fl_wait(const ptrdiff_t *count, ptrdiff_t wanted);

/* Threads at most: the caller and the workers of the pool. */
#define FL_MOST_THREADS 256

/* Work is in microseconds on one thread. A microsecond is about this many multiplications and additions. */
#define FL_OPERATIONS 100000

/* The least work that is worth a second thread, and the least that is worth waking one. */
#define FL_WORTH_SHARING 20
#define FL_WORTH_WAKING 200

/* Run the job on this many threads; or on the caller alone where the pool is busy with another's job, or asleep and the
   job too small to wake it. `work` is what the job takes one thread, in microseconds, about. */
void fl_run(fl_job job, void *argument, int threads, double work);

/* Threads of an OpenMP runtime: run a function on so many of them, and what each of them is told of itself. */
struct fl_openmp {
    void (*parallel)(void (*function)(void *), void *argument, unsigned threads, unsigned flags); /* GOMP_parallel */
    int (*thread)(void), (*threads)(void); /* omp_get_thread_num, omp_get_num_threads */
};

/* From now on jobs run on these threads instead of the pool's own; on those again with NULL. Who has both in one
   process would have twice as many running threads as processors, as those of OpenMP spin for milliseconds. */
void fl_borrow(const struct fl_openmp *lender);

/* Of a clock that only goes forwards. */
double fl_microseconds(void);

/* A job with up to FL_MOST_SIDE_BY_SIDE arguments: each on a team of its own, of so many threads, all at once; one
   after the other, in their order, where there are fewer threads than that. */
#define FL_MOST_SIDE_BY_SIDE 64
struct fl_side_by_side {
    fl_job job;
    int count, threads;
    void **arguments;
    struct fl_team *teams;
};
void fl_run_side_by_side(void *arguments, int thread, struct fl_team *team);

#ifdef __cplusplus
}
#endif

#endif
