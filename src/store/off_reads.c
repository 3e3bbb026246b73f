/*
 * Reads that may take long (lists, exports, summaries) run on libuv's pool, at most READS_AT_ONCE
 * at a time since getaddrinfo shares its four threads; the rest waits in order. Each read in flight
 * has a connection to itself, so that neither the loop nor the writer waits for it; and each ends
 * before it is answered, so that a slow client keeps no database read open.
 */
#include "internal.h"

#include <stdlib.h>

#include "comfypool/base/log.h"

/* On a thread of the pool. The slot's connection is this read's alone. */
static void work(uv_work_t *req)
{
    struct off_read *r = req->data;
    struct reader *reader = &r->store->reader;
    char why[256] = "";
    sqlite3 **db = &reader->off_db[r->slot];
    if ((*db == NULL && !store_connect(r->store, false, 512, db, why, sizeof why)) ||
        !r->run(r, *db, why, sizeof why)) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
        r->error = ERR_STORE_UNAVAILABLE;
    }
    uv_mutex_lock(&reader->mutex);
    r->finished = true;
    uv_cond_broadcast(&reader->finished);
    uv_mutex_unlock(&reader->mutex);
}

static void answer(struct off_read *r)
{
    r->answered = true;
    r->answer(r);
}

static void start_waiting(struct store *s);

static void worked(uv_work_t *req, int status)
{
    (void)status;
    struct off_read *r = req->data;
    struct store *s = r->store;
    s->reader.running[r->slot] = NULL;
    if (!r->answered) {
        answer(r);
    }
    free(r);
    start_waiting(s);
    store_unref(s);
}

static void start_waiting(struct store *s)
{
    struct reader *reader = &s->reader;
    for (unsigned i = 0; i < READS_AT_ONCE && reader->first != NULL && !s->closing; i++) {
        if (reader->running[i] != NULL) {
            continue;
        }
        struct off_read *r = reader->first;
        reader->first = r->next;
        if (reader->first == NULL) {
            reader->last = NULL;
        }
        r->slot = i;
        reader->running[i] = r;
        s->refs++;
        (void)uv_queue_work(s->loop, &r->work, work, worked);
    }
}

void off_read_start(struct store *s, struct off_read *r)
{
    struct reader *reader = &s->reader;
    r->work.data = r;
    r->store = s;
    if (reader->last == NULL) {
        reader->first = r;
    } else {
        reader->last->next = r;
    }
    reader->last = r;
    start_waiting(s);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void finish_running(struct reader *reader)
{
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        struct off_read *r = reader->running[i];
        if (r == NULL) {
            continue;
        }
        uv_mutex_lock(&reader->mutex);
        while (!r->finished) {
            uv_cond_wait(&reader->finished, &reader->mutex);
        }
        uv_mutex_unlock(&reader->mutex);
        if (!r->answered) {
            answer(r);
        }
    }
}

void off_reads_close(struct store *s)
{
    struct reader *reader = &s->reader;
    finish_running(reader);
    while (reader->first != NULL) {
        struct off_read *r = reader->first;
        reader->first = r->next;
        r->error = ERR_STORE_UNAVAILABLE;
        answer(r);
        free(r);
    }
    reader->last = NULL;
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        (void)sqlite3_close(reader->off_db[i]);
        reader->off_db[i] = NULL;
    }
}
