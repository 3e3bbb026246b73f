/*
 * What is remembered of the outputs of ended jobs: their copies, and what the files were.
 */
#ifndef COMFYPOOL_STORE_OUTPUTS_H
#define COMFYPOOL_STORE_OUTPUTS_H

#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"

struct store;

/* Which outputs of an ended job were copied, or are to be; see pool/copies.c. */
struct kept_record {
    int64_t seq; /* of the job */
    char job_id[UUID_SIZE];
    struct wall_us ended_at; /* when the job did */
    char *files;             /* valid JSON */
};
void kept_record_done(struct kept_record *r);
/* Changes nothing when there is no such job any more. */
void store_put_kept(struct store *s, const struct kept_record *r);
void store_delete_kept(struct store *s, int64_t seq);
/* What its files were when the job had ended; see pool/stamps.c. As store_put_kept; it goes with
   the job. */
void store_put_stamps(struct store *s, const struct kept_record *r);

/* Calls `each` for every job with copies, the one that ended first first. backend: the job's; NULL:
   there is no such job any more. Blocks. */
enum err store_load_kept(struct store *s,
                         void (*each)(void *ctx, const struct kept_record *r, const char *backend),
                         void *ctx) MUST_CHECK;

#endif
