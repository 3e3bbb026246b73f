/* What is told of jobs, attempts and backends: one function an event. */
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

/* Of an attempt: what was told of it, and what is to be told. */
struct told {
    enum { TOLD_NOTHING, TOLD_ACCEPTED, TOLD_STARTED } of;
    struct progress_pace pace;
    struct deadline later; /* what is owed is told then */
};

/* The newest preview image of an attempt, kept while somebody listens for them. */
struct preview {
    uint64_t n; /* counts up over all attempts; 0: there is none */
    char *node_id;
    const char *media_type;
    struct buf image;
};

/* What job:retrying says of the attempt that ended, for a rendered Job. */
char *publish_render_retry(const struct job *j, const struct attempt *a);
void publish_queued(struct job *j);
void publish_retrying(struct job *j);
void publish_end(struct job *j);
/* Each once an attempt. */
void publish_accepted(struct attempt *a);
void publish_started(struct attempt *a);
/* Returns how many outputs it has, as render_output_files. */
size_t publish_output(struct attempt *a, struct str node_id, struct str ui);
/* A progress_fn for an attempt; only when events_wanted. */
void publish_node(void *attempt, const struct progress_change *c);
void publish_progress(struct attempt *a, struct mono_us now);
/* The attempt is over: what is owed goes first. */
void publish_last_progress(struct attempt *a);
void publish_preview(struct attempt *a, const struct frame_preview *f);
/* If its state is another one than was told. state: static. */
void publish_backend(struct backend *b, const char *state);

#endif
