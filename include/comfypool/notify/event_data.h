/* Data of the events of attempts and backends, as JSON objects. Each appends to `out`. */
#ifndef COMFYPOOL_NOTIFY_EVENT_DATA_H
#define COMFYPOOL_NOTIFY_EVENT_DATA_H

#include "comfypool/base/buf.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"
#include "comfypool/core/progress.h"
#include "comfypool/core/progress_pace.h"

/* The attempt that an event is about. */
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
/* Renders job:output of a node; returns its number of files. *ret_bare: length of the data without
   them, except for the closing brace. */
size_t event_render_output(const struct event_attempt *a, struct str node_id, struct str ui,
                           size_t *ret_bare, struct buf *out);
void event_render_progress(const struct event_attempt *a, const struct progress_pace *p,
                           struct buf *out);
/* class_type: p NULL: unknown. */
void event_render_node(const struct event_attempt *a, const struct progress_change *c,
                       struct str class_type, struct buf *out);
void event_render_backend(const char *name, const char *state, struct buf *out);
/*
 * Renders members of a Job in job:retrying: "failedAttempt", which ended, and "retryAt", when the
 * next may begin. No braces.
 */
void event_render_retry(const struct event_attempt *a, enum attempt_outcome outcome,
                        const struct job_error *error, struct wall_us retry_at, struct buf *out);

#endif
