/* Deliveries of webhooks that were not taken yet, as people look after them. The store lists them.
 */
#ifndef COMFYPOOL_POOL_DELIVERIES_H
#define COMFYPOOL_POOL_DELIVERIES_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/store/store.h"

struct pool;

/* It was taken a moment ago: its row goes soon. */
bool pool_has_delivered(const struct pool *p, const char *id);
/* A delivery is, from now on, as if it was new. ERR_DELIVERY_NOT_FOUND, ERR_STORE_UNAVAILABLE.
   Owner of *ret, also after an error: the caller. */
enum err pool_renew_delivery(struct pool *p, const char *id,
                             struct delivery_record *ret) MUST_CHECK;
/* ... and is tried. */
void pool_redeliver(struct pool *p, struct delivery_record *take);

#endif
