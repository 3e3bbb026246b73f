/*
 * libcurl on the loop: multi_socket with one uv_poll a socket and one uv_timer. Rules learned: an
 * easy handle is never removed inside its own callback (calls end in `reap`); timeout 0 means the
 * next turn, -1 stops the timer; libcurl silently sends a POST again when a kept-alive connection
 * dies unanswered, unless its body cannot be rewound (`once`).
 */
#include "comfypool/loop/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

#include "comfypool/base/list.h"
#include "comfypool/loop/loop.h"

enum { SPARE_HANDLES = 32 };

struct http_client {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct http_call *calls; /* running calls */
    CURL *spare[SPARE_HANDLES];
    size_t spares;
    bool closing;
};

struct http_call {
    struct http_client *client;
    struct http_call *next, **link; /* in client->calls */
    CURL *easy;
    struct curl_slist *headers;
    curl_mime *mime; /* or NULL */
    http_done_fn done;
    void *ctx;
    void *owned;
    struct http_sink sink;
    bool has_sink;
    bool begun;
    bool (*may_connect)(void *ctx, const struct sockaddr *a);
    bool forbidden; /* may_connect denied an address */
    bool tried;     /* may_connect allowed an address */
    bool refused;   /* ended by the sink, or answer too large */
    bool paused;
    struct buf out;
    size_t out_at;
    struct buf in;
    char error[CURL_ERROR_SIZE];
};

/* A socket watched for libcurl. */
struct watch {
    uv_poll_t poll;
    curl_socket_t fd;
    struct http_client *client;
};

static void reap(struct http_client *c);

/* ---- answers that nobody reads --------------------------------------------------------------- */

static bool none_begins(void *ctx, unsigned status, const char *content_type, int64_t length)
{
    (void)ctx;
    (void)status;
    (void)content_type;
    (void)length;
    return true;
}

static bool none_takes(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return true;
}

const struct http_sink http_sink_none = {.begin = none_begins, .bytes = none_takes};

/* ---- libcurl asks for sockets and time ------------------------------------------------------- */

static void watch_freed(uv_handle_t *handle)
{
    free(handle->data);
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    loop_note("http client");
    struct watch *w = poll->data;
    struct http_client *c = w->client;
    int flags = 0;
    if (status < 0) {
        flags = CURL_CSELECT_ERR;
    }
    if ((events & UV_READABLE) != 0) {
        flags |= CURL_CSELECT_IN;
    }
    if ((events & UV_WRITABLE) != 0) {
        flags |= CURL_CSELECT_OUT;
    }
    int running = 0;
    (void)curl_multi_socket_action(c->multi, w->fd, flags, &running);
    reap(c);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_client *c = arg;
    struct watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            (void)uv_poll_stop(&w->poll);
            (void)curl_multi_assign(c->multi, fd, NULL);
            uv_close((uv_handle_t *)&w->poll, watch_freed);
        }
        return 0;
    }
    if (w == NULL) {
        w = mem_zero(1, sizeof *w);
        w->fd = fd;
        w->client = c;
        if (uv_poll_init_socket(c->loop, &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        (void)curl_multi_assign(c->multi, fd, w);
    }
    const int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                       ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    (void)uv_poll_start(&w->poll, events, socket_ready);
    return 0;
}

static void time_is_up(uv_timer_t *timer)
{
    loop_note("http client");
    struct http_client *c = timer->data;
    int running = 0;
    (void)curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(c);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *c = arg;
    if (c->closing) {
        return 0;
    }
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&c->timer);
    } else {
        (void)uv_timer_start(&c->timer, time_is_up, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

/* ---- a call ---------------------------------------------------------------------------------- */

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    size_t n = call->out.len - call->out_at;
    if (n > size * count) {
        n = size * count;
    }
    if (n > 0) {
        memcpy(to, call->out.data + call->out_at, n);
        call->out_at += n;
    }
    return n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static bool begin_sink(struct http_call *call)
{
    long status = 0;
    char *type = NULL;
    curl_off_t length = -1;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    call->begun = true;
    return call->sink.begin(call->ctx, (unsigned)status, type, (int64_t)length);
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    const size_t n = size * count;
    if (!call->has_sink) {
        buf_add(&call->in, data, n);
        call->refused = call->in.overflow;
        return call->refused ? 0 : n;
    }
    if (!call->begun && !begin_sink(call)) {
        call->refused = true;
        return 0;
    }
    if (!call->sink.bytes(call->ctx, data, n)) {
        call->paused = true;
        (void)curl_easy_pause(call->easy, CURLPAUSE_RECV);
    }
    return n;
}

/* Asks may_connect here, the only place that knows the resolved address. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    struct http_call *call = arg;
    if (!call->may_connect(call->ctx, &to->addr)) {
        call->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    call->tried = true;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_timeouts(CURL *easy, const struct http_request_spec *spec)
{
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)(spec->connect_timeout.us / 1000));
    if (spec->timeout.us > 0) {
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(spec->timeout.us / 1000));
    } else {
        const long stall_s = spec->stall.us > 0 ? (long)((spec->stall.us + 999999) / 1000000) : 60L;
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_s);
    }
}

static void set_body(struct http_call *call, const struct http_request_spec *spec)
{
    CURL *easy = call->easy;
    buf_init(&call->out, BUF_NO_LIMIT);
    buf_add_str(&call->out, spec->body);
    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body.n);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, call);
    if (spec->once) {
        (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    } else {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_text(&call->out));
    }
    call->headers = curl_slist_append(call->headers, "Content-Type: application/json");
    call->headers = curl_slist_append(call->headers, "Expect:");
}

/* libcurl reads the file itself, piece by piece. */
static void set_form(struct http_call *call, const struct http_form *form)
{
    call->mime = curl_mime_init(call->easy);
    curl_mimepart *part = curl_mime_addpart(call->mime);
    (void)curl_mime_name(part, form->part);
    (void)curl_mime_filedata(part, form->path);
    (void)curl_mime_filename(part, form->filename);
    (void)curl_mime_type(part, "application/octet-stream");
    for (const char *const *f = form->fields; f != NULL && *f != NULL; f += 2) {
        part = curl_mime_addpart(call->mime);
        (void)curl_mime_name(part, f[0]);
        (void)curl_mime_data(part, f[1], CURL_ZERO_TERMINATED);
    }
    (void)curl_easy_setopt(call->easy, CURLOPT_MIMEPOST, call->mime);
    call->headers = curl_slist_append(call->headers, "Expect:");
}

static void set_options(struct http_call *call, const struct http_request_spec *spec)
{
    CURL *easy = call->easy;
    (void)curl_easy_setopt(easy, CURLOPT_URL, spec->url);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A call that ends during its name lookup leaves that thread behind: else the loop would wait
       for the resolver, however long that takes. */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* ComfyUI closes idle connections after 75 s: stay off the stale ones. */
    (void)curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 60L);
    /* Same default as the WebSocket's TLS. */
    const char *authorities = spec->ca_file != NULL ? spec->ca_file : getenv("SSL_CERT_FILE");
    if (authorities != NULL && *authorities != '\0') {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
    }
    if (spec->ca_file != NULL) { /* it may be renewed; the system's is too large to reread */
        (void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    }
    if (spec->credentials != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_USERPWD, spec->credentials);
    }
    call->may_connect = spec->may_connect;
    if (spec->may_connect != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    }
    set_timeouts(easy, spec);
    if (spec->form != NULL) {
        set_form(call, spec->form);
    } else if (strcmp(spec->method, "POST") == 0) {
        set_body(call, spec);
    } else if (strcmp(spec->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    for (const char *const *h = spec->headers; h != NULL && *h != NULL; h++) {
        call->headers = curl_slist_append(call->headers, *h);
    }
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
}

struct http_call *http_call_start(struct http_client *c, const struct http_request_spec *spec,
                                  http_done_fn done, void *ctx)
{
    struct http_call *call = mem_zero(1, sizeof *call);
    call->client = c;
    call->done = done;
    call->ctx = ctx;
    call->has_sink = spec->sink != NULL;
    if (call->has_sink) {
        call->sink = *spec->sink;
    }
    buf_init(&call->in, spec->max_answer);
    call->easy = c->spares > 0 ? c->spare[--c->spares] : curl_easy_init();
    if (call->easy == NULL) {
        abort(); /* out of memory */
    }
    set_options(call, spec);
    list_push(&c->calls, call, next, link);
    (void)curl_multi_add_handle(c->multi, call->easy);
    return call;
}

static void call_free(struct http_call *call)
{
    struct http_client *c = call->client;
    list_remove(call, next, link);
    (void)curl_multi_remove_handle(c->multi, call->easy);
    if (c->spares < SPARE_HANDLES && !c->closing) {
        curl_easy_reset(call->easy);
        c->spare[c->spares++] = call->easy;
    } else {
        curl_easy_cleanup(call->easy);
    }
    curl_mime_free(call->mime);
    curl_slist_free_all(call->headers);
    buf_done(&call->out);
    buf_done(&call->in);
    free(call->owned);
    free(call);
}

void http_call_cancel(struct http_call *call)
{
    call_free(call);
}

const char *http_call_header(struct http_call *call, const char *name)
{
    struct curl_header *h = NULL;
    return curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
                                                                                    : NULL;
}

int64_t http_call_header_time(struct http_call *call, const char *name)
{
    const char *value = http_call_header(call, name);
    return value == NULL ? -1 : (int64_t)curl_getdate(value, NULL);
}

void http_call_own(struct http_call *call, void *memory)
{
    call->owned = memory;
}

void http_call_resume(struct http_call *call)
{
    if (call->paused) {
        call->paused = false;
        (void)curl_easy_pause(call->easy, CURLPAUSE_CONT);
        /* Continues in the next turn: resume is called from other callbacks. */
        (void)uv_timer_start(&call->client->timer, time_is_up, 0, 0);
    }
}

/* Reads seconds, or a date (RFC 9110, section 10.2.3). */
static struct dur_us read_retry_after(CURL *easy)
{
    struct curl_header *h = NULL;
    if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &h) != CURLHE_OK) {
        return (struct dur_us){0};
    }
    int64_t seconds = 0;
    if (!str_to_int64(str_of(h->value), &seconds)) {
        const time_t date = curl_getdate(h->value, NULL);
        seconds = date < 0 ? 0 : (int64_t)date - time_wall().us / 1000000;
    }
    const int64_t most = INT64_C(366) * 24 * 3600;
    seconds = seconds < 0 ? 0 : seconds > most ? most : seconds;
    return (struct dur_us){seconds * 1000000};
}

static void finish(struct http_call *call, CURLcode code)
{
    struct http_result r = {.content_type = "", .error = ""};
    long status = 0;
    char *type = NULL;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        if (call->has_sink && !call->begun) {
            (void)begin_sink(call);
        }
        r.outcome = HTTP_ANSWERED;
        r.connected = true;
        r.status = (unsigned)status;
        r.body = buf_str(&call->in);
        (void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
        r.content_type = type == NULL ? "" : type;
        r.retry_after = read_retry_after(call->easy);
    } else {
        const bool unsent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                            code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
                            code == CURLE_PEER_FAILED_VERIFICATION ||
                            code == CURLE_SSL_CONNECT_ERROR;
        r.outcome = unsent ? HTTP_NOT_SENT : HTTP_AMBIGUOUS;
        r.timed_out = code == CURLE_OPERATION_TIMEDOUT;
        long os_errno = 0;
        (void)curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os_errno);
        r.connection_refused = code == CURLE_COULDNT_CONNECT && os_errno == ECONNREFUSED;
        curl_off_t taken = 0; /* time to make a new connection; 0: none */
        (void)curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &taken);
        r.connected = taken > 0 && code != CURLE_COULDNT_CONNECT;
        r.forbidden = call->forbidden && !call->tried && unsent;
        r.error = call->refused            ? "the answer was refused"
                  : call->error[0] != '\0' ? call->error
                                           : curl_easy_strerror(code);
        curl_off_t connected = 0;
        (void)curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
        if (r.timed_out && connected == 0) {
            r.outcome = HTTP_NOT_SENT; /* the connection was never made */
        }
    }
    call->done(call->ctx, &r);
    call_free(call);
}

static void reap(struct http_client *c)
{
    int left = 0;
    for (CURLMsg *m = curl_multi_info_read(c->multi, &left); m != NULL;
         m = curl_multi_info_read(c->multi, &left)) {
        if (m->msg != CURLMSG_DONE) {
            continue;
        }
        void *call = NULL;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        finish(call, m->data.result);
    }
}

struct http_client *http_client_new(uv_loop_t *loop)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    struct http_client *c = mem_zero(1, sizeof *c);
    c->loop = loop;
    c->multi = curl_multi_init();
    if (c->multi == NULL) {
        abort(); /* out of memory */
    }
    (void)uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    (void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    (void)curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    (void)curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 256L);
    return c;
}

static void client_freed(uv_handle_t *handle)
{
    free(handle->data);
    curl_global_cleanup();
}

void http_client_close(struct http_client *c)
{
    c->closing = true;
    while (c->calls != NULL) {
        call_free(c->calls);
    }
    while (c->spares > 0) {
        curl_easy_cleanup(c->spare[--c->spares]);
    }
    (void)curl_multi_cleanup(c->multi);
    (void)uv_timer_stop(&c->timer);
    uv_close((uv_handle_t *)&c->timer, client_freed);
}

void url_encode(struct buf *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            buf_add_char(out, (char)c);
        } else {
            const char three[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, three, 3);
        }
    }
}
