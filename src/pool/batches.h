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
    struct job *jobs;  /* active jobs in submission order */
    struct job **last;
    size_t active;
    bool stored;
    bool ending; /* its jobs are being counted, or its end is being stored */
    bool cancelling;
    struct making *making;      /* set until all jobs are made and stored */
    const struct buf *skeleton; /* set meanwhile: what the hashes depend on; or NULL */
    struct job *next;           /* first job still to be queued or cancelled */
    struct deadline work;       /* the next turn's share of that work */
    struct store_read counting;
    struct deadline count_again;
    struct buf end; /* the data of the end event, until it is stored */
    struct outbox outbox;
};

/* Makes the jobs of a batch, some a turn, and stores them. in->batch is set until the batch is
   stored or refused (in->refusal); then the ticket is woken. */
void batch_begin(struct pool *p, struct intake *in);
/* Detaches the intake: its client has gone. */
void batch_loses_intake(struct batch *b);
/* Loads batches whose end was not told; at the start, before jobs are loaded. False: the store
   failed. */
bool batches_load(struct pool *p) MUST_CHECK;
/* Tells the end of batches that have no active job; after jobs are loaded. */
void batches_settle(struct pool *p);
void batch_join(struct job *j, struct batch *b);
/* Joins a stored job to its batch, which may have ended or be in memory. found: the batch as
   stored, or NULL to read it now (at the start only). */
void batch_join_again(struct job *j, struct store_batch *found);
/* Removes a job; the last one ends the batch. */
void batch_leave(struct job *j);
void batches_done(struct pool *p);
/* Cancels all its jobs, some a turn. */
void batch_cancel(struct batch *b);

#endif
