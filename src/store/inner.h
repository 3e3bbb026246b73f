/*
 * What the files of store/ share: the store itself and its connections. Who touches what: `loop
 * side` fields belong to the loop thread, `writer` fields to the writer thread, and the queue
 * between them is under its mutex.
 */
#ifndef COMFYPOOL_SRC_STORE_INNER_H
#define COMFYPOOL_SRC_STORE_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "comfypool/base/err.h"
#include "comfypool/core/job.h"
#include "comfypool/store/store.h"

#include "async_reads.h"
#include "finds.h"
#include "recent.h"
#include "writer.h"

struct engine;
struct reader;
struct sqlite3;
struct sqlite3_stmt;

struct store {
    uv_loop_t *loop;
    const struct engine *engine;
    char *dir;
    char *path;   /* of the database */
    dev_t device; /* which file that is */
    ino_t inode;
    bool made;    /* jobs were in it before */
    bool anew;    /* and it may be empty all the same */
    bool unclean; /* the last daemon did not close it */
    int lock_fd;
    uv_async_t async;
    uv_prepare_t turn_ends; /* wakes the writer once a turn of the loop, for all of its writes */
    bool wake_due;
    unsigned refs; /* the two handles and reads in flight; freed at 0 */
    bool closing;
    /* Loop side. */
    int64_t last_seq;
    int64_t counts[JOB_STATE_COUNT];
    bool writable;
    char trouble[256];
    struct writer writer;
    struct reader *reader; /* the loop's */
    struct finder finder;
    struct recent recent;
    struct async_reads async_reads;
};

/* False with a message when the database is damaged, as far as that is looked at: its encoding, and
   after an unclean end its pages. Before the first write. */
bool store_check(const struct store *s, struct sqlite3 *db, char *why, size_t why_size) MUST_CHECK;
/* Its file still has its name. Any thread. */
bool store_is_there(const struct store *s);
enum { STORE_BUSY_MS = 2000 };
/* What each connection that reads may keep of the database in memory. */
enum { READER_CACHE_KIB = 512 };
/* A connection with the options that all of them have. cache_kib bounds its page cache. */
bool store_connect(const struct store *s, bool writes, int cache_kib, struct sqlite3 **ret,
                   char *why, size_t why_size) MUST_CHECK;
/* Prepares a statement that lives as long as its connection. */
bool store_prepare(struct sqlite3 *db, const char *sql, struct sqlite3_stmt **ret, char *why,
                   size_t why_size) MUST_CHECK;
void store_unref(struct store *s);

#endif
