/*
 * The pool: jobs and backends. It owns queued and running jobs, feeds the backends' messages to
 * core, stores what core decides, and serves the API.
 */
#ifndef COMFYPOOL_POOL_POOL_H
#define COMFYPOOL_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/err.h"
#include "comfypool/files/uploads.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/ws_client.h"
#include "comfypool/pool/options.h"
#include "comfypool/store/store.h"

struct events;
struct file_servers;
struct pool;
struct refusal;
struct stamps;

/* Answers a request: durable (NULL), or refused. The callee may empty the refusal by refusal_done.
 */
typedef void (*pool_done_fn)(void *ctx, struct refusal *why);

/*
 * Callers wait for slow requests under a number of their own, a ticket. The pool wakes a ticket
 * when what it waits for has happened; a ticket whose holder has gone may be woken as well.
 */
struct pool_callers {
    void (*wake)(void *ctx, uint64_t ticket);
    bool (*waits)(void *ctx, uint64_t ticket); /* the holder is still there */
    void *ctx;
};

/* Everything is borrowed until pool_close. */
struct pool *pool_new(uv_loop_t *loop, struct store *store, struct http_client *http,
                      struct ws_client *ws, const struct pool_options *options);
/* Sets whom to wake (copied); NULL: no one from now on. */
void pool_set_callers(struct pool *p, const struct pool_callers *callers);

/* Parts of the pool that other rooms use. */
struct uploads *pool_uploads(struct pool *p);
struct copies *pool_copies(struct pool *p);
struct stamps *pool_stamps(struct pool *p);
struct file_servers *pool_file_servers(struct pool *p);
struct webhooks *pool_webhooks(struct pool *p);
/* Events of jobs and backends; see notify/events.h. */
struct events *pool_events(struct pool *p);

/* Loads active jobs from the store and connects the backends. False: the store failed. */
bool pool_start(struct pool *p) MUST_CHECK;

/* Reloads after SIGHUP: what a gateway refused is tried again; headers of backends are taken again
   from the options that pool_new was given. */
void pool_reload(struct pool *p);

/*
 * Stops dispatching; `done` is called when all work under way is stored or answered, or after a
 * second.
 */
void pool_stop(struct pool *p, void (*done)(void *ctx), void *ctx);
/* Frees everything (handles when the loop has run their close callbacks). Call after store_close.
   False: a GPU driver hangs in one of our threads, so exit() might hang as well: leave by _exit().
 */
bool pool_close(struct pool *p);

#endif
