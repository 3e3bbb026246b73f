/* What is told of jobs, attempts and backends: one function an event. */
#ifndef COMFYPOOL_SRC_POOL_TELL_H
#define COMFYPOOL_SRC_POOL_TELL_H

#include <stddef.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

struct attempt;
struct backend;
struct buf;
struct frame_preview;
struct job;
struct job_record;
struct progress_change;

/* What job:retrying says of the attempt that ended, for a rendered Job. */
char *tell_render_retry(const struct job *j, const struct attempt *a);
void tell_queued(struct job *j);
void tell_retrying(struct job *j);
void tell_end(struct job *j);
/* Each once an attempt. */
void tell_accepted(struct attempt *a);
void tell_started(struct attempt *a);
/* Returns how many outputs it has, as render_output_files. */
size_t tell_output(struct attempt *a, struct str node_id, struct str ui);
/* A progress_fn for an attempt; only when events_wanted. */
void tell_node(void *attempt, const struct progress_change *c);
void tell_progress(struct attempt *a, struct mono_us now);
/* The attempt is over: what is owed goes first. */
void tell_last_progress(struct attempt *a);
void tell_preview(struct attempt *a, const struct frame_preview *f);
/* If its state is another one than was told. */
void tell_backend(struct backend *b);

#endif
