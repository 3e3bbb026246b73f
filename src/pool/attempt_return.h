/* An attempt that was given up is found again while its job waits for a retry. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H

#include <stdbool.h>

#include "comfypool/core/job.h"

struct attempt;
struct backend;
struct job;
struct store_found;

/* What its job says of an attempt, kept while the job says it of another one. */
struct attempt_texts {
    char *auto_seeds, *placement; /* or NULL */
};

/* It is given up, and kept in case that it is found again: its job goes on without it. */
void attempt_give_up(struct attempt *a);
/* One from before a restart of the daemon, as the store has it. */
struct attempt_past {
    struct attempt_record r; /* number 0: it is not known */
    struct wall_us since;    /* when it began to wait */
};
/* Takes attempt `number` out of what was found of its job, unless the store has it as open still.
 */
void attempt_past_find(struct attempt_past *ret, const struct store_found *f, unsigned number);
void attempt_past_done(struct attempt_past *p);
/*
 * It is the job's attempt again. kept: as it was given up (then it is taken), or NULL; past is
 * taken then. goes_on: it has not ended. NULL: it cannot be had just now, since the store is asked
 * for the job's texts, or since it is not known.
 */
struct attempt *attempt_take_up(struct job *j, struct backend *b, struct attempt *kept,
                                struct attempt_past *past, bool goes_on);
/* It goes on there: followed like any other. */
void attempt_follow(struct attempt *a);

#endif
