/* The thread that writes. */
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
    struct op_list waiting;  /* to the writer */
    struct op_list answered; /* to the loop */
    uint64_t busy_since;     /* uv_hrtime; 0: it waits. Under the mutex */
    bool refusable_waits; /* a refusable op is a try of its own: its caller waits for the answer */
    bool stopping;
    bool writable;
    char trouble[256];
    /* The writer's. */
    struct write_session *session;
    struct op_list batch; /* taken; after a failure what is kept */
    bool failing;
    uint64_t retry_at; /* uv_hrtime */
    uint64_t cut_at;   /* the log is to be cut off then; 0: it need not be */
    bool probes;       /* although there is nothing to do: the file may have gone */
};

/* Opens and migrates the database. The mutex and condition are store.c's to make. */
bool writer_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
bool writer_start(struct store *s, char *why, size_t why_size) MUST_CHECK;
/* Takes op. */
void writer_add(struct store *s, struct op *op);
/* The turn is over: what it added is written together. */
void writer_wake(struct store *s);
/* Writes what waits as far as it can be written, joins the thread, closes the connection. */
void writer_stop(struct store *s);

#endif
