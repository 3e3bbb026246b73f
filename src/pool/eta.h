/* When jobs will start and end, as far as measurements tell. */
#ifndef COMFYPOOL_SRC_POOL_ETA_H
#define COMFYPOOL_SRC_POOL_ETA_H

#include <stdbool.h>

#include "comfypool/base/time.h"

struct job;

/* Estimates an active job. False: unknown. */
bool eta_of(struct job *j, struct wall_us *ret_starts, struct wall_us *ret_completes);
/* Estimates when the last of a batch's active jobs (NULL: none) will be done. False: unknown. */
bool eta_of_all(struct job *jobs, struct wall_us *ret);

#endif
