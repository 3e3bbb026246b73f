/*
 * When the socket cannot be trusted: silence is never proof, so the backend is asked, /queue first
 * and then /history. An untrusted socket is polled after 1 s, backing off to 10 s; a trusted one
 * that is silent while a prompt runs every quiet_poll, and soon when the length of the queue that
 * the server tells falls and no end of ours explains it. Trust comes back with the first frame of
 * the prompt.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "attempt.h"
#include "backends.h"
#include "clock.h"
#include "reconcile.h"
#include "state.h"
#include "stop.h"
#include "tell.h"
#include "trust.h"
#include "jobs.h"

enum {
    FIRST_POLL_MS = 1000,
    LAST_POLL_MS = 10000,
    AGAIN_MS = 1000,
    PROBE_MS = 1000,
    DOUBT_MS = 150,
};

static void ask(void *ctx);

static struct dur_us dur_min(struct dur_us a, struct dur_us b)
{
    return a.us < b.us ? a : b;
}

void attempt_ask_in(struct attempt *a, int64_t ms)
{
    const struct mono_us at = mono_add(time_mono(), dur_ms(ms));
    if (a->ended || (heap_holds(&a->poll.node) && mono_before(a->poll.at, at))) {
        return;
    }
    deadline_set(&a->backend->pool->deadlines, &a->poll, at, ask, a);
}

void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason)
{
    a->trusted = false;
    a->poll_ms = FIRST_POLL_MS;
    a->missed = a->missed || reason != NULL;
    if (reason != NULL) {
        progress_gap(&a->progress);
    }
    if (a->profiler != NULL && reason != NULL) {
        profiler_gap_begin(a->profiler, now, reason);
    }
}

void attempt_heard(struct attempt *a, struct mono_us now)
{
    a->last_sign = now;
    a->known = true;
    a->absent = 0;
    a->unreachable = false;
    a->trusted = true;
    if (a->missed && a->profiler != NULL) {
        profiler_gap_end(a->profiler, now); /* does nothing when it has ended */
    }
}

int64_t attempt_quiet_ms(const struct attempt *a)
{
    const struct pool_options *o = &a->backend->pool->options;
    const bool may_be_dead = a->timeline.started.set && !a->planned;
    return (may_be_dead ? dur_min(o->quiet_poll, o->dead_worker) : o->quiet_poll).us / 1000;
}

/* It waits in the server's queue, or did: what runs cannot be deleted. */
static bool is_doubted(const struct attempt *a)
{
    return a->doubted && !a->timeline.started.set;
}

static void plan_next(struct attempt *a)
{
    if (a->trusted) {
        attempt_ask_in(a, is_doubted(a) ? a->doubt_ms : attempt_quiet_ms(a));
        return;
    }
    attempt_ask_in(a, a->poll_ms);
    a->poll_ms = a->poll_ms * 2 > LAST_POLL_MS ? LAST_POLL_MS : a->poll_ms * 2;
}

/* Not at once: behind a prompt that ended ours begins in some milliseconds. Less and less often:
   what falls may be somebody else's queue, and each answer has the whole of it. */
static void doubt(struct attempt *a)
{
    if (a->doubted || !a->posted || !a->known || a->timeline.started.set || a->ended) {
        return;
    }
    const int64_t ms = a->doubt_ms == 0 ? DOUBT_MS : a->doubt_ms * 2;
    a->doubted = true;
    a->doubt_ms = ms > LAST_POLL_MS ? LAST_POLL_MS : ms;
    attempt_ask_in(a, a->doubt_ms);
}

void reconcile_status(struct backend *b, int64_t remaining)
{
    const int64_t fell = b->queue_remaining - remaining;
    if (fell <= 0 || remaining < 0) {
        return;
    }
    const int64_t ours = fell < b->leaving ? fell : b->leaving;
    b->leaving -= ours;
    for (struct attempt *a = b->attempts; a != NULL && fell > ours; a = a->next) {
        doubt(a);
    }
}

/* ---- what the answer means --------------------------------------------------------------------
 */

void attempt_apply_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    a->from_history = true;
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

/* The end as history tells it. */
static void end_by_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    a->gone = true;
    for (size_t i = 0; i < h->messages_len; i++) {
        if (frame_is_terminal(&h->messages[i])) {
            attempt_end_by_message(a, now, &h->messages[i]);
            return;
        }
    }
    if (h->success) {
        attempt_end(a, now, 0, ATTEMPT_COMPLETED, NULL);
    } else {
        struct job_error e = attempt_error(ERR_BACKEND_ERROR, "the backend's history says error");
        attempt_end(a, now, 0, ATTEMPT_FAILED, &e);
    }
}

void attempt_found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    a->known = true;
    attempt_started(a, now, 0);
    attempt_apply_history(a, now, h);
    end_by_history(a, now, h);
}

/* In history: it ended while nobody listened, or the socket is deaf. */
static void found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    if (a->trusted) { /* it gets no job until it has a fresh connection */
        backend_is_deaf(a->backend, now);
    }
    attempt_found_ended(a, now, h);
}

static void end_lost(struct attempt *a, struct mono_us now, const char *message)
{
    struct job_error e = attempt_error(ERR_LOST, message);
    attempt_end(a, now, 0, ATTEMPT_LOST, &e);
}

/* Nobody listened there since the POST: the server that may have had it is gone. */
static bool has_restarted(const struct attempt *a)
{
    return mono_before(a->posted_at, a->backend->refused_at);
}

/* In neither, though the backend had it. */
static void found_vanished(struct attempt *a, struct mono_us now)
{
    if (has_restarted(a)) {
        a->gone = true;
        a->left_dead = a->job->phase == JOB_PHASE_STARTED; /* the server that had it died */
        end_lost(a, now, "the backend restarted and does not know the prompt any more");
    } else if (a->absent < 2) {
        attempt_ask_in(a, AGAIN_MS);
    } else if (a->trusted) {
        struct job_error e =
            attempt_error(ERR_INTERRUPTED, "somebody else deleted it from the backend's queue");
        a->gone = true;
        attempt_end(a, now, 0, ATTEMPT_CANCELLED, &e);
    } else {
        a->gone = true;
        end_lost(a, now, "the prompt is in neither the backend's queue nor its history");
    }
}

/* True: it may still turn up; asked again. */
static bool may_settle(struct attempt *a, struct mono_us now)
{
    const struct pool_options *o = &a->backend->pool->options;
    const int64_t left_us = o->submit_settle.us - mono_diff(now, a->posted_at).us;
    if (left_us > 0) {
        attempt_ask_in(a, left_us / 1000 < AGAIN_MS ? left_us / 1000 + 1 : AGAIN_MS);
    }
    return left_us > 0;
}

/* The socket broke since its POST: that may have been the server's end, under this prompt, and the
   gateway's page a sign of just that. */
static bool lost_its_link(const struct attempt *a)
{
    return has_restarted(a) || mono_before(a->posted_at, a->backend->down_since);
}

/* In neither, and nobody ever saw it there. */
static void found_never(struct attempt *a, struct mono_us now)
{
    if (!has_restarted(a) && may_settle(a, now)) {
        return;
    }
    a->gone = has_restarted(a);
    if (a->stop != STOP_NONE) {
        attempt_end_stopped(a, now, 0);
    } else if (a->submit_page && !lost_its_link(a)) {
        attempt_refused(a, a->submit_status, true, 0);
    } else if (a->submit_status >= 500 || a->submit_status == 408 || a->submit_status == 429) {
        struct job_error e =
            attempt_error(ERR_BACKEND_ERROR, "the backend answered POST /prompt with an error and "
                                             "does not have the prompt");
        attempt_end(a, now, 0, ATTEMPT_FAILED, &e);
    } else {
        end_lost(a, now, "the backend does not have the prompt");
    }
}

/* In neither queue nor history. */
static void found_absent(struct attempt *a, struct mono_us now)
{
    a->absent++;
    if (a->stop != STOP_NONE && a->cancel_sent && a->known) {
        a->gone = true;
        attempt_end_stopped(a, now, 0);
    } else if (a->known) {
        found_vanished(a, now);
    } else {
        found_never(a, now);
    }
}

/* Nothing came after execution_start for so long that its worker must be dead. Later on silence
   proves nothing: a node may run for hours, whoever waits behind it. */
static bool worker_is_dead(const struct attempt *a, struct mono_us now)
{
    const int64_t silent_us = mono_diff(now, a->last_sign).us;
    return a->trusted && a->timeline.started.set && !a->planned &&
           silent_us >= a->backend->pool->options.dead_worker.us;
}

/*
 * The same for a socket that is not trusted: it may have become deaf. A connection that begins
 * under the prompt's client id is told at once which node runs. So when it has been silent for too
 * long it is made anew; if even then nothing is said, no node ever began.
 */
static bool worker_proves_dead(struct attempt *a, struct mono_us now)
{
    struct backend *b = a->backend;
    const bool ours = strcmp(comfy_client_id(b->comfy), a->r.client_id) == 0;
    const int64_t silent_us = mono_diff(now, mono_max(a->last_sign, b->up_since)).us;
    if (a->trusted || a->planned || !b->up || !ours) {
        return false;
    }
    if (a->probed) {
        return silent_us >= (int64_t)PROBE_MS * 1000;
    }
    if (silent_us >= b->pool->options.dead_worker.us) {
        a->probed = true;
        backend_renew(b, now);
    }
    return false;
}

static void found_dead(struct attempt *a, struct mono_us now)
{
    LOG(LOG_WARN, "the worker of a backend is dead: it runs a prompt and says nothing",
        LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
    a->holds_slot = true;
    a->left_dead = true;
    backend_quarantine(a->backend, QUARANTINE_HELD,
                       "its worker is dead: it runs a prompt and says nothing; restart it");
    end_lost(a, now, "the backend's worker died while it ran the prompt");
}

/* In its queue. */
static void found_there(struct attempt *a, struct mono_us now,
                        const struct comfy_locate_answer *answer)
{
    a->known = true;
    a->absent = 0;
    tell_accepted(a);
    if (answer->place == COMFY_RUNNING && !a->trusted) {
        attempt_started(a, now, 0);
    }
    if (answer->place == COMFY_RUNNING && (worker_is_dead(a, now) || worker_proves_dead(a, now))) {
        found_dead(a, now);
        return;
    }
    if (answer->place == COMFY_PENDING && a->backend->trust.quarantine == QUARANTINE_HELD) {
        attempt_start_is_late(a, false); /* what it stands behind does not end */
    } else if (a->start_late && answer->place == COMFY_PENDING) {
        attempt_start_is_late(a, answer->others.running > 0);
    }
    a->start_late = false;
    if (a->stop == STOP_CANCEL || a->stop_durable) {
        comfy_cancel_prompt(a->backend->comfy, a->r.prompt_id);
        a->cancel_sent = true;
    }
    plan_next(a);
}

/* Somebody answered its POST, with an error or a page. */
static bool was_answered(const struct attempt *a)
{
    return !a->known && a->submit_status != 0 && !lost_its_link(a);
}

/* Nobody could say whether it is there. What a gateway answered in the server's place, the POST and
   the questions alike, most likely never passed: a refusal; the stray that it leaves is looked for.
 */
static void end_untold(struct attempt *a, struct mono_us now, const char *message)
{
    if (!was_answered(a)) {
        end_lost(a, now, message);
    } else if (a->stop != STOP_NONE) {
        attempt_end_stopped(a, now, 0);
    } else {
        attempt_refused_perhaps(a);
    }
}

/* Nobody could tell for link.backendLostMs. */
static bool untold_for_long(struct attempt *a, struct mono_us now)
{
    if (!a->unreachable) {
        a->unreachable = true;
        a->unreachable_since = now;
    }
    const int64_t for_us = mono_diff(now, a->unreachable_since).us;
    return for_us >= a->backend->pool->options.backend_lost.us;
}

static void found_unreachable(struct attempt *a, struct mono_us now,
                              const struct comfy_locate_answer *answer)
{
    const bool for_long = untold_for_long(a, now);
    if (a->stop == STOP_CANCEL && !attempt_stop_again(a)) {
        return;
    }
    if (answer->refused && backend_is_gone(a->backend, now)) {
        end_untold(a, now, "nobody listens at the backend's port: its process is gone");
    } else if (for_long) {
        end_untold(a, now,
                   answer->place == COMFY_UNTOLD
                       ? "what answers at the backend's address is no ComfyUI, and nobody knows "
                         "whether the prompt is there"
                       : "the backend cannot be reached");
    } else {
        plan_next(a);
    }
}

/* It left the queue, and how it ended cannot be had: real servers answer 500 where a prompt's
   outputs cannot be written as JSON. */
static void found_unreadable(struct attempt *a, struct mono_us now)
{
    if (untold_for_long(a, now)) {
        a->gone = true;
        end_lost(a, now, "the backend has the prompt no more, and its history cannot be read");
    } else {
        plan_next(a);
    }
}

/*
 * Somebody answers, but no ComfyUI: a gateway before it has closed, or the server is down behind
 * one. While its socket lives the server does, and a prompt that it has goes on there, whoever
 * stands before the questions: its frames will tell. Else it is as out of reach as with no answer.
 */
static void found_untold(struct attempt *a, struct mono_us now,
                         const struct comfy_locate_answer *answer)
{
    const bool lives = a->backend->up && a->known && !has_restarted(a);
    if (!a->untold) {
        LOG(LOG_WARN, "a question is not answered by a ComfyUI: a gateway stands before it",
            LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
    }
    a->untold = true;
    if (was_answered(a)) {
        if (!may_settle(a, now)) {
            end_untold(a, now, "");
        }
    } else if (!lives) {
        found_unreachable(a, now, answer);
    } else if (worker_is_dead(a, now)) {
        found_dead(a, now);
    } else if (answer->not_queued) {
        found_unreadable(a, now);
    } else if (a->stop != STOP_CANCEL || attempt_stop_again(a)) {
        a->unreachable = false;
        plan_next(a);
    }
}

static void answered(void *ctx, struct comfy_locate_answer *answer)
{
    struct attempt *a = ctx;
    const struct mono_us now = time_mono();
    a->locate = NULL;
    if (answer->place == COMFY_UNREACHABLE) {
        found_unreachable(a, now, answer);
        return;
    }
    if (answer->place == COMFY_UNTOLD) {
        found_untold(a, now, answer);
        return;
    }
    a->unreachable = a->untold = false;
    if (answer->place == COMFY_ABSENT) {
        found_absent(a, now);
        return;
    }
    if (answer->place == COMFY_ENDED) {
        found_ended(a, now, &answer->history);
    } else {
        found_there(a, now, answer);
    }
}

static void ask(void *ctx)
{
    struct attempt *a = ctx;
    if (a->locate != NULL || a->submit != NULL) {
        plan_next(a); /* one question at a time */
        return;
    }
    const struct mono_us now = time_mono();
    const int64_t quiet_us = attempt_quiet_ms(a) * 1000;
    const int64_t silent_us = mono_diff(now, a->last_sign).us;
    if (a->trusted && silent_us < quiet_us && a->stop == STOP_NONE && a->absent == 0 &&
        !a->start_late && !is_doubted(a)) {
        attempt_ask_in(a, (quiet_us - silent_us) / 1000 + 1);
        return;
    }
    a->doubted = false; /* what comes after this question doubts anew */
    a->locate = comfy_locate(a->backend->comfy, a->r.prompt_id, answered, a);
}
