/*
 * The reads. One job is read on the loop thread, with a connection of its own (WAL: no writer is in
 * the way). Lists run on libuv's pool, at most LISTS_AT_ONCE at a time since getaddrinfo shares its
 * four threads; the rest waits in order. Each list in flight has a connection to itself.
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

/* ---- opening -----------------------------------------------------------------------------------
 */

static bool prepare_reads(struct reader *r, char *why, size_t why_size)
{
    AUTO_BUF struct buf by_id;
    buf_init(&by_id, BUF_NO_LIMIT);
    buf_add_text(&by_id, "SELECT ");
    columns_add_names(&job_columns, &by_id);
    buf_add_text(&by_id, " FROM jobs WHERE id = ?");
    const char *const sql[Q_READ_COUNT] = {
        [Q_JOB_BY_ID] = buf_text(&by_id),
        [Q_WORKFLOW] = "SELECT text FROM workflows WHERE seq = ?",
        [Q_PROFILE] = "SELECT json FROM profiles WHERE seq = ? AND number = ?",
    };
    for (int i = 0; i < Q_READ_COUNT; i++) {
        if (!store_prepare(r->db, sql[i], &r->q[i], why, why_size)) {
            return false;
        }
    }
    return true;
}

static bool read_last_seq(struct store *s, char *why, size_t why_size)
{
    sqlite3_stmt *q = NULL;
    if (!store_prepare(s->reader.db, "SELECT max(seq) FROM jobs", &q, why, why_size)) {
        return false;
    }
    const bool good = sqlite3_step(q) == SQLITE_ROW;
    if (good) {
        s->last_seq = sqlite3_column_int64(q, 0);
    } else {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(s->reader.db));
    }
    (void)sqlite3_finalize(q);
    return good;
}

bool reader_open(struct store *s, char *why, size_t why_size)
{
    struct reader *r = &s->reader;
    return store_connect(s, false, 1024, &r->db, why, why_size) &&
           prepare_reads(r, why, why_size) && read_last_seq(s, why, why_size);
}

/* ---- one job -----------------------------------------------------------------------------------
 */

static enum err give_back(sqlite3_stmt *q, int rc, enum err when_none)
{
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        LOG(LOG_ERROR, "the store cannot be read",
            LOG_S("why", sqlite3_errmsg(sqlite3_db_handle(q))));
    }
    (void)sqlite3_reset(q);
    (void)sqlite3_clear_bindings(q);
    if (rc == SQLITE_ROW) {
        return ERR_NONE;
    }
    return rc == SQLITE_DONE ? when_none : ERR_STORE_UNAVAILABLE;
}

enum err store_get_job(struct store *s, struct str id, struct job_record *ret)
{
    sqlite3_stmt *q = s->reader.q[Q_JOB_BY_ID];
    (void)sqlite3_bind_text64(q, 1, id.p, id.n, SQLITE_STATIC, SQLITE_UTF8);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        (void)columns_read(&job_columns, q, 0, ret);
    }
    return give_back(q, rc, ERR_JOB_NOT_FOUND);
}

static void add_column(sqlite3_stmt *q, struct buf *out)
{
    buf_add(out, sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0));
}

enum err store_get_workflow(struct store *s, int64_t seq, struct buf *out)
{
    sqlite3_stmt *q = s->reader.q[Q_WORKFLOW];
    (void)sqlite3_bind_int64(q, 1, seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        add_column(q, out);
    }
    return give_back(q, rc, ERR_JOB_NOT_FOUND);
}

enum err store_get_profile(struct store *s, int64_t seq, unsigned attempt, struct buf *out)
{
    sqlite3_stmt *q = s->reader.q[Q_PROFILE];
    (void)sqlite3_bind_int64(q, 1, seq);
    (void)sqlite3_bind_int64(q, 2, attempt);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        add_column(q, out);
    }
    return give_back(q, rc, ERR_PROFILING_DISABLED);
}

/* ---- active jobs, at start-up ------------------------------------------------------------------
 */

static char *column_copy(sqlite3_stmt *q, int at, size_t *ret_len)
{
    const char *p = (const char *)sqlite3_column_text(q, at);
    const size_t n = (size_t)sqlite3_column_bytes(q, at);
    if (ret_len != NULL) {
        *ret_len = n;
    }
    return p == NULL ? NULL : mem_copy((struct str){p, n});
}

static void active_done(struct store_active *a)
{
    job_record_done(&a->job);
    attempt_record_done(&a->attempt);
    free(a->workflow);
    free(a->extra_data);
}

static bool read_open_attempt(sqlite3_stmt *q, struct store_active *a)
{
    (void)sqlite3_bind_int64(q, 1, a->job.seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        a->has_attempt = true;
        (void)columns_read(&attempt_columns, q, 0, &a->attempt);
    }
    (void)sqlite3_reset(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static int load_each(sqlite3_stmt *jobs, sqlite3_stmt *attempts,
                     void (*each)(void *ctx, struct store_active *a), void *ctx)
{
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(jobs)) == SQLITE_ROW) {
        struct store_active a = {0};
        const int at = columns_read(&job_columns, jobs, 0, &a.job);
        a.workflow = column_copy(jobs, at, &a.workflow_len);
        a.extra_data = column_copy(jobs, at + 1, NULL);
        const bool good = read_open_attempt(attempts, &a);
        if (good) {
            each(ctx, &a);
        }
        active_done(&a);
        if (!good) {
            return SQLITE_ERROR;
        }
    }
    return rc;
}

/* The columns are named alike in both tables: each is taken from `jobs` by the subquery. */
static void active_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT j.*, w.text, w.extra_data FROM (SELECT ");
    columns_add_names(&job_columns, sql);
    buf_add_text(sql, " FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state = 0 UNION ALL "
                      "SELECT seq FROM jobs WHERE state = 1)) j "
                      "JOIN workflows w ON w.seq = j.seq ORDER BY j.seq");
}

static void attempt_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&attempt_columns, sql);
    buf_add_text(sql, " FROM attempts WHERE seq = ? AND outcome = 0 ORDER BY number DESC LIMIT 1");
}

enum err store_load_active(struct store *s, void (*each)(void *ctx, struct store_active *a),
                           void *ctx)
{
    AUTO_BUF struct buf sql;
    AUTO_BUF struct buf sql_attempt;
    buf_init(&sql, BUF_NO_LIMIT);
    buf_init(&sql_attempt, BUF_NO_LIMIT);
    active_sql(&sql);
    attempt_sql(&sql_attempt);
    char why[256] = "";
    sqlite3_stmt *jobs = NULL;
    sqlite3_stmt *attempts = NULL;
    sqlite3 *db = s->reader.db;
    bool good = store_prepare(db, buf_text(&sql), &jobs, why, sizeof why) &&
                store_prepare(db, buf_text(&sql_attempt), &attempts, why, sizeof why);
    if (good) {
        good = load_each(jobs, attempts, each, ctx) == SQLITE_DONE;
    }
    if (!good) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", sqlite3_errmsg(db)));
    }
    (void)sqlite3_finalize(jobs);
    (void)sqlite3_finalize(attempts);
    return good ? ERR_NONE : ERR_STORE_UNAVAILABLE;
}

/* ---- lists -------------------------------------------------------------------------------------
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

void reader_close(struct store *s)
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
    for (int i = 0; i < Q_READ_COUNT; i++) {
        (void)sqlite3_finalize(r->q[i]);
        r->q[i] = NULL;
    }
    for (unsigned i = 0; i < LISTS_AT_ONCE; i++) {
        (void)sqlite3_close(r->list_db[i]);
        r->list_db[i] = NULL;
    }
    (void)sqlite3_close(r->db);
    r->db = NULL;
}
