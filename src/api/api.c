/*
 * The table of routes, who may see what a path names, and refusals. Requests are well formed when
 * they get here. One that waits is asked again (asked_again, wait_over) and finds its way by what
 * is there then.
 */
#include "inner.h"

#include <stdlib.h>

#include "comfypool/loop/apart.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/pool/walls.h"
#include "streams.h"

/* ---- life --------------------------------------------------------------------------------------
 */

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

/* ---- who asks ----------------------------------------------------------------------------------
 */

const char *api_wall(const struct api *a, const struct http_request *rq)
{
    return rq->role == ROLE_SUBMIT && !a->options.shared ? rq->caller : NULL;
}

uint64_t api_ticket(struct http_ref x)
{
    return (uint64_t)x.slot << 32 | x.generation;
}

struct str api_id(const char *id)
{
    return (struct str){id, UUID_TEXT};
}

enum err api_has_job(struct api *a, const char *id)
{
    struct job_record r = {0};
    const enum err e =
        pool_has_job(a->pool, id) ? ERR_NONE : store_get_job(a->store, api_id(id), &r);
    job_record_done(&r);
    return e;
}

/* ---- refusals ----------------------------------------------------------------------------------
 */

/* What to do next, where the title of the code does not say it. */
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

/* ---- answers that come later -------------------------------------------------------------------
 */

struct api_asking *api_asking_new(struct api *a, struct http_ref x, unsigned status,
                                  const char *name)
{
    struct api_asking *q = mem_alloc(sizeof *q);
    *q = (struct api_asking){.api = a, .x = x, .status = status, .name = mem_strdup(name)};
    return q;
}

void api_asking_free(struct api_asking *q)
{
    free(q->name);
    free(q);
}

bool api_asking_goes_on(const struct api_asking *q, enum err e)
{
    if (q->api->http != NULL && e != ERR_NONE) {
        api_refuse(q->api, q->x, e);
    }
    return q->api->http != NULL && e == ERR_NONE;
}

void api_answer_no_content(void *asking, enum err e)
{
    struct api_asking *q = asking;
    if (api_asking_goes_on(q, e)) {
        struct http_answer answer = http_answer_new(204);
        http_answer(q->api->http, q->x, &answer);
    }
    api_asking_free(q);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static const struct api_rows *const resources[] = {
    &api_jobs,       &api_submissions, &api_batches, &api_profiles, &api_comparisons,
    &api_summaries,  &api_exports,     &api_outputs, &api_uploads,  &api_events,
    &api_deliveries, &api_backends,    &api_health,
};

static const struct api_row *find_row(enum http_route route)
{
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        for (size_t k = 0; k < resources[i]->len; k++) {
            if (resources[i]->rows[k].route == route) {
                return &resources[i]->rows[k];
            }
        }
    }
    return NULL;
}

/* Whether the caller sees what the path names: what is another's is what never was. */
static enum err look_behind(struct api *a, const struct http_request *rq, enum api_door door)
{
    const char *wall = api_wall(a, rq);
    if (wall == NULL) {
        return ERR_NONE;
    }
    switch (door) {
    case DOOR_OPEN:
        return ERR_NONE;
    case DOOR_JOB:
        return wall_job(a->pool, wall, rq->job_id);
    case DOOR_BATCH:
        return wall_batch(a->pool, wall, rq->job_id);
    case DOOR_DELIVERY:
        return wall_delivery(a->pool, wall, rq->delivery);
    case DOOR_UPLOAD:
        return wall_upload(a->pool, wall, rq->sha256);
    }
    return ERR_NONE;
}

void api_serve(void *api, struct http_request *rq, struct http_ref x)
{
    struct api *a = api;
    const struct api_row *row = find_row(rq->route);
    const enum err e = look_behind(a, rq, row->door);
    if (e == ERR_NONE) {
        row->serve(a, rq, x);
    } else {
        api_refuse(a, x, e);
    }
}
