/* Timers of an attempt, and telling its prompt to stop. */
#ifndef COMFYPOOL_SRC_POOL_STOP_H
#define COMFYPOOL_SRC_POOL_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"

#include "attempt.h"

struct attempt;

/* execution_start must come within the job's time after `since`. */
void attempt_watch_start(struct attempt *a, struct mono_us since);
/* A node runs: signs of life must come from now on. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now);
void attempt_clear_timers(struct attempt *a);
/* Tells its prompt to stop; code: of STOP_TIMEOUT. */
void attempt_stop(struct attempt *a, enum stop why, enum err code);
/* The link came or went: what was asked for goes on. False: the attempt is over, and freed. */
bool attempt_stop_again(struct attempt *a);
/* The start timer is over; whether something else runs there is known now. */
void attempt_start_is_late(struct attempt *a, bool others_run);
/* It ended because it was told to. */
void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms);

#endif
