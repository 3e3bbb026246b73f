/*
 * The bytes of an output, streamed from the backend's /view to the client: no more than the
 * stream's buffer is held. If the client is slow the backend's transfer pauses; if either side is
 * lost, the other one is released.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/files/output_copies.h"
#include "comfypool/files/output_fetch.h"
#include "comfypool/pool/jobs.h"

#include "args.h"
#include "bodies.h"
#include "found.h"
#include "inner.h"
#include "params.h"

struct relay {
    struct http_server *server; /* outlives the relay: calls `gone` before its own end */
    struct http_ref request;
    struct http_call *call;
    bool begun;
    bool unchanged; /* the client has it: 304 */
    bool outdated;  /* the client's part is of another file (If-Range): send the whole */
    struct output_stamp stamp;
    bool foreign; /* no longer this job's file */
    char if_range[HTTP_PASSED_SIZE];
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

/* True for types that a browser may show inline: nothing in them runs, unlike in SVG. */
static bool may_be_shown(const char *type)
{
    static const char *const kinds[] = {"image/", "video/", "audio/"};
    if (strcmp(type, "image/svg+xml") == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strncmp(type, kinds[i], strlen(kinds[i])) == 0) {
            return true;
        }
    }
    return strcmp(type, "application/json") == 0 || strncmp(type, "text/plain", 10) == 0;
}

/* Returns the part after the last separator, of either kind. */
static const char *last_part(const char *name)
{
    const char *last = name;
    for (const char *p = name; *p != '\0'; p++) {
        last = *p == '/' || *p == '\\' ? p + 1 : last;
    }
    return *last == '\0' || strstr(last, "..") != NULL ? "output" : last;
}

/* Makes an answer. A backend's names and types are mere data: the type follows from the name, or is
   none. */
static struct http_answer answer_for(const char *filename, unsigned status)
{
    struct http_answer a = http_answer_new(status);
    const char *type = render_output_media_type(filename);
    a.content_type = type == NULL ? "application/octet-stream" : type;
    a.attachment = !may_be_shown(a.content_type);
    a.sandbox = true;
    (void)snprintf(a.filename, sizeof a.filename, "%s", last_part(filename));
    return a;
}

static bool text_of_header(const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            return false;
        }
    }
    return true;
}

static void copy_header(struct relay *r, const char *name, char *to, size_t size)
{
    const char *value = http_call_header(r->call, name);
    const bool plain = value != NULL && strlen(value) < size && text_of_header(value);
    (void)snprintf(to, size, "%s", plain ? value : "");
}

static struct http_answer relayed(struct relay *r, unsigned status)
{
    struct http_answer a = answer_for(r->filename, status);
    copy_header(r, "ETag", a.given_etag, sizeof a.given_etag);
    copy_header(r, "Content-Range", a.content_range, sizeof a.content_range);
    a.ranges = http_call_header(r->call, "Accept-Ranges") != NULL || status == 206;
    return a;
}

static bool view_begins(void *ctx, unsigned status, const char *content_type, int64_t length)
{
    struct relay *r = ctx;
    (void)content_type;
    if (status != 200 && status != 206) {
        return false;
    }
    r->foreign = !stamp_matches(&r->stamp, r->call, status, length);
    if (r->foreign) {
        return false;
    }
    struct http_answer a = relayed(r, status);
    if (http_matches_etag(r->server, r->request, a.given_etag)) { /* If-None-Match was ignored */
        buf_done(&a.body);
        r->unchanged = true;
        return false;
    }
    if (status == 206 && r->if_range[0] != '\0' && strcmp(r->if_range, a.given_etag) != 0) {
        buf_done(&a.body); /* If-Range was ignored */
        r->outdated = true;
        return false;
    }
    r->begun = http_stream_begin(r->server, r->request, &a, length, &stream_ops, r);
    return r->begun;
}

static bool view_bytes(void *ctx, const char *data, size_t n)
{
    struct relay *r = ctx;
    return http_stream_write(r->server, r->request, data, n);
}

static const struct http_sink sink = {.begin = view_begins, .bytes = view_bytes};

/* Sends an answer without a body, or with an unwanted one; false: neither. */
static bool answer_short(struct relay *r, unsigned status)
{
    if (status != 304 && status != 416 && status != 200) {
        return false;
    }
    struct http_answer a = relayed(r, status);
    if (status == 416) {
        http_problem_range(r->server, r->request, a.content_range);
        buf_done(&a.body);
    } else {
        http_answer(r->server, r->request, &a);
    }
    return true;
}

static void view_ended(void *ctx, const struct http_result *result)
{
    struct relay *r = ctx;
    const bool whole = result->outcome == HTTP_ANSWERED;
    char detail[160];
    if (r->begun) {
        http_stream_end(r->server, r->request, whole);
        return;
    }
    if (r->outdated) {
        http_again(r->server, r->request);
        return;
    }
    if (r->foreign) {
        http_problem(r->server, r->request, ERR_OUTPUT_UNAVAILABLE, fetch_is_another, NULL);
        return;
    }
    if (answer_short(r, r->unchanged ? 304 : result->status)) {
        return;
    }
    if (result->status != 0 || whole) {
        (void)snprintf(detail, sizeof detail, "%s", fetch_is_missing);
    } else {
        (void)snprintf(detail, sizeof detail, "the backend did not give the file: %.100s",
                       result->error);
    }
    http_problem(r->server, r->request, ERR_OUTPUT_UNAVAILABLE, detail, NULL);
}

/* Relays the file from its backend, which also judges Range headers. False: no such backend. */
static bool start_relay(struct api *a, const struct http_request *rq, struct http_ref x,
                        const struct store_found *f, const struct render_output *o)
{
    enum { LINE = HTTP_PASSED_SIZE + 24 };
    struct file_server *from = file_server_find(pool_file_servers(a->pool), f->job->backend);
    char lines[3][LINE];
    const char *headers[4] = {NULL};
    size_t n = 0;
    const struct {
        const char *name;
        const char *value;
    } passed[] = {
        {"Range", rq->range}, {"If-Range", rq->if_range}, {"If-None-Match", rq->if_none_match}};
    for (size_t i = rq->asked_again ? 2 : 0; i < 3; i++) { /* without Range: see outdated */
        if (passed[i].value[0] != '\0') {
            (void)snprintf(lines[n], LINE, "%s: %s", passed[i].name, passed[i].value);
            headers[n] = lines[n];
            n++;
        }
    }
    if (from == NULL) {
        return false;
    }
    struct relay *r = mem_zero(1, sizeof *r);
    r->server = a->http;
    r->request = x;
    r->stamp = stamps_find(pool_stamps(a->pool), f->stamps, args_of(rq)->number);
    (void)snprintf(r->if_range, sizeof r->if_range, "%s", rq->if_range);
    (void)snprintf(r->filename, sizeof r->filename, "%s", o->filename);
    r->call = output_view(from, o, headers, &sink, view_ended, r);
    http_call_own(r->call, r);
    return true;
}

static void answer_text(struct api *a, struct http_ref x, const struct render_output *o)
{
    struct http_answer answer = answer_for(o->filename, 200);
    answer.content_type = "text/plain; charset=utf-8";
    answer.etag = true;
    buf_add_text(&answer.body, o->text);
    http_answer(a->http, x, &answer);
}

/* Answers with a copy; false: none. */
static bool answer_copy(struct api *a, const struct http_request *rq, struct http_ref x,
                        const struct render_output *o, size_t len)
{
    struct copies *copies = pool_copies(a->pool);
    const struct api_args *g = args_of(rq);
    const char *sha256 = copies_find(copies, g->job_id, g->number, len);
    uint64_t size = 0;
    const int fd = sha256 == NULL ? -1 : copies_open(copies, sha256, &size);
    if (fd >= 0) {
        struct http_answer answer = answer_for(o->filename, 200);
        api_answer_file(a, rq, x, fd, size, sha256, &answer);
    }
    return fd >= 0;
}

static void answer_output(struct api *a, const struct http_request *rq, struct http_ref x,
                          const struct store_found *f, const struct render_output *list, size_t len)
{
    if (args_of(rq)->number >= len) {
        http_problem(a->http, x, ERR_OUTPUT_NOT_FOUND,
                     "GET /jobs/<id>/outputs lists the outputs; n counts from 0", NULL);
    } else if (list[args_of(rq)->number].text != NULL) {
        answer_text(a, x, &list[args_of(rq)->number]);
    } else if (answer_copy(a, rq, x, &list[args_of(rq)->number], len)) {
        /* answered: a copy outlives its backend */
    } else if (!render_output_is_at_server(&list[args_of(rq)->number])) {
        http_problem(a->http, x, ERR_OUTPUT_UNAVAILABLE, fetch_was_streamed, NULL);
    } else if (!start_relay(a, rq, x, f, &list[args_of(rq)->number])) {
        http_problem(a->http, x, ERR_OUTPUT_UNAVAILABLE, "its backend is not configured any more",
                     NULL);
    }
}

static void output_found(struct api *a, struct http_request *rq, struct http_ref x,
                         const struct store_found *f)
{
    if (f->error != ERR_NONE) {
        http_problem(a->http, x, f->error, err_title(f->error), NULL);
        return;
    }
    size_t len = 0;
    struct render_output *list = render_outputs_read(str_of(f->job->outputs), &len);
    answer_output(a, rq, x, f, list, len);
    render_outputs_free(list, len);
}

static void get_output(void *ctx, struct http_request *rq, struct http_ref x)
{
    static const struct api_find find = {.wants = STORE_WANT_STAMPS, .found = output_found};
    struct api *a = ctx;
    if (pool_has_job(a->pool, args_of(rq)->job_id)) {
        http_problem(a->http, x, ERR_OUTPUT_NOT_FOUND,
                     "the job has not ended; there are outputs when it has: GET /jobs/<id>?wait=60",
                     NULL);
    } else {
        api_find_job(a, rq, x, args_of(rq)->job_id, &find);
    }
}

/* Answers with the list; outputs: of the job's record. */
static void answer_list(struct api *a, const char *job_id, struct http_ref x, const char *outputs)
{
    size_t len = 0;
    struct render_output *list = render_outputs_read(str_of(outputs), &len);
    struct http_answer answer = http_answer_new(200);
    answer.etag = true;
    copies_mark(pool_copies(a->pool), job_id, list, len);
    render_outputs_json(job_id, list, len, &answer.body);
    render_outputs_free(list, len);
    http_answer(a->http, x, &answer);
}

static void outputs_found(struct api *a, struct http_request *rq, struct http_ref x,
                          const struct store_found *f)
{
    if (f->error == ERR_NONE) {
        answer_list(a, args_of(rq)->job_id, x, f->job->outputs);
    } else {
        api_refuse(a, x, f->error);
    }
}

static void list_outputs(void *ctx, struct http_request *rq, struct http_ref x)
{
    static const struct api_find find = {.found = outputs_found};
    struct api *a = ctx;
    if (pool_has_job(a->pool, args_of(rq)->job_id)) { /* no outputs yet */
        answer_list(a, args_of(rq)->job_id, x, NULL);
    } else {
        api_find_job(a, rq, x, args_of(rq)->job_id, &find);
    }
}

static void refuse_preview(struct api *a, struct http_ref x)
{
    http_problem(a->http, x, ERR_OUTPUT_NOT_FOUND,
                 "there is a preview image while the job runs, when its backend sends any", NULL);
}

static void preview_found(struct api *a, struct http_request *rq, struct http_ref x,
                          const struct store_found *f)
{
    (void)rq;
    if (f->error == ERR_NONE) {
        refuse_preview(a, x);
    } else {
        api_refuse(a, x, f->error);
    }
}

static void get_preview(void *ctx, struct http_request *rq, struct http_ref x)
{
    static const struct api_find find = {.found = preview_found};
    struct api *a = ctx;
    struct preview_view v;
    if (!pool_has_job(a->pool, args_of(rq)->job_id)) {
        api_find_job(a, rq, x, args_of(rq)->job_id, &find);
    } else if (!pool_preview_of(a->pool, args_of(rq)->job_id, &v)) {
        refuse_preview(a, x);
    } else {
        struct http_answer answer = http_answer_new(200);
        answer.content_type = v.media_type;
        answer.no_store = true;
        answer.sandbox = true;
        buf_add_str(&answer.body, v.image);
        http_answer(a->http, x, &answer);
    }
}

static const struct http_route routes[] = {
    {"GET", "/jobs/{id}/outputs", ROLE_READ, .serve = list_outputs, .door = DOOR_JOB},
    {"GET", "/jobs/{id}/outputs/{n}", ROLE_READ, .serve = get_output, .door = DOOR_JOB,
     .flags = HTTP_HAS_RANGES},
    {"GET", "/jobs/{id}/preview", ROLE_READ, .serve = get_preview, .door = DOOR_JOB},
};
const struct http_table api_outputs = API_TABLE(routes);
