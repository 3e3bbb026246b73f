/* Ends of jobs that were just written: what is asked for most is answered without a read. */
#ifndef COMFYPOOL_SRC_STORE_RECENT_H
#define COMFYPOOL_SRC_STORE_RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "ops.h"

struct str;

enum { RECENT_MOST = 32, RECENT_BYTES = 512 * 1024 };

struct recent {
    struct op *list[RECENT_MOST]; /* a ring */
    size_t next;                  /* the oldest, or room */
    size_t bytes;
    struct op *told; /* the end whose caller is being told, however large it is; or NULL */
};

/* A write is over, and its caller is told between these two. It is freed with the second, or later
   when it is kept here. */
void recent_begin_telling(struct recent *r, struct op *op);
void recent_end_telling(struct recent *r, struct op *op);
/* A write is on its way that may change what is kept. */
void recent_forget(struct recent *r, const struct op *op);
/* Old jobs were deleted, nobody says which. */
void recent_forget_all(struct recent *r);
/* The end of the job, pinned; NULL: it is not here. */
struct op *recent_pin(struct recent *r, struct str id);
void recent_unpin(struct op *op);

#endif
