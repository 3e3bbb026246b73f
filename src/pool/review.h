/* All waiting jobs are looked at anew, some a turn. */
#ifndef COMFYPOOL_SRC_POOL_REVIEW_H
#define COMFYPOOL_SRC_POOL_REVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/loop/deadlines.h"

struct job;
struct pool;

/* The jobs that are looked at anew; see review.c. */
struct review {
    struct job **list; /* NULL: none is under way; NULL in it: one that was freed */
    size_t len, at;
    bool wanted; /* another one, after it */
    struct deadline turn;
};

/* Every job that waits is looked at anew, soon: it fails when no backend can run it any more, else
   it goes to the lane that is right now. */
void review_begin(struct pool *p);
/* The job is to be freed. */
void review_leave(struct job *j);

#endif
