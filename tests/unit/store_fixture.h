/*
 * What the suites of the store share: a directory, a loop that is turned by hand and a store in it;
 * waiting for answers; records to write and to compare. One test at a time (each has a process).
 */
#ifndef COMFYPOOL_TESTS_UNIT_STORE_FIXTURE_H
#define COMFYPOOL_TESTS_UNIT_STORE_FIXTURE_H

#include <sqlite3.h>

#include "comfypool/store/deliveries.h"
#include "comfypool/store/store.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/keys.h"

extern char dir[64];
extern uv_loop_t loop;
extern struct store *store;
extern char why[512];

void make_dir(void);
void remove_dir(void);
void open_store(void);
/* Also lets the loop run until no handle is left. */
void close_store(void);
void set_up(void);
void tear_down(void);

struct answer {
    int order; /* 0: none yet */
    enum err error;
};

extern int answers; /* how many there were */

/* A store_done_fn; ctx is a struct answer. */
void on_done(void *ctx, enum err e);
/* The same as a store_kept_fn. */
void on_kept(void *ctx);
enum err wait_for(const struct answer *a);

extern const char WORKFLOW[];

/* A job with something in every member that a queued (or ended) one has. */
struct job_record make_job(enum job_state state);
struct attempt_record make_attempt(const struct job_record *j);
void set_running(struct job_record *j);
void set_failed(struct job_record *j);
/* Inserts it with WORKFLOW and extra data and waits. */
enum err insert(const struct job_record *j);

void same_text(const char *name, const char *a, const char *b);
void same_job(const struct job_record *a, const struct job_record *b);
/* The store has it just so. */
void stored_as(const struct job_record *want);
void counts_are(int queued, int running, int completed, int failed, int cancelled);
int active_jobs(void);

/* As the store_find_* of their names; the loop runs until they are answered. `each` may take a
   delivery's texts by clearing them. Owner of *ret: the caller. */
enum err store_load_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                        void (*each)(void *ctx, struct delivery_record *d), void *ctx,
                        bool *ret_later) MUST_CHECK;
enum err store_get_delivery(struct store *s, const char *id,
                            struct delivery_record *ret) MUST_CHECK;
enum err store_count_waiting(struct store *s, int64_t *ret) MUST_CHECK;

/* What the engine says, by the connection of the loop. Owner of what is given: the caller. */
enum err store_load_job(struct store *s, struct str id, struct store_active *ret) MUST_CHECK;
enum err store_get_job(struct store *s, struct str id, struct job_record *ret) MUST_CHECK;
enum err store_get_workflow(struct store *s, int64_t seq, struct buf *out) MUST_CHECK;
enum err store_get_attempts(struct store *s, int64_t seq, struct attempt_record **ret,
                            size_t *ret_len) MUST_CHECK;
enum err store_get_profile(struct store *s, int64_t seq, unsigned attempt,
                           struct buf *out) MUST_CHECK;
enum err store_get_key(struct store *s, const char *key, struct wall_us now,
                       struct key_record *ret) MUST_CHECK;
enum err store_get_client(struct store *s, enum store_owned what, const char *id,
                          char **ret) MUST_CHECK;

/* A connection of the test's own; sqlite3_close it. */
sqlite3 *open_database(void);
int rows_in(const char *table);

/*
 * A read that is answered with what was true before a write, after whoever wrote has heard that it
 * is durable: hold_writes; what is written then waits (let the loop turn once); what is asked is
 * read; release_writes. The next turn of the loop tells of the writes first, then of the reads.
 */
void hold_writes(void);
void release_writes(void);

/* A full disk: files may not grow over 1 MiB, and the store has found out. In a child only. */
void fill_disk(void);
void make_room(void);
/* Runs body in a child; its wait status. */
int in_child(void (*body)(void));

#endif
