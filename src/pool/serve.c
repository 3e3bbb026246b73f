/*
 * What each route does: one table, one function a route. Requests are well formed when they get
 * here. A request that waits is asked again (asked_again, wait_over) and finds its way by the state
 * of the job alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "embedded.h"
#include "attempt.h"
#include "batches.h"
#include "clock.h"
#include "compare.h"
#include "copies.h"
#include "deliveries.h"
#include "dispatch.h"
#include "eta.h"
#include "exports.h"
#include "jobs.h"
#include "operate.h"
#include "output.h"
#include "position.h"
#include "profiles.h"
#include "serve.h"
#include "state.h"
#include "stats.h"
#include "stop.h"
#include "streams.h"
#include "submit.h"
#include "summary.h"
#include "uploads.h"
#include "walls.h"

/* ---- jobs ------------------------------------------------------------------------------------ */

void serve_render_active(struct job *j, bool traceback, struct buf *out)
{
    struct job_record shown = j->r; /* borrows */
    struct render_job_more more = {.waiting_reason = dispatch_waiting_reason(j),
                                   .traceback = traceback};
    const struct attempt *a = j->attempt;
    if (a != NULL) {
        more.has_progress = true;
        more.nodes_done = a->progress.nodes_done;
        more.node_id = a->progress.node_id;
        more.has_value = a->progress.has_value;
        more.value = a->progress.value;
        more.max = a->progress.max;
        if (a->timeline.started.set) {
            const struct timeline t = clock_timeline(a);
            shown.started_at = anchor_wall(&t.anchor, timeline_point(&t, &t.started));
        }
    }
    render_job_json(&shown, &more, out);
}

/* The JSON of an ended job, its profile in it. */
static enum err render_ended(struct pool *p, struct str id, bool traceback, struct buf *out)
{
    struct job_record r = {0};
    enum err e = store_get_job(p->store, id, &r);
    if (e != ERR_NONE) {
        return e;
    }
    AUTO_BUF struct buf profile;
    buf_init(&profile, BUF_NO_LIMIT);
    if (r.profiled) {
        e = store_get_profile(p->store, r.seq, job_told_attempt(&r), &profile);
        if (e == ERR_PROFILING_DISABLED) {
            e = ERR_NONE; /* it ended in the queue between attempts: there is none */
        }
    }
    if (e == ERR_NONE) {
        const struct render_job_more more = {.profile = buf_str(&profile), .traceback = traceback};
        render_job_json(&r, &more, out);
    }
    job_record_done(&r);
    return e;
}

void serve_render_job(struct pool *p, struct str id, struct buf *out)
{
    struct job *j = job_find(p, id);
    struct job_record r = {0};
    if (j != NULL) {
        serve_render_active(j, false, out);
    } else if (store_get_job(p->store, id, &r) == ERR_NONE) {
        render_job_json(&r, NULL, out);
    } else {
        buf_add_text(out, "null");
    }
    job_record_done(&r);
}

enum err serve_is_stored(struct pool *p, const char *id)
{
    struct job_record r = {0};
    const enum err e =
        job_find(p, serve_id(id)) != NULL ? ERR_NONE : store_get_job(p->store, serve_id(id), &r);
    job_record_done(&r);
    return e;
}

void serve_problem(struct pool *p, struct http_ref x, enum err e)
{
    const char *detail = err_title(e);
    if (e == ERR_JOB_NOT_FOUND) {
        detail = "no job has this id; it may have been deleted, or be older than the retention";
    } else if (e == ERR_PROFILING_DISABLED) {
        detail = "submit with \"profile\": true, or turn profiling.enabled on for all jobs";
    } else if (e == ERR_BACKEND_NOT_FOUND) {
        detail = "GET /backends lists the backends";
    } else if (e == ERR_ATTEMPT_NOT_FOUND) {
        detail = "GET /jobs/<id>/attempts lists the attempts; they are numbered from 1";
    } else if (e == ERR_DELIVERY_NOT_FOUND) {
        detail = "GET /webhooks/deliveries lists those that were not taken; others are forgotten";
    } else if (e == ERR_UPLOAD_NOT_FOUND) {
        detail = "it was never uploaded, or is older than uploads.maxAgeDays";
    } else if (e == ERR_JOB_NOT_FINISHED) {
        http_problem_retry(p->server, x, e, "the attempt has not ended yet", 1);
        return;
    } else if (e == ERR_STORE_UNAVAILABLE) {
        http_problem_retry(p->server, x, e,
                           store_trouble(p->store)[0] == '\0' ? "the store cannot be read"
                                                              : store_trouble(p->store),
                           2);
        return;
    }
    http_problem(p->server, x, e, detail, NULL);
}

/* The last members of a Job that has not ended; they alone change nothing of the ETag. */
static void add_forecast(struct job *j, struct http_answer *a)
{
    a->body.len--; /* the brace */
    struct js_out o = {.buf = &a->body, .comma = true};
    a->volatile_at = a->body.len;
    if (j->r.state == JOB_QUEUED) {
        const int64_t position = position_of(j);
        js_key(&o, "position");
        if (position < 0) {
            js_null(&o);
        } else {
            js_integer(&o, position);
        }
    }
    eta_render(j, &o);
    a->volatile_len = a->body.len - a->volatile_at;
    js_close(&o, '}');
}

/* Answers with the Job; status is 200, or 202 for a submission whose job goes on. */
void serve_answer_job(struct pool *p, struct http_request *rq, struct http_ref x, struct str id,
                      unsigned active_status)
{
    struct http_answer a = http_answer_new(200);
    struct job *j = job_find(p, id);
    if (j != NULL) {
        serve_render_active(j, rq->traceback, &a.body);
        a.status = active_status;
    } else {
        const enum err e = render_ended(p, id, rq->traceback, &a.body);
        if (e != ERR_NONE) {
            buf_done(&a.body);
            serve_problem(p, x, e);
            return;
        }
    }
    a.etag = rq->route == ROUTE_JOB;
    if (j != NULL && rq->route == ROUTE_JOB) {
        add_forecast(j, &a);
    }
    a.wait_applied = rq->waits;
    if (rq->replayed != 0) {
        a.replayed = true;
        a.status = rq->waits && a.status == 200 ? 200 : rq->replayed;
    }
    if (rq->route == ROUTE_SUBMIT || rq->route == ROUTE_RETRY) {
        (void)snprintf(a.location, sizeof a.location, "/jobs/%.36s", id.p);
    }
    http_answer(p->server, x, &a);
}

struct str serve_id(const char *id)
{
    return (struct str){id, UUID_TEXT};
}

static void serve_job(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job *j = job_find(p, serve_id(rq->job_id));
    if (j != NULL && rq->waits && !rq->wait_over) {
        job_add_waiter(j, x);
        http_hold(p->server, x);
        return;
    }
    serve_answer_job(p, rq, x, serve_id(rq->job_id), 200);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct listing {
    struct pool *pool;
    struct http_ref x;
    unsigned state_mask;
    unsigned limit;
    char batch[UUID_SIZE];
};

static void add_link(struct http_answer *a, const struct listing *l, int64_t cursor)
{
    char states[64] = "";
    const unsigned all = (1u << JOB_STATE_COUNT) - 1;
    for (int s = 0; s < JOB_STATE_COUNT && l->state_mask != all; s++) {
        if ((l->state_mask >> s & 1u) != 0) {
            const size_t n = strlen(states);
            (void)snprintf(states + n, sizeof states - n, "%s%s", n == 0 ? "&state=" : ",",
                           job_state_name((enum job_state)s));
        }
    }
    (void)snprintf(a->link, sizeof a->link, "</jobs?limit=%u%s%s%s&cursor=%lld>; rel=\"next\"",
                   l->limit, states, l->batch[0] == '\0' ? "" : "&batch=", l->batch,
                   (long long)cursor);
}

static void listed(void *ctx, enum err e, struct job_record *jobs, size_t n)
{
    struct listing *l = ctx;
    struct pool *p = l->pool;
    if (p->server == NULL) { /* the daemon stops */
        free(l);
        return;
    }
    if (e != ERR_NONE) {
        serve_problem(p, l->x, e);
        free(l);
        return;
    }
    struct http_answer a = http_answer_new(200);
    struct js_out o = js_out_to(&a.body);
    js_open(&o, '{');
    js_key(&o, "jobs");
    js_open(&o, '[');
    for (size_t i = 0; i < n; i++) {
        /* What is active may have moved on since its row was written. */
        struct job *j = job_find(p, serve_id(jobs[i].id));
        AUTO_BUF struct buf one;
        buf_init(&one, BUF_NO_LIMIT);
        if (j != NULL) {
            serve_render_active(j, false, &one);
        } else {
            render_job_json(&jobs[i], NULL, &one);
        }
        js_raw(&o, buf_str(&one));
    }
    js_close(&o, ']');
    js_key(&o, "nextCursor");
    if (n == l->limit) {
        char cursor[24];
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)jobs[n - 1].seq);
        js_string(&o, cursor);
        add_link(&a, l, jobs[n - 1].seq);
    } else {
        js_null(&o);
    }
    js_close(&o, '}');
    http_answer(p->server, l->x, &a);
    free(l);
}

static void serve_list(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct listing *l = mem_alloc(sizeof *l);
    *l = (struct listing){p, x, rq->state_mask, rq->limit, ""};
    memcpy(l->batch, rq->batch, sizeof l->batch);
    const struct job_query q = {.state_mask = rq->state_mask,
                                .batch_id = rq->batch,
                                .client = wall_of(p, rq),
                                .before_seq = rq->cursor,
                                .limit = rq->limit};
    store_list(p->store, &q, listed, l);
}

/* ---- workflow ------------------------------------------------------------------------
 */

static void serve_workflow(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct http_answer a = http_answer_new(200);
    a.etag = true;
    struct job *j = job_find(p, serve_id(rq->job_id));
    enum err e = ERR_NONE;
    if (j != NULL && j->workflow != NULL) {
        buf_add(&a.body, j->workflow, j->workflow_len);
    } else if (j != NULL) {
        e = store_get_workflow(p->store, j->r.seq, &a.body);
    } else {
        struct job_record r = {0};
        e = store_get_job(p->store, serve_id(rq->job_id), &r);
        struct spec *spec = r.spec == NULL ? NULL : spec_read(str_of(r.spec));
        size_t place = 0;
        const struct spec_variant *v = spec_chosen(spec, r.placement, &place);
        if (v != NULL) {
            buf_add(&a.body, v->workflow, v->workflow_len);
        } else if (e == ERR_NONE) {
            e = store_get_workflow(p->store, r.seq, &a.body);
        }
        spec_free(spec);
        job_record_done(&r);
    }
    if (e == ERR_NONE) {
        http_answer(p->server, x, &a);
    } else {
        buf_done(&a.body);
        serve_problem(p, x, e);
    }
}

/* ---- cancel, delete ---------------------------------------------------------------------------
 */

/* The request is noted once; what it means depends on where the job is. */
void serve_request_cancel(struct job *j)
{
    j->r.cancel_requested = true;
    if (j->ending) {
        return; /* seen when the end of its attempt is durable */
    }
    if (job_waits(j)) {
        job_end_queued(j, ERR_NONE, NULL);
    } else if (j->attempt != NULL) {
        attempt_stop(j->attempt, STOP_CANCEL, ERR_NONE);
    }
}

/* Who waits for the mark of a running job's cancel to be durable. */
struct marking {
    struct pool *pool;
    struct http_ref x;
    char job_id[UUID_SIZE];
};

static void marked(void *ctx, enum err e)
{
    struct marking *m = ctx;
    struct pool *p = m->pool;
    (void)e; /* such a write is kept until it succeeds */
    struct job *j = job_find(p, serve_id(m->job_id));
    if (j != NULL) {
        j->cancel_durable = true;
    }
    if (p->server != NULL) {
        http_again(p->server, m->x);
    }
    free(m);
    pool_one_less(p, &p->writes);
}

static void mark_cancel(struct job *j, struct http_ref x)
{
    struct marking *m = mem_alloc(sizeof *m);
    *m = (struct marking){.pool = j->pool, .x = x};
    memcpy(m->job_id, j->r.id, sizeof m->job_id);
    j->pool->writes++;
    store_mark_cancel(j->pool->store, &j->r, marked, m);
}

static void serve_cancel(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job *j = job_find(p, serve_id(rq->job_id));
    if (j != NULL && !j->r.cancel_requested) {
        serve_request_cancel(j);
    }
    /* Its end is being stored: told when it is durable, unless nobody knows when that will be. */
    if (j != NULL && (j->ending || j->r.state == JOB_QUEUED) && store_is_writable(p->store)) {
        job_add_waiter(j, x);
        return;
    }
    if (j != NULL && !j->cancel_durable && store_is_writable(p->store)) {
        mark_cancel(j, x);
        return;
    }
    serve_answer_job(p, rq, x, serve_id(rq->job_id), 200);
}

static void deleted(void *ctx, enum err e)
{
    struct listing *l = ctx;
    if (l->pool->server == NULL) {
        pool_one_less(l->pool, &l->pool->writes);
        free(l);
        return;
    }
    if (e == ERR_NONE) {
        struct http_answer a = http_answer_new(204);
        http_answer(l->pool->server, l->x, &a);
    } else {
        serve_problem(l->pool, l->x, e);
    }
    pool_one_less(l->pool, &l->pool->writes);
    free(l);
}

static void serve_delete(struct pool *p, struct http_request *rq, struct http_ref x)
{
    if (job_find(p, serve_id(rq->job_id)) != NULL) {
        http_problem(p->server, x, ERR_JOB_ACTIVE,
                     "only a job that has ended can be deleted; cancel it first", NULL);
        return;
    }
    struct job_record r = {0};
    const enum err e = store_get_job(p->store, serve_id(rq->job_id), &r);
    if (e == ERR_NONE) {
        struct listing *l = mem_alloc(sizeof *l);
        *l = (struct listing){.pool = p, .x = x};
        p->writes++;
        copies_forget(p, rq->job_id);
        store_delete(p->store, r.seq, deleted, l);
    } else {
        serve_problem(p, x, e);
    }
    job_record_done(&r);
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

/* What is in memory of an attempt is newer than its row. */
static void refresh_open(const struct job *j, struct attempt_record *list, size_t len)
{
    const struct attempt *a = j == NULL ? NULL : j->attempt;
    if (a == NULL || len == 0 || list[len - 1].number != a->r.number) {
        return;
    }
    struct timeline t = clock_timeline(a);
    timeline_end(&t, time_mono(), 0);
    if (t.accepted.set) {
        list[len - 1].submitted_at = anchor_wall(&t.anchor, timeline_points(&t).accepted);
    }
    if (t.started.set) {
        list[len - 1].started_at = anchor_wall(&t.anchor, timeline_point(&t, &t.started));
    }
}

static void serve_attempts(struct pool *p, struct http_request *rq, struct http_ref x)
{
    const struct job *j = job_find(p, serve_id(rq->job_id));
    struct job_record r = {0};
    enum err e = j != NULL ? ERR_NONE : store_get_job(p->store, serve_id(rq->job_id), &r);
    struct attempt_record *list = NULL;
    size_t len = 0;
    if (e == ERR_NONE) {
        e = store_get_attempts(p->store, j != NULL ? j->r.seq : r.seq, &list, &len);
    }
    job_record_done(&r);
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
        return;
    }
    refresh_open(j, list, len);
    struct http_answer a = http_answer_new(200);
    a.etag = true;
    render_attempts_json(list, len, &a.body);
    for (size_t i = 0; i < len; i++) {
        attempt_record_done(&list[i]);
    }
    free(list);
    http_answer(p->server, x, &a);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void serve_outputs(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct job_record r = {0};
    const struct job *j = job_find(p, serve_id(rq->job_id));
    const enum err e = j != NULL ? ERR_NONE : store_get_job(p->store, serve_id(rq->job_id), &r);
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
        return;
    }
    size_t len = 0;
    struct render_output *list = render_outputs_read(str_of(r.outputs), &len);
    struct http_answer a = http_answer_new(200);
    a.etag = true;
    copies_mark(p, rq->job_id, list, len);
    render_outputs_json(rq->job_id, list, len, &a.body);
    render_outputs_free(list, len);
    job_record_done(&r);
    http_answer(p->server, x, &a);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* What a route does, and what its path names: see walls.h. */
static const struct {
    route_fn serve;
    enum wall_door door;
} routes[HTTP_ROUTE_COUNT] = {
    [ROUTE_SUBMIT] = {serve_submit, DOOR_OPEN},
    [ROUTE_LIST] = {serve_list, DOOR_OPEN},
    [ROUTE_JOB] = {serve_job, DOOR_JOB},
    [ROUTE_CHANGE] = {serve_change, DOOR_JOB},
    [ROUTE_DELETE] = {serve_delete, DOOR_JOB},
    [ROUTE_PROFILE] = {serve_profile, DOOR_JOB},
    [ROUTE_ATTEMPTS] = {serve_attempts, DOOR_JOB},
    [ROUTE_ATTEMPT_PROFILE] = {serve_attempt_profile, DOOR_JOB},
    [ROUTE_WORKFLOW] = {serve_workflow, DOOR_JOB},
    [ROUTE_CANCEL] = {serve_cancel, DOOR_JOB},
    [ROUTE_RETRY] = {serve_retry, DOOR_JOB},
    [ROUTE_UPLOAD] = {serve_upload, DOOR_OPEN},
    [ROUTE_UPLOAD_PUT] = {serve_upload, DOOR_OPEN},
    [ROUTE_UPLOAD_GET] = {serve_upload_get, DOOR_UPLOAD},
    [ROUTE_UPLOAD_DELETE] = {serve_upload_delete, DOOR_UPLOAD},
    [ROUTE_BATCH_SUBMIT] = {serve_batch_submit, DOOR_OPEN},
    [ROUTE_BATCH] = {serve_batch, DOOR_BATCH},
    [ROUTE_BATCH_CANCEL] = {serve_batch_cancel, DOOR_BATCH},
    [ROUTE_OUTPUTS] = {serve_outputs, DOOR_JOB},
    [ROUTE_OUTPUT] = {serve_output, DOOR_JOB},
    [ROUTE_PREVIEW] = {serve_preview, DOOR_JOB},
    [ROUTE_JOB_EVENTS] = {serve_events, DOOR_JOB},
    [ROUTE_EVENTS] = {serve_events, DOOR_OPEN},
    [ROUTE_EXPORT] = {serve_export, DOOR_OPEN},
    [ROUTE_COMPARE] = {serve_compare, DOOR_OPEN},
    [ROUTE_SUMMARY] = {serve_summary, DOOR_OPEN},
    [ROUTE_DELIVERIES] = {serve_deliveries, DOOR_OPEN},
    [ROUTE_REDELIVER] = {serve_redeliver, DOOR_DELIVERY},
    [ROUTE_BACKENDS] = {serve_backends, DOOR_OPEN},
    [ROUTE_BACKEND_ADD] = {serve_backend_add, DOOR_OPEN},
    [ROUTE_BACKEND] = {serve_backend, DOOR_OPEN},
    [ROUTE_BACKEND_CHANGE] = {serve_backend_change, DOOR_OPEN},
    [ROUTE_BACKEND_REMOVE] = {serve_backend_remove, DOOR_OPEN},
    [ROUTE_BACKEND_DRAIN] = {serve_backend_admin, DOOR_OPEN},
    [ROUTE_BACKEND_RESUME] = {serve_backend_admin, DOOR_OPEN},
    [ROUTE_BACKEND_QUARANTINE] = {serve_backend_admin, DOOR_OPEN},
    [ROUTE_BACKEND_REFRESH] = {serve_backend_refresh, DOOR_OPEN},
    [ROUTE_QUEUE_PAUSE] = {serve_queue_pause, DOOR_OPEN},
    [ROUTE_QUEUE_RESUME] = {serve_queue_pause, DOOR_OPEN},
    [ROUTE_STATS] = {serve_stats, DOOR_OPEN},
    [ROUTE_HEALTHZ] = {serve_healthz, DOOR_OPEN},
    [ROUTE_READYZ] = {serve_readyz, DOOR_OPEN},
    [ROUTE_OPENAPI] = {serve_openapi, DOOR_OPEN},
};

void pool_serve(void *pool, struct http_request *rq, struct http_ref x)
{
    if (wall_opens(pool, rq, x, routes[rq->route].door)) {
        routes[rq->route].serve(pool, rq, x);
    }
}
