/* SQLite as an engine: the writer's session, transactions, and reads. */
#include "engine.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "inner.h"
#include "sqlite_credentials.h"
#include "sqlite_database.h"
#include "sqlite_ops.h"
#include "sqlite_read.h"
#include "sqlite_schema.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* True unless a file system without shared memory silently got another journal. */
static bool journal_is_wal(sqlite3 *db)
{
    sqlite3_stmt *q = NULL;
    const bool is_wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &q, NULL) == SQLITE_OK &&
                        sqlite3_step(q) == SQLITE_ROW &&
                        str_is(str_of((const char *)sqlite3_column_text(q, 0)), "wal");
    (void)sqlite3_finalize(q);
    return is_wal;
}

static bool open_session(const struct store *s, struct write_session *w, char *why, size_t why_size)
{
    if (!database_connect(s, true, 2048, &w->db, why, why_size)) {
        return false;
    }
    if (!journal_is_wal(w->db)) {
        (void)snprintf(why, why_size,
                       "the file system cannot hold a write-ahead log (is it a "
                       "network mount?); use a local directory");
        return false;
    }
    if (!database_check(s, w->db, why, why_size) || !schema_migrate(w->db, why, why_size)) {
        return false;
    }
    credentials_tidy(w->db);
    return write_session_open(w, why, why_size);
}

static bool open_database(struct store *s, struct write_session **ret,
                          int64_t ret_counts[JOB_STATE_COUNT], char *why, size_t why_size)
{
    if (!database_find(s, why, why_size)) {
        return false;
    }
    char reason[512] = "";
    struct write_session *w = mem_zero(1, sizeof *w);
    if (!open_session(s, w, reason, sizeof reason)) {
        database_explain(reason, sizeof reason);
        (void)snprintf(why, why_size, "cannot use the database %s: %s", s->path, reason);
        write_session_close(w);
        return false;
    }
    database_mark(s);
    memcpy(ret_counts, w->counts, sizeof w->counts);
    *ret = w;
    return true;
}

/* Applies all ops. On a result other than good *ret_at is the op that failed. */
static enum write_result apply_all(struct write_session *w, const struct op_list *ops,
                                   struct op **ret_at)
{
    *ret_at = NULL;
    enum write_result r = write_step(w->q[Q_BEGIN]);
    for (struct op *op = ops->first; op != NULL && r == WRITE_GOOD; op = op->next) {
        *ret_at = op;
        r = op_apply(w, op);
    }
    if (r == WRITE_GOOD && ops->first == NULL) {
        r = write_step(w->q[Q_PROBE]);
    }
    if (r == WRITE_GOOD) {
        *ret_at = NULL;
        r = write_step(w->q[Q_COMMIT]);
    }
    return r;
}

/* A serious error may have rolled back already. */
static void roll_back(struct write_session *w)
{
    if (sqlite3_get_autocommit(w->db) == 0) {
        (void)write_step(w->q[Q_ROLLBACK]);
    }
}

/* Writes to an unlinked file are lost. */
static const char GONE[] = "the database file was removed, or its directory was";

static enum write_result write_all(struct store *s, struct write_session *w,
                                   const struct op_list *ops, struct op **ret_at, char *why,
                                   size_t why_size)
{
    int64_t before[JOB_STATE_COUNT];
    *ret_at = NULL;
    if (!database_is_there(s)) {
        (void)snprintf(why, why_size, "%s", GONE);
        return WRITE_TROUBLE;
    }
    memcpy(before, w->counts, sizeof before);
    const enum write_result r = apply_all(w, ops, ret_at);
    if (r == WRITE_GOOD) {
        return r;
    }
    (void)snprintf(why, why_size, "%s", sqlite3_errmsg(w->db));
    roll_back(w);
    memcpy(w->counts, before, sizeof before);
    return r == WRITE_WRONG && *ret_at != NULL ? r : WRITE_TROUBLE;
}

static bool has_traces(const struct write_session *w)
{
    return w->removed;
}

static bool scrub(struct write_session *w)
{
    w->removed = !credentials_cut_log(w->db);
    return !w->removed;
}

const struct engine sqlite_engine = {
    .open = open_database,
    .write = write_all,
    .is_there = database_is_there,
    .has_traces = has_traces,
    .scrub = scrub,
    .close = write_session_close,
    .connect = reader_connect,
    .disconnect = reader_disconnect,
    .begin = reader_begin,
    .end = reader_end,
    .job = reader_job,
    .profile = reader_profile,
    .attempts = reader_attempts,
    .workflow = reader_workflow,
    .batch = reader_batch,
    .count_batch = reader_count_batch,
    .whole_job = reader_whole_job,
    .client = reader_client,
    .key = reader_key,
    .stamps = reader_stamps,
    .setting = reader_setting,
    .due = reader_due,
    .delivery = reader_delivery,
    .count_waiting = reader_count_waiting,
    .list_jobs = reader_list_jobs,
    .list_deliveries = reader_list_deliveries,
    .list_profiles = reader_list_profiles,
    .list_baseline = reader_list_baseline,
    .rollups = reader_rollups,
    .last_seq = reader_last_seq,
    .load_active = reader_load_active,
    .load_batches = reader_load_batches,
    .load_due_hosts = reader_load_due_hosts,
    .load_strays = reader_load_strays,
    .load_backends = reader_load_backends,
    .load_uploads = reader_load_uploads,
    .load_owners = reader_load_owners,
    .load_kept = reader_load_kept,
};
