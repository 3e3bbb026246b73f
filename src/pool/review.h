/* Judging all waiting jobs again, some a turn. */
#ifndef COMFYPOOL_SRC_POOL_REVIEW_H
#define COMFYPOOL_SRC_POOL_REVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/loop/deadlines.h"

struct job;
struct pool;

/* The jobs of a review; see review.c. */
struct review {
    struct job **list; /* NULL: no review under way; NULL entries: freed jobs */
    size_t len, at;
    bool wanted; /* another review follows */
    struct deadline turn;
};

/* Starts a review of all waiting jobs: each fails if no backend can run it any more, else moves to
   its current lane. */
void review_begin(struct pool *p);
/* Removes a job that is being freed. */
void review_leave(struct job *j);

#endif
