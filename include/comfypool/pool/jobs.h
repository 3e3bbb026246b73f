/*
 * Active jobs as other rooms see them: views, waiting, and requests. Ended jobs are in the store.
 * An id is a job's UUID as text.
 */
#ifndef COMFYPOOL_POOL_JOBS_H
#define COMFYPOOL_POOL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/refusal.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/job.h"
#include "comfypool/pool/pool.h"
#include "comfypool/render/render.h"

/* ---- what it is ------------------------------------------------------------------------------ */

/* An active job as it is now. Pointers are the job's: valid until the pool is called again, or the
   loop turns. */
struct job_view {
    struct job_record record;    /* with started_at as known so far */
    struct render_job_more more; /* without traceback */
    struct mono_us changed_at;   /* last change of its live profile */
    bool is_ending;              /* its end is being stored */
    bool has_open_attempt;       /* its last attempt runs, or the end is being stored */
};

bool pool_has_job(struct pool *p, const char *id);
/* False: no such job is active. */
bool pool_view_job(struct pool *p, const char *id, struct job_view *ret);

struct job_forecast {
    int64_t position; /* jobs before it; -1: not waiting, or unknown */
    bool is_known;    /* the times below are known */
    struct wall_us starts_at, completes_at;
};
/* Forecasts an active job. */
void pool_forecast_job(struct pool *p, const char *id, struct job_forecast *ret);

/* Appends the profile known so far, as of its last change: the same text until the next change.
   Without profiling: node states without times. LIVE_PROFILE_LATER: the workflow is being read; the
   ticket is woken afterwards. LIVE_PROFILE_NONE: it cannot be read, or no such job is active. */
enum live_profile { LIVE_PROFILE_HERE, LIVE_PROFILE_LATER, LIVE_PROFILE_NONE };
enum live_profile pool_live_profile(struct pool *p, const char *id, uint64_t ticket,
                                    struct buf *out) MUST_CHECK;
/* Appends the workflow as submitted. False: it is only in the store. */
bool pool_workflow_of(struct pool *p, const char *id, struct buf *out) MUST_CHECK;
/* Updates a list of attempts from the store by the open attempt. */
void pool_refresh_attempts(struct pool *p, const char *id, struct attempt_record *list, size_t len);

/* The newest preview image of a running job. Valid as a view is. */
struct preview_view {
    uint64_t n; /* counts up over all jobs */
    const char *job_id;
    unsigned attempt;
    const char *node_id;
    const char *media_type;
    struct str image;
};
/* False: there is no preview. */
bool pool_preview_of(struct pool *p, const char *id, struct preview_view *ret);
/* Returns the first preview after number `seen`, of the job ("": of all jobs visible behind the
   wall). */
bool pool_next_preview(struct pool *p, const char *wall, const char *id, uint64_t seen,
                       struct preview_view *ret);

/* Lists the ids of active jobs visible behind a wall (NULL: all), in order of submission. Owner of
   the list: the caller. */
size_t pool_list_active(struct pool *p, const char *wall, char (**ret)[UUID_SIZE]);

/* ---- waiting --------------------------------------------------------------------------------- */

/* Wakes the ticket when the job has ended, or at the next change of its live profile. The job must
   be active. */
void pool_wait_for_end(struct pool *p, const char *id, uint64_t ticket);
void pool_wait_for_change(struct pool *p, const char *id, uint64_t ticket);

/* ---- what people want of it ------------------------------------------------------------------ */

/* Cancels the job, unless it has ended. True: the ticket is woken when that is durable; then call
   again. */
bool pool_cancel_job(struct pool *p, const char *id, uint64_t ticket);
/* The functions below call `done` once, when the change is durable or refused; perhaps before they
   return. */
void pool_change_priority(struct pool *p, const char *id, int priority, pool_done_fn done,
                          void *ctx);
/* Deletes a job that has ended. */
void pool_delete_job(struct pool *p, const char *id, pool_done_fn done, void *ctx);
/* Queues a failed or cancelled job again. take_extra_data: new extra data, or NULL; taken. wall:
   its files must be visible behind it. */
void pool_retry_job(struct pool *p, const char *id, const char *wall, char **take_extra_data,
                    pool_done_fn done, void *ctx);

/* ---- batches --------------------------------------------------------------------------------- */

/* Cancels all its jobs, some a turn. */
void pool_cancel_batch(struct pool *p, const char *id);
/* Forecasts when its last active job will be done. False: none is active, or unknown. */
bool pool_forecast_batch(struct pool *p, const char *id, struct wall_us *ret);

#endif
