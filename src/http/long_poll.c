/*
 * Held requests: a deadline each, and a watch on each held connection, since libmicrohttpd reports
 * nothing about a suspended one. A client that shuts its side down ends its wait: it is answered
 * with the current state, since it may still read. The reader of a stream that does so is gone.
 */
#include "long_poll.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"

#include "exchange.h"
#include "server.h"

struct watch {
    uv_poll_t poll;
    struct http_server *server;
    struct exchange *exchange; /* NULL when no longer watched */
};

/* ---- hang-ups -------------------------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    server_unref(w->server);
    free(w);
}

void watch_end(struct exchange *x)
{
    struct watch *w = x->watch;
    if (w != NULL) {
        x->watch = NULL;
        w->exchange = NULL;
        (void)uv_poll_stop(&w->poll); /* before libmicrohttpd closes the descriptor */
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
    }
}

static void over(void *ctx)
{
    struct exchange *x = ctx;
    x->rq.wait_over = true;
    exchange_serve_again(x);
}

static void on_disconnect(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct exchange *x = w->exchange;
    if (x == NULL || (status >= 0 && (events & UV_DISCONNECT) == 0)) {
        return;
    }
    if (status >= 0 && heap_holds(&x->hold.node)) {
        watch_end(x);
        hold_end(x);
        over(x);
    } else {
        exchange_abandon(x);
    }
}

void watch_begin(struct exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (x->watch != NULL || info == NULL) {
        return;
    }
    struct watch *w = mem_zero(1, sizeof *w);
    if (uv_poll_init(x->server->loop, &w->poll, info->connect_fd) != 0) {
        free(w); /* then only the deadline ends it */
        return;
    }
    w->poll.data = w;
    w->server = x->server;
    w->exchange = x;
    x->watch = w;
    x->server->refs++;
    (void)uv_poll_start(&w->poll, UV_DISCONNECT, on_disconnect);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

void hold_end(struct exchange *x)
{
    deadline_clear(&x->server->deadlines, &x->hold);
}

void http_hold(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_find(s, ref);
    if (x == NULL || heap_holds(&x->hold.node)) {
        return;
    }
    if (x->rq.wait_over) {
        LOG(LOG_ERROR, "a request was held again after its wait", LOG_S("target", x->target));
        return;
    }
    if (!x->rq.waits || s->draining) {
        x->rq.wait_over = true;
        exchange_serve_again(x);
        return;
    }
    deadline_set(&s->deadlines, &x->hold, x->wait_until, over, x);
    watch_begin(x);
    exchange_check_token(x); /* tokens may have been reloaded since it came */
}
