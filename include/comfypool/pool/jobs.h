/*
 * Active jobs, as others see them: what they are now, who waits for them, what people want of them.
 * Ended jobs are the store's. An id is a job's UUID as text.
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

/* An active job as it is now. What it points to is the job's: it lives until the pool is called
   again, or the loop turns. */
struct job_view {
    struct job_record record;    /* its started_at as far as is known by now */
    struct render_job_more more; /* without traceback */
    struct mono_us changed_at;   /* its live profile is another one since then */
    bool is_ending;              /* its end is being stored */
    bool has_open_attempt;       /* its last attempt goes on, or its end is being stored */
};

bool pool_has_job(struct pool *p, const char *id);
/* False: no such job is active. */
bool pool_view_job(struct pool *p, const char *id, struct job_view *ret);

struct job_forecast {
    int64_t position; /* how many jobs are before it; -1: it does not wait, or nobody knows */
    bool is_known;    /* when it starts and completes */
    struct wall_us starts_at, completes_at;
};
/* Of an active job. */
void pool_forecast_job(struct pool *p, const char *id, struct job_forecast *ret);

/* Its profile as far as it is known, as of its last change: the same text until the next one.
   Without profiling: the states of its nodes, without times. Appends. LIVE_PROFILE_LATER: its
   workflow is read first, and then the ticket is woken. LIVE_PROFILE_NONE: that cannot be read, or
   no such job is active. */
enum live_profile { LIVE_PROFILE_HERE, LIVE_PROFILE_LATER, LIVE_PROFILE_NONE };
enum live_profile pool_live_profile(struct pool *p, const char *id, uint64_t ticket,
                                    struct buf *out) MUST_CHECK;
/* Its workflow, as it was submitted. False: it is in the store alone. Appends. */
bool pool_workflow_of(struct pool *p, const char *id, struct buf *out) MUST_CHECK;
/* What is known by now of its open attempt, into the list of its attempts from the store. */
void pool_refresh_attempts(struct pool *p, const char *id, struct attempt_record *list, size_t len);

/* The newest preview image of a running job. It lives as a view does. */
struct preview_view {
    uint64_t n; /* counts up over all jobs */
    const char *job_id;
    unsigned attempt;
    const char *node_id;
    const char *media_type;
    struct str image;
};
/* False: there is none. */
bool pool_preview_of(struct pool *p, const char *id, struct preview_view *ret);
/* The first one behind number `seen` of the job ("": of all that are seen behind the wall). */
bool pool_next_preview(struct pool *p, const char *wall, const char *id, uint64_t seen,
                       struct preview_view *ret);

/* The ids of the active jobs that are seen behind a wall (NULL: of all), in order of submission.
   Owner of the list: the caller. */
size_t pool_list_active(struct pool *p, const char *wall, char (**ret)[UUID_SIZE]);

/* ---- waiting --------------------------------------------------------------------------------- */

/* The ticket is woken when the job has ended; or at the next change of its live profile. The job
   must be active. */
void pool_wait_for_end(struct pool *p, const char *id, uint64_t ticket);
void pool_wait_for_change(struct pool *p, const char *id, uint64_t ticket);

/* ---- what people want of it ------------------------------------------------------------------ */

/* Cancels it, unless it has ended. True: the ticket is woken when that is durable; then it is asked
   for again. */
bool pool_cancel_job(struct pool *p, const char *id, uint64_t ticket);
/* Of those below `done` comes once, when the change is durable or is refused; perhaps before they
   return. */
void pool_change_priority(struct pool *p, const char *id, int priority, pool_done_fn done,
                          void *ctx);
/* Deletes a job that has ended. */
void pool_delete_job(struct pool *p, const char *id, pool_done_fn done, void *ctx);
/* Queues a failed or cancelled job again. extra_data: what is given anew, or NULL; it is taken.
   wall: behind which its files must be seen. */
void pool_retry_job(struct pool *p, const char *id, const char *wall, char **take_extra_data,
                    pool_done_fn done, void *ctx);

/* ---- batches --------------------------------------------------------------------------------- */

/* Ends all of its jobs, some a turn. */
void pool_cancel_batch(struct pool *p, const char *id);
/* When the last of its active jobs will be done. False: it has none, or nobody knows. */
bool pool_forecast_batch(struct pool *p, const char *id, struct wall_us *ret);

#endif
