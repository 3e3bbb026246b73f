/*
 * The thread for reads at run time; see store/finds.h. One thread with its own connection takes
 * waiting requests, some at a time, reads them in one transaction, and returns all of them at once.
 * It starts with the first read. A failed connection is retried with the next one.
 */
#include "finds.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/pending.h"
#include "comfypool/store/finds.h"

#include "engine.h"
#include "inner.h"

/* Limits of a transaction: finds, and bytes found, after which no other find is begun. No more is
   read before the loop has taken what was found. */
enum { READ_AT_ONCE = 64, READ_BYTES = 1 << 20 };

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
    struct finder *f = &s->finder;
    if (f->reader == NULL) {
        f->reader = s->engine->connect(s, READER_CACHE_KIB, why, sizeof why);
    }
    if (f->reader == NULL) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
    }
    return f->reader != NULL;
}

static struct find *take_one(struct finder *f)
{
    uv_mutex_lock(&f->mutex);
    struct find *one = f->waiting.first;
    if (one != NULL) {
        f->waiting.first = one->next;
        f->waiting.last = one->next == NULL ? NULL : f->waiting.last;
    }
    uv_mutex_unlock(&f->mutex);
    return one;
}

/* Reads those at the front, as many as the loop takes in a turn. */
static void read_some(struct store *s, struct find_list *ret)
{
    struct finder *f = &s->finder;
    const bool good = has_reader(s) && s->engine->begin(f->reader);
    size_t bytes = 0;
    struct find *one = take_one(f);
    for (unsigned n = 1; one != NULL; n++) {
        one->error = good ? one->kind->run(one, s->engine, f->reader) : ERR_STORE_UNAVAILABLE;
        bytes += one->size;
        list_add(ret, one);
        one = n < READ_AT_ONCE && bytes < READ_BYTES ? take_one(f) : NULL;
    }
    if (good) {
        s->engine->end(f->reader);
    }
}

static void work(void *arg)
{
    struct store *s = arg;
    struct finder *f = &s->finder;
    uv_mutex_lock(&f->mutex);
    while (!f->stopping) {
        if (f->waiting.first == NULL || f->answered.first != NULL) {
            uv_cond_wait(&f->wake, &f->mutex);
            continue;
        }
        struct find_list read = {NULL, NULL};
        uv_mutex_unlock(&f->mutex);
        read_some(s, &read);
        uv_mutex_lock(&f->mutex);
        f->answered = read;
        (void)uv_async_send(&s->async);
    }
    uv_mutex_unlock(&f->mutex);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void answer_one(struct find *f)
{
    if (f->read != NULL) {
        f->read->find = NULL;
    }
    if (!f->forgotten) {
        f->kind->answer(f);
    }
    if (f->kind->release != NULL) {
        f->kind->release(f);
    }
    free(f);
}

void store_read_forget(struct store_read *r)
{
    if (r->find != NULL) {
        r->find->forgotten = true;
        r->find->read = NULL;
        r->find = NULL;
    }
}

static void answer_all(struct store *s, struct find *first)
{
    for (struct find *next = NULL; first != NULL; first = next) {
        next = first->next;
        answer_one(first);
        if (s->finder.pending != NULL) {
            pending_remove(s->finder.pending);
        }
    }
}

void store_count_finds(struct store *s, struct pending *pending)
{
    s->finder.pending = pending;
}

void *find_new(const struct find_kind *kind, size_t size, void *ctx)
{
    struct find *f = mem_zero(1, size);
    f->kind = kind;
    f->ctx = ctx;
    return f;
}

void find_ask(struct store *s, struct find *f, struct store_read *read)
{
    struct finder *all = &s->finder;
    if (!all->started && !s->closing) {
        all->started = uv_thread_create(&all->thread, work, s) == 0;
    }
    if (!all->started || s->closing) {
        f->error = ERR_STORE_UNAVAILABLE;
        answer_one(f);
        return;
    }
    f->read = read;
    if (read != NULL) {
        read->find = f;
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
    if (f->waiting.first != NULL) {
        uv_cond_signal(&f->wake);
    }
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
        one->error = ERR_STORE_UNAVAILABLE;
    }
    answer_all(s, list_take_all(&f->waiting));
    s->engine->disconnect(f->reader);
    f->reader = NULL;
}

void finder_done(struct finder *f)
{
    uv_cond_destroy(&f->wake);
    uv_mutex_destroy(&f->mutex);
}
