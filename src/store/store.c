/*
 * The store as a whole: its directory and lock, the writer's answers on the loop thread, the
 * counts, and the end. writes.c makes writes and the thread of writer.c does them; single reads are
 * in finds.c and blocking.c, long ones in async_reads.c and its users. The database is behind
 * engine.h.
 *
 * Invariant: the counts and store_is_writable are as of the last answers given on the loop thread.
 */
#include "comfypool/store/store.h"

#include <errno.h>
#include <fcntl.h>
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

/* Makes the directory, or takes an existing one; it must be private. */
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

int store_open_private(const char *path)
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
    s->lock_fd = store_open_private(buf_text(&path));
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
    /* Only for that message: a full disk must not prevent the start. */
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n) {
        LOG(LOG_WARN, "cannot write the pid into the lock file", LOG_S("why", strerror(errno)));
    }
    return true;
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
    if (!writer_open(s, why, why_size)) {
        return false;
    }
    s->reader = s->engine->connect(s, READER_CACHE_KIB, reason, sizeof reason);
    if (s->reader != NULL && s->engine->last_seq(s->reader, &s->last_seq, reason, sizeof reason)) {
        return true;
    }
    (void)snprintf(why, why_size, "cannot use the database %s: %s", s->path, reason);
    s->engine->disconnect(s->reader);
    writer_stop(s);
    return false;
}

/* Runs just before the loop sleeps: all writes of a turn go into one transaction. */
static void on_turn_end(uv_prepare_t *prepare)
{
    writer_wake(prepare->data);
}

static bool open_in(const char *dir, bool anew, uv_loop_t *loop, struct store **ret, char *why,
                    size_t why_size)
{
    if (!make_dir(dir, why, why_size)) {
        return false;
    }
    struct store *s = new_store(dir, loop);
    s->anew = anew;
    if (!lock_dir(s, why, why_size) || !open_database(s, why, why_size)) {
        free_store(s);
        return false;
    }
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

/* Refuses writes made by callbacks of the last answers: the writer has ended. */
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
