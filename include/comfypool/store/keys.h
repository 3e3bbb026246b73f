/* Idempotency-Keys: caller, body, and first answer. */
#ifndef COMFYPOOL_STORE_KEYS_H
#define COMFYPOOL_STORE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"

struct store;
struct store_read;

/* An Idempotency-Key and its answer. */
struct key_record {
    char *key;                    /* the caller's name, "/", the key */
    char digest[DIGEST_HEX_SIZE]; /* of the body */
    char job_id[UUID_SIZE];
    unsigned status; /* of the first answer */
    struct wall_us at;
};
void key_record_done(struct key_record *k);

/* Stores the status of a key's first answer, known after the insert. */
void store_set_key_status(struct store *s, const char *key, unsigned status);

/* A key not older than 24 h at `now`, and the job or batch of its first submission. Lives for the
   call. */
struct store_key {
    struct key_record record; /* key NULL: none */
    enum err subject_error;   /* ERR_NONE; ERR_JOB_NOT_FOUND, ERR_BATCH_NOT_FOUND: deleted */
    char *client;             /* client of the job or batch; NULL: none */
    int64_t total;            /* jobs of a batch */
};
/* Finds a key. is_batch: its subject is a batch. ERR_NONE, ERR_STORE_UNAVAILABLE. Runs off the
   loop. */
typedef void (*store_found_key_fn)(void *ctx, enum err e, const struct store_key *k);
void store_find_key(struct store *s, const char *key, bool is_batch, struct wall_us now,
                    struct store_read *read, store_found_key_fn done, void *ctx);

#endif
