/* Jobs that were submitted together: one workflow, overrides for each. */
#ifndef COMFYPOOL_SRC_POOL_BATCHES_H
#define COMFYPOOL_SRC_POOL_BATCHES_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/store/finds.h"

struct intake;
struct job;
struct making;
struct pool;

/* A batch with active jobs. */
struct batch {
    struct pool *pool;
    struct batch_record r;
    char *workflow;
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* the account keys of its jobs, or NULL; see core/credentials.h */
    struct job *jobs;  /* active ones, in their order */
    struct job **last;
    size_t active;
    bool stored;
    bool ending; /* its jobs are being counted, or its end is being stored */
    bool cancelling;
    struct making *making;      /* its jobs are not all there, or not stored yet */
    const struct buf *skeleton; /* ... and meanwhile: what its hashes depend on; or NULL */
    struct job *next;           /* the first that is still to be queued, or cancelled */
    struct deadline work;       /* some of them at a time */
    struct store_read counting;
    struct deadline count_again;
    struct buf end; /* what is told of it, until that is stored */
    struct outbox outbox;
};

/* Makes the jobs of a batch, some a turn, and stores them. in->batch is set until the batch is
   stored, or refused (in->refusal): then its ticket is woken. */
void batch_begin(struct pool *p, struct intake *in);
/* Nobody waits for that any more. */
void batch_loses_intake(struct batch *b);
/* Batches whose end was not told, at the start; before jobs are loaded. False: the store failed. */
bool batches_load(struct pool *p) MUST_CHECK;
/* The jobs are loaded: what has ended meanwhile is told. */
void batches_settle(struct pool *p);
void batch_join(struct job *j, struct batch *b);
/* The same for a job from the store, whose batch may have ended, or be in memory. found: as the
   store has it, or NULL: it is read now, at the start of the daemon. */
void batch_join_again(struct job *j, struct store_batch *found);
/* Its last job's leaving ends the batch. */
void batch_leave(struct job *j);
void batches_done(struct pool *p);
/* Ends all of its jobs, some at a time. */
void batch_cancel(struct batch *b);

#endif
