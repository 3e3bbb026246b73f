/* The writer thread. */
#ifndef COMFYPOOL_SRC_STORE_WRITER_H
#define COMFYPOOL_SRC_STORE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/err.h"

#include "ops.h"

struct store;
struct write_session;

struct writer {
    uv_thread_t thread;
    bool started;
    /* Under the mutex. */
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct op_list waiting;  /* for the writer */
    struct op_list answered; /* for the loop */
    uint64_t busy_since;     /* uv_hrtime; 0: idle. Under the mutex */
    bool refusable_waits;    /* a refusable op triggers a retry: its caller waits for the answer */
    bool stopping;
    bool writable;
    char trouble[256];
    /* The writer's. */
    struct write_session *session;
    struct op_list batch; /* ops being written; after a failure those kept */
    bool failing;
    uint64_t retry_at; /* uv_hrtime */
    uint64_t cut_at;   /* when to truncate the log; 0: not needed */
    bool probes;       /* probes although idle: the file may be gone */
};

/* Opens and migrates the database. store.c makes the mutex and condition. */
bool writer_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
bool writer_start(struct store *s, char *why, size_t why_size) MUST_CHECK;
/* Queues op, taking it. */
void writer_add(struct store *s, struct op *op);
/* Wakes the writer at the end of a turn: its ops are written together. */
void writer_wake(struct store *s);
/* Writes what it can, joins the thread, closes the connection. */
void writer_stop(struct store *s);

#endif
