/* The thread for single reads, and its requests. */
#ifndef COMFYPOOL_SRC_STORE_FINDS_H
#define COMFYPOOL_SRC_STORE_FINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "comfypool/base/err.h"

struct engine;
struct pending;
struct reader;
struct store;
struct store_read;

struct find;

/* A kind of request. */
struct find_kind {
    /* Runs on the thread. */
    enum err (*run)(struct find *f, const struct engine *e, struct reader *r);
    /* Runs on the loop, once, unless forgotten. */
    void (*answer)(struct find *f);
    /* Frees what the members point to. NULL: nothing to free. */
    void (*release)(struct find *f);
};

/* First member of a request; freed after its answer. */
struct find {
    const struct find_kind *kind;
    void *ctx; /* of the caller */
    struct find *next;
    struct store_read *read; /* handle of the caller, to forget it; or NULL */
    size_t size;             /* bytes found, as far as they may be many; set by run */
    enum err error;          /* result of run; ERR_STORE_UNAVAILABLE if it could not run */
    bool forgotten;
};

struct find_list {
    struct find *first;
    struct find *last;
};

struct finder {
    uv_thread_t thread;
    bool started;            /* with the first read */
    struct pending *pending; /* counts requests under way; or NULL. On the loop alone */
    /* Under the mutex. */
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct find_list waiting;
    struct find_list answered;
    bool stopping;
    /* Used by the thread alone. */
    struct reader *reader; /* NULL: not yet */
};

/* Makes a request of `size` zeroed bytes, whose first member is a find. */
void *find_new(const struct find_kind *kind, size_t size, void *ctx);
/* Queues f, taking it. */
void find_ask(struct store *s, struct find *f, struct store_read *read);

void finder_init(struct finder *f);
/* Answers finished reads, on the loop. */
void finder_deliver(struct store *s);
/* Ends the thread, answers all, closes the connection. */
void finder_close(struct store *s);
void finder_done(struct finder *f);

#endif
