/*
 * Held requests: one heap of deadlines with one timer, and a watch on each held connection, since
 * libmicrohttpd says nothing about a suspended one. A client that has shut its side down (even only
 * for writing: a hang-up looks the same) has ended its wait.
 */
#include "internal.h"

#include <stdlib.h>

#include "comfypool/base/log.h"

struct watch {
    uv_poll_t poll;
    struct http_server *server;
    struct exchange *x; /* NULL once it is not watched any more */
};

/* ---- hang-ups ----------------------------------------------------------------------------------
 */

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
        w->x = NULL;
        (void)uv_poll_stop(&w->poll); /* before libmicrohttpd closes the descriptor */
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
    }
}

static void on_disconnect(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    if (w->x != NULL && (status < 0 || (events & UV_DISCONNECT) != 0)) {
        exchange_abandon(w->x);
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
        free(w); /* the deadline ends it then */
        return;
    }
    w->poll.data = w;
    w->server = x->server;
    w->x = x;
    x->watch = w;
    x->server->refs++;
    (void)uv_poll_start(&w->poll, UV_DISCONNECT, on_disconnect);
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

static bool ends_before(const struct heap_node *a, const struct heap_node *b)
{
    return mono_before(heap_item(a, const struct exchange, by_deadline)->deadline,
                       heap_item(b, const struct exchange, by_deadline)->deadline);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct http_server *s)
{
    const struct heap_node *top = heap_top(&s->holds);
    if (top == NULL) {
        (void)uv_timer_stop(&s->hold_timer);
        return;
    }
    const struct mono_us at = heap_item(top, const struct exchange, by_deadline)->deadline;
    const int64_t left = mono_diff(at, time_mono()).us;
    uv_update_time(s->loop); /* a timer counts from the loop's time */
    (void)uv_timer_start(&s->hold_timer, on_timer, left <= 0 ? 0 : (uint64_t)(left + 999) / 1000,
                         0);
}

static void over(struct exchange *x)
{
    heap_remove(&x->server->holds, &x->by_deadline);
    x->rq.wait_over = true;
    exchange_serve_again(x);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    const struct mono_us now = time_mono();
    for (struct heap_node *top = heap_top(&s->holds); top != NULL; top = heap_top(&s->holds)) {
        struct exchange *x = heap_item(top, struct exchange, by_deadline);
        if (mono_before(now, x->deadline)) {
            break;
        }
        over(x);
    }
    arm(s);
}

void hold_init(struct http_server *s)
{
    heap_init(&s->holds, ends_before);
    (void)uv_timer_init(s->loop, &s->hold_timer);
    s->hold_timer.data = s;
    s->refs++;
}

static void on_timer_closed(uv_handle_t *handle)
{
    server_unref(handle->data);
}

void hold_close(struct http_server *s)
{
    uv_close((uv_handle_t *)&s->hold_timer, on_timer_closed);
}

/* The timer may run for nothing after it: cheaper than to arm it anew each time. */
void hold_end(struct exchange *x)
{
    heap_remove(&x->server->holds, &x->by_deadline);
}

void http_hold(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_find(s, ref);
    if (x == NULL || heap_holds(&x->by_deadline)) {
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
    heap_push(&s->holds, &x->by_deadline);
    if (heap_top(&s->holds) == &x->by_deadline) {
        arm(s);
    }
    watch_begin(x);
}
