/*
 * Shared by the files of store/: the store itself. `Loop side` fields belong to the loop thread,
 * `writer` fields to the writer thread, and the queue between them is under its mutex.
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

struct store {
    uv_loop_t *loop;
    const struct engine *engine;
    char *dir;
    char *path;   /* of the database */
    dev_t device; /* identity of that file */
    ino_t inode;
    bool made;    /* it had jobs before */
    bool anew;    /* --new-store: it may be empty nonetheless */
    bool unclean; /* not closed by the last daemon */
    int lock_fd;
    uv_async_t async;
    uv_prepare_t turn_ends; /* wakes the writer once a turn of the loop, for all writes of the
                               turn */
    bool wake_due;
    unsigned refs; /* the two handles and running reads; freed at 0 */
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

/* Page cache of a reading connection. */
enum { READER_CACHE_KIB = 512 };
/* Opens or makes a file and sets its mode to 0600; follows no link. Returns its descriptor, or -1
   with errno. */
int store_open_private(const char *path);
void store_unref(struct store *s);

#endif
