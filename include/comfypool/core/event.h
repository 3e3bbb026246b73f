/*
 * Names of the events of jobs and backends, for server-sent events, webhooks and local hooks. They
 * are part of the API and never change.
 */
#ifndef COMFYPOOL_CORE_EVENT_H
#define COMFYPOOL_CORE_EVENT_H

#include <stdbool.h>

#include "comfypool/base/str.h"
#include "comfypool/core/job.h"

/* symbol, public name, durable: has an id and is replayed, hook: webhooks may ask for it */
#define EVENT_TABLE(X)                                                                             \
    X(EVENT_QUEUED, "job:queued", true, true)       /* stored on disk */                           \
    X(EVENT_ACCEPTED, "job:accepted", true, true)   /* the backend accepted its prompt */          \
    X(EVENT_STARTED, "job:started", true, true)     /* execution_start */                          \
    X(EVENT_PROGRESS, "job:progress", false, false) /* of the running node */                      \
    X(EVENT_NODE, "job:node", false, false) /* a node started, ended, was cached or failed */      \
    X(EVENT_PREVIEW, "job:preview", false, false) /* an image of work in progress */               \
    X(EVENT_OUTPUT, "job:output", true, true)     /* a node has files */                           \
    X(EVENT_RETRYING, "job:retrying", true, true) /* an attempt ended, another one follows */      \
    X(EVENT_COMPLETED, "job:completed", true, true)                                                \
    X(EVENT_FAILED, "job:failed", true, true)                                                      \
    X(EVENT_CANCELLED, "job:cancelled", true, true)                                                \
    X(EVENT_BACKEND, "backend:state", true, false)                                                 \
    X(EVENT_BATCH, "batch:completed", true, true) /* all of its jobs have ended */

enum event_type {
#define X(symbol, name, durable, hook) symbol,
    EVENT_TABLE(X)
#undef X
        EVENT_TYPE_COUNT
};

#define EVENTS_ALL ((1u << EVENT_TYPE_COUNT) - 1)
#define EVENTS_OF_ENDS                                                                             \
    (1u << EVENT_COMPLETED | 1u << EVENT_FAILED | 1u << EVENT_CANCELLED | 1u << EVENT_BATCH)

const char *event_name(enum event_type t);
/* EVENT_TYPE_COUNT: none of this name. */
enum event_type event_from_name(struct str name);
bool event_is_durable(enum event_type t);
bool event_is_for_hooks(enum event_type t);
/* Returns the event of a terminal state. */
enum event_type event_of_end(enum job_state s);

#endif
