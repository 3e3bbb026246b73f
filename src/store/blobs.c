/*
 * Files by their SHA-256; see the header. A writer has at most one request in libuv's pool: open, a
 * write, or the end (fsync, rename, fsync of the directory). Bytes that come meanwhile wait in its
 * buffer. An end may take seconds, and all users share the pool's four threads: one at a time.
 */
#include "comfypool/store/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/base/log.h"

enum { PENDING_MOST = 256 << 10 };

struct blobs {
    uv_loop_t *loop;
    char *dir;
    uint64_t last; /* last name of an unfinished file */
    bool settling; /* a writer's end is under way */
    struct blob_writer *writers;
    bool closing; /* freed with its last writer */
};

struct blob_writer {
    uv_work_t work;
    struct blobs *blobs;
    struct blob_writer *next, **link;
    struct blob_writer_ops ops;
    void *ctx;
    int fd; /* -1: not open yet */
    char *path;
    struct digest *digest;
    uint64_t size;
    uint64_t finished; /* order of finishing, counts up */
    struct buf pending;
    struct buf writing;
    bool busy;      /* in the pool */
    bool paused;    /* `drained` is due */
    bool finishing; /* blob_finish was called */
    bool ending;    /* the last request is running */
    bool aborted;
    int error; /* errno of the pool's work */
    char sha256[DIGEST_HEX_SIZE];
};

/* ---- the directory --------------------------------------------------------------------------- */

/* Makes a directory; rejects links, as unfinished files in it are removed. */
static bool make_dir(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) {
        return true;
    }
    if (errno != EEXIST || lstat(path, &st) != 0) {
        return false;
    }
    errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    return S_ISDIR(st.st_mode);
}

static void unfinished(const struct blobs *b, struct buf *out)
{
    buf_printf(out, "%s/unfinished", b->dir);
}

static void remove_unfinished(const struct blobs *b)
{
    AUTO_BUF struct buf dir;
    buf_init(&dir, BUF_NO_LIMIT);
    unfinished(b, &dir);
    DIR *d = opendir(buf_text(&dir));
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            (void)unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

bool blobs_open(uv_loop_t *loop, const char *dir, struct blobs **ret, char *why, size_t why_size)
{
    struct blobs *b = mem_zero(1, sizeof *b);
    b->loop = loop;
    b->dir = mem_strdup(dir);
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    unfinished(b, &path);
    if (!make_dir(dir) || !make_dir(buf_text(&path))) {
        (void)snprintf(why, why_size, "%s: %s", dir,
                       errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        free(b->dir);
        free(b);
        return false;
    }
    remove_unfinished(b);
    *ret = b;
    return true;
}

void blob_path(const struct blobs *b, const char *sha256, struct buf *out)
{
    buf_printf(out, "%s/%.2s/%s", b->dir, sha256, sha256);
}

static bool is_sha256(const char *name)
{
    return strlen(name) == DIGEST_HEX_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}

static void each_in(const char *path, void (*each)(void *ctx, const char *sha256, uint64_t size),
                    void *ctx)
{
    DIR *d = opendir(path);
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d)) {
        struct stat st;
        if (is_sha256(e->d_name) && fstatat(dirfd(d), e->d_name, &st, 0) == 0) {
            each(ctx, e->d_name, (uint64_t)st.st_size);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

void blobs_each(struct blobs *b, void (*each)(void *ctx, const char *sha256, uint64_t size),
                void *ctx)
{
    for (unsigned i = 0; i < 256; i++) {
        AUTO_BUF struct buf path;
        buf_init(&path, BUF_NO_LIMIT);
        buf_printf(&path, "%s/%02x", b->dir, i);
        each_in(buf_text(&path), each, ctx);
    }
}

int blob_open(const struct blobs *b, const char *sha256, uint64_t *ret_size)
{
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    blob_path(b, sha256, &path);
    struct stat st;
    const int fd = open(buf_text(&path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    *ret_size = (uint64_t)st.st_size;
    return fd;
}

static void removed(uv_fs_t *req)
{
    uv_fs_req_cleanup(req);
    free(req);
}

/* Makes a unique name. */
static void name_unfinished(struct blobs *b, struct buf *out)
{
    unfinished(b, out);
    buf_printf(out, "/%llu", (unsigned long long)++b->last);
}

/* True if a pool thread may just have renamed equal content for another writer. */
static bool is_being_made(const struct blobs *b, const char *sha256)
{
    const struct blob_writer *w = b->writers;
    while (w != NULL && !(w->ending && !w->aborted && strcmp(w->sha256, sha256) == 0)) {
        w = w->next;
    }
    return w != NULL;
}

/* Renames it away at once, so that equal content may come again; deletes the bytes when the pool
   has time. */
void blob_remove(struct blobs *b, const char *sha256)
{
    AUTO_BUF struct buf path;
    AUTO_BUF struct buf away;
    buf_init(&path, BUF_NO_LIMIT);
    buf_init(&away, BUF_NO_LIMIT);
    blob_path(b, sha256, &path);
    name_unfinished(b, &away);
    if (is_being_made(b, sha256) || rename(buf_text(&path), buf_text(&away)) != 0) {
        return;
    }
    uv_fs_t *req = mem_alloc(sizeof *req);
    if (uv_fs_unlink(b->loop, req, buf_text(&away), removed) != 0) {
        free(req);
    }
}

static bool make_place(const struct blobs *b, const char *sha256)
{
    AUTO_BUF struct buf dir;
    buf_init(&dir, BUF_NO_LIMIT);
    buf_printf(&dir, "%s/%.2s", b->dir, sha256);
    return make_dir(buf_text(&dir));
}

bool blob_share(const struct blobs *from, const struct blobs *to, const char *sha256)
{
    AUTO_BUF struct buf here;
    AUTO_BUF struct buf there;
    buf_init(&here, BUF_NO_LIMIT);
    buf_init(&there, BUF_NO_LIMIT);
    blob_path(from, sha256, &here);
    blob_path(to, sha256, &there);
    return make_place(to, sha256) &&
           (link(buf_text(&here), buf_text(&there)) == 0 || errno == EEXIST);
}

/* ---- on the pool ----------------------------------------------------------------------------- */

static int sync_dir(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR) {
            return errno;
        }
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* Makes the file durable under its final name. */
static int settle(struct blob_writer *w)
{
    AUTO_BUF struct buf dir;
    AUTO_BUF struct buf path;
    buf_init(&dir, BUF_NO_LIMIT);
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&dir, "%s/%.2s", w->blobs->dir, w->sha256);
    blob_path(w->blobs, w->sha256, &path);
    const bool is_new = mkdir(buf_text(&dir), 0700) == 0;
    if ((!is_new && errno != EEXIST) || fsync(w->fd) != 0 ||
        rename(w->path, buf_text(&path)) != 0) {
        return errno;
    }
    const int rc = sync_dir(buf_text(&dir));
    return rc == 0 && is_new ? sync_dir(w->blobs->dir) : rc;
}

static void do_work(uv_work_t *work)
{
    struct blob_writer *w = (struct blob_writer *)work;
    if (w->fd < 0) {
        w->fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        w->error = w->fd < 0 ? errno : 0;
    }
    if (w->error == 0 && w->writing.len > 0) {
        w->error = write_all(w->fd, w->writing.data, w->writing.len);
    }
    if (w->error == 0 && w->ending) {
        w->error = settle(w);
    }
    if (w->error != 0 || w->aborted) {
        (void)unlink(w->path);
    }
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void writer_free(struct blob_writer *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
    }
    if (w->digest != NULL) {
        digest_end(w->digest, NULL);
    }
    *w->link = w->next;
    if (w->next != NULL) {
        w->next->link = w->link;
    }
    struct blobs *b = w->blobs;
    buf_done(&w->pending);
    buf_done(&w->writing);
    free(w->path);
    free(w);
    if (b->closing && b->writers == NULL) {
        free(b->dir);
        free(b);
    }
}

static void step(struct blob_writer *w);

static void tell_end(struct blob_writer *w, enum err e)
{
    const struct blob_writer_ops ops = w->ops;
    void *ctx = w->ctx;
    char sha256[DIGEST_HEX_SIZE];
    memcpy(sha256, w->sha256, sizeof sha256);
    const uint64_t size = w->size;
    const char *why = w->error == 0 ? "" : strerror(w->error);
    writer_free(w);
    ops.done(ctx, e, why, sha256, size);
}

/* Starts the end that has waited longest. */
static void settle_next(struct blobs *b)
{
    struct blob_writer *next = NULL;
    b->settling = false;
    for (struct blob_writer *w = b->writers; w != NULL; w = w->next) {
        const bool waits = w->finishing && !w->busy && w->pending.len == 0;
        next = waits && (next == NULL || w->finished < next->finished) ? w : next;
    }
    if (next != NULL) {
        step(next);
    }
}

static void worked(uv_work_t *work, int status)
{
    struct blob_writer *w = (struct blob_writer *)work;
    struct blobs *b = w->blobs;
    (void)status;
    w->busy = false;
    buf_clear(&w->writing);
    if (w->ending) {
        w->finishing = false; /* waits for nothing more */
        if (!b->closing) {
            settle_next(b);
        }
    }
    if (w->aborted) {
        (void)unlink(w->path);
        writer_free(w);
    } else if (w->error != 0) {
        LOG(LOG_ERROR, "a file cannot be written", LOG_S("path", w->path),
            LOG_S("why", strerror(w->error)));
        tell_end(w, ERR_STORE_UNAVAILABLE);
    } else if (w->ending) {
        tell_end(w, ERR_NONE);
    } else {
        step(w);
    }
}

/* Sends pending bytes to the pool; then the end. */
static void step(struct blob_writer *w)
{
    const bool ends = w->finishing && w->pending.len == 0;
    if (w->busy || (w->pending.len == 0 && !ends) || (ends && w->blobs->settling)) {
        return;
    }
    w->blobs->settling = w->blobs->settling || ends;
    const struct buf emptied = w->writing;
    w->writing = w->pending;
    w->pending = emptied;
    w->ending = ends;
    w->busy = true;
    if (uv_queue_work(w->blobs->loop, &w->work, do_work, worked) != 0) {
        abort(); /* its only failure is a missing function */
    }
    if (w->paused && !w->finishing) {
        w->paused = false;
        w->ops.drained(w->ctx);
    }
}

struct blob_writer *blob_begin(struct blobs *b, const struct blob_writer_ops *ops, void *ctx)
{
    struct blob_writer *w = mem_zero(1, sizeof *w);
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    name_unfinished(b, &path);
    w->blobs = b;
    w->path = buf_take(&path);
    w->ops = *ops;
    w->ctx = ctx;
    w->fd = -1;
    w->digest = digest_begin();
    buf_init(&w->pending, BUF_NO_LIMIT);
    buf_init(&w->writing, BUF_NO_LIMIT);
    w->next = b->writers;
    w->link = &b->writers;
    if (w->next != NULL) {
        w->next->link = &w->next;
    }
    b->writers = w;
    return w;
}

bool blob_write(struct blob_writer *w, const void *bytes, size_t n)
{
    digest_add(w->digest, (struct str){bytes, n});
    w->size += n;
    buf_add(&w->pending, bytes, n);
    step(w);
    w->paused = w->pending.len >= PENDING_MOST;
    return !w->paused;
}

void blob_finish(struct blob_writer *w)
{
    w->finishing = true;
    w->finished = ++w->blobs->last;
    digest_end(w->digest, w->sha256);
    w->digest = NULL;
    step(w);
}

void blob_abort(struct blob_writer *w)
{
    w->aborted = true; /* freed when the pool is done */
    if (!w->busy) {
        (void)unlink(w->path);
        writer_free(w);
    }
}

uint64_t blob_written(const struct blob_writer *w)
{
    return w->size;
}

void blobs_close(struct blobs *b)
{
    for (struct blob_writer *w = b->writers, *next = NULL; w != NULL; w = next) {
        next = w->next;
        blob_abort(w);
    }
    b->closing = true; /* the loop runs until the pool is done and frees it */
    if (b->writers == NULL) {
        free(b->dir);
        free(b);
    }
}
