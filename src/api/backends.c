/* Backends and the queue: their state, and changes by operators. */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/pool/backends.h"
#include "comfypool/pool/stats.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

/* ---- one backend ----------------------------------------------------------------------------- */

static void member_or_null(struct js_out *o, const char *name, const char *text)
{
    js_key(o, name);
    if (text == NULL) {
        js_null(o);
    } else {
        js_string(o, text);
    }
}

/* Renders a number; below 0: unknown, as null. */
static void member_known(struct js_out *o, const char *name, int64_t n)
{
    js_key(o, name);
    if (n < 0) {
        js_null(o);
    } else {
        js_integer(o, n);
    }
}

static void render_sampling(struct js_out *o, const struct sampling_view *v)
{
    js_key(o, "sampling");
    js_open(o, '{');
    member_or_null(o, "source", v->source);
    js_key(o, "interval");
    if (v->has_interval) {
        js_ms(o, v->interval.us);
    } else {
        js_null(o);
    }
    if (v->gpu_wanted != NULL) {
        js_member_string(o, "gpu", v->gpu_wanted);
    } else {
        member_known(o, "gpu", v->gpu);
    }
    if (v->gpu_unmapped) {
        js_member_bool(o, "gpuUnmapped", true);
    }
    js_key(o, "problems");
    js_open(o, '[');
    for (size_t i = 0; i < v->problems_len; i++) {
        js_string(o, v->problems[i]);
    }
    js_close(o, ']');
    js_close(o, '}');
}

static void render_counters(struct js_out *o, const uint64_t *ends)
{
    js_key(o, "counters");
    js_open(o, '{');
    for (int i = 1; i < ATTEMPT_OUTCOME_COUNT; i++) {
        const bool timed_out = i == ATTEMPT_TIMED_OUT;
        js_member_int(o, timed_out ? "timedOut" : attempt_outcome_name((enum attempt_outcome)i),
                      (int64_t)ends[i]);
    }
    js_close(o, '}');
}

static void render_backend(struct js_out *o, const struct backend_view *v)
{
    js_open(o, '{');
    js_member_string(o, "name", v->name);
    js_member_string(o, "url", v->url);
    js_member_string(o, "state", v->state);
    if (v->quarantine_reason != NULL) {
        js_member_string(o, "quarantineReason", v->quarantine_reason);
    }
    js_member_int(o, "inFlight", v->in_flight);
    js_member_int(o, "maxInFlight", v->max_in_flight);
    js_key(o, "weight");
    js_real(o, v->weight);
    js_member_raw(o, "labels", str_of(v->labels));
    member_known(o, "queue", v->queue);
    member_or_null(o, "version", v->version);
    member_known(o, "classes", v->classes);
    js_member_bool(o, "reading", v->is_reading);
    js_member_raw(o, "devices", str_of(v->devices));
    render_sampling(o, &v->sampling);
    member_or_null(o, "lastError", v->last_error);
    render_counters(o, v->ends);
    js_close(o, '}');
}

/* Answers with the backend; with an empty body for 204, or if it was removed meanwhile. */
static void answer_backend(struct api *a, struct http_ref x, const char *name,
                           struct http_answer *answer)
{
    struct backend_view v;
    if (answer->status != 204 && pool_find_backend(a->pool, name, &v)) {
        struct js_out o = js_out_to(&answer->body);
        render_backend(&o, &v);
    }
    http_answer(a->http, x, answer);
}

static void get_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct backend_view v;
    if (!pool_find_backend(a->pool, args_of(rq)->backend, &v)) {
        api_refuse(a, x, ERR_BACKEND_NOT_FOUND);
        return;
    }
    struct http_answer answer = http_answer_new(200);
    answer_backend(a, x, args_of(rq)->backend, &answer);
}

/* ---- all backends ---------------------------------------------------------------------------- */

/* Renders the workflows that left two backends dead. */
static void render_poison(struct js_out *o, const struct pool *p)
{
    js_key(o, "poison");
    js_open(o, '[');
    const void *at = NULL;
    for (const char *hash = pool_next_poison(p, &at); hash != NULL;
         hash = pool_next_poison(p, &at)) {
        js_string(o, hash);
    }
    js_close(o, ']');
}

static void list_backends(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    struct http_answer answer = http_answer_new(200);
    struct js_out o = js_out_to(&answer.body);
    js_open(&o, '{');
    js_key(&o, "backends");
    js_open(&o, '[');
    for (size_t i = 0; i < pool_backends(a->pool); i++) {
        struct backend_view v;
        pool_view_backend(a->pool, i, &v);
        render_backend(&o, &v);
    }
    js_close(&o, ']');
    render_poison(&o, a->pool);
    js_close(&o, '}');
    http_answer(a->http, x, &answer);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void changed(void *ctx, struct refusal *why)
{
    struct api_asking *q = ctx;
    if (api_asking_goes_on(q, why)) {
        struct http_answer answer = http_answer_new(q->status);
        if (q->status == 201) {
            AUTO_BUF struct buf name; /* may be its URL */
            buf_init(&name, BUF_NO_LIMIT);
            url_encode(&name, str_of(q->name));
            (void)snprintf(answer.location, sizeof answer.location, "/backends/%s",
                           buf_text(&name));
        }
        answer_backend(q->api, q->request, q->name, &answer);
    }
    api_asking_free(q);
}

/* Refuses the request and frees q, unless the change goes on. */
static void settle(bool goes_on, struct api_asking *q, struct refusal *why)
{
    if (!goes_on) {
        api_refuse_as(q->api, q->request, why);
        api_asking_free(q);
    }
}

static void add_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 201, NULL);
    settle(pool_add_backend(a->pool, &args_of(rq)->backend_change, changed, q, &q->name, &why), q,
           &why);
}

static void change_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 200, args_of(rq)->backend);
    settle(pool_change_backend(a->pool, args_of(rq)->backend, &args_of(rq)->backend_change, changed,
                               q, &why),
           q, &why);
}

static void remove_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 204, args_of(rq)->backend);
    settle(pool_remove_backend(a->pool, args_of(rq)->backend, changed, q, &why), q, &why);
}

static void steer_backend(struct api *a, const struct http_request *rq, struct http_ref x,
                          enum backend_wish wish)
{
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 200, args_of(rq)->backend);
    settle(pool_steer_backend(a->pool, args_of(rq)->backend, wish, changed, q, &why), q, &why);
}

static void drain_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    steer_backend(a, rq, x, BACKEND_DRAIN);
}

static void resume_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    steer_backend(a, rq, x, BACKEND_RESUME);
}

static void quarantine_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    steer_backend(a, rq, x, BACKEND_QUARANTINE);
}

static void refresh_backend(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct refusal why;
    if (!pool_refresh_backend(a->pool, args_of(rq)->backend, &why)) {
        api_refuse_as(a, x, &why);
        return;
    }
    struct http_answer answer = http_answer_new(202);
    answer_backend(a, x, args_of(rq)->backend, &answer);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static void queue_changed(void *ctx, struct refusal *why)
{
    struct api_asking *q = ctx;
    if (api_asking_goes_on(q, why)) {
        struct http_answer answer = http_answer_new(200);
        struct js_out o = js_out_to(&answer.body);
        js_open(&o, '{');
        js_member_bool(&o, "paused", pool_is_paused(q->api->pool));
        js_close(&o, '}');
        http_answer(q->api->http, q->request, &answer);
    }
    api_asking_free(q);
}

static void change_queue(struct api *a, struct http_ref x, bool paused)
{
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 200, NULL);
    settle(pool_pause(a->pool, paused, queue_changed, q, &why), q, &why);
}

static void pause_queue(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    change_queue(a, x, true);
}

static void resume_queue(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    change_queue(a, x, false);
}

static const struct http_route routes[] = {
    {"GET", "/backends", ROLE_READ, .serve = list_backends},
    {"POST", "/backends", ROLE_OPERATE, .serve = add_backend, .body = &body_backend},
    {"GET", "/backends/{name}", ROLE_READ, .serve = get_backend},
    {"PATCH", "/backends/{name}", ROLE_OPERATE, .serve = change_backend,
     .body = &body_backend_change},
    {"DELETE", "/backends/{name}", ROLE_OPERATE, .serve = remove_backend, .body = &body_nothing},
    {"POST", "/backends/{name}/drain", ROLE_OPERATE, .serve = drain_backend, .body = &body_nothing},
    {"POST", "/backends/{name}/resume", ROLE_OPERATE, .serve = resume_backend,
     .body = &body_nothing},
    {"POST", "/backends/{name}/quarantine", ROLE_OPERATE, .serve = quarantine_backend,
     .body = &body_nothing},
    {"POST", "/backends/{name}/refresh", ROLE_OPERATE, .serve = refresh_backend,
     .body = &body_nothing},
    {"POST", "/queue/pause", ROLE_OPERATE, .serve = pause_queue, .body = &body_nothing},
    {"POST", "/queue/resume", ROLE_OPERATE, .serve = resume_queue, .body = &body_nothing},
};
const struct http_table api_backends = API_TABLE(routes);
