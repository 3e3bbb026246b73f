/*
 * The store against a real directory: what is answered is on disk, comes back byte for byte, is
 * listed, pruned and counted; a full disk, a killed process, a second daemon and a newer format.
 * The loop is turned by hand until what a test waits for has happened; nothing sleeps.
 */
#include "store_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/profiles.h"
#include "comfypool/store/store.h"

/* ---- a job's life ---------------------------------------------------------------------------- */

START_TEST(a_job_comes_back_as_it_was)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    stored_as(&j);
    counts_are(1, 0, 0, 0, 0);
    AUTO_BUF struct buf w;
    buf_init(&w, BUF_NO_LIMIT);
    ck_assert_int_eq(store_get_workflow(store, j.seq, &w), ERR_NONE);
    ck_assert_str_eq(buf_text(&w), WORKFLOW);
    ck_assert_int_eq(store_get_profile(store, j.seq, 0, &w), ERR_PROFILING_DISABLED);
    struct job_record none = {0};
    ck_assert_int_eq(store_get_job(store, STR("no such id"), &none), ERR_JOB_NOT_FOUND);
    ck_assert_int_eq(store_get_workflow(store, 99, &w), ERR_JOB_NOT_FOUND);
    job_record_done(&j);
}
END_TEST

struct found {
    int jobs;
    bool has_attempt;
    char client_id[UUID_SIZE];
    char *workflow;
    char *extra;
    struct job_record job;
};

static void on_active(void *ctx, struct store_active *a)
{
    struct found *f = ctx;
    f->jobs++;
    f->has_attempt = a->has_attempt;
    memcpy(f->client_id, a->attempt.client_id, sizeof f->client_id);
    f->workflow = a->workflow;
    f->extra = a->extra_data;
    f->job = a->job;
    a->workflow = NULL;
    a->extra_data = NULL;
    a->job = (struct job_record){0};
}

static void active_is(const struct job_record *j, const struct attempt_record *open)
{
    struct found f = {0};
    ck_assert_int_eq(store_load_active(store, on_active, &f), ERR_NONE);
    ck_assert_int_eq(f.jobs, 1);
    same_job(j, &f.job);
    ck_assert_str_eq(f.workflow, WORKFLOW);
    ck_assert_str_eq(f.extra, "{\"x\":1}");
    ck_assert_int_eq(f.has_attempt, open != NULL);
    if (open != NULL) {
        ck_assert_str_eq(f.client_id, open->client_id);
    }
    free(f.workflow);
    free(f.extra);
    job_record_done(&f.job);
}

START_TEST(a_whole_life_with_a_retry)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_running(&j);
    struct attempt_record a = make_attempt(&j);
    struct answer done[5] = {{0}};
    store_begin_attempt(store, &j, &a, NULL, on_kept, &done[0]);
    ck_assert_int_eq(wait_for(&done[0]), ERR_NONE);
    stored_as(&j);
    counts_are(0, 1, 0, 0, 0);
    active_is(&j, &a);
    j.cancel_requested = true;
    store_mark_cancel(store, &j, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    stored_as(&j);
    j.cancel_requested = false;
    j.state = JOB_QUEUED; /* a retry */
    a.outcome = ATTEMPT_LOST;
    a.completed_at.us = 5;
    store_end_attempt(store, &j, &a, STR("{\"attempt\":1}"), NULL, NULL, on_kept, &done[2]);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    counts_are(1, 0, 0, 0, 0);
    active_is(&j, NULL);
    attempt_record_done(&a);
    set_running(&j);
    a = make_attempt(&j);
    set_failed(&j);
    store_begin_attempt(store, &j, &a, NULL, on_kept, &done[3]); /* both in one batch */
    a.outcome = ATTEMPT_FAILED;
    store_end_attempt(store, &j, &a, STR("{\"attempt\":2}"), NULL, NULL, on_kept, &done[4]);
    ck_assert_int_eq(wait_for(&done[4]), ERR_NONE);
    stored_as(&j);
    counts_are(0, 0, 0, 1, 0);
    ck_assert_int_eq(active_jobs(), 0);
    close_store();
    open_store();
    stored_as(&j);
    counts_are(0, 0, 0, 1, 0);
    AUTO_BUF struct buf p;
    buf_init(&p, BUF_NO_LIMIT);
    ck_assert_int_eq(store_get_profile(store, j.seq, 1, &p), ERR_NONE);
    ck_assert_int_eq(store_get_profile(store, j.seq, 2, &p), ERR_NONE);
    ck_assert_str_eq(buf_text(&p), "{\"attempt\":1}{\"attempt\":2}");
    ck_assert_int_eq(store_get_profile(store, j.seq, 3, &p), ERR_PROFILING_DISABLED);
    ck_assert_int_gt(store_next_seq(store), j.seq);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

START_TEST(a_withdrawn_attempt_is_forgotten)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_running(&j);
    struct attempt_record a = make_attempt(&j);
    struct answer done[2] = {{0}};
    store_begin_attempt(store, &j, &a, NULL, on_kept, &done[0]);
    j.state = JOB_QUEUED;
    j.attempts = 0;
    j.prompt_id[0] = '\0';
    store_withdraw_attempt(store, &j, 1, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    stored_as(&j);
    active_is(&j, NULL);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

START_TEST(a_job_that_never_ran_has_profile_zero)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    j.state = JOB_CANCELLED;
    j.completed_at.us = 9;
    struct answer done = {0};
    store_end_attempt(store, &j, NULL, STR("{}"), NULL, NULL, on_kept, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    AUTO_BUF struct buf p;
    buf_init(&p, BUF_NO_LIMIT);
    ck_assert_int_eq(store_get_profile(store, j.seq, 0, &p), ERR_NONE);
    ck_assert_str_eq(buf_text(&p), "{}");
    counts_are(0, 0, 0, 0, 1);
    job_record_done(&j);
}
END_TEST

START_TEST(answers_come_in_order)
{
    struct answer done[64] = {{0}};
    answers = 0;
    for (int i = 0; i < 64; i++) {
        struct job_record j = make_job(JOB_QUEUED);
        store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, NULL, on_done, &done[i]);
        job_record_done(&j);
    }
    (void)wait_for(&done[63]);
    for (int i = 0; i < 64; i++) {
        ck_assert_int_eq(done[i].error, ERR_NONE);
        ck_assert_int_eq(done[i].order, i + 1);
    }
    counts_are(64, 0, 0, 0, 0);
}
END_TEST

START_TEST(a_wrong_write_is_refused_alone)
{
    struct job_record good = make_job(JOB_QUEUED);
    struct job_record twice = good; /* the same seq and id */
    struct job_record stranger = make_job(JOB_RUNNING);
    struct job_record last = make_job(JOB_QUEUED);
    struct answer done[5] = {{0}};
    store_insert(store, &good, str_of(WORKFLOW), STR(""), NULL, NULL, on_done, &done[0]);
    store_insert(store, &twice, str_of(WORKFLOW), STR(""), NULL, NULL, on_done, &done[1]);
    store_end_attempt(store, &stranger, NULL, STR(""), NULL, NULL, on_kept, &done[2]);
    store_delete(store, good.seq, on_kept, &done[3]); /* it is active */
    store_insert(store, &last, str_of(WORKFLOW), STR(""), NULL, NULL, on_done, &done[4]);
    /* The two in the middle are kept ones, which are dropped and tell no error. */
    static const enum err want[] = {ERR_NONE, ERR_STORE_UNAVAILABLE, ERR_NONE, ERR_NONE, ERR_NONE};
    for (int i = 0; i < 5; i++) {
        ck_assert_msg(wait_for(&done[i]) == want[i], "write %d", i);
    }
    ck_assert(store_is_writable(store));
    counts_are(2, 0, 0, 0, 0);
    job_record_done(&good);
    job_record_done(&stranger);
    job_record_done(&last);
}
END_TEST

/* ---- lists ----------------------------------------------------------------------------------- */

struct listed {
    bool done;
    enum err error;
    size_t len;
    int64_t seqs[128];
};

static void on_list(void *ctx, enum err e, struct job_record *jobs, size_t n)
{
    struct listed *l = ctx;
    l->done = true;
    l->error = e;
    l->len = n;
    for (size_t i = 0; i < n; i++) {
        l->seqs[i] = jobs[i].seq;
    }
}

static void wait_list(const struct listed *l)
{
    while (!l->done) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(l->error, ERR_NONE);
}

/* Jobs 1 to n, the states in turn: 1 queued, 2 running, 3 completed, 4 failed, 5 cancelled, ... */
static void insert_many(int n)
{
    struct answer done = {0};
    for (int i = 0; i < n; i++) {
        struct job_record j = make_job((enum job_state)(i % JOB_STATE_COUNT));
        store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, NULL, i == n - 1 ? on_done : NULL,
                     &done);
        job_record_done(&j);
    }
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
}

static const struct list_row {
    const char *name;
    unsigned mask;
    int64_t before;
    unsigned limit;
    size_t len;
    int64_t first;
    int64_t last;
} list_rows[] = {
    {"all", 31, 0, 100, 50, 50, 1},
    {"the newest three", 31, 0, 3, 3, 50, 48},
    {"the next three", 31, 48, 3, 3, 47, 45},
    {"below the first", 31, 1, 3, 0, 0, 0},
    {"queued", 1, 0, 100, 10, 46, 1},
    {"queued, a page", 1, 46, 2, 2, 41, 36},
    {"running or failed", 2 | 8, 0, 4, 4, 49, 42},
    {"terminal", 4 | 8 | 16, 11, 100, 6, 10, 3},
    {"none", 0, 0, 10, 0, 0, 0},
};

START_TEST(lists_by_state_and_page)
{
    insert_many(50);
    for (size_t i = 0; i < sizeof list_rows / sizeof *list_rows; i++) {
        const struct list_row *r = &list_rows[i];
        struct listed l = {0};
        const struct job_query q = {r->mask, "", NULL, r->before, r->limit};
        store_list(store, &q, on_list, &l);
        wait_list(&l);
        ck_assert_msg(l.len == r->len, "%s: %zu jobs", r->name, l.len);
        if (r->len > 0) {
            ck_assert_msg(l.seqs[0] == r->first, "%s: first %lld", r->name, (long long)l.seqs[0]);
            ck_assert_msg(l.seqs[l.len - 1] == r->last, "%s: last %lld", r->name,
                          (long long)l.seqs[l.len - 1]);
        }
    }
}
END_TEST

START_TEST(many_lists_are_all_answered)
{
    insert_many(20);
    struct listed l[20] = {{0}};
    for (int i = 0; i < 20; i++) {
        store_list(store, &(struct job_query){31, "", NULL, 0, 10}, on_list, &l[i]);
    }
    for (int i = 0; i < 20; i++) {
        wait_list(&l[i]);
        ck_assert_uint_eq(l[i].len, 10);
    }
}
END_TEST

START_TEST(closing_answers_what_waits)
{
    struct listed l[8] = {{0}};
    struct answer a = {0};
    struct job_record j = make_job(JOB_QUEUED);
    store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, NULL, on_done, &a);
    for (int i = 0; i < 8; i++) {
        store_list(store, &(struct job_query){31, "", NULL, 0, 10}, on_list, &l[i]);
    }
    store_close(store);
    ck_assert_int_gt(a.order, 0);
    ck_assert_int_eq(a.error, ERR_NONE);
    for (int i = 0; i < 8; i++) {
        ck_assert(l[i].done);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    open_store();
    stored_as(&j);
    job_record_done(&j);
}
END_TEST

/* ---- retention ------------------------------------------------------------------------------- */

struct pruned {
    bool done;
    unsigned deleted;
    bool more;
};

static void on_pruned(void *ctx, unsigned deleted, bool more)
{
    *(struct pruned *)ctx = (struct pruned){true, deleted, more};
}

static struct pruned prune(int64_t before, int64_t max_count)
{
    struct pruned p = {0};
    store_prune(store, (struct wall_us){before}, max_count, on_pruned, &p);
    while (!p.done) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return p;
}

START_TEST(prune_by_age_and_by_count)
{
    insert_many(1000); /* 600 terminal, which ended at 1000 * seq */
    counts_are(200, 200, 200, 200, 200);
    struct pruned p = prune(0, 600);
    ck_assert(p.deleted == 0 && !p.more);
    p = prune(501000, 1000000); /* 300 of them ended before */
    ck_assert_uint_eq(p.deleted, 200);
    ck_assert(p.more);
    p = prune(501000, 1000000);
    ck_assert_uint_eq(p.deleted, 100);
    ck_assert(!p.more);
    counts_are(200, 200, 100, 100, 100);
    p = prune(0, 290);
    ck_assert(p.deleted == 10 && !p.more);
    p = prune(0, 0);
    ck_assert(p.deleted == 200 && p.more);
    p = prune(0, 0);
    ck_assert(p.deleted == 90 && !p.more);
    counts_are(200, 200, 0, 0, 0);
    ck_assert_int_eq(rows_in("jobs"), 400);
    ck_assert_int_eq(rows_in("workflows"), 400);
    ck_assert_int_eq(active_jobs(), 400);
}
END_TEST

START_TEST(delete_takes_all_that_belongs_to_it)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_running(&j);
    struct attempt_record a = make_attempt(&j);
    set_failed(&j);
    struct answer done[3] = {{0}};
    store_end_attempt(store, &j, &a, STR("{}"), NULL, NULL, on_kept, &done[0]);
    store_delete(store, j.seq, on_kept, &done[1]);
    store_delete(store, j.seq, on_kept, &done[2]); /* gone already: as asked */
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    static const char *const tables[] = {"jobs", "workflows", "attempts", "profiles"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        ck_assert_msg(rows_in(tables[i]) == 0, "%s", tables[i]);
    }
    counts_are(0, 0, 0, 0, 0);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

/* ---- the directory --------------------------------------------------------------------------- */

START_TEST(a_second_store_is_refused)
{
    struct store *second = NULL;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    ck_assert(!store_open(dir, &loop, &second, why, sizeof why));
    ck_assert_msg(strstr(why, pid) != NULL && strstr(why, dir) != NULL, "%s", why);
}
END_TEST

static unsigned mode_of(const char *name)
{
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    ck_assert_msg(stat(path, &st) == 0, "%s", path);
    return st.st_mode & 0777u;
}

START_TEST(nobody_else_may_look)
{
    static const char *const files[] = {"lock", "comfypoold.db", "comfypoold.db-wal",
                                        "comfypoold.db-shm"};
    insert_many(1);
    close_store();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/comfypoold.db", dir);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(chmod(path, 0644), 0);
    (void)umask(0);
    open_store();
    insert_many(1);
    ck_assert_uint_eq(mode_of(""), 0700);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ck_assert_msg(mode_of(files[i]) == 0600, "%s", files[i]);
    }
    (void)umask(022);
}
END_TEST

START_TEST(parents_are_made)
{
    char deep[128];
    (void)snprintf(deep, sizeof deep, "%s/a/b/state", dir);
    struct store *other = NULL;
    ck_assert_msg(store_open(deep, &loop, &other, why, sizeof why), "%s", why);
    ck_assert_uint_eq(mode_of("a/b/state"), 0700);
    store_close(other);
}
END_TEST

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(what_cannot_be_opened_says_why)
{
    close_store();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/comfypoold.db", dir);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    static const char *const versions[] = {"-1", "-2147483648", "-16", "2147483647", "99"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "PRAGMA user_version = %s", versions[i]);
        ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        ck_assert(!store_open(dir, &loop, &store, why, sizeof why));
        ck_assert_msg(strstr(why, *versions[i] == '-' ? "damaged" : "newer comfypoold") != NULL,
                      "%s", why);
    }
    (void)sqlite3_close(db);
    ck_assert_int_eq(unlink(path), 0);
    write_file("comfypoold.db", "this is no database, but it is long enough to be looked at\n");
    ck_assert(!store_open(dir, &loop, &store, why, sizeof why));
    ck_assert_msg(strstr(why, "not a database") != NULL, "%s", why);
    ck_assert(!store_open("/dev/null/x", &loop, &store, why, sizeof why));
    ck_assert(!store_open("/tmp", &loop, &store, why, sizeof why)); /* everybody's */
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!store_open(dir, &loop, &store, why, sizeof why)); /* gone: no new one */
    ck_assert_msg(strstr(why, "--new-store") != NULL, "%s", why);
    ck_assert_int_eq(access(path, F_OK), -1);
    static const char *const empty[] = {"x", ""};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        write_file("comfypoold.db", empty[i]);
        ck_assert(!store_open(dir, &loop, &store, why, sizeof why));
        ck_assert_msg(strstr(why, "--new-store") != NULL, "%s", why);
    }
    ck_assert_msg(store_open_anew(dir, &loop, &store, why, sizeof why), "%s", why);
    close_store();
    open_store();
}
END_TEST

/* ---- a full disk, and kill -9: in a child that dies or exits with 0 -------------------------- */

/* An end of a job is kept until there is room; then everything is as asked. */
static void full_disk_and_room_again(void)
{
    open_store();
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    fill_disk();
    ck_assert(!store_is_writable(store));
    ck_assert_str_ne(store_trouble(store), "");
    j.outputs = mem_alloc(1 << 20);
    memset(j.outputs, 'o', (1 << 20) - 1);
    j.outputs[(1 << 20) - 1] = '\0';
    j.state = JOB_COMPLETED;
    j.completed_at.us = 7;
    struct answer kept[2] = {{0}};
    answers = 0;
    store_end_attempt(store, &j, NULL, STR("{}"), NULL, NULL, on_kept, &kept[0]);
    store_mark_cancel(store, &j, on_kept, &kept[1]);
    struct job_record more = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&more), ERR_STORE_UNAVAILABLE);
    ck_assert(kept[0].order == 0 && kept[1].order == 0);
    make_room();
    ck_assert_int_eq(insert(&more), ERR_NONE); /* takes the kept ones along */
    ck_assert(kept[0].order == 2 && kept[0].error == ERR_NONE);
    ck_assert(kept[1].order == 3 && kept[1].error == ERR_NONE);
    ck_assert(store_is_writable(store));
    ck_assert_str_eq(store_trouble(store), "");
    stored_as(&j);
    stored_as(&more);
    close_store();
    open_store();
    stored_as(&j);
    job_record_done(&j);
    job_record_done(&more);
    close_store();
}

/* With nothing kept the store finds out by itself. */
static void full_disk_probed(void)
{
    open_store();
    fill_disk();
    make_room();
    while (!store_is_writable(store)) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    close_store();
}

START_TEST(a_full_disk_keeps_what_was_promised)
{
    ck_assert_int_eq(in_child(full_disk_and_room_again), 0);
}
END_TEST

START_TEST(a_full_disk_is_probed)
{
    ck_assert_int_eq(in_child(full_disk_probed), 0);
}
END_TEST

/* Inserts for ever and says each id that was answered. */
static int told;

static void on_told(void *ctx, enum err e)
{
    char *id = ctx;
    if (e == ERR_NONE) {
        ck_assert_int_eq(write(told, id, UUID_SIZE), UUID_SIZE);
    }
    free(id);
}

static void insert_for_ever(void)
{
    open_store();
    for (;;) {
        for (int i = 0; i < 4; i++) {
            struct job_record j = make_job(JOB_QUEUED);
            store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, NULL, on_told,
                         mem_strdup(j.id));
            job_record_done(&j);
        }
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
}

START_TEST(kill_nine_loses_nothing_that_was_answered)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    (void)fflush(NULL);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)close(ends[0]);
        told = ends[1];
        insert_for_ever();
    }
    (void)close(ends[1]);
    enum { ENOUGH = 500, ALL = 4000 };
    static char ids[ALL][UUID_SIZE];
    int n = 0;
    while (n < ALL && read(ends[0], ids[n], UUID_SIZE) == UUID_SIZE) {
        n++;
        if (n == ENOUGH) {
            ck_assert_int_eq(kill(pid, SIGKILL), 0);
        }
    }
    (void)close(ends[0]);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_ge(n, ENOUGH);
    open_store();
    for (int i = 0; i < n; i++) {
        struct job_record j = {0};
        ck_assert_msg(store_get_job(store, str_of(ids[i]), &j) == ERR_NONE, "%s is lost", ids[i]);
        job_record_done(&j);
    }
    ck_assert_int_ge(active_jobs(), n);
}
END_TEST

Suite *store_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *open = tcase_create("open");
    tcase_add_checked_fixture(open, set_up, tear_down);
    tcase_add_test(open, a_job_comes_back_as_it_was);
    tcase_add_test(open, a_whole_life_with_a_retry);
    tcase_add_test(open, a_withdrawn_attempt_is_forgotten);
    tcase_add_test(open, a_job_that_never_ran_has_profile_zero);
    tcase_add_test(open, answers_come_in_order);
    tcase_add_test(open, a_wrong_write_is_refused_alone);
    tcase_add_test(open, lists_by_state_and_page);
    tcase_add_test(open, many_lists_are_all_answered);
    tcase_add_test(open, closing_answers_what_waits);
    tcase_add_test(open, prune_by_age_and_by_count);
    tcase_add_test(open, delete_takes_all_that_belongs_to_it);
    tcase_add_test(open, a_second_store_is_refused);
    tcase_add_test(open, nobody_else_may_look);
    tcase_add_test(open, parents_are_made);
    tcase_add_test(open, what_cannot_be_opened_says_why);
    suite_add_tcase(suite, open);
    TCase *hard = tcase_create("hard");
    tcase_add_checked_fixture(hard, make_dir, remove_dir);
    tcase_set_timeout(hard, 30);
    tcase_add_test(hard, a_full_disk_keeps_what_was_promised);
    tcase_add_test(hard, a_full_disk_is_probed);
    suite_add_tcase(suite, hard);
    TCase *killed = tcase_create("killed");
    tcase_add_checked_fixture(killed, make_dir, tear_down);
    tcase_set_timeout(killed, 30);
    tcase_add_test(killed, kill_nine_loses_nothing_that_was_answered);
    suite_add_tcase(suite, killed);
    return suite;
}
