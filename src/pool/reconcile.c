/*
 * Asking when the socket cannot be trusted. Silence is never proof, so the backend is asked: /queue
 * first, then /history. With an untrusted socket it is asked after 1 s, backing off to 10 s; with a
 * trusted one that is silent while a prompt runs, every quiet_poll, and soon when the server's
 * queue length falls and no end of ours explains it. Trust returns with the prompt's first frame.
 */
#include "reconcile.h"

#include <stdlib.h>

#include "comfypool/base/log.h"

#include "attempt.h"
#include "backends.h"
#include "event_publish.h"
#include "jobs.h"
#include "state.h"

enum {
    FIRST_POLL_MS = 1000,
    LAST_POLL_MS = 10000,
    AGAIN_MS = 1000,
    PROBE_MS = 1000,
    DOUBT_MS = 150,
    /* Servers broadcast a status when a prompt is queued, before they answer the POST. */
    STATUS_DUE_MS = 3000,
};

static void ask(void *ctx);

static struct dur_us dur_min(struct dur_us a, struct dur_us b)
{
    return a.us < b.us ? a : b;
}

void attempt_ask_in(struct attempt *a, int64_t ms)
{
    const struct mono_us at = mono_add(time_mono(), dur_ms(ms));
    const struct deadline *poll = &a->watch.poll;
    if (attempt_is_over(&a->state) || (heap_holds(&poll->node) && mono_before(poll->at, at))) {
        return;
    }
    deadline_set(&a->backend->pool->deadlines, &a->watch.poll, at, ask, a);
}

void attempt_watch_begin(struct attempt *a)
{
    a->watch.trusted = true;
    a->watch.last_sign = time_mono();
}

void attempt_watch_again(struct attempt *a)
{
    struct attempt_watch *w = &a->watch;
    w->absent = 0;
    w->unreachable_since = (struct mono_us){0};
    w->worker = w->worker == WORKER_PROBED ? WORKER_UNSEEN : w->worker;
}

void attempt_missed(struct attempt *a)
{
    a->watch.missed = true;
}

void attempt_distrust(struct attempt *a, struct mono_us now, const char *reason)
{
    a->watch.trusted = false;
    a->watch.poll_ms = FIRST_POLL_MS;
    a->watch.missed = a->watch.missed || reason != NULL;
    if (reason != NULL) {
        progress_gap(&a->progress);
    }
    if (a->profiler != NULL && reason != NULL) {
        profiler_gap_begin(a->profiler, now, reason);
    }
}

/* Notes that the backend has the prompt; told once. */
static void is_there(struct attempt *a)
{
    if (a->state.evidence != EVIDENCE_HAD) {
        attempt_happens(a, ATTEMPT_EVENT_SEE);
    }
    a->watch.absent = 0;
}

void attempt_heard(struct attempt *a, struct mono_us now, bool proves_worker)
{
    struct attempt_watch *w = &a->watch;
    is_there(a);
    w->last_sign = now;
    w->unreachable_since = (struct mono_us){0};
    w->trusted = true;
    w->worker = proves_worker ? WORKER_SEEN : w->worker;
    if (w->missed && a->profiler != NULL) {
        profiler_gap_end(a->profiler, now); /* no effect if the gap has ended */
    }
}

void attempt_worker_seen(struct attempt *a)
{
    a->watch.worker = WORKER_SEEN;
}

void attempt_sign(struct attempt *a, struct mono_us now, bool proves_worker)
{
    a->watch.last_sign = now;
    a->watch.worker = proves_worker ? WORKER_SEEN : a->watch.worker;
}

int64_t attempt_quiet_ms(const struct attempt *a)
{
    const struct pool_options *o = &a->backend->pool->options;
    const bool may_be_dead = attempt_is_started(&a->state) && a->watch.worker != WORKER_SEEN;
    return (may_be_dead ? dur_min(o->quiet_poll, o->dead_worker) : o->quiet_poll).us / 1000;
}

/* True if the prompt is, or was, pending in the server's queue: a running one cannot be deleted. */
static bool is_doubted(const struct attempt *a)
{
    return a->watch.doubted && a->state.phase == PHASE_POSTED;
}

static void plan_next(struct attempt *a)
{
    struct attempt_watch *w = &a->watch;
    if (w->trusted) {
        attempt_ask_in(a, is_doubted(a) ? w->doubt_ms : attempt_quiet_ms(a));
        return;
    }
    attempt_ask_in(a, w->poll_ms);
    w->poll_ms = w->poll_ms * 2 > LAST_POLL_MS ? LAST_POLL_MS : w->poll_ms * 2;
}

/* Plans a question, not at once: behind a prompt that ended, ours starts within milliseconds. Backs
   off, since the falling queue may be of foreign prompts and each answer holds all of it. */
static void doubt(struct attempt *a)
{
    struct attempt_watch *w = &a->watch;
    if (w->doubted || a->state.phase != PHASE_POSTED || a->state.evidence != EVIDENCE_HAD) {
        return;
    }
    const int64_t ms = w->doubt_ms == 0 ? DOUBT_MS : w->doubt_ms * 2;
    w->doubted = true;
    w->doubt_ms = ms > LAST_POLL_MS ? LAST_POLL_MS : ms;
    attempt_ask_in(a, w->doubt_ms);
}

void reconcile_status(struct backend *b, int64_t remaining)
{
    const int64_t fell = b->said.queue - remaining;
    if (fell <= 0 || remaining < 0) {
        return;
    }
    const int64_t ours = fell < b->load.leaving ? fell : b->load.leaving;
    b->load.leaving -= ours;
    for (struct attempt *a = b->load.attempts; a != NULL && fell > ours; a = a->backend_next) {
        doubt(a);
    }
}

void reconcile_deaf(struct backend *b, struct mono_us now)
{
    LOG(LOG_WARN, "the socket of a backend is deaf: connecting anew", LOG_S("backend", b->name));
    for (struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        if (attempt_is_posted(&a->state)) {
            attempt_distrust(a, mono_min(now, a->watch.last_sign), "socket_silent");
            attempt_worker_seen(a); /* unknown from now on */
            attempt_ask_in(a, 1000);
        }
    }
    comfy_unpin(b->comfy); /* the server may never send to this client id again */
    backend_renew(b, now);
}

static void status_overdue(void *ctx)
{
    struct backend *b = ctx;
    if (b->conn.up && mono_before(b->conn.last_status, b->conn.deaf_since)) {
        reconcile_deaf(b, time_mono());
    }
}

void reconcile_expect_status(struct backend *b, struct mono_us posted_at)
{
    const bool still_due = heap_holds(&b->conn.deaf_check.node) &&
                           mono_before(b->conn.last_status, b->conn.deaf_since);
    if (b->conn.up && !still_due && mono_before(b->conn.last_status, posted_at)) {
        b->conn.deaf_since = posted_at;
        deadline_set(&b->pool->deadlines, &b->conn.deaf_check,
                     mono_add(time_mono(), dur_ms(STATUS_DUE_MS)), status_overdue, b);
    }
}

/* ---- what the answer means ------------------------------------------------------------------- */

/* Handles a prompt found in /history: it ended unseen, or the socket is deaf. */
static void found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    if (a->watch.trusted) { /* no job until it has a fresh connection */
        reconcile_deaf(a->backend, now);
    }
    attempt_found_ended(a, now, h);
}

static void end_lost(struct attempt *a, struct mono_us now, const char *message)
{
    struct job_error e = attempt_error(ERR_LOST, message);
    attempt_end(a, now, 0, ATTEMPT_LOST, &e);
}

/* True if the port refused since the POST: the server that may have had the prompt is gone. */
static bool has_restarted(const struct attempt *a)
{
    return mono_before(a->post.at, a->backend->conn.refused_at);
}

/* Handles a prompt in neither /queue nor /history that the backend had. */
static void found_vanished(struct attempt *a, struct mono_us now)
{
    if (!has_restarted(a) && a->watch.absent < 2) {
        attempt_ask_in(a, AGAIN_MS);
        return;
    }
    attempt_happens(a, ATTEMPT_EVENT_VANISH);
    if (has_restarted(a)) { /* if it was running, its server died */
        const enum attempt_remains left =
            attempt_is_started(&a->state) ? REMAINS_DEAD : REMAINS_NOTHING;
        struct job_error e =
            attempt_error(ERR_LOST, "the backend restarted and does not know the prompt any more");
        attempt_end_leaving(a, now, ATTEMPT_LOST, left, &e);
    } else if (a->watch.trusted) {
        struct job_error e =
            attempt_error(ERR_INTERRUPTED, "somebody else deleted it from the backend's queue");
        attempt_end(a, now, 0, ATTEMPT_CANCELLED, &e);
    } else {
        end_lost(a, now, "the prompt is in neither the backend's queue nor its history");
    }
}

/* True if the prompt may still turn up; plans another question. */
static bool may_settle(struct attempt *a, struct mono_us now)
{
    const struct pool_options *o = &a->backend->pool->options;
    const int64_t left_us = o->submit_settle.us - mono_diff(now, a->post.at).us;
    if (left_us > 0) {
        attempt_ask_in(a, left_us / 1000 < AGAIN_MS ? left_us / 1000 + 1 : AGAIN_MS);
    }
    return left_us > 0;
}

/* True if the socket broke since the POST: the server may have died under this prompt, and the
   gateway's page may be a sign of that. */
static bool lost_its_link(const struct attempt *a)
{
    return has_restarted(a) || mono_before(a->post.at, a->backend->conn.down_since);
}

/* Handles a prompt in neither /queue nor /history that was never seen there. */
static void found_never(struct attempt *a, struct mono_us now)
{
    if (!has_restarted(a) && may_settle(a, now)) {
        return;
    }
    const unsigned status = a->post.status;
    const bool refused = a->stop.why == STOP_NONE && a->post.page && !lost_its_link(a);
    if (has_restarted(a)) {
        attempt_happens(a, ATTEMPT_EVENT_DENY);
    }
    if (a->stop.why != STOP_NONE) {
        attempt_end_stopped(a, now, 0);
    } else if (refused) {
        attempt_refused(a, status, true, 0);
    } else if (status >= 500 || status == 408 || status == 429) {
        struct job_error e =
            attempt_error(ERR_BACKEND_ERROR, "the backend answered POST /prompt with an error and "
                                             "does not have the prompt");
        attempt_end(a, now, 0, ATTEMPT_FAILED, &e);
    } else {
        end_lost(a, now, "the backend does not have the prompt");
    }
}

/* Handles a prompt in neither /queue nor /history. */
static void found_absent(struct attempt *a, struct mono_us now)
{
    a->watch.absent++;
    const bool was_there = attempt_was_there(&a->state);
    if (a->stop.why != STOP_NONE && a->stop.sent && was_there) {
        attempt_happens(a, ATTEMPT_EVENT_VANISH);
        attempt_end_stopped(a, now, 0);
    } else if (was_there) {
        found_vanished(a, now);
    } else {
        found_never(a, now);
    }
}

/* True if nothing came after execution_start for so long that the worker must be dead. Later
   silence proves nothing: a node may run for hours. */
static bool worker_is_dead(const struct attempt *a, struct mono_us now)
{
    const int64_t silent_us = mono_diff(now, a->watch.last_sign).us;
    return a->watch.trusted && attempt_is_started(&a->state) && a->watch.worker != WORKER_SEEN &&
           silent_us >= a->backend->pool->options.dead_worker.us;
}

/*
 * As worker_is_dead, for an untrusted socket, which may be deaf. A new connection under the
 * prompt's client id is told at once which node runs. So after too long a silence the connection is
 * renewed; if nothing is told even then, no node ever began.
 */
static bool worker_proves_dead(struct attempt *a, struct mono_us now)
{
    struct backend *b = a->backend;
    struct attempt_watch *w = &a->watch;
    const bool ours = strcmp(comfy_client_id(b->comfy), a->r.client_id) == 0;
    const int64_t silent_us = mono_diff(now, mono_max(w->last_sign, b->conn.up_since)).us;
    if (w->trusted || w->worker == WORKER_SEEN || !b->conn.up || !ours) {
        return false;
    }
    if (w->worker == WORKER_PROBED) {
        return silent_us >= (int64_t)PROBE_MS * 1000;
    }
    if (silent_us >= b->pool->options.dead_worker.us) {
        w->worker = WORKER_PROBED;
        backend_renew(b, now);
    }
    return false;
}

static void found_dead(struct attempt *a, struct mono_us now)
{
    LOG(LOG_WARN, "the worker of a backend is dead: it runs a prompt and says nothing",
        LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
    backend_quarantine(a->backend, QUARANTINE_HELD,
                       "its worker is dead: it runs a prompt and says nothing; restart it");
    struct job_error e =
        attempt_error(ERR_LOST, "the backend's worker died while it ran the prompt");
    attempt_end_leaving(a, now, ATTEMPT_LOST, REMAINS_HUNG, &e);
}

/* Handles a prompt found in /queue. */
static void found_there(struct attempt *a, struct mono_us now,
                        const struct comfy_locate_answer *answer)
{
    is_there(a);
    publish_accepted(a);
    if (answer->place == COMFY_RUNNING && !a->watch.trusted) {
        attempt_started(a, now, 0);
    }
    if (answer->place == COMFY_RUNNING && (worker_is_dead(a, now) || worker_proves_dead(a, now))) {
        found_dead(a, now);
        return;
    }
    attempt_stop_found(a, answer->place == COMFY_PENDING, answer->others.running > 0);
    plan_next(a);
}

/* True if the POST was answered by an error or a page. */
static bool was_answered(const struct attempt *a)
{
    return !attempt_was_there(&a->state) && a->post.status != 0 && !lost_its_link(a);
}

/* Ends an attempt of which nothing could be learned. If a gateway answered the POST and all
   questions, the prompt most likely never passed: a refusal; a stray is left and searched for. */
static void end_untold(struct attempt *a, struct mono_us now, const char *message)
{
    if (!was_answered(a)) {
        end_lost(a, now, message);
    } else if (a->stop.why != STOP_NONE) {
        attempt_end_stopped(a, now, 0);
    } else {
        attempt_refused_perhaps(a);
    }
}

/* True if nothing could be learned for link.backendLostMs. */
static bool untold_for_long(struct attempt *a, struct mono_us now)
{
    if (a->watch.unreachable_since.us == 0) {
        a->watch.unreachable_since = now;
    }
    const int64_t for_us = mono_diff(now, a->watch.unreachable_since).us;
    return for_us >= a->backend->pool->options.backend_lost.us;
}

static void found_unreachable(struct attempt *a, struct mono_us now,
                              const struct comfy_locate_answer *answer)
{
    const bool for_long = untold_for_long(a, now);
    if (a->stop.why == STOP_CANCEL && !attempt_stop_again(a)) {
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

/* Handles a prompt that left the queue and whose history cannot be read: servers answer 500 if a
   prompt's outputs cannot be written as JSON. */
static void found_unreadable(struct attempt *a, struct mono_us now)
{
    if (untold_for_long(a, now)) {
        attempt_happens(a, ATTEMPT_EVENT_VANISH);
        end_lost(a, now, "the backend has the prompt no more, and its history cannot be read");
    } else {
        plan_next(a);
    }
}

/*
 * Handles an answer that is not ComfyUI's: a gateway closed, or the server behind it is down. While
 * the socket lives the server does, and frames will tell how the prompt goes on. Otherwise the
 * backend counts as unreachable.
 */
static void found_untold(struct attempt *a, struct mono_us now,
                         const struct comfy_locate_answer *answer)
{
    const bool lives = a->backend->conn.up && attempt_was_there(&a->state) && !has_restarted(a);
    if (!a->watch.untold) {
        LOG(LOG_WARN, "a question is not answered by a ComfyUI: a gateway stands before it",
            LOG_S("job", a->job->r.id), LOG_S("backend", a->backend->name));
    }
    a->watch.untold = true;
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
    } else if (a->stop.why != STOP_CANCEL || attempt_stop_again(a)) {
        a->watch.unreachable_since = (struct mono_us){0};
        plan_next(a);
    }
}

static void answered(void *ctx, struct comfy_locate_answer *answer)
{
    struct attempt *a = ctx;
    const struct mono_us now = time_mono();
    a->watch.locate = NULL;
    if (answer->place == COMFY_UNREACHABLE) {
        found_unreachable(a, now, answer);
        return;
    }
    if (answer->place == COMFY_UNTOLD) {
        found_untold(a, now, answer);
        return;
    }
    a->watch.unreachable_since = (struct mono_us){0};
    a->watch.untold = false;
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
    struct attempt_watch *w = &a->watch;
    if (w->locate != NULL || a->post.call != NULL) {
        plan_next(a); /* one question at a time */
        return;
    }
    const struct mono_us now = time_mono();
    const int64_t quiet_us = attempt_quiet_ms(a) * 1000;
    const int64_t silent_us = mono_diff(now, w->last_sign).us;
    if (w->trusted && silent_us < quiet_us && a->stop.why == STOP_NONE && w->absent == 0 &&
        !a->timers.start_late && !is_doubted(a)) {
        attempt_ask_in(a, (quiet_us - silent_us) / 1000 + 1);
        return;
    }
    w->doubted = false; /* later evidence starts a new doubt */
    w->locate = comfy_locate(a->backend->comfy, a->r.prompt_id, answered, a);
}
