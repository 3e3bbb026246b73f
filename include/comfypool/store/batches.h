/* Batches: jobs of one workflow, and their common texts. */
#ifndef COMFYPOOL_STORE_BATCHES_H
#define COMFYPOOL_STORE_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/job.h"
#include "comfypool/core/webhook.h"
#include "comfypool/store/store.h"

struct key_record;

/* A batch, and what to report when all of its jobs have ended. */
struct batch_record {
    char id[UUID_SIZE];
    struct wall_us made_at;
    int64_t total; /* jobs, as submitted */
    bool told;     /* its end is stored */
    char *client;  /* of all its jobs; or NULL */
    struct webhook hook;
};
void batch_record_done(struct batch_record *r);

/*
 * Stores a batch with all of its jobs, in one transaction; refusable. The jobs have no texts of
 * their own: workflow and extra_data are the batch's, under each job's overrides. key->job_id is
 * the batch's.
 */
void store_insert_batch(struct store *s, const struct batch_record *batch,
                        const struct job_record *const *jobs, size_t n, struct str workflow,
                        struct str extra_data, const struct key_record *key,
                        const struct store_beside *beside, store_done_fn done, void *ctx);
/* Marks the end as told, together with `beside`. */
void store_end_batch(struct store *s, const char *id, const struct store_beside *beside,
                     store_kept_fn done, void *ctx);

/* A batch with its texts, NULL where not wanted. Owner: the caller. */
struct store_batch {
    struct batch_record r;
    char *workflow;
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* or NULL */
};
void store_batch_done(struct store_batch *b);
/* Loads a batch. ERR_BATCH_NOT_FOUND, ERR_STORE_UNAVAILABLE. */
enum err store_load_batch(struct store *s, const char *id, struct store_batch *ret) MUST_CHECK;

/* Calls `each` for every batch whose end is not told. Blocks; at start-up only. */
enum err store_load_batches(struct store *s, void (*each)(void *ctx, struct store_batch *b),
                            void *ctx) MUST_CHECK;

#endif
