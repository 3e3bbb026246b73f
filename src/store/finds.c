/*
 * Reads of one thing at run time; see store/finds.h. One thread with a connection of its own takes
 * everything that waits, reads it in one transaction, and hands all of it back at once.
 * It starts with the first read. A connection that cannot be made is tried again with the next one.
 */
#include "finds.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/finds.h"

#include "engine.h"
#include "inner.h"
#include "read.h"

/* Embedded, as its first member, in what is asked; freed when it was answered. */
struct find {
    struct find *next;
    /* On the thread. */
    void (*run)(struct find *f, const struct engine *e, struct reader *r);
    /* On the loop, once. Frees what the members point to. unread: it did not come to that. */
    void (*answer)(struct find *f, bool unread);
    bool unread;
};

static void list_add(struct find_list *l, struct find *f)
{
    f->next = NULL;
    if (l->last == NULL) {
        l->first = f;
    } else {
        l->last->next = f;
    }
    l->last = f;
}

static struct find *list_take_all(struct find_list *l)
{
    struct find *first = l->first;
    *l = (struct find_list){NULL, NULL};
    return first;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool has_reader(struct store *s)
{
    char why[256] = "";
    struct reader *r = &s->finder.reader;
    const bool good = r->db != NULL || s->engine->connect(s, r, 512, why, sizeof why);
    if (!good) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
        s->engine->disconnect(r);
    }
    return good;
}

static void read_all(struct store *s, struct find *first)
{
    struct reader *r = &s->finder.reader;
    const bool good = has_reader(s) && s->engine->begin(r);
    for (struct find *f = first; f != NULL; f = f->next) {
        f->unread = !good;
        if (good) {
            f->run(f, s->engine, r);
        }
    }
    if (good) {
        s->engine->end(r);
    }
}

static void answer_later(struct finder *f, struct find *first)
{
    for (struct find *next = NULL; first != NULL; first = next) {
        next = first->next;
        list_add(&f->answered, first);
    }
}

static void work(void *arg)
{
    struct store *s = arg;
    struct finder *f = &s->finder;
    uv_mutex_lock(&f->mutex);
    while (!f->stopping) {
        struct find *first = list_take_all(&f->waiting);
        if (first == NULL) {
            uv_cond_wait(&f->wake, &f->mutex);
            continue;
        }
        uv_mutex_unlock(&f->mutex);
        read_all(s, first);
        uv_mutex_lock(&f->mutex);
        answer_later(f, first);
        (void)uv_async_send(&s->async);
    }
    uv_mutex_unlock(&f->mutex);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void answer_all(struct store *s, struct find *first)
{
    for (struct find *next = NULL; first != NULL; first = next) {
        next = first->next;
        first->answer(first, first->unread);
        free(first);
        if (s->finder.pending != NULL) {
            pending_remove(s->finder.pending);
        }
    }
}

void store_count_finds(struct store *s, struct pending *pending)
{
    s->finder.pending = pending;
}

/* Takes f. */
static void ask(struct store *s, struct find *f)
{
    struct finder *all = &s->finder;
    all->started = all->started || uv_thread_create(&all->thread, work, s) == 0;
    if (!all->started || s->closing) {
        f->answer(f, true);
        free(f);
        return;
    }
    if (all->pending != NULL) {
        pending_add(all->pending);
    }
    uv_mutex_lock(&all->mutex);
    list_add(&all->waiting, f);
    uv_cond_signal(&all->wake);
    uv_mutex_unlock(&all->mutex);
}

void finder_deliver(struct store *s)
{
    struct finder *f = &s->finder;
    uv_mutex_lock(&f->mutex);
    struct find *first = list_take_all(&f->answered);
    uv_mutex_unlock(&f->mutex);
    answer_all(s, first);
}

void finder_init(struct finder *f)
{
    (void)uv_mutex_init(&f->mutex);
    (void)uv_cond_init(&f->wake);
}

void finder_close(struct store *s)
{
    struct finder *f = &s->finder;
    if (!f->started) {
        return;
    }
    uv_mutex_lock(&f->mutex);
    f->stopping = true;
    uv_cond_signal(&f->wake);
    uv_mutex_unlock(&f->mutex);
    (void)uv_thread_join(&f->thread);
    f->started = false;
    answer_all(s, list_take_all(&f->answered));
    for (struct find *one = f->waiting.first; one != NULL; one = one->next) {
        one->unread = true;
    }
    answer_all(s, list_take_all(&f->waiting));
    s->engine->disconnect(&f->reader);
}

void finder_done(struct finder *f)
{
    uv_cond_destroy(&f->wake);
    uv_mutex_destroy(&f->mutex);
}

/* ---- a job ----------------------------------------------------------------------------------- */

struct job_find {
    struct find find;
    struct store_wish wish;
    struct store_found found;
    struct job_record job;
    struct buf profile;
    struct buf workflow;
    store_found_fn done;
    void *ctx;
};

static void read_job(struct find *find, const struct engine *e, struct reader *r)
{
    struct job_find *f = (struct job_find *)find;
    const struct store_wish *w = &f->wish;
    struct store_found *ret = &f->found;
    ret->error = e->job(r, str_of(w->id), &f->job);
    const int64_t seq = f->job.seq;
    if (ret->error == ERR_NONE && (w->wants & STORE_WANT_PROFILE) != 0) {
        const unsigned n = w->attempt != 0 ? w->attempt : job_told_attempt(&f->job);
        ret->profile_error = e->profile(r, seq, n, &f->profile);
    }
    if (ret->error == ERR_NONE && (w->wants & STORE_WANT_ATTEMPTS) != 0) {
        ret->error = e->attempts(r, seq, &ret->attempts, &ret->attempts_len);
    }
    if (ret->error == ERR_NONE && (w->wants & STORE_WANT_WORKFLOW) != 0) {
        ret->error = e->workflow(r, seq, &f->workflow);
    }
}

static void answer_job(struct find *find, bool unread)
{
    struct job_find *f = (struct job_find *)find;
    struct store_found *found = &f->found;
    found->error = unread ? ERR_STORE_UNAVAILABLE : found->error;
    found->job = &f->job;
    found->profile = buf_str(&f->profile);
    found->workflow = buf_str(&f->workflow);
    f->done(f->ctx, found);
    job_record_done(&f->job);
    for (size_t i = 0; i < found->attempts_len; i++) {
        attempt_record_done(&found->attempts[i]);
    }
    free(found->attempts);
    buf_done(&f->profile);
    buf_done(&f->workflow);
}

/* Whether the end of a job says all that is wanted: not what an earlier attempt has. */
static bool is_enough(const struct op *op, const struct store_wish *wish)
{
    const bool is_told = op->attempt.number == job_told_attempt(&op->job) && op->text.n > 0;
    return wish->wants == 0 || (wish->wants == STORE_WANT_PROFILE && wish->attempt == 0 &&
                                (is_told || !op->job.profiled));
}

/* What was written a moment ago. False: it is not there, or not enough. */
static bool answer_from_memory(struct store *s, const struct store_wish *wish, store_found_fn done,
                               void *ctx)
{
    struct op *op = recent_pin(&s->recent, str_of(wish->id));
    if (op == NULL) {
        return false;
    }
    const bool enough = is_enough(op, wish);
    if (enough) {
        const bool has_profile = op->job.profiled && wish->wants != 0;
        const struct store_found found = {
            .job = &op->job,
            .profile_error = has_profile ? ERR_NONE : ERR_PROFILING_DISABLED,
            .profile = has_profile ? op->text : (struct str){NULL, 0},
        };
        done(ctx, &found);
    }
    recent_unpin(op);
    return enough;
}

void store_find_job(struct store *s, const struct store_wish *wish, store_found_fn done, void *ctx)
{
    if (!s->closing && answer_from_memory(s, wish, done, ctx)) {
        return;
    }
    struct job_find *f = mem_zero(1, sizeof *f);
    f->find.run = read_job;
    f->find.answer = answer_job;
    f->wish = *wish;
    f->found.profile_error = ERR_PROFILING_DISABLED;
    buf_init(&f->profile, BUF_NO_LIMIT);
    buf_init(&f->workflow, BUF_NO_LIMIT);
    f->done = done;
    f->ctx = ctx;
    ask(s, &f->find);
}

/* ---- a batch --------------------------------------------------------------------------------- */

struct batch_find {
    struct find find;
    char id[UUID_SIZE];
    enum err error;
    struct store_batch batch;
    int64_t counts[JOB_STATE_COUNT];
    store_found_batch_fn done;
    void *ctx;
};

static void read_batch(struct find *find, const struct engine *e, struct reader *r)
{
    struct batch_find *f = (struct batch_find *)find;
    f->error = e->batch(r, f->id, &f->batch);
    if (f->error == ERR_NONE) {
        f->error = e->count_batch(r, f->id, f->counts);
    }
}

static void answer_batch(struct find *find, bool unread)
{
    struct batch_find *f = (struct batch_find *)find;
    f->done(f->ctx, unread ? ERR_STORE_UNAVAILABLE : f->error, &f->batch.r, f->counts);
    store_batch_done(&f->batch);
}

void store_find_batch(struct store *s, const char *id, store_found_batch_fn done, void *ctx)
{
    struct batch_find *f = mem_zero(1, sizeof *f);
    f->find.run = read_batch;
    f->find.answer = answer_batch;
    (void)snprintf(f->id, sizeof f->id, "%s", id);
    f->done = done;
    f->ctx = ctx;
    ask(s, &f->find);
}
