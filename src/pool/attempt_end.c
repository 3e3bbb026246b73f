/*
 * The end of an attempt. Its slot is free at once, and the next job is given away; then its end is
 * judged, and concluded when nothing more is waited for: the answer to its POST, what /history
 * knows, the images that are being written. Invariants: an attempt ends once; its end is told when
 * the store has it.
 */
#include "attempt_end.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/core/fault.h"
#include "comfypool/core/retry.h"
#include "comfypool/store/attempts.h"

#include "attempt.h"
#include "backends.h"
#include "clients.h"
#include "clock.h"
#include "event_publish.h"
#include "jobs.h"
#include "run_measurement.h"
#include "state.h"

enum {
    /* How long the end of a job waits for the answer to its own POST. */
    ANSWER_PATIENCE_MS = 1000,
    /* History may lag behind execution_success: by some milliseconds, or by what a node left in the
       server's executor. */
    HISTORY_TRIES = 20,
    HISTORY_PAUSE_MS = 150,
    HISTORY_AWAY_MS = 500,
    HISTORY_MOST_MS = 10000,
    /* When /history is asked once, only to improve the times. */
    CLOCK_MOST_MS = 300,
    MAX_MESSAGE = 16384,
    MAX_EXCEPTION = 1000,
};

const char poison_message[] = "two backends died while they ran it: it is not given to another one";

struct job_error attempt_error(enum err code, const char *message)
{
    return (struct job_error){.code = code, .message = mem_strdup(message)};
}

/* ---- nothing was sent ------------------------------------------------------------------------ */

static void withdrawn(void *ctx)
{
    struct job *j = ctx;
    struct pool *p = j->pool;
    p->ops->requeue_job(j);
    pending_remove(&p->pending);
}

void attempt_withdraw(struct attempt *a)
{
    struct job *j = a->job;
    struct pool *p = j->pool;
    const unsigned number = a->r.number;
    j->r.attempts--;
    (void)job_apply(j, JOB_EVENT_REQUEUE);
    free(j->r.backend);
    j->r.backend = NULL;
    j->r.prompt_id[0] = '\0';
    attempt_free(a);
    pending_add(&p->pending);
    store_withdraw_attempt(p->store, &j->r, number, withdrawn, j);
    p->ops->give_jobs(p); /* the slot is free */
}

/* ---- what it means --------------------------------------------------------------------------- */

static struct attempt_ending ending_of(const struct attempt *a)
{
    const struct attempt_end *e = &a->end;
    return (struct attempt_ending){
        .outcome = e->outcome,
        .error = e->error.code,
        .excuse = e->excuse,
        .remains = e->remains,
        .probe = a->trial.probe,
        .fault_counts = trust_fault_counts(a),
    };
}

/* Fails a job under which two backends died, rather than risk a third. */
static void judge_poison(struct attempt *a)
{
    struct attempt_end *e = &a->end;
    /* Deaths may be told later. */
    const bool lost = attempt_left_dead(e->remains) || e->outcome == ATTEMPT_LOST;
    if (!lost || a->job->r.left_dead <= RETRY_MAX_LEFT_DEAD) {
        return;
    }
    breaker_poisoned(&a->backend->pool->breaker, job_hash(a->job));
    e->job_error = attempt_error(ERR_BACKEND_ERROR, poison_message);
}

/* Judges the end: consequences for the job and for the backend, before the backend gets another
   job. */
static void judge(struct attempt *a)
{
    if (a->state.origin != ORIGIN_FOUND) { /* else judged when the attempt was given up */
        trust_judge_probe(a);
        trust_judge_fault(a, &a->end.job_error);
    }
    const struct attempt_ending ending = ending_of(a);
    a->state.verdict = attempt_judge(&a->state, &ending, &a->job->r);
    attempt_count(&a->state, &ending, &a->job->r);
    judge_poison(a);
    trust_note_end(a);
}

static enum job_event event_of(const struct attempt *a)
{
    const struct attempt_ending ending = ending_of(a);
    const struct attempt_job_facts facts = {
        .time_is_over = a->stop.code == ERR_JOB_TIMEOUT || a->job->end.timed_out,
        .own_error = a->end.job_error.code != ERR_NONE,
    };
    return attempt_decide(&a->state, &ending, &a->job->r, facts);
}

/* ---- concluding ------------------------------------------------------------------------------ */

static void patience_is_over(void *ctx)
{
    struct attempt *a = ctx;
    attempt_cancel_post(a);
    attempt_conclude(a);
}

/* True while the POST is unanswered, for ANSWER_PATIENCE_MS at most. */
static bool must_wait(struct attempt *a)
{
    if (a->post.call == NULL) {
        return false;
    }
    if (!heap_holds(&a->end.patience.node)) {
        deadline_set(&a->backend->pool->deadlines, &a->end.patience,
                     mono_add(time_mono(), dur_ms(ANSWER_PATIENCE_MS)), patience_is_over, a);
    }
    return true;
}

static void finish_profile(struct attempt *a, struct profile *ret)
{
    profiler_finish(a->profiler, &a->timeline, a->end.outcome, ret);
    if (a->sampled != NULL) {
        sampled_run_account(a->sampled, ret);
    }
    ret->job_id = a->job->r.id;
    ret->prompt_id = a->r.prompt_id;
    ret->backend = a->r.backend;
    ret->attempt = a->r.number;
}

static void conclude_now(struct attempt *a)
{
    struct job *j = a->job;
    AUTO_BUF struct buf json;
    AUTO_BUF struct buf measurement;
    buf_init(&json, BUF_NO_LIMIT);
    buf_init(&measurement, BUF_NO_LIMIT);
    struct profile profile;
    const bool profiled = a->profiler != NULL;
    if (a->end.history_tries > 0) {
        clock_settle(a);
    }
    if (profiled) {
        finish_profile(a, &profile);
        render_profile_json(&profile, &json);
    }
    a->end.executed = (int)(profiled ? profile.executed : a->progress.executed);
    const enum job_event e = event_of(a);
    attempt_end_streamed(a);
    enum job_state state = j->r.state;
    if (job_transition(j->r.state, e, &state) && job_state_is_terminal(state)) {
        measurement_end(a, state, profiled ? &profile : NULL, &measurement);
    }
    if (!j->pool->ops->conclude_job(j, e, a, attempt_render_outputs(a), buf_str(&json),
                                    buf_str(&measurement))) {
        attempt_free(a);
    }
}

/* /history has what the socket missed, perhaps a moment later. */
static void history_came(void *ctx, struct comfy_locate_answer *answer);

static void ask_history(void *ctx)
{
    struct attempt *a = ctx;
    a->end.history = comfy_locate(a->backend->comfy, a->r.prompt_id, history_came, a);
}

/* Puts what /history knows into the attempt. */
static void apply_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    a->end.by_history = true;
    (void)clock_history(a, h);
    struct str *done = mem_alloc((h->outputs_len + 1) * sizeof *done);
    for (size_t i = 0; i < h->outputs_len; i++) {
        attempt_add_output(a, h->outputs[i].node_id, h->outputs[i].ui);
        done[i] = h->outputs[i].node_id;
    }
    profiler_history(a->profiler, &a->timeline, now, h->messages, h->messages_len, done,
                     h->outputs_len);
    for (size_t i = 0; i < h->messages_len; i++) {
        if (h->messages[i].type == FRAME_CACHED) {
            progress_feed(&a->progress, &h->messages[i], NULL, NULL);
        }
    }
    free(done);
}

static void history_came(void *ctx, struct comfy_locate_answer *answer)
{
    struct attempt *a = ctx;
    a->end.history = NULL;
    a->end.history_tries++;
    if (!a->watch.missed) {
        (void)clock_history(a, &answer->history);
        conclude_now(a);
    } else if (answer->place == COMFY_ENDED) {
        apply_history(a, time_mono(), &answer->history);
        conclude_now(a);
    } else if (a->end.history_tries >= HISTORY_TRIES || a->job->end.timed_out ||
               a->job->r.cancel_requested ||
               mono_diff(time_mono(), a->end.at).us > (int64_t)HISTORY_MOST_MS * 1000) {
        LOG(LOG_WARN, "a job ended and its history cannot be had: outputs may be missing",
            LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
        conclude_now(a);
    } else {
        const int64_t ms = comfy_place_is_told(answer->place) ? HISTORY_PAUSE_MS : HISTORY_AWAY_MS;
        deadline_set(&a->backend->pool->deadlines, &a->end.patience,
                     mono_add(time_mono(), dur_ms(ms)), ask_history, a);
    }
}

/* Stops waiting for better times. */
static void clock_is_over(void *ctx)
{
    struct attempt *a = ctx;
    comfy_locate_cancel(a->end.history);
    a->end.history = NULL;
    conclude_now(a);
}

/* Waits for streamed images: no one else has them, so a shutdown waits as well. */
static bool await_images(struct attempt *a)
{
    if (a->streamed.pending > 0 && !a->end.awaits_images) {
        a->end.awaits_images = true;
        pending_add(&a->backend->pool->pending);
    }
    return a->streamed.pending > 0;
}

void attempt_images_written(struct attempt *a)
{
    struct pool *p = a->backend->pool;
    const bool awaited = a->end.awaits_images;
    a->end.awaits_images = false;
    attempt_conclude(a);
    if (awaited) {
        pending_remove(&p->pending);
    }
}

void attempt_conclude(struct attempt *a)
{
    if (must_wait(a) || a->end.history != NULL || await_images(a)) {
        return;
    }
    deadline_clear(&a->backend->pool->deadlines, &a->end.patience);
    const enum attempt_outcome outcome = a->end.outcome;
    /* Only for ends that the server itself reached. */
    const bool history_may_know = attempt_is_nowhere(&a->state) &&
                                  (outcome == ATTEMPT_COMPLETED || outcome == ATTEMPT_FAILED ||
                                   outcome == ATTEMPT_CANCELLED || outcome == ATTEMPT_TIMED_OUT);
    const bool wants_history = a->watch.missed || clock_wants_history(a);
    if (!history_may_know || !wants_history || a->end.by_history || !attempt_was_there(&a->state)) {
        conclude_now(a);
        return;
    }
    ask_history(a);
    if (!a->watch.missed) {
        deadline_set(&a->backend->pool->deadlines, &a->end.patience,
                     mono_add(time_mono(), dur_ms(CLOCK_MOST_MS)), clock_is_over, a);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void attempt_end(struct attempt *a, struct mono_us now, int64_t stamp_ms,
                 enum attempt_outcome outcome, struct job_error *take_error)
{
    struct pool *p = a->backend->pool;
    struct attempt_end *e = &a->end;
    e->reached = a->state.phase;
    attempt_happens(a, ATTEMPT_EVENT_END);
    e->at = a->backend->load.ended_at = time_mono();
    e->outcome = outcome;
    if (take_error != NULL) {
        e->error = *take_error;
        *take_error = (struct job_error){0};
    }
    attempt_unwatch(a);
    publish_last_progress(a);
    timeline_end(&a->timeline, now, stamp_ms);
    a->timeline.ended.by_history = e->by_history;
    clock_settle(a);
    attempt_unlink(a);
    client_rests(a->job);
    judge(a);
    p->ops->give_jobs(p); /* the next job's intent goes first: a backend is idle */
    attempt_conclude(a);
}

void attempt_end_leaving(struct attempt *a, struct mono_us now, enum attempt_outcome outcome,
                         enum attempt_remains remains, struct job_error *take_error)
{
    a->end.remains = remains;
    attempt_end(a, now, 0, outcome, take_error);
}

void attempt_end_rejected(struct attempt *a, struct mono_us now, bool elsewhere,
                          struct job_error *take_error)
{
    a->end.excuse = elsewhere ? EXCUSE_HERE : EXCUSE_NONE;
    attempt_end(a, now, 0, ATTEMPT_REJECTED, take_error);
}

static void end_refused(struct attempt *a, unsigned status, bool page, uint64_t file)
{
    trust_refused(a, &(struct barred_request){status, page, a->job->texts.body_bytes, file});
    struct job_error e = attempt_error(ERR_BACKEND_REFUSED, a->backend->trust.barred.why);
    attempt_end_rejected(a, time_mono(), true, &e);
}

void attempt_refused(struct attempt *a, unsigned status, bool page, uint64_t file)
{
    attempt_happens(a, ATTEMPT_EVENT_DENY);
    end_refused(a, status, page, file);
}

void attempt_refused_perhaps(struct attempt *a)
{
    end_refused(a, a->post.status, a->post.page, 0);
}

static const char *timeout_message(enum err code)
{
    return code == ERR_JOB_TIMEOUT     ? "it took longer than jobTimeoutMs and was told to stop"
           : code == ERR_START_TIMEOUT ? "the backend did not begin with it within "
                                         "executionStartTimeoutMs, and nothing else ran there"
                                       : "a node gave no sign of life for nodeExecutionTimeoutMs";
}

struct job_error attempt_timeout_error(enum err code)
{
    return attempt_error(code, timeout_message(code));
}

void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (a->stop.why == STOP_CANCEL) {
        attempt_end(a, now, stamp_ms, ATTEMPT_CANCELLED, NULL);
    } else {
        struct job_error e = attempt_timeout_error(a->stop.code);
        attempt_end(a, now, stamp_ms, ATTEMPT_TIMED_OUT, &e);
    }
}

/* An /interrupt that we sent for another prompt may have hit this one. */
static bool is_hit_by_us(const struct attempt *a, struct mono_us now)
{
    const struct backend *b = a->backend;
    return interrupts_are_global(b->said.version) &&
           interrupts_reach(comfy_interrupts(b->comfy), a->r.prompt_id,
                            a->timeline.started.received, now);
}

/* Ends an attempt that we interrupted ourselves. False: it was somebody else's interrupt. */
static bool end_by_us(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (a->stop.why != STOP_NONE) {
        interrupts_hit(comfy_interrupts(a->backend->comfy), a->r.prompt_id);
        attempt_end_stopped(a, now, stamp_ms);
        return true;
    }
    if (is_hit_by_us(a, now)) {
        struct job_error e =
            attempt_error(ERR_LOST, "it was hit by our own interrupt of another job: its server "
                                    "stops whatever runs; it is tried again at no cost");
        a->end.excuse = EXCUSE_OURS;
        attempt_end(a, now, stamp_ms, ATTEMPT_LOST, &e);
        return true;
    }
    return false;
}

/* "TYPE: first line". Owner: the caller. */
static char *name_exception(struct str type, struct str message)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const struct str line = str_clip(fault_first_line(message), MAX_EXCEPTION);
    buf_add_str(&b, str_clip(type, MAX_EXCEPTION));
    buf_add_text(&b, type.n > 0 && line.n > 0 ? ": " : "");
    buf_add_str(&b, line);
    return buf_take(&b);
}

/* Makes the error for a foreign interrupt or a node that raised an exception. */
static struct job_error error_of(struct attempt *a, const struct frame *f)
{
    struct job_error e = {0};
    if (f->type == FRAME_INTERRUPTED) {
        e = attempt_error(ERR_INTERRUPTED, "somebody else interrupted it on the backend");
    } else {
        struct str message = f->message;
        while (message.n > 0 && message.p[message.n - 1] == '\n') {
            message.n--;
        }
        message.n = message.n > MAX_MESSAGE ? MAX_MESSAGE : message.n;
        e.code = fault_judge(f->error_type, message, &a->end.remedy);
        e.message = mem_copy(message);
        a->end.exception = name_exception(f->error_type, message);
        AUTO_BUF struct buf clean;
        buf_init(&clean, BUF_NO_LIMIT);
        if (f->traceback.n > 0 && js_clean(f->traceback, &clean)) {
            e.traceback = buf_take(&clean);
        }
    }
    if (e.code != ERR_NONE) {
        e.node_id = f->node.p == NULL ? NULL : mem_copy(f->node);
        e.node_type = f->node_type.p == NULL ? NULL : mem_copy(f->node_type);
    }
    return e;
}

void attempt_end_by_message(struct attempt *a, struct mono_us now, const struct frame *f)
{
    attempt_happens(a, ATTEMPT_EVENT_VANISH); /* in any case the server is done with the prompt */
    if (f->type == FRAME_SUCCESS) {
        attempt_end(a, now, f->stamp_ms, ATTEMPT_COMPLETED, NULL);
    } else if (f->type != FRAME_INTERRUPTED) {
        struct job_error e = error_of(a, f);
        attempt_end(a, now, f->stamp_ms, ATTEMPT_FAILED, &e);
    } else if (!end_by_us(a, now, f->stamp_ms)) {
        struct job_error e = error_of(a, f);
        attempt_end(a, now, f->stamp_ms, ATTEMPT_CANCELLED, &e);
    }
}

/* Ends the attempt by what /history says. */
static void end_by_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    for (size_t i = 0; i < h->messages_len; i++) {
        if (frame_is_terminal(&h->messages[i])) {
            attempt_end_by_message(a, now, &h->messages[i]);
            return;
        }
    }
    attempt_happens(a, ATTEMPT_EVENT_VANISH);
    if (h->success) {
        attempt_end(a, now, 0, ATTEMPT_COMPLETED, NULL);
    } else {
        struct job_error e = attempt_error(ERR_BACKEND_ERROR, "the backend's history says error");
        attempt_end(a, now, 0, ATTEMPT_FAILED, &e);
    }
}

void attempt_found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    if (!attempt_was_there(&a->state)) {
        attempt_happens(a, ATTEMPT_EVENT_SEE);
    }
    attempt_started(a, now, 0);
    apply_history(a, now, h);
    end_by_history(a, now, h);
}

void attempt_orphaned(struct job *j, struct attempt_record *r)
{
    LOG(LOG_WARN,
        "the backend of a running job is not configured any more: the job is queued again",
        LOG_S("job", j->r.id), LOG_S("backend", r->backend));
    struct attempt a = {.job = j, .r = *r, .state = attempt_state_orphaned()};
    timeline_init(&a.timeline, j->times.anchor, j->times.queued);
    timeline_end(&a.timeline, time_mono(), 0);
    a.end = (struct attempt_end){
        .outcome = ATTEMPT_LOST,
        .executed = -1,
        .error = attempt_error(ERR_LOST, "the backend is not configured any more"),
    };
    const struct attempt_ending ending = {.outcome = ATTEMPT_LOST, .error = ERR_LOST};
    const struct attempt_job_facts facts = {.time_is_over = false};
    const enum job_event e = attempt_decide(&a.state, &ending, &j->r, facts);
    (void)j->pool->ops->conclude_job(j, e, &a, NULL, STR(""), STR(""));
    job_error_done(&a.end.error);
    *r = a.r;
}

void attempt_end_undone(struct attempt *a)
{
    struct attempt_end *e = &a->end;
    job_error_done(&e->error);
    e->outcome = ATTEMPT_OPEN;
    e->remains = REMAINS_NOTHING;
    e->by_history = false;
    e->history_tries = 0;
}
