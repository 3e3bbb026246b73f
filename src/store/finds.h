/* The thread for single reads, and its requests. */
#ifndef COMFYPOOL_SRC_STORE_FINDS_H
#define COMFYPOOL_SRC_STORE_FINDS_H

#include <stdbool.h>
#include <uv.h>

struct engine;
struct pending;
struct reader;
struct store;
struct store_read;

/* First member of a request; freed after its answer. */
struct find {
    struct find *next;
    /* Runs on the thread. */
    void (*run)(struct find *f, const struct engine *e, struct reader *r);
    /* Runs on the loop, once, unless forgotten. unread: run was not called. */
    void (*answer)(struct find *f, bool unread);
    /* Frees what the members point to. */
    void (*release)(struct find *f);
    struct store_read *read; /* handle of the caller, to forget it; or NULL */
    size_t size;             /* bytes found, as far as they may be many; set by run */
    bool unread;
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

/* Queues f, taking it (from mem_zero, with its three functions set). */
void find_ask(struct store *s, struct find *f, struct store_read *read);

void finder_init(struct finder *f);
/* Answers finished reads, on the loop. */
void finder_deliver(struct store *s);
/* Ends the thread, answers all, closes the connection. */
void finder_close(struct store *s);
void finder_done(struct finder *f);

#endif
