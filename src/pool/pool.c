/*
 * The pool itself: its start, pruning of the store, its end. dispatch.c decides which job goes
 * where; attempt.c and reconcile.c run attempts, jobs.c jobs, backends.c backends.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/core/measures.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/files/output_stamps.h"
#include "comfypool/files/uploads.h"
#include "comfypool/loop/apart.h"
#include "comfypool/loop/loop.h"
#include "comfypool/notify/events.h"
#include "comfypool/notify/hooks.h"
#include "comfypool/notify/otlp.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"

#include "attempt.h"
#include "attempt_begin.h"
#include "backends.h"
#include "batches.h"
#include "clients.h"
#include "dispatch.h"
#include "eligible.h"
#include "job_texts.h"
#include "jobs.h"
#include "output_inputs.h"
#include "review.h"
#include "run_measurement.h"
#include "state.h"
#include "strays.h"
#include "submission_check.h"
#include "trust.h"

enum {
    PRUNE_EVERY_MS = 60000,
    STOP_PATIENCE_MS = 1000,
    /* How long a backend's refusal of a workflow counts for later jobs; a missing model may have
       been copied there since. */
    REFUSAL_REMEMBERED_MS = 600000,
};

/* ---- retention ------------------------------------------------------------------------------- */

static void prune(void *ctx);

static void pruned(void *ctx, unsigned deleted, bool more)
{
    struct pool *p = ctx;
    if (deleted > 0) {
        LOG(LOG_INFO, "old jobs deleted", LOG_I("jobs", deleted));
        copies_of_deleted(p->copies);
    }
    const int64_t ms = more ? 100 : PRUNE_EVERY_MS;
    if (!p->stopping) {
        deadline_set(&p->deadlines, &p->prune, mono_add(time_mono(), dur_ms(ms)), prune, p);
    }
    pending_remove(&p->pending);
}

static void prune(void *ctx)
{
    struct pool *p = ctx;
    const struct wall_us before = {
        p->options.keep_for.us == 0 ? 0 : time_wall().us - p->options.keep_for.us};
    pending_add(&p->pending);
    store_prune(p->store, before, p->options.keep_count == 0 ? INT64_MAX : p->options.keep_count,
                pruned, p);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* Finds a backend by name, else by URL: it may have been renamed. */
static struct backend *find_backend(struct pool *p, const char *name, const char *url)
{
    struct backend *b = name == NULL ? NULL : map_get(&p->backends_by_name, str_of(name));
    for (size_t i = 0; b == NULL && url != NULL && i < p->backends_len; i++) {
        if (strcmp(p->backends[i]->url, url) == 0) {
            b = p->backends[i];
        }
    }
    return b;
}

static void load_job(void *ctx, struct store_active *found)
{
    struct pool *p = ctx;
    struct job *j = job_resumed(p, found);
    measurement_key(j);
    if (j->r.state == JOB_QUEUED && j->r.attempts == 0) {
        job_wait_first(j);
        return;
    }
    if (j->r.state == JOB_QUEUED) {
        job_wait_again(j);
        return;
    }
    struct backend *b = found->has_attempt
                            ? find_backend(p, found->attempt.backend, found->attempt.backend_url)
                            : NULL;
    job_set_timers(j);
    if (b == NULL || job_want_texts(j) != TEXTS_HERE || !attempt_adopt(j, b, &found->attempt)) {
        attempt_orphaned(j, &found->attempt);
    }
}

static void load_stray(void *ctx, struct stray_record *found)
{
    struct pool *p = ctx;
    struct backend *b = find_backend(p, found->backend, found->backend_url);
    if (b == NULL) {
        LOG(LOG_WARN, "a prompt may still run on a backend that is not configured any more",
            LOG_S("backend", found->backend), LOG_S("prompt", found->prompt_id));
        store_end_stray(p->store, found, ATTEMPT_OPEN);
        return;
    }
    const bool holds = found->holds_slot;
    (void)stray_begin(b, found, holds ? EVIDENCE_HAD : EVIDENCE_DOUBTFUL, NULL);
    if (holds) {
        backend_quarantine(b, QUARANTINE_HELD, "a prompt was told to stop and goes on");
    }
}

static const struct pool_ops ops = {
    .give_jobs = pool_dispatch,
    .review_jobs = review_begin,
    .settle_backend = backend_settle,
    .reap_backend = backend_maybe_reap,
    .is_able = dispatch_is_able,
    .conclude_job = job_conclude,
    .requeue_job = job_wait_again,
    .texts_came = job_texts_came,
    .end_job = job_end_queued,
    .admit_job = job_admit,
    .end_job_soon = job_end_queued_soon,
    .defer_job = job_wait_for_store,
    .may_wait = job_may_wait,
    .time_job = job_set_timers,
    .show_job = job_has_changed,
    .wrote_images = attempt_images_written,
};

struct pool *pool_new(uv_loop_t *loop, struct store *store, struct http_client *http,
                      struct ws_client *ws, const struct pool_options *options)
{
    struct pool *p = mem_zero(1, sizeof *p);
    p->ops = &ops;
    p->loop = loop;
    p->store = store;
    p->http = http;
    p->ws = ws;
    p->options = *options;
    p->began = time_mono();
    p->counts.minute_at = p->began.us / 1000000;
    map_init(&p->backends_by_name);
    map_init(&p->jobs);
    p->shunning.end = &p->shunning.first;
    map_init(&p->known);
    map_init(&p->key_looks);
    map_init(&p->keys);
    map_init(&p->clients);
    map_init(&p->batches);
    events_init(&p->events);
    queue_init(&p->queue);
    eligible_init(p);
    scheduler_init(&p->scheduler);
    const struct breaker_limits limits = {
        .failures = options->breaker_failures,
        .open = options->breaker_open,
        .remembered = dur_ms(REFUSAL_REMEMBERED_MS),
    };
    breaker_init(&p->breaker, &limits);
    deadlines_init(&p->deadlines, loop);
    p->pending = (struct pending){.over = pool_look_for_end, .ctx = p};
    store_count_finds(store, &p->pending);
    p->uploads = uploads_new(store, &p->deadlines, &p->pending, &options->uploads);
    p->file_servers = file_servers_new();
    p->stamps = stamps_new(store, p->file_servers, options->check_modified);
    p->samplers = samplers_new(loop, &p->deadlines, &options->sampling);
    p->copies = copies_new(store, &p->deadlines, p->file_servers, p->stamps, &options->copies);
    p->streamed_writes.copies = p->copies;
    p->webhooks = webhooks_new(loop, store, &p->deadlines, &p->pending, &options->webhooks);
    p->hooks = hooks_new(loop, &options->hooks);
    p->otlp = otlp_new(store, http, &p->deadlines, &options->otlp);
    return p;
}

struct copies *pool_copies(struct pool *p)
{
    return p->copies;
}

struct stamps *pool_stamps(struct pool *p)
{
    return p->stamps;
}

struct file_servers *pool_file_servers(struct pool *p)
{
    return p->file_servers;
}

struct uploads *pool_uploads(struct pool *p)
{
    return p->uploads;
}

struct webhooks *pool_webhooks(struct pool *p)
{
    return p->webhooks;
}

struct events *pool_events(struct pool *p)
{
    return &p->events;
}

static bool load_paused(struct pool *p)
{
    char *value = NULL;
    const bool good = store_load_setting(p->store, "queue.paused", &value) == ERR_NONE;
    p->paused = value != NULL && strcmp(value, "true") == 0;
    free(value);
    return good;
}

bool pool_start(struct pool *p)
{
    if (!uploads_start(p->uploads) || !backends_load(p) || !copies_start(p->copies) ||
        !load_paused(p) || !batches_load(p) ||
        store_load_active(p->store, load_job, p) != ERR_NONE ||
        store_load_strays(p->store, load_stray, p) != ERR_NONE || !webhooks_start(p->webhooks)) {
        return false;
    }
    if (p->jobs.len > 0) {
        LOG(LOG_INFO, "active jobs loaded", LOG_I("jobs", p->jobs.len));
    }
    strays_join(p);
    batches_settle(p);
    backends_reap(p);
    measurement_begin(p);
    prune(p);
    return true;
}

void pool_reload(struct pool *p)
{
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_take_headers(p->backends[i]);
        trust_forget_refusals(p->backends[i]);
    }
}

/* ---- stop ------------------------------------------------------------------------------------ */

static void stop_files(struct pool *p)
{
    uploads_stop(p->uploads);
    copies_stop(p->copies);
    p->streamed_writes.stopping = true;
    stamps_stop(p->stamps);
}

void pool_stop(struct pool *p, void (*done)(void *ctx), void *ctx)
{
    p->stopping = true;
    samplers_stop(p->samplers);
    stop_files(p);
    webhooks_stop(p->webhooks);
    hooks_stop(p->hooks);
    otlp_stop(p->otlp);
    p->on_stop.done = done;
    p->on_stop.ctx = ctx;
    pool_await_stop(p, dur_ms(STOP_PATIENCE_MS));
}

static void pool_freed(uv_handle_t *timer)
{
    free(heap_item(timer, struct pool, deadlines.timer));
}

bool pool_close(struct pool *p)
{
    p->stopping = true;
    p->on_stop.done = NULL;
    store_count_finds(p->store, NULL);
    samplers_stop(p->samplers);
    stop_files(p);
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; at = 0, j = map_next(&p->jobs, &at)) {
        job_free(j);
    }
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_free(p->backends[i]);
    }
    free(p->review.list);
    submission_checks_done(p);
    eligible_done(p);
    uploads_free(p->uploads);
    output_inputs_done(p);
    copies_free(p->copies);
    stamps_free(p->stamps);
    file_servers_free(p->file_servers);
    events_done(&p->events);
    webhooks_free(p->webhooks);
    hooks_free(p->hooks);
    otlp_free(p->otlp);
    measures_free(p->measures);
    breaker_done(&p->breaker);
    map_done(&p->known);
    map_done(&p->key_looks);
    map_done(&p->keys);
    batches_done(p);
    clients_done(p);
    map_done(&p->jobs);
    map_done(&p->backends_by_name);
    queue_done(&p->queue);
    scheduler_done(&p->scheduler);
    free(p->backends);
    free(p->distrust.limited);
    const bool well = samplers_close(p->samplers);
    deadlines_close(&p->deadlines, pool_freed);
    return well;
}
