/*
 * The conductor: jobs x backends. It owns the jobs that are queued or running, feeds what the
 * backends say to core, stores what core decides, and answers the API.
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

/* Something that was asked for is durable (NULL), or is refused; whoever is told may take the
   refusal by refusal_done. */
typedef void (*pool_done_fn)(void *ctx, struct refusal *why);

/*
 * Whoever asks for something that takes its time waits under a number of its own, a ticket. The
 * pool wakes a ticket when what it waits for has happened; one whose holder has gone may be woken,
 * too.
 */
struct pool_callers {
    void (*wake)(void *ctx, uint64_t ticket);
    bool (*waits)(void *ctx, uint64_t ticket); /* its holder is still there */
    void *ctx;
};

/* Everything is borrowed until pool_close. */
struct pool *pool_new(uv_loop_t *loop, struct store *store, struct http_client *http,
                      struct ws_client *ws, const struct pool_options *options);
/* Whom to wake (copied); NULL: nobody any more. */
void pool_set_callers(struct pool *p, const struct pool_callers *callers);

/* The files of the pool. */
struct uploads *pool_uploads(struct pool *p);
struct copies *pool_copies(struct pool *p);
struct stamps *pool_stamps(struct pool *p);
struct file_servers *pool_file_servers(struct pool *p);
struct webhooks *pool_webhooks(struct pool *p);
/* What happens to jobs and backends; see notify/events.h. */
struct events *pool_events(struct pool *p);

/* Loads what the store has of active jobs and connects the backends. False: the store failed. */
bool pool_start(struct pool *p) MUST_CHECK;

/* Somebody changed something outside (SIGHUP): what a gateway refused is tried again. The headers
   of backends are taken again from the options that pool_new was given. */
void pool_reload(struct pool *p);

/*
 * No job is dispatched any more; `done` is called when everything that was under way is stored or
 * answered, or after a second.
 */
void pool_stop(struct pool *p, void (*done)(void *ctx), void *ctx);
/* Frees everything (handles when the loop has run their close callbacks). After store_close. False:
   a GPU driver hangs in a thread of ours, so that exit() might hang too: leave by _exit(). */
bool pool_close(struct pool *p);

#endif
