/*
 * The work of each kind of op inside the writer's open transaction, and its statements. writes.c
 * makes the ops; the writer decides when and how often they are applied.
 *
 * Invariant: an op applied twice in two transactions (the first one rolled back) writes the same. A
 * job without a key, a stray, a profile or a webhook costs no statement for them.
 */
#include "sqlite_ops.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "sqlite_credentials.h"
#include "sqlite_database.h"
#include "sqlite_fold.h"
#include "sqlite_rows.h"

enum { PRUNE_STEP = 200 };

/* ---- statements ------------------------------------------------------------------------------ */

/* Statements that do not follow from the column tables. */
static const char *const fixed_sql[Q_WRITE_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    /* As large as a small job, to predict the next one. */
    [Q_PROBE] = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(16384))",
    [Q_STATE] = "SELECT state FROM jobs WHERE seq = ?",
    [Q_INSERT_WORKFLOW] = "INSERT INTO workflows (seq, text, extra_data) VALUES (?, ?, ?)",
    [Q_KEY_STATUS] = "UPDATE keys SET status = ? WHERE key = ?",
    [Q_BEGIN_JOB] = "UPDATE jobs SET state = ?, backend = ?, prompt_id = ?, attempts = ?, "
                    "auto_seeds = ?, placement = ? WHERE seq = ?",
    [Q_SET_BATCH_TEXTS] = "UPDATE batches SET text = ?, extra_data = ? WHERE id = ?",
    [Q_DELETE_UPLOAD] = "DELETE FROM uploads WHERE sha256 = ?",
    [Q_DELETE_OWNERS] = "DELETE FROM upload_owners WHERE sha256 = ?",
    [Q_DELETE_OWNER] = "DELETE FROM upload_owners WHERE sha256 = ? AND client = ?",
    /* The job may have been deleted meanwhile. */
    [Q_PUT_KEPT] = "INSERT OR REPLACE INTO kept (seq, job_id, ended_at, files) "
                   "SELECT ?1, ?2, ?3, ?4 WHERE EXISTS ("
                   "SELECT 1 FROM jobs WHERE seq = ?1 AND id = ?2)",
    [Q_PUT_STAMPS] = "INSERT OR REPLACE INTO stamps (seq, ended_at, files) "
                     "SELECT ?1, ?3, ?4 WHERE EXISTS ("
                     "SELECT 1 FROM jobs WHERE seq = ?1 AND id = ?2)",
    [Q_DELETE_KEPT] = "DELETE FROM kept WHERE seq = ?",
    [Q_END_BATCH] = "UPDATE batches SET told = 1 WHERE id = ?",
    [Q_MARK_CANCEL] = "UPDATE jobs SET cancel_requested = ? WHERE seq = ?",
    [Q_DELETE_JOB] = "DELETE FROM jobs WHERE seq = ?",
    [Q_DELETE_ATTEMPT] = "DELETE FROM attempts WHERE seq = ? AND number = ?",
    /* A seq may be reused after its job was deleted; a prompt id never is. */
    [Q_LATE] = "UPDATE attempts SET late = ? WHERE seq = ? AND number = ? AND prompt_id = ?",
    [Q_DELETE_STRAY] = "DELETE FROM strays WHERE prompt_id = ?",
    [Q_DELETE_BACKEND] = "DELETE FROM backends WHERE name = ?",
    [Q_PUT_SETTING] = "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)",
    [Q_PUT_PROFILE] = "INSERT OR REPLACE INTO profiles (seq, number, json) VALUES (?, ?, ?)",
    [Q_DELETE_DELIVERY] = "DELETE FROM deliveries WHERE id = ?",
    [Q_PRUNE_DELIVERIES] = "DELETE FROM deliveries WHERE state >= 2 AND next_at < ?",
    [Q_PUT_MEASUREMENT] = "INSERT INTO measurements (data) VALUES (?)",
    [Q_MEASUREMENTS] = "SELECT n, data FROM measurements ORDER BY n LIMIT ?",
    [Q_DELETE_MEASUREMENTS] = "DELETE FROM measurements WHERE n <= ?",
    [Q_GET_ROLLUP] = "SELECT data FROM rollups WHERE kind = ? AND key = ? AND start = ? AND "
                     "span = ?",
    [Q_PUT_ROLLUP] = "INSERT INTO rollups (kind, key, start, span, label, data) "
                     "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, key, start, span) DO UPDATE "
                     "SET label = coalesce(excluded.label, label), data = excluded.data",
    [Q_ROLLUPS_OF_KEYS] = "SELECT start, span, data FROM rollups WHERE kind = ?1 AND key >= ?2 "
                          "AND key < ?3",
    [Q_DELETE_ROLLUPS_OF_KEYS] = "DELETE FROM rollups WHERE kind = ?1 AND key >= ?2 AND key < ?3",
    [Q_TOUCH_KEY] = "UPDATE rollup_keys SET last = max(last, ?1) WHERE kind = ?2 AND key = ?3",
    [Q_PUT_KEY] = "INSERT OR REPLACE INTO rollup_keys (kind, key, last) VALUES (?, ?, ?)",
    [Q_COUNT_KEYS] = "SELECT count(*) FROM rollup_keys WHERE kind = ?1 AND key >= ?2 AND key < ?3",
    [Q_OLDEST_KEY] = "SELECT key FROM rollup_keys WHERE kind = ? AND key <> 'other' "
                     "ORDER BY last LIMIT 1",
    [Q_DELETE_KEYS] = "DELETE FROM rollup_keys WHERE kind = ?1 AND key >= ?2 AND key < ?3",
    [Q_OLD_HOURS] = "SELECT kind, key, start, label, data FROM rollups WHERE span = 1 AND "
                    "start < ? LIMIT ?",
    [Q_DELETE_ROLLUP] = "DELETE FROM rollups WHERE kind = ? AND key = ? AND start = ? AND span = ?",
    [Q_PRUNE_DAYS] = "DELETE FROM rollups WHERE span = 24 AND start < ?",
    [Q_PRUNE_AGE] = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state >= 2 AND "
                    "completed_at < ?1 ORDER BY completed_at LIMIT ?2) RETURNING state",
    [Q_PRUNE_COUNT] = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state >= 2 "
                      "ORDER BY completed_at LIMIT ?1) RETURNING state",
    [Q_PRUNE_KEYS] = "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE at < ?1 "
                     "ORDER BY at LIMIT ?2)",
    [Q_OLDER] = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state >= 2 AND completed_at < ?)",
    [Q_PUT_CREDENTIALS] = "INSERT OR REPLACE INTO credentials (owner, text) VALUES (?, ?)",
    [Q_DELETE_CREDENTIALS] = "DELETE FROM credentials WHERE owner = ?",
    [Q_VACUUM] = "PRAGMA incremental_vacuum(500)",
};

static void put_sql(struct buf *sql, const char *verb, const char *table, const struct columns *c)
{
    buf_printf(sql, "%s INTO %s (", verb, table);
    columns_add_names(c, sql);
    buf_add_text(sql, ") VALUES (");
    columns_add_marks(c, sql);
    buf_add_text(sql, ")");
}

static void job_insert_sql(struct buf *sql)
{
    put_sql(sql, "INSERT", "jobs", &job_columns);
}

static void job_update_sql(struct buf *sql)
{
    buf_add_text(sql, "UPDATE jobs SET ");
    columns_add_sets(&job_columns, sql);
    buf_add_text(sql, " WHERE seq = ?");
}

static void attempt_put_sql(struct buf *sql)
{
    buf_add_text(sql, "INSERT OR REPLACE INTO attempts (seq, ");
    columns_add_names(&attempt_columns, sql);
    buf_add_text(sql, ") VALUES (?, ");
    columns_add_marks(&attempt_columns, sql);
    buf_add_text(sql, ")");
}

/* Changes nothing while the key is valid. */
static void key_insert_sql(struct buf *sql)
{
    put_sql(sql, "INSERT", "keys", &key_columns);
    buf_printf(sql,
               " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, "
               "job_id = excluded.job_id, status = excluded.status, at = excluded.at "
               "WHERE at < excluded.at - %" PRId64,
               KEY_LIFE_US);
}

static void stray_put_sql(struct buf *sql)
{
    put_sql(sql, "INSERT OR REPLACE", "strays", &stray_columns);
}

static void backend_put_sql(struct buf *sql)
{
    put_sql(sql, "INSERT OR REPLACE", "backends", &backend_columns);
}

/* Without its texts, which come in a second step. */
static void batch_insert_sql(struct buf *sql)
{
    buf_add_text(sql, "INSERT INTO batches (");
    columns_add_names(&batch_columns, sql);
    buf_add_text(sql, ", text) VALUES (");
    columns_add_marks(&batch_columns, sql);
    buf_add_text(sql, ", '')");
}

static void upload_put_sql(struct buf *sql)
{
    put_sql(sql, "INSERT OR REPLACE", "uploads", &upload_columns);
}

static void owner_put_sql(struct buf *sql)
{
    put_sql(sql, "INSERT OR REPLACE", "upload_owners", &owner_columns);
}

static void delivery_put_sql(struct buf *sql)
{
    put_sql(sql, "INSERT", "deliveries", &delivery_columns);
}

static void delivery_update_sql(struct buf *sql)
{
    buf_add_text(sql, "UPDATE deliveries SET ");
    columns_add_sets(&delivery_columns, sql);
    buf_add_text(sql, " WHERE id = ?");
}

static void (*const made_sql[Q_WRITE_COUNT])(struct buf *) = {
    [Q_INSERT_JOB] = job_insert_sql,     [Q_UPDATE_JOB] = job_update_sql,
    [Q_PUT_ATTEMPT] = attempt_put_sql,   [Q_INSERT_KEY] = key_insert_sql,
    [Q_PUT_STRAY] = stray_put_sql,       [Q_PUT_BACKEND] = backend_put_sql,
    [Q_PUT_DELIVERY] = delivery_put_sql, [Q_UPDATE_DELIVERY] = delivery_update_sql,
    [Q_INSERT_BATCH] = batch_insert_sql, [Q_PUT_UPLOAD] = upload_put_sql,
    [Q_PUT_OWNER] = owner_put_sql,
};

static bool load_counts(struct write_session *w, char *why, size_t why_size)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(w->db, "SELECT state, count(*) FROM jobs GROUP BY state", -1, &q,
                           NULL) != SQLITE_OK) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(w->db));
        return false;
    }
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const int state = sqlite3_column_int(q, 0);
        if (state >= 0 && state < JOB_STATE_COUNT) {
            w->counts[state] = sqlite3_column_int64(q, 1);
        }
    }
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(w->db));
    }
    (void)sqlite3_finalize(q);
    return rc == SQLITE_DONE;
}

bool write_session_open(struct write_session *w, char *why, size_t why_size)
{
    for (int i = 0; i < Q_WRITE_COUNT; i++) {
        AUTO_BUF struct buf sql;
        buf_init(&sql, BUF_NO_LIMIT);
        if (made_sql[i] != NULL) {
            made_sql[i](&sql);
        } else {
            buf_add_text(&sql, fixed_sql[i]);
        }
        if (!database_prepare(w->db, buf_text(&sql), &w->q[i], why, why_size)) {
            return false;
        }
    }
    return load_counts(w, why, why_size);
}

void write_session_close(struct write_session *w)
{
    if (w == NULL) {
        return;
    }
    for (int i = 0; i < Q_WRITE_COUNT; i++) {
        (void)sqlite3_finalize(w->q[i]);
    }
    (void)sqlite3_close(w->db);
    free(w);
}

/* ---- doing ops ------------------------------------------------------------------------------- */

/* Tells faults of the disk and its surroundings from all others, which are our bugs. */
static enum write_result result_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return WRITE_GOOD;
    case SQLITE_ERROR: /* no such table: another program changed it */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_MISUSE:
        return WRITE_WRONG;
    default:
        return WRITE_TROUBLE;
    }
}

/* Resets a statement and clears its bindings, after every use, also on an error. */
enum write_result write_finish(sqlite3_stmt *q, int rc)
{
    (void)sqlite3_reset(q);
    (void)sqlite3_clear_bindings(q);
    return result_of(rc);
}

enum write_result write_step(sqlite3_stmt *q)
{
    int rc = SQLITE_ROW;
    while (rc == SQLITE_ROW) {
        rc = sqlite3_step(q);
    }
    return write_finish(q, rc);
}

void write_bind_str(sqlite3_stmt *q, int at, struct str s)
{
    (void)sqlite3_bind_text64(q, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
}

static void count(struct write_session *w, struct op *op, int state, int by)
{
    if (state >= 0 && state < JOB_STATE_COUNT) {
        op->delta[state] += by;
        w->counts[state] += by;
    }
}

/* Reads the stored state of op's job; WRITE_WRONG when there is no such job. */
static enum write_result read_state(struct write_session *w, const struct op *op, int *ret)
{
    sqlite3_stmt *q = w->q[Q_STATE];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *ret = sqlite3_column_int(q, 0);
    }
    const enum write_result r = write_finish(q, rc);
    return r == WRITE_GOOD && rc != SQLITE_ROW ? WRITE_WRONG : r;
}

/* Adjusts the counts before a write that sets the job's state. */
static enum write_result move_state(struct write_session *w, struct op *op)
{
    int from = 0;
    const enum write_result r = read_state(w, op, &from);
    if (r == WRITE_GOOD) {
        count(w, op, from, -1);
        count(w, op, (int)op->job.state, 1);
    }
    return r;
}

static enum write_result put_attempt(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_ATTEMPT];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    (void)row_bind(&attempt_columns, COLUMNS_ALL, q, 2, &op->attempt);
    return write_step(q);
}

static enum write_result update_job(struct write_session *w, struct op *op)
{
    const enum write_result r = move_state(w, op);
    if (r != WRITE_GOOD) {
        return r;
    }
    sqlite3_stmt *q = w->q[Q_UPDATE_JOB];
    const int at = row_bind(&job_columns, COLUMNS_CHANGING, q, 1, &op->job);
    (void)sqlite3_bind_int64(q, at, op->job.seq);
    return write_step(q);
}

static enum write_result apply_revive_job(struct write_session *w, struct op *op)
{
    int state = 0;
    const enum write_result r = read_state(w, op, &state);
    op->missing = r == WRITE_WRONG;
    return op->missing ? WRITE_GOOD : r == WRITE_GOOD ? update_job(w, op) : r;
}

/* Steps a statement that must change a row: none is the caller's mistake. */
static enum write_result step_changing(struct write_session *w, sqlite3_stmt *q)
{
    const enum write_result r = write_step(q);
    return r == WRITE_GOOD && sqlite3_changes(w->db) == 0 ? WRITE_WRONG : r;
}

static enum write_result insert_key(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_INSERT_KEY];
    (void)row_bind(&key_columns, COLUMNS_ALL, q, 1, &op->key);
    return step_changing(w, q);
}

static enum write_result apply_insert(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_INSERT_JOB];
    (void)row_bind(&job_columns, COLUMNS_ALL, q, 1, &op->job);
    const enum write_result r = write_step(q);
    if (r != WRITE_GOOD) {
        return r;
    }
    count(w, op, (int)op->job.state, 1);
    q = w->q[Q_INSERT_WORKFLOW];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    write_bind_str(q, 2, op->text);
    if (op->extra.n > 0) {
        write_bind_str(q, 3, op->extra);
    }
    const enum write_result inserted = write_step(q);
    return inserted == WRITE_GOOD && op->key.key != NULL ? insert_key(w, op) : inserted;
}

static enum write_result set_batch_texts(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_SET_BATCH_TEXTS];
    write_bind_str(q, 1, op->text);
    if (op->extra.n > 0) {
        write_bind_str(q, 2, op->extra);
    }
    (void)sqlite3_bind_text(q, 3, op->batch.id, -1, SQLITE_STATIC);
    return write_step(q);
}

static enum write_result apply_insert_batch(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_INSERT_BATCH];
    (void)row_bind(&batch_columns, COLUMNS_ALL, q, 1, &op->batch);
    enum write_result r = write_step(q);
    if (r == WRITE_GOOD) {
        r = set_batch_texts(w, op);
    }
    for (size_t i = 0; i < op->jobs_len && r == WRITE_GOOD; i++) {
        q = w->q[Q_INSERT_JOB];
        (void)row_bind(&job_columns, COLUMNS_ALL, q, 1, &op->jobs[i]);
        r = write_step(q);
        count(w, op, (int)op->jobs[i].state, r == WRITE_GOOD ? 1 : 0);
    }
    return r == WRITE_GOOD && op->key.key != NULL ? insert_key(w, op) : r;
}

/* Ends a batch, which may have been deleted with its jobs meanwhile. */
static enum write_result apply_end_batch(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_END_BATCH];
    write_bind_str(q, 1, op->text);
    const enum write_result r = write_step(q);
    return r == WRITE_GOOD ? credentials_delete(w, op->text) : r;
}

/* Sets a key's status; it may have been pruned, or refused with its job. */
static enum write_result apply_key_status(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_KEY_STATUS];
    (void)sqlite3_bind_int64(q, 1, op->key.status);
    write_bind_str(q, 2, op->text);
    return write_step(q);
}

static enum write_result apply_begin_attempt(struct write_session *w, struct op *op)
{
    const enum write_result r = move_state(w, op);
    if (r != WRITE_GOOD) {
        return r;
    }
    sqlite3_stmt *q = w->q[Q_BEGIN_JOB];
    (void)sqlite3_bind_int(q, 1, (int)op->job.state);
    (void)sqlite3_bind_text(q, 2, op->job.backend, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 3, op->job.prompt_id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 4, op->job.attempts);
    (void)sqlite3_bind_text(q, 5, op->job.auto_seeds, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 6, op->job.placement, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 7, op->job.seq);
    const enum write_result updated = write_step(q);
    return updated == WRITE_GOOD ? put_attempt(w, op) : updated;
}

static enum write_result put_kept(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_KEPT];
    (void)row_bind(&kept_columns, COLUMNS_ALL, q, 1, &op->kept);
    return write_step(q);
}

static enum write_result put_profile(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_PROFILE];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    (void)sqlite3_bind_int64(q, 2, op->attempt.number);
    write_bind_str(q, 3, op->text);
    return write_step(q);
}

static enum write_result put_stray(struct write_session *w, const struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_STRAY];
    (void)row_bind(&stray_columns, COLUMNS_ALL, q, 1, &op->stray);
    return write_step(q);
}

static enum write_result delete_stray(struct write_session *w, const char *prompt_id)
{
    sqlite3_stmt *q = w->q[Q_DELETE_STRAY];
    (void)sqlite3_bind_text(q, 1, prompt_id, -1, SQLITE_STATIC);
    return write_step(q);
}

static enum write_result delete_attempt(struct write_session *w, const struct op *op,
                                        unsigned number)
{
    sqlite3_stmt *q = w->q[Q_DELETE_ATTEMPT];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    (void)sqlite3_bind_int64(q, 2, number);
    return write_step(q);
}

static enum write_result apply_end_attempt(struct write_session *w, struct op *op)
{
    enum write_result r = update_job(w, op);
    if (r == WRITE_GOOD && op->withdraw > 0) {
        r = delete_attempt(w, op, op->withdraw);
    }
    if (r == WRITE_GOOD && op->attempt.number > 0 && op->attempt.late != ATTEMPT_OPEN) {
        r = delete_stray(w, op->attempt.prompt_id);
    }
    if (r == WRITE_GOOD && op->attempt.number > 0) {
        r = put_attempt(w, op);
    }
    if (r == WRITE_GOOD && op->text.n > 0) {
        r = put_profile(w, op);
    }
    if (r == WRITE_GOOD && op->stray.prompt_id[0] != '\0') {
        r = put_stray(w, op);
    }
    if (r == WRITE_GOOD && op->kept.files != NULL) {
        r = put_kept(w, op);
    }
    if (r == WRITE_GOOD && op->job.credentials != 0 && job_state_is_terminal(op->job.state)) {
        r = credentials_delete(w, str_of(op->job.id));
    }
    return r;
}

/* Deletes a stray. Its job may be gone; then no attempt is noted. */
static enum write_result apply_end_stray(struct write_session *w, struct op *op)
{
    const enum write_result r = delete_stray(w, op->stray.prompt_id);
    if (r != WRITE_GOOD || op->attempt.late == ATTEMPT_OPEN) {
        return r;
    }
    sqlite3_stmt *q = w->q[Q_LATE];
    (void)sqlite3_bind_int(q, 1, (int)op->attempt.late);
    (void)sqlite3_bind_int64(q, 2, op->stray.seq);
    (void)sqlite3_bind_int64(q, 3, op->stray.number);
    (void)sqlite3_bind_text(q, 4, op->stray.prompt_id, -1, SQLITE_STATIC);
    return write_step(q);
}

static enum write_result apply_withdraw_attempt(struct write_session *w, struct op *op)
{
    const enum write_result r = update_job(w, op);
    return r == WRITE_GOOD ? delete_attempt(w, op, op->attempt.number) : r;
}

static enum write_result apply_mark_cancel(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_MARK_CANCEL];
    (void)sqlite3_bind_int(q, 1, op->job.cancel_requested ? 1 : 0);
    (void)sqlite3_bind_int64(q, 2, op->job.seq);
    return step_changing(w, q);
}

/* Deletes a job. One already gone is no error; an active one is the caller's bug. */
static enum write_result apply_delete(struct write_session *w, struct op *op)
{
    int state = 0;
    const enum write_result r = read_state(w, op, &state);
    if (r != WRITE_GOOD) {
        return r == WRITE_WRONG ? WRITE_GOOD : r;
    }
    if (!job_state_is_terminal((enum job_state)state)) {
        return WRITE_WRONG;
    }
    count(w, op, state, -1);
    sqlite3_stmt *q = w->q[Q_DELETE_JOB];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    return write_step(q);
}

static enum write_result apply_put_backend(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_BACKEND];
    (void)row_bind(&backend_columns, COLUMNS_ALL, q, 1, &op->backend);
    return write_step(q);
}

static enum write_result apply_delete_backend(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_DELETE_BACKEND];
    write_bind_str(q, 1, op->text);
    return write_step(q);
}

static enum write_result apply_put_upload(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_UPLOAD];
    (void)row_bind(&upload_columns, COLUMNS_ALL, q, 1, &op->upload);
    return write_step(q);
}

static enum write_result apply_delete_upload(struct write_session *w, struct op *op)
{
    static const enum write_statement deletes[] = {Q_DELETE_OWNERS, Q_DELETE_UPLOAD};
    enum write_result r = WRITE_GOOD;
    for (size_t i = 0; i < 2 && r == WRITE_GOOD; i++) {
        write_bind_str(w->q[deletes[i]], 1, op->text);
        r = write_step(w->q[deletes[i]]);
    }
    return r;
}

static enum write_result apply_put_owner(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_OWNER];
    (void)row_bind(&owner_columns, COLUMNS_ALL, q, 1, &op->owner);
    return write_step(q);
}

static enum write_result apply_delete_owner(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_DELETE_OWNER];
    (void)row_bind(&owner_columns, COLUMNS_ALL, q, 1, &op->owner);
    return write_step(q);
}

static enum write_result apply_put_kept(struct write_session *w, struct op *op)
{
    return put_kept(w, op);
}

static enum write_result apply_put_stamps(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_STAMPS];
    (void)row_bind(&kept_columns, COLUMNS_ALL, q, 1, &op->kept);
    return write_step(q);
}

static enum write_result apply_delete_kept(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_DELETE_KEPT];
    (void)sqlite3_bind_int64(q, 1, op->kept.seq);
    return write_step(q);
}

static enum write_result apply_put_setting(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PUT_SETTING];
    write_bind_str(q, 1, op->text);
    write_bind_str(q, 2, op->extra);
    return write_step(q);
}

/* put_beside() writes them. */
static enum write_result apply_nothing(struct write_session *w, struct op *op)
{
    (void)w;
    (void)op;
    return WRITE_GOOD;
}

/* Updates a delivery; none if it is gone. */
static enum write_result apply_update_delivery(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_UPDATE_DELIVERY];
    const int at = row_bind(&delivery_columns, COLUMNS_CHANGING, q, 1, &op->delivery);
    (void)sqlite3_bind_text(q, at, op->delivery.id, -1, SQLITE_STATIC);
    return write_step(q);
}

static enum write_result apply_delete_delivery(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_DELETE_DELIVERY];
    write_bind_str(q, 1, op->text);
    return write_step(q);
}

/* Steps a DELETE that returns the states of what it deleted. */
static enum write_result delete_counting(struct write_session *w, struct op *op, sqlite3_stmt *q)
{
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        count(w, op, sqlite3_column_int(q, 0), -1);
        op->deleted++;
    }
    return write_finish(q, rc);
}

static int64_t terminal_jobs(const struct write_session *w)
{
    int64_t n = 0;
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        n += job_state_is_terminal((enum job_state)i) ? w->counts[i] : 0;
    }
    return n;
}

static enum write_result anything_older(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_OLDER];
    (void)sqlite3_bind_int64(q, 1, op->before.us);
    const int rc = sqlite3_step(q);
    op->more = rc == SQLITE_ROW && sqlite3_column_int(q, 0) != 0;
    return write_finish(q, rc);
}

static enum write_result prune_keys(struct write_session *w, const struct op *op, bool *ret_more)
{
    sqlite3_stmt *q = w->q[Q_PRUNE_KEYS];
    (void)sqlite3_bind_int64(q, 1, op->now.us - KEY_LIFE_US);
    (void)sqlite3_bind_int(q, 2, PRUNE_STEP);
    const enum write_result r = write_step(q);
    *ret_more = sqlite3_changes(w->db) == PRUNE_STEP;
    return r;
}

static enum write_result prune_jobs(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_PRUNE_AGE];
    (void)sqlite3_bind_int64(q, 1, op->before.us);
    (void)sqlite3_bind_int(q, 2, PRUNE_STEP);
    enum write_result r = delete_counting(w, op, q);
    const int64_t beyond = terminal_jobs(w) - op->max_count;
    const int64_t room = PRUNE_STEP - (int64_t)op->deleted;
    if (r == WRITE_GOOD && beyond > 0 && room > 0) {
        q = w->q[Q_PRUNE_COUNT];
        (void)sqlite3_bind_int64(q, 1, beyond < room ? beyond : room);
        r = delete_counting(w, op, q);
    }
    return r;
}

static enum write_result apply_prune(struct write_session *w, struct op *op)
{
    bool more_keys = false;
    bool more_hours = false;
    enum write_result r = prune_keys(w, op, &more_keys);
    if (r == WRITE_GOOD) {
        r = fold_prune(w, op->now, &more_hours);
    }
    if (r == WRITE_GOOD) {
        r = prune_jobs(w, op);
    }
    if (r == WRITE_GOOD && op->deleted > 0) {
        r = write_step(w->q[Q_VACUUM]);
    }
    if (r == WRITE_GOOD) {
        r = anything_older(w, op);
        op->more = op->more || more_keys || more_hours || terminal_jobs(w) > op->max_count;
    }
    return r;
}

/* ---- what is written beside ------------------------------------------------------------------ */

static enum write_result put_beside(struct write_session *w, const struct op *op)
{
    enum write_result r = WRITE_GOOD;
    if (op->credentials.n > 0) {
        r = credentials_put(w, op->batch.id[0] != '\0' ? op->batch.id : op->job.id,
                            op->credentials);
    }
    for (size_t i = 0; i < op->deliveries_len && r == WRITE_GOOD; i++) {
        sqlite3_stmt *q = w->q[Q_PUT_DELIVERY];
        (void)row_bind(&delivery_columns, COLUMNS_ALL, q, 1, &op->deliveries[i]);
        r = write_step(q);
    }
    if (op->measurement.n > 0 && r == WRITE_GOOD) {
        sqlite3_stmt *q = w->q[Q_PUT_MEASUREMENT];
        (void)sqlite3_bind_blob64(q, 1, op->measurement.p, op->measurement.n, SQLITE_STATIC);
        r = write_step(q);
    }
    return r;
}

static enum write_result (*const apply[OP_KIND_COUNT])(struct write_session *w, struct op *op) = {
    [OP_INSERT] = apply_insert,
    [OP_INSERT_BATCH] = apply_insert_batch,
    [OP_END_BATCH] = apply_end_batch,
    [OP_PUT_UPLOAD] = apply_put_upload,
    [OP_DELETE_UPLOAD] = apply_delete_upload,
    [OP_PUT_OWNER] = apply_put_owner,
    [OP_DELETE_OWNER] = apply_delete_owner,
    [OP_PUT_KEPT] = apply_put_kept,
    [OP_PUT_STAMPS] = apply_put_stamps,
    [OP_DELETE_KEPT] = apply_delete_kept,
    [OP_KEY_STATUS] = apply_key_status,
    [OP_UPDATE_JOB] = update_job,
    [OP_REVIVE_JOB] = apply_revive_job,
    [OP_BEGIN_ATTEMPT] = apply_begin_attempt,
    [OP_END_ATTEMPT] = apply_end_attempt,
    [OP_END_STRAY] = apply_end_stray,
    [OP_WITHDRAW_ATTEMPT] = apply_withdraw_attempt,
    [OP_MARK_CANCEL] = apply_mark_cancel,
    [OP_DELETE] = apply_delete,
    [OP_PUT_BACKEND] = apply_put_backend,
    [OP_DELETE_BACKEND] = apply_delete_backend,
    [OP_PUT_SETTING] = apply_put_setting,
    [OP_ADD_DELIVERIES] = apply_nothing,
    [OP_UPDATE_DELIVERY] = apply_update_delivery,
    [OP_DELETE_DELIVERY] = apply_delete_delivery,
    [OP_FOLD] = apply_fold,
    [OP_PRUNE] = apply_prune,
};

enum write_result op_apply(struct write_session *w, struct op *op)
{
    memset(op->delta, 0, sizeof op->delta);
    op->deleted = 0;
    op->more = false;
    op->missing = false;
    const enum write_result r = apply[op->kind](w, op);
    return r == WRITE_GOOD && !op->missing ? put_beside(w, op) : r;
}
