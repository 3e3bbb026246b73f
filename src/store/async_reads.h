/* Long reads, on libuv's pool. */
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
    struct reader *readers[READS_AT_ONCE]; /* one for each concurrent read; or NULL */
    struct async_read *running[READS_AT_ONCE];
    struct async_read *first; /* waiting, in order */
    struct async_read *last;
    uv_mutex_t mutex; /* guards async_read.finished */
    uv_cond_t finished;
};

/* First member of a long read; freed after its answer. */
struct async_read {
    uv_work_t work;
    struct store *store;
    struct async_read *next; /* list of waiting reads */
    unsigned slot;
    /* Runs on a thread of the pool, with a connection of its own. */
    enum err (*run)(struct async_read *r, const struct engine *e, struct reader *reader);
    /* Runs on the loop, once; error is run's. Frees what the members point to. */
    void (*answer)(struct async_read *r);
    enum err error;
    bool finished; /* under async_reads.mutex */
    bool answered;
};

/* Starts r, taking it (from mem_zero, with run and answer set). */
void async_read_start(struct store *s, struct async_read *r);
/* Waits for running reads, answers all, closes their connections. */
void async_reads_close(struct store *s);

#endif
