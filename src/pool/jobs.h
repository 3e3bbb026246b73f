/* The life of a job: made, queued, run, ended. */
#ifndef COMFYPOOL_SRC_POOL_JOBS_H
#define COMFYPOOL_SRC_POOL_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job_options.h"

#include "job.h"

struct attempt;
struct batch;
struct buf;
struct known_jobs;
struct pool;
struct store_active;
struct store_batch;
struct submission;

static inline struct str job_hash(const struct job *j)
{
    return (struct str){j->r.workflow_hash, DIGEST_HEX_SIZE - 1};
}

static inline bool job_has_variants(const struct job *j)
{
    return j->spec != NULL && j->spec->variants_len > 0;
}

/* The only setter of a job's state. False, logged and counted: the table has no such pair. */
bool job_apply(struct job *j, enum job_event e);
/* Makes a job with an id of its own from a submission, whose texts it takes. It is not stored
   yet. known: what has become of the jobs that it is to follow, or NULL. trace: the caller's
   traceparent, or "". */
struct job *job_new(struct pool *p, struct submission *take, const struct known_jobs *known,
                    const char *trace);
/* Makes a job of a batch; all its jobs share one submission. */
struct job *job_new_of_batch(struct pool *p, const struct submission *from,
                             const struct known_jobs *known, const char *trace, struct batch *b,
                             struct str overrides);
/* Makes a job from its row, which is taken. The caller sets its clocks. batch: its batch, whose
   texts are taken; or NULL to read it if needed (at the start only). */
struct job *job_loaded(struct pool *p, struct store_active *take, struct store_batch *batch);
/* As job_loaded, at the start of the daemon: the clocks are carried over from the row. */
struct job *job_resumed(struct pool *p, struct store_active *take);
void job_free(struct job *j);
/* True if it waits for other jobs, or the store is being asked about them. */
bool job_is_chained(const struct job *j);
/* True while it has no attempt, whatever it waits for: jobs, files, its time, or a backend. */
bool job_waits(const struct job *j);
/* Admits a job whose row is durable: it waits for other jobs, for its time, or in the queue. */
void job_admit(struct job *j);
/* Drops it from memory, as if it had never been submitted, and wakes its tickets. */
void job_forget(struct job *j);
struct job *job_find(struct pool *p, struct str id);
/* Puts a job whose row is durable into the queue, and sets its timers. */
void job_enqueue(struct job *j);
/* Queues it again after its retry delay, if it has one; ends it when it was cancelled, is out of
   time, or can run nowhere any more. */
void job_wait_again(struct job *j);
/* The first wait of a job: ends it as job_wait_again does, or admits it. */
void job_wait_first(struct job *j);
/* Its workflow could not be read from the store: tries again in a moment. */
void job_wait_for_store(struct job *j);
/* Sets the timers of a queued or running job from its record. */
void job_set_timers(struct job *j);
/*
 * Stores what the job becomes when its attempt ends. take_outputs may be NULL; profile and
 * measurement (see measurement_end) may be empty. True: the attempt was given up, and the stray
 * that its prompt is now keeps it, because the job waits for a retry.
 */
bool job_conclude(struct job *j, enum job_event e, struct attempt *a, char *take_outputs,
                  struct str profile, struct str measurement);
/* Takes it out of the queue, or stops what would have put it there. */
void job_stop_waiting(struct job *j);
/* Ends a queued job without another attempt: cancelled when code is ERR_NONE, else failed. */
void job_end_queued(struct job *j, enum err code, const char *message);
/* As job_end_queued, for one of many jobs that end together: some each turn, since every profile
   takes time. The first reason counts. */
void job_end_queued_soon(struct job *j, enum err code, const char *message);
/* Cancels a job that has not ended. A second call does nothing. */
void job_cancel(struct job *j);
/* Queues a terminal job again, for POST /retry. batch: as of job_loaded. */
struct job *job_revive(struct pool *p, struct store_active *take, struct store_batch *batch);
/* True if some backend may run it. False: it ends, with the reason of each backend. */
bool job_may_wait(struct job *j);
/* Wakes the ticket when the job has ended, or at the next change of its live profile. */
void job_add_waiter(struct job *j, uint64_t ticket);
void job_add_watcher(struct job *j, uint64_t ticket);
/* True if its live profile needs texts that are being read; the ticket is woken when they are
   there. *ret_lost: they cannot be read. */
bool job_must_wait_for_texts(struct job *j, uint64_t ticket, bool *ret_lost);
/* A pool_ops.texts_came. */
void job_texts_came(struct job *j);
/* Notes that its live profile has changed. */
void job_has_changed(struct job *j);
/* Appends the profile of a running job as of its last change; if it is not profiled, the states of
   its nodes without times. */
void job_live_profile(struct job *j, struct buf *out);

#endif
