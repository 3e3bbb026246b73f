/*
 * One output of a job, from its backend into a directory of ours. It is this job's file only when
 * the backend has not written it since: servers use names again when their folder was emptied.
 */
#ifndef COMFYPOOL_SRC_POOL_FETCH_H
#define COMFYPOOL_SRC_POOL_FETCH_H

#include "comfypool/loop/http_client.h"
#include "comfypool/render/render.h"
#include "comfypool/store/blobs.h"

struct backend;
struct fetch;

enum fetch_end {
    FETCH_DONE,
    FETCH_GONE,    /* it cannot be had, today or tomorrow */
    FETCH_TROUBLE, /* perhaps it can be had later */
};

/* Called once, later. why: for people, static or borrowed. sha256 and size: of FETCH_DONE, when the
   file is durable. */
typedef void (*fetch_done_fn)(void *ctx, enum fetch_end end, const char *why, const char *sha256,
                              uint64_t size);

/* stamped_end_ms as in job_record. A file of more than `most` bytes cannot be had. */
struct fetch *fetch_begin(struct backend *b, const struct render_output *o, int64_t stamped_end_ms,
                          struct blobs *to, uint64_t most, fetch_done_fn done, void *ctx);
/* No callback follows. */
void fetch_cancel(struct fetch *f);

/* What the headers of the answer say of the file: false when it was written after the attempt. */
bool fetch_is_of_attempt(struct http_call *call, int64_t stamped_end_ms);
extern const char fetch_is_newer[]; /* ... then why, for people */
extern const char fetch_is_missing[];

#endif
