/*
 * Account keys of jobs that have not ended (core/credentials.h), in a table of their own, and how
 * they are erased: a deleted row is overwritten (secure_delete), and the log that still has it is
 * written into the database and truncated soon after.
 *
 * The texts begin with more blanks than a tree page holds of a row, so that the keys themselves are
 * in overflow pages only: those are never copied when the tree is balanced, which may leave a copy
 * in the gap of a page (findings/sqlite-secure-delete-leaves-copies.sh).
 */
#include "sqlite_credentials.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/base/log.h"
#include "comfypool/core/credentials.h"

#include "sqlite_database.h"

enum { PAGE = 4096 };

static bool run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

void credentials_pad(struct str keys, struct buf *out)
{
    char blanks[PAGE];
    memset(blanks, ' ', sizeof blanks);
    buf_add(out, blanks, sizeof blanks);
    buf_add_str(out, keys);
}

/* ---- writing --------------------------------------------------------------------------------- */

enum write_result credentials_put(struct write_session *w, const char *owner, struct str keys)
{
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    credentials_pad(keys, &text);
    sqlite3_stmt *q = w->q[Q_PUT_CREDENTIALS];
    (void)sqlite3_bind_text(q, 1, owner, -1, SQLITE_STATIC);
    write_bind_str(q, 2, buf_str(&text));
    return write_step(q);
}

enum write_result credentials_delete(struct write_session *w, struct str owner)
{
    (void)run(w->db, "PRAGMA secure_delete = ON");
    write_bind_str(w->q[Q_DELETE_CREDENTIALS], 1, owner);
    const enum write_result r = write_step(w->q[Q_DELETE_CREDENTIALS]);
    w->removed = w->removed || sqlite3_changes(w->db) > 0;
    (void)run(w->db, "PRAGMA secure_delete = OFF");
    return r;
}

bool credentials_cut_log(sqlite3 *db)
{
    (void)sqlite3_busy_timeout(db, 0); /* never wait for a reader */
    const int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(db, DATABASE_BUSY_MS);
    return rc == SQLITE_OK;
}

/* ---- the start ------------------------------------------------------------------------------- */

static struct str text_of(sqlite3_value *v)
{
    const char *p = (const char *)sqlite3_value_text(v);
    return (struct str){p, p == NULL ? 0 : (size_t)sqlite3_value_bytes(v)};
}

/* Excludes most texts quickly: an escape may be part of a name. */
static bool may_have(struct str text)
{
    return text.n > 0 && (memmem(text.p, text.n, "_comfy_org", 10) != NULL ||
                          memchr(text.p, '\\', text.n) != NULL);
}

static void sql_in(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const struct str text = text_of(v[0]);
    sqlite3_result_int(c, may_have(text) ? (int)credentials_in(text) : 0);
}

static void result(sqlite3_context *c, const struct buf *b)
{
    sqlite3_result_text64(c, b->data, b->len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void sql_rest(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    AUTO_BUF struct buf rest;
    AUTO_BUF struct buf keys;
    buf_init(&rest, BUF_NO_LIMIT);
    buf_init(&keys, BUF_NO_LIMIT);
    (void)credentials_cut(text_of(v[0]), &rest, &keys);
    result(c, &rest);
}

static void sql_keys(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    AUTO_BUF struct buf rest;
    AUTO_BUF struct buf keys;
    AUTO_BUF struct buf padded;
    buf_init(&rest, BUF_NO_LIMIT);
    buf_init(&keys, BUF_NO_LIMIT);
    buf_init(&padded, BUF_NO_LIMIT);
    (void)credentials_cut(text_of(v[0]), &rest, &keys);
    credentials_pad(buf_str(&keys), &padded);
    result(c, &padded);
}

bool credentials_functions(sqlite3 *db)
{
    static const struct {
        const char *name;
        void (*run)(sqlite3_context *c, int n, sqlite3_value **v);
    } functions[] = {{"keys_in", sql_in}, {"without_keys", sql_rest}, {"keys_of", sql_keys}};
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (sqlite3_create_function(db, functions[i].name, 1, flags, NULL, functions[i].run, NULL,
                                    NULL) != SQLITE_OK) {
            return false;
        }
    }
    return true;
}

/* True if any of the names is in the file, even in unreferenced bytes. */
static bool file_has_names(int fd)
{
    enum { PIECE = 1 << 20, OVERLAP = 64 };
    char *piece = mem_alloc(PIECE);
    bool found = false;
    size_t kept = 0;
    for (off_t at = 0; !found;) {
        const ssize_t n = pread(fd, piece + kept, PIECE - kept, at);
        if (n <= 0) {
            break;
        }
        const size_t len = kept + (size_t)n;
        for (int i = 0; i < CREDENTIAL_COUNT; i++) {
            const char *name = credential_name((enum credential)i);
            found = found || memmem(piece, len, name, strlen(name)) != NULL;
        }
        at += n;
        kept = len < OVERLAP ? len : OVERLAP;
        memmove(piece, piece + len - kept, kept);
    }
    free(piece);
    return found;
}

bool credentials_may_lie_about(sqlite3 *db)
{
    const char *path = sqlite3_db_filename(db, "main");
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    (void)credentials_cut_log(db);
    const bool found = file_has_names(fd);
    (void)close(fd);
    return found;
}

/* Rewrites everything: removes what older daemons left between the rows. */
static void write_anew(sqlite3 *db)
{
    enum { IN_MEMORY = 256 << 20 };
    const char *path = sqlite3_db_filename(db, "main");
    struct stat st = {.st_size = 0};
    (void)stat(path == NULL ? "" : path, &st);
    LOG_PLAIN(LOG_INFO, "the database is written anew, without account keys of jobs that have "
                        "ended; this may take a while");
    (void)run(db,
              st.st_size > IN_MEMORY ? "PRAGMA temp_store = FILE" : "PRAGMA temp_store = MEMORY");
    if (run(db, "VACUUM") && run(db, "DELETE FROM meta WHERE key = 'write anew'")) {
        LOG_PLAIN(LOG_INFO, "the database was written anew");
    } else {
        LOG(LOG_WARN,
            "the database could not be written anew: account keys of old jobs may lie in it still; "
            "it is tried again at the next start",
            LOG_S("why", sqlite3_errmsg(db)));
    }
    (void)run(db, "PRAGMA temp_store = MEMORY");
}

static bool is_due(sqlite3 *db)
{
    sqlite3_stmt *q = NULL;
    const bool due = sqlite3_prepare_v2(db, "SELECT 1 FROM meta WHERE key = 'write anew'", -1, &q,
                                        NULL) == SQLITE_OK &&
                     sqlite3_step(q) == SQLITE_ROW;
    (void)sqlite3_finalize(q);
    return due;
}

void credentials_tidy(sqlite3 *db)
{
    (void)run(db, "PRAGMA secure_delete = ON");
    /* Ended jobs have none; a safeguard. */
    (void)run(db, "DELETE FROM credentials WHERE owner NOT IN (SELECT id FROM jobs WHERE state < 2)"
                  " AND owner NOT IN (SELECT id FROM batches WHERE told = 0)");
    (void)run(db, "PRAGMA secure_delete = OFF");
    if (is_due(db)) {
        write_anew(db);
    }
    (void)credentials_cut_log(db);
}
