/*
 * Looks for what belongs to an Idempotency-Key. Of several that look for one key at a time only one
 * goes first; the others are woken when it knows, and begin anew.
 */
#ifndef COMFYPOOL_SRC_POOL_KEY_LOOK_H
#define COMFYPOOL_SRC_POOL_KEY_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/store/keys.h"

struct key_look;
struct pool;

/* NULL: another one looks; the ticket is woken when that one knows. key is borrowed. */
struct key_look *key_look_new(struct pool *p, const char *key, uint64_t ticket);
/* done comes once, perhaps before this returns. */
void key_look_begin(struct key_look *l, bool is_batch, store_found_key_fn done, void *ctx);
/* Also before it knows; NULL is none. */
void key_look_free(struct key_look *l);

#endif
