/*
 * Webhooks: the deliveries that events cause, and their progress. A delivery is written in the
 * transaction that makes its event true, tried from then on, and deleted once accepted; so each
 * arrives at least once, over restarts too, and never delays a job.
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
    const char *const *urls; /* of the configuration: get the ends of all jobs and batches */
    size_t urls_len;
    const char *secret;            /* "whsec_...", for these; NULL: not signed */
    const struct net_rules *rules; /* allowed targets; NULL: public addresses alone */
    unsigned concurrency;
    const char *version; /* of the daemon */
};

/* ---- life ------------------------------------------------------------------------------------ */

/* pending counts its writes. All arguments are borrowed until webhooks_free. */
struct webhooks *webhooks_new(uv_loop_t *loop, struct store *store, struct deadlines *deadlines,
                              struct pending *pending, const struct webhooks_options *options);
/* Resumes the deliveries in the store. False: it cannot be read. */
bool webhooks_start(struct webhooks *w) MUST_CHECK;
/* Stops all tries. */
void webhooks_stop(struct webhooks *w);
void webhooks_free(struct webhooks *w);

struct webhooks_stats {
    size_t busy; /* deliveries waiting in the store, but in flight or accepted */
    unsigned in_flight;
    uint64_t delivered, failed, dead, forbidden; /* since the start */
};
void webhooks_count(const struct webhooks *w, struct webhooks_stats *ret);

/* ---- new deliveries -------------------------------------------------------------------------- */

/* New deliveries in a write; tried when it is durable. */
struct outbox {
    struct delivery_record *list;
    size_t len;
};
void outbox_done(struct outbox *o);
/* Appends borrowed entries of `more` to o. */
void outbox_join(struct outbox *o, const struct outbox *more);
/* Returns a view of it, for the write. */
struct store_beside outbox_beside(const struct outbox *o);

/* Adds the deliveries that an event of this job causes, if any. retry: data of job:retrying on the
   attempt that ended; or NULL. */
void webhooks_of_job(struct webhooks *w, const struct job_record *r, enum event_type type,
                     const char *retry, struct outbox *o);
/* Adds those of the end of a batch. */
void webhooks_of_batch(struct webhooks *w, const struct batch_record *r, struct str data,
                       struct outbox *o);
/* Stores and sends the delivery of an event without a write of its own. */
void webhooks_send(struct webhooks *w, const struct job_record *r, enum event_type type,
                   struct str data);
/* Takes deliveries that are durable. Empties o. */
void webhooks_take(struct webhooks *w, struct outbox *o);
/* True if a receiver's URL may be called, as far as known without resolving its name. */
bool webhooks_may_call(const struct webhooks *w, const char *url);

/* Renders a Job for events and webhooks, with the data of job:retrying (NULL: none); its length is
   bounded. Appends. */
void event_render_job(const struct job_record *r, const char *retry, struct buf *out);
/* Renders a webhook's body: {"type", "timestamp", "data"}. Appends. */
void webhook_render_body(enum event_type type, struct str data, struct buf *out);

/* ---- as people look after them --------------------------------------------------------------- */

/* True if it was accepted just now: its row is about to go. */
bool webhooks_has_taken(const struct webhooks *w, const char *id);
/* Makes a delivery found in the store new again. ERR_DELIVERY_NOT_FOUND: accepted meanwhile;
   ERR_STORE_UNAVAILABLE. */
enum err webhooks_renew(struct webhooks *w, struct delivery_record *d) MUST_CHECK;
/* Stores and tries a renewed delivery. */
void webhooks_redeliver(struct webhooks *w, struct delivery_record *take);

#endif
