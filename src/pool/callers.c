/* Callers that wait for the pool, each under a ticket; see pool.h. */
#include "comfypool/pool/pool.h"

#include "state.h"

void pool_set_callers(struct pool *p, const struct pool_callers *callers)
{
    p->callers = callers == NULL ? (struct pool_callers){.wake = NULL} : *callers;
}

void pool_wake(struct pool *p, uint64_t ticket)
{
    if (p->callers.wake != NULL) {
        p->callers.wake(p->callers.ctx, ticket);
    }
}

bool pool_is_waiting(const struct pool *p, uint64_t ticket)
{
    return p->callers.waits != NULL && p->callers.waits(p->callers.ctx, ticket);
}
