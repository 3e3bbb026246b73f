/*
 * A submission that becomes a job, or a batch of jobs. It takes several steps: files of the body
 * are written, backends are asked whether they can run it, rows are stored. To wait, pool_submit
 * returns INTAKE_WAITS; afterwards the pool wakes the ticket (see pool.h) and pool_submit is called
 * again. All on the loop thread.
 */
#ifndef COMFYPOOL_POOL_INTAKE_H
#define COMFYPOOL_POOL_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/refusal.h"
#include "comfypool/core/submission.h"

struct batch;
struct job;
struct key_look;
struct known_jobs;
struct map;
struct pool;

struct intake {
    /* Set by the caller. */
    struct submission submission; /* the pool takes it */
    bool is_batch;
    const char *caller;   /* name of the caller; "": none */
    const char *wall;     /* the only client whose things are visible; NULL: all */
    bool may_name_client; /* may submit for another client */
    bool dry_run;         /* only tells what backends would say; nothing is stored */
    const char *key;      /* Idempotency-Key, of this caller only; "": none */
    const char *digest;   /* SHA-256 of route, files and body, in hex */
    const char *trace;    /* traceparent; "": none */
    uint64_t ticket;
    /* Results. */
    struct refusal refusal;  /* of INTAKE_REFUSED */
    struct buf dry;          /* of INTAKE_TRIED: {"backends": ...} */
    char subject[UUID_SIZE]; /* of INTAKE_STORED: the job, or the batch */
    int64_t total;           /* of a batch: its jobs */
    unsigned
        replayed; /* HTTP status of the answer to an earlier submission with this key; 0: none */
    /* The pool's notes. */
    struct pool *pool;        /* from the first step on */
    struct key_look *look;    /* the lookup of its key under way; or NULL */
    char *claim;              /* its key, once reserved; or NULL */
    struct map *claims;       /* where it is reserved */
    struct known_jobs *known; /* inactive jobs that it is to follow; or NULL */
    bool kept;                /* data of attachments was written to files */
    size_t rechecked;         /* backends were asked, for which job of a batch (from 1) */
    struct job *job;          /* whose insert is under way; or NULL */
    struct batch *batch;      /* whose jobs are made, or stored; or NULL */
};

enum intake_step { INTAKE_REFUSED, INTAKE_WAITS, INTAKE_TRIED, INTAKE_STORED };

void intake_init(struct intake *in);
/* Frees it, also while it waits (its client has gone). A write under way is not undone. */
void intake_done(struct intake *in);
enum intake_step pool_submit(struct pool *p, struct intake *in);

#endif
