/*
 * Jobs and profiles on disk. The interface is narrow so that another engine can stand beside
 * SQLite.
 *
 * Writes are asynchronous and durable: each is queued to one writer thread, everything that waits
 * is committed in one transaction (WAL, synchronous=FULL), then all of it is answered on the loop
 * thread, in the order in which it was queued. Reads of one job happen on the loop thread with a
 * connection of their own (microseconds); lists run on libuv's pool, at most two at a time.
 *
 * When the disk is full or read-only: store_insert is answered with ERR_STORE_UNAVAILABLE; every
 * other write is kept, in order, and tried again each second until it succeeds. Each new insert is
 * a try of its own, so that the store recovers by itself.
 *
 * All functions are called on the loop thread.
 */
#ifndef COMFYPOOL_STORE_STORE_H
#define COMFYPOOL_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/core/job.h"

struct store;

/* Called once on the loop thread when the write is durable (ERR_NONE) or was refused. */
typedef void (*store_done_fn)(void *ctx, enum err e);

/*
 * Opens (and makes) the state directory (0700, every file in it 0600), locks it against a second
 * daemon, migrates the schema, starts the writer. Blocks; call before the loop runs.
 * Returns false with a message for people in why (what is wrong and what to do).
 * Owner: the caller, until store_close.
 */
bool store_open(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                size_t why_size) MUST_CHECK;

/*
 * Writes what waits (as far as the disk allows it), ends the writer and frees everything once the
 * loop has run its close callbacks. Callbacks that were not called yet are called before it
 * returns.
 */
void store_close(struct store *s);

/* False since a write failed, until one succeeds. */
bool store_is_writable(const struct store *s);
/* What went wrong last, for people; "" while writable. Lives until the next event. */
const char *store_trouble(const struct store *s);

/* The seq for the next job; counts up. */
int64_t store_next_seq(struct store *s);

/* How many jobs there are in each state, as committed. */
void store_counts(const struct store *s, int64_t ret[JOB_STATE_COUNT]);

/* ---- writes. Everything passed is copied. `done` may be NULL. ---------------------------------
 */

/* A new job with its workflow and extra_data (n == 0: none). May be refused. */
void store_insert(struct store *s, const struct job_record *job, struct str workflow,
                  struct str extra_data, store_done_fn done, void *ctx);

/* The intent: job is running and has one more attempt. Sets state, backend, prompt_id, attempts. */
void store_begin_attempt(struct store *s, const struct job_record *job,
                         const struct attempt_record *attempt, store_done_fn done, void *ctx);

/*
 * An attempt is over and the job is as `job` says: queued again, or terminal. attempt NULL (or
 * number 0): the job ended without one. profile (JSON, n == 0: none) belongs to attempt->number (0
 * for none). The attempt's row is updated; job's whole record is written.
 */
void store_end_attempt(struct store *s, const struct job_record *job,
                       const struct attempt_record *attempt, struct str profile, store_done_fn done,
                       void *ctx);

/* Forgets the open attempt `number` of a job that goes back into the queue: it was never POSTed. */
void store_withdraw_attempt(struct store *s, const struct job_record *job, unsigned number,
                            store_done_fn done, void *ctx);

/* cancel_requested of a running job. */
void store_mark_cancel(struct store *s, const struct job_record *job, store_done_fn done,
                       void *ctx);

/* Deletes a terminal job with all that belongs to it. */
void store_delete(struct store *s, int64_t seq, store_done_fn done, void *ctx);

/*
 * One small step of retention (at most 200 jobs): deletes terminal jobs that ended before `before`,
 * and the oldest terminal ones beyond max_count. *ret_more of the callback: another step would find
 * more.
 */
typedef void (*store_pruned_fn)(void *ctx, unsigned deleted, bool more);
void store_prune(struct store *s, struct wall_us before, int64_t max_count, store_pruned_fn done,
                 void *ctx);

/* ---- reads ----------------------------------------------------------------------------------- */

/* An active job as found at start-up. The callee takes what it points to by clearing it. */
struct store_active {
    struct job_record job;
    char *workflow;
    size_t workflow_len;
    char *extra_data; /* or NULL */
    bool has_attempt; /* an open one */
    struct attempt_record attempt;
};

/* Calls `each` for every queued or running job, in order of seq. Blocks; at start-up only. */
enum err store_load_active(struct store *s, void (*each)(void *ctx, struct store_active *a),
                           void *ctx) MUST_CHECK;

/* ERR_JOB_NOT_FOUND, ERR_STORE_UNAVAILABLE. Owner of the record: the caller. */
enum err store_get_job(struct store *s, struct str id, struct job_record *ret) MUST_CHECK;
/* Appends the workflow's text as it was submitted. */
enum err store_get_workflow(struct store *s, int64_t seq, struct buf *out) MUST_CHECK;
/* Appends the profile of an attempt (number 0: of a job that had none).
   ERR_PROFILING_DISABLED when there is none. */
enum err store_get_profile(struct store *s, int64_t seq, unsigned attempt,
                           struct buf *out) MUST_CHECK;

/*
 * Jobs by seq, newest first: those below before_seq (0: from the newest) whose state is in the mask
 * (1u << state), at most limit. Outputs, node errors and tracebacks above 8 KiB are left out. Runs
 * off the loop; the callee may take records by clearing them.
 */
typedef void (*store_list_fn)(void *ctx, enum err e, struct job_record *jobs, size_t n);
void store_list(struct store *s, unsigned state_mask, int64_t before_seq, unsigned limit,
                store_list_fn done, void *ctx);

#endif
