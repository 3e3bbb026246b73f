/*
 * What an engine does for the store: SQLite is the only one. The threads, the queues, what is
 * refused and what is kept, and the answers are the same for all. Files whose names begin with
 * sqlite_ are behind this, and nothing else knows SQLite.
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
struct write_session; /* what the writer thread writes with */

/* How long an Idempotency-Key is kept. */
#define KEY_LIFE_US (INT64_C(24) * 3600 * 1000000)

enum write_result {
    WRITE_GOOD,
    WRITE_TROUBLE, /* the disk's fault: try again later */
    WRITE_WRONG,   /* our fault: trying again would change nothing */
};

/* The place of a delivery in their list: this bit is set of those that were tried, the larger comes
   first. */
#define DELIVERY_TRIED (INT64_C(1) << 61)

struct delivery_query {
    const char *client; /* NULL: everybody's */
    unsigned state_mask;
    int64_t before; /* this place */
    unsigned limit;
};

struct rollup_query {
    int kind;
    int64_t since_hour;
    bool some; /* only those of keys from `from` to before `to` */
    struct str from;
    struct str to;
};

/* It lives for the call. */
struct rollup_row {
    struct str key;
    struct str label;
    struct str data;
};

struct engine {
    /* ---- writing: on the writer's thread, but for open, close and the last scrub. */

    /* Finds or makes what is in the state directory, which is locked; brings it to this version,
       and counts its jobs. False with a message for people in why. */
    bool (*open)(struct store *s, struct write_session **ret, int64_t ret_counts[JOB_STATE_COUNT],
                 char *why, size_t why_size);
    /* Writes all ops (none: something that shows whether it can be written) in one transaction. On
       WRITE_WRONG *ret_at is the op at fault; then, and on WRITE_TROUBLE, nothing was written. */
    enum write_result (*write)(struct store *s, struct write_session *w, const struct op_list *ops,
                               struct op **ret_at, char *why, size_t why_size);
    /* What is stored is still where it was: asked while there is nothing to write. */
    bool (*is_there)(const struct store *s);
    /* Secrets that were deleted have left traces. */
    bool (*has_traces)(const struct write_session *w);
    /* Removes them. False: not now. */
    bool (*scrub)(struct write_session *w);
    void (*close)(struct write_session *w); /* or NULL */

    /* ---- reading: each connection is one thread's. */

    /* NULL with a message in why. */
    struct reader *(*connect)(const struct store *s, int cache_kib, char *why, size_t why_size);
    void (*disconnect)(struct reader *r); /* or NULL */
    /* What is read between these is of one state. */
    bool (*begin)(struct reader *r);
    void (*end)(struct reader *r);
    /* As the blocking ones of store/jobs.h, attempts.h, profiles.h and batches.h. */
    enum err (*job)(struct reader *r, struct str id, struct job_record *ret);
    enum err (*profile)(struct reader *r, int64_t seq, unsigned attempt, struct buf *out);
    enum err (*attempts)(struct reader *r, int64_t seq, struct attempt_record **ret,
                         size_t *ret_len);
    enum err (*workflow)(struct reader *r, int64_t seq, struct buf *out);
    enum err (*batch)(struct reader *r, const char *id, struct store_batch *ret);
    enum err (*count_batch)(struct reader *r, const char *id, int64_t ret[JOB_STATE_COUNT]);
    /* As store_load_active gives one, in any state and without its attempt. */
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
    /* each says whether it takes another one; *ret_more: there may be others. */
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
