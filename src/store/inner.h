/*
 * What the files of store/ share: the store itself. Who touches what: `loop
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

/* What each connection that reads may keep of the database in memory. */
enum { READER_CACHE_KIB = 512 };
/* Makes a file 0600, also one that is there; follows no link. Returns its descriptor, or -1 with
   errno. */
int store_open_private(const char *path);
void store_unref(struct store *s);

#endif
