/* The outbox of webhooks: deliveries and their state. */
#ifndef COMFYPOOL_STORE_DELIVERIES_H
#define COMFYPOOL_STORE_DELIVERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/webhook.h"
#include "comfypool/store/store.h"

struct store_read;

/* A webhook's delivery. */
struct delivery_record {
    int64_t n; /* set by the store, counts up */
    char id[UUID_SIZE];
    char job_id[UUID_SIZE];
    char *type; /* of the event */
    char *url;
    char *host;      /* of the url, with its port: deliveries to one are tried together */
    char *secret;    /* or NULL: not signed, unless `configured` */
    bool configured; /* to a receiver of the configuration: signed with its secret, if any */
    char *client;    /* of the job or batch; NULL: none, or `configured` */
    char *body;      /* JSON; NULL in lists */
    enum delivery_state state;
    unsigned tries;
    unsigned last_status;   /* of the last answer; 0: none */
    char *last_error;       /* why the last try failed, or NULL */
    struct wall_us made_at; /* start of its 24 h */
    struct wall_us next_at; /* next try of DELIVERY_PENDING and DELIVERY_FAILING; of a dead one:
                               when it died */
};
void delivery_record_done(struct delivery_record *d);

/* Adds deliveries without another write. */
void store_add_deliveries(struct store *s, const struct store_beside *beside, store_kept_fn done,
                          void *ctx);
/* Stores state, tries, last_status, last_error, made_at and next_at of a delivery. */
void store_update_delivery(struct store *s, const struct delivery_record *d, store_kept_fn done,
                           void *ctx);
/* Deletes a delivered one. */
void store_delete_delivery(struct store *s, const char *id, store_kept_fn done, void *ctx);

/*
 * Lists deliveries without their bodies, failed before untried ones, newest first in each;
 * otherwise like store_list. cursor 0: from the beginning; else store_delivery_cursor of the last
 * one of the page before. client: as in a job_query.
 */
typedef void (*store_deliveries_fn)(void *ctx, enum err e, const struct delivery_record *list,
                                    size_t n);
void store_list_deliveries(struct store *s, const char *client, unsigned state_mask, int64_t cursor,
                           unsigned limit, store_deliveries_fn done, void *ctx);
int64_t store_delivery_cursor(const struct delivery_record *d);
/*
 * Finds off the loop the deliveries to a host that are due until then, earliest first, at most
 * `limit`; without their bodies. later: others are due later. The callee may take their texts by
 * clearing them.
 */
typedef void (*store_found_due_fn)(void *ctx, enum err e, struct delivery_record *list, size_t n,
                                   bool later);
void store_find_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                    struct store_read *read, store_found_due_fn done, void *ctx);
/* Finds a delivery with its body. ERR_DELIVERY_NOT_FOUND. Its texts may be taken by clearing
   them. */
typedef void (*store_found_delivery_fn)(void *ctx, enum err e, struct delivery_record *d);
void store_find_delivery(struct store *s, const char *id, struct store_read *read,
                         store_found_delivery_fn done, void *ctx);
/* Counts deliveries still to be tried, by an index. */
typedef void (*store_found_count_fn)(void *ctx, enum err e, int64_t n);
void store_find_waiting_count(struct store *s, struct store_read *read, store_found_count_fn done,
                              void *ctx);

/* Calls `each` for the hosts with deliveries to be tried. On the loop, at the start. */
enum err store_load_due_hosts(struct store *s, void (*each)(void *ctx, const char *host),
                              void *ctx) MUST_CHECK;

#endif
