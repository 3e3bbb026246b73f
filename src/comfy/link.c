/*
 * The WebSocket of a backend: down -> connecting -> up, repeated for ever. Feature flags are the
 * first frame; the server's first status (with "sid") makes it up; pings have a deadline since
 * half-open connections happen; reconnects back off exponentially with full jitter, 0.5 s to 15 s.
 */
#include "inner.h"

#include <stdlib.h>
#include <sys/random.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/log.h"
#include "comfypool/loop/loop.h"

#include "preview_read.h"

/* LATE_MS: a timer this late shows that the process stood still; it then reads for READ_MS
   first. */
enum { LATE_MS = 50, READ_MS = 200 };

enum { BACKOFF_FIRST_MS = 500, BACKOFF_MAX_MS = 15000, MAX_MESSAGE = 64 << 20 };

static void connect_now(struct comfy_backend *b);

/* Returns since when frames that begin or end nodes may have waited; 0: not late. A single one in a
   poll says little; with more, one question asks when the last byte came. */
static struct mono_us stood_since(struct comfy_backend *b, struct mono_us now,
                                  const struct frame *f)
{
    const unsigned poll = loop_poll();
    if (poll == 0 || f->prompt_id.p == NULL) {
        return (struct mono_us){0};
    }
    if (b->read.poll != poll) {
        b->read = (struct comfy_read){.poll = poll};
    }
    const bool begins = f->type == FRAME_EXECUTING && f->node.p != NULL;
    b->read.begun += begins ? 1 : 0;
    b->read.frames += begins || f->type == FRAME_STATE ? 1 : 0;
    if (b->read.frames < 2 || b->read.since.us != 0) {
        return b->read.since;
    }
    if (b->read.came.us == 0) {
        b->read.came = ws_last_came(b->conn, now);
    }
    if (b->read.came.us != 0) {
        b->read.since = loop_stood_since(b->read.came, b->read.begun >= 2);
    }
    return b->read.since;
}

static void emit(struct comfy_backend *b, enum comfy_event_kind kind, const char *text)
{
    const struct comfy_event e = {
        .kind = kind, .now = time_mono(), .text = text == NULL ? "" : text};
    b->on_event(b->ctx, &e);
}

/* Emits the frame of a message of so many bytes. */
static void emit_frame(struct comfy_backend *b, const struct frame *f, size_t bytes)
{
    struct comfy_event e = {.kind = COMFY_EVENT_FRAME, .now = time_mono(), .frame = f, .text = ""};
    const struct mono_us waited = loop_waited_since(e.now);
    const struct mono_us stood = waited.us != 0 ? waited : stood_since(b, e.now, f);
    e.waited_since = backlog_read(&b->backlog, e.now, bytes, stood);
    if (e.waited_since.us != 0 && !backlog_was_full(&b->backlog)) {
        e.came_at = ws_came_at(b->conn, e.now);
    }
    b->on_event(b->ctx, &e);
}

/* Full jitter: from 0 to the current bound, but not so little that it spins. */
static uint64_t backoff_ms(const struct comfy_backend *b)
{
    uint64_t bound = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < b->failures && bound < BACKOFF_MAX_MS; i++) {
        bound *= 2;
    }
    if (bound > BACKOFF_MAX_MS) {
        bound = BACKOFF_MAX_MS;
    }
    uint32_t r = 0;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) {
        r = (uint32_t)time_mono().us; /* jitter, no secret */
    }
    return 20 + r % bound;
}

static void reconnect_due(uv_timer_t *timer)
{
    connect_now(timer->data);
}

/* Handles the end of the socket, by either side. */
static void link_lost(struct comfy_backend *b, const char *why)
{
    b->conn = NULL;
    if (b->closing) {
        return;
    }
    const bool was_up = b->link == COMFY_UP;
    b->link = COMFY_DOWN;
    b->failures = was_up ? 1 : b->failures + 1;
    (void)uv_timer_start(&b->timer, reconnect_due, backoff_ms(b), 0);
    if (was_up || b->failures == 1) {
        LOG(LOG_WARN, was_up ? "backend lost" : "backend cannot be reached",
            LOG_S("backend", b->name), LOG_S("why", why));
    }
    emit(b, COMFY_EVENT_DOWN, why);
}

static void cut(struct comfy_backend *b, const char *why)
{
    if (b->conn != NULL) {
        ws_drop(b->conn);
        link_lost(b, why);
    }
}

/* ---- pings ----------------------------------------------------------------------------------- */

static void ping_timer(uv_timer_t *timer)
{
    struct comfy_backend *b = timer->data;
    const struct mono_us now = time_mono();
    if (b->pong_due && mono_diff(now, b->pong_at).us > (int64_t)LATE_MS * 1000) {
        /* We stood still: what came meanwhile is read after the timers. */
        b->pong_at = mono_add(now, dur_ms(READ_MS));
        (void)uv_timer_start(&b->timer, ping_timer, READ_MS, 0);
        return;
    }
    if (b->pong_due) {
        cut(b, "it did not answer a ping");
        return;
    }
    b->pong_due = true;
    b->pong_at = mono_add(now, b->timeouts.pong_timeout);
    ws_ping(b->conn);
    (void)uv_timer_start(&b->timer, ping_timer, (uint64_t)(b->timeouts.pong_timeout.us / 1000), 0);
}

static void wait_for_ping(struct comfy_backend *b)
{
    b->pong_due = false;
    (void)uv_timer_start(&b->timer, ping_timer, (uint64_t)(b->timeouts.ping_interval.us / 1000), 0);
}

static void on_pong(void *ctx)
{
    wait_for_ping(ctx);
}

/* ---- the connection -------------------------------------------------------------------------- */

static void on_taken(void *ctx)
{
    struct comfy_backend *b = ctx;
    b->taken = true;
    emit(b, COMFY_EVENT_LISTENS, NULL);
}

static void on_open(void *ctx)
{
    struct comfy_backend *b = ctx;
    ws_send_text(b->conn, STR("{\"type\":\"feature_flags\",\"data\":"
                              "{\"supports_preview_metadata\":true}}"));
    wait_for_ping(b);
}

static void on_text(void *ctx, struct buf *message)
{
    struct comfy_backend *b = ctx;
    const size_t bytes = message->len;
    const struct frame *f = decoder_text(b->decoder, message);
    if (b->link != COMFY_UP && f->type == FRAME_STATUS) {
        b->link = COMFY_UP;
        b->failures = 0;
        LOG(LOG_INFO, "backend up", LOG_S("backend", b->name));
        b->jobs_api = -1; /* perhaps another version now */
        comfy_ask_stats(b);
        emit(b, COMFY_EVENT_UP, NULL);
    }
    if (b->link == COMFY_UP) {
        emit_frame(b, f, bytes);
    }
}

static void on_binary(void *ctx, struct str message)
{
    struct comfy_backend *b = ctx;
    struct frame_preview preview;
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (b->link != COMFY_UP) {
        return;
    }
    const struct mono_us now = time_mono();
    (void)backlog_read(&b->backlog, now, message.n, loop_waited_since(now));
    if (b->wants_previews && preview_read(message, &preview, &scratch)) {
        const struct comfy_event e = {
            .kind = COMFY_EVENT_PREVIEW, .now = time_mono(), .text = "", .preview = &preview};
        b->on_event(b->ctx, &e);
    } else {
        emit(b, COMFY_EVENT_SIGN, NULL);
    }
}

static void on_closed(void *ctx, const char *why)
{
    struct comfy_backend *b = ctx;
    if (!b->taken) {
        comfy_knock(b);
    }
    link_lost(b, why);
}

static const struct ws_events events = {.taken = on_taken,
                                        .open = on_open,
                                        .text = on_text,
                                        .binary = on_binary,
                                        .pong = on_pong,
                                        .closed = on_closed};

static void connect_now(struct comfy_backend *b)
{
    if (!b->pinned) {
        uuid_v4(b->client_id);
    }
    decoder_free(b->decoder);
    b->decoder = decoder_new();
    b->backlog = (struct backlog){.bytes = 0};
    b->link = COMFY_CONNECTING;
    b->taken = false;
    AUTO_BUF struct buf path;
    buf_init(&path, 65536);
    buf_printf(&path, "%s/ws?clientId=%s", b->address.path, b->client_id);
    AUTO_BUF struct buf header;
    buf_init(&header, 65536);
    buf_printf(&header, "%s:%d", b->address.host, b->address.port);
    /* Connects to an address without its brackets. */
    AUTO_FREE char *host = mem_strdup(b->address.host);
    const size_t n = strlen(host);
    const char *bare = host;
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        bare = host + 1;
    }
    const struct ws_spec spec = {
        .host = bare,
        .port = b->address.port,
        .tls = b->address.tls,
        .host_header = buf_text(&header),
        .path = buf_text(&path),
        .headers = b->headers,
        .ca_file = b->ca_file,
        .connect_timeout = b->timeouts.connect,
        .max_message = MAX_MESSAGE,
    };
    b->conn = ws_connect(b->ws, &spec, &events, b);
}

enum comfy_link comfy_link_state(const struct comfy_backend *b)
{
    return b->link;
}

const char *comfy_client_id(const struct comfy_backend *b)
{
    return b->client_id;
}

void comfy_want_previews(struct comfy_backend *b, bool wants)
{
    b->wants_previews = wants;
}

void comfy_renew(struct comfy_backend *b)
{
    if (b->conn != NULL) {
        ws_drop(b->conn);
        b->conn = NULL;
        b->link = COMFY_DOWN;
        (void)uv_timer_start(&b->timer, reconnect_due, 0, 0);
    }
}

void comfy_pin(struct comfy_backend *b, const char *client_id)
{
    b->pinned = true;
    if (strcmp(b->client_id, client_id) == 0) {
        return;
    }
    memcpy(b->client_id, client_id, UUID_TEXT);
    comfy_renew(b);
}

void comfy_unpin(struct comfy_backend *b)
{
    b->pinned = false;
}

static char *basic_authorization(const char *credentials)
{
    AUTO_BUF struct buf b;
    buf_init(&b, 16384);
    buf_add_text(&b, "Authorization: Basic ");
    base64_write(&b, str_of(credentials));
    return buf_take(&b);
}

static void free_headers(struct comfy_backend *b)
{
    for (size_t i = 0; i < b->headers_len; i++) {
        free((void *)(uintptr_t)b->headers[i]);
    }
    free(b->headers);
}

/* Sets the configured headers, and the URL's credentials. */
void comfy_set_headers(struct comfy_backend *b, const char *const *headers)
{
    size_t n = 0;
    free_headers(b);
    while (headers != NULL && headers[n] != NULL) {
        n++;
    }
    char **list = mem_zero(n + 2, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        list[i] = mem_strdup(headers[i]);
    }
    if (b->address.credentials != NULL) {
        list[n++] = basic_authorization(b->address.credentials);
    }
    b->headers = (const char **)list;
    b->headers_len = n;
}

struct comfy_backend *comfy_new(uv_loop_t *loop, struct http_client *http, struct ws_client *ws,
                                const struct comfy_spec *spec, comfy_event_fn on_event, void *ctx)
{
    struct comfy_backend *b = mem_zero(1, sizeof *b);
    b->loop = loop;
    b->http = http;
    b->ws = ws;
    b->name = mem_strdup(spec->name);
    b->timeouts = spec->timeouts;
    b->ca_file = mem_strdup(spec->ca_file);
    b->on_event = on_event;
    b->ctx = ctx;
    b->jobs_api = -1;
    char why[128];
    if (!comfy_address_read(spec->url, &b->address, why, sizeof why)) {
        abort(); /* comfy_url_check was not called */
    }
    AUTO_BUF struct buf base;
    buf_init(&base, 65536);
    comfy_address_base(&b->address, &base);
    b->base = buf_take(&base);
    comfy_set_headers(b, spec->headers);
    (void)uv_timer_init(loop, &b->timer);
    b->timer.data = b;
    uuid_v4(b->client_id);
    (void)uv_timer_start(&b->timer, reconnect_due, 0, 0);
    return b;
}

static void backend_freed(uv_handle_t *handle)
{
    struct comfy_backend *b = handle->data;
    decoder_free(b->decoder);
    url_parts_done(&b->address);
    free_headers(b);
    free(b->base);
    free(b->ca_file);
    free(b->name);
    free(b);
}

void comfy_close(struct comfy_backend *b)
{
    b->closing = true;
    comfy_end_requests(b);
    if (b->conn != NULL) {
        ws_drop(b->conn);
        b->conn = NULL;
    }
    uv_close((uv_handle_t *)&b->timer, backend_freed);
}
