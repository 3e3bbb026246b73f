/* An attempt that was given up is found again while its job waits for a retry. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_RETURN_H

#include <stdbool.h>

struct attempt;
struct backend;
struct job;

/* What its job says of an attempt, kept while the job says it of another one. */
struct attempt_texts {
    char *auto_seeds, *placement; /* or NULL */
};

/* It is given up, and kept in case that it is found again: its job goes on without it. */
void attempt_give_up(struct attempt *a);
/*
 * It is the job's attempt again. kept: as it was given up (then it is taken), or NULL. goes_on: it
 * has not ended. NULL: it cannot be had just now.
 */
struct attempt *attempt_take_up(struct job *j, struct backend *b, unsigned number,
                                struct attempt *kept, bool goes_on);
/* It goes on there: followed like any other. */
void attempt_follow(struct attempt *a);

#endif
