/*
 * The writes: each public function copies what it was given into one op (a single piece of memory,
 * made on the loop thread), and each kind of op has a function that does it inside the writer's
 * open transaction. When and how often that happens is the writer's business.
 *
 * Invariant: an op applied twice in two transactions (the first one rolled back) writes the same.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/log.h"

enum { PRUNE_STEP = 200 };

/* ---- making ops --------------------------------------------------------------------------------
 */

static struct str copy_str(struct str s, char **room)
{
    const struct str copy = {*room, s.n};
    if (s.n > 0) {
        memcpy(*room, s.p, s.n);
    }
    *room += s.n;
    return copy;
}

static struct op *make_op(enum op_kind kind, const struct job_record *job,
                          const struct attempt_record *attempt, struct str text, struct str extra)
{
    const size_t room_size = (job == NULL ? 0 : columns_room(&job_columns, job)) +
                             (attempt == NULL ? 0 : columns_room(&attempt_columns, attempt)) +
                             text.n + extra.n;
    struct op *op = mem_alloc(sizeof *op + room_size);
    memset(op, 0, sizeof *op);
    op->kind = kind;
    char *room = (char *)(op + 1);
    if (job != NULL) {
        columns_copy(&job_columns, sizeof op->job, &op->job, job, &room);
    }
    if (attempt != NULL) {
        columns_copy(&attempt_columns, sizeof op->attempt, &op->attempt, attempt, &room);
    }
    op->text = copy_str(text, &room);
    op->extra = copy_str(extra, &room);
    return op;
}

static const struct str nothing = {NULL, 0};

static void add(struct store *s, struct op *op, store_done_fn done, void *ctx)
{
    op->done = done;
    op->ctx = ctx;
    writer_add(s, op);
}

void store_insert(struct store *s, const struct job_record *job, struct str workflow,
                  struct str extra_data, store_done_fn done, void *ctx)
{
    add(s, make_op(OP_INSERT, job, NULL, workflow, extra_data), done, ctx);
}

void store_begin_attempt(struct store *s, const struct job_record *job,
                         const struct attempt_record *attempt, store_done_fn done, void *ctx)
{
    add(s, make_op(OP_BEGIN_ATTEMPT, job, attempt, nothing, nothing), done, ctx);
}

void store_end_attempt(struct store *s, const struct job_record *job,
                       const struct attempt_record *attempt, struct str profile, store_done_fn done,
                       void *ctx)
{
    add(s, make_op(OP_END_ATTEMPT, job, attempt, profile, nothing), done, ctx);
}

void store_withdraw_attempt(struct store *s, const struct job_record *job, unsigned number,
                            store_done_fn done, void *ctx)
{
    struct op *op = make_op(OP_WITHDRAW_ATTEMPT, job, NULL, nothing, nothing);
    op->attempt.number = number;
    add(s, op, done, ctx);
}

void store_mark_cancel(struct store *s, const struct job_record *job, store_done_fn done, void *ctx)
{
    add(s, make_op(OP_MARK_CANCEL, job, NULL, nothing, nothing), done, ctx);
}

void store_delete(struct store *s, int64_t seq, store_done_fn done, void *ctx)
{
    struct op *op = make_op(OP_DELETE, NULL, NULL, nothing, nothing);
    op->job.seq = seq;
    add(s, op, done, ctx);
}

void store_prune(struct store *s, struct wall_us before, int64_t max_count, store_pruned_fn done,
                 void *ctx)
{
    struct op *op = make_op(OP_PRUNE, NULL, NULL, nothing, nothing);
    op->before = before;
    op->max_count = max_count;
    op->pruned = done;
    op->ctx = ctx;
    writer_add(s, op);
}

/* ---- lists of ops ------------------------------------------------------------------------------
 */

void op_list_add(struct op_list *l, struct op *op)
{
    op->next = NULL;
    if (l->last == NULL) {
        l->first = op;
    } else {
        l->last->next = op;
    }
    l->last = op;
}

void op_list_append(struct op_list *l, struct op_list *more)
{
    if (more->first == NULL) {
        return;
    }
    if (l->last == NULL) {
        l->first = more->first;
    } else {
        l->last->next = more->first;
    }
    l->last = more->last;
    *more = (struct op_list){0};
}

struct op *op_list_take(struct op_list *l)
{
    struct op *op = l->first;
    if (op != NULL) {
        l->first = op->next;
        if (l->first == NULL) {
            l->last = NULL;
        }
        op->next = NULL;
    }
    return op;
}

/* ---- statements --------------------------------------------------------------------------------
 */

/* Those that do not follow from the column tables. */
static const char *const fixed_sql[Q_WRITE_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    /* As large as a small job, so that it says something about the next one. */
    [Q_PROBE] = "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(16384))",
    [Q_STATE] = "SELECT state FROM jobs WHERE seq = ?",
    [Q_INSERT_WORKFLOW] = "INSERT INTO workflows (seq, text, extra_data) VALUES (?, ?, ?)",
    [Q_BEGIN_JOB] = "UPDATE jobs SET state = ?, backend = ?, prompt_id = ?, attempts = ? "
                    "WHERE seq = ?",
    [Q_MARK_CANCEL] = "UPDATE jobs SET cancel_requested = ? WHERE seq = ?",
    [Q_DELETE_JOB] = "DELETE FROM jobs WHERE seq = ?",
    [Q_DELETE_ATTEMPT] = "DELETE FROM attempts WHERE seq = ? AND number = ?",
    [Q_PUT_PROFILE] = "INSERT OR REPLACE INTO profiles (seq, number, json) VALUES (?, ?, ?)",
    [Q_PRUNE_AGE] = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state >= 2 AND "
                    "completed_at < ?1 ORDER BY completed_at LIMIT ?2) RETURNING state",
    [Q_PRUNE_COUNT] = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state >= 2 "
                      "ORDER BY completed_at LIMIT ?1) RETURNING state",
    [Q_OLDER] = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state >= 2 AND completed_at < ?)",
    [Q_VACUUM] = "PRAGMA incremental_vacuum(500)",
};

static void job_insert_sql(struct buf *sql)
{
    buf_add_text(sql, "INSERT INTO jobs (");
    columns_add_names(&job_columns, sql);
    buf_add_text(sql, ") VALUES (");
    columns_add_marks(&job_columns, sql);
    buf_add_text(sql, ")");
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

static void (*const made_sql[Q_WRITE_COUNT])(struct buf *) = {
    [Q_INSERT_JOB] = job_insert_sql,
    [Q_UPDATE_JOB] = job_update_sql,
    [Q_PUT_ATTEMPT] = attempt_put_sql,
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
        if (!store_prepare(w->db, buf_text(&sql), &w->q[i], why, why_size)) {
            return false;
        }
    }
    return load_counts(w, why, why_size);
}

void write_session_close(struct write_session *w)
{
    for (int i = 0; i < Q_WRITE_COUNT; i++) {
        (void)sqlite3_finalize(w->q[i]);
    }
    (void)sqlite3_close(w->db);
    *w = (struct write_session){0};
}

/* ---- doing ops ---------------------------------------------------------------------------------
 */

/* Faults of the disk and its surroundings; everything else that can fail here is a bug of ours. */
static enum write_result result_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return WRITE_GOOD;
    case SQLITE_ERROR: /* no such table: somebody else was here */
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

/* A statement is reset and its bindings are cleared after every use, also on an error. */
static enum write_result finish(sqlite3_stmt *q, int rc)
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
    return finish(q, rc);
}

static void count(struct write_session *w, struct op *op, int state, int by)
{
    if (state >= 0 && state < JOB_STATE_COUNT) {
        op->delta[state] += by;
        w->counts[state] += by;
    }
}

/* The state of op's job as it is on disk; WRITE_WRONG when there is no such job. */
static enum write_result read_state(struct write_session *w, const struct op *op, int *ret)
{
    sqlite3_stmt *q = w->q[Q_STATE];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *ret = sqlite3_column_int(q, 0);
    }
    const enum write_result r = finish(q, rc);
    return r == WRITE_GOOD && rc != SQLITE_ROW ? WRITE_WRONG : r;
}

/* Before a write that sets the job's state: the counts follow. */
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
    (void)columns_bind(&attempt_columns, COLUMNS_ALL, q, 2, &op->attempt);
    return write_step(q);
}

static enum write_result update_job(struct write_session *w, struct op *op)
{
    const enum write_result r = move_state(w, op);
    if (r != WRITE_GOOD) {
        return r;
    }
    sqlite3_stmt *q = w->q[Q_UPDATE_JOB];
    const int at = columns_bind(&job_columns, COLUMNS_CHANGING, q, 1, &op->job);
    (void)sqlite3_bind_int64(q, at, op->job.seq);
    return write_step(q);
}

static enum write_result apply_insert(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_INSERT_JOB];
    (void)columns_bind(&job_columns, COLUMNS_ALL, q, 1, &op->job);
    const enum write_result r = write_step(q);
    if (r != WRITE_GOOD) {
        return r;
    }
    count(w, op, (int)op->job.state, 1);
    q = w->q[Q_INSERT_WORKFLOW];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    (void)sqlite3_bind_text64(q, 2, op->text.p, op->text.n, SQLITE_STATIC, SQLITE_UTF8);
    if (op->extra.n > 0) {
        (void)sqlite3_bind_text64(q, 3, op->extra.p, op->extra.n, SQLITE_STATIC, SQLITE_UTF8);
    }
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
    (void)sqlite3_bind_int64(q, 5, op->job.seq);
    const enum write_result updated = write_step(q);
    return updated == WRITE_GOOD ? put_attempt(w, op) : updated;
}

static enum write_result apply_end_attempt(struct write_session *w, struct op *op)
{
    enum write_result r = update_job(w, op);
    if (r == WRITE_GOOD && op->attempt.number > 0) {
        r = put_attempt(w, op);
    }
    if (r == WRITE_GOOD && op->text.n > 0) {
        sqlite3_stmt *q = w->q[Q_PUT_PROFILE];
        (void)sqlite3_bind_int64(q, 1, op->job.seq);
        (void)sqlite3_bind_int64(q, 2, op->attempt.number);
        (void)sqlite3_bind_text64(q, 3, op->text.p, op->text.n, SQLITE_STATIC, SQLITE_UTF8);
        r = write_step(q);
    }
    return r;
}

static enum write_result apply_withdraw_attempt(struct write_session *w, struct op *op)
{
    const enum write_result r = update_job(w, op);
    if (r != WRITE_GOOD) {
        return r;
    }
    sqlite3_stmt *q = w->q[Q_DELETE_ATTEMPT];
    (void)sqlite3_bind_int64(q, 1, op->job.seq);
    (void)sqlite3_bind_int64(q, 2, op->attempt.number);
    return write_step(q);
}

static enum write_result apply_mark_cancel(struct write_session *w, struct op *op)
{
    sqlite3_stmt *q = w->q[Q_MARK_CANCEL];
    (void)sqlite3_bind_int(q, 1, op->job.cancel_requested ? 1 : 0);
    (void)sqlite3_bind_int64(q, 2, op->job.seq);
    const enum write_result r = write_step(q);
    return r == WRITE_GOOD && sqlite3_changes(w->db) == 0 ? WRITE_WRONG : r;
}

/* A job that is gone already is deleted as asked; an active one is the caller's bug. */
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

/* Steps a DELETE that returns the states of what it deleted. */
static enum write_result delete_counting(struct write_session *w, struct op *op, sqlite3_stmt *q)
{
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        count(w, op, sqlite3_column_int(q, 0), -1);
        op->deleted++;
    }
    return finish(q, rc);
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
    return finish(q, rc);
}

static enum write_result apply_prune(struct write_session *w, struct op *op)
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
    if (r == WRITE_GOOD && op->deleted > 0) {
        r = write_step(w->q[Q_VACUUM]);
    }
    if (r == WRITE_GOOD) {
        r = anything_older(w, op);
        op->more = op->more || terminal_jobs(w) > op->max_count;
    }
    return r;
}

static const struct {
    const char *name;
    enum write_result (*apply)(struct write_session *w, struct op *op);
} kinds[OP_KIND_COUNT] = {
    [OP_INSERT] = {"insert", apply_insert},
    [OP_BEGIN_ATTEMPT] = {"begin attempt", apply_begin_attempt},
    [OP_END_ATTEMPT] = {"end attempt", apply_end_attempt},
    [OP_WITHDRAW_ATTEMPT] = {"withdraw attempt", apply_withdraw_attempt},
    [OP_MARK_CANCEL] = {"mark cancel", apply_mark_cancel},
    [OP_DELETE] = {"delete", apply_delete},
    [OP_PRUNE] = {"prune", apply_prune},
};

const char *op_name(enum op_kind kind)
{
    return kinds[kind].name;
}

enum write_result op_apply(struct write_session *w, struct op *op)
{
    memset(op->delta, 0, sizeof op->delta);
    op->deleted = 0;
    op->more = false;
    return kinds[op->kind].apply(w, op);
}
