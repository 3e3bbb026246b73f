/*
 * Lists of jobs: they run on libuv's pool, at most LISTS_AT_ONCE at a time since getaddrinfo shares
 * its four threads; the rest waits in order. Each list in flight has a connection to itself, so
 * that neither the loop nor the writer waits for it. A page costs its jobs, whatever lies before
 * it.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"

struct list_request {
    uv_work_t work;
    struct store *store;
    struct list_request *next; /* while it waits */
    unsigned slot;
    unsigned mask;
    int64_t before;
    unsigned limit;
    store_list_fn done;
    void *ctx;
    /* The answer. */
    enum err error;
    struct job_record *jobs;
    size_t len;
    bool finished; /* under reader.mutex */
    bool answered;
};

/* ---- one list ----------------------------------------------------------------------------------
 */

enum { ALL_STATES = (1 << JOB_STATE_COUNT) - 1 };

/* Each state's newest come from its own stretch of the index; then the newest of all of those. */
static void list_sql(const struct list_request *l, struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_light_names(&job_columns, sql);
    buf_add_text(sql, " FROM jobs WHERE ");
    if ((l->mask & ALL_STATES) == ALL_STATES) {
        buf_printf(sql, "seq < %" PRId64, l->before);
    } else {
        buf_add_text(sql, "seq IN (");
        bool first = true;
        for (int i = 0; i < JOB_STATE_COUNT; i++) {
            if ((l->mask & (1u << i)) != 0) {
                buf_printf(sql,
                           "%sSELECT seq FROM (SELECT seq FROM jobs WHERE state = %d AND seq < "
                           "%" PRId64 " ORDER BY seq DESC LIMIT %u)",
                           first ? "" : " UNION ALL ", i, l->before, l->limit);
                first = false;
            }
        }
        buf_add_text(sql, first ? "NULL)" : ")");
    }
    buf_printf(sql, " ORDER BY seq DESC LIMIT %u", l->limit);
}

static void add_job(struct list_request *l, size_t *cap, sqlite3_stmt *q)
{
    if (l->len == *cap) {
        *cap = *cap == 0 ? 32 : *cap * 2;
        l->jobs = mem_grow(l->jobs, *cap * sizeof *l->jobs);
    }
    (void)columns_read(&job_columns, q, 0, &l->jobs[l->len]);
    l->len++;
}

static bool read_list(struct list_request *l, sqlite3 *db, char *why, size_t why_size)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    list_sql(l, &sql);
    sqlite3_stmt *q = NULL;
    if (!store_prepare(db, buf_text(&sql), &q, why, why_size)) {
        return false;
    }
    size_t cap = 0;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        add_job(l, &cap, q);
    }
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(q);
    return rc == SQLITE_DONE;
}

/* On a thread of the pool. The slot's connection is this request's alone. */
static void work(uv_work_t *req)
{
    struct list_request *l = req->data;
    struct reader *r = &l->store->reader;
    char why[256] = "";
    sqlite3 **db = &r->list_db[l->slot];
    if ((*db == NULL && !store_connect(l->store, false, 512, db, why, sizeof why)) ||
        !read_list(l, *db, why, sizeof why)) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
        l->error = ERR_STORE_UNAVAILABLE;
    }
    uv_mutex_lock(&r->mutex);
    l->finished = true;
    uv_cond_broadcast(&r->finished);
    uv_mutex_unlock(&r->mutex);
}

static void drop_jobs(struct list_request *l)
{
    for (size_t i = 0; i < l->len; i++) {
        job_record_done(&l->jobs[i]);
    }
    free(l->jobs);
    l->jobs = NULL;
    l->len = 0;
}

static void answer(struct list_request *l)
{
    l->answered = true;
    if (l->error != ERR_NONE) {
        drop_jobs(l);
    }
    l->done(l->ctx, l->error, l->jobs, l->len);
    drop_jobs(l);
}

static void start_waiting(struct store *s);

static void worked(uv_work_t *req, int status)
{
    (void)status;
    struct list_request *l = req->data;
    struct store *s = l->store;
    s->reader.running[l->slot] = NULL;
    if (!l->answered) {
        answer(l);
    }
    free(l);
    start_waiting(s);
    store_unref(s);
}

static void start_waiting(struct store *s)
{
    struct reader *r = &s->reader;
    for (unsigned i = 0; i < LISTS_AT_ONCE && r->first != NULL && !s->closing; i++) {
        if (r->running[i] != NULL) {
            continue;
        }
        struct list_request *l = r->first;
        r->first = l->next;
        if (r->first == NULL) {
            r->last = NULL;
        }
        l->slot = i;
        r->running[i] = l;
        s->refs++;
        (void)uv_queue_work(s->loop, &l->work, work, worked);
    }
}

void store_list(struct store *s, unsigned state_mask, int64_t before_seq, unsigned limit,
                store_list_fn done, void *ctx)
{
    struct list_request *l = mem_zero(1, sizeof *l);
    l->work.data = l;
    l->store = s;
    l->mask = state_mask;
    l->before = before_seq <= 0 ? INT64_MAX : before_seq;
    l->limit = limit;
    l->done = done;
    l->ctx = ctx;
    struct reader *r = &s->reader;
    if (r->last == NULL) {
        r->first = l;
    } else {
        r->last->next = l;
    }
    r->last = l;
    start_waiting(s);
}

/* ---- closing -----------------------------------------------------------------------------------
 */

static void finish_running(struct reader *r)
{
    for (unsigned i = 0; i < LISTS_AT_ONCE; i++) {
        struct list_request *l = r->running[i];
        if (l == NULL) {
            continue;
        }
        uv_mutex_lock(&r->mutex);
        while (!l->finished) {
            uv_cond_wait(&r->finished, &r->mutex);
        }
        uv_mutex_unlock(&r->mutex);
        if (!l->answered) {
            answer(l);
        }
    }
}

void lists_close(struct store *s)
{
    struct reader *r = &s->reader;
    finish_running(r);
    while (r->first != NULL) {
        struct list_request *l = r->first;
        r->first = l->next;
        l->error = ERR_STORE_UNAVAILABLE;
        answer(l);
        free(l);
    }
    r->last = NULL;
    for (unsigned i = 0; i < LISTS_AT_ONCE; i++) {
        (void)sqlite3_close(r->list_db[i]);
        r->list_db[i] = NULL;
    }
}
