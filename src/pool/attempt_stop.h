/* Timers of an attempt, and stopping its prompt. */
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
    STOP_TIMEOUT,        /* the timeout is being stored */
    STOP_TIMEOUT_STORED, /* the timeout is stored */
};

/* A part of an attempt that attempt_stop.c owns. */
struct attempt_stop {
    enum stop why;
    enum err code;         /* of STOP_TIMEOUT */
    bool sent;             /* the backend was told to stop */
    struct deadline grace; /* when it must have ended */
};

/* A part of an attempt that attempt_stop.c owns. */
struct attempt_timers {
    struct deadline start;
    struct deadline node;
    bool start_late; /* the start timer fired; it depends on whether another prompt runs */
    bool looked;     /* the node timer was late: sockets are read first */
};

/* Starts the start timer: execution_start must come within the job's limit after `since`. */
void attempt_watch_start(struct attempt *a, struct mono_us since);
/* Starts the node timer: signs of life must come from now on. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now);
/* Tells the prompt to stop; code: of STOP_TIMEOUT. */
void attempt_stop(struct attempt *a, enum stop why, enum err code);
/* Restores a stop from before a restart, if there was one: a cancel, or a timeout with this code.
 */
void attempt_stop_adopted(struct attempt *a, bool cancelled, enum err code);
/* Clears the stop of an attempt that is resumed. */
void attempt_stop_undone(struct attempt *a);
/* Continues a stop when the connection came or went. False: the attempt is over, and freed. */
bool attempt_stop_again(struct attempt *a);
/* Continues a stop or a late start once the prompt is found in the backend's queue. waits: it is
   pending; others_run: another prompt runs. */
void attempt_stop_found(struct attempt *a, bool waits, bool others_run);

#endif
