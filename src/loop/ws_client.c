/*
 * libwebsockets on the loop. Rules learned from 4.1.6: it would block in getaddrinfo, so it is
 * given addresses; lws_write only in the WRITEABLE callback, with LWS_PRE; a connect that fails may
 * say so from inside lws_client_connect_via_info; destroying a context on a foreign loop takes two
 * calls with a run of the loop between. A connection is freed in WSI_DESTROY or, when there is no
 * wsi, by its timer's close callback.
 */
#include "comfypool/loop/ws_client.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/loop/loop.h"

enum { MAX_ADDRESSES = 8, READ_CHUNK = 128 * 1024 };

struct ws_client {
    struct lws_context *context;
    uv_loop_t *loop;
    struct ws_conn *conns;
    bool closing;
};

struct ws_conn {
    struct ws_client *client;
    struct ws_conn *next, **link;
    struct lws *wsi;
    struct ws_events events;
    void *ctx;
    bool dropped; /* nobody is told anything any more */
    bool opened;
    bool resolving;
    bool connecting; /* inside lws_client_connect_via_info */
    bool failed_inside;
    char *host, *host_header, *path;
    int port;
    bool tls;
    struct buf headers; /* raw header lines */
    char addresses[MAX_ADDRESSES][INET6_ADDRSTRLEN];
    size_t addresses_len, address_at;
    uv_getaddrinfo_t resolve;
    uv_timer_t timer; /* the connect deadline, and the deferred end */
    bool timer_live;
    struct buf in;
    size_t max_message;
    bool skipping;  /* the message is too large */
    struct buf out; /* LWS_PRE bytes, then one text */
    bool ping_due;
    char why[160];
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

static const struct lws_protocols protocols[] = {
    {.name = "comfyui", .callback = on_event, .rx_buffer_size = READ_CHUNK},
    {.name = NULL},
};

static void free_conn(struct ws_conn *c)
{
    *c->link = c->next;
    if (c->next != NULL) {
        c->next->link = c->link;
    }
    free(c->host);
    free(c->host_header);
    free(c->path);
    buf_done(&c->headers);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c);
}

static void timer_closed(uv_handle_t *handle)
{
    struct ws_conn *c = handle->data;
    c->timer_live = false;
    if (c->wsi == NULL && !c->resolving) {
        free_conn(c);
    }
}

/* The connection is over: tells once, and lets go of what still lives. */
static void end(struct ws_conn *c, const char *why)
{
    if (!c->dropped) {
        c->dropped = true;
        c->events.closed(c->ctx, why);
    }
    if (c->timer_live && !uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_close((uv_handle_t *)&c->timer, timer_closed);
    }
}

static void try_next_address(struct ws_conn *c);

static void deferred_end(uv_timer_t *timer)
{
    struct ws_conn *c = timer->data;
    end(c, c->why);
}

static void end_soon(struct ws_conn *c, const char *why)
{
    (void)snprintf(c->why, sizeof c->why, "%s", why);
    if (c->timer_live && !uv_is_closing((uv_handle_t *)&c->timer)) {
        (void)uv_timer_start(&c->timer, deferred_end, 0, 0);
    }
}

static void kill_wsi(struct ws_conn *c)
{
    if (c->wsi != NULL) {
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    }
}

static void connect_late(uv_timer_t *timer)
{
    struct ws_conn *c = timer->data;
    kill_wsi(c);
    end(c, "it did not answer in time");
}

/* ---- libwebsockets' callback ------------------------------------------------------------------
 */

static void receive(struct ws_conn *c, struct lws *wsi, const void *in, size_t len)
{
    if (lws_is_first_fragment(wsi) != 0) {
        buf_clear(&c->in);
        c->in.max = c->max_message;
    }
    buf_add(&c->in, in, len);
    if (c->in.overflow) {
        kill_wsi(c);
        end(c, "a message was too large");
        return;
    }
    if (lws_is_final_fragment(wsi) == 0 || lws_remaining_packet_payload(wsi) != 0) {
        return;
    }
    loop_note("websocket message");
    if (lws_frame_is_binary(wsi) != 0) {
        c->events.binary(c->ctx, buf_str(&c->in));
    } else {
        c->events.text(c->ctx, &c->in);
    }
}

static int write_due(struct ws_conn *c, struct lws *wsi)
{
    if (c->ping_due) {
        unsigned char ping[LWS_PRE + 4] = {0};
        c->ping_due = false;
        if (lws_write(wsi, ping + LWS_PRE, 4, LWS_WRITE_PING) < 0) {
            return -1;
        }
        if (c->out.len > 0) {
            (void)lws_callback_on_writable(wsi);
        }
        return 0;
    }
    if (c->out.len > LWS_PRE) {
        const size_t n = c->out.len - LWS_PRE;
        const int wrote = lws_write(wsi, (unsigned char *)c->out.data + LWS_PRE, n, LWS_WRITE_TEXT);
        buf_clear(&c->out);
        if (wrote < (int)n) {
            return -1;
        }
    }
    return 0;
}

static int append_headers(struct ws_conn *c, void *in, size_t len)
{
    unsigned char **at = in;
    if (c->headers.len > len) {
        return -1;
    }
    if (c->headers.len > 0) {
        memcpy(*at, c->headers.data, c->headers.len);
        *at += c->headers.len;
    }
    return 0;
}

static void connect_failed(struct ws_conn *c, const char *why)
{
    (void)snprintf(c->why, sizeof c->why, "%s", why);
    c->wsi = NULL;
    if (c->connecting) {
        c->failed_inside = true;
    } else if (!c->dropped && c->address_at < c->addresses_len) {
        try_next_address(c);
    } else {
        end(c, c->why);
    }
}

static void wsi_gone(struct ws_conn *c)
{
    c->wsi = NULL;
    if (!c->timer_live && !c->resolving) {
        free_conn(c);
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct ws_conn *c = user;
    if (c == NULL) {
        return 0;
    }
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_headers(c, in, len);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        connect_failed(c, in == NULL ? "the connection failed" : in);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (c->dropped) {
            return -1;
        }
        c->opened = true;
        (void)uv_timer_stop(&c->timer);
        c->events.open(c->ctx);
        return c->dropped ? -1 : 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        if (!c->dropped) {
            receive(c, wsi, in, len);
        }
        return c->dropped ? -1 : 0;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        if (!c->dropped) {
            c->events.pong(c->ctx);
        }
        return c->dropped ? -1 : 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return c->dropped ? -1 : write_due(c, wsi);
    case LWS_CALLBACK_CLIENT_CLOSED:
        end(c, "the connection was closed");
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (c->wsi == wsi) {
            wsi_gone(c);
        }
        return 0;
    default:
        return 0;
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void try_next_address(struct ws_conn *c)
{
    while (!c->dropped && c->address_at < c->addresses_len) {
        const char *address = c->addresses[c->address_at++];
        struct lws_client_connect_info info = {
            .context = c->client->context,
            .address = address,
            .port = c->port,
            .ssl_connection = c->tls ? LCCSCF_USE_SSL : 0,
            .path = c->path,
            .host = c->host_header,
            .userdata = c,
            .local_protocol_name = protocols[0].name,
            .pwsi = &c->wsi,
        };
        c->failed_inside = false;
        c->connecting = true;
        struct lws *wsi = lws_client_connect_via_info(&info);
        c->connecting = false;
        if (wsi != NULL && !c->failed_inside) {
            return;
        }
        c->wsi = NULL;
    }
    if (!c->dropped) {
        end_soon(c, c->why[0] == '\0' ? "the connection failed" : c->why);
    }
}

static void add_address(struct ws_conn *c, const struct addrinfo *a)
{
    char *to = c->addresses[c->addresses_len];
    const int error = a->ai_family == AF_INET6
                          ? uv_ip6_name((const struct sockaddr_in6 *)(const void *)a->ai_addr, to,
                                        INET6_ADDRSTRLEN)
                          : uv_ip4_name((const struct sockaddr_in *)(const void *)a->ai_addr, to,
                                        INET6_ADDRSTRLEN);
    if (error == 0) {
        c->addresses_len++;
    }
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct ws_conn *c = request->data;
    c->resolving = false;
    for (const struct addrinfo *a = list; a != NULL && c->addresses_len < MAX_ADDRESSES;
         a = a->ai_next) {
        add_address(c, a);
    }
    uv_freeaddrinfo(list);
    if (c->dropped) {
        if (!c->timer_live) {
            free_conn(c);
        }
        return;
    }
    if (c->addresses_len == 0) {
        (void)snprintf(c->why, sizeof c->why, "its name cannot be resolved: %s",
                       status < 0 ? uv_strerror(status) : "no address");
    }
    try_next_address(c);
}

static void resolve(struct ws_conn *c)
{
    struct in6_addr numeric;
    if (uv_inet_pton(AF_INET, c->host, &numeric) == 0 ||
        uv_inet_pton(AF_INET6, c->host, &numeric) == 0) {
        (void)snprintf(c->addresses[0], sizeof c->addresses[0], "%s", c->host);
        c->addresses_len = 1;
        try_next_address(c);
        return;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    c->resolve.data = c;
    const int error = uv_getaddrinfo(c->client->loop, &c->resolve, resolved, c->host, NULL, &hints);
    if (error == 0) {
        c->resolving = true;
    } else {
        end_soon(c, uv_strerror(error));
    }
}

struct ws_conn *ws_connect(struct ws_client *client, const struct ws_spec *spec,
                           const struct ws_events *events, void *ctx)
{
    struct ws_conn *c = mem_zero(1, sizeof *c);
    c->client = client;
    c->events = *events;
    c->ctx = ctx;
    c->host = mem_strdup(spec->host);
    c->host_header = mem_strdup(spec->host_header);
    c->path = mem_strdup(spec->path);
    c->port = spec->port;
    c->tls = spec->tls;
    c->max_message = spec->max_message;
    buf_init(&c->headers, 16384);
    for (const char *const *h = spec->headers; h != NULL && *h != NULL; h++) {
        buf_printf(&c->headers, "%s\r\n", *h);
    }
    buf_init(&c->in, spec->max_message);
    buf_init(&c->out, 65536);
    c->next = client->conns;
    c->link = &client->conns;
    if (c->next != NULL) {
        c->next->link = &c->next;
    }
    client->conns = c;
    (void)uv_timer_init(client->loop, &c->timer);
    c->timer.data = c;
    c->timer_live = true;
    (void)uv_timer_start(&c->timer, connect_late, (uint64_t)(spec->connect_timeout.us / 1000), 0);
    resolve(c);
    return c;
}

void ws_send_text(struct ws_conn *c, struct str text)
{
    if (c->dropped || c->wsi == NULL) {
        return;
    }
    static const char room[LWS_PRE];
    buf_clear(&c->out);
    buf_add(&c->out, room, LWS_PRE);
    buf_add_str(&c->out, text);
    (void)lws_callback_on_writable(c->wsi);
}

void ws_ping(struct ws_conn *c)
{
    if (!c->dropped && c->wsi != NULL) {
        c->ping_due = true;
        (void)lws_callback_on_writable(c->wsi);
    }
}

void ws_drop(struct ws_conn *c)
{
    c->dropped = true;
    kill_wsi(c);
    if (c->timer_live && !uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_close((uv_handle_t *)&c->timer, timer_closed);
    }
}

/* ---- the context ----------------------------------------------------------------------------- */

static void log_lws(int level, const char *line)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s", line);
    text[strcspn(text, "\n")] = '\0';
    LOG(LOG_DEBUG, "libwebsockets", LOG_I("lws_level", level), LOG_S("text", text));
}

struct ws_client *ws_client_new(uv_loop_t *loop)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
    struct ws_client *c = mem_zero(1, sizeof *c);
    c->loop = loop;
    void *loops[] = {loop};
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .pt_serv_buf_size = READ_CHUNK,
        .gid = -1,
        .uid = -1,
        .pcontext = &c->context, /* cleared when the context is really gone */
    };
    c->context = lws_create_context(&info);
    if (c->context == NULL || lws_create_vhost(c->context, &(struct lws_context_creation_info){
                                                               .port = CONTEXT_PORT_NO_LISTEN,
                                                               .protocols = protocols,
                                                               .options = info.options}) == NULL) {
        LOG_PLAIN(LOG_ERROR, "cannot make the WebSocket context (is the package "
                             "libwebsockets-evlib-uv installed?)");
        abort();
    }
    return c;
}

void ws_client_close(struct ws_client *c)
{
    c->closing = true;
    for (struct ws_conn *conn = c->conns; conn != NULL; conn = conn->next) {
        conn->dropped = true;
        if (conn->timer_live && !uv_is_closing((uv_handle_t *)&conn->timer)) {
            uv_close((uv_handle_t *)&conn->timer, timer_closed);
        }
    }
    lws_context_destroy(c->context);
}

void ws_client_finish(struct ws_client *c)
{
    /* The second call frees what the first one had to leave to the loop. */
    if (c->context != NULL) {
        lws_context_destroy(c->context);
    }
    free(c);
}
