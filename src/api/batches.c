/* Batches: progress and cancellation. */
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/store/finds.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

static void render_batch(struct api *a, const struct batch_record *r,
                         const int64_t counts[JOB_STATE_COUNT], struct buf *out)
{
    struct wall_us eta;
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "id", r->id);
    js_member_ms(&o, "queuedAt", r->made_at.us);
    js_member_int(&o, "total", r->total);
    js_key(&o, "counts");
    js_open(&o, '{');
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        js_member_int(&o, job_state_name((enum job_state)i), counts[i]);
    }
    js_close(&o, '}');
    js_key(&o, "eta");
    if (pool_forecast_batch(a->pool, r->id, &eta)) {
        js_ms(&o, eta.us);
    } else {
        js_null(&o);
    }
    js_close(&o, '}');
}

/* A request for a batch. */
struct asking {
    struct api *api;
    struct http_ref request;
};

static void batch_found(void *ctx, enum err e, const struct batch_record *r,
                        const int64_t counts[JOB_STATE_COUNT])
{
    struct asking *q = ctx;
    struct api *a = q->api;
    if (a->http != NULL && e != ERR_NONE) {
        api_refuse(a, q->request, e);
    } else if (a->http != NULL) {
        struct http_answer answer = http_answer_new(200);
        render_batch(a, r, counts, &answer.body);
        http_answer(a->http, q->request, &answer);
    }
    free(q);
}

static void get_batch(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct asking *q = mem_alloc(sizeof *q);
    *q = (struct asking){a, x};
    store_find_batch(a->store, args_of(rq)->job_id, NULL, batch_found, q);
}

static void cancel_batch(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    pool_cancel_batch(a->pool, args_of(rq)->job_id);
    get_batch(a, rq, x);
}

static const struct http_route routes[] = {
    {"GET", "/batches/{id}", ROLE_READ, .serve = get_batch, .door = DOOR_BATCH},
    {"POST", "/batches/{id}/cancel", ROLE_SUBMIT, .serve = cancel_batch, .door = DOOR_BATCH,
     .body = &body_nothing},
};
const struct http_table api_batches = API_TABLE(routes);
