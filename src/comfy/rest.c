/*
 * Requests to a backend, over kept-alive HTTP. Small contexts live from a request to its callback;
 * the caller can cancel. Answers are read by answers.c.
 */
#include "inner.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/list.h"

enum { MAX_ANSWER = 64 << 20, HEAD_TIMEOUT_MS = 10000 };

/* once: never send the body a second time. */
static struct http_call *request(struct comfy_backend *b, const char *method, const char *path,
                                 struct str body, bool once, http_done_fn done, void *ctx)
{
    AUTO_BUF struct buf url;
    buf_init(&url, 65536);
    buf_printf(&url, "%s%s", b->base, path);
    const struct http_request_spec spec = {
        .method = method,
        .url = buf_text(&url),
        .headers = b->headers,
        .body = body,
        .once = once,
        .connect_timeout = b->timeouts.connect,
        .ca_file = b->ca_file,
        .timeout = once ? b->timeouts.submit : b->timeouts.request,
        .max_answer = MAX_ANSWER,
    };
    return http_call_start(b->http, &spec, done, ctx);
}

static struct http_call *get(struct comfy_backend *b, const char *path, http_done_fn done,
                             void *ctx)
{
    return request(b, "GET", path, (struct str){NULL, 0}, false, done, ctx);
}

/* Reports whether a request found a listener. */
static void tell_contact(struct comfy_backend *b, const struct http_result *r)
{
    if (r->connected || r->connection_refused) {
        const struct comfy_event e = {
            .kind = r->connected ? COMFY_EVENT_LISTENS : COMFY_EVENT_REFUSED,
            .now = time_mono(),
            .text = "",
        };
        b->on_event(b->ctx, &e);
    }
}

/* ---- POST /prompt ---------------------------------------------------------------------------- */

struct submit {
    struct comfy_backend *backend;
    comfy_submit_fn done;
    void *ctx;
};

bool comfy_is_refusal(unsigned status)
{
    return status == 401 || status == 403 || status == 404 || status == 405 || status == 413;
}

/* Judges by the status alone. An overloaded gateway (408, 425, 429) may have passed it on. */
static enum comfy_submit_result submit_result(const struct http_result *r)
{
    if (r->outcome == HTTP_NOT_SENT) {
        return COMFY_NOT_SENT;
    }
    if (r->outcome == HTTP_AMBIGUOUS || r->status >= 500 || r->status < 200 ||
        (r->status >= 300 && r->status < 400) || r->status == 408 || r->status == 425 ||
        r->status == 429) {
        return COMFY_AMBIGUOUS;
    }
    if (r->status == 400) {
        return COMFY_REJECTED;
    }
    return r->status < 300               ? COMFY_ACCEPTED
           : comfy_is_refusal(r->status) ? COMFY_REFUSED
                                         : COMFY_NOT_TAKEN;
}

/* True for a gateway's answer, of any status. A redirection leads to a login, or nowhere. */
static bool is_page(const struct http_result *r)
{
    return r->outcome == HTTP_ANSWERED &&
           ((r->status >= 300 && r->status < 400) || answer_is_page(r->content_type, r->body));
}

static void submitted(void *ctx, const struct http_result *r)
{
    struct submit *s = ctx;
    tell_contact(s->backend, r);
    struct comfy_submit_answer a = {
        .result = submit_result(r), .status = r->status, .message = r->error};
    char text[64];
    if (r->outcome == HTTP_ANSWERED) {
        (void)snprintf(text, sizeof text, "the backend answered POST /prompt with %u", r->status);
        a.message = text;
    }
    const bool readable = prompt_answer_read(r->body, &a.answer);
    if (a.result == COMFY_REJECTED && !readable && is_page(r)) {
        a.result = COMFY_AMBIGUOUS; /* no server's verdict */
    } else if (a.result == COMFY_ACCEPTED && (!readable || a.answer.prompt_id.p == NULL)) {
        a.result = COMFY_AMBIGUOUS; /* a proxy's page, or a partial answer */
        a.message = "the backend's answer to POST /prompt names no prompt";
    }
    a.is_page = a.result == COMFY_AMBIGUOUS && is_page(r);
    s->done(s->ctx, &a);
    prompt_answer_done(&a.answer);
}

struct http_call *comfy_submit(struct comfy_backend *b, struct str body, comfy_submit_fn done,
                               void *ctx)
{
    struct submit *s = mem_alloc(sizeof *s);
    *s = (struct submit){b, done, ctx};
    struct http_call *call = request(b, "POST", "/prompt", body, true, submitted, s);
    http_call_own(call, s);
    return call;
}

/* ---- /queue, then /history/{id} -------------------------------------------------------------- */

struct comfy_locate {
    struct comfy_backend *backend;
    struct http_call *call;
    char prompt_id[UUID_SIZE];
    struct queue_others others;
    bool not_queued;
    comfy_locate_fn done;
    void *ctx;
};

static void locate_ends(struct comfy_locate *l, enum comfy_place place, const struct http_result *r,
                        struct history_answer *history)
{
    struct comfy_locate_answer a = {
        .place = place,
        .not_queued = l->not_queued,
        .refused = r->connection_refused,
        .message = r->outcome == HTTP_ANSWERED ? "its answer cannot be read" : r->error,
        .others = l->others,
    };
    if (history != NULL) {
        a.history = *history;
    }
    l->done(l->ctx, &a);
    free(l);
}

static bool answered_well(const struct http_result *r)
{
    return r->outcome == HTTP_ANSWERED && r->status == 200;
}

/* Place for an unreadable answer. */
static enum comfy_place place_untold(const struct http_result *r)
{
    return r->outcome == HTTP_ANSWERED ? COMFY_UNTOLD : COMFY_UNREACHABLE;
}

static void history_came(void *ctx, const struct http_result *r)
{
    struct comfy_locate *l = ctx;
    tell_contact(l->backend, r);
    if (!answered_well(r)) {
        locate_ends(l, place_untold(r), r, NULL);
        return;
    }
    struct history_answer h;
    const bool readable = history_answer_read(r->body, str_of(l->prompt_id), &h);
    const enum comfy_place place = !readable ? COMFY_UNTOLD : h.found ? COMFY_ENDED : COMFY_ABSENT;
    /* Keeps the answer alive until the callback returns. */
    struct history_answer kept = h;
    locate_ends(l, place, r, &kept);
    history_answer_done(&h);
}

static void queue_came(void *ctx, const struct http_result *r)
{
    struct comfy_locate *l = ctx;
    tell_contact(l->backend, r);
    if (!answered_well(r)) {
        locate_ends(l, place_untold(r), r, NULL);
        return;
    }
    switch (queue_answer_find(r->body, str_of(l->prompt_id), &l->others)) {
    case QUEUE_BROKEN:
        locate_ends(l, place_untold(r), r, NULL);
        return;
    case QUEUE_PENDING:
        locate_ends(l, COMFY_PENDING, r, NULL);
        return;
    case QUEUE_RUNNING:
        locate_ends(l, COMFY_RUNNING, r, NULL);
        return;
    case QUEUE_ABSENT:
        break;
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/history/%s", l->prompt_id);
    l->not_queued = true;
    l->call = get(l->backend, path, history_came, l);
}

struct comfy_locate *comfy_locate(struct comfy_backend *b, const char *prompt_id,
                                  comfy_locate_fn done, void *ctx)
{
    struct comfy_locate *l = mem_zero(1, sizeof *l);
    l->backend = b;
    l->done = done;
    l->ctx = ctx;
    (void)snprintf(l->prompt_id, sizeof l->prompt_id, "%s", prompt_id);
    l->call = get(b, "/queue", queue_came, l);
    return l;
}

void comfy_locate_cancel(struct comfy_locate *l)
{
    http_call_cancel(l->call);
    free(l);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

/* At most four requests in sequence; belongs to the backend. */
struct cancel {
    struct comfy_backend *backend;
    struct cancel *next, **link;
    struct http_call *call;
    char prompt_id[UUID_SIZE];
};

static void cancel_free(struct cancel *c)
{
    list_remove(c, next, link);
    free(c);
}

static void interrupted(void *ctx, const struct http_result *r)
{
    struct cancel *c = ctx; /* frames, or a question, tell what became of the prompt */
    tell_contact(c->backend, r);
    interrupts_over(&c->backend->interrupts, c->prompt_id, time_mono(),
                    r->outcome == HTTP_ANSWERED);
    cancel_free(c);
}

/* Interrupts only after a good answer: else the one waiting for its end asks, and cancels again. */
static void looked(void *ctx, const struct http_result *r)
{
    struct cancel *c = ctx;
    struct queue_others others;
    tell_contact(c->backend, r);
    if (!answered_well(r) ||
        queue_answer_find(r->body, str_of(c->prompt_id), &others) != QUEUE_RUNNING) {
        cancel_free(c);
        return;
    }
    char body[80];
    interrupts_sent(&c->backend->interrupts, c->prompt_id);
    (void)snprintf(body, sizeof body, "{\"prompt_id\":\"%s\"}", c->prompt_id);
    c->call = request(c->backend, "POST", "/interrupt", str_of(body), false, interrupted, c);
}

static void deleted(void *ctx, const struct http_result *r)
{
    struct cancel *c = ctx;
    tell_contact(c->backend, r);
    c->call = get(c->backend, "/queue", looked, c);
}

static void delete_and_interrupt(struct cancel *c)
{
    char body[80];
    (void)snprintf(body, sizeof body, "{\"delete\":[\"%s\"]}", c->prompt_id);
    c->call = request(c->backend, "POST", "/queue", str_of(body), false, deleted, c);
}

static void job_cancelled(void *ctx, const struct http_result *r)
{
    struct cancel *c = ctx;
    tell_contact(c->backend, r);
    const bool known = answered_well(r) && r->body.n > 0 && r->body.p[0] == '{';
    /* 405: /api/jobs/{id} exists, but not its cancel (0.3.64 and 0.12.2 say so). */
    const bool none = r->outcome == HTTP_ANSWERED && (r->status == 404 || r->status == 405);
    c->backend->jobs_api = known ? 1 : none ? 0 : c->backend->jobs_api;
    if (known && cancel_answer_read(r->body)) {
        cancel_free(c);
    } else {
        delete_and_interrupt(c);
    }
}

static bool is_cancelling(const struct comfy_backend *b, const char *prompt_id)
{
    const struct cancel *c = b->cancels;
    while (c != NULL && strcmp(c->prompt_id, prompt_id) != 0) {
        c = c->next;
    }
    return c != NULL;
}

struct interrupts *comfy_interrupts(struct comfy_backend *b)
{
    return &b->interrupts;
}

void comfy_cancel_prompt(struct comfy_backend *b, const char *prompt_id)
{
    if (is_cancelling(b, prompt_id)) {
        return;
    }
    struct cancel *c = mem_zero(1, sizeof *c);
    c->backend = b;
    (void)snprintf(c->prompt_id, sizeof c->prompt_id, "%s", prompt_id);
    list_push(&b->cancels, c, next, link);
    if (b->jobs_api == 0) {
        delete_and_interrupt(c);
        return;
    }
    char path[80];
    (void)snprintf(path, sizeof path, "/api/jobs/%s/cancel", prompt_id);
    c->call = request(b, "POST", path, STR("{}"), false, job_cancelled, c);
}

/* ---- /system_stats, /view -------------------------------------------------------------------- */

static void stats_came(void *ctx, const struct http_result *r)
{
    struct comfy_backend *b = ctx;
    b->stats_call = NULL;
    tell_contact(b, r);
    struct stats_answer s;
    if (!answered_well(r)) {
        return;
    }
    if (stats_answer_read(r->body, &s)) {
        const struct comfy_event e = {
            .kind = COMFY_EVENT_STATS, .now = time_mono(), .text = "", .stats = &s};
        b->on_event(b->ctx, &e);
    }
    stats_answer_done(&s);
}

void comfy_ask_stats(struct comfy_backend *b)
{
    if (b->stats_call == NULL) {
        b->stats_call = get(b, "/system_stats", stats_came, b);
    }
}

static void knocked(void *ctx, const struct http_result *r)
{
    struct comfy_backend *b = ctx;
    b->knock_call = NULL;
    tell_contact(b, r);
}

void comfy_knock(struct comfy_backend *b)
{
    if (b->knock_call == NULL && !b->closing) {
        b->knock_call = get(b, "/system_stats", knocked, b);
    }
}

void comfy_end_requests(struct comfy_backend *b)
{
    struct http_call **const calls[] = {&b->stats_call, &b->knock_call};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (*calls[i] != NULL) {
            http_call_cancel(*calls[i]);
            *calls[i] = NULL;
        }
    }
    while (b->cancels != NULL) {
        http_call_cancel(b->cancels->call);
        cancel_free(b->cancels);
    }
}

/* ---- POST /upload/image ---------------------------------------------------------------------- */

struct upload {
    comfy_upload_fn done;
    void *ctx;
};

/* Reads {"name", "subfolder", ...} as "subfolder/name". */
static bool read_upload(struct str body, struct buf *out)
{
    AUTO_BUF struct buf name;
    buf_init(&name, 65536);
    struct js_reader r;
    js_read_lenient(&r, body, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        struct buf scratch;
        buf_init(&scratch, 65536);
        if (v.kind == JS_STRING && js_is(key, "name")) {
            buf_clear(&name);
            buf_add_str(&name, js_text(v, &scratch));
        } else if (v.kind == JS_STRING && js_is(key, "subfolder")) {
            buf_clear(out);
            buf_add_str(out, js_text(v, &scratch));
        } else {
            (void)js_rest(&r, v);
        }
        buf_done(&scratch);
    }
    if (out->len > 0) {
        buf_add_char(out, '/');
    }
    buf_add_str(out, buf_str(&name));
    return name.len > 0 && !out->overflow;
}

static void uploaded(void *ctx, const struct http_result *r)
{
    struct upload *u = ctx;
    AUTO_BUF struct buf name;
    buf_init(&name, 65536);
    char text[80];
    const char *why = r->error;
    if (r->outcome == HTTP_ANSWERED) {
        (void)snprintf(text, sizeof text, "the backend answered POST /upload/image with %u",
                       r->status);
        why = text;
    }
    const bool good = answered_well(r) && read_upload(r->body, &name);
    u->done(u->ctx, good ? buf_text(&name) : NULL, r->outcome == HTTP_ANSWERED ? r->status : 0,
            !good && is_page(r), why);
}

struct http_call *comfy_upload(struct comfy_backend *b, const char *path, const char *filename,
                               const char *subfolder, comfy_upload_fn done, void *ctx)
{
    AUTO_BUF struct buf url;
    buf_init(&url, 65536);
    buf_printf(&url, "%s/upload/image", b->base);
    const char *const fields[] = {"type",      "input", "subfolder", subfolder,
                                  "overwrite", "true",  NULL};
    const struct http_form form = {path, "image", filename, fields};
    struct upload *u = mem_alloc(sizeof *u);
    *u = (struct upload){done, ctx};
    const struct http_request_spec spec = {
        .method = "POST",
        .url = buf_text(&url),
        .headers = b->headers,
        .form = &form,
        .connect_timeout = b->timeouts.connect,
        .ca_file = b->ca_file,
        .stall = b->timeouts.request,
        .max_answer = 1 << 20,
    };
    struct http_call *call = http_call_start(b->http, &spec, uploaded, u);
    http_call_own(call, u);
    return call;
}

/* Asks for a file with headers; sink NULL: HEAD only. */
static struct http_call *ask_view(struct comfy_backend *b, struct str filename,
                                  struct str subfolder, struct str type, const char *const *headers,
                                  const struct http_sink *sink, http_done_fn done, void *ctx)
{
    enum { MORE = 8 };
    AUTO_BUF struct buf url;
    buf_init(&url, 65536);
    buf_printf(&url, "%s/view?filename=", b->base);
    url_encode(&url, filename);
    buf_add_text(&url, "&subfolder=");
    url_encode(&url, subfolder);
    buf_add_text(&url, "&type=");
    url_encode(&url, type);
    const char **all = mem_zero(b->headers_len + MORE + 1, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < b->headers_len; i++) {
        all[n++] = b->headers[i];
    }
    for (size_t i = 0; i < MORE && headers != NULL && headers[i] != NULL; i++) {
        all[n++] = headers[i];
    }
    const struct http_request_spec spec = {
        .method = sink == NULL ? "HEAD" : "GET",
        .url = buf_text(&url),
        .headers = all,
        .connect_timeout = b->timeouts.connect,
        .ca_file = b->ca_file,
        .timeout = sink == NULL ? dur_ms(HEAD_TIMEOUT_MS) : dur_ms(0),
        .sink = sink,
    };
    struct http_call *call = http_call_start(b->http, &spec, done, ctx);
    free(all);
    return call;
}

struct http_call *comfy_view(struct comfy_backend *b, struct str filename, struct str subfolder,
                             struct str type, const char *const *headers,
                             const struct http_sink *sink, http_done_fn done, void *ctx)
{
    return ask_view(b, filename, subfolder, type, headers, sink, done, ctx);
}

struct http_call *comfy_view_head(struct comfy_backend *b, struct str filename,
                                  struct str subfolder, struct str type, http_done_fn done,
                                  void *ctx)
{
    return ask_view(b, filename, subfolder, type, NULL, NULL, done, ctx);
}
