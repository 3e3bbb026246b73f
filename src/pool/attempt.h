/*
 * One try to run a job on a backend, from its intent to its stored end. Here is its life in memory;
 * its beginning is attempt_begin.h, its end attempt_end.h. Each of its structs is changed by the
 * file alone that its header belongs to.
 */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/time.h"
#include "comfypool/core/attempt.h"
#include "comfypool/core/job.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/splice.h"
#include "comfypool/core/timeline.h"
#include "comfypool/sampling/sampler.h"

#include "attempt_end.h"
#include "attempt_outputs.h"
#include "attempt_post.h"
#include "attempt_return.h"
#include "attempt_stop.h"
#include "clock.h"
#include "event_publish.h"
#include "input_sending.h"
#include "reconcile.h"
#include "streamed.h"
#include "trust.h"

struct backend;
struct job;
struct profiler;
struct workflow;

struct attempt {
    struct pool *pool;
    struct job *job; /* NULL: it goes on without it, or is being freed */
    struct backend *backend;
    struct attempt *backend_next, **backend_link; /* of backend->attempts; NULL: not in it */
    struct attempt_record r;
    struct attempt_state state; /* changed by attempt_happens; its verdict by attempt_end.c */
    struct workflow *workflow;
    struct profiler *profiler; /* NULL: not profiled */
    struct progress progress;
    struct timeline timeline;
    struct splices splices; /* what it changes in the workflow's text */
    bool runs_cold;         /* see run_measurement.c */
    struct attempt_post post;
    struct attempt_sending sending;
    struct attempt_watch watch;
    struct attempt_timers timers;
    struct attempt_stop stop;
    struct attempt_clock clock;
    struct attempt_trial trial;
    struct attempt_outputs outputs;
    struct sampled_run *sampled; /* NULL: it is not profiled, or did not begin */
    struct streamed streamed;
    struct told told;
    struct preview preview;
    struct attempt_end end;
    struct attempt_texts texts; /* what its job said of it, while a stray keeps it */
};

/* What happens to it: the one setter of its phase and evidence. What the table does not have is
   logged and counted, and changes nothing. */
void attempt_happens(struct attempt *a, enum attempt_event e);

/* Makes one that is not the job's yet, in this state. NULL: the job's workflow cannot be read. */
struct attempt *attempt_new(struct job *j, struct backend *b, struct attempt_state state);
/* It is the job's attempt, and runs for its client. */
void attempt_join(struct attempt *a, struct job *j);
/* It is on its backend, takes a slot there, and its frames come. */
void attempt_link(struct attempt *a);
/* Its slot is free. Nothing when it was. */
void attempt_unlink(struct attempt *a);
/* It runs; stamp_ms 0: the server said no time of its start. */
void attempt_started(struct attempt *a, struct mono_us now, int64_t stamp_ms);
/* It is over for us: its timers and the question that is under way end. */
void attempt_unwatch(struct attempt *a);
/* Its job goes on without it. */
void attempt_leave(struct attempt *a);
void attempt_free(struct attempt *a);

#endif
