/*
 * Single reads from SQLite, each connection on one thread (WAL: no writer is in the way): a job,
 * its workflow, attempts and profiles, a key, a setting; and reads at start-up: active jobs,
 * strays, backends. Pages are sqlite_lists.c, sqlite_profiles.c and sqlite_rollups.c.
 */
#include "sqlite_read.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/log.h"
#include "comfypool/core/batch.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/profiles.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/uploads.h"

#include "columns.h"
#include "engine.h"
#include "sqlite_database.h"
#include "sqlite_rows.h"

/* ---- opening --------------------------------------------------------------------------------- */

static void job_by_id_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&job_columns, sql);
    buf_add_text(sql, " FROM jobs WHERE id = ?");
}

/* Both tables use the same column names: the subquery takes each from `jobs`. */
static void whole_jobs_sql(struct buf *sql, const char *where)
{
    buf_add_text(sql, "SELECT j.*, w.text, w.extra_data, c.text FROM (SELECT ");
    columns_add_names(&job_columns, sql);
    buf_printf(sql,
               " FROM jobs WHERE %s) j LEFT JOIN workflows w ON w.seq = j.seq "
               "LEFT JOIN credentials c ON c.owner = j.id ORDER BY j.seq",
               where);
}

static void whole_job_sql(struct buf *sql)
{
    whole_jobs_sql(sql, "id = ?");
}

static void attempts_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&attempt_columns, sql);
    buf_add_text(sql, " FROM attempts WHERE seq = ? ORDER BY number");
}

static void batches_sql(struct buf *sql, const char *where)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&batch_columns, sql);
    buf_printf(sql,
               ", text, extra_data, (SELECT c.text FROM credentials c WHERE c.owner = batches.id) "
               "FROM batches WHERE %s",
               where);
}

static void batch_sql(struct buf *sql)
{
    batches_sql(sql, "id = ?");
}

static void key_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&key_columns, sql);
    buf_add_text(sql, " FROM keys WHERE key = ? AND at >= ?");
}

static void due_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_light_names(&delivery_columns, sql);
    buf_add_text(sql, " FROM deliveries WHERE state < 2 AND host = ? AND next_at <= ? "
                      "ORDER BY next_at LIMIT ?");
}

static void delivery_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&delivery_columns, sql);
    buf_add_text(sql, " FROM deliveries WHERE id = ?");
}

static const char *const fixed_sql[Q_READ_COUNT] = {
    [Q_READ_BEGIN] = "BEGIN",
    [Q_READ_END] = "COMMIT",
    [Q_DUE_HOSTS] = "SELECT DISTINCT host FROM deliveries WHERE state < 2",
    [Q_DUE_LATER] = "SELECT 1 FROM deliveries WHERE state < 2 AND host = ? AND next_at > ? LIMIT 1",
    [Q_DELIVERIES_WAITING] = "SELECT count(*) FROM deliveries WHERE state < 2",
    [Q_WORKFLOW] = "SELECT coalesce(w.text, b.text), j.overrides FROM jobs j "
                   "LEFT JOIN workflows w ON w.seq = j.seq "
                   "LEFT JOIN batches b ON b.id = j.batch_id WHERE j.seq = ?",
    [Q_COUNT_BATCH] = "SELECT state, count(*) FROM jobs WHERE batch_id = ? GROUP BY state",
    [Q_STAMPS] = "SELECT files FROM stamps WHERE seq = ? AND ended_at = ?",
    [Q_PROFILE] = "SELECT json FROM profiles WHERE seq = ? AND number = ?",
    [Q_SETTING] = "SELECT value FROM settings WHERE name = ?",
    [Q_CLIENT_OF_JOB] = "SELECT client FROM jobs WHERE id = ?",
    [Q_CLIENT_OF_BATCH] = "SELECT client FROM batches WHERE id = ?",
    [Q_CLIENT_OF_DELIVERY] = "SELECT client FROM deliveries WHERE id = ?",
};

static void (*const made_sql[Q_READ_COUNT])(struct buf *) = {
    [Q_JOB_BY_ID] = job_by_id_sql, [Q_WHOLE_JOB] = whole_job_sql,
    [Q_ATTEMPTS] = attempts_sql,   [Q_KEY] = key_sql,
    [Q_BATCH] = batch_sql,         [Q_DUE] = due_sql,
    [Q_DELIVERY] = delivery_sql,
};

static bool prepare_reads(struct reader *r, char *why, size_t why_size)
{
    for (int i = 0; i < Q_READ_COUNT; i++) {
        AUTO_BUF struct buf sql;
        buf_init(&sql, BUF_NO_LIMIT);
        if (made_sql[i] != NULL) {
            made_sql[i](&sql);
        } else {
            buf_add_text(&sql, fixed_sql[i]);
        }
        if (!database_prepare(r->db, buf_text(&sql), &r->q[i], why, why_size)) {
            return false;
        }
    }
    return true;
}

bool reader_last_seq(struct reader *r, int64_t *ret, char *why, size_t why_size)
{
    sqlite3_stmt *q = NULL;
    if (!database_prepare(r->db, "SELECT max(seq) FROM jobs", &q, why, why_size)) {
        return false;
    }
    const bool good = sqlite3_step(q) == SQLITE_ROW;
    if (good) {
        *ret = sqlite3_column_int64(q, 0);
    } else {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(r->db));
        database_explain(why, why_size);
    }
    (void)sqlite3_finalize(q);
    return good;
}

struct reader *reader_connect(const struct store *s, int cache_kib, char *why, size_t why_size)
{
    struct reader *r = mem_zero(1, sizeof *r);
    if (!database_connect(s, false, cache_kib, &r->db, why, why_size) ||
        !prepare_reads(r, why, why_size)) {
        database_explain(why, why_size);
        reader_disconnect(r);
        return NULL;
    }
    return r;
}

void reader_disconnect(struct reader *r)
{
    if (r == NULL) {
        return;
    }
    for (int i = 0; i < Q_READ_COUNT; i++) {
        (void)sqlite3_finalize(r->q[i]);
    }
    (void)sqlite3_close(r->db);
    free(r);
}

/* Steps a statement without parameters or rows. */
static bool step_once(sqlite3_stmt *q)
{
    const bool good = sqlite3_step(q) == SQLITE_DONE;
    if (!good) {
        LOG(LOG_ERROR, "the store cannot be read",
            LOG_S("why", sqlite3_errmsg(sqlite3_db_handle(q))));
    }
    (void)sqlite3_reset(q);
    return good;
}

bool reader_begin(struct reader *r)
{
    return step_once(r->q[Q_READ_BEGIN]);
}

void reader_end(struct reader *r)
{
    (void)step_once(r->q[Q_READ_END]);
}

/* ---- one job --------------------------------------------------------------------------------- */

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

static char *column_copy(sqlite3_stmt *q, int at, size_t *ret_len)
{
    const char *p = (const char *)sqlite3_column_text(q, at);
    const size_t n = (size_t)sqlite3_column_bytes(q, at);
    if (ret_len != NULL) {
        *ret_len = n;
    }
    return p == NULL ? NULL : mem_copy((struct str){p, n});
}

/* Copies keys without the blanks of credentials_pad. */
static char *keys_copy(sqlite3_stmt *q, int at)
{
    char *text = column_copy(q, at, NULL);
    if (text != NULL) {
        const char *from = text + strspn(text, " ");
        memmove(text, from, strlen(from) + 1);
    }
    return text;
}

enum err reader_job(struct reader *r, struct str id, struct job_record *ret)
{
    sqlite3_stmt *q = r->q[Q_JOB_BY_ID];
    (void)sqlite3_bind_text64(q, 1, id.p, id.n, SQLITE_STATIC, SQLITE_UTF8);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        (void)row_read(&job_columns, q, 0, ret);
    }
    return give_back(q, rc, ERR_JOB_NOT_FOUND);
}

enum err reader_client(struct reader *r, enum store_owned what, const char *id, char **ret)
{
    static const struct {
        enum read_statement statement;
        enum err when_none;
    } of[] = {[STORE_JOB] = {Q_CLIENT_OF_JOB, ERR_JOB_NOT_FOUND},
              [STORE_BATCH] = {Q_CLIENT_OF_BATCH, ERR_BATCH_NOT_FOUND},
              [STORE_DELIVERY] = {Q_CLIENT_OF_DELIVERY, ERR_DELIVERY_NOT_FOUND}};
    sqlite3_stmt *q = r->q[of[what].statement];
    *ret = NULL;
    (void)sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *ret = column_copy(q, 0, NULL);
    }
    return give_back(q, rc, of[what].when_none);
}

static struct str column_str(sqlite3_stmt *q, int at)
{
    const char *p = (const char *)sqlite3_column_text(q, at);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(q, at)};
}

enum err reader_workflow(struct reader *r, int64_t seq, struct buf *out)
{
    sqlite3_stmt *q = r->q[Q_WORKFLOW];
    (void)sqlite3_bind_int64(q, 1, seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW && column_str(q, 1).n > 0) {
        override_apply(column_str(q, 0), column_str(q, 1), out);
    } else if (rc == SQLITE_ROW) {
        buf_add_str(out, column_str(q, 0));
    }
    return give_back(q, rc, ERR_JOB_NOT_FOUND);
}

enum err reader_stamps(struct reader *r, int64_t seq, struct wall_us ended_at, struct buf *out)
{
    sqlite3_stmt *q = r->q[Q_STAMPS];
    (void)sqlite3_bind_int64(q, 1, seq);
    (void)sqlite3_bind_int64(q, 2, ended_at.us);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        buf_add_str(out, column_str(q, 0));
    }
    return give_back(q, rc, ERR_OUTPUT_NOT_FOUND);
}

enum err reader_profile(struct reader *r, int64_t seq, unsigned attempt, struct buf *out)
{
    sqlite3_stmt *q = r->q[Q_PROFILE];
    (void)sqlite3_bind_int64(q, 1, seq);
    (void)sqlite3_bind_int64(q, 2, attempt);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        buf_add_str(out, column_str(q, 0));
    }
    return give_back(q, rc, ERR_PROFILING_DISABLED);
}

enum err reader_attempts(struct reader *r, int64_t seq, struct attempt_record **ret,
                         size_t *ret_len)
{
    sqlite3_stmt *q = r->q[Q_ATTEMPTS];
    (void)sqlite3_bind_int64(q, 1, seq);
    struct attempt_record *list = NULL;
    size_t len = 0;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        list = mem_grow(list, (len + 1) * sizeof *list);
        memset(&list[len], 0, sizeof *list);
        (void)row_read(&attempt_columns, q, 0, &list[len]);
        len++;
    }
    *ret = list;
    *ret_len = len;
    return give_back(q, rc, ERR_NONE);
}

enum err reader_key(struct reader *r, const char *key, struct wall_us now, struct key_record *ret)
{
    *ret = (struct key_record){0};
    sqlite3_stmt *q = r->q[Q_KEY];
    (void)sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 2, now.us - KEY_LIFE_US);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        (void)row_read(&key_columns, q, 0, ret);
    }
    return give_back(q, rc, ERR_NONE);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void read_batch(sqlite3_stmt *q, struct store_batch *ret)
{
    *ret = (struct store_batch){.workflow = NULL};
    const int at = row_read(&batch_columns, q, 0, &ret->r);
    ret->workflow = column_copy(q, at, &ret->workflow_len);
    ret->extra_data = column_copy(q, at + 1, NULL);
    ret->credentials = keys_copy(q, at + 2);
}

enum err reader_batch(struct reader *r, const char *id, struct store_batch *ret)
{
    *ret = (struct store_batch){.workflow = NULL};
    sqlite3_stmt *q = r->q[Q_BATCH];
    (void)sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        read_batch(q, ret);
    }
    return give_back(q, rc, ERR_BATCH_NOT_FOUND);
}

enum err reader_count_batch(struct reader *r, const char *id, int64_t ret[JOB_STATE_COUNT])
{
    memset(ret, 0, JOB_STATE_COUNT * sizeof *ret);
    sqlite3_stmt *q = r->q[Q_COUNT_BATCH];
    (void)sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const int state = sqlite3_column_int(q, 0);
        if (state >= 0 && state < JOB_STATE_COUNT) {
            ret[state] = sqlite3_column_int64(q, 1);
        }
    }
    return give_back(q, rc, ERR_NONE);
}

enum err reader_setting(struct reader *r, const char *name, char **ret)
{
    *ret = NULL;
    sqlite3_stmt *q = r->q[Q_SETTING];
    (void)sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *ret = column_copy(q, 0, NULL);
    }
    return give_back(q, rc, ERR_NONE);
}

/* ---- deliveries ------------------------------------------------------------------------------ */

static enum err has_later(struct reader *r, const char *host, struct wall_us until, bool *ret)
{
    sqlite3_stmt *q = r->q[Q_DUE_LATER];
    (void)sqlite3_bind_text(q, 1, host, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 2, until.us);
    const int rc = sqlite3_step(q);
    *ret = rc == SQLITE_ROW;
    return give_back(q, rc, ERR_NONE);
}

enum err reader_due(struct reader *r, const char *host, struct wall_us until, unsigned limit,
                    void (*each)(void *ctx, struct delivery_record *d), void *ctx, bool *ret_later)
{
    sqlite3_stmt *q = r->q[Q_DUE];
    (void)sqlite3_bind_text(q, 1, host, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 2, until.us);
    (void)sqlite3_bind_int64(q, 3, limit);
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct delivery_record d = {0};
        (void)row_read(&delivery_columns, q, 0, &d);
        each(ctx, &d);
        delivery_record_done(&d);
    }
    const enum err e = give_back(q, rc, ERR_NONE);
    return e == ERR_NONE ? has_later(r, host, until, ret_later) : e;
}

enum err reader_load_due_hosts(struct reader *r, void (*each)(void *ctx, const char *host),
                               void *ctx)
{
    sqlite3_stmt *q = r->q[Q_DUE_HOSTS];
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        each(ctx, (const char *)sqlite3_column_text(q, 0));
    }
    return give_back(q, rc, ERR_NONE);
}

enum err reader_delivery(struct reader *r, const char *id, struct delivery_record *ret)
{
    *ret = (struct delivery_record){0};
    sqlite3_stmt *q = r->q[Q_DELIVERY];
    (void)sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        (void)row_read(&delivery_columns, q, 0, ret);
    }
    return give_back(q, rc, ERR_DELIVERY_NOT_FOUND);
}

enum err reader_count_waiting(struct reader *r, int64_t *ret)
{
    sqlite3_stmt *q = r->q[Q_DELIVERIES_WAITING];
    const int rc = sqlite3_step(q);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    return give_back(q, rc, ERR_NONE);
}

/* ---- jobs with their workflows --------------------------------------------------------------- */

static void read_whole(sqlite3_stmt *q, struct store_active *ret)
{
    *ret = (struct store_active){0};
    const int at = row_read(&job_columns, q, 0, &ret->job);
    ret->workflow = column_copy(q, at, &ret->workflow_len);
    ret->extra_data = column_copy(q, at + 1, NULL);
    ret->credentials = keys_copy(q, at + 2);
}

enum err reader_whole_job(struct reader *r, struct str id, struct store_active *ret)
{
    *ret = (struct store_active){0};
    sqlite3_stmt *q = r->q[Q_WHOLE_JOB];
    (void)sqlite3_bind_text64(q, 1, id.p, id.n, SQLITE_STATIC, SQLITE_UTF8);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        read_whole(q, ret);
    }
    return give_back(q, rc, ERR_JOB_NOT_FOUND);
}

/* ---- many rows ------------------------------------------------------------------------------- */

sqlite3_stmt *reader_prepare(struct reader *r, const char *sql)
{
    char why[256] = "";
    sqlite3_stmt *q = NULL;
    if (!database_prepare(r->db, sql, &q, why, sizeof why)) {
        LOG(LOG_ERROR, "the store cannot be read", LOG_S("why", why));
    }
    return q;
}

enum err reader_run(sqlite3_stmt *q, bool (*each)(sqlite3_stmt *q, void *to), void *to,
                    bool *ret_more)
{
    if (q == NULL) {
        return ERR_STORE_UNAVAILABLE;
    }
    int rc = SQLITE_ROW;
    bool goes_on = true;
    while (goes_on && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        goes_on = each(q, to);
    }
    if (ret_more != NULL) {
        *ret_more = !goes_on;
    }
    const enum err e = give_back(q, rc, ERR_NONE);
    (void)sqlite3_finalize(q);
    return e;
}

/* ---- active jobs, at start-up ---------------------------------------------------------------- */

static void active_done(struct store_active *a)
{
    job_record_done(&a->job);
    attempt_record_done(&a->attempt);
    free(a->workflow);
    free(a->extra_data);
    free(a->credentials);
}

static bool read_open_attempt(sqlite3_stmt *q, struct store_active *a)
{
    (void)sqlite3_bind_int64(q, 1, a->job.seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        a->has_attempt = true;
        (void)row_read(&attempt_columns, q, 0, &a->attempt);
    }
    (void)sqlite3_reset(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static int load_each(sqlite3_stmt *jobs, sqlite3_stmt *attempts,
                     void (*each)(void *ctx, struct store_active *a), void *ctx)
{
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(jobs)) == SQLITE_ROW) {
        struct store_active a;
        read_whole(jobs, &a);
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

static void active_sql(struct buf *sql)
{
    whole_jobs_sql(sql, "seq IN (SELECT seq FROM jobs WHERE state = 0 UNION ALL "
                        "SELECT seq FROM jobs WHERE state = 1)");
}

static void open_attempt_sql(struct buf *sql)
{
    buf_add_text(sql, "SELECT ");
    columns_add_names(&attempt_columns, sql);
    buf_add_text(sql, " FROM attempts WHERE seq = ? AND outcome = 0 ORDER BY number DESC LIMIT 1");
}

enum err reader_load_active(struct reader *r, void (*each)(void *ctx, struct store_active *a),
                            void *ctx)
{
    AUTO_BUF struct buf sql;
    AUTO_BUF struct buf sql_attempt;
    buf_init(&sql, BUF_NO_LIMIT);
    buf_init(&sql_attempt, BUF_NO_LIMIT);
    active_sql(&sql);
    open_attempt_sql(&sql_attempt);
    char why[256] = "";
    sqlite3_stmt *jobs = NULL;
    sqlite3_stmt *attempts = NULL;
    sqlite3 *db = r->db;
    bool good = database_prepare(db, buf_text(&sql), &jobs, why, sizeof why) &&
                database_prepare(db, buf_text(&sql_attempt), &attempts, why, sizeof why);
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

/* ---- whole tables, at start-up --------------------------------------------------------------- */

/* Calls each_row for every row of a table in key order, from column 0 on. more: further columns,
   beginning with a comma, or "". */
static enum err load_more(struct reader *r, const char *table, const char *key,
                          const struct columns *c, const char *more,
                          bool (*each_row)(sqlite3_stmt *q, void *to), void *to)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    buf_add_text(&sql, "SELECT ");
    columns_add_names(c, &sql);
    buf_printf(&sql, "%s FROM %s ORDER BY %s", more, table, key);
    return reader_run(reader_prepare(r, buf_text(&sql)), each_row, to, NULL);
}

static enum err load_table(struct reader *r, const char *table, const char *key,
                           const struct columns *c, bool (*each_row)(sqlite3_stmt *q, void *to),
                           void *to)
{
    return load_more(r, table, key, c, "", each_row, to);
}

struct to_batch {
    void (*each)(void *ctx, struct store_batch *b);
    void *ctx;
};

static bool batch_row(sqlite3_stmt *q, void *to)
{
    const struct to_batch *t = to;
    struct store_batch b;
    read_batch(q, &b);
    t->each(t->ctx, &b);
    store_batch_done(&b);
    return true;
}

enum err reader_load_batches(struct reader *r, void (*each)(void *ctx, struct store_batch *b),
                             void *ctx)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    batches_sql(&sql, "told = 0");
    return reader_run(reader_prepare(r, buf_text(&sql)), batch_row, &(struct to_batch){each, ctx},
                      NULL);
}

struct to_stray {
    void (*each)(void *ctx, struct stray_record *r);
    void *ctx;
};

static bool stray_row(sqlite3_stmt *q, void *to)
{
    const struct to_stray *t = to;
    struct stray_record r = {0};
    (void)row_read(&stray_columns, q, 0, &r);
    t->each(t->ctx, &r);
    stray_record_done(&r);
    return true;
}

enum err reader_load_strays(struct reader *r, void (*each)(void *ctx, struct stray_record *r),
                            void *ctx)
{
    return load_table(r, "strays", "prompt_id", &stray_columns, stray_row,
                      &(struct to_stray){each, ctx});
}

struct to_backend {
    void (*each)(void *ctx, struct backend_record *r);
    void *ctx;
};

static bool backend_row(sqlite3_stmt *q, void *to)
{
    const struct to_backend *t = to;
    struct backend_record r = {0};
    (void)row_read(&backend_columns, q, 0, &r);
    t->each(t->ctx, &r);
    backend_record_done(&r);
    return true;
}

enum err reader_load_backends(struct reader *r, void (*each)(void *ctx, struct backend_record *r),
                              void *ctx)
{
    return load_table(r, "backends", "name", &backend_columns, backend_row,
                      &(struct to_backend){each, ctx});
}

struct to_upload {
    void (*each)(void *ctx, const struct upload_record *r);
    void *ctx;
};

static bool upload_row(sqlite3_stmt *q, void *to)
{
    const struct to_upload *t = to;
    struct upload_record r = {.size = 0};
    (void)row_read(&upload_columns, q, 0, &r);
    t->each(t->ctx, &r);
    return true;
}

enum err reader_load_uploads(struct reader *r,
                             void (*each)(void *ctx, const struct upload_record *r), void *ctx)
{
    return load_table(r, "uploads", "used_at", &upload_columns, upload_row,
                      &(struct to_upload){each, ctx});
}

struct to_owner {
    void (*each)(void *ctx, const struct owner_record *r);
    void *ctx;
};

static bool owner_row(sqlite3_stmt *q, void *to)
{
    const struct to_owner *t = to;
    struct owner_record r = {.client = NULL};
    (void)row_read(&owner_columns, q, 0, &r);
    t->each(t->ctx, &r);
    owner_record_done(&r);
    return true;
}

enum err reader_load_owners(struct reader *r, void (*each)(void *ctx, const struct owner_record *r),
                            void *ctx)
{
    return load_table(r, "upload_owners", "sha256", &owner_columns, owner_row,
                      &(struct to_owner){each, ctx});
}

struct to_kept {
    void (*each)(void *ctx, const struct kept_record *r, const char *backend);
    void *ctx;
};

static bool kept_row(sqlite3_stmt *q, void *to)
{
    const struct to_kept *t = to;
    struct kept_record r = {.seq = 0};
    const int at = row_read(&kept_columns, q, 0, &r);
    t->each(t->ctx, &r, (const char *)sqlite3_column_text(q, at));
    kept_record_done(&r);
    return true;
}

enum err reader_load_kept(struct reader *r,
                          void (*each)(void *ctx, const struct kept_record *r, const char *backend),
                          void *ctx)
{
    return load_more(r, "kept", "ended_at", &kept_columns,
                     ", (SELECT backend FROM jobs WHERE jobs.id = kept.job_id)", kept_row,
                     &(struct to_kept){each, ctx});
}
