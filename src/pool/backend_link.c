/*
 * Tracks how long a backend's link is down, or its port refuses, and acts on it: opens a fresh
 * connection, or gives up what runs there.
 */
#include "backends.h"
#include "state.h"

/* Fires when the link was down for so long that jobs no longer wait for the backend. */
static void is_gone(void *ctx)
{
    struct backend *b = ctx;
    b->pool->ops->reap_backend(b);
}

void backend_plan_gone(struct backend *b)
{
    struct pool *p = b->pool;
    if (!heap_holds(&b->conn.gone.node) && !p->stopping) {
        deadline_set(&p->deadlines, &b->conn.gone,
                     mono_add(b->conn.down_since, dur_ms(p->options.backend_lost.us / 1000 + 1)),
                     is_gone, b);
    }
}

void backend_renew(struct backend *b, struct mono_us now)
{
    b->conn.up = false;
    file_server_set_up(b->file_server, false);
    b->conn.down_since = now;
    backend_plan_gone(b);
    deadline_clear(&b->pool->deadlines, &b->conn.deaf_check);
    b->pool->ops->settle_backend(b);
    comfy_renew(b->comfy);
}

bool backend_is_gone(const struct backend *b, struct mono_us now)
{
    return b->conn.refused_lost.us > 0 && b->conn.refuses_since.us != 0 &&
           mono_diff(now, b->conn.refuses_since).us >= b->conn.refused_lost.us;
}
