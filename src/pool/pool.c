/*
 * The conductor itself: backends come and go, queued jobs are given to free ones, the store is
 * pruned. What becomes of an attempt is attempt.c and reconcile.c; of a job, jobs.c.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/loop/loop.h"
#include "inner.h"

enum { PRUNE_EVERY_MS = 60000, STOP_PATIENCE_MS = 1000 };

/* ---- dispatch -------------------------------------------------------------------------------- */

void pool_dispatch(struct pool *p)
{
    if (p->dispatching) {
        return; /* the outer call goes on */
    }
    p->dispatching = true;
    while (!p->stopping) {
        struct queue_entry *e = queue_first(&p->queue);
        struct slot *s = scheduler_first(&p->scheduler);
        if (e == NULL || s == NULL) {
            break;
        }
        queue_remove(&p->queue, e);
        attempt_begin(heap_item(e, struct job, entry), heap_item(s, struct backend, slot));
    }
    p->dispatching = false;
}

/* ---- what backends say ------------------------------------------------------------------------
 */

static struct attempt *find_attempt(struct backend *b, struct str prompt_id)
{
    struct attempt *a = b->attempts;
    while (a != NULL && !str_is(prompt_id, a->r.prompt_id)) {
        a = a->next;
    }
    return a;
}

static void frame_came(struct backend *b, struct mono_us now, const struct frame *f)
{
    if (f->stamp_ms != 0) {
        server_clock_observe(&b->clock, now, f->stamp_ms);
    }
    if (f->type == FRAME_STATUS) {
        b->queue_remaining = f->queue_remaining;
    } else if (f->prompt_id.p != NULL) {
        struct attempt *a = find_attempt(b, f->prompt_id);
        if (a != NULL && a->posted) {
            attempt_frame(a, now, f);
        }
    }
}

struct server_clock backend_clock(const struct backend *b)
{
    return b->clock.known ? b->clock : b->old_clock;
}

static void went_up(struct backend *b)
{
    free(b->last_error);
    b->last_error = NULL;
    b->old_clock = backend_clock(b);
    b->clock.known = false;
    for (struct attempt *a = b->attempts; a != NULL; a = a->next) {
        if (a->posted && a->submit == NULL) {
            attempt_ask_in(a, 0);
        }
    }
    scheduler_set_up(&b->pool->scheduler, &b->slot, true);
    pool_dispatch(b->pool);
}

static void went_down(struct backend *b, struct mono_us now, const char *why)
{
    free(b->last_error);
    b->last_error = mem_strdup(why);
    const bool lost = b->slot.up;
    b->refused = b->refused && !lost;
    scheduler_set_up(&b->pool->scheduler, &b->slot, false);
    for (struct attempt *a = b->attempts; a != NULL; a = a->next) {
        if (a->posted && lost) {
            attempt_distrust(a, now, "socket_lost");
        }
        if (a->posted) {
            attempt_ask_in(a, lost ? 0 : 1000);
        }
    }
}

static void stats_came(struct backend *b, const struct stats_answer *s)
{
    free(b->version);
    free(b->devices);
    b->version = mem_copy(buf_str(&s->version));
    b->devices = mem_copy(buf_str(&s->devices));
}

static void on_backend_event(void *ctx, const struct comfy_event *e)
{
    struct backend *b = ctx;
    switch (e->kind) {
    case COMFY_EVENT_UP:
        went_up(b);
        break;
    case COMFY_EVENT_DOWN:
        went_down(b, e->now, e->text);
        break;
    case COMFY_EVENT_FRAME:
        frame_came(b, e->now, e->frame);
        break;
    case COMFY_EVENT_STATS:
        stats_came(b, e->stats);
        break;
    }
}

static void backend_init(struct pool *p, struct backend *b, const struct pool_backend_options *o)
{
    AUTO_BUF struct buf url;
    AUTO_BUF struct buf name;
    buf_init(&url, 65536);
    buf_init(&name, 65536);
    comfy_url_clean(o->url, &url, &name);
    *b = (struct backend){.pool = p, .queue_remaining = -1};
    b->url = buf_take(&url);
    b->name = o->name != NULL ? mem_strdup(o->name) : buf_take(&name);
    b->version = mem_strdup("");
    b->devices = mem_strdup("[]");
    slot_init(&b->slot, o->weight, o->max_in_flight);
    (void)map_put(&p->backends_by_name, str_of(b->name), b);
}

static void backend_connect(struct backend *b, const struct pool_backend_options *o)
{
    struct pool *p = b->pool;
    const struct comfy_spec spec = {
        .name = b->name, .url = o->url, .headers = o->headers, .timeouts = p->options.timeouts};
    b->comfy = comfy_new(p->loop, p->http, p->ws, &spec, on_backend_event, b);
}

/* ---- retention ------------------------------------------------------------------------------- */

static void prune(void *ctx);

static void pruned(void *ctx, unsigned deleted, bool more)
{
    struct pool *p = ctx;
    if (deleted > 0) {
        LOG(LOG_INFO, "old jobs deleted", LOG_I("jobs", deleted));
    }
    const int64_t ms = more ? 100 : PRUNE_EVERY_MS;
    if (!p->stopping) {
        deadline_set(&p->deadlines, &p->prune, mono_add(time_mono(), dur_ms(ms)), prune, p);
    }
    pool_one_less(p, &p->writes);
}

static void prune(void *ctx)
{
    struct pool *p = ctx;
    if (p->options.keep_for.us == 0 && p->options.keep_count == 0) {
        return;
    }
    const struct wall_us before = {
        p->options.keep_for.us == 0 ? 0 : time_wall().us - p->options.keep_for.us};
    p->writes++;
    store_prune(p->store, before, p->options.keep_count == 0 ? INT64_MAX : p->options.keep_count,
                pruned, p);
}

/* ---- start ----------------------------------------------------------------------------------- */

static struct backend *backend_of_attempt(struct pool *p, const struct attempt_record *r)
{
    struct backend *b =
        r->backend == NULL ? NULL : map_get(&p->backends_by_name, str_of(r->backend));
    for (size_t i = 0; b == NULL && r->backend_url != NULL && i < p->backends_len; i++) {
        if (strcmp(p->backends[i].url, r->backend_url) == 0) {
            b = &p->backends[i];
        }
    }
    return b;
}

/* Its backend is no longer in the configuration: nobody can be asked. */
static void orphaned(struct job *j, struct attempt_record *r)
{
    LOG(LOG_WARN,
        "the backend of a running job is not configured any more: the job is queued again",
        LOG_S("job", j->r.id), LOG_S("backend", r->backend));
    struct attempt a = {.r = *r, .outcome = ATTEMPT_LOST};
    timeline_init(&a.timeline, j->anchor, j->queued);
    timeline_end(&a.timeline, time_mono(), 0);
    struct job_error e = attempt_error(ERR_LOST, "the backend is not configured any more");
    const bool again = j->r.attempts - j->r.cut_off < j->r.max_attempts;
    job_conclude(j, again ? JOB_EVENT_REQUEUE : JOB_EVENT_FAIL, &a, &e, NULL, STR(""));
    *r = a.r;
}

static void load_job(void *ctx, struct store_active *found)
{
    struct pool *p = ctx;
    struct job *j = mem_zero(1, sizeof *j);
    j->pool = p;
    j->r = found->job;
    found->job = (struct job_record){0};
    j->workflow = found->workflow;
    j->workflow_len = found->workflow_len;
    j->extra_data = found->extra_data;
    found->workflow = found->extra_data = NULL;
    /* The monotonic clock may be another one than when it was queued: carry by the wall. */
    j->anchor = time_anchor_now();
    j->queued = anchor_mono(&j->anchor, j->r.queued_at);
    j->cancel_durable = j->r.cancel_requested;
    (void)map_put(&p->jobs, (struct str){j->r.id, UUID_TEXT}, j);
    if (j->r.state == JOB_QUEUED) {
        job_enqueue(j);
        return;
    }
    struct backend *b = found->has_attempt ? backend_of_attempt(p, &found->attempt) : NULL;
    if (b != NULL) {
        attempt_adopt(j, b, &found->attempt);
    } else {
        orphaned(j, &found->attempt);
    }
}

struct pool *pool_new(uv_loop_t *loop, struct store *store, struct http_client *http,
                      struct ws_client *ws, const struct pool_options *options)
{
    struct pool *p = mem_zero(1, sizeof *p);
    p->loop = loop;
    p->store = store;
    p->http = http;
    p->ws = ws;
    p->options = *options;
    p->began = time_mono();
    p->minute_at = p->began.us / 1000000;
    map_init(&p->backends_by_name);
    map_init(&p->jobs);
    queue_init(&p->queue);
    scheduler_init(&p->scheduler);
    deadlines_init(&p->deadlines, loop);
    p->backends = mem_zero(options->backends_len, sizeof *p->backends);
    p->backends_len = options->backends_len;
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_init(p, &p->backends[i], &options->backends[i]);
    }
    return p;
}

void pool_set_server(struct pool *p, struct http_server *server)
{
    p->server = server;
}

bool pool_start(struct pool *p)
{
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_connect(&p->backends[i], &p->options.backends[i]);
    }
    if (store_load_active(p->store, load_job, p) != ERR_NONE) {
        return false;
    }
    if (p->jobs.len > 0) {
        LOG(LOG_INFO, "active jobs loaded", LOG_I("jobs", p->jobs.len));
    }
    prune(p);
    return true;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static void stop_is_complete(void *ctx)
{
    struct pool *p = ctx;
    void (*stopped)(void *) = p->stopped;
    p->stopped = NULL;
    deadline_clear(&p->deadlines, &p->stop_late);
    if (stopped != NULL) {
        stopped(p->stopped_ctx);
    }
}

void pool_one_less(struct pool *p, unsigned *counter)
{
    (*counter)--;
    if (p->stopped != NULL && p->writes == 0 && p->submits == 0) {
        deadline_set(&p->deadlines, &p->stop_late, time_mono(), stop_is_complete, p);
    }
}

void pool_stop(struct pool *p, void (*done)(void *ctx), void *ctx)
{
    p->stopping = true;
    p->stopped = done;
    p->stopped_ctx = ctx;
    const bool idle = p->writes == 0 && p->submits == 0;
    deadline_set(&p->deadlines, &p->stop_late,
                 mono_add(time_mono(), dur_ms(idle ? 0 : STOP_PATIENCE_MS)), stop_is_complete, p);
}

static void pool_freed(uv_handle_t *timer)
{
    free(heap_item(timer, struct pool, deadlines.timer));
}

void pool_close(struct pool *p)
{
    p->stopping = true;
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; at = 0, j = map_next(&p->jobs, &at)) {
        job_free(j);
    }
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = &p->backends[i];
        comfy_close(b->comfy);
        free(b->name);
        free(b->url);
        free(b->version);
        free(b->devices);
        free(b->last_error);
    }
    map_done(&p->jobs);
    map_done(&p->backends_by_name);
    queue_done(&p->queue);
    scheduler_done(&p->scheduler);
    free(p->backends);
    deadlines_close(&p->deadlines, pool_freed);
}
