/*
 * POST /jobs and POST /batches. 202 is sent once the submission is durable. A request that waits
 * for its job is served again, with its intake as it left it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/pool/intake.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/store/keys.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

/* State kept with the request. */
struct submitting {
    struct intake intake;
    char *key;
};

static void submitting_free(void *note)
{
    struct submitting *s = note;
    intake_done(&s->intake);
    free(s->key);
    free(s);
}

/* Prefixes the Idempotency-Key with its sender, to whom it belongs. */
static char *key_of(const struct http_request *rq)
{
    AUTO_BUF struct buf b;
    buf_init(&b, CALLER_SIZE + HTTP_KEY_SIZE + 1);
    buf_printf(&b, "%s/%s", rq->caller, rq->idempotency_key);
    return rq->idempotency_key[0] == '\0' ? mem_strdup("") : buf_take(&b);
}

static struct submitting *submitting_of(struct api *a, struct http_request *rq, struct http_ref x,
                                        bool is_batch)
{
    struct submitting *s = rq->note;
    if (s != NULL) {
        return s;
    }
    s = mem_zero(1, sizeof *s);
    s->key = key_of(rq);
    struct intake *in = &s->intake;
    intake_init(in);
    in->submission = args_of(rq)->submission;
    args_of(rq)->submission = (struct submission){.workflow = NULL};
    in->is_batch = is_batch;
    in->caller = rq->caller;
    in->wall = api_wall(a, rq);
    in->may_name_client = rq->role == ROLE_OPERATE;
    in->dry_run = args_of(rq)->dry_run;
    in->key = s->key;
    in->digest = args_of(rq)->body_digest;
    in->trace = rq->trace;
    in->ticket = api_ticket(x);
    rq->note = s;
    rq->note_done = submitting_free;
    return s;
}

/* ---- one job --------------------------------------------------------------------------------- */

/* Answers with the job of a submission, new or of an earlier request with the same key. */
static void answer_stored(struct api *a, struct http_request *rq, struct http_ref x,
                          const struct intake *in)
{
    const bool is_active = pool_has_job(a->pool, in->subject);
    if (is_active && rq->waits && !rq->wait_over) {
        pool_wait_for_end(a->pool, in->subject, api_ticket(x));
        http_hold(a->http, x);
        return;
    }
    if (in->key[0] != '\0' && !is_active && in->replayed == 0) {
        store_set_key_status(a->store, in->key, 200);
    }
    const struct job_answer how = {.active_status = 202,
                                   .traceback = args_of(rq)->traceback,
                                   .waited = rq->waits,
                                   .has_location = true,
                                   .replayed = in->replayed};
    api_answer_job(a, x, in->subject, &how);
}

static void answer_tried(struct api *a, struct http_ref x, struct intake *in)
{
    struct http_answer answer = http_answer_new(200);
    answer.body = in->dry;
    buf_init(&in->dry, BUF_NO_LIMIT);
    http_answer(a->http, x, &answer);
}

static void submit_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct intake *in = &submitting_of(a, rq, x, false)->intake;
    switch (pool_submit(a->pool, in)) {
    case INTAKE_WAITS:
        break;
    case INTAKE_REFUSED:
        api_refuse_as(a, x, &in->refusal);
        break;
    case INTAKE_TRIED:
        answer_tried(a, x, in);
        break;
    case INTAKE_STORED:
        answer_stored(a, rq, x, in);
        break;
    }
}

/* ---- a batch --------------------------------------------------------------------------------- */

static void submit_batch(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct intake *in = &submitting_of(a, rq, x, true)->intake;
    const enum intake_step step = pool_submit(a->pool, in);
    if (step == INTAKE_REFUSED) {
        api_refuse_as(a, x, &in->refusal);
    } else if (step == INTAKE_STORED) {
        struct http_answer answer = http_answer_new(202);
        struct js_out o = js_out_to(&answer.body);
        js_open(&o, '{');
        js_member_string(&o, "id", in->subject);
        js_member_int(&o, "total", in->total);
        js_close(&o, '}');
        answer.replayed = in->replayed != 0;
        (void)snprintf(answer.location, sizeof answer.location, "/batches/%s", in->subject);
        http_answer(a->http, x, &answer);
    }
}

static const struct http_route routes[] = {
    {"POST", "/jobs", ROLE_SUBMIT, .serve = submit_job, .body = &body_submission,
     .params = PARAMS(&http_param_wait, &param_dry_run), .flags = HTTP_HAS_KEY | HTTP_FINISHES},
    {"POST", "/batches", ROLE_SUBMIT, .serve = submit_batch, .body = &body_batch,
     .flags = HTTP_HAS_KEY},
};
const struct http_table api_submissions = API_TABLE(routes);
