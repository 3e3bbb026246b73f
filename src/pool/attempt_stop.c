/*
 * Ending an attempt early: the timers that watch it, and telling its prompt to stop. It ends by the
 * server's word or, if the server says nothing within jobs.cancelGraceMs, without: then a stray is
 * left (strays.c) and the backend gets no other job until that is over.
 */
#include "attempt_stop.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/store/attempts.h"

#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "state.h"

/* Added to the time in which a POST settles, for the question that is asked then. */
enum { GRACE_AGAIN_MS = 2000 };
/* A timer this late means that the process stood still: sockets are read for a moment first. */
enum { LATE_MS = 50, READ_MS = 200 };

/* ---- timers ---------------------------------------------------------------------------------- */

static void start_overdue(void *ctx)
{
    struct attempt *a = ctx;
    a->timers.start_late = true; /* attempt_stop_found() decides */
    attempt_ask_in(a, 0);
}

void attempt_watch_start(struct attempt *a, struct mono_us since)
{
    const int64_t ms = a->job->r.policy.start_timeout_ms;
    a->timers.start_late = false;
    if (ms > 0 && a->state.phase < PHASE_STARTED) {
        deadline_set(&a->backend->pool->deadlines, &a->timers.start, mono_add(since, dur_ms(ms)),
                     start_overdue, a);
    }
}

/* Called when the start timer has fired and it is known whether another prompt runs there. */
static void start_is_late(struct attempt *a, bool others_run)
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
    const struct mono_us due = mono_add(a->watch.trusted ? a->watch.last_sign : now, limit);
    if (!mono_before(now, due) && !a->timers.looked &&
        mono_diff(now, due).us > (int64_t)LATE_MS * 1000) {
        /* The process stood still and has not read what came meanwhile: timers run before sockets.
         */
        a->timers.looked = true;
        deadline_set(&a->backend->pool->deadlines, &a->timers.node, mono_add(now, dur_ms(READ_MS)),
                     node_overdue, a);
        return;
    }
    a->timers.looked = false;
    if (mono_before(now, due)) {
        deadline_set(&a->backend->pool->deadlines, &a->timers.node, due, node_overdue, a);
    } else {
        attempt_stop(a, STOP_TIMEOUT, ERR_NODE_TIMEOUT);
    }
}

/* Frames only note the time; the timer looks at it. */
void attempt_watch_nodes(struct attempt *a, struct mono_us now)
{
    const int64_t ms = a->job->r.policy.node_timeout_ms;
    if (ms > 0) {
        deadline_set(&a->backend->pool->deadlines, &a->timers.node, mono_add(now, dur_ms(ms)),
                     node_overdue, a);
    }
}

/* ---- told to stop ---------------------------------------------------------------------------- */

/* The prompt ignores the stop: gives the attempt up as lost; the backend gets no other job before
   the prompt ends. */
static void grace_is_over(void *ctx)
{
    struct attempt *a = ctx;
    struct backend *b = a->backend;
    const struct mono_us now = time_mono();
    const struct mono_us settled = mono_add(a->post.at, b->pool->options.submit_settle);
    /* It is still open whether the prompt arrived. */
    if (!attempt_was_there(&a->state) && mono_before(now, settled)) {
        deadline_set(&b->pool->deadlines, &a->stop.grace, mono_add(settled, dur_ms(GRACE_AGAIN_MS)),
                     grace_is_over, a);
        return;
    }
    LOG(LOG_WARN, "a prompt does not stop: its backend gets no other job before it ends",
        LOG_S("job", a->job->r.id), LOG_S("backend", b->name));
    backend_quarantine(b, QUARANTINE_HELD, "a prompt was told to stop and goes on");
    const bool cancelled = a->stop.why == STOP_CANCEL;
    struct job_error e = cancelled ? attempt_error(ERR_LOST, "it was told to stop and did not")
                                   : attempt_timeout_error(a->stop.code);
    attempt_end_leaving(a, now, cancelled ? ATTEMPT_LOST : ATTEMPT_TIMED_OUT, REMAINS_HELD, &e);
}

/* Tells a POSTed prompt to stop. False: the attempt is over, and freed. */
static bool stop_now(struct attempt *a)
{
    struct pool *p = a->backend->pool;
    /* A cancelled attempt is not awaited: the stray is stopped when the backend is back. */
    const bool unreachable =
        !a->backend->conn.up && comfy_link_state(a->backend->comfy) != COMFY_UP;
    const bool asked = a->state.origin == ORIGIN_BEGUN || a->watch.unreachable_since.us != 0;
    if (unreachable && a->stop.why == STOP_CANCEL && asked) {
        attempt_end_stopped(a, time_mono(), 0);
        return false;
    }
    if (!heap_holds(&a->stop.grace.node)) {
        deadline_set(&p->deadlines, &a->stop.grace, mono_add(time_mono(), p->options.cancel_grace),
                     grace_is_over, a);
    }
    if (!unreachable) {
        comfy_cancel_prompt(a->backend->comfy, a->r.prompt_id);
        a->stop.sent = true;
        /* A deleted pending prompt shows only by its absence. */
        attempt_ask_in(a, 200);
    }
    return true;
}

bool attempt_stop_again(struct attempt *a)
{
    const struct pool *p = a->backend->pool;
    const enum stop why = a->stop.why;
    if (why != STOP_NONE && a->state.phase == PHASE_SENDING) {
        attempt_withdraw(a);
        return false;
    }
    if (why == STOP_NONE || attempt_is_over(&a->state) || !attempt_is_posted(&a->state) ||
        a->post.call != NULL || p->stopping) {
        return true; /* at intent_stored, or when the POST is answered */
    }
    return why == STOP_TIMEOUT || stop_now(a); /* a timeout is stored first; see stop_stored */
}

/* Waits for a timeout to be durable. */
struct stopping {
    struct pool *pool;
    char job_id[UUID_SIZE];
    unsigned number;
};

static void stop_stored(void *ctx)
{
    struct stopping *s = ctx;
    struct pool *p = s->pool;
    struct job *j = job_find(p, (struct str){s->job_id, UUID_TEXT});
    if (j != NULL && j->attempt != NULL && j->attempt->r.number == s->number) {
        struct attempt_stop *stop = &j->attempt->stop;
        stop->why = stop->why == STOP_TIMEOUT ? STOP_TIMEOUT_STORED : stop->why;
        (void)attempt_stop_again(j->attempt);
    }
    free(s);
    pending_remove(&p->pending);
}

/* Stores the code of a timeout in the open attempt before the interrupt is sent, so that after a
   restart the interrupt does not look like somebody else's. */
static void store_stop(struct attempt *a)
{
    struct job *j = a->job;
    struct stopping *s = mem_alloc(sizeof *s);
    *s = (struct stopping){.pool = j->pool, .number = a->r.number};
    memcpy(s->job_id, j->r.id, sizeof s->job_id);
    a->r.error.code = a->stop.code;
    pending_add(&j->pool->pending);
    store_begin_attempt(j->pool->store, &j->r, &a->r, NULL, stop_stored, s);
}

void attempt_stop(struct attempt *a, enum stop why, enum err code)
{
    const bool is_timeout = a->stop.why == STOP_TIMEOUT || a->stop.why == STOP_TIMEOUT_STORED;
    if (a->stop.why != STOP_NONE && (!is_timeout || why != STOP_CANCEL)) {
        return;
    }
    /* Nothing is stored for a resumed attempt while it runs; after a restart it is searched again.
     */
    const bool found = a->state.origin == ORIGIN_FOUND;
    a->stop.why = why == STOP_TIMEOUT && found ? STOP_TIMEOUT_STORED : why;
    a->stop.code = code;
    if (why == STOP_TIMEOUT && attempt_is_posted(&a->state) && !found) {
        store_stop(a);
    }
    (void)attempt_stop_again(a);
}

void attempt_stop_adopted(struct attempt *a, bool cancelled, enum err code)
{
    if (cancelled) {
        a->stop.why = STOP_CANCEL; /* once it is known where the prompt is */
    } else if (code != ERR_NONE) {
        a->stop.why = STOP_TIMEOUT_STORED;
        a->stop.code = code;
    }
}

void attempt_stop_undone(struct attempt *a)
{
    a->stop.why = STOP_NONE;
    a->stop.code = ERR_NONE;
    a->stop.sent = false;
    a->timers.start_late = false;
}

void attempt_stop_found(struct attempt *a, bool waits, bool others_run)
{
    const struct backend *b = a->backend;
    const bool blocked = b->trust.quarantine == QUARANTINE_HELD; /* that one stays */
    if (waits && (blocked || a->timers.start_late)) {
        start_is_late(a, others_run && !blocked);
    }
    a->timers.start_late = false;
    if (a->stop.why == STOP_CANCEL || a->stop.why == STOP_TIMEOUT_STORED) {
        comfy_cancel_prompt(b->comfy, a->r.prompt_id);
        a->stop.sent = true;
    }
}
