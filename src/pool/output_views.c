/* Files of ended jobs, as others ask for them; see the header. */
#include "comfypool/pool/outputs.h"

#include <string.h>

#include "backends.h"
#include "copies.h"
#include "stamps.h"
#include "state.h"

struct output_stamp pool_output_stamp(struct pool *p, int64_t seq, struct wall_us ended_at,
                                      size_t n)
{
    return stamps_find(p, seq, ended_at, n);
}

void pool_mark_copies(struct pool *p, const char *job_id, struct render_output *list, size_t len)
{
    copies_mark(p, job_id, list, len);
}

int pool_open_copy(struct pool *p, const char *job_id, size_t n, size_t len,
                   char ret_sha256[DIGEST_HEX_SIZE], uint64_t *ret_size)
{
    const char *sha256 = copies_find(p, job_id, n, len);
    if (sha256 == NULL) {
        return -1;
    }
    memcpy(ret_sha256, sha256, DIGEST_HEX_SIZE);
    return blob_open(p->copies.blobs, sha256, ret_size);
}

struct http_call *pool_view_output(struct pool *p, const char *backend,
                                   const struct render_output *o, const char *const *headers,
                                   const struct http_sink *sink, http_done_fn done, void *ctx)
{
    const struct backend *b = map_get(&p->backends_by_name, str_of(backend));
    return b == NULL ? NULL
                     : comfy_view(b->comfy, str_of(o->filename), str_of(o->subfolder),
                                  str_of(o->type), headers, sink, done, ctx);
}
