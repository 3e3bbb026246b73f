/* Reads that may take long, on libuv's pool. */
#ifndef COMFYPOOL_SRC_STORE_ASYNC_READS_H
#define COMFYPOOL_SRC_STORE_ASYNC_READS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "comfypool/base/err.h"

struct engine;
struct reader;
struct store;

enum { READS_AT_ONCE = 2 };

struct async_reads {
    struct reader *readers[READS_AT_ONCE]; /* for each read that may be in flight; or NULL */
    struct async_read *running[READS_AT_ONCE];
    struct async_read *first; /* waiting, in order */
    struct async_read *last;
    uv_mutex_t mutex; /* guards async_read.finished */
    uv_cond_t finished;
};

/* Embedded, as its first member, in what is read: a piece of memory that is freed when it was
   answered. */
struct async_read {
    uv_work_t work;
    struct store *store;
    struct async_read *next; /* while it waits */
    unsigned slot;
    /* On a thread of the pool, with a connection to itself. */
    enum err (*run)(struct async_read *r, const struct engine *e, struct reader *reader);
    /* On the loop, once; error is of run. Frees what the members point to. */
    void (*answer)(struct async_read *r);
    enum err error;
    bool finished; /* under async_reads.mutex */
    bool answered;
};

/* Takes r (from mem_zero; run and answer are set). */
void async_read_start(struct store *s, struct async_read *r);
/* Waits for those in flight, answers all of them, closes their connections. */
void async_reads_close(struct store *s);

#endif
