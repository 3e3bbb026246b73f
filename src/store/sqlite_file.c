/*
 * The file of the SQLite database in the state directory: whether it is the previous one, and
 * private. Its content is sqlite_database.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/base/log.h"

#include "inner.h"
#include "sqlite_database.h"

static const char DATABASE[] = "comfypoold.db";
/* File beside the database since its first commit: an empty database without it is new. */
static const char MARKER[] = "comfypoold.made";

static void marker_path(const struct store *s, struct buf *out)
{
    buf_init(out, BUF_NO_LIMIT);
    buf_printf(out, "%s/%s", s->dir, MARKER);
}

/* Writes the marker after the first commit. Without it an empty database would pass for a new one;
   but a disk without room for it is only reported. */
void database_mark(const struct store *s)
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
    const int fd = store_open_private(buf_text(&path));
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)(sizeof text - 1) ||
        fsync(fd) != 0) {
        LOG(LOG_WARN, "cannot mark the state directory as used", LOG_S("file", MARKER),
            LOG_S("why", strerror(errno)));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* SQLite also takes a file of one byte as empty (unixFileSize). */
static bool is_empty_or_missing(const char *path)
{
    struct stat st;
    return lstat(path, &st) != 0 ? errno == ENOENT : S_ISREG(st.st_mode) && st.st_size <= 1;
}

/* Refuses a database that vanished or was emptied, as it is not new. */
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

/* Makes the database file first, as SQLite copies its mode to -wal and -shm. Removes leftovers of
   another database. */
static bool make_database_file(const struct store *s, char *why, size_t why_size)
{
    const bool is_new = is_empty_or_missing(s->path);
    const int fd = store_open_private(s->path);
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
        (void)chmod(buf_text(&path), 0600); /* normally missing */
    }
    return true;
}

/* True if the last daemon did not close it: closing removes the log; one killed before its first
   write leaves an empty one. */
static bool ended_uncleanly(const struct store *s)
{
    AUTO_BUF struct buf wal;
    beside_path(s, 0, &wal);
    struct stat st;
    return lstat(buf_text(&wal), &st) == 0;
}

bool database_is_there(const struct store *s)
{
    struct stat st;
    return stat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode;
}

/* Notes the file's identity; false if it is gone. */
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

bool database_find(struct store *s, char *why, size_t why_size)
{
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    buf_printf(&path, "%s/%s", s->dir, DATABASE);
    s->path = buf_take(&path);
    if (!check_not_lost(s, why, why_size) || !make_database_file(s, why, why_size) ||
        !note_file(s, why, why_size)) {
        return false;
    }
    s->unclean = ended_uncleanly(s);
    return true;
}
