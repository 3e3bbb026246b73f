/*
 * The beginning of an attempt: the intent is stored, files go to the backend, then the prompt is
 * POSTed, once. Called by dispatch.c for a new attempt, by pool.c for one from before a restart.
 */
#include "attempt_begin.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/store/attempts.h"

#include "attempt.h"
#include "attempt_prompt.h"
#include "backends.h"
#include "jobs.h"
#include "refusals.h"
#include "state.h"
#include "strays.h"
#include "unlisted.h"

/* Copies what a job shows of its last attempt. */
static void tell_job(struct attempt *a)
{
    struct job *j = a->job;
    free(j->r.backend);
    j->r.backend = mem_strdup(a->r.backend);
    memcpy(j->r.prompt_id, a->r.prompt_id, sizeof j->r.prompt_id);
}

static void rejected(struct attempt *a, struct comfy_submit_answer *answer)
{
    struct prompt_answer *said = &answer->answer;
    struct job_error e = attempt_error(ERR_WORKFLOW_INVALID,
                                       said->message.len > 0 ? buf_text(&said->message)
                                                             : "the backend refused the workflow");
    if (said->node_errors.len > 0) {
        e.node_errors = buf_take(&said->node_errors);
    }
    if (said->node_id.len > 0) {
        e.node_id = buf_take(&said->node_id);
    }
    if (said->node_type.len > 0) {
        e.node_type = buf_take(&said->node_type);
    }
    const struct mono_us now = time_mono();
    attempt_happens(a, ATTEMPT_EVENT_DENY);
    const bool elsewhere = verdict_may_run_elsewhere(
        a->workflow, said->error_type, buf_str(&said->message), said->errors, said->errors_len);
    if (elsewhere && !inputs_are_lost(a, said->errors, said->errors_len)) {
        refusals_add(a, now, e.message);
    }
    attempt_end_rejected(a, now, elsewhere, &e);
}

static void accepted(struct attempt *a)
{
    const struct mono_us now = time_mono();
    attempt_happens(a, ATTEMPT_EVENT_ACCEPT);
    trust_accepted(a->backend);
    a->timeline.accepted = (struct time_mark){.set = true, .received = now};
    if (a->post.node_errors == NULL) {
        unlisted_learn(a->backend, eligible_need_of_attempt(a));
    }
    if (attempt_is_over(&a->state)) {
        attempt_conclude(a);
        return;
    }
    publish_accepted(a);
    attempt_sign(a, now, false);
    attempt_watch_start(a, now);
    reconcile_expect_status(a->backend, a->post.at);
    attempt_ask_in(a, a->watch.trusted ? attempt_quiet_ms(a) : 0);
    (void)attempt_stop_again(a);
}

static void doubtful(struct attempt *a, const char *why)
{
    LOG(LOG_WARN, "the POST of a prompt was not answered well: asking", LOG_S("job", a->job->r.id),
        LOG_S("backend", a->backend->name), LOG_S("why", why));
    attempt_happens(a, ATTEMPT_EVENT_DOUBT);
    attempt_distrust(a, time_mono(), NULL);
    attempt_watch_start(a, a->post.at);
    attempt_ask_in(a, 1000);
    (void)attempt_stop_again(a);
}

static void submit_answered(void *ctx, struct comfy_submit_answer *answer)
{
    struct attempt *a = ctx;
    struct pool *p = a->backend->pool;
    attempt_keep_answer(a, answer);
    if (answer->result == COMFY_ACCEPTED) {
        accepted(a);
    } else if (attempt_is_over(&a->state)) {
        attempt_conclude(a);
    } else if (answer->result == COMFY_REJECTED) {
        rejected(a, answer);
    } else if (answer->result == COMFY_REFUSED) {
        attempt_refused(a, answer->status, false, 0);
    } else if (answer->result == COMFY_AMBIGUOUS) {
        doubtful(a, answer->message);
    } else {
        struct job_error e = attempt_error(ERR_BACKEND_ERROR, answer->message);
        attempt_happens(a, ATTEMPT_EVENT_DENY);
        attempt_end(a, time_mono(), 0, ATTEMPT_FAILED, &e);
    }
    pending_remove(&p->pending);
}

/* All inputs are at the backend: POSTs the prompt, or withdraws the attempt. */
static void post(struct attempt *a)
{
    const struct pool *p = a->job->pool;
    if (a->stop.why != STOP_NONE || p->stopping || !a->backend->conn.up) {
        attempt_withdraw(a);
        return;
    }
    attempt_happens(a, ATTEMPT_EVENT_POST);
    strays_hurry(a->job); /* earlier attempts are told to stop now */
    attempt_send_post(a, submit_answered);
}

static void intent_stored(void *ctx)
{
    struct job *j = ctx;
    struct attempt *a = j->attempt;
    struct pool *p = j->pool;
    if (a == NULL || a->state.phase != PHASE_INTENT) { /* an earlier attempt took its place */
        pending_remove(&p->pending);
        return;
    }
    a->timeline.intent = (struct time_mark){.set = true, .received = time_mono()};
    if (j->files.len > 0 && a->stop.why == STOP_NONE && !p->stopping && a->backend->conn.up) {
        inputs_send(a, post);
    } else {
        post(a);
    }
    pending_remove(&p->pending);
}

/* Fills the record that is stored before anything is sent. */
static void make_record(struct attempt *a)
{
    struct job *j = a->job;
    const struct backend *b = a->backend;
    a->r = (struct attempt_record){
        .number = ++j->r.attempts,
        .backend = mem_strdup(b->name),
        .backend_url = mem_strdup(b->url),
        .intent_at = anchor_wall(&j->times.anchor, time_mono()),
    };
    uuid_v4(a->r.prompt_id);
    memcpy(a->r.client_id, comfy_client_id(b->comfy), UUID_SIZE);
}

void attempt_begin(struct job *j, struct backend *b)
{
    struct attempt *a = attempt_new(j, b, attempt_state_begun());
    if (a == NULL) {
        j->pool->ops->end_job(j, ERR_WORKFLOW_INVALID, "its stored workflow is damaged");
        return;
    }
    attempt_watch_begin(a);
    attempt_join(a, j);
    if (!job_apply(j, JOB_EVENT_ASSIGN)) {
        attempt_free(a);
        return;
    }
    make_record(a);
    trust_try(a);
    attempt_prepare_prompt(a);
    tell_job(a);
    attempt_link(a);
    j->pool->ops->show_job(j);
    pending_add(&j->pool->pending);
    store_begin_attempt(j->pool->store, &j->r, &a->r, NULL, intent_stored, j);
}

bool attempt_adopt(struct job *j, struct backend *b, struct attempt_record *take)
{
    struct attempt *a = attempt_new(j, b, attempt_state_adopted());
    if (a == NULL) {
        return false;
    }
    attempt_watch_begin(a);
    attempt_join(a, j);
    a->r = *take;
    *take = (struct attempt_record){0};
    free(a->r.backend); /* the backend may have been renamed */
    a->r.backend = mem_strdup(b->name);
    const struct mono_us intent =
        mono_min(j->times.anchor.mono, anchor_mono(&j->times.anchor, a->r.intent_at));
    a->timeline.intent = (struct time_mark){.set = true, .received = intent};
    attempt_was_posted(a, intent);
    tell_job(a);
    attempt_link(a);
    attempt_distrust(a, intent, "daemon_restart");
    attempt_ask_in(a, 1000); /* also when the backend never comes back */
    attempt_watch_start(a, intent);
    attempt_stop_adopted(a, j->r.cancel_requested, a->r.error.code);
    return true;
}
