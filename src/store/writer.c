/*
 * The writer thread: takes everything queued, writes it in one transaction, and answers it.
 *
 *   BEGIN, apply each, COMMIT      all answered ERR_NONE, in order
 *   trouble (disk full, read-only) ROLLBACK; refusable ops are refused, the rest is kept in order
 *                                  before later ones, and retried after a second or as soon as a
 *                                  refusable one arrives; with nothing kept a probe is written
 *   an op that is wrong (a bug)    ROLLBACK; it is logged and dropped, the others are retried
 *
 * Only this thread touches the session and the batch. Invariant: an op is answered once, and with
 * ERR_NONE only after the COMMIT that holds it.
 */
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/log.h"

#include "engine.h"
#include "inner.h"

static const uint64_t RETRY_NS = 1000000000;
/* How long the log may keep erased account keys while the writer is busy. */
static const uint64_t CUT_NS = 1000000000;
/* How often an idle writer checks that its file exists. */
static const uint64_t LOOK_NS = 2000000000;

/* ---- answering ------------------------------------------------------------------------------- */

static void publish(struct store *s, struct op_list *answered, bool writable, const char *trouble)
{
    struct writer *w = &s->writer;
    uv_mutex_lock(&w->mutex);
    op_list_append(&w->answered, answered);
    w->writable = writable;
    (void)snprintf(w->trouble, sizeof w->trouble, "%s", trouble);
    uv_mutex_unlock(&w->mutex);
    (void)uv_async_send(&s->async);
}

static void answer_all(struct op_list *ops, enum err e, struct op_list *answered)
{
    for (struct op *op = op_list_take(ops); op != NULL; op = op_list_take(ops)) {
        op->result = e;
        op_list_add(answered, op);
    }
}

/* ---- one transaction ------------------------------------------------------------------------- */

/* Removes one op from the list. */
static void remove_op(struct op_list *l, const struct op *gone)
{
    struct op_list rest = {0};
    for (struct op *op = op_list_take(l); op != NULL; op = op_list_take(l)) {
        if (op != gone) {
            op_list_add(&rest, op);
        }
    }
    *l = rest;
}

static void refuse_wrong(struct writer *w, struct op *op, const char *why, struct op_list *answered)
{
    LOG(LOG_ERROR, "the store refused a write that should not have been made",
        LOG_S("write", op_name(op->kind)), LOG_I("seq", op->job.seq), LOG_S("job", op->job.id),
        LOG_S("why", why));
    remove_op(&w->batch, op);
    op->result = ERR_STORE_UNAVAILABLE;
    op_list_add(answered, op);
}

static void refuse_refusable(struct writer *w, struct op_list *answered)
{
    struct op_list kept = {0};
    for (struct op *op = op_list_take(&w->batch); op != NULL; op = op_list_take(&w->batch)) {
        if (op_is_refusable(op->kind)) {
            op->result = ERR_STORE_UNAVAILABLE;
            op_list_add(answered, op);
        } else {
            op_list_add(&kept, op);
        }
    }
    w->batch = kept;
}

/* Writes the batch, or notes that it cannot be written now. */
static void write_batch(struct store *s)
{
    struct writer *w = &s->writer;
    struct op_list answered = {0};
    enum write_result r = WRITE_WRONG;
    char why[sizeof w->trouble] = "";
    const bool probe = w->batch.first == NULL;
    while (r == WRITE_WRONG && (probe || w->batch.first != NULL)) {
        struct op *at = NULL;
        r = s->engine->write(s, w->session, &w->batch, &at, why, sizeof why);
        if (r == WRITE_WRONG) {
            refuse_wrong(w, at, why, &answered);
        }
    }
    w->failing = r == WRITE_TROUBLE;
    if (w->failing) {
        refuse_refusable(w, &answered);
        w->retry_at = uv_hrtime() + RETRY_NS;
    } else {
        answer_all(&w->batch, ERR_NONE, &answered);
    }
    publish(s, &answered, !w->failing, w->failing ? why : "");
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Checks the file with the mutex released; held before and after. */
static bool is_gone(struct store *s)
{
    struct writer *w = &s->writer;
    w->busy_since = uv_hrtime();
    uv_mutex_unlock(&w->mutex);
    const bool gone = !s->engine->is_there(s);
    uv_mutex_lock(&w->mutex);
    w->busy_since = 0;
    return gone;
}

/* Waits for work; returns true when the store is being closed. */
static bool wait_for_work(struct store *s)
{
    struct writer *w = &s->writer;
    uv_mutex_lock(&w->mutex);
    w->busy_since = 0;
    while (!w->stopping) {
        const uint64_t at = w->failing ? w->retry_at : w->cut_at;
        const uint64_t now = at == 0 ? 0 : uv_hrtime();
        if (w->failing ? w->refusable_waits : w->waiting.first != NULL) {
            break;
        }
        if (at != 0 && now >= at) {
            break;
        }
        const uint64_t pause = at != 0 && at - now < LOOK_NS ? at - now : LOOK_NS;
        if (uv_cond_timedwait(&w->wake, &w->mutex, pause) != 0 && !w->failing && is_gone(s)) {
            w->probes = true; /* the probe finds out */
            break;
        }
    }
    op_list_append(&w->batch, &w->waiting);
    w->busy_since = uv_hrtime();
    w->refusable_waits = false;
    const bool stopping = w->stopping;
    uv_mutex_unlock(&w->mutex);
    return stopping;
}

/* Reports the writes lost after the last try. */
static void give_up(struct store *s)
{
    struct writer *w = &s->writer;
    unsigned lost = 0;
    for (const struct op *op = w->batch.first; op != NULL; op = op->next) {
        lost++;
    }
    if (lost > 0) {
        LOG(LOG_ERROR, "the store is closed with writes that the disk did not take",
            LOG_I("writes", lost));
    }
    struct op_list answered = {0};
    answer_all(&w->batch, ERR_STORE_UNAVAILABLE, &answered);
    publish(s, &answered, !w->failing, w->failing ? "closed" : "");
}

/* Truncates the log, at most once a second. */
static void cut_log(struct store *s)
{
    struct writer *w = &s->writer;
    const uint64_t now = uv_hrtime();
    if (w->cut_at == 0 && s->engine->has_traces(w->session)) {
        w->cut_at = now + CUT_NS;
    }
    if (w->cut_at == 0 || now < w->cut_at || w->failing) {
        return;
    }
    w->cut_at = s->engine->scrub(w->session) ? 0 : now + CUT_NS;
}

static void run(void *arg)
{
    struct store *s = arg;
    struct writer *w = &s->writer;
    bool stopping = false;
    free(mem_alloc(1)); /* takes an arena of the allocator before other threads do */
    while (!stopping) {
        stopping = wait_for_work(s);
        if (w->batch.first != NULL || ((w->failing || w->probes) && !stopping)) {
            write_batch(s);
        }
        w->probes = false;
        cut_log(s);
    }
    give_up(s);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

void writer_add(struct store *s, struct op *op)
{
    struct writer *w = &s->writer;
    recent_forget(&s->recent, op);
    uv_mutex_lock(&w->mutex);
    op_list_add(&w->waiting, op);
    w->refusable_waits = w->refusable_waits || op_is_refusable(op->kind);
    uv_mutex_unlock(&w->mutex);
    s->wake_due = true;
}

void writer_wake(struct store *s)
{
    if (s->wake_due) {
        s->wake_due = false;
        uv_mutex_lock(&s->writer.mutex);
        uv_cond_signal(&s->writer.wake);
        uv_mutex_unlock(&s->writer.mutex);
    }
}

bool writer_open(struct store *s, char *why, size_t why_size)
{
    struct writer *w = &s->writer;
    w->writable = true;
    return s->engine->open(s, &w->session, s->counts, why, why_size);
}

bool writer_start(struct store *s, char *why, size_t why_size)
{
    s->writer.started = uv_thread_create(&s->writer.thread, run, s) == 0;
    if (!s->writer.started) {
        (void)snprintf(why, why_size, "no thread could be made for the store");
    }
    return s->writer.started;
}

void writer_stop(struct store *s)
{
    struct writer *w = &s->writer;
    if (w->started) {
        uv_mutex_lock(&w->mutex);
        w->stopping = true;
        uv_cond_signal(&w->wake);
        uv_mutex_unlock(&w->mutex);
        (void)uv_thread_join(&w->thread);
        (void)s->engine->scrub(w->session);
    }
    s->engine->close(w->session);
    w->session = NULL;
}
