/* The thread that reads one thing at a time, and what it is asked. */
#ifndef COMFYPOOL_SRC_STORE_FINDS_H
#define COMFYPOOL_SRC_STORE_FINDS_H

#include <stdbool.h>
#include <uv.h>

struct engine;
struct pending;
struct reader;
struct store;
struct store_read;

/* Embedded, as its first member, in what is asked; freed when it was answered. */
struct find {
    struct find *next;
    /* On the thread. */
    void (*run)(struct find *f, const struct engine *e, struct reader *r);
    /* On the loop, once, unless it was forgotten. unread: it did not come to that. */
    void (*answer)(struct find *f, bool unread);
    /* Frees what the members point to. */
    void (*release)(struct find *f);
    struct store_read *read; /* who may forget it; or NULL */
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
    struct pending *pending; /* what is under way is counted there; or NULL. On the loop alone */
    /* Under the mutex. */
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct find_list waiting;
    struct find_list answered;
    bool stopping;
    /* Its own. */
    struct reader *reader; /* NULL: not yet */
};

/* Takes f (from mem_zero; its three functions are set). */
void find_ask(struct store *s, struct find *f, struct store_read *read);

void finder_init(struct finder *f);
/* On the loop: answers what was read. */
void finder_deliver(struct store *s);
/* Ends the thread, answers all, closes the connection. */
void finder_close(struct store *s);
void finder_done(struct finder *f);

#endif
