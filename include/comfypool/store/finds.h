/*
 * Reads at run time: all that is asked of one object is read together, from one state of the
 * database, on a separate thread. The loop waits for no disk, and a read waits for no list or
 * export. Cost: a wake of that thread and one of the loop, shared by all reads asked in one turn.
 */
#ifndef COMFYPOOL_STORE_FINDS_H
#define COMFYPOOL_STORE_FINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/job.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/jobs.h"

struct pending;
struct store;

/* Counts reads under way in `pending`, so that a stop can await them. Call before the first one;
   NULL: no longer. */
void store_count_finds(struct store *s, struct pending *pending);

/*
 * A read that may be cancelled: a member of the asking object, zero at first. Set while the read is
 * under way, and zero again before the callback. NULL in its place: never cancelled.
 */
struct find;
struct store_read {
    struct find *find;
};
/* Cancels the callback, if it is still to come. */
void store_read_forget(struct store_read *r);

/* Parts of a job wanted beside its record. */
enum {
    STORE_WANT_PROFILE = 1 << 0,  /* of the attempt that its result is of, or of `attempt` */
    STORE_WANT_ATTEMPTS = 1 << 1, /* all, in order */
    STORE_WANT_WORKFLOW = 1 << 2, /* as it was submitted */
    STORE_WANT_PROFILES = 1 << 3, /* of all attempts with one */
    STORE_WANT_STAMPS = 1 << 4,   /* of its outputs, see store/outputs.h */
    STORE_WANT_TEXTS = 1 << 5,    /* its own, as from store_load_active */
    STORE_WANT_BATCH = 1 << 6,    /* its batch, with its texts */
};

struct store_wish {
    char id[UUID_SIZE];
    unsigned wants;
    unsigned attempt; /* of STORE_WANT_PROFILE; 0: the job's own choice */
};

struct store_profile {
    unsigned attempt;
    struct str json;
};

/* What was found, each part with its error. Lives for the call. */
struct store_found {
    enum err error; /* ERR_NONE; ERR_JOB_NOT_FOUND, ERR_STORE_UNAVAILABLE: no other part */
    const struct job_record *job;
    enum err profile_error; /* ERR_PROFILING_DISABLED: none */
    struct str profile;
    struct attempt_record *attempts;
    size_t attempts_len;
    struct str workflow;
    const struct store_profile *profiles; /* in order of their attempts */
    size_t profiles_len;
    struct str stamps; /* n == 0: none of its end */
    /* NULL unless wanted; what they point to may be taken by clearing it. */
    struct store_active *whole; /* contains job */
    struct store_batch *batch;  /* NULL also if the job is in none */
};
typedef void (*store_found_fn)(void *ctx, const struct store_found *found);
/* Finds a job. done may be called before this returns: a job that has just ended is still in
   memory. */
void store_find_job(struct store *s, const struct store_wish *wish, struct store_read *read,
                    store_found_fn done, void *ctx);

/* Finds the client of a job, a batch or a delivery; client NULL: none. ERR_JOB_NOT_FOUND,
   ERR_BATCH_NOT_FOUND, ERR_DELIVERY_NOT_FOUND, ERR_STORE_UNAVAILABLE. */
enum store_owned { STORE_JOB, STORE_BATCH, STORE_DELIVERY };
typedef void (*store_found_client_fn)(void *ctx, enum err e, const char *client);
void store_find_client(struct store *s, enum store_owned what, const char *id,
                       struct store_read *read, store_found_client_fn done, void *ctx);

/* Finds a batch without its texts, and how many of its jobs are in each state. ERR_NONE,
   ERR_BATCH_NOT_FOUND, ERR_STORE_UNAVAILABLE. O(jobs of the batch). */
typedef void (*store_found_batch_fn)(void *ctx, enum err e, const struct batch_record *r,
                                     const int64_t counts[JOB_STATE_COUNT]);
void store_find_batch(struct store *s, const char *id, struct store_read *read,
                      store_found_batch_fn done, void *ctx);

#endif
