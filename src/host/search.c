/*
 * Searches for the process behind a port, on libuv's pool. The request belongs to the pool until
 * `hunted` runs on the loop, cancelled or not; only there it is freed, and uv_loop_close waits for
 * that too.
 */
#include "internal.h"

#include <stdlib.h>

struct host_search {
    uv_work_t work;
    char *root;
    int port;
    host_found_fn done; /* NULL: cancelled */
    void *ctx;
    bool found;
    struct host_process process;
    char why[320];
};

/* Runs on a thread of the pool. */
static void hunt(uv_work_t *work)
{
    struct host_search *s = work->data;
    s->found = proc_find_listener(s->root, s->port, &s->process, s->why, sizeof s->why);
}

static void hunted(uv_work_t *work, int status)
{
    (void)status; /* only host_search_cancel cancels it */
    struct host_search *s = work->data;
    if (s->done != NULL) {
        s->done(s->ctx, s->found ? &s->process : NULL, s->why);
    }
    free(s->root);
    free(s);
}

struct host_search *search_start(uv_loop_t *loop, const char *root, int port, host_found_fn done,
                                 void *ctx)
{
    struct host_search *s = mem_zero(1, sizeof *s);
    s->work.data = s;
    s->root = mem_strdup(root);
    s->port = port;
    s->done = done;
    s->ctx = ctx;
    (void)uv_queue_work(loop, &s->work, hunt, hunted);
    return s;
}

struct host_search *host_search_start(uv_loop_t *loop, int port, host_found_fn done, void *ctx)
{
    return search_start(loop, "/proc", port, done, ctx);
}

void host_search_cancel(struct host_search *s)
{
    s->done = NULL;
    (void)uv_cancel((uv_req_t *)&s->work); /* fails while it runs: then its result is dropped */
}
