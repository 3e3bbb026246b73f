/*
 * The family of routes, access to the objects that paths name, and refusals. Requests are well
 * formed here. A waiting one is served again (asked_again, wait_over) and goes by the state at that
 * time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/loop/apart.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/pool/walls.h"
#include "comfypool/store/finds.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"
#include "streams.h"

/* ---- life ------------------------------------------------------------------------------------ */

struct api *api_new(uv_loop_t *loop, struct pool *pool, struct store *store,
                    const struct api_options *options)
{
    struct api *a = mem_zero(1, sizeof *a);
    a->loop = loop;
    a->pool = pool;
    a->store = store;
    a->options = *options;
    deadlines_init(&a->deadlines, loop);
    a->aparts = aparts_new(loop);
    streams_init(a);
    api_make_family(a, &a->family);
    return a;
}

static struct http_ref ref_of(uint64_t ticket)
{
    return (struct http_ref){(uint32_t)(ticket >> 32), (uint32_t)ticket};
}

static void wake(void *ctx, uint64_t ticket)
{
    struct api *a = ctx;
    http_again(a->http, ref_of(ticket));
}

static bool waits(void *ctx, uint64_t ticket)
{
    struct api *a = ctx;
    return http_is_open(a->http, ref_of(ticket));
}

void api_set_server(struct api *a, struct http_server *server)
{
    const struct pool_callers callers = {wake, waits, a};
    a->http = server;
    pool_set_callers(a->pool, server == NULL ? NULL : &callers);
}

static void freed(uv_handle_t *timer)
{
    free(heap_item(timer, struct api, deadlines.timer));
}

void api_close(struct api *a)
{
    aparts_close(a->aparts);
    streams_done(a);
    deadlines_close(&a->deadlines, freed);
}

/* ---- callers --------------------------------------------------------------------------------- */

const char *api_wall(const struct api *a, const struct http_request *rq)
{
    return rq->role == ROLE_SUBMIT && !a->options.shared ? rq->caller : NULL;
}

uint64_t api_ticket(struct http_ref x)
{
    return (uint64_t)x.slot << 32 | x.generation;
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Details of codes whose title does not say what to do next. */
static const struct {
    enum err code;
    const char *detail;
} details[] = {
    {ERR_JOB_NOT_FOUND,
     "no job has this id; it may have been deleted, or be older than the retention"},
    {ERR_PROFILING_DISABLED,
     "submit with \"profile\": true, or turn profiling.enabled on for all jobs"},
    {ERR_BACKEND_NOT_FOUND, "GET /backends lists the backends"},
    {ERR_ATTEMPT_NOT_FOUND, "GET /jobs/<id>/attempts lists the attempts; they are numbered from 1"},
    {ERR_DELIVERY_NOT_FOUND,
     "GET /webhooks/deliveries lists those that were not taken; others are forgotten"},
    {ERR_UPLOAD_NOT_FOUND, "it was never uploaded, or is older than uploads.maxAgeDays"},
};

static const char *detail_of(enum err e)
{
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        if (details[i].code == e) {
            return details[i].detail;
        }
    }
    return err_title(e);
}

void api_refuse(struct api *a, struct http_ref x, enum err e)
{
    const char *trouble = store_trouble(a->store);
    if (e == ERR_JOB_NOT_FINISHED) {
        http_problem_retry(a->http, x, e, "the attempt has not ended yet", 1);
    } else if (e == ERR_STORE_UNAVAILABLE) {
        http_problem_retry(a->http, x, e, trouble[0] == '\0' ? "the store cannot be read" : trouble,
                           2);
    } else {
        http_problem(a->http, x, e, detail_of(e), NULL);
    }
}

void api_refuse_as(struct api *a, struct http_ref x, struct refusal *take)
{
    if (take->detail == NULL) {
        api_refuse(a, x, take->code);
    } else if (take->retry_after > 0) {
        http_problem_retry(a->http, x, take->code, take->detail, take->retry_after);
    } else {
        http_problem(a->http, x, take->code, take->detail,
                     take->pointer[0] == '\0' ? NULL : take->pointer);
    }
    refusal_done(take);
}

/* ---- answers that come later ----------------------------------------------------------------- */

struct api_asking *api_asking_new(struct api *a, struct http_ref x, unsigned status,
                                  const char *name)
{
    struct api_asking *q = mem_alloc(sizeof *q);
    *q = (struct api_asking){.api = a, .request = x, .status = status, .name = mem_strdup(name)};
    return q;
}

void api_asking_free(struct api_asking *q)
{
    free(q->name);
    free(q);
}

bool api_asking_goes_on(const struct api_asking *q, struct refusal *why)
{
    if (q->api->http != NULL && why != NULL) {
        api_refuse_as(q->api, q->request, why);
    }
    return q->api->http != NULL && why == NULL;
}

void api_answer_no_content(void *asking, struct refusal *why)
{
    struct api_asking *q = asking;
    if (api_asking_goes_on(q, why)) {
        struct http_answer answer = http_answer_new(204);
        http_answer(q->api->http, q->request, &answer);
    }
    api_asking_free(q);
}

/* ---- the family ------------------------------------------------------------------------------ */

static const struct http_table *const tables[] = {
    &api_submissions, &api_jobs,     &api_profiles,    &api_batches,   &api_outputs,
    &api_events,      &api_exports,  &api_comparisons, &api_summaries, &api_deliveries,
    &api_uploads,     &api_backends, &api_health,      NULL,
};

/* Hints for paths of other servers. */
static const struct http_hint hints[] = {
    {"/", "POST a workflow to /jobs; see /openapi.yaml for what there is"},
    {"/prompt", "POST workflows to /jobs: ComfyUI's own body is taken there"},
    {"/run", "POST workflows to /jobs"},
    {"/runsync", "POST workflows to /jobs?wait=60"},
    {"/queue", "GET /jobs?state=queued,running lists what waits and runs"},
    {"/history", "GET /jobs lists jobs; their outputs are at /jobs/ID/outputs"},
    {"/view", "files of a job are at /jobs/ID/outputs/N"},
    {"/upload/image", "POST files to /uploads, and name them in attachments of a job"},
    {"/interrupt", "POST /jobs/ID/cancel stops a job"},
    {"/ws", "GET /jobs/ID/events streams what happens to a job, GET /events to all"},
};

/* Writes problem details (RFC 9457). */
static const char *write_problem(const struct http_refused *r, struct buf *out)
{
    char type[96];
    (void)snprintf(type, sizeof type, "urn:comfypool:problem:%s", err_code(r->code));
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "type", type);
    js_member_string(&o, "title", err_title(r->code));
    js_member_int(&o, "status", r->status);
    js_member_str(&o, "detail", r->detail);
    js_member_string(&o, "code", err_code(r->code));
    if (r->pointer != NULL) {
        js_member_str(&o, "pointer", *r->pointer);
    }
    js_close(&o, '}');
    return "application/problem+json";
}

/* ---- admission ------------------------------------------------------------------------------- */

/* A request waiting for the store to name the client of its path's object. */
struct entering {
    struct api *api;
    struct http_ref request;
    char *wall;
    enum err when_none;
};

static void owner_came(void *ctx, enum err e, const char *client)
{
    struct entering *q = ctx;
    struct api *a = q->api;
    if (a->http != NULL) { /* else the daemon stops */
        const enum err refused = e == ERR_NONE && !wall_lets(q->wall, client) ? q->when_none : e;
        if (refused == ERR_NONE) {
            http_let_in(a->http, q->request);
        } else {
            api_refuse(a, q->request, refused);
        }
    }
    free(q->wall);
    free(q);
}

static enum http_admission ask_owner(struct api *a, struct http_ref x, const char *wall,
                                     enum store_owned what, const char *id)
{
    static const enum err when_none[] = {[STORE_JOB] = ERR_JOB_NOT_FOUND,
                                         [STORE_BATCH] = ERR_BATCH_NOT_FOUND,
                                         [STORE_DELIVERY] = ERR_DELIVERY_NOT_FOUND};
    struct entering *q = mem_alloc(sizeof *q);
    *q = (struct entering){a, x, mem_strdup(wall), when_none[what]};
    store_find_client(a->store, what, id, NULL, owner_came, q);
    return HTTP_ADMIT_LATER;
}

static enum http_admission admit_if(struct api *a, struct http_ref x, enum err e)
{
    if (e == ERR_NONE) {
        return HTTP_ADMIT;
    }
    api_refuse(a, x, e);
    return HTTP_ADMIT_REFUSED;
}

/* Checks that the caller may see the object of the path; another client's looks as if it did not
   exist. */
static enum http_admission admit(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    const struct api_args *g = args_of(rq);
    const char *wall = api_wall(a, rq);
    const enum api_door door = wall == NULL ? DOOR_OPEN : (enum api_door)rq->route->door;
    enum err e;
    switch (door) {
    case DOOR_OPEN:
        break;
    case DOOR_JOB:
        return wall_active_job(a->pool, wall, g->job_id, &e)
                   ? admit_if(a, x, e)
                   : ask_owner(a, x, wall, STORE_JOB, g->job_id);
    case DOOR_BATCH:
        return ask_owner(a, x, wall, STORE_BATCH, g->job_id);
    case DOOR_DELIVERY:
        return ask_owner(a, x, wall, STORE_DELIVERY, g->delivery);
    case DOOR_UPLOAD:
        return admit_if(a, x, wall_upload(a->pool, wall, g->sha256));
    }
    return HTTP_ADMIT;
}

void api_make_family(void *ctx, struct http_family *ret)
{
    *ret = (struct http_family){
        .ctx = ctx,
        .admit = admit,
        .files = &api_file_ops,
        .tables = tables,
        .segments = api_segments,
        .segments_len = api_segments_len,
        .hints = hints,
        .hints_len = sizeof hints / sizeof *hints,
        .no_hint = "see /openapi.yaml for what there is",
        .args_size = sizeof(struct api_args),
        .args_init = api_args_init,
        .args_done = api_args_done,
        .write = write_problem,
    };
}

const struct http_family *api_family(const struct api *a)
{
    return &a->family;
}
