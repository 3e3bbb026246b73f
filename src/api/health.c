/* The daemon itself: GET /stats, /healthz, /readyz, and the description of the API. */
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/pool/backends.h"
#include "comfypool/pool/stats.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/store.h"

#include "args.h"
#include "bodies.h"
#include "embedded.h"
#include "inner.h"
#include "params.h"

static void render_utilization(struct js_out *o, const struct pool *p, int64_t uptime_us)
{
    js_key(o, "backends");
    js_open(o, '[');
    for (size_t i = 0; i < pool_backends(p); i++) {
        struct backend_view v;
        pool_view_backend(p, i, &v);
        js_open(o, '{');
        js_member_string(o, "name", v.name);
        js_member_int(o, "inFlight", v.in_flight);
        js_key(o, "utilization");
        js_real(o, uptime_us <= 0 ? 0 : (double)v.busy_us / (double)uptime_us);
        js_close(o, '}');
    }
    js_close(o, ']');
}

struct count {
    const char *name;
    uint64_t n;
};

static void render_counts(struct js_out *o, const char *name, const struct count *list, size_t len)
{
    js_key(o, name);
    js_open(o, '{');
    for (size_t i = 0; i < len; i++) {
        js_member_int(o, list[i].name, (int64_t)list[i].n);
    }
    js_close(o, '}');
}

static void render_files(struct js_out *o, const struct pool_stats *s)
{
    const struct count uploads[] = {{"files", s->uploads.files}, {"bytes", s->uploads.bytes}};
    const struct count copies[] = {{"files", s->copies.files},
                                   {"bytes", s->copies.bytes},
                                   {"jobs", s->copies.jobs},
                                   {"pending", s->copies.pending}};
    render_counts(o, "uploads", uploads, sizeof uploads / sizeof *uploads);
    render_counts(o, "copies", copies, sizeof copies / sizeof *copies);
}

/* Renders counts of event streams, receivers, the local program and the tracing endpoint. */
static void render_telling(struct js_out *o, const struct pool_stats *s, uint64_t waiting)
{
    const struct count events[] = {{"streams", s->events.streams},
                                   {"kept", s->events.kept},
                                   {"bytes", s->events.bytes},
                                   {"slowReaders", s->events.slow_readers}};
    const struct count webhooks[] = {{"waiting", waiting},
                                     {"inFlight", s->webhooks.in_flight},
                                     {"delivered", s->webhooks.delivered},
                                     {"failed", s->webhooks.failed},
                                     {"dead", s->webhooks.dead},
                                     {"forbidden", s->webhooks.forbidden}};
    const struct count hooks[] = {{"running", s->hooks.running},     {"waiting", s->hooks.waiting},
                                  {"completed", s->hooks.completed}, {"failed", s->hooks.failed},
                                  {"timedOut", s->hooks.timed_out},  {"dropped", s->hooks.dropped}};
    const struct count otlp[] = {
        {"waiting", s->otlp.waiting}, {"sent", s->otlp.sent}, {"dropped", s->otlp.dropped}};
    render_counts(o, "events", events, sizeof events / sizeof *events);
    render_counts(o, "webhooks", webhooks, sizeof webhooks / sizeof *webhooks);
    render_counts(o, "hooks", hooks, sizeof hooks / sizeof *hooks);
    render_counts(o, "otlp", otlp, sizeof otlp / sizeof *otlp);
}

static void render_jobs(struct api *a, struct js_out *o, const struct pool_stats *s)
{
    int64_t counts[JOB_STATE_COUNT];
    store_counts(a->store, counts);
    js_key(o, "queue");
    js_open(o, '{');
    js_member_int(o, "depth", (int64_t)s->queued);
    js_member_int(o, "limit", (int64_t)s->queue_limit);
    js_member_bool(o, "paused", s->paused);
    js_close(o, '}');
    js_key(o, "jobs");
    js_open(o, '{');
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        js_member_int(o, job_state_name((enum job_state)i), counts[i]);
    }
    js_close(o, '}');
    js_key(o, "throughput");
    js_open(o, '{');
    js_member_int(o, "lastMinute", s->ended_last_minute);
    js_member_int(o, "completed", (int64_t)s->ends[JOB_COMPLETED]);
    js_member_int(o, "failed", (int64_t)s->ends[JOB_FAILED]);
    js_member_int(o, "cancelled", (int64_t)s->ends[JOB_CANCELLED]);
    js_close(o, '}');
}

/* A request for statistics, with those of its moment. */
struct asking {
    struct api *api;
    struct http_ref request;
    struct pool_stats stats;
};

static void answer_stats(const struct asking *q, uint64_t waiting)
{
    struct api *a = q->api;
    const struct pool_stats *s = &q->stats;
    struct http_stats http;
    http_server_stats(a->http, &http);
    const struct count connections[] = {
        {"connections", http.connections}, {"waits", http.waits}, {"requests", http.requests}};
    struct http_answer answer = http_answer_new(200);
    struct js_out o = js_out_to(&answer.body);
    js_open(&o, '{');
    js_member_string(&o, "version", a->options.version);
    js_member_ms(&o, "uptime", s->uptime_us);
    render_jobs(a, &o, s);
    render_utilization(&o, a->pool, s->uptime_us);
    render_counts(&o, "http", connections, sizeof connections / sizeof *connections);
    render_files(&o, s);
    render_telling(&o, s, waiting);
    js_member_int(&o, "badTransitions", (int64_t)s->bad_transitions);
    js_close(&o, '}');
    http_answer(a->http, q->request, &answer);
}

/* Answers with statistics. stored: deliveries to be tried, including busy ones. */
static void waiting_counted(void *ctx, enum err e, int64_t stored)
{
    struct asking *q = ctx;
    const int64_t busy = (int64_t)q->stats.webhooks.busy;
    if (q->api->http != NULL) {
        answer_stats(q, e == ERR_NONE && stored > busy ? (uint64_t)(stored - busy) : 0);
    }
    free(q);
}

static void get_stats(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    struct asking *q = mem_alloc(sizeof *q);
    q->api = a;
    q->request = x;
    pool_get_stats(a->pool, &q->stats);
    store_find_waiting_count(a->store, NULL, waiting_counted, q);
}

static void get_healthz(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    struct http_answer answer = http_answer_new(200);
    buf_add_text(&answer.body, "{\"status\":\"ok\"}");
    http_answer(a->http, x, &answer);
}

static void get_readyz(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    const bool able = pool_has_able_backend(a->pool);
    const bool stopping = pool_is_stopping(a->pool);
    const bool writable = store_is_writable(a->store);
    struct http_answer answer = http_answer_new(able && writable && !stopping ? 200 : 503);
    struct js_out o = js_out_to(&answer.body);
    js_open(&o, '{');
    js_member_bool(&o, "ready", answer.status == 200);
    js_key(&o, "reasons");
    js_open(&o, '[');
    if (!able) {
        js_string(&o,
                  pool_backends(a->pool) == 0 ? "no backend is configured" : "no backend is up");
    }
    if (!writable) {
        js_string(&o, store_trouble(a->store));
    }
    if (stopping) {
        js_string(&o, "the daemon is stopping");
    }
    js_close(&o, ']');
    js_close(&o, '}');
    http_answer(a->http, x, &answer);
}

static void get_openapi(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    (void)rq;
    struct http_answer answer = http_answer_new(200);
    answer.content_type = "application/yaml";
    answer.etag = true;
    buf_add(&answer.body, openapi_yaml, openapi_yaml_size);
    http_answer(a->http, x, &answer);
}

static const struct http_route routes[] = {
    {"GET", "/stats", ROLE_READ, .serve = get_stats},
    {"GET", "/healthz", ROLE_ANYBODY, .serve = get_healthz, .flags = HTTP_ANY_HOST},
    {"GET", "/readyz", ROLE_ANYBODY, .serve = get_readyz, .flags = HTTP_ANY_HOST},
    {"GET", "/openapi.yaml", ROLE_READ, .serve = get_openapi},
};
const struct http_table api_health = API_TABLE(routes);
