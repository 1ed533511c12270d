/* One pool of threads: a job is run by several at once, the caller among them. */
#ifndef FASTLSTM_POOL_H
#define FASTLSTM_POOL_H

struct fl_team {
    int size;
    _Atomic int arrived, phase; /* of the barrier */
};

/* One thread's part of a job. */
typedef void (*fl_job)(void *argument, int thread, struct fl_team *team);

/* Wait until every thread of the team is here. */
void fl_barrier(struct fl_team *team);

/* Run the job on this many threads, or on the caller alone where the pool is busy with another's job. */
void fl_run(fl_job job, void *argument, int threads);

#endif
