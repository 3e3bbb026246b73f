/*
 * Looks up Idempotency-Keys. Of several lookups of one key only the first reads; the others are
 * woken when it is answered, and begin anew.
 */
#ifndef COMFYPOOL_SRC_POOL_KEY_LOOK_H
#define COMFYPOOL_SRC_POOL_KEY_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/store/keys.h"

struct key_look;
struct pool;

/* Returns NULL if the key is being looked up already: the ticket is woken when that is answered.
   key is borrowed. */
struct key_look *key_look_new(struct pool *p, const char *key, uint64_t ticket);
/* Calls `done` once, perhaps before this returns. */
void key_look_begin(struct key_look *l, bool is_batch, store_found_key_fn done, void *ctx);
/* Also cancels a lookup under way. NULL is allowed. */
void key_look_free(struct key_look *l);

#endif
