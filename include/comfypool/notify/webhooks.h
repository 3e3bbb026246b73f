/*
 * Webhooks: what events mean for their receivers, and the deliveries on their way. A delivery is
 * written in the transaction that makes its event true, tried from then on, and forgotten when it
 * was taken; so each comes at least once, over restarts too, and never in a job's way.
 */
#ifndef COMFYPOOL_NOTIFY_WEBHOOKS_H
#define COMFYPOOL_NOTIFY_WEBHOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/pending.h"
#include "comfypool/base/str.h"
#include "comfypool/core/event.h"
#include "comfypool/store/store.h"

struct batch_record;
struct delivery_record;
struct deadlines;
struct net_rules;
struct webhooks;

struct webhooks_options {
    const char *const *urls; /* of the configuration: told the ends of all jobs and batches */
    size_t urls_len;
    const char *secret;            /* "whsec_...", of these; NULL: not signed */
    const struct net_rules *rules; /* who may be called; NULL: public addresses alone */
    unsigned concurrency;
    const char *version; /* of the daemon */
};

/* ---- life ------------------------------------------------------------------------------------ */

/* pending counts what the store writes for them. All is borrowed until webhooks_free. */
struct webhooks *webhooks_new(uv_loop_t *loop, struct store *store, struct deadlines *deadlines,
                              struct pending *pending, const struct webhooks_options *options);
/* Takes up what waits in the store. False: it cannot be read. */
bool webhooks_start(struct webhooks *w) MUST_CHECK;
/* Nothing is tried any more. */
void webhooks_stop(struct webhooks *w);
void webhooks_free(struct webhooks *w);

struct webhooks_stats {
    size_t busy; /* deliveries that the store counts as waiting, but are in flight or were taken */
    unsigned in_flight;
    uint64_t delivered, failed, dead, forbidden; /* since the start */
};
void webhooks_count(const struct webhooks *w, struct webhooks_stats *ret);

/* ---- new deliveries -------------------------------------------------------------------------- */

/* New deliveries that a write carries; tried when it is durable. */
struct outbox {
    struct delivery_record *list;
    size_t len;
};
void outbox_done(struct outbox *o);
/* Borrows what `more` has, behind o's own. */
void outbox_join(struct outbox *o, const struct outbox *more);
/* A view of it, for the write. */
struct store_beside outbox_beside(const struct outbox *o);

/* Adds the deliveries that an event of this job means, if any. retry: what job:retrying says of the
   attempt that ended; or NULL. */
void webhooks_of_job(struct webhooks *w, const struct job_record *r, enum event_type type,
                     const char *retry, struct outbox *o);
/* The same of the end of a batch. */
void webhooks_of_batch(struct webhooks *w, const struct batch_record *r, struct str data,
                       struct outbox *o);
/* The same of an event that no write of its own makes true: its delivery is written now. */
void webhooks_send(struct webhooks *w, const struct job_record *r, enum event_type type,
                   struct str data);
/* They are durable. Empties o. */
void webhooks_take(struct webhooks *w, struct outbox *o);
/* Whether a receiver's URL may be called, as far as can be told without resolving its name. */
bool webhooks_may_call(const struct webhooks *w, const char *url);

/* A Job as events and webhooks tell it, with what job:retrying says (NULL: nothing); its length is
   bounded. Appends. */
void event_render_job(const struct job_record *r, const char *retry, struct buf *out);
/* A webhook's body: {"type", "timestamp", "data"}. Appends. */
void webhook_render_body(enum event_type type, struct str data, struct buf *out);

/* ---- as people look after them --------------------------------------------------------------- */

/* It was taken a moment ago: its row goes soon. */
bool webhooks_has_taken(const struct webhooks *w, const char *id);
/* A delivery that was found in the store is, from now on, as if it was new.
   ERR_DELIVERY_NOT_FOUND: it was taken meanwhile; ERR_STORE_UNAVAILABLE. */
enum err webhooks_renew(struct webhooks *w, struct delivery_record *d) MUST_CHECK;
/* ... and is tried. */
void webhooks_redeliver(struct webhooks *w, struct delivery_record *take);

#endif
