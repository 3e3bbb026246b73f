/* Timers of an attempt, and telling its prompt to stop. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_STOP_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_STOP_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/loop/deadlines.h"

struct attempt;

/* Why an attempt is told to stop. */
enum stop {
    STOP_NONE,
    STOP_CANCEL,
    STOP_TIMEOUT,        /* and that is being stored */
    STOP_TIMEOUT_STORED, /* after a restart it is our doing, too */
};

/* Of an attempt. */
struct attempt_stop {
    enum stop why;
    enum err code;         /* of a timeout */
    bool sent;             /* the backend was told */
    struct deadline grace; /* it must have ended by then */
};

/* Of an attempt. */
struct attempt_timers {
    struct deadline start;
    struct deadline node;
    bool start_late; /* the first is over: whether something else runs there decides */
    bool looked;     /* the second was late, and what had come meanwhile is read first */
};

/* execution_start must come within the job's time after `since`. */
void attempt_watch_start(struct attempt *a, struct mono_us since);
/* A node runs: signs of life must come from now on. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now);
/* Tells its prompt to stop; code: of STOP_TIMEOUT. */
void attempt_stop(struct attempt *a, enum stop why, enum err code);
/* It was told to stop before a restart of the daemon, if it was: by a cancel, or with this code. */
void attempt_stop_adopted(struct attempt *a, bool cancelled, enum err code);
/* It was given up and is found again: nothing tells it to stop. */
void attempt_stop_undone(struct attempt *a);
/* The link came or went: what was asked for goes on. False: the attempt is over, and freed. */
bool attempt_stop_again(struct attempt *a);
/* It is found in the backend's queue: what was to be known for goes on. waits: it does not run yet;
   others_run: something else does. */
void attempt_stop_found(struct attempt *a, bool waits, bool others_run);

#endif
