/*
 * What the store says of jobs that are not active, for those who are to follow them. A set keeps it
 * up to date while it lives: a job that is tried again, and ends anew, is known by its new end; one
 * that is deleted is known by its last.
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
    enum err error;       /* ERR_NONE, or ERR_STORE_UNAVAILABLE: nobody knows */
    enum job_state state; /* JOB_STATE_COUNT: there is no such job */
    char *client;         /* or NULL */
    int64_t outputs;      /* of a completed one; else INT64_MAX: it may have any */
};

struct known_jobs;
typedef void (*known_jobs_fn)(void *ctx);
/* A set of nobody. Owner: the caller, until known_jobs_free. */
struct known_jobs *known_jobs_new(struct pool *p);
/* Asks for those ids of `after` (a JSON array of UUIDs, or NULL) that are neither active nor in the
   set. True: `done` comes when all are known. */
bool known_jobs_must_wait(struct known_jobs *k, const char *after, known_jobs_fn done, void *ctx);
/* NULL: it is not in the set. */
const struct known_job *known_jobs_find(const struct known_jobs *k, struct str id);
/* Also while it asks; then `done` does not come. NULL is none. */
void known_jobs_free(struct known_jobs *k);

/* Ids of a list like `after`, one by one; they have no escapes. n == 0: the end. */
void known_ids_begin(struct js_reader *r, const char *after);
struct str known_ids_next(struct js_reader *r);

/* The job has ended as its record says. */
void known_jobs_ended(const struct job *j);

#endif
