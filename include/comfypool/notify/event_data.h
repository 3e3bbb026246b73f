/* The data of the events of attempts and backends, as JSON objects. Each appends to `out`. */
#ifndef COMFYPOOL_NOTIFY_EVENT_DATA_H
#define COMFYPOOL_NOTIFY_EVENT_DATA_H

#include "comfypool/base/buf.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/progress_pace.h"

/* Whose event it is. */
struct event_attempt {
    const char *job_id;
    unsigned number;
    const char *backend;
    const char *prompt_id;
    size_t nodes_done, nodes_total;
};

/* job:accepted and job:started; member: "acceptedAt" or "startedAt". */
void event_render_begin(const struct event_attempt *a, const char *member, struct wall_us at,
                        struct buf *out);
/* node:output of what ran there; ret: how many files it has. *ret_bare: so many bytes of `out` tell
   of it without its files, but for the closing brace. */
size_t event_render_output(const struct event_attempt *a, struct str node_id, struct str ui,
                           size_t *ret_bare, struct buf *out);
void event_render_progress(const struct event_attempt *a, const struct progress_pace *p,
                           struct buf *out);
/* class_type: p NULL when it is not known. */
void event_render_node(const struct event_attempt *a, const struct progress_change *c,
                       struct str class_type, struct buf *out);
void event_render_backend(const char *name, const char *state, struct buf *out);
/*
 * Members of a Job in job:retrying: "failedAttempt", what ended, and "retryAt", when the next one
 * may begin. No object: without braces.
 */
void event_render_retry(const struct event_attempt *a, enum attempt_outcome outcome,
                        const struct job_error *error, struct wall_us retry_at, struct buf *out);

#endif
