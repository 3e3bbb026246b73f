/*
 * Inputs whose values a node checks itself: loaders that download, or take paths. /object_info does
 * not show that; their lists are there as for any other. An input does not count where the
 * configuration says so (routing.trustedInputs), nor at a backend that took a value outside the
 * list, until the list, read anew, holds that value, or the class becomes another one. What a
 * backend took (core/accepted.h) is remembered over restarts.
 */
#ifndef COMFYPOOL_SRC_POOL_UNLISTED_H
#define COMFYPOOL_SRC_POOL_UNLISTED_H

#include <stdbool.h>

#include "comfypool/base/str.h"

struct pool;
struct backend;
struct need;

/* The store is asked what it took in the life of an earlier daemon. */
void unlisted_init(struct backend *b);

/* Whether a value outside the list of this input may be good there. */
bool unlisted_may_be_good(const struct backend *b, struct str class_type, struct str input);
/* The backend took the whole prompt. */
void unlisted_learn(struct backend *b, const struct need *n);
/* Its classes were read anew. */
void unlisted_review(struct backend *b);
/* The backend is removed: another one may get its name. */
void unlisted_forget(struct backend *b);

#endif
