/* What the pool waits for before it stops: store operations and submits that are under way. */
#include "state.h"

static void stop_is_complete(void *ctx)
{
    struct pool *p = ctx;
    void (*stopped)(void *) = p->stopped;
    p->stopped = NULL;
    deadline_clear(&p->deadlines, &p->stop_late);
    if (stopped != NULL) {
        stopped(p->stopped_ctx);
    }
}

void pool_await_stop(struct pool *p, struct dur_us most)
{
    const struct mono_us now = time_mono();
    deadline_set(&p->deadlines, &p->stop_late, p->pending.n == 0 ? now : mono_add(now, most),
                 stop_is_complete, p);
}

void pool_look_for_end(void *pool)
{
    struct pool *p = pool;
    if (p->stopped != NULL && p->pending.n == 0) {
        deadline_set(&p->deadlines, &p->stop_late, time_mono(), stop_is_complete, p);
    }
}
