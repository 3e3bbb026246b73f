/*
 * The bytes of an output, streamed from the backend's /view to the client: no more than the
 * stream's buffer is held. When the client is slow the backend's transfer pauses; when either side
 * goes, the other one is let go.
 */
#include <stdio.h>
#include <stdlib.h>

#include "inner.h"

struct relay {
    struct http_server *server; /* outlives the relay: it tells `gone` before it goes */
    struct http_ref x;
    struct http_call *call;
    bool begun;
    char filename[256];
};

static void client_drained(void *ctx)
{
    struct relay *r = ctx;
    http_call_resume(r->call);
}

static void client_gone(void *ctx)
{
    struct relay *r = ctx;
    http_call_cancel(r->call); /* frees the relay */
}

static const struct http_stream_ops stream_ops = {.drained = client_drained, .gone = client_gone};

/* A media type from a backend is data: nothing that could end a header line. */
static const char *safe_type(const char *type)
{
    static char copy[128];
    if (type == NULL || strlen(type) >= sizeof copy) {
        return "application/octet-stream";
    }
    for (const char *p = type; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            return "application/octet-stream";
        }
    }
    (void)snprintf(copy, sizeof copy, "%s", type);
    return copy;
}

static bool view_begins(void *ctx, unsigned status, const char *content_type, int64_t length)
{
    struct relay *r = ctx;
    if (status != 200) {
        return false;
    }
    struct http_answer a = http_answer_new(200);
    a.content_type = safe_type(content_type);
    (void)snprintf(a.filename, sizeof a.filename, "%s", r->filename);
    r->begun = http_stream_begin(r->server, r->x, &a, length, &stream_ops, r);
    buf_done(&a.body);
    return r->begun;
}

static bool view_bytes(void *ctx, const char *data, size_t n)
{
    struct relay *r = ctx;
    return http_stream_write(r->server, r->x, data, n);
}

static const struct http_sink sink = {.begin = view_begins, .bytes = view_bytes};

static void view_ended(void *ctx, const struct http_result *result)
{
    struct relay *r = ctx;
    const bool whole = result->outcome == HTTP_ANSWERED;
    if (r->begun) {
        http_stream_end(r->server, r->x, whole);
    } else {
        char detail[160];
        if (result->status != 0 || whole) {
            (void)snprintf(detail, sizeof detail, "the backend does not have the file any more");
        } else {
            (void)snprintf(detail, sizeof detail, "the backend did not give the file: %.100s",
                           result->error);
        }
        http_problem(r->server, r->x, ERR_OUTPUT_UNAVAILABLE, detail, NULL);
    }
}

static void start_relay(struct pool *p, struct http_ref x, const struct backend *b,
                        const struct render_output *o)
{
    struct relay *r = mem_zero(1, sizeof *r);
    r->server = p->server;
    r->x = x;
    (void)snprintf(r->filename, sizeof r->filename, "%s", o->filename);
    r->call = comfy_view(b->comfy, str_of(o->filename), str_of(o->subfolder), str_of(o->type),
                         &sink, view_ended, r);
    http_call_own(r->call, r);
}

void serve_output(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job_record r = {0};
    const enum err e = job_find(p, (struct str){rq->job_id, UUID_TEXT}) != NULL
                           ? ERR_OUTPUT_NOT_FOUND
                           : store_get_job(p->store, (struct str){rq->job_id, UUID_TEXT}, &r);
    if (e != ERR_NONE) {
        http_problem(p->server, x, e, err_title(e), NULL);
        return;
    }
    size_t len = 0;
    struct render_output *list = render_outputs_read(str_of(r.outputs), &len);
    const struct backend *b =
        r.backend == NULL ? NULL : map_get(&p->backends_by_name, str_of(r.backend));
    if (rq->number >= len) {
        http_problem(p->server, x, ERR_OUTPUT_NOT_FOUND,
                     "GET /jobs/<id>/outputs lists the outputs; n counts from 0", NULL);
    } else if (b == NULL) {
        http_problem(p->server, x, ERR_OUTPUT_UNAVAILABLE, "its backend is not configured any more",
                     NULL);
    } else {
        start_relay(p, x, b, &list[rq->number]);
    }
    render_outputs_free(list, len);
    job_record_done(&r);
}
