/* Changes that people ask for: made in memory, durable before they are told. */
#ifndef COMFYPOOL_SRC_POOL_CHANGES_H
#define COMFYPOOL_SRC_POOL_CHANGES_H

#include <stdbool.h>

#include "comfypool/base/refusal.h"
#include "comfypool/base/uuid.h"
#include "comfypool/pool/pool.h"

/* Who waits for a change to be durable. */
struct change {
    struct pool *pool;
    pool_done_fn done;
    void *ctx;
    char job_id[UUID_SIZE]; /* what it is about, where that is a job */
};

/* Counts as a write that is under way until it is over. */
struct change *change_new(struct pool *p, const char *job_id, pool_done_fn done, void *ctx);
/* It is durable: tells who waits, and frees the change. A store_kept_fn. */
void change_stored(void *change);
/* The same of one that is not made; takes the refusal. */
void change_refuse(struct change *c, struct refusal *take);
void change_fail(struct change *c, enum err e);
/* A change that cannot be stored now would be forgotten at the next start: it is not made. */
bool change_is_storable(struct pool *p, struct refusal *ret);

#endif
