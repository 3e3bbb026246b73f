/*
 * One request's life: begun when its request line is read, checked when its headers are there, its
 * body collected (or discarded, when refused or too large), passed to `serve`, answered, and over
 * when libmicrohttpd says so. Only exchange_completed frees one; before that callers see it through
 * refs, which find nothing once it is answered or the client is gone.
 *
 * A refusal waits for the end of the body, so that the connection can be kept: an earlier answer
 * closes it. Exceptions: untrusted framing, a body announced as too large by a client that waits
 * for 100 Continue, and one too long to read to its end.
 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/log.h"
#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"
#include "comfypool/loop/apart.h"
#include "comfypool/loop/mhd_host.h"

#include "access.h"
#include "answer.h"
#include "body.h"
#include "coding.h"
#include "conns.h"
#include "file_body.h"
#include "headers.h"
#include "long_poll.h"
#include "query.h"
#include "router.h"
#include "server.h"
#include "stream.h"

/* DISCARD_TIMES: a body beyond the cap is discarded up to this many caps. */
enum { DISCARD_TIMES = 8, RETRY_S = 1 };

/* Larger bodies are read on another thread: some 2 ms of work. */
enum { READ_APART = 128 * 1024 };

/* Limit of all bodies being collected, in caps of one. */
enum { BODIES_AT_ONCE = 8 };

/* ---- slots ----------------------------------------------------------------------------------- */

static void grow_slots(struct http_server *s)
{
    const uint32_t len = s->slots_len == 0 ? 64 : s->slots_len * 2;
    s->slots = mem_grow(s->slots, len * sizeof *s->slots);
    for (uint32_t i = len; i > s->slots_len; i--) {
        s->slots[i - 1] = (struct slot){.generation = 1, .next_free = s->free_slot};
        s->free_slot = i;
    }
    s->slots_len = len;
}

static struct http_ref take_slot(struct http_server *s, struct exchange *x)
{
    if (s->free_slot == 0) {
        grow_slots(s);
    }
    const uint32_t i = s->free_slot - 1;
    s->free_slot = s->slots[i].next_free;
    s->slots[i].exchange = x;
    return (struct http_ref){i, s->slots[i].generation};
}

static void give_slot(struct http_server *s, struct http_ref ref)
{
    struct slot *slot = &s->slots[ref.slot];
    slot->exchange = NULL;
    slot->generation++;
    slot->next_free = s->free_slot;
    s->free_slot = ref.slot + 1;
}

struct exchange *exchange_at(struct http_server *s, uint32_t slot)
{
    return slot < s->slots_len ? s->slots[slot].exchange : NULL;
}

struct exchange *exchange_find(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_at(s, ref.slot);
    if (x == NULL || s->slots[ref.slot].generation != ref.generation || x->answered || x->gone) {
        return NULL;
    }
    return x;
}

bool http_is_open(struct http_server *s, struct http_ref x)
{
    return exchange_find(s, x) != NULL;
}

/* ---- suspending ------------------------------------------------------------------------------ */

void exchange_suspend(struct exchange *x)
{
    x->suspended = true;
    conn_pause(x->conn, true);
    MHD_suspend_connection(x->connection);
}

/*
 * Works around 0.9.75, which reads from a resumed connection, and closes it without an answer when
 * the client has shut its sending side; but for one with its own timeout it asks for an answer
 * first.
 */
static void keep_from_reading(struct exchange *x)
{
    if (x->conn != NULL && conn_has_ended(x->conn)) {
        (void)MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                        (unsigned)CONNECTION_IDLE_S + 1);
    }
}

void exchange_resume(struct exchange *x)
{
    watch_end(x);
    if (x->suspended) {
        x->suspended = false;
        conn_pause(x->conn, false);
        keep_from_reading(x);
        MHD_resume_connection(x->connection);
        mhd_host_kick(x->listener->host);
    }
}

static void end_wait(struct exchange *x)
{
    hold_end(x);
    if (x->waiting) {
        x->waiting = false;
        x->server->stats.waits--;
    }
}

void exchange_answered(struct exchange *x, unsigned status, struct MHD_Response *response)
{
    x->answered = true;
    x->status = status;
    x->response = response;
    end_wait(x);
    exchange_resume(x);
}

void exchange_abandon(struct exchange *x)
{
    x->gone = true;
    end_wait(x);
    if (x->stream != NULL) {
        stream_cut(x->stream);
    }
    exchange_resume(x);
}

/* ---- serving --------------------------------------------------------------------------------- */

static void serve(struct exchange *x)
{
    x->serving = true;
    do {
        x->again = false;
        x->rq.route->serve(x->family->ctx, &x->rq, x->ref);
        x->rq.asked_again = x->rq.asked_again || x->again;
    } while (x->again && !x->answered);
    x->serving = false;
}

static void admit(struct exchange *x)
{
    const struct http_family *f = x->family;
    if (f->admit == NULL || f->admit(f->ctx, &x->rq, x->ref) == HTTP_ADMIT) {
        serve(x);
    }
}

void http_let_in(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_find(s, ref);
    if (x != NULL && exchange_is_still_let_in(x)) {
        serve(x);
    }
}

void exchange_serve_again(struct exchange *x)
{
    if (x->serving) {
        x->again = true;
    } else if (!heap_holds(&x->hold.node) || exchange_is_still_let_in(x)) {
        x->rq.asked_again = true;
        serve(x);
    }
}

void http_again(struct http_server *s, struct http_ref ref)
{
    struct exchange *x = exchange_find(s, ref);
    if (x != NULL) {
        exchange_serve_again(x);
    }
}

/* ---- the headers ----------------------------------------------------------------------------- */

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                 size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    headers_add(ctx, (struct str){key, key_size},
                (struct str){value == NULL ? "" : value, value == NULL ? 0 : value_size});
    return MHD_YES;
}

static uint64_t discard_limit(const struct exchange *x)
{
    return (uint64_t)x->server->options.max_body_bytes * DISCARD_TIMES;
}

static void refuse_large(struct exchange *x)
{
    (void)problem_set(&x->problem, ERR_BODY_TOO_LARGE, "the %s may have %zu bytes",
                      x->files == NULL ? "body" : "part job", x->server->options.max_body_bytes);
}

/* Refuses a body announced as too large. */
static void check_length(struct exchange *x)
{
    if (x->problem.code == ERR_NONE && !x->options && file_body_is(x)) {
        return; /* left to file_body_begin */
    }
    const uint64_t length = headers_body_length(&x->headers);
    if (length == UINT64_MAX || length <= x->server->options.max_body_bytes) {
        return;
    }
    if (length > discard_limit(x) || headers_expect_continue(&x->headers)) {
        problem_done(&x->problem);
        problem_init(&x->problem); /* all other problems rank after this */
        x->problem.close = true;
    }
    refuse_large(x);
}

static void check_wait(struct exchange *x)
{
    struct http_server *s = x->server;
    if (!x->rq.waits) {
        return;
    }
    if (s->stats.waits >= s->options.max_waits) {
        (void)problem_set(&x->problem, ERR_TOO_MANY_WAITS, "%u requests wait already",
                          s->stats.waits);
        x->problem.retry_after = RETRY_S;
        return;
    }
    x->waiting = true;
    s->stats.waits++;
    x->wait_until = mono_add(time_mono(), x->rq.wait);
}

/* Checks access, before anything about the request. */
static bool check_access(struct exchange *x, const struct match *m)
{
    const struct http_server *s = x->server;
    const struct visitor v = {.headers = &x->headers,
                              .authority = m->authority,
                              .local = conn_local(x->conn),
                              .route = m->route};
    struct problem *p = &x->problem;
    x->tokens_set = s->tokens_set;
    const bool good = access_check_host(&v, s->options.allowed_hosts, p) &&
                      access_check_origin(&v, s->options.allowed_origins, &x->cors, p) &&
                      (m->options || access_check_token(&v, s->tokens, s->tokens_len, x->rq.caller,
                                                        &x->rq.role, p));
    if (!good && headers_expect_continue(&x->headers)) {
        p->close = true; /* the client does not send the body */
    }
    return good;
}

/* True if its data is stored already: a 401 would make the client send it again. */
static bool is_submitted(const struct exchange *x)
{
    return x->rq.route != NULL && (x->rq.route->flags & HTTP_FINISHES) != 0 &&
           heap_holds(&x->hold.node);
}

bool exchange_is_let_in(struct exchange *x, struct problem *p)
{
    const struct http_server *s = x->server;
    const struct visitor v = {
        .headers = &x->headers, .local = conn_local(x->conn), .route = x->rq.route};
    if (x->tokens_set == s->tokens_set || is_submitted(x)) {
        return true;
    }
    x->tokens_set = s->tokens_set;
    return access_check_again(&v, s->tokens, s->tokens_len, x->rq.caller, x->rq.role, p);
}

bool exchange_is_still_let_in(struct exchange *x)
{
    struct problem p;
    problem_init(&p);
    const bool good = exchange_is_let_in(x, &p);
    if (!good) {
        answer_problem(x, &p);
    }
    problem_done(&p);
    return good;
}

/* Checks held requests and streams; others are checked when served, held, or given a stream. */
void exchange_check_token(struct exchange *x)
{
    struct problem p;
    if (x->gone || (x->stream == NULL && !heap_holds(&x->hold.node))) {
        return;
    }
    problem_init(&p);
    if (!exchange_is_let_in(x, &p)) {
        LOG(LOG_INFO, "a request ends: its token does not let it in any more",
            LOG_S("client", x->rq.caller), LOG_S("path", x->rq.route->path));
        if (x->stream != NULL) {
            stream_shut(x->stream);
        } else {
            answer_problem(x, &p);
        }
    }
    problem_done(&p);
}

static bool check_details(struct exchange *x, const struct match *m)
{
    struct problem *p = &x->problem;
    x->rq.head = m->head;
    return query_parse(m->query, &x->headers, &x->rq, &x->preferred, p) && coding_check(x) &&
           (!body_is_json(m->route) || file_body_is(x) ||
            headers_check_body_type(&x->headers, p)) &&
           ((m->route->flags & HTTP_HAS_KEY) == 0 ||
            headers_idempotency_key(&x->headers, x->rq.idempotency_key, p));
}

static void check_request(struct exchange *x, const char *method, const char *version)
{
    struct match m;
    struct problem nowhere;
    if (!headers_check_framing(&x->headers, strcmp(version, MHD_HTTP_VERSION_1_1) == 0,
                               &x->problem)) {
        return;
    }
    problem_init(&nowhere);
    const bool found =
        router_match(x->server->options.families, str_of(method), str_of(x->target), &m, &nowhere);
    x->family = m.family;
    x->rq.args = m.args;
    memcpy(x->allow, m.allow, sizeof x->allow);
    x->options = m.options;
    if (!check_access(x, &m)) {
        x->allow[0] = '\0';
    } else if (!found) {
        (void)problem_set(&x->problem, nowhere.code, "%s", buf_text(&nowhere.detail));
    } else if (!m.options) {
        x->rq.route = m.route;
        if (check_details(x, &m)) {
            check_wait(x);
        }
    }
    problem_done(&nowhere);
    check_length(x);
}

/* Handles the first call: only the headers are there. */
static enum MHD_Result read_headers(struct exchange *x, struct MHD_Connection *connection,
                                    const char *method, const char *version)
{
    x->headers_done = true;
    x->connection = connection;
    x->server->stats.requests++;
    conn_headers(x->conn);
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, &x->headers);
    check_request(x, method, version);
    if (x->problem.code == ERR_NONE && !x->options && file_body_is(x) && !file_body_begin(x)) {
        x->early = x->served = true;
        conn_body(x->conn);
        admit(x);
        return MHD_queue_response(connection, x->status, x->response);
    }
    if (x->problem.code != ERR_NONE && x->problem.close) {
        answer_problem(x, &x->problem);
        return MHD_queue_response(connection, x->status, x->response);
    }
    conn_look_for_end(x->conn);
    return MHD_YES;
}

/* ---- the body -------------------------------------------------------------------------------- */

static void drop_body(struct exchange *x)
{
    x->server->bodies -= x->body.len;
    buf_done(&x->body);
}

void exchange_collect(struct exchange *x, const char *bytes, size_t n)
{
    struct http_server *s = x->server;
    if (x->body.len + n > s->options.max_body_bytes) { /* possible if compressed */
        refuse_large(x);
    }
    if (x->problem.code == ERR_NONE && body_is_read(x->rq.route) &&
        s->bodies + n > s->options.max_body_bytes * BODIES_AT_ONCE) {
        (void)problem_set(&x->problem, ERR_QUEUE_FULL, "too many large bodies come in at a time");
        x->problem.retry_after = RETRY_S;
    }
    if (x->problem.code != ERR_NONE || !body_is_read(x->rq.route)) {
        drop_body(x);
        return;
    }
    buf_add(&x->body, bytes, n);
    s->bodies += n;
}

static enum MHD_Result read_body(struct exchange *x, const char *bytes, size_t *size)
{
    const size_t n = *size;
    *size = 0;
    if (x->files != NULL && x->problem.code == ERR_NONE) {
        conn_progress(x->conn);
        if (!file_body_feed(x, bytes, n)) {
            exchange_suspend(x);
        } else {
            conn_look_for_end(x->conn);
        }
        return MHD_YES;
    }
    x->body_seen += n;
    if (x->body_seen > discard_limit(x)) {
        return MHD_NO; /* no answer is possible within a body: closes the connection */
    }
    if (x->body_seen > x->server->options.max_body_bytes) {
        refuse_large(x);
    }
    if (x->gunzip == NULL) {
        exchange_collect(x, bytes, n);
    } else if (x->problem.code == ERR_NONE && !coding_feed(x, bytes, n)) {
        exchange_suspend(x);
    }
    conn_look_for_end(x->conn);
    return MHD_YES;
}

/* Serves after the body was read. */
static void serve_read(struct exchange *x)
{
    drop_body(x);
    if (x->problem.code != ERR_NONE || (!x->options && !exchange_is_let_in(x, &x->problem))) {
        file_body_refused(x);
        answer_problem(x, &x->problem);
    } else if (x->options) {
        answer_options(x);
    } else {
        admit(x);
    }
}

static void read_it(void *ctx)
{
    struct exchange *x = ctx;
    (void)!body_read(buf_str(&x->body), &x->rq, &x->problem);
}

static void exchange_free(struct exchange *x);

static void read_apart(void *ctx, bool worked)
{
    struct exchange *x = ctx;
    (void)worked; /* false only when all exchanges are over */
    x->reading = false;
    if (x->over) {
        exchange_free(x);
    } else if (!x->gone) {
        serve_read(x);
    }
}

/* Reads the complete body, and serves. */
static void serve_first(struct exchange *x)
{
    x->served = true;
    conn_body(x->conn);
    coding_end(x);
    if (x->problem.code != ERR_NONE || x->options) {
        serve_read(x);
    } else if (x->body.len >= READ_APART) {
        x->reading = true;
        aparts_start(x->server->aparts, read_it, read_apart, x);
    } else {
        read_it(x);
        serve_read(x);
    }
}

enum MHD_Result exchange_handle(void *ctx, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **con_cls)
{
    (void)ctx;
    (void)url; /* decoded by libmicrohttpd; the target is raw */
    struct exchange *x = *con_cls;
    if (x == NULL || x->gone) {
        return MHD_NO;
    }
    if (!x->headers_done) {
        return read_headers(x, connection, method, version);
    }
    if (*upload_size != 0 && x->suspended) {
        return MHD_YES; /* 0.9.75 offers the next chunk even so; it comes again */
    }
    if (*upload_size != 0) {
        return read_body(x, upload, upload_size);
    }
    if (!x->served && x->files != NULL && x->problem.code == ERR_NONE && !file_body_end(x)) {
        exchange_suspend(x);
        return MHD_YES;
    }
    if (!x->served) {
        serve_first(x);
    }
    if (x->response != NULL) {
        return MHD_queue_response(connection, x->status, x->response);
    }
    exchange_suspend(x);
    return MHD_YES;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void *exchange_begin(void *ctx, const char *target, struct MHD_Connection *connection)
{
    struct listener *l = ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *x = mem_zero(1, sizeof *x);
    x->server = l->server;
    x->listener = l;
    x->family = l->server->options.families[0];
    x->conn = info == NULL ? NULL : info->socket_context;
    conn_request(x->conn);
    x->target = mem_strdup(target);
    problem_init(&x->problem);
    buf_init(&x->body, l->server->options.max_body_bytes);
    x->ref = take_slot(l->server, x);
    return x;
}

static void exchange_free(struct exchange *x)
{
    file_body_free(x);
    coding_free(x);
    if (x->rq.note_done != NULL) {
        x->rq.note_done(x->rq.note);
    }
    match_args_free(x->family, x->rq.args);
    problem_done(&x->problem);
    drop_body(x);
    free(x->target);
    free(x);
}

void exchange_completed(void *ctx, struct MHD_Connection *connection, void **con_cls,
                        enum MHD_RequestTerminationCode how)
{
    (void)ctx;
    (void)connection;
    (void)how;
    struct exchange *x = *con_cls;
    if (x == NULL) {
        return;
    }
    *con_cls = NULL;
    x->gone = true;
    end_wait(x);
    watch_end(x);
    give_slot(x->server, x->ref);
    if (x->stream != NULL) {
        stream_free(x->stream);
    }
    if (x->response != NULL) {
        MHD_destroy_response(x->response);
    }
    x->server->answers -= x->answer_size;
    conn_answered(x->conn);
    x->over = true;
    if (!x->reading) {
        exchange_free(x);
    }
}
