/*
 * Attempts that were given up while their prompt may go on. A stray (strays.c) keeps such an
 * attempt. If the prompt is found while the job waits for its retry, the attempt is resumed in
 * place of a retry that was not POSTed yet. Called by strays.c, and by jobs.c to give one up.
 */
#include "attempt_return.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/finds.h"

#include "attempt.h"
#include "backends.h"
#include "dependencies.h"
#include "job_texts.h"
#include "jobs.h"
#include "state.h"

void attempt_give_up(struct attempt *a)
{
    attempt_happens(a, ATTEMPT_EVENT_GIVE_UP);
    a->texts.auto_seeds = mem_strdup(a->job->r.auto_seeds);
    a->texts.placement = mem_strdup(a->job->r.placement);
    attempt_leave(a);
}

static bool is_readable(const struct job *j)
{
    struct workflow *w = workflow_reparse((struct str){j->texts.workflow, j->texts.workflow_len});
    workflow_free(w);
    return w != NULL;
}

static void retry_withdrawn(void *ctx)
{
    struct pool *p = ctx;
    pending_remove(&p->pending);
}

/* Withdraws a retry that was not POSTed. If the earlier attempt goes on, the retry's row is deleted
   now, so that a restart finds a waiting job; else it goes with the end of the job. */
static void take_back_retry(struct job *j, bool goes_on)
{
    struct attempt *retry = j->attempt;
    struct pool *p = j->pool;
    if (retry == NULL) {
        return;
    }
    const unsigned number = retry->r.number;
    j->r.attempts--;
    attempt_free(retry);
    (void)job_apply(j, JOB_EVENT_REQUEUE);
    if (goes_on) {
        pending_add(&p->pending);
        store_withdraw_attempt(p->store, &j->r, number, retry_withdrawn, p);
    } else {
        j->end.withdraw = number;
    }
}

static void restore_texts(struct attempt *a, bool kept)
{
    struct job *j = a->job;
    if (!kept && a->r.number == j->r.attempts) {
        return;
    }
    free(j->r.auto_seeds);
    free(j->r.placement);
    j->r.auto_seeds = a->texts.auto_seeds;
    j->r.placement = a->texts.placement;
    a->texts = (struct attempt_texts){NULL, NULL};
    job_become_variant(j);
}

void attempt_past_find(struct attempt_past *ret, const struct store_found *f, unsigned number)
{
    for (size_t i = 0; f->error == ERR_NONE && i < f->attempts_len; i++) {
        struct attempt_record *r = &f->attempts[i];
        if (r->number == number && r->outcome != ATTEMPT_OPEN) {
            attempt_past_done(ret);
            ret->r = *r;
            ret->since = i == 0 ? f->job->queued_at : f->attempts[i - 1].completed_at;
            *r = (struct attempt_record){0};
            return;
        }
    }
}

void attempt_past_done(struct attempt_past *p)
{
    attempt_record_done(&p->r);
    *p = (struct attempt_past){.r = {0}};
}

/* Makes an attempt from its stored record, after a restart. */
static struct attempt *attempt_from_past(struct job *j, struct backend *b,
                                         struct attempt_past *take)
{
    const struct time_anchor now = time_anchor_now();
    const struct mono_us intent = mono_min(now.mono, anchor_mono(&now, take->r.intent_at));
    struct attempt *a = attempt_new(j, b, attempt_state_given_up());
    if (a == NULL) {
        abort(); /* the caller has read the workflow */
    }
    timeline_init(&a->timeline, now, mono_min(now.mono, anchor_mono(&now, take->since)));
    a->timeline.intent = (struct time_mark){.set = true, .received = intent};
    attempt_watch_begin(a);
    attempt_was_posted(a, intent);
    a->r = take->r;
    *take = (struct attempt_past){.r = {0}};
    return a;
}

/* Restores the state before the attempt was given up. */
static void attempt_return(struct attempt *a, struct job *j)
{
    const enum attempt_phase reached = a->end.reached;
    attempt_join(a, j);
    attempt_happens(a, ATTEMPT_EVENT_FIND);
    if (a->timeline.started.set) {
        attempt_happens(a, ATTEMPT_EVENT_START);
    }
    if (reached == PHASE_RUNNING) {
        attempt_happens(a, ATTEMPT_EVENT_NODE);
    }
    attempt_end_undone(a);
    attempt_stop_undone(a);
    attempt_watch_again(a);
    clock_undone(a);
    a->timeline.ended = (struct time_mark){0};
}

/* Makes the job show this attempt again, texts included. After a restart the texts are known only
   if no later attempt was made. */
static void tell_job(struct attempt *a, bool kept)
{
    struct job *j = a->job;
    restore_texts(a, kept);
    free(j->r.backend);
    j->r.backend = mem_strdup(a->r.backend);
    memcpy(j->r.prompt_id, a->r.prompt_id, sizeof j->r.prompt_id);
}

struct attempt *attempt_take_up(struct job *j, struct backend *b, struct attempt *kept,
                                struct attempt_past *past, bool goes_on)
{
    if (job_want_texts(j) != TEXTS_HERE ||
        (kept == NULL && (past->r.number == 0 || !is_readable(j)))) {
        return NULL;
    }
    take_back_retry(j, goes_on);
    job_stop_waiting(j);
    dependencies_forget(j);
    struct attempt *a = kept != NULL ? kept : attempt_from_past(j, b, past);
    if (!job_apply(j, JOB_EVENT_ASSIGN)) {
        abort(); /* the caller has seen that the job waits */
    }
    const struct mono_us since = kept != NULL ? a->end.at : a->timeline.intent.received;
    attempt_return(a, j);
    tell_job(a, kept != NULL);
    attempt_distrust(a, since, "given_up");
    j->pool->ops->show_job(j);
    return a;
}

void attempt_follow(struct attempt *a)
{
    const struct mono_us now = time_mono();
    attempt_link(a);
    attempt_watch_start(a, now);
    if (a->state.phase == PHASE_RUNNING) {
        attempt_watch_nodes(a, now);
    }
    a->job->pool->ops->time_job(a->job);
    attempt_ask_in(a, 1000);
}
