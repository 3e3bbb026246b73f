/*
 * What an engine does for the store: SQLite is the only one. The threads, the queues, what is
 * refused and what is kept, and the answers are the same for all. Pages and summaries (lists.c,
 * profiles.c, summaries.c) and the blocking reads of read.c are SQLite's own still and do not come
 * through here.
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

#include "ops.h"
#include "ops_apply.h"

struct delivery_record;
struct key_record;
struct reader;
struct store;
struct store_batch;

struct engine {
    /* ---- writing: on the writer's thread, but for open and close. */

    /* Finds what is there, brings it to this version, and counts its jobs. */
    bool (*open)(struct store *s, struct write_session *w, char *why, size_t why_size);
    /* Writes all ops (none: something that shows whether it can be written) in one transaction. On
       WRITE_WRONG *ret_at is the op at fault; then, and on WRITE_TROUBLE, nothing was written. */
    enum write_result (*write)(struct store *s, struct write_session *w, const struct op_list *ops,
                               struct op **ret_at, char *why, size_t why_size);
    /* What is stored is still where it was: asked while there is nothing to write. */
    bool (*is_there)(const struct store *s);
    /* Removes the last traces of secrets that were deleted. False: not now. */
    bool (*scrub)(struct write_session *w);
    void (*close)(struct write_session *w);

    /* ---- reading: each connection is one thread's. */

    bool (*connect)(const struct store *s, struct reader *r, int cache_kib, char *why,
                    size_t why_size);
    void (*disconnect)(struct reader *r);
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
};

extern const struct engine sqlite_engine;

#endif
