/* Reads of one thing, with the connection of a thread: the loop's, or the finder's. */
#ifndef COMFYPOOL_SRC_STORE_READ_H
#define COMFYPOOL_SRC_STORE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"
#include "comfypool/store/finds.h"

struct sqlite3;
struct sqlite3_stmt;
struct delivery_record;
struct key_record;
struct store;
struct store_batch;

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

/* A connection with its statements; reader_disconnect it, also after an error. */
bool reader_connect(const struct store *s, struct reader *r, int cache_kib, char *why,
                    size_t why_size) MUST_CHECK;
void reader_disconnect(struct reader *r);
/* What is read between these is of one state of the database. */
bool reader_begin(struct reader *r) MUST_CHECK;
void reader_end(struct reader *r);
/* The reads of store/jobs.h and others, by this connection. */
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

/* The loop's. */
bool reader_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
void reader_close(struct store *s);

#endif
