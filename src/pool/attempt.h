/*
 * One try to run a job on a backend, from the stored intent to the stored end. This header has its
 * life in memory; attempt_begin.h has the beginning, attempt_end.h the end. Only the file that a
 * struct's header belongs to changes that struct.
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
    struct job *job; /* NULL: the job goes on without this attempt, or is being freed */
    struct backend *backend;
    struct attempt *backend_next, **backend_link; /* of backend->attempts; NULL: not linked */
    struct attempt_record r;
    struct attempt_state state; /* changed by attempt_happens; its verdict by attempt_end.c */
    struct workflow *workflow;
    struct profiler *profiler; /* NULL: not profiled */
    struct progress progress;
    struct timeline timeline;
    struct splices splices; /* changes to the workflow's text */
    bool runs_cold;         /* see run_measurement.c */
    struct attempt_post post;
    struct attempt_sending sending;
    struct attempt_watch watch;
    struct attempt_timers timers;
    struct attempt_stop stop;
    struct attempt_clock clock;
    struct attempt_trial trial;
    struct attempt_outputs outputs;
    struct sampled_run *sampled; /* NULL: not profiled, or not begun */
    struct streamed streamed;
    struct told told;
    struct preview preview;
    struct attempt_end end;
    struct attempt_texts texts; /* what the job said of it, while a stray keeps the attempt */
};

/* Applies an event: the only setter of phase and evidence. A transition that the table lacks is
   logged and counted, and changes nothing. */
void attempt_happens(struct attempt *a, enum attempt_event e);

/* Makes an attempt in this state; the job does not have it yet. NULL: the job's workflow cannot be
   read. */
struct attempt *attempt_new(struct job *j, struct backend *b, struct attempt_state state);
/* Makes it the job's attempt; it counts for the job's client. */
void attempt_join(struct attempt *a, struct job *j);
/* Links it to its backend: it takes a slot and gets its frames. */
void attempt_link(struct attempt *a);
/* Frees the slot. Does nothing if the attempt is not linked. */
void attempt_unlink(struct attempt *a);
/* Notes the start of execution; stamp_ms 0: the server gave no time. */
void attempt_started(struct attempt *a, struct mono_us now, int64_t stamp_ms);
/* Stops watching it: clears timers and cancels the question under way. */
void attempt_unwatch(struct attempt *a);
/* Detaches it from its job. */
void attempt_leave(struct attempt *a);
void attempt_free(struct attempt *a);

#endif
