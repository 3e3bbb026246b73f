/*
 * Interface of a database engine: SQLite is the only one. Threads, queues, refusable and kept
 * writes, and answers are common to all. Files whose names begin with sqlite_ implement it; only
 * they know SQLite.
 */
#ifndef COMFYPOOL_SRC_STORE_ENGINE_H
#define COMFYPOOL_SRC_STORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/profiles.h"

#include "ops.h"

struct backend_record;
struct delivery_record;
struct kept_record;
struct key_record;
struct owner_record;
struct reader; /* a connection */
struct store;
struct store_batch;
struct stray_record;
struct upload_record;
struct write_session; /* state of the writer thread */

/* Lifetime of an Idempotency-Key. */
#define KEY_LIFE_US (INT64_C(24) * 3600 * 1000000)

enum write_result {
    WRITE_GOOD,
    WRITE_TROUBLE, /* the disk's fault: retry later */
    WRITE_WRONG,   /* our fault: a retry would change nothing */
};

/* Position in the list of deliveries: this bit is set for tried ones; larger comes first. */
#define DELIVERY_TRIED (INT64_C(1) << 61)

struct delivery_query {
    const char *client; /* NULL: all */
    unsigned state_mask;
    int64_t before; /* exclusive position */
    unsigned limit;
};

struct rollup_query {
    int kind;
    int64_t since_hour;
    bool some; /* only keys from `from` up to `to`, exclusive */
    struct str from;
    struct str to;
};

/* Lives for the call. */
struct rollup_row {
    struct str key;
    struct str label;
    struct str data;
};

struct engine {
    /* ---- writing: on the writer's thread, but for open, close and the last scrub. */

    /* Opens or makes the database in the locked state directory, migrates it, and counts its jobs.
       False with a message for people in why. */
    bool (*open)(struct store *s, struct write_session **ret, int64_t ret_counts[JOB_STATE_COUNT],
                 char *why, size_t why_size);
    /* Writes all ops (none: a probe of whether it is writable) in one transaction. On WRITE_WRONG
     *ret_at is the op at fault; then, and on WRITE_TROUBLE, nothing was written. */
    enum write_result (*write)(struct store *s, struct write_session *w, const struct op_list *ops,
                               struct op **ret_at, char *why, size_t why_size);
    /* True if the database is still in its place: checked while idle. */
    bool (*is_there)(const struct store *s);
    /* True if deleted secrets left traces. */
    bool (*has_traces)(const struct write_session *w);
    /* Removes the traces. False: not now. */
    bool (*scrub)(struct write_session *w);
    void (*close)(struct write_session *w); /* or NULL */

    /* ---- reading: each connection is one thread's. */

    /* Returns NULL with a message in why. */
    struct reader *(*connect)(const struct store *s, int cache_kib, char *why, size_t why_size);
    void (*disconnect)(struct reader *r); /* or NULL */
    /* Reads between these see one state. */
    bool (*begin)(struct reader *r);
    void (*end)(struct reader *r);
    /* Like the store_load_ functions of store/jobs.h, attempts.h, profiles.h and batches.h. */
    enum err (*job)(struct reader *r, struct str id, struct job_record *ret);
    enum err (*profile)(struct reader *r, int64_t seq, unsigned attempt, struct buf *out);
    enum err (*attempts)(struct reader *r, int64_t seq, struct attempt_record **ret,
                         size_t *ret_len);
    enum err (*workflow)(struct reader *r, int64_t seq, struct buf *out);
    enum err (*batch)(struct reader *r, const char *id, struct store_batch *ret);
    enum err (*count_batch)(struct reader *r, const char *id, int64_t ret[JOB_STATE_COUNT]);
    /* Like store_load_active of one job, in any state and without its attempt. */
    enum err (*whole_job)(struct reader *r, struct str id, struct store_active *ret);
    enum err (*client)(struct reader *r, enum store_owned what, const char *id, char **ret);
    enum err (*key)(struct reader *r, const char *key, struct wall_us now, struct key_record *ret);
    enum err (*stamps)(struct reader *r, int64_t seq, struct wall_us ended_at, struct buf *out);
    enum err (*setting)(struct reader *r, const char *name, char **ret);
    enum err (*due)(struct reader *r, const char *host, struct wall_us until, unsigned limit,
                    void (*each)(void *ctx, struct delivery_record *d), void *ctx, bool *ret_later);
    enum err (*delivery)(struct reader *r, const char *id, struct delivery_record *ret);
    enum err (*count_waiting)(struct reader *r, int64_t *ret);

    /* ---- pages, newest first: see store_list and the others. A record goes with its call, but for
       what is taken by clearing it. */

    enum err (*list_jobs)(struct reader *r, const struct job_query *q,
                          void (*each)(void *ctx, struct job_record *j), void *ctx);
    enum err (*list_deliveries)(struct reader *r, const struct delivery_query *q,
                                void (*each)(void *ctx, struct delivery_record *d), void *ctx);
    /* each returns whether it takes another one; *ret_more: there may be others. */
    enum err (*list_profiles)(struct reader *r, const struct profile_query *q,
                              struct profile_place after,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more);
    enum err (*list_baseline)(struct reader *r, const struct baseline_query *q,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more);
    enum err (*rollups)(struct reader *r, const struct rollup_query *q,
                        void (*each)(void *ctx, const struct rollup_row *row), void *ctx);

    /* ---- at the start, as the store_load_ functions. */

    bool (*last_seq)(struct reader *r, int64_t *ret, char *why, size_t why_size);
    enum err (*load_active)(struct reader *r, void (*each)(void *ctx, struct store_active *a),
                            void *ctx);
    enum err (*load_batches)(struct reader *r, void (*each)(void *ctx, struct store_batch *b),
                             void *ctx);
    enum err (*load_due_hosts)(struct reader *r, void (*each)(void *ctx, const char *host),
                               void *ctx);
    enum err (*load_strays)(struct reader *r, void (*each)(void *ctx, struct stray_record *s),
                            void *ctx);
    enum err (*load_backends)(struct reader *r, void (*each)(void *ctx, struct backend_record *b),
                              void *ctx);
    enum err (*load_uploads)(struct reader *r,
                             void (*each)(void *ctx, const struct upload_record *u), void *ctx);
    enum err (*load_owners)(struct reader *r, void (*each)(void *ctx, const struct owner_record *o),
                            void *ctx);
    enum err (*load_kept)(struct reader *r,
                          void (*each)(void *ctx, const struct kept_record *k, const char *backend),
                          void *ctx);
};

extern const struct engine sqlite_engine;

#endif
