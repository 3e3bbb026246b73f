/* Views of backends and of the pool for other rooms. */
#include <string.h>

#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/backends.h"
#include "comfypool/pool/stats.h"
#include "comfypool/sampling/sampler.h"

#include "attempt.h"
#include "backends.h"
#include "eligible.h"
#include "intake.h"
#include "knowledge.h"
#include "state.h"
#include "trust.h"

static const char *quarantine_reason(const struct backend *b)
{
    return b->trust.reason != NULL ? b->trust.reason
           : b->terms.admin == ADMIN_QUARANTINED
               ? "somebody quarantined it; POST /backends/<name>/resume"
               : NULL;
}

static int64_t busy_us(const struct backend *b)
{
    return b->load.busy_us +
           (b->load.attempts == NULL ? 0 : mono_diff(time_mono(), b->load.busy_since).us);
}

static void view(const struct backend *b, struct backend_view *ret)
{
    const char *why = quarantine_reason(b);
    *ret = (struct backend_view){
        .name = b->name,
        .url = b->url,
        .state = backend_state_name(b),
        .quarantine_reason = why,
        .in_flight = b->slot.in_flight,
        .max_in_flight = b->terms.places,
        .weight = b->slot.weight,
        .labels = b->terms.labels,
        .queue = b->conn.up ? b->said.queue : -1,
        .version = b->said.version[0] == '\0' ? NULL : b->said.version,
        .classes = b->knows.known ? (int64_t)b->knows.catalog.classes.len : -1,
        .is_reading = knowledge_is_reading(b),
        .devices = b->said.devices,
        .last_error = b->said.last_error != NULL ? b->said.last_error
                      : why != NULL              ? why
                                                 : trust_trouble(b),
        .ends = b->load.ends,
        .busy_us = busy_us(b),
    };
    sampler_view(b->sampler, &ret->sampling);
}

size_t pool_backends(const struct pool *p)
{
    return p->backends_len;
}

void pool_view_backend(const struct pool *p, size_t i, struct backend_view *ret)
{
    view(p->backends[i], ret);
}

bool pool_find_backend(const struct pool *p, const char *name, struct backend_view *ret)
{
    const struct backend *b = map_get(&p->backends_by_name, str_of(name));
    if (b != NULL) {
        view(b, ret);
    }
    return b != NULL;
}

const char *pool_next_poison(const struct pool *p, const void **at)
{
    return breaker_next_poison(&p->breaker, at);
}

/* ---- counters -------------------------------------------------------------------------------- */

bool pool_has_able_backend(const struct pool *p)
{
    size_t i = 0;
    while (i < p->backends_len && !p->backends[i]->slot.up) {
        i++;
    }
    return i < p->backends_len;
}

bool pool_is_stopping(const struct pool *p)
{
    return p->stopping;
}

static void count_events(const struct events *e, struct pool_stats *ret)
{
    ret->events.streams = e->listeners;
    ret->events.kept = e->len;
    ret->events.bytes = e->bytes;
    ret->events.slow_readers = e->slow_readers;
}

void pool_get_stats(struct pool *p, struct pool_stats *ret)
{
    *ret = (struct pool_stats){
        .uptime_us = mono_diff(time_mono(), p->began).us,
        .queued = p->jobs.len - p->attempts,
        .queue_limit = p->options.queue_limit,
        .paused = p->paused,
        .ended_last_minute = pool_ended_last_minute(p),
        .bad_transitions = p->counts.bad_transitions,
    };
    memcpy(ret->ends, p->counts.ends, sizeof ret->ends);
    copies_count(p->copies, &ret->copies);
    uploads_count(p->uploads, &ret->uploads.files, &ret->uploads.bytes);
    count_events(&p->events, ret);
    webhooks_count(p->webhooks, &ret->webhooks);
    hooks_count(p->hooks, &ret->hooks);
    otlp_count(p->otlp, &ret->otlp);
}
