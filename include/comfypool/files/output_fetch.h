/* Fetches one output of a job from its server: into a directory of ours, or streamed, if it is
   still this job's file (output_stamps.h). */
#ifndef COMFYPOOL_FILES_OUTPUT_FETCH_H
#define COMFYPOOL_FILES_OUTPUT_FETCH_H

#include "comfypool/files/file_servers.h"
#include "comfypool/files/output_stamps.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/render/render.h"
#include "comfypool/store/blobs.h"

struct fetch;

enum fetch_end {
    FETCH_DONE,
    FETCH_GONE,    /* unavailable for good */
    FETCH_TROUBLE, /* perhaps available later */
};

/* Called once, later. why: for people, static or borrowed. sha256 and size: of FETCH_DONE, when the
   file is durable. */
typedef void (*fetch_done_fn)(void *ctx, enum fetch_end end, const char *why, const char *sha256,
                              uint64_t size);

/* stamp is copied. A file of more than `most` bytes is FETCH_GONE. */
struct fetch *fetch_begin(struct file_server *from, const struct output_stamp *stamp,
                          const struct render_output *o, struct blobs *to, uint64_t most,
                          fetch_done_fn done, void *ctx);
/* Cancels it without a callback. */
void fetch_cancel(struct fetch *f);

/* Streams an output; headers ("Name: value", NULL at the end) go with the request. */
struct http_call *output_view(struct file_server *from, const struct render_output *o,
                              const char *const *headers, const struct http_sink *sink,
                              http_done_fn done, void *ctx);

/* Reasons for people why a file is unavailable: stamp_matches is false; it was streamed; the server
   has none of this name. */
extern const char fetch_is_another[];
extern const char fetch_was_streamed[];
extern const char fetch_is_missing[];

#endif
