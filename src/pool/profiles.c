/*
 * GET /jobs/<id>/profile and the profile of one attempt: of an ended job as the store has it, of
 * one that goes on as far as it is known, in every format. An OTLP trace is of the whole job, with
 * all of its attempts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/loop/apart.h"
#include "jobs.h"
#include "profiles.h"
#include "serve.h"
#include "state.h"

/* What a request for a profile finds. */
struct found {
    const struct job_record *job;
    struct buf json; /* the profile */
    bool live;
    unsigned attempt; /* the one that was asked for; 0: the last */
};

/* ---- traces ------------------------------------------------------------------------------------
 */

struct texts {
    struct buf *list;
    size_t len;
};

static void add_stored(struct texts *t, struct pool *p, const struct job_record *r, unsigned number)
{
    t->list = mem_grow(t->list, (t->len + 1) * sizeof *t->list);
    struct buf *b = &t->list[t->len];
    buf_init(b, BUF_NO_LIMIT);
    if (store_get_profile(p->store, r->seq, number, b) == ERR_NONE) {
        t->len++;
    } else {
        buf_done(b);
    }
}

/* The attempts beside the one whose profile is known already. */
static struct texts earlier_attempts(struct pool *p, const struct found *f)
{
    struct texts t = {.list = NULL};
    for (unsigned n = 1; n <= f->job->attempts && f->attempt == 0; n++) {
        if (n != job_told_attempt(f->job)) {
            add_stored(&t, p, f->job, n);
        }
    }
    return t;
}

void profiles_render_trace(struct pool *p, const struct job_record *r, const struct str *profiles,
                           size_t len, struct render_trace *ret)
{
    *ret = (struct render_trace){
        .job_id = r->id,
        .trace_parent = r->trace == NULL ? "" : r->trace,
        .state = job_state_name(r->state),
        .workflow_hash = r->workflow_hash,
        .backend = r->backend,
        .queued_at = r->queued_at,
        .completed_at = r->completed_at,
        .error_message = r->error.code == ERR_NONE  ? NULL
                         : r->error.message != NULL ? r->error.message
                                                    : err_title(r->error.code),
        .profiles = profiles,
        .profiles_len = len,
        .version = p->options.version,
    };
}

/* ---- the answer --------------------------------------------------------------------------------
 */

/* A larger profile is rendered on another thread: some 5 ms of work. */
enum { RENDER_APART = 128 * 1024 };

/* What is rendered and answered; it owns all that it needs. */
struct rendering {
    struct pool *pool;
    struct http_ref x;
    enum format format;
    bool waits;
    bool live; /* given_etag is set already, and the client does not have it */
    struct buf json;
    struct texts earlier; /* of a trace */
    struct render_trace trace;
    char job_id[UUID_SIZE];
    char workflow_hash[DIGEST_HEX_SIZE];
    char *trace_parent, *backend, *error_message;
    char etag[HTTP_PASSED_SIZE];
    struct buf out;
};

/* What a trace tells of the job lives as long as the rendering. */
static void keep_trace(struct rendering *r, const struct job_record *job)
{
    struct render_trace *t = &r->trace;
    profiles_render_trace(r->pool, job, NULL, 0, t);
    memcpy(r->job_id, job->id, sizeof r->job_id);
    memcpy(r->workflow_hash, job->workflow_hash, sizeof r->workflow_hash);
    r->trace_parent = mem_strdup(t->trace_parent);
    r->backend = mem_strdup(t->backend);
    r->error_message = mem_strdup(t->error_message);
    t->job_id = r->job_id;
    t->workflow_hash = r->workflow_hash;
    t->trace_parent = r->trace_parent;
    t->backend = r->backend;
    t->error_message = r->error_message;
}

/* Takes f->json. live_etag: NULL when it is of the body. */
static struct rendering *rendering_new(struct pool *p, const struct http_request *rq,
                                       struct http_ref x, struct found *f, const char *live_etag)
{
    struct rendering *r = mem_zero(1, sizeof *r);
    r->pool = p;
    r->x = x;
    r->format = rq->format;
    r->waits = rq->waits;
    r->live = live_etag != NULL;
    (void)snprintf(r->etag, sizeof r->etag, "%s", live_etag == NULL ? "" : live_etag);
    r->json = f->json;
    buf_init(&f->json, BUF_NO_LIMIT);
    buf_init(&r->out, BUF_NO_LIMIT);
    if (r->format == FORMAT_OTLP) {
        r->earlier = earlier_attempts(p, f);
        keep_trace(r, f->job);
    }
    return r;
}

static void rendering_free(struct rendering *r)
{
    for (size_t i = 0; i < r->earlier.len; i++) {
        buf_done(&r->earlier.list[i]);
    }
    free(r->earlier.list);
    free(r->trace_parent);
    free(r->backend);
    free(r->error_message);
    buf_done(&r->json);
    buf_done(&r->out);
    free(r);
}

static void render_trace(struct rendering *r)
{
    const size_t len = r->earlier.len;
    struct str *profiles = mem_alloc((len + 1) * sizeof *profiles);
    for (size_t i = 0; i < len; i++) {
        profiles[i] = buf_str(&r->earlier.list[i]);
    }
    profiles[len] = buf_str(&r->json);
    r->trace.profiles = profiles;
    r->trace.profiles_len = len + 1;
    render_otlp(&r->trace, &r->out);
    free(profiles);
}

/* In the format that was asked for. */
static void render(void *ctx)
{
    struct rendering *r = ctx;
    if (r->format == FORMAT_JSON) {
        r->out = r->json;
        buf_init(&r->json, BUF_NO_LIMIT);
    } else if (r->format == FORMAT_OTLP) {
        render_trace(r);
    } else {
        (void)render_profile(r->format, buf_str(&r->json), &r->out);
    }
    if (!r->live) {
        http_make_etag(buf_str(&r->out), r->etag);
    }
}

/* Takes r. */
static void rendered(void *ctx, bool worked)
{
    struct rendering *r = ctx;
    struct http_server *server = r->pool->server;
    if (worked && server != NULL) {
        const bool known = !r->live && http_matches_etag(server, r->x, r->etag);
        struct http_answer a = http_answer_new(known ? 304 : 200);
        a.wait_applied = r->waits;
        a.content_type = format_media_type(r->format);
        (void)snprintf(a.given_etag, sizeof a.given_etag, "%s", r->etag);
        if (!known) {
            a.body = r->out;
            buf_init(&r->out, BUF_NO_LIMIT);
        }
        http_answer(server, r->x, &a);
    }
    rendering_free(r);
}

/* Takes the JSON. */
static void answer_profile(struct pool *p, const struct http_request *rq, struct http_ref x,
                           struct found *take, const char *live_etag)
{
    struct rendering *r = rendering_new(p, rq, x, take, live_etag);
    size_t size = r->json.len;
    for (size_t i = 0; i < r->earlier.len; i++) {
        size += r->earlier.list[i].len;
    }
    if (size >= RENDER_APART) {
        aparts_start(p->aparts, render, rendered, r);
    } else {
        render(r);
        rendered(r, true);
    }
}

/* ---- of a job ----------------------------------------------------------------------------------
 */

/* What is known so far changes with the job. That time goes by is no change: two answers of one
   ETag differ in nothing but their times. */
static void make_live_etag(const struct job *j, enum format format, char *ret, size_t size)
{
    (void)snprintf(ret, size, "\"live-%u-%" PRIx64 "-%d\"", j->r.attempts,
                   (uint64_t)j->changed_at.us, (int)format);
}

static void answer_unchanged(struct pool *p, struct http_ref x, const char *etag)
{
    struct http_answer a = http_answer_new(304);
    (void)snprintf(a.given_etag, sizeof a.given_etag, "%s", etag);
    http_answer(p->server, x, &a);
}

/* A client that knows it already may wait for a change. */
static void serve_live(struct job *j, struct http_request *rq, struct http_ref x)
{
    struct pool *p = j->pool;
    const bool may_wait = rq->waits && !rq->wait_over;
    if (j->ending && j->attempt == NULL && store_is_writable(p->store)) {
        job_add_watcher(j, x); /* its end is being stored: told in a moment */
        return;
    }
    char etag[64];
    make_live_etag(j, rq->format, etag, sizeof etag);
    const bool knows = http_matches_etag(p->server, x, etag);
    if (knows && may_wait) {
        job_add_watcher(j, x);
        http_hold(p->server, x);
        return;
    }
    if (knows) {
        answer_unchanged(p, x, etag);
        return;
    }
    struct found f = {.job = &j->r, .live = true};
    buf_init(&f.json, BUF_NO_LIMIT);
    job_live_profile(j, &f.json);
    answer_profile(p, rq, x, &f, etag);
}

static void serve_active(struct job *j, struct http_request *rq, struct http_ref x)
{
    struct pool *p = j->pool;
    if (rq->live) {
        serve_live(j, rq, x);
    } else if (!j->r.profiled) {
        serve_problem(p, x, ERR_PROFILING_DISABLED);
    } else if (rq->waits && !rq->wait_over) {
        job_add_waiter(j, x);
        http_hold(p->server, x);
    } else {
        http_problem_retry(p->server, x, ERR_JOB_NOT_FINISHED,
                           "the profile is served when the job has ended; ?wait=SECONDS waits for "
                           "it, ?live=1 shows what is known so far",
                           1);
    }
}

/* Answers with a stored profile, or with what is wrong. Takes f->json. */
static void answer_stored(struct pool *p, const struct http_request *rq, struct http_ref x,
                          enum err e, struct found *take)
{
    if (e == ERR_NONE) {
        answer_profile(p, rq, x, take, NULL);
    } else {
        buf_done(&take->json);
        serve_problem(p, x, e);
    }
}

void serve_profile(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job *j = job_find(p, serve_id(rq->job_id));
    if (j != NULL) {
        serve_active(j, rq, x);
        return;
    }
    struct job_record r = {0};
    struct found f = {.job = &r};
    buf_init(&f.json, BUF_NO_LIMIT);
    enum err e = store_get_job(p->store, serve_id(rq->job_id), &r);
    if (e == ERR_NONE) {
        e = store_get_profile(p->store, r.seq, job_told_attempt(&r), &f.json);
    }
    answer_stored(p, rq, x, e, &f);
    job_record_done(&r);
}

/* ---- of one attempt ----------------------------------------------------------------------------
 */

void serve_attempt_profile(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job *j = job_find(p, serve_id(rq->job_id));
    struct job_record r = {0};
    enum err e = j != NULL ? ERR_NONE : store_get_job(p->store, serve_id(rq->job_id), &r);
    struct found f = {.job = j != NULL ? &j->r : &r, .attempt = rq->number};
    buf_init(&f.json, BUF_NO_LIMIT);
    if (e == ERR_NONE && (rq->number == 0 || rq->number > f.job->attempts)) {
        e = ERR_ATTEMPT_NOT_FOUND;
    } else if (e == ERR_NONE && j != NULL && rq->number == f.job->attempts &&
               (j->attempt != NULL || j->ending)) {
        e = f.job->profiled ? ERR_JOB_NOT_FINISHED : ERR_PROFILING_DISABLED;
    } else if (e == ERR_NONE) {
        e = store_get_profile(p->store, f.job->seq, rq->number, &f.json);
    }
    answer_stored(p, rq, x, e, &f);
    job_record_done(&r);
}
