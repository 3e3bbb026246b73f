/*
 * The store as a whole: its directory and lock, the options of its connections, the answers of the
 * writer on the loop thread, the counts, and the end. Writes are in writes.c, ops_apply.c and
 * writer.c, roll-ups in rollup_write.c; what SQLite does as an engine is in sqlite_engine.c; reads
 * of one thing are in finds.c and blocking.c, those that take long in async_reads.c and the files
 * that use it; the format is schema.c and columns.c.
 *
 * Invariant: the counts and store_is_writable are as of the last answers given on the loop thread.
 */
#include "comfypool/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/base/log.h"

#include "async_reads.h"
#include "engine.h"
#include "inner.h"
#include "writer.h"

static const char DATABASE[] = "comfypoold.db";
/* Beside it since its first commit: an empty database without it is a new one. */
static const char MARKER[] = "comfypoold.made";

/* ---- the directory --------------------------------------------------------------------------- */

static bool make_parents(char *path, char *why, size_t why_size)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        const int rc = mkdir(path, 0755);
        const int e = errno;
        if (rc != 0 && e != EEXIST && e != EROFS && e != EACCES) {
            (void)snprintf(why, why_size, "cannot make the directory %s: %s", path, strerror(e));
            *p = '/';
            return false;
        }
        *p = '/';
    }
    return true;
}

/* Makes it, or takes one that is there; nobody else may look into it. */
static bool make_dir(const char *dir, char *why, size_t why_size)
{
    AUTO_FREE char *path = mem_strdup(dir);
    if (!make_parents(path, why, why_size)) {
        return false;
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        (void)snprintf(why, why_size, "cannot make the state directory %s: %s", dir,
                       strerror(errno));
        return false;
    }
    struct stat st;
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        (void)snprintf(why, why_size, "the state directory %s is no directory", dir);
        return false;
    }
    if ((st.st_mode & S_ISVTX) != 0) {
        (void)snprintf(why, why_size,
                       "the state directory %s is shared (sticky); name one inside it", dir);
        return false;
    }
    if (st.st_uid != geteuid() && (st.st_uid != 0 || (st.st_mode & 0022) != 0)) {
        (void)snprintf(
            why, why_size,
            "the state directory %s belongs to another user (uid %u, and the daemon runs "
            "as %u): give it to the daemon's user, or name another directory",
            dir, (unsigned)st.st_uid, (unsigned)geteuid());
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & 0777) != 0700 && chmod(dir, 0700) != 0) {
        (void)snprintf(why, why_size, "cannot set the mode of %s: %s", dir, strerror(errno));
        return false;
    }
    return true;
}

/* Makes a file 0600, also one that is there; follows no link. Returns its descriptor, or -1 with
   errno. */
static int open_private(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && fchmod(fd, 0600) != 0 && errno != EPERM) {
        const int e = errno;
        (void)close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static bool lock_dir(struct store *s, char *why, size_t why_size)
{
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&path, "%s/lock", s->dir);
    s->lock_fd = open_private(buf_text(&path));
    if (s->lock_fd < 0) {
        const char *wrong = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
        (void)snprintf(why, why_size, "cannot write in the state directory %s: lock: %s", s->dir,
                       wrong);
        return false;
    }
    char pid[32] = "";
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        const ssize_t n = pread(s->lock_fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        (void)snprintf(why, why_size,
                       "the state directory %s is in use by another comfypoold (pid %s); stop it, "
                       "or use another directory",
                       s->dir, pid[0] == '\0' ? "unknown" : pid);
        return false;
    }
    const int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* Only for the message above: a full disk must not keep the daemon from starting. */
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n) {
        LOG(LOG_WARN, "cannot write the pid into the lock file", LOG_S("why", strerror(errno)));
    }
    return true;
}

static void marker_path(const struct store *s, struct buf *out)
{
    buf_init(out, BUF_NO_LIMIT);
    buf_printf(out, "%s/%s", s->dir, MARKER);
}

/* Its first commit is durable. Without the marker an empty database would pass for a new one: so a
   disk that has no room for it is told, and refuses nothing. */
static void write_marker(const struct store *s)
{
    static const char text[] =
        "comfypoold has made its database in this directory. While this file "
        "is here, an empty database is refused, but with --new-store.\n";
    AUTO_BUF struct buf path;
    marker_path(s, &path);
    struct stat st;
    if (lstat(buf_text(&path), &st) == 0 && st.st_size > 0) {
        return;
    }
    const int fd = open_private(buf_text(&path));
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)(sizeof text - 1) ||
        fsync(fd) != 0) {
        LOG(LOG_WARN, "cannot mark the state directory as used", LOG_S("file", MARKER),
            LOG_S("why", strerror(errno)));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* SQLite takes a file of one byte for an empty one, too (unixFileSize). */
static bool is_empty_or_missing(const char *path)
{
    struct stat st;
    return lstat(path, &st) != 0 ? errno == ENOENT : S_ISREG(st.st_mode) && st.st_size <= 1;
}

/* A database that has vanished or was emptied is no new one. */
static bool check_not_lost(struct store *s, char *why, size_t why_size)
{
    AUTO_BUF struct buf marker;
    marker_path(s, &marker);
    struct stat st;
    s->made = lstat(buf_text(&marker), &st) == 0;
    if (!is_empty_or_missing(s->path) || !s->made) {
        return true;
    }
    if (s->anew) {
        LOG(LOG_WARN, "a new database is made where another one was", LOG_S("path", s->path));
        return true;
    }
    (void)snprintf(
        why, why_size,
        "the database %s is empty or gone, and jobs were in it: restore it, or start with "
        "--new-store to begin with an empty one",
        s->path);
    return false;
}

static const char *const beside[] = {"-wal", "-shm"};
enum { BESIDE = sizeof beside / sizeof *beside };

static void beside_path(const struct store *s, size_t i, struct buf *out)
{
    buf_init(out, BUF_NO_LIMIT);
    buf_printf(out, "%s%s", s->path, beside[i]);
}

/* SQLite gives -wal and -shm the mode of the database, so that goes first. What is left of another
   database is not this one's. */
static bool make_database_file(const struct store *s, char *why, size_t why_size)
{
    const bool is_new = is_empty_or_missing(s->path);
    const int fd = open_private(s->path);
    if (fd < 0) {
        const char *wrong = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
        (void)snprintf(why, why_size, "cannot open %s: %s", s->path, wrong);
        return false;
    }
    (void)close(fd);
    for (size_t i = 0; i < BESIDE; i++) {
        AUTO_BUF struct buf path;
        beside_path(s, i, &path);
        if (is_new) {
            (void)unlink(buf_text(&path));
        }
        (void)chmod(buf_text(&path), 0600); /* normally not there */
    }
    return true;
}

/* The last daemon did not come to close it: that removes the log, which one that was killed before
   its first write leaves without a byte. */
static bool ended_uncleanly(const struct store *s)
{
    AUTO_BUF struct buf wal;
    beside_path(s, 0, &wal);
    struct stat st;
    return lstat(buf_text(&wal), &st) == 0;
}

/* ---- is it sound? ---------------------------------------------------------------------------- */

/* Reads every page: 1 GiB in the page cache takes 0.3 s, from a disk what reading takes. */
static const int64_t CHECKED_MOST = INT64_C(1) << 30;

/* The first row of a question about the database, as text. */
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

static bool is_damaged(char *why, size_t why_size, const char *how)
{
    (void)snprintf(why, why_size, "it is damaged (%s)%s", how, remedy);
    return false;
}

bool store_check(const struct store *s, sqlite3 *db, char *why, size_t why_size)
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

bool store_is_there(const struct store *s)
{
    struct stat st;
    return stat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode;
}

/* ---- connections ----------------------------------------------------------------------------- */

/*
 * auto_vacuum must come before the first table. wal_autocheckpoint and journal_size_limit keep the
 * WAL near 4 MiB; temp_store keeps a full disk out of the way of a sort.
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

/* Without a schema version it is new. Where it has tables all the same it is another program's,
   which shall keep it as it is; where it has none and jobs were in it, they are lost. */
static bool is_ours(const struct store *s, sqlite3 *db, char *why, size_t why_size)
{
    char said[256];
    if (!asked(db, "PRAGMA user_version", said, sizeof said) || strcmp(said, "0") != 0 ||
        !asked(db, "SELECT count(*) FROM sqlite_master", said, sizeof said)) {
        return true; /* or damaged: store_check and schema_migrate say so */
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

bool store_connect(const struct store *s, bool writes, int cache_kib, sqlite3 **ret, char *why,
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
        (void)sqlite3_busy_timeout(db, STORE_BUSY_MS);
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

bool store_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, char *why, size_t why_size)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK) {
        return true;
    }
    (void)snprintf(why, why_size, "%s", sqlite3_errmsg(db));
    return false;
}

/* ---- answers on the loop --------------------------------------------------------------------- */

static void note_writable(struct store *s, bool writable, const char *trouble)
{
    if (s->writable && !writable) {
        LOG(LOG_ERROR, "the store cannot be written; new jobs are refused, the rest is kept",
            LOG_S("why", trouble), LOG_S("path", s->path));
    } else if (!s->writable && writable) {
        LOG_PLAIN(LOG_INFO, "the store can be written again");
    }
    s->writable = writable;
    (void)snprintf(s->trouble, sizeof s->trouble, "%s", trouble);
}

static void tell(const struct op *op)
{
    if (op->done != NULL) {
        op->done(op->ctx, op->result);
    }
    if (op->kept_done != NULL) {
        op->kept_done(op->ctx);
    }
    if (op->revived != NULL) {
        op->revived(op->ctx, op->result == ERR_NONE && !op->missing);
    }
    if (op->pruned != NULL) {
        const bool good = op->result == ERR_NONE;
        op->pruned(op->ctx, good ? op->deleted : 0, good && op->more);
    }
    if (op->folded != NULL) {
        op->folded(op->ctx, op->result == ERR_NONE && op->more);
    }
}

static void answer(struct store *s, struct op *op)
{
    for (int i = 0; i < JOB_STATE_COUNT && op->result == ERR_NONE; i++) {
        s->counts[i] += op->delta[i];
    }
    recent_begin_telling(&s->recent, op); /* before its waiters ask */
    tell(op);
    if (op->deleted > 0) {
        recent_forget_all(&s->recent);
    }
    recent_end_telling(&s->recent, op);
}

static void deliver(struct store *s)
{
    struct writer *w = &s->writer;
    uv_mutex_lock(&w->mutex);
    struct op_list answered = w->answered;
    w->answered = (struct op_list){0};
    const bool writable = w->writable;
    char trouble[sizeof w->trouble];
    memcpy(trouble, w->trouble, sizeof trouble);
    uv_mutex_unlock(&w->mutex);
    note_writable(s, writable, trouble);
    for (struct op *op = op_list_take(&answered); op != NULL; op = op_list_take(&answered)) {
        answer(s, op);
    }
}

static void on_async(uv_async_t *async)
{
    struct store *s = async->data;
    if (!s->closing) {
        deliver(s);
        finder_deliver(s);
    }
}

bool store_is_writable(const struct store *s)
{
    return s->writable;
}

struct dur_us store_busy_for(struct store *s)
{
    uv_mutex_lock(&s->writer.mutex);
    const uint64_t since = s->writer.busy_since;
    uv_mutex_unlock(&s->writer.mutex);
    return (struct dur_us){since == 0 ? 0 : (int64_t)((uv_hrtime() - since) / 1000)};
}

const char *store_trouble(const struct store *s)
{
    return s->trouble;
}

int64_t store_next_seq(struct store *s)
{
    return ++s->last_seq;
}

void store_counts(const struct store *s, int64_t ret[JOB_STATE_COUNT])
{
    memcpy(ret, s->counts, sizeof s->counts);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static struct store *new_store(const char *dir, uv_loop_t *loop)
{
    struct store *s = mem_zero(1, sizeof *s);
    s->loop = loop;
    s->engine = &sqlite_engine;
    s->dir = mem_strdup(dir);
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&path, "%s/%s", dir, DATABASE);
    s->path = buf_take(&path);
    s->lock_fd = -1;
    s->writable = true;
    (void)uv_mutex_init(&s->writer.mutex);
    (void)uv_cond_init(&s->writer.wake);
    finder_init(&s->finder);
    (void)uv_mutex_init(&s->async_reads.mutex);
    (void)uv_cond_init(&s->async_reads.finished);
    return s;
}

static void free_store(struct store *s)
{
    recent_forget_all(&s->recent);
    finder_done(&s->finder);
    uv_cond_destroy(&s->async_reads.finished);
    uv_mutex_destroy(&s->async_reads.mutex);
    uv_cond_destroy(&s->writer.wake);
    uv_mutex_destroy(&s->writer.mutex);
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd);
    }
    free(s->path);
    free(s->dir);
    free(s);
}

void store_unref(struct store *s)
{
    s->refs--;
    if (s->refs == 0) {
        free_store(s);
    }
}

static void on_closed(uv_handle_t *handle)
{
    store_unref(handle->data);
}

static bool open_database(struct store *s, char *why, size_t why_size)
{
    char reason[512] = "";
    if (writer_open(s, reason, sizeof reason)) {
        s->reader = s->engine->connect(s, READER_CACHE_KIB, reason, sizeof reason);
    }
    if (s->reader != NULL && s->engine->last_seq(s->reader, &s->last_seq, reason, sizeof reason)) {
        return true;
    }
    char *sql = strstr(reason, " - near "); /* of a schema that is damaged: its own text */
    if (sql != NULL) {
        *sql = '\0';
    }
    const bool damaged = strstr(reason, sqlite3_errstr(SQLITE_NOTADB)) != NULL ||
                         strstr(reason, sqlite3_errstr(SQLITE_CORRUPT)) != NULL;
    (void)snprintf(why, why_size, "cannot use the database %s: %s%s", s->path, reason,
                   damaged && strstr(reason, remedy) == NULL ? remedy : "");
    s->engine->disconnect(s->reader);
    writer_stop(s);
    return false;
}

/* Runs just before the loop sleeps: all writes of a turn go into one transaction. */
static void on_turn_end(uv_prepare_t *prepare)
{
    writer_wake(prepare->data);
}

/* Its file is where it was from now on, or it is gone. */
static bool note_file(struct store *s, char *why, size_t why_size)
{
    struct stat st;
    if (stat(s->path, &st) != 0) {
        (void)snprintf(why, why_size, "cannot find the database %s: %s", s->path, strerror(errno));
        return false;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return true;
}

static bool open_in(const char *dir, bool anew, uv_loop_t *loop, struct store **ret, char *why,
                    size_t why_size)
{
    if (!make_dir(dir, why, why_size)) {
        return false;
    }
    struct store *s = new_store(dir, loop);
    s->anew = anew;
    if (!lock_dir(s, why, why_size) || !check_not_lost(s, why, why_size) ||
        !make_database_file(s, why, why_size) || !note_file(s, why, why_size)) {
        free_store(s);
        return false;
    }
    s->unclean = ended_uncleanly(s);
    if (!open_database(s, why, why_size)) {
        free_store(s);
        return false;
    }
    write_marker(s);
    (void)uv_async_init(loop, &s->async, on_async);
    s->async.data = s;
    (void)uv_prepare_init(loop, &s->turn_ends);
    s->turn_ends.data = s;
    (void)uv_prepare_start(&s->turn_ends, on_turn_end);
    uv_unref((uv_handle_t *)&s->turn_ends);
    s->refs = 2;
    if (!writer_start(s, why, why_size)) {
        store_close(s);
        return false;
    }
    *ret = s;
    return true;
}

bool store_open(const char *dir, uv_loop_t *loop, struct store **ret, char *why, size_t why_size)
{
    return open_in(dir, false, loop, ret, why, why_size);
}

bool store_open_anew(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                     size_t why_size)
{
    return open_in(dir, true, loop, ret, why, why_size);
}

/* What callbacks of the last answers asked for: nobody writes it any more. */
static void refuse_late(struct store *s)
{
    for (struct op *op = op_list_take(&s->writer.waiting); op != NULL;
         op = op_list_take(&s->writer.waiting)) {
        op->result = ERR_STORE_UNAVAILABLE;
        answer(s, op);
    }
}

void store_close(struct store *s)
{
    s->closing = true;
    writer_stop(s);
    deliver(s);
    refuse_late(s);
    finder_close(s);
    async_reads_close(s);
    refuse_late(s);
    s->engine->disconnect(s->reader);
    uv_close((uv_handle_t *)&s->turn_ends, on_closed);
    uv_close((uv_handle_t *)&s->async, on_closed);
}
