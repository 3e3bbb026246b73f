/*
 * A submission on its way to be a job, or a batch of jobs. It takes several steps: files of its
 * body are written, backends are asked whether they can run it, its rows are stored. At each wait
 * pool_submit says INTAKE_WAITS; when the wait is over the pool wakes the ticket (see pool.h) and
 * pool_submit is called again. All on the loop thread.
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
    const char *caller;   /* who submits, by name; "": nobody in particular */
    const char *wall;     /* the only client whose things are seen; NULL: all are */
    bool may_name_client; /* also another one than itself */
    bool dry_run;         /* tells what backends would say; nothing is stored */
    const char *key;      /* Idempotency-Key, of this caller alone; "": none */
    const char *digest;   /* SHA-256 of what the key stands for, in hex */
    const char *trace;    /* traceparent; "": none */
    uint64_t ticket;
    /* What came of it. */
    struct refusal refusal;  /* of INTAKE_REFUSED */
    struct buf dry;          /* of INTAKE_TRIED: {"backends": ...} */
    char subject[UUID_SIZE]; /* of INTAKE_STORED: the job, or the batch */
    int64_t total;           /* of a batch: its jobs */
    unsigned replayed; /* an earlier one had this key: the HTTP status of its answer; 0: none had */
    /* The pool's notes. */
    struct pool *pool;        /* from the first step on */
    struct key_look *look;    /* what belongs to its key, as the store says; or NULL */
    char *claim;              /* its key, reserved once no earlier submission has it; or NULL */
    struct map *claims;       /* where */
    struct known_jobs *known; /* jobs that it is to follow, and that are not active; or NULL */
    bool kept;                /* data of its attachments was made files */
    size_t rechecked;         /* backends were asked; for which of a batch's jobs, from 1 */
    struct job *job;          /* whose insert is under way; or NULL */
    struct batch *batch;      /* whose jobs are made, or stored; or NULL */
};

enum intake_step { INTAKE_REFUSED, INTAKE_WAITS, INTAKE_TRIED, INTAKE_STORED };

void intake_init(struct intake *in);
/* Also while it waits: its client has gone. What is being stored is stored all the same. */
void intake_done(struct intake *in);
enum intake_step pool_submit(struct pool *p, struct intake *in);

#endif
