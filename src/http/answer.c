/*
 * Answers: headers, ETags and 304, problem+json. Makes the libmicrohttpd response and hands it to
 * the exchange; leaves HEAD, Date and the framing to libmicrohttpd.
 */
#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "comfypool/base/digest.h"
#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

#include "exchange.h"
#include "headers.h"
#include "server.h"

/* ---- problems -------------------------------------------------------------------------------- */

void problem_init(struct problem *p)
{
    *p = (struct problem){.code = ERR_NONE};
    buf_init(&p->pointer, BUF_NO_LIMIT);
    buf_init(&p->detail, BUF_NO_LIMIT);
}

void problem_done(struct problem *p)
{
    buf_done(&p->pointer);
    buf_done(&p->detail);
}

bool problem_set(struct problem *p, enum err code, const char *detail, ...)
{
    if (p->code != ERR_NONE) {
        return false;
    }
    p->code = code;
    char text[512];
    va_list args;
    va_start(args, detail);
    (void)vsnprintf(text, sizeof text, detail, args);
    va_end(args);
    buf_add_text(&p->detail, text);
    return false;
}

/* Writes a problem in the format of its route's family. Returns the content type. */
static const char *write_problem(const struct exchange *x, const struct problem *p, unsigned status,
                                 struct buf *out)
{
    const struct str pointer = buf_str(&p->pointer);
    const struct http_refused r = {
        .status = status,
        .code = p->code,
        .detail = buf_str(&p->detail),
        .pointer = p->has_pointer ? &pointer : NULL,
    };
    return x->family->write(&r, out);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void header(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value); /* refuses line breaks: then it is left out */
}

static void header_number(struct MHD_Response *r, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    header(r, name, text);
}

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && strchr("\"\\%'()<>@,;:/[]?={}*", c) == NULL;
}

/* Adds a foreign file name: plain ASCII for all clients, and in full by RFC 8187. */
static void add_filename(struct MHD_Response *r, const char *name, bool attachment)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    buf_printf(&b, "%s; filename=\"", attachment ? "attachment" : "inline");
    bool plain = true;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        const bool shown = is_plain(*p) || strchr(" '()<>@,;:[]?={}*", *p) != NULL;
        buf_add_char(&b, shown ? (char)*p : '_');
        plain = plain && shown;
    }
    buf_add_char(&b, '"');
    if (!plain) {
        buf_add_text(&b, "; filename*=UTF-8''");
        for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
            if (is_plain(*p)) {
                buf_add_char(&b, (char)*p);
            } else {
                buf_printf(&b, "%%%02X", *p);
            }
        }
    }
    header(r, "Content-Disposition", buf_text(&b));
}

static void add_preference(const struct exchange *x, struct MHD_Response *r)
{
    char text[32];
    (void)snprintf(text, sizeof text, "wait=%lld", (long long)(x->rq.wait.us / 1000000));
    header(r, "Preference-Applied", text);
}

static void header_str(struct MHD_Response *r, const char *name, struct str value)
{
    AUTO_FREE char *text = mem_copy(value);
    header(r, name, text);
}

/* Allows the requesting page, if permitted. Vary tells caches that other origins get other
   answers. */
static void add_cors(const struct exchange *x, struct MHD_Response *r)
{
    const char *const *allowed = x->server->options.allowed_origins;
    if (allowed != NULL && *allowed != NULL) {
        header(r, "Vary", "Origin");
    }
    if (x->cors.n > 0) {
        header_str(r, "Access-Control-Allow-Origin", x->cors);
        header(r, "Access-Control-Expose-Headers",
               "Location, ETag, Link, Retry-After, Preference-Applied, Idempotency-Replayed, "
               "Content-Disposition, Accept-Ranges, Content-Range, WWW-Authenticate, Allow");
    }
}

struct MHD_Response *answer_headers(struct exchange *x, struct MHD_Response *r,
                                    const struct http_answer *a)
{
    if (a->status != 204) {
        header(r, "Content-Type", a->content_type == NULL ? "application/json" : a->content_type);
    }
    header(r, "X-Content-Type-Options", "nosniff");
    header(r, "Cache-Control", a->no_store ? "no-store" : "no-cache");
    if (a->no_store) {
        header(r, "X-Accel-Buffering", "no"); /* else nginx buffers answers */
    }
    if (x->rq.route != NULL && x->rq.route->formats != 0) {
        header(r, "Vary", "Accept");
    }
    if (a->location[0] != '\0') {
        header(r, "Location", a->location);
    }
    if (a->link[0] != '\0') {
        header(r, "Link", a->link);
    }
    if (a->filename[0] != '\0') {
        add_filename(r, a->filename, a->attachment);
    }
    if (a->sandbox) {
        header(r, "Content-Security-Policy", "sandbox; default-src 'none'");
    }
    if (a->ranges) {
        header(r, "Accept-Ranges", "bytes");
    }
    if (a->content_range[0] != '\0') {
        header(r, "Content-Range", a->content_range);
    }
    if (a->given_etag[0] != '\0') {
        header(r, "ETag", a->given_etag);
    }
    if (a->retry_after >= 0) {
        header_number(r, "Retry-After", a->retry_after);
    }
    if (a->wait_applied && x->preferred) {
        add_preference(x, r);
    }
    if (a->replayed) {
        header(r, "Idempotency-Replayed", "true");
    }
    if (x->server->draining || x->early) {
        header(r, "Connection", "close");
    }
    add_cors(x, r);
    return r;
}

/* Makes a response; takes the body. */
static struct MHD_Response *make_response(struct buf *body)
{
    if (body->len == 0) {
        buf_done(body);
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    const size_t n = body->len;
    return MHD_create_response_from_buffer(n, buf_take(body), MHD_RESPMEM_MUST_FREE);
}

/* ---- sending --------------------------------------------------------------------------------- */

enum { PREFLIGHT_MAX_AGE_S = 600 };

/* ANSWERS_AT_ONCE: limit of all unsent answers, in caps of a body. */
enum { ANSWERS_AT_ONCE = 8, LARGE_ANSWER = 64 * 1024, ANSWERS_RETRY_S = 1 };

enum { ETAG_DIGITS = HTTP_ETAG_SIZE - 3 };

void http_make_etag(struct str body, char ret[HTTP_ETAG_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    digest_sha256_hex(body, hex);
    (void)snprintf(ret, HTTP_ETAG_SIZE, "\"%.*s\"", (int)ETAG_DIGITS, hex);
}

/* Makes the ETag of an answer's body, without its volatile part. */
static void make_answer_etag(const struct http_answer *a, char ret[HTTP_ETAG_SIZE])
{
    if (a->volatile_len == 0) {
        http_make_etag(buf_str(&a->body), ret);
        return;
    }
    AUTO_BUF struct buf stable;
    buf_init(&stable, BUF_NO_LIMIT);
    const size_t behind = a->volatile_at + a->volatile_len;
    buf_add(&stable, a->body.data, a->volatile_at);
    buf_add(&stable, a->body.data + behind, a->body.len - behind);
    http_make_etag(buf_str(&stable), ret);
}

bool http_matches(struct http_server *s, struct http_ref ref, struct str body)
{
    const struct exchange *x = exchange_find(s, ref);
    char etag[HTTP_ETAG_SIZE];
    if (x == NULL || !x->rq.conditional) {
        return false;
    }
    http_make_etag(body, etag);
    return headers_match_etag(&x->headers, str_of(etag));
}

bool http_matches_etag(struct http_server *s, struct http_ref ref, const char *etag)
{
    const struct exchange *x = exchange_find(s, ref);
    return x != NULL && headers_match_etag(&x->headers, str_of(etag));
}

/* Refuses large answers when unsent ones fill the memory (clients that read slowly). What a request
   did is always told. */
static bool has_room(const struct exchange *x, size_t n)
{
    const struct http_server *s = x->server;
    return n < LARGE_ANSWER || s->answers == 0 ||
           s->answers + n <= s->options.max_body_bytes * ANSWERS_AT_ONCE ||
           strcmp(x->rq.route->method, "GET") != 0;
}

void http_answer(struct http_server *s, struct http_ref ref, struct http_answer *a)
{
    struct exchange *x = exchange_find(s, ref);
    if (x == NULL || !has_room(x, a->body.len)) {
        buf_done(&a->body);
        http_problem_retry(s, ref, ERR_TOO_MANY_WAITS, "too many large answers are on their way",
                           ANSWERS_RETRY_S);
        return;
    }
    unsigned status = a->status == 0 ? MHD_HTTP_OK : a->status;
    char etag[HTTP_ETAG_SIZE] = "";
    if (a->etag) {
        make_answer_etag(a, etag);
        if (status == MHD_HTTP_OK && strcmp(x->rq.route->method, "GET") == 0 &&
            headers_match_etag(&x->headers, str_of(etag))) {
            status = MHD_HTTP_NOT_MODIFIED;
            buf_done(&a->body);
        }
    }
    x->answer_size = a->body.len;
    s->answers += x->answer_size;
    struct MHD_Response *r = answer_headers(x, make_response(&a->body), a);
    if (etag[0] != '\0') {
        header(r, "ETag", etag);
    }
    exchange_answered(x, status, r);
}

void answer_problem(struct exchange *x, const struct problem *p)
{
    const unsigned status = p->status == 0 ? err_http_status(p->code) : p->status;
    struct http_answer a = http_answer_new(status);
    a.retry_after = p->retry_after > 0 ? p->retry_after : -1;
    if (p->content_range != NULL) {
        (void)snprintf(a.content_range, sizeof a.content_range, "%s", p->content_range);
    }
    a.content_type = write_problem(x, p, status, &a.body);
    struct MHD_Response *r = answer_headers(x, make_response(&a.body), &a);
    if (x->allow[0] != '\0') {
        header(r, "Allow", x->allow);
    }
    if (p->authenticate != NULL) {
        header(r, "WWW-Authenticate", p->authenticate);
    }
    if (p->accept_encoding != NULL) {
        header(r, "Accept-Encoding", p->accept_encoding);
    }
    if (p->close && !x->server->draining && !x->early) {
        header(r, "Connection", "close");
    }
    exchange_answered(x, status, r);
}

/* Answers OPTIONS; for a page of an allowed origin as a preflight (Fetch). */
void answer_options(struct exchange *x)
{
    const struct http_answer a = http_answer_new(204);
    struct MHD_Response *r =
        answer_headers(x, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), &a);
    header(r, "Allow", x->allow);
    if (x->cors.n > 0) {
        header(r, "Access-Control-Allow-Methods", x->allow);
        header(r, "Access-Control-Allow-Headers",
               "authorization, content-type, content-encoding, idempotency-key, prefer, "
               "if-none-match, "
               "last-event-id, range, if-range");
        header_number(r, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE_S);
    }
    exchange_answered(x, a.status, r);
}

/* Sends and frees the problem. */
static void send_problem(struct http_server *s, struct http_ref ref, struct problem *p)
{
    struct exchange *x = exchange_find(s, ref);
    if (x != NULL) {
        answer_problem(x, p);
    }
    problem_done(p);
}

static struct problem make_problem(enum err code, const char *detail)
{
    struct problem p;
    problem_init(&p);
    p.code = code;
    buf_add_text(&p.detail, detail == NULL ? err_title(code) : detail);
    return p;
}

void http_problem(struct http_server *s, struct http_ref x, enum err code, const char *detail,
                  const char *pointer)
{
    struct problem p = make_problem(code, detail);
    if (pointer != NULL) {
        p.has_pointer = true;
        buf_add_text(&p.pointer, pointer);
    }
    send_problem(s, x, &p);
}

void http_problem_retry(struct http_server *s, struct http_ref x, enum err code, const char *detail,
                        int retry_after)
{
    struct problem p = make_problem(code, detail);
    p.retry_after = retry_after;
    send_problem(s, x, &p);
}

void http_problem_range(struct http_server *s, struct http_ref x, const char *content_range)
{
    struct problem p =
        make_problem(ERR_RANGE_NOT_SATISFIABLE, "Content-Range says how long the file is");
    p.content_range = content_range;
    send_problem(s, x, &p);
}
