/*
 * GET /jobs/<id>/profile and the profile of one attempt, in every format: of an ended job from the
 * store, of an active one as far as known. An OTLP trace covers the whole job, with all of its
 * attempts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/loop/apart.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/render/render.h"
#include "comfypool/store/store.h"

#include "args.h"
#include "bodies.h"
#include "found.h"
#include "inner.h"
#include "params.h"

/* A profile found for a request. */
struct found {
    const struct job_record *job;
    struct buf json;                  /* the profile */
    const struct store_found *stored; /* with the profiles of all attempts; NULL: not needed */
};

/* ---- traces ---------------------------------------------------------------------------------- */

struct texts {
    struct buf *list;
    size_t len;
};

/* Copies the profiles of attempts other than the one already known. */
static struct texts earlier_attempts(const struct found *f)
{
    const size_t len = f->stored == NULL ? 0 : f->stored->profiles_len;
    struct texts t = {.list = mem_alloc((len + 1) * sizeof *t.list)};
    for (size_t i = 0; i < len; i++) {
        const struct store_profile *p = &f->stored->profiles[i];
        if (p->attempt != 0 && p->attempt != job_told_attempt(f->job)) {
            buf_init(&t.list[t.len], BUF_NO_LIMIT);
            buf_add_str(&t.list[t.len++], p->json);
        }
    }
    return t;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* A larger profile is rendered on another thread: some 5 ms of work. */
enum { RENDER_APART = 128 * 1024 };

/* A profile being rendered for an answer; owns all that it needs. */
struct rendering {
    struct api *api;
    struct http_ref request;
    enum format format;
    bool waits;
    bool live; /* etag is set already, and unknown to the client */
    struct buf json;
    struct texts earlier; /* for a trace */
    struct render_trace trace;
    char job_id[UUID_SIZE];
    char workflow_hash[DIGEST_HEX_SIZE];
    char *trace_parent, *backend, *error_message;
    char etag[HTTP_PASSED_SIZE];
    struct buf out;
};

/* Copies a trace's data of the job, to live as long as the rendering. */
static void keep_trace(struct rendering *r, const struct job_record *job)
{
    struct render_trace *t = &r->trace;
    render_trace_of(job, r->api->options.version, NULL, 0, t);
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

/* Takes f->json. live_etag NULL: the ETag is made from the body. */
static struct rendering *rendering_new(struct api *a, const struct http_request *rq,
                                       struct http_ref x, struct found *f, const char *live_etag)
{
    struct rendering *r = mem_zero(1, sizeof *r);
    r->api = a;
    r->request = x;
    r->format = rq->format;
    r->waits = rq->waits;
    r->live = live_etag != NULL;
    (void)snprintf(r->etag, sizeof r->etag, "%s", live_etag == NULL ? "" : live_etag);
    r->json = f->json;
    buf_init(&f->json, BUF_NO_LIMIT);
    buf_init(&r->out, BUF_NO_LIMIT);
    if (r->format == FORMAT_OTLP) {
        r->earlier = earlier_attempts(f);
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

/* Renders in the requested format. */
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

/* Sends the answer; takes r. */
static void rendered(void *ctx, bool worked)
{
    struct rendering *r = ctx;
    struct http_server *server = r->api->http;
    if (worked && server != NULL) {
        const bool known = !r->live && http_matches_etag(server, r->request, r->etag);
        struct http_answer answer = http_answer_new(known ? 304 : 200);
        answer.wait_applied = r->waits;
        answer.content_type = format_media_type(r->format);
        (void)snprintf(answer.given_etag, sizeof answer.given_etag, "%s", r->etag);
        if (!known) {
            answer.body = r->out;
            buf_init(&r->out, BUF_NO_LIMIT);
        }
        http_answer(server, r->request, &answer);
    }
    rendering_free(r);
}

/* Renders and sends a profile; takes its JSON. */
static void answer_profile(struct api *a, const struct http_request *rq, struct http_ref x,
                           struct found *take, const char *live_etag)
{
    struct rendering *r = rendering_new(a, rq, x, take, live_etag);
    size_t size = r->json.len;
    for (size_t i = 0; i < r->earlier.len; i++) {
        size += r->earlier.list[i].len;
    }
    if (size >= RENDER_APART) {
        aparts_start(a->aparts, render, rendered, r);
    } else {
        render(r);
        rendered(r, true);
    }
}

/* ---- profile of a job ------------------------------------------------------------------------ */

/* Makes the ETag of a live profile, which changes with the job. Passing time is no change: two
   answers of one ETag differ in nothing but their times. */
static void make_live_etag(const struct job_view *v, enum format format, char *ret, size_t size)
{
    (void)snprintf(ret, size, "\"live-%u-%" PRIx64 "-%d\"", v->record.attempts,
                   (uint64_t)v->changed_at.us, (int)format);
}

static void answer_unchanged(struct api *a, struct http_ref x, const char *etag)
{
    struct http_answer answer = http_answer_new(304);
    (void)snprintf(answer.given_etag, sizeof answer.given_etag, "%s", etag);
    http_answer(a->http, x, &answer);
}

static void get_profile(void *ctx, struct http_request *rq, struct http_ref x);

/* A live profile, while those of earlier attempts are read for its trace. */
struct so_far {
    struct buf json;
    unsigned attempts; /* the job's, at that time */
    char etag[64];
};

static void so_far_free(void *note)
{
    struct so_far *s = note;
    buf_done(&s->json);
    free(s);
}

static struct so_far *so_far_of(struct http_request *rq)
{
    if (rq->note == NULL) {
        struct so_far *s = mem_zero(1, sizeof *s);
        buf_init(&s->json, BUF_NO_LIMIT);
        rq->note = s;
        rq->note_done = so_far_free;
    }
    return rq->note;
}

/* Gets the live profile. False: refused, or served again when the texts of its job are there. */
static bool take_live(struct api *a, const struct http_request *rq, struct http_ref x,
                      struct buf *out)
{
    const enum live_profile p = pool_live_profile(a->pool, args_of(rq)->job_id, api_ticket(x), out);
    if (p == LIVE_PROFILE_NONE) {
        api_refuse(a, x, ERR_STORE_UNAVAILABLE);
    }
    return p == LIVE_PROFILE_HERE;
}

static void answer_live(struct api *a, const struct http_request *rq, struct http_ref x,
                        const struct job_view *v, const char *etag)
{
    struct found f = {.job = &v->record};
    buf_init(&f.json, BUF_NO_LIMIT);
    if (take_live(a, rq, x, &f.json)) {
        answer_profile(a, rq, x, &f, etag);
    }
}

/* Answers with the live profile and the stored ones; unreadable ones are left out. */
static void live_found(struct api *a, struct http_request *rq, struct http_ref x,
                       const struct store_found *stored)
{
    struct job_view v;
    struct so_far *s = so_far_of(rq);
    if (pool_view_job(a->pool, args_of(rq)->job_id, &v) && v.record.attempts == s->attempts) {
        struct found f = {.job = &v.record, .json = s->json, .stored = stored};
        buf_init(&s->json, BUF_NO_LIMIT);
        answer_profile(a, rq, x, &f, s->etag);
    } else {
        get_profile(a, rq, x); /* ended meanwhile, or is retried */
    }
}

/* Takes the live profile before reading the earlier ones: the texts that it is made of may be gone
   afterwards. */
static void find_earlier(struct api *a, struct http_request *rq, struct http_ref x,
                         const struct job_view *v, const char *etag)
{
    static const struct api_find earlier = {
        .wants = STORE_WANT_PROFILES, .active_too = true, .found = live_found};
    struct so_far *s = so_far_of(rq);
    buf_clear(&s->json);
    s->attempts = v->record.attempts;
    (void)snprintf(s->etag, sizeof s->etag, "%s", etag);
    if (take_live(a, rq, x, &s->json)) {
        api_find_job(a, rq, x, args_of(rq)->job_id, &earlier);
    }
}

/* Serves a live profile; a client that has it already may wait for a change. */
static void get_live(struct api *a, struct http_request *rq, struct http_ref x, struct job_view *v)
{
    if (v->is_ending && store_is_writable(a->store)) {
        pool_wait_for_change(a->pool, args_of(rq)->job_id, api_ticket(x)); /* served in a moment */
        return;
    }
    char etag[64];
    make_live_etag(v, rq->format, etag, sizeof etag);
    const bool knows = http_matches_etag(a->http, x, etag);
    if (knows && rq->waits && !rq->wait_over) {
        pool_wait_for_change(a->pool, args_of(rq)->job_id, api_ticket(x));
        http_hold(a->http, x);
        return;
    }
    if (knows) {
        answer_unchanged(a, x, etag);
    } else if (rq->format == FORMAT_OTLP) {
        find_earlier(a, rq, x, v, etag);
    } else {
        answer_live(a, rq, x, v, etag);
    }
}

static void get_active(struct api *a, struct http_request *rq, struct http_ref x,
                       struct job_view *v)
{
    if (args_of(rq)->live) {
        get_live(a, rq, x, v);
    } else if (!v->record.profiled) {
        api_refuse(a, x, ERR_PROFILING_DISABLED);
    } else if (rq->waits && !rq->wait_over) {
        pool_wait_for_end(a->pool, args_of(rq)->job_id, api_ticket(x));
        http_hold(a->http, x);
    } else {
        http_problem_retry(a->http, x, ERR_JOB_NOT_FINISHED,
                           "the profile is served when the job has ended; ?wait=SECONDS waits for "
                           "it, ?live=1 shows what is known so far",
                           1);
    }
}

/* Answers with a stored profile, or an error. Takes the JSON. */
static void answer_stored(struct api *a, const struct http_request *rq, struct http_ref x,
                          enum err e, struct found *take)
{
    if (e == ERR_NONE) {
        answer_profile(a, rq, x, take, NULL);
    } else {
        buf_done(&take->json);
        api_refuse(a, x, e);
    }
}

static void profile_found(struct api *a, struct http_request *rq, struct http_ref x,
                          const struct store_found *stored)
{
    struct found f = {.job = stored->job, .stored = stored};
    buf_init(&f.json, BUF_NO_LIMIT);
    buf_add_str(&f.json, stored->profile);
    answer_stored(a, rq, x, stored->error != ERR_NONE ? stored->error : stored->profile_error, &f);
}

static void get_profile(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct job_view v;
    if (pool_view_job(a->pool, args_of(rq)->job_id, &v)) {
        get_active(a, rq, x, &v);
        return;
    }
    const unsigned all = rq->format == FORMAT_OTLP ? STORE_WANT_PROFILES : 0;
    const struct api_find find = {.wants = STORE_WANT_PROFILE | all, .found = profile_found};
    api_find_job(a, rq, x, args_of(rq)->job_id, &find);
}

/* ---- profile of one attempt ------------------------------------------------------------------ */

static void get_attempt_profile(void *ctx, struct http_request *rq, struct http_ref x);

/* The attempt went on when it was read, and has ended since. v: the job now, or nothing. */
static bool has_ended_since(const struct store_found *stored, unsigned n, const struct job_view *v)
{
    const struct job_record *then = stored->job;
    const bool was_open =
        stored->error == ERR_NONE && then->state == JOB_RUNNING && then->attempts == n;
    return was_open && !(v->has_open_attempt && v->record.attempts == n);
}

static void attempt_profile_found(struct api *a, struct http_request *rq, struct http_ref x,
                                  const struct store_found *stored)
{
    const unsigned n = args_of(rq)->number;
    struct job_view v = {.has_open_attempt = false};
    const bool is_active = pool_view_job(a->pool, args_of(rq)->job_id, &v);
    if (has_ended_since(stored, n, &v)) {
        get_attempt_profile(a, rq, x);
        return;
    }
    struct found f = {.job = is_active ? &v.record : stored->job};
    buf_init(&f.json, BUF_NO_LIMIT);
    buf_add_str(&f.json, stored->profile);
    enum err e = stored->error;
    if (e == ERR_NONE && (n == 0 || n > f.job->attempts)) {
        e = ERR_ATTEMPT_NOT_FOUND;
    } else if (e == ERR_NONE && n == f.job->attempts && v.has_open_attempt) {
        e = f.job->profiled ? ERR_JOB_NOT_FINISHED : ERR_PROFILING_DISABLED;
    } else if (e == ERR_NONE) {
        e = stored->profile_error;
    }
    answer_stored(a, rq, x, e, &f);
}

static void get_attempt_profile(void *ctx, struct http_request *rq, struct http_ref x)
{
    const struct api_find find = {.wants = STORE_WANT_PROFILE,
                                  .attempt = args_of(rq)->number,
                                  .active_too = true,
                                  .found = attempt_profile_found};
    api_find_job(ctx, rq, x, args_of(rq)->job_id, &find);
}

enum {
    PROFILE_FORMATS = 1u << FORMAT_JSON | 1u << FORMAT_TEXT | 1u << FORMAT_CSV |
                      1u << FORMAT_CHROME | 1u << FORMAT_SPEEDSCOPE | 1u << FORMAT_FOLDED |
                      1u << FORMAT_OTLP
};

static const struct http_route routes[] = {
    {"GET", "/jobs/{id}/profile", ROLE_READ, .serve = get_profile, .door = DOOR_JOB,
     .params = PARAMS(&http_param_wait, &http_param_format, &param_live),
     .formats = PROFILE_FORMATS},
    {"GET", "/jobs/{id}/attempts/{n}/profile", ROLE_READ, .serve = get_attempt_profile,
     .door = DOOR_JOB, .params = PARAMS(&http_param_format), .formats = PROFILE_FORMATS},
};
const struct http_table api_profiles = API_TABLE(routes);
