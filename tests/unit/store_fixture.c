/*
 * A store in a directory of its own, for the suites that need one; see the header.
 */
#include "store_fixture.h"

#include <check.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comfypool/core/event.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/store.h"

#include "../../src/store/engine.h"
#include "../../src/store/inner.h"

/* ---- a directory, a loop and a store --------------------------------------------------------- */

char dir[64];
uv_loop_t loop;
struct store *store;
char why[512];

void make_dir(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/store_test_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void open_store(void)
{
    ck_assert_msg(store_open(dir, &loop, &store, why, sizeof why), "%s", why);
}

void close_store(void)
{
    store_close(store);
    store = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

void set_up(void)
{
    make_dir();
    open_store();
}

void remove_dir(void)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void tear_down(void)
{
    close_store();
    remove_dir();
}

/* ---- answers --------------------------------------------------------------------------------- */

int answers;

void on_done(void *ctx, enum err e)
{
    struct answer *a = ctx;
    ck_assert_int_eq(a->order, 0);
    a->order = ++answers;
    a->error = e;
}

void on_kept(void *ctx)
{
    on_done(ctx, ERR_NONE);
}

enum err wait_for(const struct answer *a)
{
    while (a->order == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return a->error;
}

/* ---- records --------------------------------------------------------------------------------- */

const char WORKFLOW[] = "{\"3\": {\"inputs\": {\"seed\": 18446744073709551615}} }";

struct job_record make_job(enum job_state state)
{
    struct job_record j = {
        .state = state,
        .seq = store_next_seq(store),
        .priority = -7,
        .queued_at = {1700000000000001},
        .waiting_since = {1700000000000002},
        .budget_since = {1700000000000003},
        .policy = {.max_attempts = 3,
                   .retry_delay_ms = 250,
                   .queue_timeout_ms = JOB_TIMEOUT_MOST_MS,
                   .start_timeout_ms = 61000,
                   .node_timeout_ms = 62000,
                   .job_timeout_ms = 63000,
                   .retry_on = 1u << RETRY_NODE_ERROR},
        .nodes_total = 1,
        .profiled = true,
        .executed = 4,
        .metadata = mem_strdup("{\"who\": \"m\xc3\xa9\"}"),
        .trace = mem_strdup("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"),
        .hook = {.url = mem_strdup("https://example.org/hook"),
                 .events = 1u << EVENT_QUEUED | 1u << EVENT_COMPLETED,
                 .secret = mem_strdup("whsec_c2VjcmV0")},
    };
    uuid_v7((struct wall_us){1700000000000000 + j.seq}, j.id);
    memset(j.workflow_hash, 'a', sizeof j.workflow_hash - 1);
    memset(j.cost_key, 'b', sizeof j.cost_key - 1);
    if (job_state_is_terminal(state)) {
        j.completed_at.us = 1000 * j.seq;
    }
    return j;
}

struct attempt_record make_attempt(const struct job_record *j)
{
    struct attempt_record a = {
        .number = j->attempts,
        .backend = mem_strdup("one"),
        .backend_url = mem_strdup("http://127.0.0.1:8188"),
        .intent_at = {1700000000000100},
    };
    memcpy(a.prompt_id, j->prompt_id, sizeof a.prompt_id);
    uuid_v4(a.client_id);
    return a;
}

void set_running(struct job_record *j)
{
    j->state = JOB_RUNNING;
    j->attempts++;
    free(j->backend);
    j->backend = mem_strdup("one");
    uuid_v4(j->prompt_id);
}

void set_failed(struct job_record *j)
{
    j->state = JOB_FAILED;
    j->started_at.us = 1700000000000200;
    j->completed_at.us = 1700000000000300;
    j->partial = true;
    j->lost_by_restart = 2;
    j->free_attempts = 4;
    j->oom = 1;
    j->left_dead = 3;
    j->faults = 5;
    j->result_of = 1;
    j->faulted_on = mem_strdup("two");
    j->node_errors = mem_strdup("{\"4\":{}}");
    j->outputs = mem_strdup("{\"9\":{\"images\":[]}}");
    j->error = (struct job_error){.code = ERR_NODE_FAILED,
                                  .message = mem_strdup("it broke"),
                                  .node_id = mem_strdup("3"),
                                  .node_type = mem_strdup("KSampler"),
                                  .node_errors = mem_strdup("{}"),
                                  .traceback = mem_strdup("[\"a\\n\"]")};
}

enum err insert(const struct job_record *j)
{
    struct answer a = {0};
    store_insert(store, j, str_of(WORKFLOW), STR("{\"x\":1}"), NULL, NULL, on_done, &a);
    return wait_for(&a);
}

void same_text(const char *name, const char *a, const char *b)
{
    ck_assert_msg((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0), "%s: %s != %s",
                  name, a == NULL ? "NULL" : a, b == NULL ? "NULL" : b);
}

void same_job(const struct job_record *a, const struct job_record *b)
{
    ck_assert_str_eq(a->id, b->id);
    ck_assert_int_eq(a->seq, b->seq);
    ck_assert_int_eq(a->state, b->state);
    ck_assert_int_eq(a->priority, b->priority);
    ck_assert_int_eq(a->queued_at.us, b->queued_at.us);
    ck_assert_int_eq(a->started_at.us, b->started_at.us);
    ck_assert_int_eq(a->completed_at.us, b->completed_at.us);
    same_text("backend", a->backend, b->backend);
    ck_assert_str_eq(a->prompt_id, b->prompt_id);
    ck_assert_uint_eq(a->attempts, b->attempts);
    ck_assert_int_eq(a->waiting_since.us, b->waiting_since.us);
    ck_assert_int_eq(a->budget_since.us, b->budget_since.us);
    ck_assert_uint_eq(a->free_attempts, b->free_attempts);
    ck_assert_uint_eq(a->lost_by_restart, b->lost_by_restart);
    ck_assert_uint_eq(a->oom, b->oom);
    ck_assert_uint_eq(a->left_dead, b->left_dead);
    ck_assert_uint_eq(a->faults, b->faults);
    ck_assert_uint_eq(a->result_of, b->result_of);
    same_text("faulted_on", a->faulted_on, b->faulted_on);
    ck_assert_mem_eq(&a->policy, &b->policy, sizeof a->policy);
    ck_assert_uint_eq(a->nodes_total, b->nodes_total);
    ck_assert(a->profiled == b->profiled && a->cancel_requested == b->cancel_requested);
    ck_assert(a->partial == b->partial);
    ck_assert_str_eq(a->workflow_hash, b->workflow_hash);
    same_text("metadata", a->metadata, b->metadata);
    ck_assert_str_eq(a->cost_key, b->cost_key);
    ck_assert_int_eq(a->executed, b->executed);
    ck_assert_uint_eq(a->credentials, b->credentials);
    same_text("trace", a->trace, b->trace);
    same_text("hook.url", a->hook.url, b->hook.url);
    ck_assert_uint_eq(a->hook.events, b->hook.events);
    same_text("hook.secret", a->hook.secret, b->hook.secret);
    same_text("node_errors", a->node_errors, b->node_errors);
    same_text("outputs", a->outputs, b->outputs);
    ck_assert_int_eq(a->error.code, b->error.code);
    same_text("error.message", a->error.message, b->error.message);
    same_text("error.node_id", a->error.node_id, b->error.node_id);
    same_text("error.node_type", a->error.node_type, b->error.node_type);
    same_text("error.node_errors", a->error.node_errors, b->error.node_errors);
    same_text("error.traceback", a->error.traceback, b->error.traceback);
}

void stored_as(const struct job_record *want)
{
    struct job_record got = {0};
    ck_assert_int_eq(store_get_job(store, str_of(want->id), &got), ERR_NONE);
    same_job(want, &got);
    job_record_done(&got);
}

void counts_are(int queued, int running, int completed, int failed, int cancelled)
{
    int64_t n[JOB_STATE_COUNT];
    store_counts(store, n);
    ck_assert_int_eq(n[JOB_QUEUED], queued);
    ck_assert_int_eq(n[JOB_RUNNING], running);
    ck_assert_int_eq(n[JOB_COMPLETED], completed);
    ck_assert_int_eq(n[JOB_FAILED], failed);
    ck_assert_int_eq(n[JOB_CANCELLED], cancelled);
}

static void count_active(void *ctx, struct store_active *a)
{
    (void)a;
    (*(int *)ctx)++;
}

int active_jobs(void)
{
    int n = 0;
    ck_assert_int_eq(store_load_active(store, count_active, &n), ERR_NONE);
    return n;
}

/* ---- deliveries ------------------------------------------------------------------------------ */

struct finding {
    struct answer answer;
    void (*each)(void *ctx, struct delivery_record *d);
    void *ctx;
    bool later;
    struct delivery_record delivery;
    int64_t n;
};

static void due_found(void *ctx, enum err e, struct delivery_record *list, size_t n, bool later)
{
    struct finding *f = ctx;
    for (size_t i = 0; i < n; i++) {
        f->each(f->ctx, &list[i]);
    }
    f->later = later;
    on_done(&f->answer, e);
}

enum err store_load_due(struct store *s, const char *host, struct wall_us until, unsigned limit,
                        void (*each)(void *ctx, struct delivery_record *d), void *ctx,
                        bool *ret_later)
{
    struct finding f = {.each = each, .ctx = ctx};
    store_find_due(s, host, until, limit, NULL, due_found, &f);
    const enum err e = wait_for(&f.answer);
    *ret_later = f.later;
    return e;
}

static void delivery_found(void *ctx, enum err e, struct delivery_record *d)
{
    struct finding *f = ctx;
    f->delivery = *d;
    *d = (struct delivery_record){0};
    on_done(&f->answer, e);
}

enum err store_get_delivery(struct store *s, const char *id, struct delivery_record *ret)
{
    struct finding f = {.n = 0};
    store_find_delivery(s, id, NULL, delivery_found, &f);
    const enum err e = wait_for(&f.answer);
    *ret = f.delivery;
    return e;
}

static void waiting_counted(void *ctx, enum err e, int64_t n)
{
    struct finding *f = ctx;
    f->n = n;
    on_done(&f->answer, e);
}

enum err store_count_waiting(struct store *s, int64_t *ret)
{
    struct finding f = {.n = 0};
    store_find_waiting_count(s, NULL, waiting_counted, &f);
    const enum err e = wait_for(&f.answer);
    *ret = f.n;
    return e;
}

/* ---- reads that block ------------------------------------------------------------------------ */

enum err store_get_job(struct store *s, struct str id, struct job_record *ret)
{
    return s->engine->job(s->reader, id, ret);
}

enum err store_get_client(struct store *s, enum store_owned what, const char *id, char **ret)
{
    return s->engine->client(s->reader, what, id, ret);
}

enum err store_get_workflow(struct store *s, int64_t seq, struct buf *out)
{
    return s->engine->workflow(s->reader, seq, out);
}

enum err store_get_profile(struct store *s, int64_t seq, unsigned attempt, struct buf *out)
{
    return s->engine->profile(s->reader, seq, attempt, out);
}

enum err store_get_attempts(struct store *s, int64_t seq, struct attempt_record **ret,
                            size_t *ret_len)
{
    return s->engine->attempts(s->reader, seq, ret, ret_len);
}

enum err store_get_key(struct store *s, const char *key, struct wall_us now, struct key_record *ret)
{
    return s->engine->key(s->reader, key, now, ret);
}

enum err store_load_job(struct store *s, struct str id, struct store_active *ret)
{
    return s->engine->whole_job(s->reader, id, ret);
}

/* ---- the database itself --------------------------------------------------------------------- */

sqlite3 *open_database(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/comfypoold.db", dir);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

int rows_in(const char *table)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    sqlite3 *db = open_database();
    sqlite3_stmt *q = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(q), SQLITE_ROW);
    const int n = sqlite3_column_int(q, 0);
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(db);
    return n;
}

/* ---- writes that wait ------------------------------------------------------------------------ */

static sqlite3 *holder;

static void run_sql(sqlite3 *db, const char *sql)
{
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

void hold_writes(void)
{
    holder = open_database();
    run_sql(holder, "BEGIN IMMEDIATE");
}

static bool all_is_read(void)
{
    uv_mutex_lock(&store->finder.mutex);
    const bool is = store->finder.answered.first != NULL;
    uv_mutex_unlock(&store->finder.mutex);
    return is;
}

static bool all_is_written(void)
{
    uv_mutex_lock(&store->writer.mutex);
    const bool is = store->writer.answered.first != NULL;
    uv_mutex_unlock(&store->writer.mutex);
    return is;
}

void release_writes(void)
{
    while (!all_is_read()) {
        (void)sched_yield();
    }
    ck_assert(!all_is_written());
    run_sql(holder, "ROLLBACK");
    (void)sqlite3_close(holder);
    while (!all_is_written()) {
        (void)sched_yield();
    }
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static void limit_file_size(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Until a job with a workflow of this size does not fit any more. */
static void fill_with(const char *text, size_t n)
{
    enum err e = ERR_NONE;
    for (int i = 0; i < 1000 && e == ERR_NONE; i++) {
        struct job_record j = make_job(JOB_QUEUED);
        struct answer a = {0};
        store_insert(store, &j, (struct str){text, n}, STR(""), NULL, NULL, on_done, &a);
        e = wait_for(&a);
        job_record_done(&j);
    }
    ck_assert_int_eq(e, ERR_STORE_UNAVAILABLE);
}

/* To the brim: a small one may still fit where a large one does not. */
static void fill_up(void)
{
    static char big[65536];
    memset(big, 'x', sizeof big);
    fill_with(big, sizeof big);
    fill_with(big, 16);
}

void fill_disk(void)
{
    limit_file_size(1 << 20);
    fill_up();
}

void make_room(void)
{
    limit_file_size(RLIM_INFINITY);
}

int in_child(void (*body)(void))
{
    (void)fflush(NULL);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        body();
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}
