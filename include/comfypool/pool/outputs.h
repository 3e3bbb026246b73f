/* Files of ended jobs: copies that are kept here, and the backends' own. */
#ifndef COMFYPOOL_POOL_OUTPUTS_H
#define COMFYPOOL_POOL_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/time.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/render/render.h"

struct pool;

/* What a backend told of a file right after its job's end. */
struct output_stamp {
    int64_t size;       /* bytes; below 0: not known */
    int64_t modified_s; /* since the Unix epoch, by the server's clock; below 0: not known */
    char etag[96];      /* "": not known */
};
/* Of output n of the job that ended then. */
struct output_stamp pool_output_stamp(struct pool *p, int64_t seq, struct wall_us ended_at,
                                      size_t n);
/* Whether the answer to GET /view (status 200 or 206; length of its body, below 0: not known) is
   the file of that stamp, as far as both tell. */
bool stamp_matches(const struct output_stamp *s, struct http_call *call, unsigned status,
                   int64_t length);

/* Sets `kept` and `size` of a job's files. */
void pool_mark_copies(struct pool *p, const char *job_id, struct render_output *list, size_t len);
/* The copy of output n of `len`. Below 0: there is none. Owner of the descriptor: the caller. */
int pool_open_copy(struct pool *p, const char *job_id, size_t n, size_t len,
                   char ret_sha256[DIGEST_HEX_SIZE], uint64_t *ret_size);

/* Asks a backend for a file; see comfy_view. NULL: no backend has this name. */
struct http_call *pool_view_output(struct pool *p, const char *backend,
                                   const struct render_output *o, const char *const *headers,
                                   const struct http_sink *sink, http_done_fn done, void *ctx);

/* Why a file is not had, for people: stamp_matches says no; render_output_is_at_server does; the
   backend has none of this name. */
extern const char fetch_is_another[];
extern const char fetch_was_streamed[];
extern const char fetch_is_missing[];

#endif
