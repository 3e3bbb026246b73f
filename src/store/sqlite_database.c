/*
 * Connections to the SQLite database: their options, whether the database is ours, and whether it
 * is intact. Its file is sqlite_file.c, its tables sqlite_schema.c.
 */
#include "sqlite_database.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/log.h"

#include "inner.h"

/* ---- is it sound? ---------------------------------------------------------------------------- */

/* Limit of a full check: 1 GiB in the page cache takes 0.3 s, on disk the time to read it. */
static const int64_t CHECKED_MOST = INT64_C(1) << 30;

/* Asks for the first row of a query, as text. */
static bool asked(sqlite3 *db, const char *sql, char *ret, size_t size)
{
    sqlite3_stmt *q = NULL;
    const bool good =
        sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW;
    const char *text = good ? (const char *)sqlite3_column_text(q, 0) : NULL;
    (void)snprintf(ret, size, "%s", text != NULL ? text : sqlite3_errmsg(db));
    (void)sqlite3_finalize(q);
    return text != NULL;
}

static const char remedy[] = ": restore a backup, or move it away and start with --new-store";

void database_explain(char *why, size_t why_size)
{
    char *sql = strstr(why, " - near "); /* text of a damaged schema */
    if (sql != NULL) {
        *sql = '\0';
    }
    const bool damaged = strstr(why, sqlite3_errstr(SQLITE_NOTADB)) != NULL ||
                         strstr(why, sqlite3_errstr(SQLITE_CORRUPT)) != NULL;
    if (damaged && strstr(why, remedy) == NULL) {
        const size_t n = strlen(why);
        (void)snprintf(why + n, why_size - n, "%s", remedy);
    }
}

static bool is_damaged(char *why, size_t why_size, const char *how)
{
    (void)snprintf(why, why_size, "it is damaged (%s)%s", how, remedy);
    return false;
}

bool database_check(const struct store *s, sqlite3 *db, char *why, size_t why_size)
{
    char said[256];
    struct stat st;
    if (!asked(db, "PRAGMA encoding", said, sizeof said) || strcmp(said, "UTF-8") != 0) {
        return is_damaged(why, why_size, said);
    }
    if (!s->unclean || stat(s->path, &st) != 0) {
        return true;
    }
    if (st.st_size > CHECKED_MOST) {
        LOG(LOG_INFO, "the database is too large to be checked after an unclean end",
            LOG_I("bytes", st.st_size));
        return true;
    }
    return (asked(db, "PRAGMA quick_check(1)", said, sizeof said) && strcmp(said, "ok") == 0) ||
           is_damaged(why, why_size, said);
}

/* ---- connections ----------------------------------------------------------------------------- */

/*
 * auto_vacuum must come before the first table. wal_autocheckpoint and journal_size_limit keep the
 * WAL near 4 MiB; temp_store lets a sort succeed on a full disk.
 */
static const char WRITER_OPTIONS[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                                     "PRAGMA journal_mode = WAL;"
                                     "PRAGMA synchronous = FULL;"
                                     "PRAGMA foreign_keys = ON;"
                                     "PRAGMA wal_autocheckpoint = 1000;"
                                     "PRAGMA journal_size_limit = 4194304;"
                                     "PRAGMA temp_store = MEMORY;";
static const char READER_OPTIONS[] = "PRAGMA query_only = ON;"
                                     "PRAGMA temp_store = MEMORY;";

/* False for a database without a schema version that is not new: with tables it is another
   program's, and left alone; without tables, where jobs were, it is lost. */
static bool is_ours(const struct store *s, sqlite3 *db, char *why, size_t why_size)
{
    char said[256];
    if (!asked(db, "PRAGMA user_version", said, sizeof said) || strcmp(said, "0") != 0 ||
        !asked(db, "SELECT count(*) FROM sqlite_master", said, sizeof said)) {
        return true; /* or damaged: database_check and schema_migrate say so */
    }
    if (strcmp(said, "0") != 0) {
        (void)snprintf(why, why_size,
                       "it has tables and no schema version, so it is another program's, or "
                       "damaged%s",
                       remedy);
        return false;
    }
    if (s->made && !s->anew) {
        (void)snprintf(why, why_size,
                       "it is empty, and jobs were in it: restore it, or start with --new-store "
                       "to begin with an empty one");
        return false;
    }
    return true;
}

bool database_connect(const struct store *s, bool writes, int cache_kib, sqlite3 **ret, char *why,
                      size_t why_size)
{
    sqlite3 *db = NULL;
    AUTO_BUF struct buf options;
    buf_init(&options, BUF_NO_LIMIT);
    buf_printf(&options, "PRAGMA cache_size = -%d; %s", cache_kib,
               writes ? WRITER_OPTIONS : READER_OPTIONS);
    int rc = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(db, 1);
        (void)sqlite3_busy_timeout(db, DATABASE_BUSY_MS);
        if (writes && !is_ours(s, db, why, why_size)) {
            (void)sqlite3_close(db);
            return false;
        }
        rc = sqlite3_exec(db, buf_text(&options), NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        (void)snprintf(why, why_size, "%s", db == NULL ? "out of memory" : sqlite3_errmsg(db));
        (void)sqlite3_close(db);
        return false;
    }
    *ret = db;
    return true;
}

bool database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, char *why, size_t why_size)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK) {
        return true;
    }
    (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    return false;
}
