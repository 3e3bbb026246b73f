/*
 * WebSockets over libwebsockets' raw connections: it has the sockets, TLS and the loop; the upgrade
 * and the framing are here and in ws_frames.c, since its own parser of client frames goes byte by
 * byte (docs/decisions/0006-websocket-framing.md). With TLS that parser is used after all: a raw
 * connection of 4.1.6 begins TLS before it is connected, and fails.
 *
 * Rules learned from 4.1.6: it would block in getaddrinfo, so it is given addresses; lws_write only
 * in the WRITEABLE callback, with LWS_PRE; a failing connect may report that from inside
 * lws_client_connect_via_info; destroying a context on a foreign loop takes two calls with a run of
 * the loop between. A connection is freed in WSI_DESTROY or, when there is no wsi, by its timer's
 * close callback.
 */
#include "comfypool/loop/ws_client.h"

#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/loop/loop.h"
#include "comfypool/loop/ws_frames.h"

enum { MAX_ADDRESSES = 8, READ_CHUNK = 128 * 1024, MAX_ANSWER_HEAD = 16384 };

/* A vhost determines trust: one for each file of certificates, and another after each renewal of
   the file. Old ones live as long as the context: connections use them. */
struct trust {
    struct trust *next;
    struct lws_vhost *vhost;
    char *ca_file;    /* NULL: the system's */
    struct stat read; /* the file as the vhost read it */
    unsigned reads;
};

struct ws_client {
    struct lws_context *context;
    struct trust *trusts;
    uv_loop_t *loop;
    struct ws_conn *conns;
    bool closing;
};

struct ws_conn {
    struct ws_client *client;
    struct ws_conn *next, **link;
    struct lws *wsi;
    const struct lws *failed; /* failed to connect, about to be destroyed */
    struct ws_events events;
    void *ctx;
    bool dropped; /* no more callbacks */
    bool opened;
    bool resolving;
    bool connecting; /* inside lws_client_connect_via_info */
    bool failed_inside;
    char *host, *host_header, *path;
    int port;
    bool tls;
    struct lws_vhost *vhost;
    int untrusted;      /* X509_V_ERR_... of its certificate; 0: none */
    struct buf headers; /* raw header lines */
    char addresses[MAX_ADDRESSES][INET6_ADDRSTRLEN];
    size_t addresses_len, address_at;
    uv_getaddrinfo_t resolve;
    uv_timer_t timer; /* the connect deadline, and the deferred end */
    bool timer_live;
    char key[32];      /* Sec-WebSocket-Key */
    struct buf answer; /* the server's answer to the upgrade, until complete */
    struct ws_frames in;
    struct buf out; /* LWS_PRE bytes, then data to send: frames, or one text (TLS) */
    bool ping_due;  /* TLS */
    char why[160];
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

static const struct lws_protocols protocols[] = {
    {.name = "websocket", .callback = on_event, .rx_buffer_size = READ_CHUNK},
    {.name = NULL},
};

static void free_conn(struct ws_conn *c)
{
    list_remove(c, next, link);
    free(c->host);
    free(c->host_header);
    free(c->path);
    buf_done(&c->headers);
    buf_done(&c->answer);
    ws_frames_done(&c->in);
    buf_done(&c->out);
    free(c);
}

/* Frees it once nothing that calls back is left. */
static void free_when_over(struct ws_conn *c)
{
    if (!c->timer_live && !c->resolving && c->wsi == NULL && c->failed == NULL) {
        free_conn(c);
    }
}

static void timer_closed(uv_handle_t *handle)
{
    struct ws_conn *c = handle->data;
    c->timer_live = false;
    free_when_over(c);
}

/* Ends the connection: reports it once, and closes what is left. */
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
    if (why != c->why) {
        (void)snprintf(c->why, sizeof c->why, "%s", why);
    }
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

/* ---- sending --------------------------------------------------------------------------------- */

static void send_bytes(struct ws_conn *c, struct str bytes)
{
    static const char room[LWS_PRE];
    if (c->dropped || c->wsi == NULL) {
        return;
    }
    if (c->out.len == 0) {
        buf_add(&c->out, room, LWS_PRE);
    }
    buf_add_str(&c->out, bytes);
    (void)lws_callback_on_writable(c->wsi);
}

static void send_frame(struct ws_conn *c, enum ws_opcode opcode, struct str payload)
{
    if (c->tls) { /* the library frames, and answers pings itself */
        c->ping_due = c->ping_due || opcode == WS_PING;
        send_bytes(c, payload);
        return;
    }
    uint32_t mask = 0;
    (void)!getrandom(&mask, sizeof mask, GRND_NONBLOCK);
    AUTO_BUF struct buf frame;
    buf_init(&frame, 65536);
    ws_frames_write(&frame, opcode, payload, mask);
    send_bytes(c, buf_str(&frame));
}

static int write_due(struct ws_conn *c, struct lws *wsi)
{
    if (c->ping_due) {
        unsigned char ping[LWS_PRE + 4] = {0};
        c->ping_due = false;
        if (c->out.len > LWS_PRE) {
            (void)lws_callback_on_writable(wsi); /* one write a callback */
        }
        return lws_write(wsi, ping + LWS_PRE, 4, LWS_WRITE_PING) < 0 ? -1 : 0;
    }
    if (c->out.len <= LWS_PRE) {
        return 0;
    }
    const size_t n = c->out.len - LWS_PRE;
    const int wrote = lws_write(wsi, (unsigned char *)c->out.data + LWS_PRE, n,
                                c->tls ? LWS_WRITE_TEXT : LWS_WRITE_RAW);
    buf_clear(&c->out);
    return wrote < (int)n ? -1 : 0;
}

/* ---- the upgrade ----------------------------------------------------------------------------- */

static void send_upgrade(struct ws_conn *c)
{
    unsigned char nonce[16];
    (void)!getrandom(nonce, sizeof nonce, 0);
    (void)lws_b64_encode_string((const char *)nonce, sizeof nonce, c->key, sizeof c->key);
    AUTO_BUF struct buf b;
    buf_init(&b, 131072);
    buf_printf(&b,
               "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
               c->path, c->host_header, c->key);
    buf_add_str(&b, buf_str(&c->headers));
    buf_add_text(&b, "\r\n");
    send_bytes(c, buf_str(&b));
}

/* Base64 of the SHA-1 of the key and the protocol's own id. */
static void expected_accept(const char *key, char *ret, size_t size)
{
    char text[80];
    unsigned char sum[20];
    const int n = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    (void)lws_SHA1((const unsigned char *)text, (size_t)n, sum);
    (void)lws_b64_encode_string((const char *)sum, sizeof sum, ret, (int)size);
}

/* The value of a header in a whole answer head, or an empty string. */
static struct str header_value(struct str head, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = head.p; p != NULL && p < head.p + head.n; p = strstr(p, "\r\n")) {
        p += *p == '\r' ? 2 : 0;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            p += strspn(p, " \t");
            size_t len = strcspn(p, "\r\n");
            while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
                len--;
            }
            return (struct str){p, len};
        }
    }
    return (struct str){"", 0};
}

/* Judges the complete head of the answer. Returns NULL, or the error. */
static const char *judge_answer(struct ws_conn *c, struct str head)
{
    char accept[64];
    expected_accept(c->key, accept, sizeof accept);
    if (head.n < 12 || strncmp(head.p, "HTTP/1.1 101", 12) != 0) {
        const size_t line = strcspn(head.p, "\r\n");
        (void)snprintf(c->why, sizeof c->why, "it answered the WebSocket upgrade with \"%.*s\"",
                       (int)(line > 60 ? 60 : line), head.p);
        return c->why;
    }
    if (!str_is(header_value(head, "Sec-WebSocket-Accept"), accept)) {
        return "its answer to the WebSocket upgrade is not for us";
    }
    if (header_value(head, "Sec-WebSocket-Extensions").n > 0) {
        return "it uses a WebSocket extension that was not asked for";
    }
    return NULL;
}

static void opened(struct ws_conn *c)
{
    c->opened = true;
    (void)uv_timer_stop(&c->timer);
    if (c->tls) {
        c->events.taken(c->ctx);
    }
    c->events.open(c->ctx);
}

/* Reads bytes before the connection is open. Returns an error or NULL; advances *at past what it
   used: any number of frames may follow. */
static const char *read_answer(struct ws_conn *c, const char **at, size_t *n)
{
    const size_t before = c->answer.len;
    const size_t room = MAX_ANSWER_HEAD - before;
    const size_t taken = *n < room ? *n : room;
    buf_add(&c->answer, *at, taken);
    const char *end = memmem(c->answer.data, c->answer.len, "\r\n\r\n", 4);
    if (end == NULL) {
        *n = 0;
        return c->answer.len == MAX_ANSWER_HEAD ? "its answer to the WebSocket upgrade is too long"
                                                : NULL;
    }
    const size_t head = (size_t)(end - c->answer.data) + 4;
    const char *why = judge_answer(c, (struct str){c->answer.data, head - 2});
    if (why == NULL) {
        opened(c);
        *at += head - before;
        *n -= head - before;
    }
    return why;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static bool message_came(void *ctx, bool binary, struct buf *message)
{
    struct ws_conn *c = ctx;
    loop_note("websocket message");
    if (binary) {
        c->events.binary(c->ctx, buf_str(message));
    } else {
        c->events.text(c->ctx, message);
    }
    return !c->dropped;
}

static bool control_came(void *ctx, enum ws_opcode opcode, struct str payload)
{
    struct ws_conn *c = ctx;
    if (opcode == WS_PONG) {
        c->events.pong(c->ctx);
    } else if (opcode == WS_PING) {
        send_frame(c, WS_PONG, payload);
    } else {
        (void)snprintf(c->why, sizeof c->why, "the server closed the connection");
        return false;
    }
    return !c->dropped;
}

static const struct ws_frames_events frames_events = {.message = message_came,
                                                      .control = control_came};

static int receive(struct ws_conn *c, const char *bytes, size_t n)
{
    const char *why = NULL;
    if (!c->opened) {
        why = read_answer(c, &bytes, &n);
    }
    if (why == NULL && n > 0 && !c->dropped) {
        why = ws_frames_feed(&c->in, bytes, n);
        if (why != NULL && c->why[0] != '\0') {
            why = c->why;
        }
    }
    if (why != NULL) {
        end(c, why);
    }
    return c->dropped ? -1 : 0;
}

/* With TLS: a piece from the library's own parser. */
static int receive_piece(struct ws_conn *c, struct lws *wsi, const void *in, size_t len)
{
    if (lws_is_first_fragment(wsi) != 0) {
        buf_clear(&c->in.message);
    }
    buf_add(&c->in.message, in, len);
    if (c->in.message.overflow) {
        end(c, "a message was too large");
    } else if (lws_is_final_fragment(wsi) != 0 && lws_remaining_packet_payload(wsi) == 0) {
        (void)message_came(c, lws_frame_is_binary(wsi) != 0, &c->in.message);
    }
    return c->dropped ? -1 : 0;
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

/* ---- libwebsockets' callback ----------------------------------------------------------------- */

static const char *remedy_of(int untrusted)
{
    static const struct {
        int error;
        const char *remedy;
    } remedies[] = {
        {X509_V_ERR_HOSTNAME_MISMATCH, "it is for another name than the host of the URL"},
        {X509_V_ERR_IP_ADDRESS_MISMATCH, "it is for another address than the host of the URL"},
        {X509_V_ERR_CERT_HAS_EXPIRED, "it must be renewed"},
        {X509_V_ERR_CERT_NOT_YET_VALID, "the clock of one of the two hosts is wrong"},
    };
    size_t i = 0;
    while (i < sizeof remedies / sizeof *remedies && remedies[i].error != untrusted) {
        i++;
    }
    return i < sizeof remedies / sizeof *remedies
               ? remedies[i].remedy
               : "name the file of who signed it in caFile of the backend, or in link.caFile";
}

/* Replaces the library's unhelpful words for a refused connection, or for failed TLS. */
static void explain(struct ws_conn *c, const char *why)
{
    if (strcmp(why, "closed before established") == 0) {
        why = "the connection was refused";
    } else if (c->untrusted != 0) {
        (void)snprintf(c->why, sizeof c->why, "its certificate is not accepted (%s): %s",
                       X509_verify_cert_error_string(c->untrusted), remedy_of(c->untrusted));
        return;
    } else if (c->tls && strncmp(why, "connect SSL", strlen("connect SSL")) == 0) {
        why = "TLS failed: its port may speak plain HTTP; then write http:// in its URL";
    } else if (c->tls && (strncmp(why, "connect SYSCALL", strlen("connect SYSCALL")) == 0 ||
                          strcmp(why, "Closed before conn") == 0)) {
        why = "it closed the connection in the middle of the TLS handshake";
    }
    (void)snprintf(c->why, sizeof c->why, "%s", why);
}

static void connect_failed(struct ws_conn *c, struct lws *wsi, const char *why)
{
    explain(c, why);
    c->wsi = NULL;
    c->failed = c->connecting ? NULL : wsi;
    if (c->connecting) {
        c->failed_inside = true;
    } else if (!c->dropped && c->address_at < c->addresses_len) {
        try_next_address(c);
    } else {
        end(c, c->why);
    }
}

static void wsi_gone(struct ws_conn *c, const struct lws *wsi)
{
    if (wsi == c->wsi) {
        c->wsi = NULL;
    } else if (wsi == c->failed) {
        c->failed = NULL;
    } else {
        return;
    }
    free_when_over(c);
}

/* Notes OpenSSL's error; the library asks for our opinion, but we only listen. */
static int certificate_judged(struct lws *wsi, X509_STORE_CTX *x509, bool good)
{
    struct ws_conn *c = lws_wsi_user(wsi);
    if (!good && c != NULL) {
        c->untrusted = X509_STORE_CTX_get_error(x509);
    }
    return good ? 0 : 1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct ws_conn *c = user;
    if (c == NULL) {
        return 0;
    }
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION) {
        return certificate_judged(wsi, user, len != 0);
    }
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        connect_failed(c, wsi, in == NULL ? "the connection failed" : in);
        return 0;
    case LWS_CALLBACK_RAW_CONNECTED:
        if (!c->dropped) {
            c->events.taken(c->ctx);
        }
        send_upgrade(c);
        return c->dropped ? -1 : 0;
    case LWS_CALLBACK_RAW_RX:
        return c->dropped ? -1 : receive(c, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
        return c->dropped ? -1 : write_due(c, wsi);
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_headers(c, in, len);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (!c->dropped) {
            opened(c);
        }
        return c->dropped ? -1 : 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return c->dropped ? -1 : receive_piece(c, wsi, in, len);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        return c->dropped || !control_came(c, WS_PONG, (struct str){NULL, 0}) ? -1 : 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return c->dropped ? -1 : write_due(c, wsi);
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_RAW_CLOSE:
        end(c, "the connection was closed");
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        wsi_gone(c, wsi);
        return 0;
    default:
        return 0;
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void try_next_address(struct ws_conn *c)
{
    if (c->tls && c->vhost == NULL) {
        end_soon(c, "its caFile cannot be used: it must hold certificates in PEM");
        return;
    }
    while (!c->dropped && c->address_at < c->addresses_len) {
        const char *address = c->addresses[c->address_at++];
        struct lws_client_connect_info info = {
            .context = c->client->context,
            .vhost = c->vhost,
            .address = address,
            .port = c->port,
            .ssl_connection = c->tls ? LCCSCF_USE_SSL : 0,
            .path = c->path,
            .host = c->host_header,
            .method = c->tls ? NULL : "RAW",
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

/* True if the file changed since it was read; notes the new one. */
static bool is_renewed(struct trust *t)
{
    struct stat now;
    if (t->ca_file == NULL || stat(t->ca_file, &now) != 0) {
        return false; /* keeps trusting what it read */
    }
    const bool same = now.st_ino == t->read.st_ino && now.st_dev == t->read.st_dev &&
                      now.st_size == t->read.st_size &&
                      now.st_mtim.tv_sec == t->read.st_mtim.tv_sec &&
                      now.st_mtim.tv_nsec == t->read.st_mtim.tv_nsec;
    t->read = now;
    t->reads += same ? 0 : 1;
    return !same;
}

/* Spells the path differently each time, as the library reads no name twice: "/a.pem", then
   "//a.pem". */
static void spell_anew(const struct trust *t, struct buf *ret)
{
    for (unsigned i = 1; t->ca_file != NULL && i < t->reads; i++) {
        buf_add_text(ret, t->ca_file[0] == '/' ? "/" : "./");
    }
    buf_add_text(ret, t->ca_file == NULL ? "" : t->ca_file);
}

/* Returns the vhost that trusts this file. NULL: it cannot be read, or holds no certificate. */
static struct lws_vhost *vhost_for(struct ws_client *client, const char *ca_file)
{
    struct trust *t = client->trusts;
    while (t != NULL &&
           (ca_file == NULL || t->ca_file == NULL ? t->ca_file != ca_file
                                                  : strcmp(t->ca_file, ca_file) != 0)) {
        t = t->next;
    }
    if (t == NULL) {
        t = mem_zero(1, sizeof *t);
        t->next = client->trusts;
        t->ca_file = mem_strdup(ca_file);
        client->trusts = t;
    }
    if (is_renewed(t) || t->vhost == NULL) {
        AUTO_BUF struct buf path;
        buf_init(&path, BUF_NO_LIMIT);
        spell_anew(t, &path);
        const struct lws_context_creation_info info = {
            .vhost_name = ca_file == NULL ? "default" : t->ca_file,
            .port = CONTEXT_PORT_NO_LISTEN,
            .protocols = protocols,
            .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                       LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
            .client_ssl_ca_filepath = ca_file == NULL ? NULL : buf_text(&path),
        };
        t->vhost = lws_create_vhost(client->context, &info);
    }
    return t->vhost;
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
    c->vhost = vhost_for(client, spec->tls ? spec->ca_file : NULL);
    buf_init(&c->headers, 16384);
    for (const char *const *h = spec->headers; h != NULL && *h != NULL; h++) {
        buf_printf(&c->headers, "%s\r\n", *h);
    }
    buf_init(&c->answer, MAX_ANSWER_HEAD);
    ws_frames_init(&c->in, spec->max_message, &frames_events, c);
    buf_init(&c->out, 262144);
    list_push(&client->conns, c, next, link);
    (void)uv_timer_init(client->loop, &c->timer);
    c->timer.data = c;
    c->timer_live = true;
    (void)uv_timer_start(&c->timer, connect_late, (uint64_t)(spec->connect_timeout.us / 1000), 0);
    resolve(c);
    return c;
}

void ws_send_text(struct ws_conn *c, struct str text)
{
    send_frame(c, WS_TEXT, text);
}

void ws_ping(struct ws_conn *c)
{
    send_frame(c, WS_PING, (struct str){NULL, 0});
}

struct mono_us ws_came_at(const struct ws_conn *c, struct mono_us now)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int waiting = 0;
    if (c->tls || c->wsi == NULL || c->in.behind > 0) {
        return (struct mono_us){0};
    }
    const int fd = lws_get_socket_fd(c->wsi);
    /* In this order: bytes that come in between invalidate the first result. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        ioctl(fd, FIONREAD, &waiting) != 0 || waiting > 0) {
        return (struct mono_us){0};
    }
    return (struct mono_us){now.us - (int64_t)info.tcpi_last_data_recv * 1000};
}

struct mono_us ws_last_came(const struct ws_conn *c, struct mono_us now)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (c->wsi == NULL ||
        getsockopt(lws_get_socket_fd(c->wsi), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
        return (struct mono_us){0};
    }
    return (struct mono_us){now.us - (int64_t)info.tcpi_last_data_recv * 1000};
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
        .pcontext = &c->context, /* cleared when the context is gone */
    };
    c->context = lws_create_context(&info);
    if (c->context == NULL || vhost_for(c, NULL) == NULL) {
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
    /* The second call frees what the first one left to the loop. */
    if (c->context != NULL) {
        lws_context_destroy(c->context);
    }
    for (struct trust *t = c->trusts, *next = NULL; t != NULL; t = next) {
        next = t->next;
        free(t->ca_file);
        free(t);
    }
    free(c);
}
