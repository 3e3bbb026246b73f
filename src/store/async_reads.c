/*
 * Long reads (lists, exports, summaries) run on libuv's pool, at most READS_AT_ONCE at a time since
 * getaddrinfo shares its four threads; the rest waits in order. Each running read has its own
 * connection, so that neither the loop nor the writer waits for it; and each ends before its
 * answer, so that a slow client keeps no database read open.
 */
#include "async_reads.h"

#include <stdlib.h>

#include "comfypool/base/log.h"

#include "engine.h"
#include "inner.h"

/* Runs on a thread of the pool. The slot's connection is this read's alone. */
static void work(uv_work_t *req)
{
    struct async_read *r = req->data;
    const struct engine *e = r->store->engine;
    struct async_reads *all = &r->store->async_reads;
    struct reader **reader = &all->readers[r->slot];
    char why[256] = "";
    if (*reader == NULL) {
        *reader = e->connect(r->store, READER_CACHE_KIB, why, sizeof why);
    }
    if (*reader != NULL) {
        r->error = r->run(r, e, *reader);
    } else {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
        r->error = ERR_STORE_UNAVAILABLE;
    }
    uv_mutex_lock(&all->mutex);
    r->finished = true;
    uv_cond_broadcast(&all->finished);
    uv_mutex_unlock(&all->mutex);
}

static void answer(struct async_read *r)
{
    r->answered = true;
    r->answer(r);
}

static void start_waiting(struct store *s);

static void worked(uv_work_t *req, int status)
{
    (void)status;
    struct async_read *r = req->data;
    struct store *s = r->store;
    s->async_reads.running[r->slot] = NULL;
    if (!r->answered) {
        answer(r);
    }
    free(r);
    start_waiting(s);
    store_unref(s);
}

static void start_waiting(struct store *s)
{
    struct async_reads *all = &s->async_reads;
    for (unsigned i = 0; i < READS_AT_ONCE && all->first != NULL && !s->closing; i++) {
        if (all->running[i] != NULL) {
            continue;
        }
        struct async_read *r = all->first;
        all->first = r->next;
        if (all->first == NULL) {
            all->last = NULL;
        }
        r->slot = i;
        all->running[i] = r;
        s->refs++;
        (void)uv_queue_work(s->loop, &r->work, work, worked);
    }
}

void async_read_start(struct store *s, struct async_read *r)
{
    struct async_reads *all = &s->async_reads;
    r->work.data = r;
    r->store = s;
    if (all->last == NULL) {
        all->first = r;
    } else {
        all->last->next = r;
    }
    all->last = r;
    start_waiting(s);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void finish_running(struct async_reads *all)
{
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        struct async_read *r = all->running[i];
        if (r == NULL) {
            continue;
        }
        uv_mutex_lock(&all->mutex);
        while (!r->finished) {
            uv_cond_wait(&all->finished, &all->mutex);
        }
        uv_mutex_unlock(&all->mutex);
        if (!r->answered) {
            answer(r);
        }
    }
}

void async_reads_close(struct store *s)
{
    struct async_reads *all = &s->async_reads;
    finish_running(all);
    while (all->first != NULL) {
        struct async_read *r = all->first;
        all->first = r->next;
        r->error = ERR_STORE_UNAVAILABLE;
        answer(r);
        free(r);
    }
    all->last = NULL;
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        s->engine->disconnect(all->readers[i]);
        all->readers[i] = NULL;
    }
}
