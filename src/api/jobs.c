/* Jobs: one, many, their workflows and attempts, and changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_write.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/render/render.h"
#include "comfypool/store/jobs.h"

#include "args.h"
#include "bodies.h"
#include "found.h"
#include "inner.h"
#include "params.h"

/* ---- one job --------------------------------------------------------------------------------- */

bool api_render_active(struct api *a, const char *id, bool traceback, struct buf *out)
{
    struct job_view v;
    if (!pool_view_job(a->pool, id, &v)) {
        return false;
    }
    v.more.traceback = traceback;
    render_job_json(&v.record, &v.more, out);
    return true;
}

/* Adds the last members of a Job that has not ended; they alone are left out of the ETag. */
static void add_forecast(struct api *a, const char *id, bool is_queued, struct http_answer *answer)
{
    struct job_forecast f;
    pool_forecast_job(a->pool, id, &f);
    answer->body.len--; /* the brace */
    struct js_out o = {.buf = &answer->body, .comma = true};
    answer->volatile_at = answer->body.len;
    if (is_queued) {
        js_key(&o, "position");
        if (f.position < 0) {
            js_null(&o);
        } else {
            js_integer(&o, f.position);
        }
    }
    js_key(&o, "eta");
    if (f.is_known) {
        js_open(&o, '{');
        js_member_ms(&o, "startsAt", f.starts_at.us);
        js_member_ms(&o, "completesAt", f.completes_at.us);
        js_close(&o, '}');
    } else {
        js_null(&o);
    }
    answer->volatile_len = answer->body.len - answer->volatile_at;
    js_close(&o, '}');
}

/* Completes and sends an answer with a Job. */
static void send_job(struct api *a, struct http_ref x, const char *id, const struct job_answer *how,
                     struct http_answer *answer)
{
    answer->etag = how->has_etag;
    answer->wait_applied = how->waited;
    if (how->replayed != 0) {
        answer->replayed = true;
        answer->status = how->waited && answer->status == 200 ? 200 : how->replayed;
    }
    if (how->has_location) {
        (void)snprintf(answer->location, sizeof answer->location, "/jobs/%.36s", id);
    }
    http_answer(a->http, x, answer);
}

/* A request for a job that is being read from the store. */
struct answering {
    struct api *api;
    struct http_ref request;
    char id[UUID_SIZE];
    struct job_answer how;
};

static void job_came(void *ctx, const struct store_found *f)
{
    struct answering *q = ctx;
    struct api *a = q->api;
    /* A missing profile is no error: the job ended in the queue between attempts. */
    const enum err e = f->error == ERR_NONE && f->profile_error == ERR_STORE_UNAVAILABLE
                           ? ERR_STORE_UNAVAILABLE
                           : f->error;
    if (a->http == NULL) { /* requests are no longer answered */
    } else if (pool_has_job(a->pool, q->id)) {
        api_answer_job(a, q->request, q->id, &q->how);
    } else if (e != ERR_NONE) {
        api_refuse(a, q->request, e);
    } else {
        struct http_answer answer = http_answer_new(200);
        const struct render_job_more more = {.profile = f->profile, .traceback = q->how.traceback};
        render_job_json(f->job, &more, &answer.body);
        send_job(a, q->request, q->id, &q->how, &answer);
    }
    free(q);
}

static void find_ended(struct api *a, struct http_ref x, const char *id,
                       const struct job_answer *how)
{
    struct store_wish wish = {.wants = STORE_WANT_PROFILE};
    struct answering *q = mem_alloc(sizeof *q);
    *q = (struct answering){.api = a, .request = x, .how = *how};
    (void)snprintf(q->id, sizeof q->id, "%.36s", id);
    memcpy(wish.id, q->id, sizeof wish.id);
    store_find_job(a->store, &wish, NULL, job_came, q);
}

void api_answer_job(struct api *a, struct http_ref x, const char *id, const struct job_answer *how)
{
    struct job_view v;
    if (!pool_view_job(a->pool, id, &v)) {
        find_ended(a, x, id, how);
        return;
    }
    struct http_answer answer = http_answer_new(how->active_status);
    v.more.traceback = how->traceback;
    render_job_json(&v.record, &v.more, &answer.body);
    if (how->has_etag) {
        add_forecast(a, id, v.record.state == JOB_QUEUED, &answer);
    }
    send_job(a, x, id, how, &answer);
}

static void get_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    if (rq->waits && !rq->wait_over && pool_has_job(a->pool, args_of(rq)->job_id)) {
        pool_wait_for_end(a->pool, args_of(rq)->job_id, api_ticket(x));
        http_hold(a->http, x);
        return;
    }
    const struct job_answer how = {.active_status = 200,
                                   .traceback = args_of(rq)->traceback,
                                   .waited = rq->waits,
                                   .has_etag = true};
    api_answer_job(a, x, args_of(rq)->job_id, &how);
}

/* ---- many jobs ------------------------------------------------------------------------------- */

struct listing {
    struct api *api;
    struct http_ref request;
    unsigned state_mask;
    unsigned limit;
    char batch[UUID_SIZE];
};

static void add_link(struct http_answer *answer, const struct listing *l, int64_t cursor)
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
    (void)snprintf(answer->link, sizeof answer->link,
                   "</jobs?limit=%u%s%s%s&cursor=%lld>; rel=\"next\"", l->limit, states,
                   l->batch[0] == '\0' ? "" : "&batch=", l->batch, (long long)cursor);
}

static void render_list(struct listing *l, struct job_record *jobs, size_t n,
                        struct http_answer *answer)
{
    struct js_out o = js_out_to(&answer->body);
    js_open(&o, '{');
    js_key(&o, "jobs");
    js_open(&o, '[');
    for (size_t i = 0; i < n; i++) {
        AUTO_BUF struct buf one;
        buf_init(&one, BUF_NO_LIMIT);
        /* An active job may have moved on since its row was written. */
        if (!api_render_active(l->api, jobs[i].id, false, &one)) {
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
        add_link(answer, l, jobs[n - 1].seq);
    } else {
        js_null(&o);
    }
    js_close(&o, '}');
}

static void listed(void *ctx, enum err e, struct job_record *jobs, size_t n)
{
    struct listing *l = ctx;
    struct api *a = l->api;
    if (a->http != NULL && e != ERR_NONE) {
        api_refuse(a, l->request, e);
    } else if (a->http != NULL) { /* else the daemon stops */
        struct http_answer answer = http_answer_new(200);
        render_list(l, jobs, n, &answer);
        http_answer(a->http, l->request, &answer);
    }
    free(l);
}

static void list_jobs(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct listing *l = mem_alloc(sizeof *l);
    *l = (struct listing){a, x, args_of(rq)->state_mask, args_of(rq)->limit, ""};
    memcpy(l->batch, args_of(rq)->batch, sizeof l->batch);
    const struct job_query q = {.state_mask = args_of(rq)->state_mask,
                                .batch_id = args_of(rq)->batch,
                                .client = api_wall(a, rq),
                                .before_seq = args_of(rq)->cursor,
                                .limit = args_of(rq)->limit};
    store_list(a->store, &q, listed, l);
}

/* ---- workflow and attempts ------------------------------------------------------------------- */

static void answer_workflow(struct api *a, struct http_ref x, enum err e,
                            struct http_answer *answer)
{
    answer->etag = true;
    if (e == ERR_NONE) {
        http_answer(a->http, x, answer);
    } else {
        buf_done(&answer->body);
        api_refuse(a, x, e);
    }
}

/* Answers with the workflow; of variants, with the one that ran. */
static void workflow_found(struct api *a, struct http_request *rq, struct http_ref x,
                           const struct store_found *f)
{
    (void)rq;
    struct http_answer answer = http_answer_new(200);
    struct job_options *spec = f->job->spec == NULL ? NULL : job_options_read(str_of(f->job->spec));
    size_t place = 0;
    const struct job_variant *v = job_options_chosen(spec, f->job->placement, &place);
    if (v != NULL) {
        buf_add(&answer.body, v->workflow, v->workflow_len);
    } else {
        buf_add_str(&answer.body, f->workflow);
    }
    job_options_free(spec);
    answer_workflow(a, x, f->error, &answer);
}

static void get_workflow(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    const char *id = args_of(rq)->job_id;
    struct http_answer answer = http_answer_new(200);
    if (pool_workflow_of(a->pool, id, &answer.body)) {
        answer_workflow(a, x, ERR_NONE, &answer);
        return;
    }
    static const struct api_find find = {
        .wants = STORE_WANT_WORKFLOW, .active_too = true, .found = workflow_found};
    buf_done(&answer.body);
    api_find_job(a, rq, x, id, &find);
}

static void attempts_found(struct api *a, struct http_request *rq, struct http_ref x,
                           const struct store_found *f)
{
    if (f->error != ERR_NONE) {
        api_refuse(a, x, f->error);
        return;
    }
    struct http_answer answer = http_answer_new(200);
    answer.etag = true;
    pool_refresh_attempts(a->pool, args_of(rq)->job_id, f->attempts, f->attempts_len);
    render_attempts_json(f->attempts, f->attempts_len, &answer.body);
    http_answer(a->http, x, &answer);
}

static void list_attempts(void *ctx, struct http_request *rq, struct http_ref x)
{
    static const struct api_find find = {
        .wants = STORE_WANT_ATTEMPTS, .active_too = true, .found = attempts_found};
    api_find_job(ctx, rq, x, args_of(rq)->job_id, &find);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void cancel_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    if (!pool_cancel_job(a->pool, args_of(rq)->job_id, api_ticket(x))) {
        const struct job_answer how = {.active_status = 200, .waited = rq->waits};
        api_answer_job(a, x, args_of(rq)->job_id, &how);
    }
}

static void delete_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    pool_delete_job(a->pool, args_of(rq)->job_id, api_answer_no_content,
                    api_asking_new(a, x, 204, NULL));
}

static void changed(void *ctx, struct refusal *why)
{
    struct api_asking *q = ctx;
    if (api_asking_goes_on(q, why)) {
        const struct job_answer how = {.active_status = q->status,
                                       .has_location = q->status == 202};
        api_answer_job(q->api, q->request, q->name, &how);
    }
    api_asking_free(q);
}

static void change_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    pool_change_priority(a->pool, args_of(rq)->job_id, args_of(rq)->priority, changed,
                         api_asking_new(a, x, 200, args_of(rq)->job_id));
}

static void retry_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    pool_retry_job(a->pool, args_of(rq)->job_id, api_wall(a, rq),
                   &args_of(rq)->submission.extra_data, changed,
                   api_asking_new(a, x, 202, args_of(rq)->job_id));
}

static const struct http_route routes[] = {
    {"GET", "/jobs", ROLE_READ, .serve = list_jobs,
     .params = PARAMS(&param_limit, &param_cursor, &param_state, &param_batch)},
    {"GET", "/jobs/{id}", ROLE_READ, .serve = get_job, .door = DOOR_JOB,
     .params = PARAMS(&http_param_wait, &param_traceback)},
    {"PATCH", "/jobs/{id}", ROLE_SUBMIT, .serve = change_job, .door = DOOR_JOB,
     .body = &body_change},
    {"DELETE", "/jobs/{id}", ROLE_SUBMIT, .serve = delete_job, .door = DOOR_JOB,
     .body = &body_nothing},
    {"GET", "/jobs/{id}/attempts", ROLE_READ, .serve = list_attempts, .door = DOOR_JOB},
    {"GET", "/jobs/{id}/workflow", ROLE_READ, .serve = get_workflow, .door = DOOR_JOB},
    {"POST", "/jobs/{id}/cancel", ROLE_SUBMIT, .serve = cancel_job, .door = DOOR_JOB,
     .body = &body_nothing},
    {"POST", "/jobs/{id}/retry", ROLE_SUBMIT, .serve = retry_job, .door = DOOR_JOB,
     .body = &body_retry},
};
const struct http_table api_jobs = API_TABLE(routes);
