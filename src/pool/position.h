/* How many jobs are before a queued one. */
#ifndef COMFYPOOL_SRC_POOL_POSITION_H
#define COMFYPOOL_SRC_POOL_POSITION_H

#include <stdint.h>

struct job;

/* Returns how many jobs are before this one now; -1: it does not wait for its turn or for a time,
   or there are too many to count. */
int64_t position_of(struct job *j);

#endif
