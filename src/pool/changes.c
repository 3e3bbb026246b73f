/* Changes that are being stored; see the header. */
#include "changes.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/pending.h"
#include "comfypool/store/store.h"

#include "state.h"

struct change *change_new(struct pool *p, const char *job_id, pool_done_fn done, void *ctx)
{
    struct change *c = mem_alloc(sizeof *c);
    *c = (struct change){.pool = p, .done = done, .ctx = ctx};
    (void)snprintf(c->job_id, sizeof c->job_id, "%s", job_id);
    pending_add(&p->pending);
    return c;
}

static void tell(struct change *c, struct refusal *why)
{
    struct pool *p = c->pool;
    c->done(c->ctx, why);
    free(c);
    pending_remove(&p->pending);
}

void change_stored(void *change)
{
    tell(change, NULL);
}

void change_refuse(struct change *c, struct refusal *take)
{
    tell(c, take);
    refusal_done(take);
}

void change_fail(struct change *c, enum err e)
{
    struct refusal why;
    (void)refusal_set(&why, e);
    change_refuse(c, &why);
}

bool change_is_storable(struct pool *p, struct refusal *ret)
{
    return store_is_writable(p->store) || refusal_set(ret, ERR_STORE_UNAVAILABLE);
}
