/* Recently written ends of jobs: the most frequent requests are answered without a read. */
#ifndef COMFYPOOL_SRC_STORE_RECENT_H
#define COMFYPOOL_SRC_STORE_RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "ops.h"

struct str;

enum { RECENT_MOST = 32, RECENT_BYTES = 512 * 1024 };

struct recent {
    struct op *list[RECENT_MOST]; /* a ring */
    size_t next;                  /* index of the oldest, or a free one */
    size_t bytes;
    struct op *told; /* the end being reported, of any size; or NULL */
};

/* Bracket the report of a finished write to its caller. It is freed with the second, or later when
   kept here. */
void recent_begin_telling(struct recent *r, struct op *op);
void recent_end_telling(struct recent *r, struct op *op);
/* Drops what a queued write may change. */
void recent_forget(struct recent *r, const struct op *op);
/* Drops everything after old jobs were deleted, as it is unknown which. */
void recent_forget_all(struct recent *r);
/* Pins the end of a job; NULL: not here. */
struct op *recent_pin(struct recent *r, struct str id);
void recent_unpin(struct op *op);

#endif
