/*
 * Jobs and profiles on disk. The interface is narrow so that another engine can stand beside
 * SQLite.
 *
 * Writes are asynchronous and durable: each is queued to one writer thread, everything that waits
 * is committed in one transaction (WAL, synchronous=FULL), then all of it is answered on the loop
 * thread, in the order in which it was queued. Reads of one job happen on the loop thread with a
 * connection of their own (microseconds); lists run on libuv's pool, at most two at a time.
 *
 * When the disk is full or read-only: store_insert is answered with ERR_STORE_UNAVAILABLE; every
 * other write is kept, in order, and tried again each second until it succeeds. Each new insert is
 * a try of its own, so that the store recovers by itself. A state directory that is gone is such
 * trouble, too, and is noticed within two seconds, also when nothing is written.
 *
 * All functions are called on the loop thread.
 */
#ifndef COMFYPOOL_STORE_STORE_H
#define COMFYPOOL_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/core/job.h"
#include "comfypool/core/rollup.h"
#include "comfypool/core/webhook.h"

struct store;

/* Called once on the loop thread when the write is durable (ERR_NONE) or was refused. */
typedef void (*store_done_fn)(void *ctx, enum err e);

/*
 * Opens (and makes) the state directory (0700, every file in it 0600), locks it against a second
 * daemon, migrates the schema, starts the writer. The directory must belong to the daemon's user,
 * or to root and be writable by nobody else. A database that is damaged is refused, as far as its
 * header and schema tell, and after an unclean end (a write-ahead log is left) all of its pages, up
 * to 1 GiB. Blocks; call before the loop runs.
 * Returns false with a message for people in why (what is wrong and what to do).
 * Owner: the caller, until store_close.
 */
bool store_open(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                size_t why_size) MUST_CHECK;
/* The same where a store was and its database is missing or empty, which store_open refuses: a new
   one is made in its place. */
bool store_open_anew(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                     size_t why_size) MUST_CHECK;

/*
 * Writes what waits (as far as the disk allows it), ends the writer and frees everything once the
 * loop has run its close callbacks. Callbacks that were not called yet are called before it
 * returns.
 */
void store_close(struct store *s);

/* False since a write failed, until one succeeds. */
bool store_is_writable(const struct store *s);
/* How long the writer has been at what it does: 0 while it waits for work. An error is an answer; a
   disk that hangs gives none. */
struct dur_us store_busy_for(struct store *s);
/* What went wrong last, for people; "" while writable. Lives until the next event. */
const char *store_trouble(const struct store *s);

/* The seq for the next job; counts up. */
int64_t store_next_seq(struct store *s);

/* How many jobs there are in each state, as committed. */
void store_counts(const struct store *s, int64_t ret[JOB_STATE_COUNT]);

/* ---- writes. Everything passed is copied. `done` may be NULL. ---------------------------------
 */

/* An Idempotency-Key and what belongs to it. */
struct key_record {
    char *key;                    /* the caller's name, "/", the key */
    char digest[DIGEST_HEX_SIZE]; /* of the body */
    char job_id[UUID_SIZE];
    unsigned status; /* of the first answer */
    struct wall_us at;
};
void key_record_done(struct key_record *k);

/* A webhook's delivery: what is sent, and how far it is. */
struct delivery_record {
    int64_t n; /* counts up; set by the store */
    char id[UUID_SIZE];
    char job_id[UUID_SIZE];
    char *type; /* of the event */
    char *url;
    char *host;      /* of the url, with its port: those of one are tried together */
    char *secret;    /* or NULL: not signed, unless `configured` */
    bool configured; /* one of the configuration's: signed with its secret, if it has one */
    char *client;    /* whose job or batch it tells of; NULL: nobody's, or it is `configured` */
    char *body;      /* JSON; NULL in lists */
    enum delivery_state state;
    unsigned tries;
    unsigned last_status;   /* of the last answer; 0: none came */
    char *last_error;       /* what went wrong the last time, or NULL */
    struct wall_us made_at; /* here its 24 h begin */
    struct wall_us
        next_at; /* of DELIVERY_PENDING and DELIVERY_FAILING; of a dead one: when it died */
};
void delivery_record_done(struct delivery_record *d);

/* A file that is kept; see store/blobs.h. */
struct upload_record {
    char sha256[DIGEST_HEX_SIZE];
    int64_t size;
    struct wall_us used_at;
};
void store_put_upload(struct store *s, const struct upload_record *r);
/* With all of its owners. */
void store_delete_upload(struct store *s, const char *sha256);

/* A client that has sent the bytes of a file. */
struct owner_record {
    char sha256[DIGEST_HEX_SIZE];
    char *client;
};
void owner_record_done(struct owner_record *r);
/* done may be NULL; it comes once the change is durable, however long that takes. */
void store_put_owner(struct store *s, const struct owner_record *r, store_done_fn done, void *ctx);
void store_delete_owner(struct store *s, const struct owner_record *r, store_done_fn done,
                        void *ctx);

/* Which outputs of an ended job were copied, or are to be; see pool/copies.c. */
struct kept_record {
    int64_t seq; /* of the job */
    char job_id[UUID_SIZE];
    struct wall_us ended_at; /* when the job did */
    char *files;             /* valid JSON */
};
void kept_record_done(struct kept_record *r);
/* Changes nothing when there is no such job any more. */
void store_put_kept(struct store *s, const struct kept_record *r);
void store_delete_kept(struct store *s, int64_t seq);
/* What its files were when the job had ended; see pool/stamps.c. As store_put_kept; it goes with
   the job. */
void store_put_stamps(struct store *s, const struct kept_record *r);

/* Jobs of one workflow, and what is told when all of them have ended. */
struct batch_record {
    char id[UUID_SIZE];
    struct wall_us made_at;
    int64_t total; /* jobs, as submitted */
    bool told;     /* its end is durable */
    char *client;  /* of all of its jobs; or NULL */
    struct webhook hook;
};
void batch_record_done(struct batch_record *r);

/* What becomes true in the same transaction as a write. Anything of it may be missing. */
struct store_beside {
    const struct delivery_record *deliveries; /* new ones */
    size_t deliveries_len;
    struct str measurement;         /* of the job's end; n == 0: none. See store_fold */
    unsigned withdraw;              /* of an attempt's end: a later one of this number was never
                                       POSTed and is forgotten; 0: none was */
    const struct kept_record *kept; /* of store_end_attempt */
    struct str credentials; /* of a new job or batch, or of store_update_job: its account keys,
                               see core/credentials.h; n == 0: none. A job's go with its end,
                               a batch's with the batch's */
};

/* A new job with its workflow and extra_data (n == 0: none), and its key (NULL: none) in the same
   transaction; a key that is older than key->at - 24 h is replaced. May be refused. */
void store_insert(struct store *s, const struct job_record *job, struct str workflow,
                  struct str extra_data, const struct key_record *key,
                  const struct store_beside *beside, store_done_fn done, void *ctx);
/* A batch with all of its jobs, in one transaction. The jobs have no texts of their own: workflow
   and extra_data are those of the batch, under each job's overrides. key->job_id is the batch's. */
void store_insert_batch(struct store *s, const struct batch_record *batch,
                        const struct job_record *const *jobs, size_t n, struct str workflow,
                        struct str extra_data, const struct key_record *key,
                        const struct store_beside *beside, store_done_fn done, void *ctx);
/* Its end is told from now on, with what is beside. */
void store_end_batch(struct store *s, const char *id, const struct store_beside *beside,
                     store_done_fn done, void *ctx);
/* The status of a key's first answer, known after the insert. */
void store_set_key_status(struct store *s, const char *key, unsigned status);

/* The job's whole record, as it is: a priority, a job that is queued again by POST /retry. */
void store_update_job(struct store *s, const struct job_record *job,
                      const struct store_beside *beside, store_done_fn done, void *ctx);

/* The intent: job is running and has one more attempt. Sets state, backend, prompt_id, attempts,
   auto_seeds, placement. */
void store_begin_attempt(struct store *s, const struct job_record *job,
                         const struct attempt_record *attempt, const struct store_beside *beside,
                         store_done_fn done, void *ctx);

/*
 * A prompt that may still be (or turn up) on a backend though nobody waits for it: its job was
 * cancelled while the backend could not be reached, or its attempt was given up. It is looked for
 * and told to stop, also after a restart of the daemon.
 */
struct stray_record {
    char prompt_id[UUID_SIZE];
    char client_id[UUID_SIZE];
    char *backend; /* name, and URL without credentials, as in attempt_record */
    char *backend_url;
    int64_t seq;     /* of its job */
    unsigned number; /* of its attempt */
    struct wall_us since;
    bool holds_slot; /* it was told to stop and did not, or its server fell silent: the backend is
                        quarantined with its slot taken */
    bool stopped;    /* somebody wanted it to stop */
    bool silent;     /* its server's worker was taken for dead, and counted as such */
    bool started;    /* a node of it may have run */
};
void stray_record_done(struct stray_record *r);

/*
 * An attempt is over and the job is as `job` says: queued again, or terminal. attempt NULL (or
 * number 0): the job ended without one. profile (JSON, n == 0: none) belongs to attempt->number (0
 * for none). The attempt's row is updated; job's whole record is written. stray (NULL: none)
 * remembers its prompt. An attempt with `late` set was given up before and has ended now: it is no
 * stray any more.
 */
void store_end_attempt(struct store *s, const struct job_record *job,
                       const struct attempt_record *attempt, struct str profile,
                       const struct stray_record *stray, const struct store_beside *beside,
                       store_done_fn done, void *ctx);

/* The stray is over. late: how its prompt ended (ATTEMPT_OPEN: unknown), noted in its attempt. */
void store_end_stray(struct store *s, const struct stray_record *stray, enum attempt_outcome late);

/* Forgets the open attempt `number` of a job that goes back into the queue: it was never POSTed. */
void store_withdraw_attempt(struct store *s, const struct job_record *job, unsigned number,
                            store_done_fn done, void *ctx);

/* cancel_requested of a running job. */
void store_mark_cancel(struct store *s, const struct job_record *job, store_done_fn done,
                       void *ctx);

/* Deletes a terminal job with all that belongs to it. */
void store_delete(struct store *s, int64_t seq, store_done_fn done, void *ctx);

/* What people changed of a backend, by its name; a change of the whole row. */
struct backend_record {
    char *name;
    char *url;             /* with credentials; NULL: the configuration has it */
    int64_t weight;        /* -1: the configuration's (or 1) */
    int64_t max_in_flight; /* -1: the configuration's (or 1) */
    char *labels;          /* JSON array; NULL: the configuration's (or none) */
    bool removed;          /* DELETE of one that the configuration has */
    int admin;             /* enum backend_admin of the pool: 0 none, 1 drained, 2 quarantined */
};
void backend_record_done(struct backend_record *r);
void store_put_backend(struct store *s, const struct backend_record *r, store_done_fn done,
                       void *ctx);
void store_delete_backend(struct store *s, const char *name, store_done_fn done, void *ctx);

/* One of a few named values, such as "queue.paused". */
void store_put_setting(struct store *s, const char *name, const char *value, store_done_fn done,
                       void *ctx);

/* New ones of an event that no other write goes with. */
void store_add_deliveries(struct store *s, const struct store_beside *beside, store_done_fn done,
                          void *ctx);
/* State, tries, last_status, last_error, made_at and next_at of a delivery. */
void store_update_delivery(struct store *s, const struct delivery_record *d, store_done_fn done,
                           void *ctx);
/* It was taken by its receiver. */
void store_delete_delivery(struct store *s, const char *id, store_done_fn done, void *ctx);

/*
 * Puts measurements that wait into the roll-ups: some hundred at a time; more of the callback:
 * there are others. Each counts once, whatever happens. Keys are bounded: 2,000 workflows, 200
 * nodes each, 2,000 classes and backends; what was least recently seen goes into the key "other".
 */
typedef void (*store_folded_fn)(void *ctx, bool more);
void store_fold(struct store *s, store_folded_fn done, void *ctx);

/*
 * One small step of retention (at most 200 jobs): deletes terminal jobs that ended before `before`,
 * and the oldest terminal ones beyond max_count; keys older than 24 h; deliveries that died 7 days
 * ago; and makes one roll-up a day of those an hour that are older than a week. more of the
 * callback: another step would find more.
 */
typedef void (*store_pruned_fn)(void *ctx, unsigned deleted, bool more);
void store_prune(struct store *s, struct wall_us before, int64_t max_count, store_pruned_fn done,
                 void *ctx);

/* ---- reads ----------------------------------------------------------------------------------- */

/* An active job as found at start-up. The callee takes what it points to by clearing it. */
struct store_active {
    struct job_record job;
    char *workflow; /* NULL: it is its batch's, see job.overrides */
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* its own, or NULL */
    bool has_attempt;  /* an open one */
    struct attempt_record attempt;
};

/* A batch with its texts; each may be NULL where it is not wanted. Owner: the caller. */
struct store_batch {
    struct batch_record r;
    char *workflow;
    size_t workflow_len;
    char *extra_data;  /* or NULL */
    char *credentials; /* or NULL */
};
void store_batch_done(struct store_batch *b);
/* ERR_BATCH_NOT_FOUND, ERR_STORE_UNAVAILABLE. */
enum err store_get_batch(struct store *s, const char *id, struct store_batch *ret) MUST_CHECK;
/* How many of its jobs are in each state, as committed. O(jobs of the batch). */
enum err store_count_batch(struct store *s, const char *id,
                           int64_t ret[JOB_STATE_COUNT]) MUST_CHECK;
/* Calls `each` for every upload, the one that was not used for longest first. Blocks. */
enum err store_load_uploads(struct store *s, void (*each)(void *ctx, const struct upload_record *r),
                            void *ctx) MUST_CHECK;

/* Calls `each` for every owner of an upload. Blocks. */
enum err store_load_owners(struct store *s, void (*each)(void *ctx, const struct owner_record *r),
                           void *ctx) MUST_CHECK;

/* Calls `each` for every job with copies, the one that ended first first. Blocks. */
enum err store_load_kept(struct store *s, void (*each)(void *ctx, const struct kept_record *r),
                         void *ctx) MUST_CHECK;

/* Calls `each` for every batch whose end was not told. Blocks; at start-up only. */
enum err store_load_batches(struct store *s, void (*each)(void *ctx, struct store_batch *b),
                            void *ctx) MUST_CHECK;

/* Calls `each` for every queued or running job, in order of seq. Blocks; at start-up only. */
enum err store_load_active(struct store *s, void (*each)(void *ctx, struct store_active *a),
                           void *ctx) MUST_CHECK;

/* What was put, for the start: strays, backends. The callee takes texts by clearing them. */
enum err store_load_strays(struct store *s, void (*each)(void *ctx, struct stray_record *r),
                           void *ctx) MUST_CHECK;
enum err store_load_backends(struct store *s, void (*each)(void *ctx, struct backend_record *r),
                             void *ctx) MUST_CHECK;
/* The value of a setting; NULL when it was never put. Owner: the caller. */
enum err store_get_setting(struct store *s, const char *name, char **ret) MUST_CHECK;

/* What belongs to a key that is not older than 24 h at `now`; ret->key is NULL when there is none.
   Owner of the record: the caller. */
enum err store_get_key(struct store *s, const char *key, struct wall_us now,
                       struct key_record *ret) MUST_CHECK;

/* A job in any state with its workflow and extra data; no attempt is read.
   ERR_JOB_NOT_FOUND, ERR_STORE_UNAVAILABLE. Owner of its texts: the caller. */
enum err store_load_job(struct store *s, struct str id, struct store_active *ret) MUST_CHECK;
/* The attempts of a job in order; *ret is the caller's, also after an error: attempt_record_done
   each, then free. */
enum err store_get_attempts(struct store *s, int64_t seq, struct attempt_record **ret,
                            size_t *ret_len) MUST_CHECK;

/* ERR_JOB_NOT_FOUND, ERR_STORE_UNAVAILABLE. Owner of the record: the caller. */
enum err store_get_job(struct store *s, struct str id, struct job_record *ret) MUST_CHECK;
/* Whose a job, a batch or a delivery is; *ret NULL: nobody's. ERR_JOB_NOT_FOUND,
   ERR_BATCH_NOT_FOUND, ERR_DELIVERY_NOT_FOUND, ERR_STORE_UNAVAILABLE. Owner of *ret: the caller. */
enum store_owned { STORE_JOB, STORE_BATCH, STORE_DELIVERY };
enum err store_get_client(struct store *s, enum store_owned what, const char *id,
                          char **ret) MUST_CHECK;
/* Appends the workflow's text as it was submitted. */
enum err store_get_workflow(struct store *s, int64_t seq, struct buf *out) MUST_CHECK;
/* Appends what store_put_stamps stored for that end of the job. ERR_OUTPUT_NOT_FOUND: nothing. */
enum err store_get_stamps(struct store *s, int64_t seq, struct wall_us ended_at,
                          struct buf *out) MUST_CHECK;
/* Appends the profile of an attempt (number 0: of a job that had none).
   ERR_PROFILING_DISABLED when there is none. */
enum err store_get_profile(struct store *s, int64_t seq, unsigned attempt,
                           struct buf *out) MUST_CHECK;

/*
 * Jobs by seq, newest first: those below before_seq (0: from the newest) whose state is in the mask
 * (1u << state), at most limit. Outputs, node errors and tracebacks above 8 KiB are left out. Runs
 * off the loop; the callee may take records by clearing them. A page costs its own rows, however
 * many others there are.
 */
struct job_query {
    unsigned state_mask;
    const char *batch_id; /* "": of all batches, and of none */
    const char *client;   /* only its jobs; NULL: everybody's */
    int64_t before_seq;
    unsigned limit;
};
typedef void (*store_list_fn)(void *ctx, enum err e, struct job_record *jobs, size_t n);
void store_list(struct store *s, const struct job_query *q, store_list_fn done, void *ctx);

/* A profile of an ended job. Texts are borrowed. */
struct profile_row {
    int64_t seq;
    struct wall_us completed_at;
    const char *job_id;
    struct str json;
};

/* Which ended jobs' profiles; of each job that of its last attempt. */
struct profile_query {
    struct wall_us since;      /* completedAt, inclusive */
    struct wall_us until;      /* exclusive */
    const char *workflow_hash; /* "": any */
    const char *backend;       /* "": any */
    const char *client;        /* NULL: everybody's */
};

/*
 * A page of them in order of completed_at, those behind `after` (seq 0: from the beginning): up to
 * some dozens and about a megabyte. more: there may be others; *last is where the next page begins.
 * Runs off the loop.
 */
struct profile_place {
    struct wall_us completed_at;
    int64_t seq;
};
typedef void (*store_profiles_fn)(void *ctx, enum err e, const struct profile_row *rows, size_t n,
                                  bool more, struct profile_place last);
/* look (NULL: none) gets the rows first, on the thread that read them: for what takes long. */
typedef void (*store_look_fn)(void *ctx, const struct profile_row *rows, size_t n);
void store_list_profiles(struct store *s, const struct profile_query *q, struct profile_place after,
                         store_look_fn look, store_profiles_fn done, void *ctx);

/* Which completed, profiled runs a baseline stands on: the last `limit` in which something was
   executed, but never the job except_seq. */
struct baseline_query {
    const char
        *cost_key; /* whole, or only the first WORKFLOW_KEY_PREFIX characters: of the structure */
    const char *backend; /* "": any */
    int64_t except_seq;
    unsigned limit;
    const char *client; /* NULL: everybody's */
};
void store_list_baseline(struct store *s, const struct baseline_query *q, store_look_fn look,
                         store_profiles_fn done, void *ctx);

/* One key of a summary: merged over the time that was asked for. */
struct summary_row {
    char *key;
    struct rollup data;
};
/* Roll-ups of one kind from `since` on, by key; of one workflow only when a hash is given ("":
   all), and of one client's runs only when one is given (NULL: everybody's). *ret_since of the
   callback: where the first of them begins, at or before `since`. Runs off the loop; rows lives for
   the call. */
typedef void (*store_summary_fn)(void *ctx, enum err e, const struct summary_row *rows, size_t n);
void store_summarize(struct store *s, enum group_by group, struct wall_us since,
                     const char *workflow_hash, const char *client, store_summary_fn done,
                     void *ctx);
/* `since` as roll-ups can tell it: the beginning of its hour, or of its day when that is over a
   week ago. */
struct wall_us store_summary_since(struct wall_us since, struct wall_us now);

/* Deliveries, those that were tried in vain before those that were not tried yet, newest first in
   each; otherwise as store_list does it, without their bodies. cursor 0: from the beginning; else
   store_delivery_cursor of the last one of the page before. client: as in a job_query. */
typedef void (*store_deliveries_fn)(void *ctx, enum err e, const struct delivery_record *list,
                                    size_t n);
void store_list_deliveries(struct store *s, const char *client, unsigned state_mask, int64_t cursor,
                           unsigned limit, store_deliveries_fn done, void *ctx);
int64_t store_delivery_cursor(const struct delivery_record *d);
/* Those of one host that are to be tried until then, the earliest first, at most `limit`; without
   their bodies. Calls `each` for every one, which may take its texts by clearing them. *ret_later:
   there are some that are to be tried later. On the loop. */
enum err store_load_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                        void (*each)(void *ctx, struct delivery_record *d), void *ctx,
                        bool *ret_later) MUST_CHECK;
/* The hosts of all that are to be tried. On the loop, at the start. */
enum err store_load_due_hosts(struct store *s, void (*each)(void *ctx, const char *host),
                              void *ctx) MUST_CHECK;
/* A delivery with its body. ERR_DELIVERY_NOT_FOUND. Owner of its texts: the caller. */
enum err store_get_delivery(struct store *s, const char *id,
                            struct delivery_record *ret) MUST_CHECK;
/* How many are to be tried. On the loop; along an index. */
enum err store_count_waiting(struct store *s, int64_t *ret) MUST_CHECK;

#endif
