/*
 * When the socket cannot be trusted: silence is never proof, so the backend is asked, /queue first
 * and then /history. An untrusted socket is polled after 1 s, backing off to 10 s; a trusted one
 * that is silent while a prompt runs every quiet_poll. Trust comes back with the first frame of the
 * prompt.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "inner.h"

enum { FIRST_POLL_MS = 1000, LAST_POLL_MS = 10000, AGAIN_MS = 1000 };

static void ask(void *ctx);

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

static void plan_next(struct attempt *a)
{
    if (a->trusted) {
        attempt_ask_in(a, a->backend->pool->options.quiet_poll.us / 1000);
        return;
    }
    attempt_ask_in(a, a->poll_ms);
    a->poll_ms = a->poll_ms * 2 > LAST_POLL_MS ? LAST_POLL_MS : a->poll_ms * 2;
}

/* ---- what the answer means --------------------------------------------------------------------
 */

void attempt_apply_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    a->from_history = true;
    struct str *done = mem_alloc((h->outputs_len + 1) * sizeof *done);
    for (size_t i = 0; i < h->outputs_len; i++) {
        attempt_add_output(a, h->outputs[i].node_id, h->outputs[i].ui);
        done[i] = h->outputs[i].node_id;
    }
    profiler_history(a->profiler, &a->timeline, now, h->messages, h->messages_len, done,
                     h->outputs_len);
    free(done);
}

/* The end as history tells it. */
static void end_by_history(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
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

/* In history: it ended while nobody listened, or the socket is deaf. */
static void found_ended(struct attempt *a, struct mono_us now, const struct history_answer *h)
{
    const bool deaf = a->trusted;
    struct backend *b = a->backend;
    if (deaf) { /* it gets no job until it has a fresh connection */
        LOG(LOG_WARN, "the socket of a backend is deaf: connecting anew",
            LOG_S("backend", b->name));
        attempt_distrust(a, a->last_sign, "socket_silent");
        scheduler_set_up(&b->pool->scheduler, &b->slot, false);
    }
    a->known = true;
    (void)timeline_start(&a->timeline, now, 0);
    attempt_apply_history(a, now, h);
    end_by_history(a, now, h); /* frees the attempt, perhaps */
    if (deaf) {
        comfy_renew(b->comfy);
    }
}

static void end_lost(struct attempt *a, struct mono_us now, const char *message)
{
    struct job_error e = attempt_error(ERR_LOST, message);
    attempt_end(a, now, 0, ATTEMPT_LOST, &e);
}

/* In neither queue nor history. */
static void found_absent(struct attempt *a, struct mono_us now)
{
    const struct pool_options *o = &a->backend->pool->options;
    a->absent++;
    if (a->job->r.cancel_requested && a->cancel_sent && (a->known || a->absent > 1)) {
        attempt_end(a, now, 0, ATTEMPT_CANCELLED, NULL);
        return;
    }
    if (a->known) {
        if (a->backend->refused) {
            end_lost(a, now, "the backend restarted and does not know the prompt any more");
        } else if (a->absent < 2) {
            attempt_ask_in(a, AGAIN_MS);
        } else if (a->trusted) {
            struct job_error e =
                attempt_error(ERR_INTERRUPTED, "somebody else deleted it from the backend's queue");
            attempt_end(a, now, 0, ATTEMPT_CANCELLED, &e);
        } else {
            end_lost(a, now, "the prompt is in neither the backend's queue nor its history");
        }
        return;
    }
    const int64_t settled = mono_diff(now, a->posted_at).us - o->submit_settle.us;
    if (settled < 0 && !a->backend->refused) {
        attempt_ask_in(a, settled / -1000 < AGAIN_MS ? settled / -1000 + 1 : AGAIN_MS);
        return;
    }
    if (a->submit_status >= 500) {
        struct job_error e =
            attempt_error(ERR_BACKEND_ERROR, "the backend answered POST /prompt with an error and "
                                             "does not have the prompt");
        attempt_end(a, now, 0, ATTEMPT_FAILED, &e);
    } else {
        end_lost(a, now, "the backend does not have the prompt");
    }
}

static void found_unreachable(struct attempt *a, struct mono_us now,
                              const struct comfy_locate_answer *answer)
{
    if (answer->refused) {
        a->backend->refused = true;
    }
    if (!a->unreachable) {
        a->unreachable = true;
        a->unreachable_since = now;
    }
    const int64_t for_us = mono_diff(now, a->unreachable_since).us;
    if (for_us >= a->backend->pool->options.backend_lost.us) {
        end_lost(a, now, "the backend cannot be reached");
    } else {
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
    a->unreachable = false;
    if (answer->place == COMFY_ABSENT) {
        found_absent(a, now);
        return;
    }
    a->known = true;
    a->absent = 0;
    if (answer->place == COMFY_ENDED) {
        found_ended(a, now, &answer->history);
        return;
    }
    if (answer->place == COMFY_RUNNING && !a->trusted) {
        (void)timeline_start(&a->timeline, now, 0);
        a->job->phase = JOB_PHASE_STARTED;
    }
    if (a->job->r.cancel_requested) {
        comfy_cancel_prompt(a->backend->comfy, a->r.prompt_id);
        a->cancel_sent = true;
    }
    plan_next(a);
}

static void ask(void *ctx)
{
    struct attempt *a = ctx;
    if (a->locate != NULL || a->submit != NULL) {
        plan_next(a); /* one question at a time */
        return;
    }
    const struct mono_us now = time_mono();
    const int64_t quiet_us = a->backend->pool->options.quiet_poll.us;
    const int64_t silent_us = mono_diff(now, a->last_sign).us;
    if (a->trusted && silent_us < quiet_us && !a->job->r.cancel_requested && a->absent == 0) {
        attempt_ask_in(a, (quiet_us - silent_us) / 1000 + 1);
        return;
    }
    a->locate = comfy_locate(a->backend->comfy, a->r.prompt_id, answered, a);
}
