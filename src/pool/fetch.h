/*
 * One output of a job, from its backend into a directory of ours, when it is still this job's file
 * (pool/stamps.h).
 */
#ifndef COMFYPOOL_SRC_POOL_FETCH_H
#define COMFYPOOL_SRC_POOL_FETCH_H

#include "comfypool/loop/http_client.h"
#include "comfypool/render/render.h"
#include "comfypool/store/blobs.h"
#include "comfypool/pool/outputs.h"

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

/* stamp is copied. A file of more than `most` bytes cannot be had. */
struct fetch *fetch_begin(struct backend *b, const struct output_stamp *stamp,
                          const struct render_output *o, struct blobs *to, uint64_t most,
                          fetch_done_fn done, void *ctx);
/* No callback follows. */
void fetch_cancel(struct fetch *f);

#endif
