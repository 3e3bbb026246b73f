/* What the pool waits for before it stops: store operations, POSTs and reads under way. */
#include "state.h"

/* Tells that the stop is complete, or has taken too long. Work that began in this turn is awaited
   as well: requests that came before the stop are read until then. */
static void stop_is_complete(void *ctx)
{
    struct pool *p = ctx;
    const struct mono_us now = time_mono();
    if (p->pending.n > 0 && mono_before(now, p->on_stop.patience)) {
        deadline_set(&p->deadlines, &p->on_stop.late, p->on_stop.patience, stop_is_complete, p);
        return;
    }
    void (*stopped)(void *) = p->on_stop.done;
    p->on_stop.done = NULL;
    deadline_clear(&p->deadlines, &p->on_stop.late);
    if (stopped != NULL) {
        stopped(p->on_stop.ctx);
    }
}

void pool_await_stop(struct pool *p, struct dur_us most)
{
    const struct mono_us now = time_mono();
    p->on_stop.patience = mono_add(now, most);
    deadline_set(&p->deadlines, &p->on_stop.late, p->pending.n == 0 ? now : p->on_stop.patience,
                 stop_is_complete, p);
}

void pool_look_for_end(void *pool)
{
    struct pool *p = pool;
    if (p->on_stop.done != NULL && p->pending.n == 0) {
        deadline_set(&p->deadlines, &p->on_stop.late, time_mono(), stop_is_complete, p);
    }
}
