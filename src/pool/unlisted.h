/*
 * Inputs whose values a node checks itself: loaders that download or take paths. /object_info does
 * not show that; their lists look like any other. A list does not count if the configuration says
 * so (routing.trustedInputs), or at a backend that took a value outside it, until the list contains
 * that value or the class changes. What a backend took (core/accepted.h) is remembered over
 * restarts.
 */
#ifndef COMFYPOOL_SRC_POOL_UNLISTED_H
#define COMFYPOOL_SRC_POOL_UNLISTED_H

#include <stdbool.h>

#include "comfypool/base/str.h"

struct pool;
struct backend;
struct need;

/* Reads what the backend took in earlier runs of the daemon. */
void unlisted_init(struct backend *b);

/* True if a value outside the input's list may be valid there. */
bool unlisted_may_be_good(const struct backend *b, struct str class_type, struct str input);
/* Learns from a prompt that the backend accepted as a whole. */
void unlisted_learn(struct backend *b, const struct need *n);
/* Reviews what was learned after its classes were read again. */
void unlisted_review(struct backend *b);
/* Forgets all when the backend is removed: another one may get its name. */
void unlisted_forget(struct backend *b);

#endif
