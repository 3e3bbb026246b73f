/* Reads from SQLite, each connection on one thread: see engine.h. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_READ_H
#define COMFYPOOL_SRC_STORE_SQLITE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/profiles.h"

struct sqlite3;
struct sqlite3_stmt;
struct backend_record;
struct delivery_query;
struct delivery_record;
struct job_query;
struct kept_record;
struct key_record;
struct owner_record;
struct rollup_query;
struct rollup_row;
struct store;
struct store_batch;
struct stray_record;
struct upload_record;

enum read_statement {
    Q_READ_BEGIN,
    Q_READ_END,
    Q_JOB_BY_ID,
    Q_WHOLE_JOB,
    Q_WORKFLOW,
    Q_BATCH,
    Q_COUNT_BATCH,
    Q_PROFILE,
    Q_STAMPS,
    Q_ATTEMPTS,
    Q_KEY,
    Q_SETTING,
    Q_DUE,
    Q_DUE_LATER,
    Q_DUE_HOSTS,
    Q_DELIVERY,
    Q_DELIVERIES_WAITING,
    Q_CLIENT_OF_JOB,
    Q_CLIENT_OF_BATCH,
    Q_CLIENT_OF_DELIVERY,
    Q_READ_COUNT
};

struct reader {
    struct sqlite3 *db;
    struct sqlite3_stmt *q[Q_READ_COUNT];
};

struct reader *reader_connect(const struct store *s, int cache_kib, char *why,
                              size_t why_size) MUST_CHECK;
void reader_disconnect(struct reader *r);
bool reader_last_seq(struct reader *r, int64_t *ret, char *why, size_t why_size) MUST_CHECK;
bool reader_begin(struct reader *r) MUST_CHECK;
void reader_end(struct reader *r);
enum err reader_job(struct reader *r, struct str id, struct job_record *ret) MUST_CHECK;
enum err reader_workflow(struct reader *r, int64_t seq, struct buf *out) MUST_CHECK;
enum err reader_profile(struct reader *r, int64_t seq, unsigned attempt,
                        struct buf *out) MUST_CHECK;
enum err reader_attempts(struct reader *r, int64_t seq, struct attempt_record **ret,
                         size_t *ret_len) MUST_CHECK;
enum err reader_batch(struct reader *r, const char *id, struct store_batch *ret) MUST_CHECK;
enum err reader_count_batch(struct reader *r, const char *id,
                            int64_t ret[JOB_STATE_COUNT]) MUST_CHECK;
enum err reader_whole_job(struct reader *r, struct str id, struct store_active *ret) MUST_CHECK;
enum err reader_client(struct reader *r, enum store_owned what, const char *id,
                       char **ret) MUST_CHECK;
enum err reader_key(struct reader *r, const char *key, struct wall_us now,
                    struct key_record *ret) MUST_CHECK;
enum err reader_stamps(struct reader *r, int64_t seq, struct wall_us ended_at,
                       struct buf *out) MUST_CHECK;
enum err reader_setting(struct reader *r, const char *name, char **ret) MUST_CHECK;
enum err reader_due(struct reader *r, const char *host, struct wall_us until, unsigned limit,
                    void (*each)(void *ctx, struct delivery_record *d), void *ctx,
                    bool *ret_later) MUST_CHECK;
enum err reader_delivery(struct reader *r, const char *id, struct delivery_record *ret) MUST_CHECK;
enum err reader_count_waiting(struct reader *r, int64_t *ret) MUST_CHECK;

enum err reader_load_active(struct reader *r, void (*each)(void *ctx, struct store_active *a),
                            void *ctx) MUST_CHECK;
enum err reader_load_batches(struct reader *r, void (*each)(void *ctx, struct store_batch *b),
                             void *ctx) MUST_CHECK;
enum err reader_load_due_hosts(struct reader *r, void (*each)(void *ctx, const char *host),
                               void *ctx) MUST_CHECK;
enum err reader_load_strays(struct reader *r, void (*each)(void *ctx, struct stray_record *r),
                            void *ctx) MUST_CHECK;
enum err reader_load_backends(struct reader *r, void (*each)(void *ctx, struct backend_record *r),
                              void *ctx) MUST_CHECK;
enum err reader_load_uploads(struct reader *r,
                             void (*each)(void *ctx, const struct upload_record *r),
                             void *ctx) MUST_CHECK;
enum err reader_load_owners(struct reader *r, void (*each)(void *ctx, const struct owner_record *r),
                            void *ctx) MUST_CHECK;
enum err reader_load_kept(struct reader *r,
                          void (*each)(void *ctx, const struct kept_record *r, const char *backend),
                          void *ctx) MUST_CHECK;

/* sqlite_lists.c */
enum err reader_list_jobs(struct reader *r, const struct job_query *q,
                          void (*each)(void *ctx, struct job_record *j), void *ctx) MUST_CHECK;
enum err reader_list_deliveries(struct reader *r, const struct delivery_query *q,
                                void (*each)(void *ctx, struct delivery_record *d),
                                void *ctx) MUST_CHECK;
/* sqlite_profiles.c */
enum err reader_list_profiles(struct reader *r, const struct profile_query *q,
                              struct profile_place after,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more) MUST_CHECK;
enum err reader_list_baseline(struct reader *r, const struct baseline_query *q,
                              bool (*each)(void *ctx, const struct profile_row *row), void *ctx,
                              bool *ret_more) MUST_CHECK;
/* sqlite_rollups.c */
enum err reader_rollups(struct reader *r, const struct rollup_query *q,
                        void (*each)(void *ctx, const struct rollup_row *row),
                        void *ctx) MUST_CHECK;

/* Prepares a statement for one read; NULL: failed, and logged. */
struct sqlite3_stmt *reader_prepare(struct reader *r, const char *sql);
/* Runs and finalizes it. `each` gets the rows, and returns whether it wants another; ret_more (or
   NULL): it did not. q NULL: fails. */
enum err reader_run(struct sqlite3_stmt *q, bool (*each)(struct sqlite3_stmt *q, void *to),
                    void *to, bool *ret_more) MUST_CHECK;

#endif
