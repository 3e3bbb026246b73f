/* Publishing events of jobs, attempts and backends: one function per event. */
#ifndef COMFYPOOL_SRC_POOL_EVENT_PUBLISH_H
#define COMFYPOOL_SRC_POOL_EVENT_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/progress_pace.h"
#include "comfypool/loop/deadlines.h"

struct attempt;
struct backend;
struct frame_preview;
struct job;
struct job_record;
struct progress_change;

/* Of an attempt: what was published, and what is pending. */
struct told {
    enum { TOLD_NOTHING, TOLD_ACCEPTED, TOLD_STARTED } of;
    struct progress_pace pace;
    struct deadline later; /* pending progress is published then */
};

/* The newest preview image of an attempt, kept while there are listeners. */
struct preview {
    uint64_t n; /* counts up over all attempts; 0: none */
    char *node_id;
    const char *media_type;
    struct buf image;
};

/* Renders what job:retrying says of the attempt that ended. */
char *publish_render_retry(const struct job *j, const struct attempt *a);
void publish_queued(struct job *j);
void publish_retrying(struct job *j);
void publish_end(struct job *j);
/* Each takes effect once per attempt. */
void publish_accepted(struct attempt *a);
void publish_started(struct attempt *a);
/* Returns the number of outputs, as render_output_files does. */
size_t publish_output(struct attempt *a, struct str node_id, struct str ui);
/* A progress_fn for an attempt; only while events are wanted. */
void publish_node(void *attempt, const struct progress_change *c);
void publish_progress(struct attempt *a, struct mono_us now);
/* Publishes pending progress of an attempt that is over. */
void publish_last_progress(struct attempt *a);
void publish_preview(struct attempt *a, const struct frame_preview *f);
/* Publishes the backend's state if it changed. state: static. */
void publish_backend(struct backend *b, const char *state);

#endif
