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

static bool is_idle(const struct pool *p)
{
    return p->writes == 0 && p->submits == 0 && p->pending.n == 0;
}

void pool_await_stop(struct pool *p, struct dur_us most)
{
    const struct mono_us now = time_mono();
    deadline_set(&p->deadlines, &p->stop_late, is_idle(p) ? now : mono_add(now, most),
                 stop_is_complete, p);
}

void pool_look_for_end(struct pool *p)
{
    if (p->stopped != NULL && is_idle(p)) {
        deadline_set(&p->deadlines, &p->stop_late, time_mono(), stop_is_complete, p);
    }
}

void pool_one_less(struct pool *p, unsigned *counter)
{
    (*counter)--;
    pool_look_for_end(p);
}
