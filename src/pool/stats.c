/*
 * What is told of the daemon and its backends: GET /backends, /stats, /healthz, /readyz and the
 * description of the API itself.
 */
#include "comfypool/base/json_write.h"
#include "embedded.h"
#include "backends.h"
#include "eligible.h"
#include "events.h"
#include "hooks.h"
#include "otlp.h"
#include "sampling.h"
#include "serve.h"
#include "state.h"
#include "stats.h"
#include "trust.h"
#include "webhooks.h"

static unsigned in_flight(const struct backend *b)
{
    return b->slot.in_flight;
}

static void render_counters(struct js_out *o, const struct backend *b)
{
    js_key(o, "counters");
    js_open(o, '{');
    for (int i = 1; i < ATTEMPT_OUTCOME_COUNT; i++) {
        const bool timed_out = i == ATTEMPT_TIMED_OUT;
        js_member_int(o, timed_out ? "timedOut" : attempt_outcome_name((enum attempt_outcome)i),
                      (int64_t)b->ends[i]);
    }
    js_close(o, '}');
}

static const char *quarantine_reason(const struct backend *b)
{
    return b->trust.reason != NULL         ? b->trust.reason
           : b->admin == ADMIN_QUARANTINED ? "somebody quarantined it; POST /backends/<name>/resume"
                                           : NULL;
}

void stats_render_backend(struct js_out *o, const struct backend *b)
{
    js_open(o, '{');
    js_member_string(o, "name", b->name);
    js_member_string(o, "url", b->url);
    js_member_string(o, "state", backend_state_name(b));
    const char *why = quarantine_reason(b);
    if (why != NULL) {
        js_member_string(o, "quarantineReason", why);
    }
    js_member_int(o, "inFlight", in_flight(b));
    js_member_int(o, "maxInFlight", b->places);
    js_key(o, "weight");
    js_real(o, b->slot.weight);
    js_member_raw(o, "labels", str_of(b->labels));
    js_key(o, "queue");
    if (b->up && b->queue_remaining >= 0) {
        js_integer(o, b->queue_remaining);
    } else {
        js_null(o);
    }
    js_key(o, "version");
    if (b->version[0] == '\0') {
        js_null(o);
    } else {
        js_string(o, b->version);
    }
    js_key(o, "classes");
    if (b->knows.known) {
        js_integer(o, (int64_t)b->knows.catalog.classes.len);
    } else {
        js_null(o);
    }
    js_member_bool(o, "reading", eligible_is_reading(b));
    js_member_raw(o, "devices", str_of(b->devices));
    sampling_render(o, b);
    js_key(o, "lastError");
    const char *last = b->last_error != NULL ? b->last_error : why != NULL ? why : trust_trouble(b);
    if (last == NULL) {
        js_null(o);
    } else {
        js_string(o, last);
    }
    render_counters(o, b);
    js_close(o, '}');
}

/* Workflows that left two backends dead. */
static void render_poison(struct js_out *o, const struct pool *p)
{
    js_key(o, "poison");
    js_open(o, '[');
    const void *at = NULL;
    for (const char *hash = ability_next_poison(&p->ability, &at); hash != NULL;
         hash = ability_next_poison(&p->ability, &at)) {
        js_string(o, hash);
    }
    js_close(o, ']');
}

void serve_backends(struct pool *p, struct http_request *rq, struct http_ref x)
{
    (void)rq;
    struct http_answer a = http_answer_new(200);
    struct js_out o = js_out_to(&a.body);
    js_open(&o, '{');
    js_key(&o, "backends");
    js_open(&o, '[');
    for (size_t i = 0; i < p->backends_len; i++) {
        stats_render_backend(&o, p->backends[i]);
    }
    js_close(&o, ']');
    render_poison(&o, p);
    js_close(&o, '}');
    http_answer(p->server, x, &a);
}

void serve_backend(struct pool *p, struct http_request *rq, struct http_ref x)
{
    const struct backend *b = map_get(&p->backends_by_name, str_of(rq->backend));
    if (b == NULL) {
        serve_problem(p, x, ERR_BACKEND_NOT_FOUND);
        return;
    }
    struct http_answer a = http_answer_new(200);
    struct js_out o = js_out_to(&a.body);
    stats_render_backend(&o, b);
    http_answer(p->server, x, &a);
}

static void render_utilization(struct js_out *o, struct pool *p, int64_t uptime_us)
{
    js_key(o, "backends");
    js_open(o, '[');
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct backend *b = p->backends[i];
        int64_t busy = b->busy_us;
        if (b->attempts != NULL) {
            busy += mono_diff(time_mono(), b->busy_since).us;
        }
        js_open(o, '{');
        js_member_string(o, "name", b->name);
        js_member_int(o, "inFlight", in_flight(b));
        js_key(o, "utilization");
        js_real(o, uptime_us <= 0 ? 0 : (double)busy / (double)uptime_us);
        js_close(o, '}');
    }
    js_close(o, ']');
}

unsigned stats_ended_last_minute(const struct pool *p)
{
    const int64_t second = time_mono().us / 1000000;
    unsigned n = 0;
    for (int64_t s = second - 59; s <= second; s++) {
        if (s <= p->minute_at && s > p->minute_at - 60 && s >= 0) {
            n += p->minute[s % 60];
        }
    }
    return n;
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

/* Those who are told: event streams, receivers, the local program, a tracing endpoint. */
static void render_telling(struct js_out *o, struct pool *p)
{
    const struct events *e = &p->events;
    const struct webhooks *w = &p->webhooks;
    const struct hooks *h = &p->hooks;
    const struct otlp *t = &p->otlp;
    const struct count events[] = {{"streams", e->listeners_len},
                                   {"kept", e->len},
                                   {"bytes", e->bytes},
                                   {"slowReaders", e->slow_readers}};
    const struct count webhooks[] = {{"waiting", webhooks_waiting(p)},
                                     {"inFlight", w->in_flight},
                                     {"delivered", w->delivered},
                                     {"failed", w->failed},
                                     {"dead", w->dead},
                                     {"forbidden", w->forbidden}};
    const struct count hooks[] = {{"running", h->running_len}, {"waiting", h->waiting_len},
                                  {"completed", h->completed}, {"failed", h->failed},
                                  {"timedOut", h->timed_out},  {"dropped", h->dropped}};
    const struct count otlp[] = {{"waiting", t->len}, {"sent", t->sent}, {"dropped", t->dropped}};
    const struct count uploads[] = {{"files", p->uploads.by_sha.len}, {"bytes", p->uploads.bytes}};
    const struct count copies[] = {{"files", p->copies.by_sha.len},
                                   {"bytes", p->copies.bytes},
                                   {"jobs", p->copies.jobs.len},
                                   {"pending", p->copies.pending}};
    render_counts(o, "uploads", uploads, sizeof uploads / sizeof *uploads);
    render_counts(o, "copies", copies, sizeof copies / sizeof *copies);
    render_counts(o, "events", events, sizeof events / sizeof *events);
    render_counts(o, "webhooks", webhooks, sizeof webhooks / sizeof *webhooks);
    render_counts(o, "hooks", hooks, sizeof hooks / sizeof *hooks);
    render_counts(o, "otlp", otlp, sizeof otlp / sizeof *otlp);
}

void serve_stats(struct pool *p, struct http_request *rq, struct http_ref x)
{
    (void)rq;
    const int64_t uptime_us = mono_diff(time_mono(), p->began).us;
    int64_t counts[JOB_STATE_COUNT];
    store_counts(p->store, counts);
    struct http_answer a = http_answer_new(200);
    struct js_out o = js_out_to(&a.body);
    js_open(&o, '{');
    js_member_string(&o, "version", p->options.version);
    js_member_ms(&o, "uptime", uptime_us);
    js_key(&o, "queue");
    js_open(&o, '{');
    js_member_int(&o, "depth", (int64_t)(p->jobs.len - p->attempts));
    js_member_int(&o, "limit", (int64_t)p->options.queue_limit);
    js_member_bool(&o, "paused", p->paused);
    js_close(&o, '}');
    js_key(&o, "jobs");
    js_open(&o, '{');
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        js_member_int(&o, job_state_name((enum job_state)s), counts[s]);
    }
    js_close(&o, '}');
    js_key(&o, "throughput");
    js_open(&o, '{');
    js_member_int(&o, "lastMinute", stats_ended_last_minute(p));
    js_member_int(&o, "completed", (int64_t)p->ends[JOB_COMPLETED]);
    js_member_int(&o, "failed", (int64_t)p->ends[JOB_FAILED]);
    js_member_int(&o, "cancelled", (int64_t)p->ends[JOB_CANCELLED]);
    js_close(&o, '}');
    render_utilization(&o, p, uptime_us);
    struct http_stats http;
    http_server_stats(p->server, &http);
    js_key(&o, "http");
    js_open(&o, '{');
    js_member_int(&o, "connections", http.connections);
    js_member_int(&o, "waits", http.waits);
    js_member_int(&o, "requests", (int64_t)http.requests);
    js_close(&o, '}');
    render_telling(&o, p);
    js_member_int(&o, "badTransitions", (int64_t)p->bad_transitions);
    js_close(&o, '}');
    http_answer(p->server, x, &a);
}

void serve_healthz(struct pool *p, struct http_request *rq, struct http_ref x)
{
    (void)rq;
    struct http_answer a = http_answer_new(200);
    buf_add_text(&a.body, "{\"status\":\"ok\"}");
    http_answer(p->server, x, &a);
}

void serve_readyz(struct pool *p, struct http_request *rq, struct http_ref x)
{
    (void)rq;
    bool up = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        up = up || p->backends[i]->slot.up; /* not one that is drained or quarantined */
    }
    const bool writable = store_is_writable(p->store);
    struct http_answer a = http_answer_new(up && writable && !p->stopping ? 200 : 503);
    struct js_out o = js_out_to(&a.body);
    js_open(&o, '{');
    js_member_bool(&o, "ready", a.status == 200);
    js_key(&o, "reasons");
    js_open(&o, '[');
    if (!up) {
        js_string(&o, p->backends_len == 0 ? "no backend is configured" : "no backend is up");
    }
    if (!writable) {
        js_string(&o, store_trouble(p->store));
    }
    if (p->stopping) {
        js_string(&o, "the daemon is stopping");
    }
    js_close(&o, ']');
    js_close(&o, '}');
    http_answer(p->server, x, &a);
}

void serve_openapi(struct pool *p, struct http_request *rq, struct http_ref x)
{
    (void)rq;
    struct http_answer a = http_answer_new(200);
    a.content_type = "application/yaml";
    a.etag = true;
    buf_add(&a.body, openapi_yaml, openapi_yaml_size);
    http_answer(p->server, x, &a);
}
