/* The life of a job: made, queued, run, ended; one setter of its state. */
#ifndef COMFYPOOL_SRC_POOL_JOBS_H
#define COMFYPOOL_SRC_POOL_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/spec.h"
#include "job.h"

struct attempt;
struct batch;
struct buf;
struct pool;
struct store_active;
struct submission;

static inline struct str job_hash(const struct job *j)
{
    return (struct str){j->r.workflow_hash, DIGEST_HEX_SIZE - 1};
}

static inline bool job_has_variants(const struct job *j)
{
    return j->spec != NULL && j->spec->variants_len > 0;
}

/* The one setter of a job's state; false when the pair is not in the table (logged, counted). */
bool job_apply(struct job *j, enum job_event e);
/* A new job from a submission (its texts are taken); its id is set. Not stored yet. trace: of
   its caller, or "". */
struct job *job_new(struct pool *p, struct submission *take, const char *trace);
/* One of a batch: the submission is shared. */
struct job *job_new_of_batch(struct pool *p, const struct submission *from, const char *trace,
                             struct batch *b, struct str overrides);
/* One that the store had; taken. Its clocks are the caller's to set. */
struct job *job_loaded(struct pool *p, struct store_active *take);
/* The same at the pool's start, with its clocks carried over. */
struct job *job_resumed(struct pool *p, struct store_active *take);
void job_free(struct job *j);
/* It is queued, whatever it waits for. */
bool job_waits(const struct job *j);
/* Its row is durable: it waits for other jobs, for its time, or in the queue. */
void job_admit(struct job *j);
/* The same, and whoever waits for it is told (asked again: there is no such job in memory). */
void job_forget(struct job *j);
struct job *job_find(struct pool *p, struct str id);
/* Queues a job whose row is durable (again), and sets its timers. */
void job_enqueue(struct job *j);
/* The same after its pause, if there is one; or its end, when somebody cancelled it, its time is
   over or no backend is left for it. */
void job_wait_again(struct job *j);
/* Of one that had no attempt yet: its end, as above, or job_admit. */
void job_wait_first(struct job *j);
/* Its workflow could not be read: in a moment again. */
void job_wait_for_store(struct job *j);
/* Sets the timers of a job that is queued or running, from its record. */
void job_set_timers(struct job *j);
/*
 * The job's attempt is over: stores what the job becomes. outputs are taken, and may be NULL;
 * profile and measurement (see measurement_end) may be empty. True: the attempt is given up and
 * kept by the stray that its prompt is now, since the job waits for a retry.
 */
bool job_conclude(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                  struct str profile, struct str measurement);
/* It is not queued, nor about to be: somebody has it. */
void job_stop_waiting(struct job *j);
/* Ends a queued job without another attempt. code ERR_NONE: it is cancelled; else it fails. */
void job_end_queued(struct job *j, enum err code, const char *message);
/* The same of one of many, whose profiles take their time: as deadlines have it, some a turn. It
   fails with the first reason that was given. */
void job_end_queued_soon(struct job *j, enum err code, const char *message);
/* A cancel of a job that has not ended: noted once; what it means depends on where the job is. */
void job_cancel(struct job *j);
/* After POST /retry: a terminal job (from store_load_job; taken) is queued again. */
struct job *job_revive(struct pool *p, struct store_active *take);
/* True when it may wait (again); else its end is on its way, with each backend's reason. */
bool job_may_wait(struct job *j);
/* The ticket is woken when the job has ended; or at the next change of its live profile. */
void job_add_waiter(struct job *j, uint64_t ticket);
void job_add_watcher(struct job *j, uint64_t ticket);
/* Its live profile is another one now. */
void job_has_changed(struct job *j);
/* The profile of a job as far as it is known, as of its last change: the same text until the next
   one. Of a job that is not profiled: the states of its nodes, without times. */
void job_live_profile(struct job *j, struct buf *out);

#endif
