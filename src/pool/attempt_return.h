/* Resuming an attempt that was given up, when its prompt is found while the job waits for a retry.
 */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H

#include <stdbool.h>

#include "comfypool/core/job.h"

struct attempt;
struct backend;
struct job;
struct store_found;

/* What a job says of this attempt, kept while it says the same of a later one. */
struct attempt_texts {
    char *auto_seeds, *placement; /* or NULL */
};

/* Gives the attempt up: the job goes on without it. It is kept in case the prompt is found. */
void attempt_give_up(struct attempt *a);
/* An attempt from before a restart, as stored. */
struct attempt_past {
    struct attempt_record r; /* number 0: not known */
    struct wall_us since;    /* when its job began to wait */
};
/* Takes attempt `number` from what was found, unless it is still open in the store. */
void attempt_past_find(struct attempt_past *ret, const struct store_found *f, unsigned number);
void attempt_past_done(struct attempt_past *p);
/*
 * Resumes an attempt. kept: the attempt as it was given up (taken), or NULL: it is made from `past`
 * (taken). goes_on: the prompt has not ended. Returns NULL if it cannot be resumed now: the job's
 * texts are being read, or `past` is not known.
 */
struct attempt *attempt_take_up(struct job *j, struct backend *b, struct attempt *kept,
                                struct attempt_past *past, bool goes_on);
/* Follows the resumed prompt like any other. */
void attempt_follow(struct attempt *a);

#endif
