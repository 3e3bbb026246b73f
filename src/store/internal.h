/*
 * What the files of store/ share: the store itself, its write operations, the column tables and the
 * prepared statements. Who touches what: `loop side` fields belong to the loop thread, `writer`
 * fields to the writer thread, and the queue between them is under its mutex.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/job.h"
#include "comfypool/store/store.h"

/* ---- columns.c: how the records lie in their rows -------------------------------------------- */

enum column_kind {
    COLUMN_INT,   /* an enum, int, unsigned or mask: 4 bytes */
    COLUMN_INT64, /* int64_t, also struct wall_us */
    COLUMN_ROWID, /* int64_t; 0: SQLite chooses it */
    COLUMN_BOOL,
    COLUMN_TEXT,  /* char *, or NULL */
    COLUMN_FIXED, /* char[n], "" is NULL */
    COLUMN_CODE,  /* enum err by its public code: the numbers are not for the disk */
};

struct column {
    const char *name;
    enum column_kind kind;
    bool bulky;    /* may be megabytes: left out of lists */
    bool apart;    /* left out of lists: what is behind bulky ones in its row costs reading those */
    bool constant; /* written by the insert only */
    int most; /* of COLUMN_INT: what is not from 0 to this is damage, and read as `odd`; 0: any */
    int odd;
    size_t offset;
    size_t size;
};

struct columns {
    const struct column *list;
    size_t len;
    size_t record_size;
};

extern const struct columns job_columns;
extern const struct columns attempt_columns;
extern const struct columns key_columns;
extern const struct columns stray_columns;
extern const struct columns backend_columns;
extern const struct columns batch_columns;
extern const struct columns upload_columns;
extern const struct columns owner_columns;
extern const struct columns kept_columns;
extern const struct columns delivery_columns;

enum { COLUMNS_ALL, COLUMNS_CHANGING };

/* Appends "a, b, c". */
void columns_add_names(const struct columns *c, struct buf *sql);
/* The same for lists: a bulky text above this many characters reads as NULL, so that a page of a
   thousand jobs stays small. */
enum { COLUMNS_LIGHT_TEXT = 8192 };
void columns_add_light_names(const struct columns *c, struct buf *sql);
/* Appends "a = ?1, b = ?2" of those that change. */
void columns_add_sets(const struct columns *c, struct buf *sql);
/* Appends "?, ?, ?". */
void columns_add_marks(const struct columns *c, struct buf *sql);
/* Binds a record from parameter `at` on; returns the next free parameter. Texts are not copied. */
int columns_bind(const struct columns *c, int which, sqlite3_stmt *q, int at, const void *record);
/* Reads a record from column `at` on; returns the next column. Owner of the texts: the caller. */
int columns_read(const struct columns *c, sqlite3_stmt *q, int at, void *record);
/* A deep copy of a record whose texts lie at *room, which is moved on. */
void columns_copy(const struct columns *c, void *to, const void *from, char **room);
/* How much room the texts of the copy take. */
size_t columns_room(const struct columns *c, const void *record);

/* ---- schema.c ----------------------------------------------------------------------------------
 */

/* Brings the database to the version of this program. False with a message in why. */
bool schema_migrate(sqlite3 *db, char *why, size_t why_size) MUST_CHECK;

/* ---- writes.c: the ops -------------------------------------------------------------------------
 */

enum op_kind {
    OP_INSERT,
    OP_INSERT_BATCH,
    OP_END_BATCH,
    OP_PUT_UPLOAD,
    OP_DELETE_UPLOAD,
    OP_PUT_OWNER,
    OP_DELETE_OWNER,
    OP_PUT_KEPT,
    OP_PUT_STAMPS,
    OP_DELETE_KEPT,
    OP_KEY_STATUS,
    OP_UPDATE_JOB,
    OP_BEGIN_ATTEMPT,
    OP_END_ATTEMPT,
    OP_END_STRAY,
    OP_WITHDRAW_ATTEMPT,
    OP_MARK_CANCEL,
    OP_DELETE,
    OP_PUT_BACKEND,
    OP_DELETE_BACKEND,
    OP_PUT_SETTING,
    OP_ADD_DELIVERIES,
    OP_UPDATE_DELIVERY,
    OP_DELETE_DELIVERY,
    OP_FOLD,
    OP_PRUNE,
    OP_KIND_COUNT
};

/* One write: a copy of all that it needs, in one piece of memory. */
struct op {
    struct op *next;
    enum op_kind kind;
    enum err result;
    store_done_fn done;
    store_pruned_fn pruned;
    store_folded_fn folded;
    void *ctx;
    /* What the kind needs of these; the texts lie behind the op. */
    struct job_record job;
    struct attempt_record attempt;
    struct key_record key;     /* key.key NULL: none */
    struct stray_record stray; /* stray.prompt_id "": none */
    struct backend_record backend;
    struct delivery_record delivery;
    struct batch_record batch;
    struct upload_record upload;
    struct owner_record owner;
    struct kept_record kept; /* kept.files NULL: none */
    struct job_record *jobs; /* of a new batch */
    size_t jobs_len;
    struct str text; /* the workflow, the profile, or a name */
    struct str extra;
    struct delivery_record *deliveries; /* new ones */
    size_t deliveries_len;
    struct str measurement;
    struct str credentials; /* of the job, or the batch; n == 0: none */
    unsigned withdraw;
    struct wall_us before;
    struct wall_us now;
    int64_t max_count;
    unsigned deleted;
    bool more;
    int delta[JOB_STATE_COUNT]; /* what a commit of it makes of the counts */
};

/* First in, first out. */
struct op_list {
    struct op *first;
    struct op *last;
};

void op_list_add(struct op_list *l, struct op *op);
/* All of `more` behind l; more is empty after. */
void op_list_append(struct op_list *l, struct op_list *more);
struct op *op_list_take(struct op_list *l);

/* How long an Idempotency-Key is kept. */
#define KEY_LIFE_US (INT64_C(24) * 3600 * 1000000)

/* ---- write_ops.c: doing them -------------------------------------------------------------------
 */

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

/* What the writer thread writes with. */
struct write_session {
    sqlite3 *db;
    sqlite3_stmt *q[Q_WRITE_COUNT];
    int64_t counts[JOB_STATE_COUNT]; /* as they are inside the open transaction */
    bool removed;                    /* credentials: the log has them still */
};

enum write_result {
    WRITE_GOOD,
    WRITE_TROUBLE, /* the disk's fault: try again later */
    WRITE_WRONG,   /* our fault: trying again would change nothing */
};

/* Prepares the statements of w->db and loads the counts. */
bool write_session_open(struct write_session *w, char *why, size_t why_size) MUST_CHECK;
void write_session_close(struct write_session *w);
/* Steps a statement that returns nothing; resets it. */
enum write_result write_step(sqlite3_stmt *q);
/* Does op inside the open transaction. */
enum write_result op_apply(struct write_session *w, struct op *op);
const char *op_name(enum op_kind kind);

/* Resets and clears a statement after its use; what its last result means. */
enum write_result write_finish(sqlite3_stmt *q, int rc);
void write_bind_str(sqlite3_stmt *q, int at, struct str s);

/* ---- folds.c: roll-ups -------------------------------------------------------------------------
 */

enum write_result apply_fold(struct write_session *w, struct op *op);
/* One step of making days of hours, and of forgetting what is old. */
enum write_result fold_prune(struct write_session *w, struct wall_us now, bool *ret_more);

/* ---- credentials.c: account keys of active jobs -------------------------------------------------
 */

/* How a text of keys lies in its row; appends. */
void credentials_pad(struct str keys, struct buf *out);
/* owner: the id of a job or a batch. */
enum write_result credentials_put(struct write_session *w, const char *owner, struct str keys);
enum write_result credentials_delete(struct write_session *w, struct str owner);
/* Writes the log into the database and cuts it off. False: a reader is in the way; later. */
bool credentials_cut_log(sqlite3 *db);
/* The SQL functions of the migration: keys_in, without_keys, keys_of. */
bool credentials_functions(sqlite3 *db) MUST_CHECK;
/* Some may be in the file of a database of format 6 or older, in rows or between them. Costs a look
   at the whole of it. */
bool credentials_may_lie_about(sqlite3 *db);
/* At the start: none is there without its job; what the migration asked for is done. */
void credentials_tidy(sqlite3 *db);

/* ---- writer.c: the thread ----------------------------------------------------------------------
 */

struct writer {
    uv_thread_t thread;
    bool started;
    /* Under the mutex. */
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct op_list waiting;  /* to the writer */
    struct op_list answered; /* to the loop */
    uint64_t busy_since;     /* uv_hrtime; 0: it waits. Under the mutex */
    bool insert_waits;       /* an insert is a try of its own */
    bool stopping;
    bool writable;
    char trouble[256];
    /* The writer's. */
    struct write_session session;
    struct op_list batch; /* taken; after a failure what is kept */
    bool failing;
    uint64_t retry_at; /* uv_hrtime */
    uint64_t cut_at;   /* the log is to be cut off then; 0: it need not be */
    bool probes;       /* although there is nothing to do: the file may have gone */
};

/* Opens and migrates the database. The mutex and condition are store.c's to make. */
bool writer_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
bool writer_start(struct store *s, char *why, size_t why_size) MUST_CHECK;
/* Takes op. */
void writer_add(struct store *s, struct op *op);
/* The turn is over: what it added is written together. */
void writer_wake(struct store *s);
/* Writes what waits as far as it can be written, joins the thread, closes the connection. */
void writer_stop(struct store *s);

/* ---- read.c ------------------------------------------------------------------------------------
 */

enum read_statement {
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

enum { READS_AT_ONCE = 2 };

struct off_read;

struct reader {
    sqlite3 *db;
    sqlite3_stmt *q[Q_READ_COUNT];
    /* Off the loop: a connection for each read that may be in flight. */
    sqlite3 *off_db[READS_AT_ONCE];
    struct off_read *running[READS_AT_ONCE];
    struct off_read *first; /* waiting, in order */
    struct off_read *last;
    uv_mutex_t mutex; /* guards off_read.finished */
    uv_cond_t finished;
};

bool reader_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
/* After off_reads_close. */
void reader_close(struct store *s);

/* ---- off_reads.c: reads on libuv's pool ---------------------------------------------------------
 */

/* Embedded, as its first member, in what is read: a piece of memory that is freed when it was
   answered. */
struct off_read {
    uv_work_t work;
    struct store *store;
    struct off_read *next; /* while it waits */
    unsigned slot;
    /* On a thread of the pool, with a connection to itself; false with a message in why. */
    bool (*run)(struct off_read *r, sqlite3 *db, char *why, size_t why_size);
    /* On the loop, once; error says whether it went well. Frees what the members point to. */
    void (*answer)(struct off_read *r);
    enum err error;
    bool finished; /* under reader.mutex */
    bool answered;
};

/* Takes r (from mem_zero; run and answer are set). */
void off_read_start(struct store *s, struct off_read *r);
/* Waits for those in flight, answers all of them, closes their connections. */
void off_reads_close(struct store *s);

/* ---- store.c -----------------------------------------------------------------------------------
 */

struct store {
    uv_loop_t *loop;
    char *dir;
    char *path;   /* of the database */
    dev_t device; /* which file that is */
    ino_t inode;
    bool made;    /* jobs were in it before */
    bool anew;    /* and it may be empty all the same */
    bool unclean; /* the last daemon did not close it */
    int lock_fd;
    uv_async_t async;
    uv_prepare_t turn_ends; /* wakes the writer once a turn of the loop, for all of its writes */
    bool wake_due;
    unsigned refs; /* the two handles and reads in flight; freed at 0 */
    bool closing;
    /* Loop side. */
    int64_t last_seq;
    int64_t counts[JOB_STATE_COUNT];
    bool writable;
    char trouble[256];
    struct writer writer;
    struct reader reader;
};

/* False with a message when the database is damaged, as far as that is looked at: its encoding, and
   after an unclean end its pages. Before the first write. */
bool store_check(const struct store *s, sqlite3 *db, char *why, size_t why_size) MUST_CHECK;
/* Its file still has its name. Any thread. */
bool store_is_there(const struct store *s);
enum { STORE_BUSY_MS = 2000 };
/* A connection with the options that all of them have. cache_kib bounds its page cache. */
bool store_connect(const struct store *s, bool writes, int cache_kib, sqlite3 **ret, char *why,
                   size_t why_size) MUST_CHECK;
/* Prepares a statement that lives as long as its connection. */
bool store_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, char *why,
                   size_t why_size) MUST_CHECK;
void store_unref(struct store *s);

#endif
