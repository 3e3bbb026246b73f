/*
 * The server: one libmicrohttpd daemon for each listening socket, and the order in which everything
 * ends: drain (no new connections, holds are over), then close (every suspended connection is
 * resumed first, or libmicrohttpd aborts the process).
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comfypool/base/log.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/apart.h"
#include "comfypool/loop/mhd_host.h"

#include "conns.h"
#include "exchange.h"
#include "listen.h"
#include "long_poll.h"

enum {
    /* Per connection, for headers and pieces of the body. */
    CONNECTION_MEMORY = 32 * 1024,
    /* Connections to accept beyond the limit, only to refuse them: libmicrohttpd would leave them
       in the backlog for ever. Fewer with a small limit: each takes a descriptor until closed. */
    CONNECTIONS_TO_REFUSE = 64,
    FEW_TO_REFUSE = 2,
    CHECKED_FOR_MS = 5, /* per turn of the loop: cutting costs as much again */
};

/* ---- life ------------------------------------------------------------------------------------ */

struct http_server *http_server_new(uv_loop_t *loop, const struct http_options *options)
{
    struct http_server *s = mem_zero(1, sizeof *s);
    s->loop = loop;
    s->options = *options;
    map_init(&s->addresses);
    s->aparts = aparts_new(loop);
    deadlines_init(&s->deadlines, loop);
    s->refs++;
    return s;
}

void server_unref(struct http_server *s)
{
    s->refs--;
    if (s->refs > 0) {
        return;
    }
    while (s->listeners != NULL) {
        struct listener *l = s->listeners;
        s->listeners = l->next;
        free(l);
    }
    map_done(&s->addresses);
    free(s->tokens);
    free(s->slots);
    free(s);
}

/* Checks streams and held requests, some at a time: there may be thousands, and each token is
   compared with all known ones. The rest follows in another turn. */
static void check_tokens(void *ctx)
{
    struct http_server *s = ctx;
    const struct mono_us until = mono_add(time_mono(), dur_ms(CHECKED_FOR_MS));
    while (s->checked < s->slots_len && mono_before(time_mono(), until)) {
        struct exchange *x = exchange_at(s, s->checked++);
        if (x != NULL) {
            exchange_check_token(x);
        }
    }
    if (s->checked < s->slots_len && !s->closing) {
        deadline_set(&s->deadlines, &s->check, time_mono(), check_tokens, s);
    }
}

void http_server_set_tokens(struct http_server *s, const struct token *tokens, size_t n)
{
    free(s->tokens);
    s->tokens = mem_zero(n + 1, sizeof *tokens);
    s->tokens_len = n;
    if (n > 0) {
        memcpy(s->tokens, tokens, n * sizeof *tokens);
    }
    s->tokens_set++;
    s->checked = 0;
    check_tokens(s);
}

bool http_server_has_tokens(const struct http_server *s)
{
    return s->tokens_len > 0;
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    *ret = s->stats;
}

/* ---- libmicrohttpd --------------------------------------------------------------------------- */

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = conn_open(ctx, connection);
    } else if (*socket_context != NULL) {
        conn_close(*socket_context);
        *socket_context = NULL;
    }
}

static void on_log(void *ctx, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void on_log(void *ctx, const char *format, va_list args)
{
    (void)ctx;
    char text[256];
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    LOG(LOG_DEBUG, "libmicrohttpd", LOG_S("said", text));
}

/* Leaves targets alone: the router unescapes them. */
static size_t no_unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strlen(text);
}

static unsigned connections_to_refuse(const struct http_options *o)
{
    const unsigned few = o->max_connections / 4 + FEW_TO_REFUSE;
    return few < CONNECTIONS_TO_REFUSE ? few : CONNECTIONS_TO_REFUSE;
}

static struct MHD_Daemon *start_daemon(struct listener *l)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_handle, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_CONNECTION_LIMIT,
        l->server->options.max_connections + connections_to_refuse(&l->server->options),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_IDLE_S, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_begin, l, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, MHD_OPTION_END);
}

/* Starts a listener; takes l. */
static bool begin(struct listener *l, char *ret_url, size_t url_size, char *why, size_t why_size)
{
    struct http_server *s = l->server;
    l->daemon = start_daemon(l);
    if (l->daemon == NULL) {
        (void)snprintf(why, why_size, "cannot listen: libmicrohttpd did not start");
        listen_close(l, l->fd);
        free(l);
        return false;
    }
    l->host = mhd_host_new(s->loop, l->daemon);
    l->next = s->listeners;
    s->listeners = l;
    s->refs++;
    listen_url(l->fd, ret_url, url_size);
    return true;
}

bool http_server_listen(struct http_server *s, const char *address, char *ret_url, size_t url_size,
                        char *why, size_t why_size)
{
    struct listener *l = mem_zero(1, sizeof *l);
    l->server = s;
    if (!listen_open(l, address, why, why_size)) {
        free(l);
        return false;
    }
    return begin(l, ret_url, url_size, why, why_size);
}

bool http_server_listen_fd(struct http_server *s, int fd, char *ret_url, size_t url_size, char *why,
                           size_t why_size)
{
    struct listener *l = mem_zero(1, sizeof *l);
    l->server = s;
    if (!listen_adopt(l, fd, why, why_size)) {
        (void)close(fd);
        free(l);
        return false;
    }
    return begin(l, ret_url, url_size, why, why_size);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void stop_listening(struct listener *l)
{
    if (l->fd >= 0) {
        const MHD_socket fd = MHD_quiesce_daemon(l->daemon);
        listen_close(l, fd == MHD_INVALID_SOCKET ? l->fd : fd);
    }
}

void http_server_drain(struct http_server *s)
{
    if (s->draining) {
        return;
    }
    s->draining = true;
    for (struct listener *l = s->listeners; l != NULL; l = l->next) {
        stop_listening(l);
    }
    for (uint32_t i = 0; i < s->slots_len; i++) {
        struct exchange *x = exchange_at(s, i);
        if (x != NULL && heap_holds(&x->hold.node)) {
            hold_end(x);
            x->rq.wait_over = true;
            exchange_serve_again(x);
        }
    }
}

static void on_host_closed(void *ctx)
{
    server_unref(ctx);
}

static void on_deadlines_closed(uv_handle_t *timer)
{
    struct deadlines *d = timer->data;
    server_unref(heap_item(d, struct http_server, deadlines));
}

void http_server_close(struct http_server *s)
{
    http_server_drain(s);
    s->closing = true;
    /* Sends answers as far as the sockets take them. */
    for (struct listener *l = s->listeners; l != NULL; l = l->next) {
        mhd_host_run(l->host);
    }
    for (uint32_t i = 0; i < s->slots_len; i++) {
        struct exchange *x = exchange_at(s, i);
        if (x != NULL) {
            exchange_abandon(x);
        }
    }
    for (struct listener *l = s->listeners; l != NULL; l = l->next) {
        mhd_host_close(l->host, on_host_closed, s);
        MHD_stop_daemon(l->daemon);
        l->daemon = NULL;
    }
    aparts_close(s->aparts); /* frees exchanges whose body was being read */
    deadlines_close(&s->deadlines, on_deadlines_closed);
}
