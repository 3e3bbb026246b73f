/*
 * libwebsockets on libuv. See server.h for what it promises; here is what it takes with lws 4.1.6:
 *
 * - Writes happen outside WRITEABLE callbacks. lws allows it as long as nothing is left in its
 *   own buffer (lws_partial_buffered); what does not fit waits in `out` for WRITEABLE.
 * - A burst of frames is one lws_write: on a ws socket LWS_WRITE_HTTP is passed through raw, so the
 *   frame headers are ours (servers do not mask). That is one system call per burst, not per frame.
 * - protocol.tx_packet_size bounds one send; without it lws sends at most 4 kB at a time.
 * - A connection is cut with shutdown(2): lws then sees its end, and no close frame gets out.
 */
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX (100U << 20)
#define MESSAGE_MAX (4U << 20)
#define STREAM_CHUNK (128U << 10)
#define IDLE_S 75

/* ---- small things ----------------------------------------------------------------------- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 206:
        return "Partial Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Request Entity Too Large";
    case 416:
        return "Range Not Satisfiable";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 502:
        return "Bad Gateway";
    default:
        return "Status";
    }
}

static char *copy_header(struct lws *wsi, enum lws_token_indexes token)
{
    int n = lws_hdr_total_length(wsi, token);
    if (n <= 0) {
        return NULL;
    }
    char *value = sim_alloc((size_t)n + 1);
    if (lws_hdr_copy(wsi, value, n + 1, token) < 0) {
        value[0] = '\0';
    }
    return value;
}

/* The query as consecutive strings, decoded by lws, closed by an empty one. */
static char *copy_query(struct lws *wsi)
{
    int total = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    struct text t = {0};
    for (int i = 0; total > 0; i++) {
        int n = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n <= 0) {
            break;
        }
        text_reserve(&t, (size_t)n + 2);
        if (lws_hdr_copy_fragment(wsi, t.data + t.len, n + 1, WSI_TOKEN_HTTP_URI_ARGS, i) < 0) {
            break;
        }
        t.len += strlen(t.data + t.len) + 1;
    }
    text_add(&t, "", 1);
    return t.data;
}

const char *conn_query(const struct conn *conn, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = conn->query; at && *at; at += strlen(at) + 1) {
        if (!strncmp(at, name, len) && at[len] == '=') {
            return at + len + 1;
        }
    }
    return NULL;
}

static bool is_loopback(const char *host, size_t len)
{
    return (len == 9 && !strncasecmp(host, "localhost", 9)) ||
           (len > 4 && !strncmp(host, "127.", 4)) || (len == 5 && !strncmp(host, "[::1]", 5));
}

/* server.py's origin check: a loopback Host refuses any other Origin. */
static bool is_foreign_origin(struct lws *wsi)
{
    char *origin = copy_header(wsi, WSI_TOKEN_ORIGIN);
    char *host = copy_header(wsi, WSI_TOKEN_HOST);
    bool foreign = false;
    if (origin && host) {
        const char *netloc = strstr(origin, "://");
        netloc = netloc ? netloc + 3 : "";
        size_t netloc_len = strcspn(netloc, "/");
        size_t name_len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
        size_t host_len = strchr(netloc, ':') ? strlen(host) : name_len;
        foreign = netloc_len > 0 && is_loopback(host, name_len) &&
                  (netloc_len != host_len || strncasecmp(netloc, host, host_len) != 0);
    }
    free(origin);
    free(host);
    return foreign;
}

/* ---- connections ------------------------------------------------------------------------ */

static struct conn *conn_of(struct lws *wsi)
{
    return wsi ? lws_get_opaque_user_data(wsi) : NULL;
}

static void forget_request(struct conn *conn)
{
    free(conn->path);
    free(conn->query);
    free(conn->content_type);
    free(conn->range);
    conn->path = conn->query = conn->content_type = conn->range = NULL;
    text_clear(&conn->body);
    if (conn->body.cap > (1U << 20)) {
        text_free(&conn->body);
    }
    conn->too_large = false;
    conn->waiting = false;
    conn->stream = NULL;
}

static void unregister_sid(struct server *server, const char *sid)
{
    for (size_t i = 0; i < server->n_registered; i++) {
        if (!strcmp(server->registry[i].sid, sid)) {
            free(server->registry[i].sid);
            server->n_registered--;
            memmove(&server->registry[i], &server->registry[i + 1],
                    (server->n_registered - i) * sizeof(struct registration));
            return;
        }
    }
}

static void register_sid(struct server *server, struct conn *conn)
{
    for (size_t i = 0; i < server->n_registered; i++) {
        if (!strcmp(server->registry[i].sid, conn->sid)) {
            server->registry[i].conn = conn; /* a dict keeps the place of its key */
            server->registry[i].takes_metadata = false;
            return;
        }
    }
    if (server->n_registered == server->registry_cap) {
        server->registry_cap = server->registry_cap ? server->registry_cap * 2 : 16;
        server->registry =
            sim_grow(server->registry, server->registry_cap * sizeof(struct registration));
    }
    server->registry[server->n_registered++] =
        (struct registration){.sid = sim_strndup(conn->sid, strlen(conn->sid)), .conn = conn};
}

static void conn_free(struct conn *conn)
{
    struct server *server = conn->server;
    sim_on_gone(conn);
    *(conn->prev ? &conn->prev->next : &server->conns) = conn->next;
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    forget_request(conn);
    text_free(&conn->body);
    text_free(&conn->answer);
    text_free(&conn->rx);
    text_free(&conn->out);
    free(conn->sid);
    free(conn);
}

/* ws_closed: server.py pops its id, whoever has it by now. */
static void ws_closed(struct conn *conn)
{
    if (conn->sid) {
        unregister_sid(conn->server, conn->sid);
    }
    for (size_t i = 0; i < conn->server->n_registered;) { /* never leave a dead pointer */
        struct registration *entry = &conn->server->registry[i];
        if (entry->conn == conn) {
            unregister_sid(conn->server, entry->sid);
        } else {
            i++;
        }
    }
    conn->is_ws = false;
}

static void conn_cut(struct conn *conn)
{
    if (!conn->cut) {
        conn->cut = true;
        shutdown(conn->fd, SHUT_RDWR);
        if (conn->frozen) {
            conn->frozen = false;
            lws_rx_flow_control(conn->wsi, 1);
        }
    }
}

void conn_drop(struct conn *conn)
{
    conn_cut(conn);
}

/* ---- HTTP answers ----------------------------------------------------------------------- */

static void add_head(struct conn *conn, int status, const char *type, const char *headers,
                     uint64_t len)
{
    struct text *t = &conn->answer;
    text_clear(t);
    TEXT_LIT(t, "HTTP/1.1 ");
    text_int(t, status);
    TEXT_LIT(t, " ");
    text_str(t, reason_of(status));
    TEXT_LIT(t, "\r\nContent-Type: ");
    text_str(t, type);
    TEXT_LIT(t, "\r\n");
    if (headers) {
        text_str(t, headers);
    }
    TEXT_LIT(t, "Content-Length: ");
    text_int(t, (int64_t)len);
    TEXT_LIT(t, "\r\nServer: Python/3.11 aiohttp/3.8.4\r\n\r\n");
}

static void answer_ready(struct conn *conn)
{
    conn->answered = true;
    if (conn->waiting) { /* not within the callback that asked: lws calls back */
        lws_callback_on_writable(conn->wsi);
    }
}

void conn_answer(struct conn *conn, int status, const char *type, const char *headers,
                 const char *body, size_t len)
{
    add_head(conn, status, type, headers, len);
    if (!conn->head) {
        text_add(&conn->answer, body, len);
    }
    answer_ready(conn);
}

void conn_answer_stream(struct conn *conn, int status, const char *type, const char *headers,
                        make_bytes make, uint64_t from, uint64_t to)
{
    add_head(conn, status, type, headers, to - from);
    if (!conn->head) {
        conn->stream = make;
        conn->stream_at = from;
        conn->stream_end = to;
    }
    answer_ready(conn);
}

/* Writes what is ready. Returns what the lws callback returns: not 0 closes the connection. */
static int write_answer(struct conn *conn)
{
    struct text *t = &conn->answer;
    if (t->len > 0) {
        int n = lws_write(conn->wsi, (unsigned char *)t->data, t->len, LWS_WRITE_HTTP);
        if (n < 0) {
            return -1;
        }
        text_clear(t);
        if (t->cap > (1U << 20)) {
            text_free(t);
        }
    }
    if (conn->stream && conn->stream_at < conn->stream_end) {
        if (!lws_partial_buffered(conn->wsi)) {
            unsigned char chunk[STREAM_CHUNK];
            uint64_t left = conn->stream_end - conn->stream_at;
            size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
            conn->stream(conn->stream_at, chunk, n);
            if (lws_write(conn->wsi, chunk, n, LWS_WRITE_HTTP) < 0) {
                return -1;
            }
            conn->stream_at += n;
        }
        lws_set_timeout(conn->wsi, PENDING_TIMEOUT_HTTP_CONTENT, 300);
        lws_callback_on_writable(conn->wsi);
        return 0;
    }
    conn->answered = false;
    bool must_close = conn->too_large;
    forget_request(conn);
    if (lws_http_transaction_completed(conn->wsi) || must_close) {
        return -1;
    }
    return 0;
}

/* Hands the request over; writes the answer when there is one already. */
static int handle_request(struct conn *conn)
{
    conn->answered = false;
    conn->waiting = false;
    sim_on_request(conn);
    if (conn->cut) {
        return -1;
    }
    if (conn->answered) {
        return write_answer(conn);
    }
    conn->waiting = true;
    lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
    return 0;
}

/* ---- requests --------------------------------------------------------------------------- */

static void read_method(struct conn *conn)
{
    struct lws *wsi = conn->wsi;
    conn->head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    conn->method = METHOD_OTHER;
    if (conn->head || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0) {
        conn->method = METHOD_GET;
    } else if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0) {
        conn->method = METHOD_POST;
    }
}

static int on_headers(struct conn *conn, const char *path, size_t len)
{
    struct lws *wsi = conn->wsi;
    forget_request(conn);
    read_method(conn);
    conn->with_api = len >= 5 && !strncmp(path, "/api/", 5);
    conn->path = sim_strndup(conn->with_api ? path + 4 : path, conn->with_api ? len - 4 : len);
    conn->query = copy_query(wsi);
    conn->content_type = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
    conn->range = copy_header(wsi, WSI_TOKEN_HTTP_RANGE);
    if (is_foreign_origin(wsi)) {
        conn_answer(conn, 403, "application/octet-stream", NULL, "", 0);
        return write_answer(conn) ? -1 : -1; /* a body may follow: close */
    }
    char *length = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    uint64_t expected = length ? strtoull(length, NULL, 10) : 0;
    free(length);
    conn->chunked = false;
    char *encoding = copy_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING);
    if (encoding && !strcasecmp(encoding, "chunked")) {
        conn->chunked = true;
    }
    free(encoding);
    if (expected == 0 && !conn->chunked) {
        return handle_request(conn);
    }
    if (expected > BODY_MAX) {
        conn->too_large = true;
    }
    char *expect = copy_header(wsi, WSI_TOKEN_HTTP_EXPECT);
    if (expect && !strcasecmp(expect, "100-continue")) {
        static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
        unsigned char copy[sizeof(go)];
        memcpy(copy, go, sizeof(go));
        if (lws_write(wsi, copy, sizeof(go) - 1, LWS_WRITE_HTTP_HEADERS) < 0) {
            free(expect);
            return -1;
        }
    }
    free(expect);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, 60);
    return 0;
}

/* Takes the chunk framing out of a whole chunked body; false while it is not whole. */
static bool unchunk(struct text *body)
{
    size_t read = 0;
    size_t end = 0;
    for (int pass = 0; pass < 2; pass++) { /* first look, then move */
        read = 0;
        end = 0;
        for (;;) {
            char *line = body->data + read;
            char *stop = memmem(line, body->len - read, "\r\n", 2);
            if (!stop) {
                return false;
            }
            size_t n = (size_t)strtoull(line, NULL, 16);
            read = (size_t)(stop + 2 - body->data);
            if (n > BODY_MAX || read + n + 2 > body->len) {
                return false;
            }
            if (n == 0) {
                break;
            }
            if (pass == 1) {
                memmove(body->data + end, body->data + read, n);
            }
            end += n;
            read += n + 2;
        }
    }
    body->len = end;
    body->data[end] = '\0';
    return true;
}

static int on_body(struct conn *conn, const char *bytes, size_t len)
{
    if (conn->waiting || conn->answered) {
        return 0; /* beyond the end of a chunked body */
    }
    if (!conn->too_large) {
        text_add(&conn->body, bytes, len);
        conn->too_large = conn->body.len > BODY_MAX;
    }
    lws_set_timeout(conn->wsi, PENDING_TIMEOUT_HTTP_CONTENT, 60);
    if (conn->chunked && !conn->too_large && len > 0 && unchunk(&conn->body)) {
        return handle_request(conn);
    }
    return 0;
}

static int on_body_end(struct conn *conn)
{
    if (conn->too_large) {
        static const char body[] = "Maximum request body size 104857600 exceeded";
        conn_answer(conn, 413, "text/plain; charset=utf-8", NULL, body, sizeof(body) - 1);
        return write_answer(conn);
    }
    return handle_request(conn);
}

/* ---- WebSockets ------------------------------------------------------------------------- */

static int on_upgrade(struct conn *conn)
{
    struct lws *wsi = conn->wsi;
    char path[64] = "";
    if (lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI) < 0 ||
        (strcmp(path, "/ws") && strcmp(path, "/api/ws"))) {
        conn_answer(conn, 404, "text/plain; charset=utf-8", NULL, "404: Not Found", 14);
    } else if (is_foreign_origin(wsi)) {
        conn_answer(conn, 403, "application/octet-stream", NULL, "", 0);
    } else {
        free(conn->query);
        conn->query = copy_query(wsi);
        return 0;
    }
    lws_write(wsi, (unsigned char *)conn->answer.data, conn->answer.len, LWS_WRITE_HTTP);
    text_clear(&conn->answer);
    return -1;
}

static void on_established(struct conn *conn)
{
    const char *client = conn_query(conn, "clientId");
    conn->is_ws = true;
    if (client && *client) {
        conn->sid = sim_strndup(client, strlen(client));
    } else {
        unsigned char random[16];
        char sid[33];
        lws_get_random(conn->server->context, random, sizeof(random));
        for (size_t i = 0; i < sizeof(random); i++) {
            snprintf(sid + i * 2, 3, "%02x", random[i]);
        }
        conn->sid = sim_strndup(sid, 32);
    }
    register_sid(conn->server, conn);
    sim_on_socket(conn);
}

static int on_message(struct conn *conn, const char *bytes, size_t len)
{
    struct lws *wsi = conn->wsi;
    if (lws_is_first_fragment(wsi)) {
        conn->rx_len = 0;
        text_clear(&conn->rx);
    }
    conn->rx_len += len;
    if (conn->rx_len > MESSAGE_MAX) {
        static unsigned char why[] = "Message size exceeds limit 4194304";
        lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, why, sizeof(why) - 1);
        return -1;
    }
    if (!conn->had_message) {
        text_add(&conn->rx, bytes, len);
        if (lws_is_final_fragment(wsi)) {
            conn->had_message = true;
            if (!lws_frame_is_binary(wsi)) {
                sim_on_message(conn, conn->rx.data, conn->rx.len);
            }
            text_free(&conn->rx);
        }
    }
    return 0;
}

static int write_frames(struct conn *conn)
{
    if (conn->cut || conn->frozen || conn->out.len == 0) {
        text_clear(&conn->out);
        return 0;
    }
    if (conn->server->held) {
        return 0;
    }
    if (lws_partial_buffered(conn->wsi)) {
        lws_callback_on_writable(conn->wsi);
        return 0;
    }
    if (lws_write(conn->wsi, (unsigned char *)conn->out.data, conn->out.len, LWS_WRITE_HTTP) < 0) {
        return -1;
    }
    text_clear(&conn->out);
    if (conn->out.cap > (8U << 20)) {
        text_free(&conn->out);
    }
    return 0;
}

void conn_send(struct conn *conn, const char *a, size_t a_len, const char *b, size_t b_len,
               bool binary)
{
    if (conn->cut || conn->deaf) {
        return;
    }
    size_t len = a_len + b_len;
    struct text *out = &conn->out;
    text_reserve(out, len + 10);
    unsigned char head[10] = {(unsigned char)(binary ? 0x82 : 0x81)};
    size_t n = 2;
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else if (len < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        n = 4;
    } else {
        head[1] = 127;
        for (size_t i = 0; i < 8; i++) {
            head[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
        }
        n = 10;
    }
    memcpy(out->data + out->len, head, n);
    memcpy(out->data + out->len + n, a, a_len);
    memcpy(out->data + out->len + n + a_len, b, b_len);
    out->len += n + len;
    conn->dirty = true;
    conn->server->any_dirty = true;
}

static struct registration *find_registration(const struct server *server, const char *sid)
{
    for (size_t i = 0; i < server->n_registered; i++) {
        if (!strcmp(server->registry[i].sid, sid)) {
            return &server->registry[i];
        }
    }
    return NULL;
}

static struct conn *find_socket(const struct server *server, const char *sid)
{
    const struct registration *entry = find_registration(server, sid);
    return entry ? entry->conn : NULL;
}

void server_set_takes_metadata(struct server *server, const char *sid, bool takes)
{
    struct registration *entry = find_registration(server, sid);
    if (entry) {
        entry->takes_metadata = takes;
    }
}

bool server_takes_metadata(const struct server *server, const char *sid)
{
    const struct registration *entry = sid ? find_registration(server, sid) : NULL;
    return entry && entry->takes_metadata && !server->plain_previews;
}

void server_send(struct server *server, const char *sid, const char *a, size_t a_len, const char *b,
                 size_t b_len, bool binary)
{
    if (sid) {
        struct conn *conn = find_socket(server, sid);
        if (conn) {
            conn_send(conn, a, a_len, b, b_len, binary);
        }
        return;
    }
    for (size_t i = 0; i < server->n_registered; i++) {
        conn_send(server->registry[i].conn, a, a_len, b, b_len, binary);
    }
}

bool server_reaches(const struct server *server, const char *sid)
{
    return sid ? find_socket(server, sid) != NULL : server->n_registered > 0;
}

void server_flush(struct server *server)
{
    if (!server->any_dirty) {
        return;
    }
    server->any_dirty = false;
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->dirty) {
            conn->dirty = false;
            if (write_frames(conn) < 0) {
                conn_cut(conn);
            }
        }
    }
}

void server_hold(struct server *server, bool hold)
{
    server->held = hold;
    for (struct conn *conn = server->conns; conn && !hold; conn = conn->next) {
        conn->dirty = conn->dirty || conn->out.len > 0;
        server->any_dirty = server->any_dirty || conn->dirty;
    }
}

size_t server_sockets(const struct server *server)
{
    size_t n = 0;
    for (const struct conn *conn = server->conns; conn; conn = conn->next) {
        n += conn->is_ws && !conn->cut;
    }
    return n;
}

void server_cut_sockets(struct server *server)
{
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->is_ws) {
            conn_cut(conn);
        }
    }
}

void server_cut_all(struct server *server)
{
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        conn_cut(conn);
    }
}

void server_unregister(struct server *server)
{
    while (server->n_registered > 0) {
        unregister_sid(server, server->registry[0].sid);
    }
}

void server_silence(struct server *server, bool freeze)
{
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->is_ws && !conn->cut) {
            conn->deaf = true;
            if (freeze && !conn->frozen) {
                conn->frozen = true;
                lws_rx_flow_control(conn->wsi, 0);
            }
        }
    }
}

/* ---- lws -------------------------------------------------------------------------------- */

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct conn *conn = conn_of(wsi);
    (void)user;
    if (!conn) {
        return 0;
    }
    if (conn->cut && reason != LWS_CALLBACK_CLOSED && reason != LWS_CALLBACK_WSI_DESTROY) {
        return reason == LWS_CALLBACK_HTTP || reason == LWS_CALLBACK_HTTP_BODY ||
                       reason == LWS_CALLBACK_HTTP_WRITEABLE || reason == LWS_CALLBACK_RECEIVE
                   ? -1
                   : 0;
    }
    /* Callbacks that are not ours go through lws's default, hence no -Wswitch-enum list. */
    int kind = (int)reason;
    switch (kind) {
    case LWS_CALLBACK_HTTP:
        return on_headers(conn, in, len);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(conn, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_end(conn);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return conn->answered ? write_answer(conn) : 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return on_upgrade(conn);
    case LWS_CALLBACK_ESTABLISHED:
        on_established(conn);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return on_message(conn, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_frames(conn);
    case LWS_CALLBACK_CLOSED:
        ws_closed(conn);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (conn->is_ws) {
            ws_closed(conn);
        }
        lws_set_opaque_user_data(wsi, NULL);
        conn_free(conn);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "comfysim", .callback = callback, .rx_buffer_size = 65536, .tx_packet_size = 4U << 20},
    {.name = NULL},
};

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)events;
    while (status == 0) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct lws *wsi = lws_adopt_socket_vhost(server->vhost, fd);
        if (!wsi) {
            continue; /* lws closed it */
        }
        struct conn *conn = sim_alloc(sizeof(*conn));
        conn->server = server;
        conn->wsi = wsi;
        conn->fd = fd;
        conn->next = server->conns;
        if (conn->next) {
            conn->next->prev = conn;
        }
        server->conns = conn;
        lws_set_opaque_user_data(wsi, conn);
    }
}

bool server_listen(struct server *server)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *list = NULL;
    snprintf(port, sizeof(port), "%d", server->port);
    if (getaddrinfo(server->host, port, &hints, &list) != 0) {
        return false;
    }
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, 1024) == 0;
    freeaddrinfo(list);
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (!ok || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    const void *bound = &address;
    server->port =
        ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)bound)->sin6_port
                                            : ((const struct sockaddr_in *)bound)->sin_port);
    server->listen_fd = fd;
    server->listening = true;
    server->listen_poll.data = server;
    uv_poll_init(server->loop, &server->listen_poll, fd);
    uv_poll_start(&server->listen_poll, UV_READABLE, on_connection);
    return true;
}

static void on_deafened(uv_handle_t *handle)
{
    (void)handle;
}

/* The fd is closed at once, so that connecting is refused from now on. */
void server_deafen(struct server *server)
{
    if (server->listening) {
        server->listening = false;
        uv_poll_stop(&server->listen_poll);
        uv_close((uv_handle_t *)&server->listen_poll, on_deafened);
        close(server->listen_fd);
    }
}

bool server_open(struct server *server, uv_loop_t *loop, const char *host, int port)
{
    static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 65000,
                                            .secs_since_valid_hangup = 65001};
    server->loop = loop;
    server->host = host;
    server->port = port;
    lws_set_log_level(LLL_ERR, NULL);
    void *loops[1] = {loop};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                             .protocols = protocols,
                                             .options = LWS_SERVER_OPTION_LIBUV |
                                                        LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
                                             .foreign_loops = loops,
                                             .gid = -1,
                                             .uid = -1,
                                             .pt_serv_buf_size = 65536,
                                             .max_http_header_data = 16384,
                                             .keepalive_timeout = IDLE_S,
                                             .retry_and_idle_policy = &no_pings};
    server->context = lws_create_context(&info);
    server->vhost = server->context ? lws_create_vhost(server->context, &info) : NULL;
    return server->vhost && server_listen(server);
}

void server_close(struct server *server)
{
    server_deafen(server);
    server_cut_all(server);
    if (server->context) {
        lws_context_destroy(server->context);
    }
}

void server_closed(struct server *server)
{
    while (server->conns) { /* lws has gone; whatever it did not tell us of */
        conn_free(server->conns);
    }
    server_unregister(server);
    free(server->registry);
}
