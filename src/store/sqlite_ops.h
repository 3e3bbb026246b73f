/* The work of each kind of op inside the writer's transaction, and its statements. */
#ifndef COMFYPOOL_SRC_STORE_SQLITE_OPS_H
#define COMFYPOOL_SRC_STORE_SQLITE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"

#include "engine.h"
#include "ops.h"

struct sqlite3;
struct sqlite3_stmt;

enum write_statement {
    Q_BEGIN,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_PROBE,
    Q_STATE,
    Q_INSERT_JOB,
    Q_INSERT_WORKFLOW,
    Q_INSERT_BATCH,
    Q_SET_BATCH_TEXTS,
    Q_END_BATCH,
    Q_PUT_UPLOAD,
    Q_DELETE_UPLOAD,
    Q_PUT_OWNER,
    Q_DELETE_OWNER,
    Q_DELETE_OWNERS,
    Q_PUT_KEPT,
    Q_PUT_STAMPS,
    Q_DELETE_KEPT,
    Q_INSERT_KEY,
    Q_KEY_STATUS,
    Q_BEGIN_JOB,
    Q_UPDATE_JOB,
    Q_MARK_CANCEL,
    Q_DELETE_JOB,
    Q_PUT_ATTEMPT,
    Q_DELETE_ATTEMPT,
    Q_LATE,
    Q_PUT_PROFILE,
    Q_PUT_STRAY,
    Q_DELETE_STRAY,
    Q_PUT_BACKEND,
    Q_DELETE_BACKEND,
    Q_PUT_SETTING,
    Q_PUT_DELIVERY,
    Q_UPDATE_DELIVERY,
    Q_DELETE_DELIVERY,
    Q_PUT_MEASUREMENT,
    Q_MEASUREMENTS,
    Q_DELETE_MEASUREMENTS,
    Q_GET_ROLLUP,
    Q_PUT_ROLLUP,
    Q_ROLLUPS_OF_KEYS,
    Q_DELETE_ROLLUPS_OF_KEYS,
    Q_TOUCH_KEY,
    Q_PUT_KEY,
    Q_COUNT_KEYS,
    Q_OLDEST_KEY,
    Q_DELETE_KEYS,
    Q_OLD_HOURS,
    Q_DELETE_ROLLUP,
    Q_PRUNE_DAYS,
    Q_PRUNE_DELIVERIES,
    Q_PRUNE_AGE,
    Q_PRUNE_COUNT,
    Q_PRUNE_KEYS,
    Q_OLDER,
    Q_VACUUM,
    Q_PUT_CREDENTIALS,
    Q_DELETE_CREDENTIALS,
    Q_WRITE_COUNT
};

/* State of the writer thread. */
struct write_session {
    struct sqlite3 *db;
    struct sqlite3_stmt *q[Q_WRITE_COUNT];
    int64_t counts[JOB_STATE_COUNT]; /* inside the open transaction */
    bool removed;                    /* credentials: the log still has them */
};

/* Prepares the statements of w->db and loads the counts. */
bool write_session_open(struct write_session *w, char *why, size_t why_size) MUST_CHECK;
/* Frees w; or NULL. */
void write_session_close(struct write_session *w);
/* Steps a statement that returns nothing; resets it. */
enum write_result write_step(struct sqlite3_stmt *q);
/* Applies op inside the open transaction. */
enum write_result op_apply(struct write_session *w, struct op *op);

/* Resets and clears a statement after use; returns the meaning of rc. */
enum write_result write_finish(struct sqlite3_stmt *q, int rc);
void write_bind_str(struct sqlite3_stmt *q, int at, struct str s);

#endif
