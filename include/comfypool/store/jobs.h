/* Jobs: their submission, their state, and lists of them. */
#ifndef COMFYPOOL_STORE_JOBS_H
#define COMFYPOOL_STORE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"
#include "comfypool/store/store.h"

struct key_record;

/* Stores a new job with its workflow and extra_data (n == 0: none), and its key (NULL: none) in one
   transaction; a key older than key->at - 24 h is replaced. Refusable. */
void store_insert(struct store *s, const struct job_record *job, struct str workflow,
                  struct str extra_data, const struct key_record *key,
                  const struct store_beside *beside, store_done_fn done, void *ctx);

/* Stores the job's whole record: a new priority, fewer dependencies. */
void store_update_job(struct store *s, const struct job_record *job,
                      const struct store_beside *beside, store_kept_fn done, void *ctx);

/* Requeues an ended job, with its whole record. Kept like other writes; but if the row was deleted
   meanwhile, nothing is written, and found is false. */
typedef void (*store_revived_fn)(void *ctx, bool found);
void store_revive_job(struct store *s, const struct job_record *job,
                      const struct store_beside *beside, store_revived_fn done, void *ctx);

/* Stores cancel_requested of a running job. */
void store_mark_cancel(struct store *s, const struct job_record *job, store_kept_fn done,
                       void *ctx);

/* Deletes a terminal job and everything of it. */
void store_delete(struct store *s, int64_t seq, store_kept_fn done, void *ctx);

/* An active job as loaded at start-up. The callee takes what it points to by clearing it. */
struct store_active {
    struct job_record job;
    char *workflow; /* NULL: its batch's, see job.overrides */
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* its own, or NULL */
    bool has_attempt;  /* an open one */
    struct attempt_record attempt;
};

/* Calls `each` for every queued or running job, in order of seq. Blocks; at start-up only. */
enum err store_load_active(struct store *s, void (*each)(void *ctx, struct store_active *a),
                           void *ctx) MUST_CHECK;

/*
 * Lists jobs by seq, newest first: those below before_seq (0: from the newest) whose state is in
 * the mask (1u << state), at most limit. Outputs, node errors and tracebacks above 8 KiB are left
 * out. Runs off the loop; the callee may take records by clearing them. A page costs its own rows,
 * however many others there are.
 */
struct job_query {
    unsigned state_mask;
    const char *batch_id; /* "": any or none */
    const char *client;   /* NULL: all */
    int64_t before_seq;
    unsigned limit;
};
typedef void (*store_list_fn)(void *ctx, enum err e, struct job_record *jobs, size_t n);
void store_list(struct store *s, const struct job_query *q, store_list_fn done, void *ctx);

#endif
