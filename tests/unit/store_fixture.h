/*
 * What the suites of the store share: a directory, a loop that is turned by hand and a store in it;
 * waiting for answers; records to write and to compare. One test at a time (each has a process).
 */
#ifndef COMFYPOOL_TESTS_UNIT_STORE_FIXTURE_H
#define COMFYPOOL_TESTS_UNIT_STORE_FIXTURE_H

#include <sqlite3.h>

#include "comfypool/store/store.h"

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

/* A connection of the test's own; sqlite3_close it. */
sqlite3 *open_database(void);
int rows_in(const char *table);

/* A full disk: files may not grow over 1 MiB, and the store has found out. In a child only. */
void fill_disk(void);
void make_room(void);
/* Runs body in a child; its wait status. */
int in_child(void (*body)(void));

#endif
