/* Memory that a job needs for a while. Who runs the job asks for it, since a job cannot fail. */
#ifndef FASTLSTM_SCRATCH_H
#define FASTLSTM_SCRATCH_H

#include <stddef.h>

/* Memory of this thread's own, at a cache line, that lasts until the thread ends or asks for more; NULL if there is no
   more to be had. */
void *fl_room(size_t bytes);

#endif
