/* Data on the outputs of ended jobs: their copies, and stamps of the files. */
#ifndef COMFYPOOL_STORE_OUTPUTS_H
#define COMFYPOOL_STORE_OUTPUTS_H

#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"

struct store;

/* Outputs of an ended job that were copied, or will be; see files/output_copies.c. */
struct kept_record {
    int64_t seq; /* of the job */
    char job_id[UUID_SIZE];
    struct wall_us ended_at; /* when the job ended */
    char *files;             /* valid JSON */
};
void kept_record_done(struct kept_record *r);
/* Stores it, unless the job is gone. */
void store_put_kept(struct store *s, const struct kept_record *r);
void store_delete_kept(struct store *s, int64_t seq);
/* Stores what its files were at the job's end; see files/output_stamps.c. Like store_put_kept;
   deleted with the job. */
void store_put_stamps(struct store *s, const struct kept_record *r);

/* Calls `each` for every job with copies, in order of their ends. backend: the job's; NULL: the job
   is gone. Blocks. */
enum err store_load_kept(struct store *s,
                         void (*each)(void *ctx, const struct kept_record *r, const char *backend),
                         void *ctx) MUST_CHECK;

#endif
