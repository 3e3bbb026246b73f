/*
 * Webhooks: what events mean for their receivers, and the deliveries on their way. A delivery is
 * written in the transaction that makes its event true, tried from then on, and forgotten when it
 * was taken; so each comes at least once, over restarts too, and never in a job's way.
 */
#ifndef COMFYPOOL_SRC_POOL_WEBHOOKS_H
#define COMFYPOOL_SRC_POOL_WEBHOOKS_H

#include "comfypool/base/map.h"
#include "comfypool/core/event.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/store.h"

struct pool;
struct attempt;
struct hook_host;
struct delivery;

/* New deliveries that a write carries; tried when it is durable. */
struct outbox {
    struct delivery_record *list;
    size_t len;
};
void outbox_done(struct outbox *o);
/* Borrows what `more` has, behind o's own. */
void outbox_join(struct outbox *o, const struct outbox *more);
/* The name in "host:port". */
struct str webhook_host_name(const char *host);
/* A view of it, for the write. */
struct store_beside outbox_beside(const struct outbox *o);

struct webhooks {
    struct http_client *http; /* its own: no connection of it leads to a backend */
    struct map hosts;         /* by "host:port" */
    struct map targets;       /* by URL */
    struct map by_id;         /* deliveries in memory */
    struct hook_host *ready_first, *ready_last; /* hosts with a place and something that is due */
    unsigned in_flight;
    size_t bodies;          /* bytes of those that are kept until their first try */
    struct delivery *taken; /* their rows go soon, together */
    unsigned taken_len;
    struct deadline flush;
    struct deadline refill;
    uint64_t delivered, failed, dead, forbidden; /* since the start */
};

void webhooks_init(struct pool *p);
/* What waits in the store. False: it cannot be read. */
bool webhooks_start(struct pool *p) MUST_CHECK;
/* Nothing is tried any more. */
void webhooks_stop(struct pool *p);
void webhooks_done(struct pool *p);

/* Whether a receiver's URL may be called, as far as can be told without resolving its name. */
bool webhooks_may_call(const struct pool *p, const char *url);

/* Adds the deliveries that an event of this job means, if any; retry as in tell_render_retry. */
void webhooks_of_job(struct pool *p, const struct job_record *r, enum event_type type,
                     const char *retry, struct outbox *o);
/* The same of the end of a batch. */
void webhooks_of_batch(struct pool *p, const struct batch_record *r, struct str data,
                       struct outbox *o);
/* The same of an event that no write of its own makes true: they are written now. */
void webhooks_of_attempt(struct attempt *a, enum event_type type, struct str data);
/* They are durable. Empties o. */
void webhooks_take(struct pool *p, struct outbox *o);
/* A delivery that somebody wants once more, as it is in the store. Takes *take. */
void webhooks_redeliver(struct pool *p, struct delivery_record *take);
/* Now, and for another day. */
void webhook_begin_anew(struct delivery_record *r);
/* It was taken; its row is there for a moment yet. */
bool webhooks_has_taken(const struct webhooks *w, const char *id);
/* How many are to be tried, those in the store alone too. */
size_t webhooks_waiting(struct pool *p);

/* A webhook's body: {"type", "timestamp", "data"}. Appends. */
void webhook_render_body(enum event_type type, struct str data, struct buf *out);

#endif
