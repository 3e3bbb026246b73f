/* The thread that reads one thing at a time. */
#ifndef COMFYPOOL_SRC_STORE_FINDS_H
#define COMFYPOOL_SRC_STORE_FINDS_H

#include <stdbool.h>
#include <uv.h>

#include "read.h"

struct find;
struct pending;
struct store;

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
    struct reader reader;
};

void finder_init(struct finder *f);
/* On the loop: answers what was read. */
void finder_deliver(struct store *s);
/* Ends the thread, answers all, closes the connection. */
void finder_close(struct store *s);
void finder_done(struct finder *f);

#endif
