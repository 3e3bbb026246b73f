/*
 * The format on disk and its changes. PRAGMA user_version counts the migrations that a database has
 * had; each runs once, in a transaction of its own.
 *
 * To change the format: append a migration (never edit a released one), add the columns to
 * columns.c, and keep a database of the old version among the test's samples. A database of a newer
 * version is refused: an older daemon does not know what it would break.
 *
 * jobs.state and attempts.outcome hold the numbers of core/job.h (columns.c asserts them), times
 * are microseconds since the Unix epoch (0: not yet), errors are stored by their public code.
 */
#include "sqlite_schema.h"

#include <sqlite3.h>
#include <stdio.h>

#include "comfypool/base/log.h"

#include "columns.h"
#include "sqlite_credentials.h"

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE meta ("
    "    key TEXT PRIMARY KEY,"
    "    value BLOB"
    ") WITHOUT ROWID;"
    "CREATE TABLE jobs ("
    "    seq INTEGER PRIMARY KEY,"
    "    id TEXT NOT NULL UNIQUE,"
    "    state INTEGER NOT NULL,"
    "    priority INTEGER NOT NULL,"
    "    queued_at INTEGER NOT NULL,"
    "    started_at INTEGER NOT NULL,"
    "    completed_at INTEGER NOT NULL,"
    "    backend TEXT,"
    "    prompt_id TEXT,"
    "    attempts INTEGER NOT NULL,"
    "    max_attempts INTEGER NOT NULL,"
    "    cut_off INTEGER NOT NULL,"
    "    nodes_total INTEGER NOT NULL,"
    "    profiled INTEGER NOT NULL,"
    "    cancel_requested INTEGER NOT NULL,"
    "    partial INTEGER NOT NULL,"
    "    workflow_hash TEXT NOT NULL,"
    "    error_code TEXT,"
    "    error_message TEXT,"
    "    error_node_id TEXT,"
    "    error_node_type TEXT,"
    "    metadata TEXT,"
    "    node_errors TEXT,"
    "    outputs TEXT,"
    "    error_node_errors TEXT,"
    "    error_traceback TEXT"
    ");"
    /* Lists by state, newest first: an index ends with the rowid, which is seq. */
    "CREATE INDEX jobs_by_state ON jobs (state);"
    /* Retention; only terminal jobs, so that a running one costs nothing here. */
    "CREATE INDEX jobs_by_end ON jobs (completed_at) WHERE state >= 2;"
    /* Separate from jobs, so that a list does not page through workflows. */
    "CREATE TABLE workflows ("
    "    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,"
    "    text TEXT NOT NULL,"
    "    extra_data TEXT"
    ");"
    "CREATE TABLE attempts ("
    "    seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,"
    "    number INTEGER NOT NULL,"
    "    outcome INTEGER NOT NULL,"
    "    backend TEXT,"
    "    backend_url TEXT,"
    "    prompt_id TEXT,"
    "    client_id TEXT,"
    "    intent_at INTEGER NOT NULL,"
    "    submitted_at INTEGER NOT NULL,"
    "    started_at INTEGER NOT NULL,"
    "    completed_at INTEGER NOT NULL,"
    "    error_code TEXT,"
    "    error_message TEXT,"
    "    error_node_id TEXT,"
    "    error_node_type TEXT,"
    "    error_node_errors TEXT,"
    "    error_traceback TEXT,"
    "    PRIMARY KEY (seq, number)"
    ") WITHOUT ROWID;"
    /* A rowid table: profiles are large, and rows of a WITHOUT ROWID table should not be. */
    "CREATE TABLE profiles ("
    "    seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,"
    "    number INTEGER NOT NULL,"
    "    json TEXT NOT NULL,"
    "    PRIMARY KEY (seq, number)"
    ");",
    /* 2. Defaults as in core/job.h at that time; retry_on 15 is transient, lost, out_of_memory and
       timeout. */
    "ALTER TABLE jobs ADD COLUMN waiting_since INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN budget_since INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN free_attempts INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN oom INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN left_dead INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN retry_delay_ms INTEGER NOT NULL DEFAULT 1000;"
    "ALTER TABLE jobs ADD COLUMN queue_timeout_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN start_timeout_ms INTEGER NOT NULL DEFAULT 60000;"
    "ALTER TABLE jobs ADD COLUMN node_timeout_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN job_timeout_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN retry_on INTEGER NOT NULL DEFAULT 15;"
    "UPDATE jobs SET waiting_since = queued_at, budget_since = queued_at, free_attempts = cut_off;"
    "ALTER TABLE attempts ADD COLUMN late INTEGER NOT NULL DEFAULT 0;"
    /* Idempotency-Keys. */
    "CREATE TABLE keys ("
    "    key TEXT PRIMARY KEY,"
    "    digest TEXT NOT NULL,"
    "    job_id TEXT NOT NULL,"
    "    status INTEGER NOT NULL,"
    "    at INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX keys_by_age ON keys (at);"
    /* Strays outlive their jobs: no reference. */
    "CREATE TABLE strays ("
    "    prompt_id TEXT PRIMARY KEY,"
    "    client_id TEXT,"
    "    backend TEXT,"
    "    backend_url TEXT,"
    "    seq INTEGER NOT NULL,"
    "    number INTEGER NOT NULL,"
    "    since INTEGER NOT NULL,"
    "    holds_slot INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE backends ("
    "    name TEXT PRIMARY KEY,"
    "    url TEXT,"
    "    weight INTEGER NOT NULL,"
    "    max_in_flight INTEGER NOT NULL,"
    "    labels TEXT,"
    "    removed INTEGER NOT NULL,"
    "    admin INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE settings ("
    "    name TEXT PRIMARY KEY,"
    "    value TEXT NOT NULL"
    ") WITHOUT ROWID;",
    /* 3. Cost keys, webhooks, roll-ups. executed -1: unknown. */
    "ALTER TABLE jobs ADD COLUMN cost_key TEXT;"
    "ALTER TABLE jobs ADD COLUMN executed INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE jobs ADD COLUMN trace TEXT;"
    "ALTER TABLE jobs ADD COLUMN hook_url TEXT;"
    "ALTER TABLE jobs ADD COLUMN hook_events INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN hook_secret TEXT;"
    /* Baselines: completed, profiled runs with an executed node. */
    "CREATE INDEX jobs_by_cost ON jobs (cost_key, completed_at)"
    "    WHERE state = 2 AND profiled AND executed > 0;"
    /* Ends of jobs not in the roll-ups yet; see core/rollup.h for the bytes. */
    "CREATE TABLE measurements ("
    "    n INTEGER PRIMARY KEY,"
    "    data BLOB NOT NULL"
    ");"
    /* kind: core/summary_group.h; start and span in hours (since the epoch), span 1 or 24. */
    "CREATE TABLE rollups ("
    "    kind INTEGER NOT NULL,"
    "    key TEXT NOT NULL,"
    "    start INTEGER NOT NULL,"
    "    span INTEGER NOT NULL,"
    "    label TEXT,"
    "    data BLOB NOT NULL,"
    "    PRIMARY KEY (kind, key, start, span)"
    ") WITHOUT ROWID;"
    "CREATE INDEX rollups_by_age ON rollups (span, start);"
    /* Known keys, and when each was last seen (in microseconds). */
    "CREATE TABLE rollup_keys ("
    "    kind INTEGER NOT NULL,"
    "    key TEXT NOT NULL,"
    "    last INTEGER NOT NULL,"
    "    PRIMARY KEY (kind, key)"
    ") WITHOUT ROWID;"
    "CREATE INDEX rollup_keys_by_age ON rollup_keys (kind, last);"
    /* state: core/webhook.h. Deliveries outlive their jobs: no reference. */
    "CREATE TABLE deliveries ("
    "    n INTEGER PRIMARY KEY,"
    "    id TEXT NOT NULL UNIQUE,"
    "    job_id TEXT NOT NULL,"
    "    type TEXT NOT NULL,"
    "    url TEXT NOT NULL,"
    "    host TEXT NOT NULL,"
    "    secret TEXT,"
    "    configured INTEGER NOT NULL,"
    "    state INTEGER NOT NULL,"
    "    tries INTEGER NOT NULL,"
    "    last_status INTEGER NOT NULL,"
    "    last_error TEXT,"
    "    made_at INTEGER NOT NULL,"
    "    next_at INTEGER NOT NULL,"
    "    body TEXT NOT NULL"
    ");"
    "CREATE INDEX deliveries_due ON deliveries (host, next_at) WHERE state < 2;"
    "CREATE INDEX deliveries_dead ON deliveries (next_at) WHERE state >= 2;",
    /* 4. Clients, dependencies and placement of jobs; files; batches. */
    "ALTER TABLE jobs ADD COLUMN client TEXT;"
    "ALTER TABLE jobs ADD COLUMN batch_id TEXT;"
    "ALTER TABLE jobs ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN auto_seeds TEXT;"
    "ALTER TABLE jobs ADD COLUMN after_jobs TEXT;"
    "ALTER TABLE jobs ADD COLUMN spec TEXT;"
    "ALTER TABLE jobs ADD COLUMN overrides TEXT;"
    "ALTER TABLE jobs ADD COLUMN placement TEXT;"
    "ALTER TABLE jobs ADD COLUMN attachments TEXT;"
    "ALTER TABLE jobs ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN stamped_end_ms INTEGER NOT NULL DEFAULT 0;"
    /* Copies of a job's outputs, made or still to be made. */
    "CREATE TABLE kept ("
    "    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,"
    "    job_id TEXT NOT NULL,"
    "    ended_at INTEGER NOT NULL,"
    "    files TEXT NOT NULL"
    ");"
    /* Files kept in the directory uploads. */
    "CREATE TABLE uploads ("
    "    sha256 TEXT PRIMARY KEY,"
    "    size INTEGER NOT NULL,"
    "    used_at INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX jobs_by_batch ON jobs (batch_id, state) WHERE batch_id IS NOT NULL;"
    /* The workflow shared by its jobs, which have no row in workflows. Deleted with the last
       job. */
    "CREATE TABLE batches ("
    "    id TEXT PRIMARY KEY,"
    "    made_at INTEGER NOT NULL,"
    "    total INTEGER NOT NULL,"
    "    told INTEGER NOT NULL,"
    "    hook_url TEXT,"
    "    hook_events INTEGER NOT NULL,"
    "    hook_secret TEXT,"
    "    text TEXT NOT NULL,"
    "    extra_data TEXT"
    ") WITHOUT ROWID;"
    "CREATE TRIGGER batches_end AFTER DELETE ON jobs WHEN old.batch_id IS NOT NULL "
    "BEGIN "
    "    DELETE FROM batches WHERE id = old.batch_id AND NOT EXISTS ("
    "        SELECT 1 FROM jobs WHERE batch_id = old.batch_id);"
    "END;",
    /* 5. Faults of servers, and the state of given-up prompts. */
    "ALTER TABLE jobs ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN faulted_on TEXT;"
    "ALTER TABLE jobs ADD COLUMN result_of INTEGER NOT NULL DEFAULT 0;"
    /* Jobs with the old default get the new one, with server_fault. */
    "UPDATE jobs SET retry_on = 47 WHERE retry_on = 15 AND state <> 2;"
    "ALTER TABLE strays ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE strays ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE strays ADD COLUMN started INTEGER NOT NULL DEFAULT 0;",
    /* 6. Ownership: lists by client, and senders of files. */
    "CREATE INDEX jobs_by_client ON jobs (client, state) WHERE client IS NOT NULL;"
    "CREATE INDEX jobs_by_client_end ON jobs (client, completed_at)"
    "    WHERE state >= 2 AND client IS NOT NULL;"
    "CREATE INDEX jobs_by_client_cost ON jobs (client, cost_key, completed_at)"
    "    WHERE state = 2 AND profiled AND executed > 0 AND client IS NOT NULL;"
    "ALTER TABLE batches ADD COLUMN client TEXT;"
    "UPDATE batches SET client ="
    "    (SELECT j.client FROM jobs j WHERE j.batch_id = batches.id LIMIT 1);"
    "ALTER TABLE deliveries ADD COLUMN client TEXT;"
    /* A delivery to a receiver of the configuration is the operator's. */
    "UPDATE deliveries SET client = coalesce("
    "    (SELECT j.client FROM jobs j WHERE j.id = deliveries.job_id),"
    "    (SELECT b.client FROM batches b WHERE b.id = deliveries.job_id)) WHERE NOT configured;"
    "CREATE INDEX deliveries_by_client ON deliveries (client, state <> 0, n)"
    "    WHERE client IS NOT NULL;"
    /* Deleted by the daemon with their upload, whose row is replaced when it is used. */
    "CREATE TABLE upload_owners ("
    "    sha256 TEXT NOT NULL,"
    "    client TEXT NOT NULL,"
    "    PRIMARY KEY (sha256, client)"
    ") WITHOUT ROWID;"
    "INSERT INTO upload_owners (sha256, client) SELECT sha256, '' FROM uploads;"
    /* Stamps of files at the end of their job, and whether outputs are complete. */
    "CREATE TABLE stamps ("
    "    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,"
    "    ended_at INTEGER NOT NULL,"
    "    files TEXT NOT NULL"
    ");"
    "ALTER TABLE jobs ADD COLUMN outputs_truncated INTEGER NOT NULL DEFAULT 0;",
    /* 7. Account keys are erased at their job's end; see sqlite_credentials.c, and
       core/credentials.h for the bits. owner: a job, or a batch. */
    "ALTER TABLE jobs ADD COLUMN credentials INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE credentials ("
    "    owner TEXT PRIMARY KEY,"
    "    text TEXT NOT NULL"
    ");"
    "UPDATE jobs SET credentials ="
    "    (SELECT keys_in(w.extra_data) FROM workflows w WHERE w.seq = jobs.seq)"
    "    WHERE seq IN (SELECT seq FROM workflows WHERE keys_in(extra_data) <> 0);"
    "UPDATE jobs SET credentials ="
    "    (SELECT keys_in(b.extra_data) FROM batches b WHERE b.id = jobs.batch_id)"
    "    WHERE batch_id IN (SELECT id FROM batches WHERE keys_in(extra_data) <> 0);"
    "UPDATE jobs SET credentials = credentials | (1 << 30) WHERE credentials <> 0 AND state >= 2;"
    "INSERT INTO credentials SELECT j.id, keys_of(w.extra_data)"
    "    FROM jobs j JOIN workflows w ON w.seq = j.seq WHERE j.credentials <> 0 AND j.state < 2;"
    /* Retried jobs of a batch whose end was told. */
    "INSERT INTO credentials SELECT j.id, keys_of(b.extra_data)"
    "    FROM jobs j JOIN batches b ON b.id = j.batch_id"
    "    WHERE j.credentials <> 0 AND j.state < 2 AND b.told;"
    "INSERT INTO credentials SELECT id, keys_of(extra_data) FROM batches"
    "    WHERE NOT told AND keys_in(extra_data) <> 0;"
    "UPDATE workflows SET extra_data = without_keys(extra_data) WHERE keys_in(extra_data) <> 0;"
    "UPDATE batches SET extra_data = without_keys(extra_data) WHERE keys_in(extra_data) <> 0;"
    /* The old bytes of these texts are free space now. */
    "INSERT OR REPLACE INTO meta (key)"
    "    SELECT 'write anew' WHERE EXISTS (SELECT 1 FROM jobs WHERE credentials <> 0);",
};

enum { SCHEMA_VERSION = sizeof migrations / sizeof *migrations };

static bool read_version(sqlite3 *db, int *ret)
{
    sqlite3_stmt *q = NULL;
    bool good = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL) == SQLITE_OK &&
                sqlite3_step(q) == SQLITE_ROW;
    if (good) {
        *ret = sqlite3_column_int(q, 0);
    }
    (void)sqlite3_finalize(q);
    return good;
}

static bool run(sqlite3 *db, const char *sql, char *why, size_t why_size)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) {
        return true;
    }
    (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* leftovers: account keys may be in unreferenced bytes. */
static bool migrate_one(sqlite3 *db, int version, bool leftovers, char *why, size_t why_size)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    buf_printf(
        &sql, "BEGIN IMMEDIATE; %s %s PRAGMA user_version = %d; COMMIT", migrations[version - 1],
        leftovers ? "INSERT OR REPLACE INTO meta (key) VALUES ('write anew');" : "", version);
    return run(db, buf_text(&sql), why, why_size);
}

bool schema_migrate(sqlite3 *db, char *why, size_t why_size)
{
    int version = 0;
    if (!read_version(db, &version)) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
        return false;
    }
    if (version < 0) {
        (void)snprintf(why, why_size,
                       "it is damaged: its schema version is %d; restore a backup, or move it away "
                       "and start with --new-store",
                       version);
        return false;
    }
    if (version > SCHEMA_VERSION) {
        (void)snprintf(why, why_size,
                       "it was written by a newer comfypoold (format %d, this one knows %d); "
                       "start that one, or use another state directory",
                       version, (int)SCHEMA_VERSION);
        return false;
    }
    if (version > 0 && version < SCHEMA_VERSION) {
        LOG(LOG_INFO, "the database is brought up to date; this may take a while",
            LOG_I("from", version), LOG_I("to", (int)SCHEMA_VERSION));
    }
    const bool leftovers = version > 0 && version < 7 && credentials_may_lie_about(db);
    if (!credentials_functions(db)) {
        (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
        return false;
    }
    while (version < SCHEMA_VERSION) {
        version++;
        if (!migrate_one(db, version, version == 7 && leftovers, why, why_size)) {
            return false;
        }
    }
    return true;
}
