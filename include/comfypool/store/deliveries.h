/*
 * The outbox of webhooks: what is to be sent to whom, and how far it is.
 */
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

/* A webhook's delivery: what is sent, and how far it is. */
struct delivery_record {
    int64_t n; /* counts up; set by the store */
    char id[UUID_SIZE];
    char job_id[UUID_SIZE];
    char *type; /* of the event */
    char *url;
    char *host;      /* of the url, with its port: those of one are tried together */
    char *secret;    /* or NULL: not signed, unless `configured` */
    bool configured; /* one of the configuration's: signed with its secret, if it has one */
    char *client;    /* whose job or batch it tells of; NULL: nobody's, or it is `configured` */
    char *body;      /* JSON; NULL in lists */
    enum delivery_state state;
    unsigned tries;
    unsigned last_status;   /* of the last answer; 0: none came */
    char *last_error;       /* what went wrong the last time, or NULL */
    struct wall_us made_at; /* here its 24 h begin */
    struct wall_us
        next_at; /* of DELIVERY_PENDING and DELIVERY_FAILING; of a dead one: when it died */
};
void delivery_record_done(struct delivery_record *d);

/* New ones of an event that no other write goes with. */
void store_add_deliveries(struct store *s, const struct store_beside *beside, store_kept_fn done,
                          void *ctx);
/* State, tries, last_status, last_error, made_at and next_at of a delivery. */
void store_update_delivery(struct store *s, const struct delivery_record *d, store_kept_fn done,
                           void *ctx);
/* It was taken by its receiver. */
void store_delete_delivery(struct store *s, const char *id, store_kept_fn done, void *ctx);

/* Deliveries, those that were tried in vain before those that were not tried yet, newest first in
   each; otherwise as store_list does it, without their bodies. cursor 0: from the beginning; else
   store_delivery_cursor of the last one of the page before. client: as in a job_query. */
typedef void (*store_deliveries_fn)(void *ctx, enum err e, const struct delivery_record *list,
                                    size_t n);
void store_list_deliveries(struct store *s, const char *client, unsigned state_mask, int64_t cursor,
                           unsigned limit, store_deliveries_fn done, void *ctx);
int64_t store_delivery_cursor(const struct delivery_record *d);
/* Off the loop: those of one host that are to be tried until then, the earliest first, at most
   `limit`; without their bodies. later: there are some that are to be tried later. The callee may
   take their texts by clearing them. */
typedef void (*store_found_due_fn)(void *ctx, enum err e, struct delivery_record *list, size_t n,
                                   bool later);
void store_find_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                    struct store_read *read, store_found_due_fn done, void *ctx);
/* A delivery with its body. ERR_DELIVERY_NOT_FOUND. Its texts may be taken by clearing them. */
typedef void (*store_found_delivery_fn)(void *ctx, enum err e, struct delivery_record *d);
void store_find_delivery(struct store *s, const char *id, struct store_read *read,
                         store_found_delivery_fn done, void *ctx);
/* How many are to be tried; along an index. */
typedef void (*store_found_count_fn)(void *ctx, enum err e, int64_t n);
void store_find_waiting_count(struct store *s, struct store_read *read, store_found_count_fn done,
                              void *ctx);

/* The hosts of all that are to be tried. On the loop, at the start. */
enum err store_load_due_hosts(struct store *s, void (*each)(void *ctx, const char *host),
                              void *ctx) MUST_CHECK;

#endif
