/*
 * When an attempt is to end before its time: the timers that watch it, and how its prompt is told
 * to stop. It ends by the server's word, whatever that is, or, when the server says nothing within
 * jobs.cancelGraceMs, without it: then a stray is left behind (strays.c) and the backend gets no
 * other job before it is over.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "reconcile.h"
#include "state.h"
#include "stop.h"
#include "trust.h"

/* Behind the time in which a POST settles, for the question that is asked then. */
enum { GRACE_AGAIN_MS = 2000 };
/* A timer that is so late says that the process stood still; then it reads for a moment first. */
enum { LATE_MS = 50, READ_MS = 200 };

/* ---- timers --------------------------------------------------------------------------------- */

static void start_overdue(void *ctx)
{
    struct attempt *a = ctx;
    a->start_late = true; /* found_pending decides */
    attempt_ask_in(a, 0);
}

/* execution_start must come within this time after `since`. */
void attempt_watch_start(struct attempt *a, struct mono_us since)
{
    const int64_t ms = a->job->r.policy.start_timeout_ms;
    a->start_late = false;
    if (ms > 0 && !a->timeline.started.set && !a->ended) {
        deadline_set(&a->backend->pool->deadlines, &a->start_timer, mono_add(since, dur_ms(ms)),
                     start_overdue, a);
    }
}

void attempt_start_is_late(struct attempt *a, bool others_run)
{
    if (others_run) {
        attempt_watch_start(a, time_mono());
    } else {
        attempt_stop(a, STOP_TIMEOUT, ERR_START_TIMEOUT);
    }
}

/* A socket that is not trusted proves nothing by its silence. */
static void node_overdue(void *ctx)
{
    struct attempt *a = ctx;
    const struct dur_us limit = dur_ms(a->job->r.policy.node_timeout_ms);
    const struct mono_us now = time_mono();
    const struct mono_us due = mono_add(a->trusted ? a->last_sign : now, limit);
    if (!mono_before(now, due) && !a->looked && mono_diff(now, due).us > (int64_t)LATE_MS * 1000) {
        /* We stood still, and what came meanwhile is not read yet: timers run before sockets. */
        a->looked = true;
        deadline_set(&a->backend->pool->deadlines, &a->node_timer, mono_add(now, dur_ms(READ_MS)),
                     node_overdue, a);
        return;
    }
    a->looked = false;
    if (mono_before(now, due)) {
        deadline_set(&a->backend->pool->deadlines, &a->node_timer, due, node_overdue, a);
    } else {
        attempt_stop(a, STOP_TIMEOUT, ERR_NODE_TIMEOUT);
    }
}

/* A node runs: from now on signs of life must come. Costs nothing a frame: the timer looks. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now)
{
    const int64_t ms = a->job->r.policy.node_timeout_ms;
    a->node_seen = true;
    if (ms > 0) {
        deadline_set(&a->backend->pool->deadlines, &a->node_timer, mono_add(now, dur_ms(ms)),
                     node_overdue, a);
    }
}

/* ---- told to stop ----------------------------------------------------------------------------
 */

static const char *timeout_message(enum err code)
{
    return code == ERR_JOB_TIMEOUT     ? "it took longer than jobTimeoutMs and was told to stop"
           : code == ERR_START_TIMEOUT ? "the backend did not begin with it within "
                                         "executionStartTimeoutMs, and nothing else ran there"
                                       : "a node gave no sign of life for nodeExecutionTimeoutMs";
}

void attempt_end_stopped(struct attempt *a, struct mono_us now, int64_t stamp_ms)
{
    if (a->stop == STOP_TIMEOUT) {
        struct job_error e = attempt_error(a->stop_code, timeout_message(a->stop_code));
        attempt_end(a, now, stamp_ms, ATTEMPT_TIMED_OUT, &e);
    } else {
        attempt_end(a, now, stamp_ms, ATTEMPT_CANCELLED, NULL);
    }
}

/* It goes on, whatever it is told: lost with its backend, which gets no other job before it ends.
 */
static void grace_is_over(void *ctx)
{
    struct attempt *a = ctx;
    struct backend *b = a->backend;
    const struct mono_us now = time_mono();
    const struct mono_us settled = mono_add(a->posted_at, b->pool->options.submit_settle);
    if (!a->known && mono_before(now, settled)) { /* whether it is there at all is still open */
        deadline_set(&b->pool->deadlines, &a->grace, mono_add(settled, dur_ms(GRACE_AGAIN_MS)),
                     grace_is_over, a);
        return;
    }
    LOG(LOG_WARN, "a prompt does not stop: its backend gets no other job before it ends",
        LOG_S("job", a->job->r.id), LOG_S("backend", b->name));
    a->holds_slot = true;
    backend_quarantine(b, QUARANTINE_HELD, "a prompt was told to stop and goes on");
    if (a->stop == STOP_TIMEOUT) {
        attempt_end_stopped(a, now, 0);
    } else {
        struct job_error e = attempt_error(ERR_LOST, "it was told to stop and did not");
        attempt_end(a, now, 0, ATTEMPT_LOST, &e);
    }
}

bool attempt_stop_again(struct attempt *a)
{
    struct pool *p = a->backend->pool;
    if (a->stop != STOP_NONE && attempt_give_up_sending(a)) {
        return false;
    }
    if (a->stop == STOP_NONE || a->ended || !a->posted || a->submit != NULL || p->stopping) {
        return true; /* at intent_stored, or when the POST is answered */
    }
    if (a->stop == STOP_TIMEOUT && !a->stop_durable) {
        return true; /* at stop_stored */
    }
    /* Nobody waits for a cancelled one: it is cleaned up when the backend is back. */
    const bool unreachable = !a->backend->up && comfy_link_state(a->backend->comfy) != COMFY_UP;
    if (unreachable && a->stop == STOP_CANCEL && (!a->adopted || a->unreachable)) {
        attempt_end_stopped(a, time_mono(), 0);
        return false;
    }
    if (!heap_holds(&a->grace.node)) {
        deadline_set(&p->deadlines, &a->grace, mono_add(time_mono(), p->options.cancel_grace),
                     grace_is_over, a);
    }
    if (!unreachable) {
        comfy_cancel_prompt(a->backend->comfy, a->r.prompt_id);
        a->cancel_sent = true;
        /* A pending prompt that is deleted leaves no trace but its absence. */
        attempt_ask_in(a, 200);
    }
    return true;
}

/* Who waits for a timeout to be durable. */
struct stopping {
    struct pool *pool;
    char job_id[UUID_SIZE];
    unsigned number;
};

static void stop_stored(void *ctx, enum err e)
{
    struct stopping *s = ctx;
    struct pool *p = s->pool;
    (void)e; /* such a write is kept until it succeeds */
    struct job *j = job_find(p, (struct str){s->job_id, UUID_TEXT});
    if (j != NULL && j->attempt != NULL && j->attempt->r.number == s->number) {
        j->attempt->stop_durable = true;
        (void)attempt_stop_again(j->attempt);
    }
    free(s);
    pool_one_less(p, &p->writes);
}

/* An interrupt that the next daemon finds must not look like somebody else's: what we do is written
   down before it is done, as the code of an attempt that has not ended. */
static void store_stop(struct attempt *a)
{
    struct job *j = a->job;
    struct stopping *s = mem_alloc(sizeof *s);
    *s = (struct stopping){.pool = j->pool, .number = a->r.number};
    memcpy(s->job_id, j->r.id, sizeof s->job_id);
    a->r.error.code = a->stop_code;
    j->pool->writes++;
    store_begin_attempt(j->pool->store, &j->r, &a->r, NULL, stop_stored, s);
}

void attempt_stop(struct attempt *a, enum stop why, enum err code)
{
    if (a->stop != STOP_NONE && (a->stop != STOP_TIMEOUT || why != STOP_CANCEL)) {
        return;
    }
    a->stop = why;
    a->stop_code = code;
    /* Of one that was found again nothing is stored while it runs: its next finder looks anew. */
    a->stop_durable = a->stop_durable || a->found_again;
    if (why == STOP_TIMEOUT && a->posted && !a->found_again) {
        store_stop(a);
    }
    (void)attempt_stop_again(a);
}

void attempt_clear_timers(struct attempt *a)
{
    struct deadlines *d = &a->backend->pool->deadlines;
    deadline_clear(d, &a->poll);
    deadline_clear(d, &a->grace);
    deadline_clear(d, &a->start_timer);
    deadline_clear(d, &a->node_timer);
}
