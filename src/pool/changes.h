/* Changes that clients ask for: made in memory, answered when durable. */
#ifndef COMFYPOOL_SRC_POOL_CHANGES_H
#define COMFYPOOL_SRC_POOL_CHANGES_H

#include <stdbool.h>

#include "comfypool/base/refusal.h"
#include "comfypool/base/uuid.h"
#include "comfypool/pool/pool.h"

/* A change that is answered when it is durable. */
struct change {
    struct pool *pool;
    pool_done_fn done;
    void *ctx;
    char job_id[UUID_SIZE]; /* the job, if it is about one */
};

/* Counts as work under way until it is answered. */
struct change *change_new(struct pool *p, const char *job_id, pool_done_fn done, void *ctx);
/* Answers that the change is durable, and frees it. A store_kept_fn. */
void change_stored(void *change);
/* Answers with a refusal (taken), and frees the change. */
void change_refuse(struct change *c, struct refusal *take);
void change_fail(struct change *c, enum err e);
/* Refuses a change while the store cannot write: it would be lost at the next start. */
bool change_is_storable(struct pool *p, struct refusal *ret);

#endif
