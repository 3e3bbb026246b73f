/*
 * What the store knows of jobs that are not active, for jobs that are to follow them. A set stays
 * up to date while it lives: a job that is retried and ends again is known by its new end; a
 * deleted one by its last.
 */
#ifndef COMFYPOOL_SRC_POOL_KNOWN_JOBS_H
#define COMFYPOOL_SRC_POOL_KNOWN_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/str.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/job.h"

struct job;
struct pool;

struct known_job {
    char id[UUID_SIZE];
    enum err error;       /* ERR_NONE, or ERR_STORE_UNAVAILABLE: unknown */
    enum job_state state; /* JOB_STATE_COUNT: no such job */
    char *client;         /* or NULL */
    int64_t outputs;      /* of a completed job; else INT64_MAX: unknown */
};

struct known_jobs;
typedef void (*known_jobs_fn)(void *ctx);
/* Makes an empty set. Owner: the caller, until known_jobs_free. */
struct known_jobs *known_jobs_new(struct pool *p);
/* Adds those ids of `after` (a JSON array of UUIDs, or NULL) that are not active, and asks for
   them. True: `done` is called when all are known. */
bool known_jobs_must_wait(struct known_jobs *k, const char *after, known_jobs_fn done, void *ctx);
/* Returns NULL for an id that is not in the set, or not known yet. */
const struct known_job *known_jobs_find(const struct known_jobs *k, struct str id);
/* Frees a set, also while it asks; then `done` is not called. NULL is allowed. */
void known_jobs_free(struct known_jobs *k);

/* Reads ids of a list like `after`, one by one; they have no escapes. n == 0: the end. */
void known_ids_begin(struct js_reader *r, const char *after);
struct str known_ids_next(struct js_reader *r);

/* Updates all sets by the end of a job. */
void known_jobs_ended(const struct job *j);

#endif
