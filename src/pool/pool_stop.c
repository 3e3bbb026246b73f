/* What the pool waits for before it stops: store operations and submits that are under way. */
#include "state.h"

static void stop_is_complete(void *ctx)
{
    struct pool *p = ctx;
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
    deadline_set(&p->deadlines, &p->on_stop.late, p->pending.n == 0 ? now : mono_add(now, most),
                 stop_is_complete, p);
}

void pool_look_for_end(void *pool)
{
    struct pool *p = pool;
    if (p->on_stop.done != NULL && p->pending.n == 0) {
        deadline_set(&p->deadlines, &p->on_stop.late, time_mono(), stop_is_complete, p);
    }
}
