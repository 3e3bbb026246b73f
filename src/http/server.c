/*
 * The server: listening sockets, one libmicrohttpd daemon for each, and the order in which all of
 * it ends: drain (no new connections, holds are over), then close (every suspended connection is
 * resumed first, or libmicrohttpd aborts the process).
 */
#include "internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comfypool/base/log.h"

enum {
    /* Of a connection, for its headers and pieces of its body. */
    CONNECTION_MEMORY = 32 * 1024,
    /* Seconds without a byte either way; held and streaming ones do not count. */
    CONNECTION_IDLE_S = 75
};

/* ---- life --------------------------------------------------------------------------------------
 */

struct http_server *http_server_new(uv_loop_t *loop, const struct http_options *options,
                                    http_serve_fn serve, void *ctx)
{
    struct http_server *s = mem_zero(1, sizeof *s);
    s->loop = loop;
    s->options = *options;
    s->serve = serve;
    s->ctx = ctx;
    hold_init(s);
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
    heap_done(&s->holds);
    free(s->slots);
    free(s);
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    *ret = s->stats;
}

/* ---- listening ---------------------------------------------------------------------------------
 */

/* "127.0.0.1:8189", "[::1]:8189", ":8189" (every address). */
static bool split_address(const char *address, char host[256], char port[16])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535) {
        return false;
    }
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return false; /* IPv6 without brackets */
    }
    if (n >= 256) {
        return false;
    }
    (void)snprintf(host, 256, "%.*s", (int)n, address);
    (void)snprintf(port, 16, "%s", colon + 1);
    return true;
}

/* TCP_NODELAY is inherited by the accepted sockets. */
static int open_socket(const struct addrinfo *a)
{
    const int on = 1;
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (a->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        const int e = errno;
        (void)close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int listen_at(const char *address, char *why, size_t why_size)
{
    char host[256];
    char port[16];
    if (!split_address(address, host, port)) {
        (void)snprintf(why, why_size, "%s: an address is HOST:PORT or [IPv6]:PORT", address);
        return -1;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int rc = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
    if (rc != 0) {
        (void)snprintf(why, why_size, "cannot listen on %s: %s", address, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = open_socket(a);
    }
    if (fd < 0) {
        (void)snprintf(why, why_size, "cannot listen on %s: %s", address, strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

static void write_url(int fd, char *ret, size_t size)
{
    struct sockaddr_storage at = {0};
    socklen_t n = sizeof at;
    char host[INET6_ADDRSTRLEN + 32] = "";
    char port[16] = "";
    (void)getsockname(fd, (struct sockaddr *)&at, &n);
    (void)getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(ret, size, at.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host,
                   port);
}

/* ---- libmicrohttpd -----------------------------------------------------------------------------
 */

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    (void)connection;
    (void)socket_context;
    struct listener *l = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        l->server->stats.connections++;
    } else {
        l->server->stats.connections--;
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

/* Targets are unescaped by the router; libmicrohttpd is to leave them alone. */
static size_t no_unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct listener *l)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_handle, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_CONNECTION_LIMIT,
        l->server->options.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_IDLE_S,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, l, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, MHD_OPTION_END);
}

bool http_server_listen(struct http_server *s, const char *address, char *ret_url, size_t url_size,
                        char *why, size_t why_size)
{
    const int fd = listen_at(address, why, why_size);
    if (fd < 0) {
        return false;
    }
    struct listener *l = mem_zero(1, sizeof *l);
    l->server = s;
    l->fd = fd;
    l->daemon = start_daemon(l);
    if (l->daemon == NULL) {
        (void)snprintf(why, why_size, "cannot listen on %s: libmicrohttpd did not start", address);
        (void)close(fd);
        free(l);
        return false;
    }
    l->host = mhd_host_new(s->loop, l->daemon);
    l->next = s->listeners;
    s->listeners = l;
    s->refs++;
    write_url(fd, ret_url, url_size);
    return true;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void stop_listening(struct listener *l)
{
    if (l->fd >= 0) {
        const MHD_socket fd = MHD_quiesce_daemon(l->daemon);
        (void)close(fd == MHD_INVALID_SOCKET ? l->fd : fd);
        l->fd = -1;
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
        if (x != NULL && heap_holds(&x->by_deadline)) {
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

void http_server_close(struct http_server *s)
{
    http_server_drain(s);
    s->closing = true;
    /* What is answered goes out as far as the sockets take it. */
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
    hold_close(s);
}
