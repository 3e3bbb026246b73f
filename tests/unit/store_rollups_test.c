/*
 * Measurements and roll-ups: each end of a job counts once, whatever happens; keys are bounded;
 * hours become days; a summary is what all of its jobs say together.
 */
#include "store_fixture.h"

#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/jobs.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/store/rollups.h"
#include "comfypool/store/store.h"

/* Some o'clock, a Tuesday. */
static const int64_t NOON = INT64_C(1699963200000000);
static const int64_t HOUR = INT64_C(3600000000);

static void note_folded(void *ctx, bool more)
{
    *(int *)ctx = more ? 2 : 1;
}

/* One fold; true: there is more. */
static bool fold_some(void)
{
    int folded = 0;
    store_fold(store, note_folded, &folded);
    while (folded == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return folded == 2;
}

static void fold(void)
{
    while (fold_some()) {
    }
}

/* ---- measurements ---------------------------------------------------------------------------- */

/* A job that ended at `at` on the backend "one"; its only node took so long. */
struct end {
    const char *hash;
    const char *node;
    const char *class_type;
    int64_t us;
    struct wall_us at;
    const char *client; /* or NULL */
};

static void render_end(const struct end *e, struct buf *out)
{
    const struct node_run run = {str_of(e->node), str_of(e->class_type), RUN_EXECUTED, e->us};
    const struct measurement m = {
        .at = e->at,
        .state = JOB_COMPLETED,
        .executed = true,
        .execution_us = e->us,
        .nodes = 1,
        .workflow_hash = str_of(e->hash),
        .cost_key = STR("0123456789abcdef0123456789abcdef-0123456789abcdef"),
        .backend = STR("one"),
        .client = str_of(e->client),
        .runs = &run,
        .runs_len = 1,
    };
    measurement_write(&m, out);
}

/* Written with a job's end, as the pool does it. done may be NULL. */
static void end_job(struct str measurement, struct answer *done)
{
    struct job_record j = make_job(JOB_QUEUED);
    store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, NULL, NULL, NULL);
    j.state = JOB_COMPLETED;
    j.completed_at.us = 5;
    store_end_attempt(store, &j, NULL, STR(""), NULL,
                      &(struct store_beside){.measurement = measurement},
                      done == NULL ? NULL : on_kept, done);
    job_record_done(&j);
}

static void end_jobs(const struct end *list, size_t n)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct answer done = {0};
    for (size_t i = 0; i < n; i++) {
        buf_clear(&b);
        render_end(&list[i], &b);
        end_job(buf_str(&b), i + 1 == n ? &done : NULL);
    }
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
}

/* ---- summaries ------------------------------------------------------------------------------- */

struct summary {
    bool came;
    enum err error;
    struct buf text; /* "key count mean min max p50\n" by key */
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct summary_row *)a)->key, ((const struct summary_row *)b)->key);
}

static void note_summary(void *ctx, enum err e, const struct summary_row *rows, size_t n)
{
    struct summary *s = ctx;
    s->came = true;
    s->error = e;
    struct summary_row *sorted = mem_alloc((n + 1) * sizeof *sorted);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = rows[i];
    }
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 0; i < n; i++) {
        const struct rollup *r = &sorted[i].data;
        buf_printf(&s->text, "%s n=%d mean=%.0f min=%.0f max=%.0f\n", sorted[i].key, (int)r->count,
                   r->mean, r->min, r->max);
    }
    free(sorted);
}

/* Owner: the caller. */
static char *summary_of(const char *client, enum group_by group, int64_t since, const char *hash)
{
    struct summary s = {.came = false};
    buf_init(&s.text, BUF_NO_LIMIT);
    store_summarize(store, group, (struct wall_us){since}, hash, client, note_summary, &s);
    while (!s.came) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(s.error, ERR_NONE);
    return buf_take(&s.text);
}

static char *summary(enum group_by group, int64_t since, const char *hash)
{
    return summary_of(NULL, group, since, hash);
}

static void summary_is(enum group_by group, int64_t since, const char *hash, const char *want)
{
    AUTO_FREE char *got = summary(group, since, hash);
    ck_assert_str_eq(got, want);
}

static const struct end some[] = {
    {"h1", "3", "KSampler", 1000, {NOON}, NULL},
    {"h1", "3", "KSampler", 3000, {NOON + 1}, NULL},
    {"h1", "9", "SaveImage", 500, {NOON + HOUR}, NULL},
    {"h2", "3", "KSampler", 8000, {NOON + HOUR}, NULL},
};

START_TEST(a_summary_is_of_all_measurements)
{
    end_jobs(some, 4);
    summary_is(GROUP_CLASS, 0, "", ""); /* nothing is in the roll-ups yet */
    fold();
    ck_assert_int_eq(rows_in("measurements"), 0);
    summary_is(GROUP_CLASS, 0, "",
               "KSampler n=3 mean=4000 min=1000 max=8000\n"
               "SaveImage n=1 mean=500 min=500 max=500\n");
    summary_is(GROUP_NODE, 0, "",
               "h1/3 n=2 mean=2000 min=1000 max=3000\n"
               "h1/9 n=1 mean=500 min=500 max=500\n"
               "h2/3 n=1 mean=8000 min=8000 max=8000\n");
    summary_is(GROUP_WORKFLOW, 0, "",
               "h1 n=3 mean=1500 min=500 max=3000\n"
               "h2 n=1 mean=8000 min=8000 max=8000\n");
    summary_is(GROUP_BACKEND, 0, "", "one n=4 mean=3125 min=500 max=8000\n");
}
END_TEST

START_TEST(a_summary_is_of_one_workflow_and_of_a_time)
{
    end_jobs(some, 4);
    fold();
    summary_is(GROUP_CLASS, 0, "h1",
               "KSampler n=2 mean=2000 min=1000 max=3000\n"
               "SaveImage n=1 mean=500 min=500 max=500\n");
    summary_is(GROUP_NODE, 0, "h2", "h2/3 n=1 mean=8000 min=8000 max=8000\n");
    summary_is(GROUP_WORKFLOW, 0, "h2", "h2 n=1 mean=8000 min=8000 max=8000\n");
    /* Of runs, by the structure's key, which these hashes begin like. */
    summary_is(GROUP_BACKEND, 0, "0123456789abcdef0123456789abcdefxyz",
               "one n=4 mean=3125 min=500 max=8000\n");
    summary_is(GROUP_BACKEND, 0, "h1", "");
    summary_is(GROUP_CLASS, NOON + HOUR, "",
               "KSampler n=1 mean=8000 min=8000 max=8000\n"
               "SaveImage n=1 mean=500 min=500 max=500\n");
    summary_is(GROUP_WORKFLOW, NOON + 2 * HOUR, "", "");
}
END_TEST

START_TEST(folds_add_up)
{
    for (int round = 0; round < 3; round++) {
        end_jobs(some, 4);
        fold();
    }
    summary_is(GROUP_WORKFLOW, 0, "",
               "h1 n=9 mean=1500 min=500 max=3000\n"
               "h2 n=3 mean=8000 min=8000 max=8000\n");
}
END_TEST

START_TEST(a_broken_measurement_is_let_go)
{
    struct answer done = {0};
    end_job(STR("\xff\xff\xff"), &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    end_jobs(some, 1);
    fold();
    ck_assert_int_eq(rows_in("measurements"), 0);
    summary_is(GROUP_WORKFLOW, 0, "", "h1 n=1 mean=1000 min=1000 max=1000\n");
}
END_TEST

/* ---- a kill ---------------------------------------------------------------------------------- */

/* Ends jobs and folds until it is killed; says on the pipe how many ends were durable. */
static void work_until_killed(int to)
{
    open_store();
    for (;;) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        render_end(&some[0], &b);
        struct answer done = {0};
        end_job(buf_str(&b), &done);
        store_fold(store, NULL, NULL);
        ck_assert_int_eq(wait_for(&done), ERR_NONE);
        if (write(to, "x", 1) != 1) {
            _exit(1);
        }
    }
}

START_TEST(each_end_counts_once_over_a_kill)
{
    make_dir();
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    (void)fflush(NULL);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)close(pipes[0]);
        work_until_killed(pipes[1]);
    }
    (void)close(pipes[1]);
    char c = 0;
    int told = 0;
    for (; told < 20 + 7 * _i; told++) {
        ck_assert_int_eq(read(pipes[0], &c, 1), 1);
    }
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    while (read(pipes[0], &c, 1) == 1) {
        told++;
    }
    (void)close(pipes[0]);
    open_store();
    const int ended = rows_in("jobs WHERE state = 2");
    ck_assert_int_ge(ended, told);
    fold();
    char want[96];
    (void)snprintf(want, sizeof want, "h1 n=%d mean=1000 min=1000 max=1000\n", ended);
    summary_is(GROUP_WORKFLOW, 0, "", want);
    tear_down();
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

/* n jobs, all alike but for their workflow (or node, or class), seen one after the other. */
static void end_many(const char *what, int from, int n)
{
    struct answer done = {0};
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (int i = from; i < from + n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%d", what, i);
        struct end e = some[0];
        e.hash = what[0] == 'w' ? name : e.hash;
        e.node = what[0] == 'n' ? name : e.node;
        e.class_type = what[0] == 'c' ? name : e.class_type;
        e.at.us += i;
        buf_clear(&b);
        render_end(&e, &b);
        end_job(buf_str(&b), i + 1 == from + n ? &done : NULL);
    }
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    fold();
}

START_TEST(the_least_recently_seen_workflow_goes_into_other)
{
    end_many("w", 0, 2000);
    end_many("w", 0, 1); /* seen again, but not later than the others by its time */
    ck_assert_int_eq(rows_in("rollup_keys WHERE kind = 2"), 2000);
    end_many("w", 2000, 3);
    ck_assert_int_eq(rows_in("rollup_keys WHERE kind = 2"), 2000);
    ck_assert_int_eq(rows_in("rollups WHERE kind = 2 AND key IN ('w0', 'w1', 'w2')"), 0);
    ck_assert_int_eq(rows_in("rollups WHERE kind = 2 AND key IN ('w3', 'w2002')"), 2);
    /* Its nodes go with it. */
    ck_assert_int_eq(rows_in("rollups WHERE kind = 1 AND key = 'w0/3'"), 0);
    ck_assert_int_eq(rows_in("rollup_keys WHERE kind = 1"), 2000);
    summary_is(GROUP_WORKFLOW, 0, "other", "other n=4 mean=1000 min=1000 max=1000\n");
    summary_is(GROUP_CLASS, 0, "", "KSampler n=2004 mean=1000 min=1000 max=1000\n");
    AUTO_FREE char *nodes = summary(GROUP_NODE, 0, "");
    ck_assert_ptr_nonnull(strstr(nodes, "other n=4 mean=1000"));
}
END_TEST

START_TEST(nodes_and_classes_are_bounded)
{
    end_many("n", 0, 203);
    ck_assert_int_eq(rows_in("rollup_keys WHERE kind = 1"), 201); /* with "h1/other" */
    AUTO_FREE char *nodes = summary(GROUP_NODE, 0, "h1");
    ck_assert_ptr_nonnull(strstr(nodes, "h1/other n=3 mean=1000"));
    end_many("c", 0, 2005);
    ck_assert_int_eq(rows_in("rollup_keys WHERE kind = 0"), 2000);
    AUTO_FREE char *classes = summary(GROUP_CLASS, 0, "");
    ck_assert_ptr_nonnull(strstr(classes, "other n="));
    /* A class of that name is one of the others. */
    struct end e = some[0];
    e.class_type = "other";
    end_jobs(&e, 1);
    fold();
    end_many("c", 3000, 2001);
    AUTO_FREE char *all = summary(GROUP_CLASS, 0, "");
    int counted = 0;
    for (const char *p = strstr(all, " n="); p != NULL; p = strstr(p + 1, " n=")) {
        counted += atoi(p + 3);
    }
    ck_assert_int_eq(counted, 203 + 2005 + 1 + 2001);
}
END_TEST

/* ---- age ------------------------------------------------------------------------------------- */

static void note_pruned(void *ctx, unsigned deleted, bool more)
{
    (void)deleted;
    *(int *)ctx = more ? 2 : 1;
}

static void prune(void)
{
    int pruned = 2;
    while (pruned == 2) {
        pruned = 0;
        store_prune(store, (struct wall_us){0}, INT64_MAX, note_pruned, &pruned);
        while (pruned == 0) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
    }
}

START_TEST(hours_become_days_when_they_are_a_week_old)
{
    const int64_t now = time_wall().us;
    const int64_t today = now - now % (24 * HOUR);
    const int64_t week_ago = today - 7 * 24 * HOUR;
    struct end ends[30];
    for (int i = 0; i < 30; i++) { /* each hour from a day before that on */
        ends[i] = some[0];
        ends[i].us = 1000 + i;
        ends[i].at.us = week_ago - 24 * HOUR + i * HOUR;
    }
    end_jobs(ends, 30);
    fold();
    AUTO_FREE char *before = summary(GROUP_WORKFLOW, 0, "");
    prune();
    ck_assert_int_eq(rows_in("rollups WHERE kind = 2 AND span = 24"), 1);
    ck_assert_int_eq(rows_in("rollups WHERE kind = 2 AND span = 1"), 6);
    summary_is(GROUP_WORKFLOW, 0, "", before);
    /* The day is whole or not there; what begins it is said. */
    const struct wall_us asked = {week_ago - 5 * HOUR};
    const struct wall_us since = rollup_since(asked, (struct wall_us){now});
    ck_assert_int_eq(since.us, week_ago - 24 * HOUR);
    summary_is(GROUP_WORKFLOW, since.us, "", before);
}
END_TEST

START_TEST(days_are_forgotten_after_400)
{
    struct end e = some[0];
    e.at.us = time_wall().us - INT64_C(402) * 24 * HOUR;
    end_jobs(&e, 1);
    e.at.us += INT64_C(10) * 24 * HOUR;
    end_jobs(&e, 1);
    fold();
    prune();
    summary_is(GROUP_WORKFLOW, 0, "", "h1 n=1 mean=1000 min=1000 max=1000\n");
}
END_TEST

/* ---- of one client --------------------------------------------------------------------------- */

static void client_has(const char *client, enum group_by group, const char *hash, const char *want)
{
    AUTO_FREE char *got = summary_of(client, group, 0, hash);
    ck_assert_str_eq(got, want);
}

START_TEST(one_clients_runs)
{
    const struct end ends[] = {
        {"h1", "3", "KSampler", 1000, {NOON}, "ann"},
        {"h1", "3", "KSampler", 3000, {NOON + 1}, "bob"},
        {"h2", "9", "SaveImage", 500, {NOON}, "ann/b"},
        {"h2", "3", "KSampler", 7000, {NOON}, NULL},
    };
    end_jobs(ends, sizeof ends / sizeof *ends);
    fold();
    summary_is(GROUP_WORKFLOW, 0, "",
               "h1 n=2 mean=2000 min=1000 max=3000\nh2 n=2 mean=3750 min=500 max=7000\n");
    client_has("ann", GROUP_WORKFLOW, "", "h1 n=1 mean=1000 min=1000 max=1000\n");
    client_has("ann", GROUP_WORKFLOW, "h2", "");
    client_has("bob", GROUP_WORKFLOW, "h1", "h1 n=1 mean=3000 min=3000 max=3000\n");
    client_has("bob", GROUP_NODE, "", "h1/3 n=1 mean=3000 min=3000 max=3000\n");
    client_has("bob", GROUP_NODE, "h1", "h1/3 n=1 mean=3000 min=3000 max=3000\n");
    client_has("bob", GROUP_CLASS, "", "KSampler n=1 mean=3000 min=3000 max=3000\n");
    client_has("bob", GROUP_CLASS, "h1", "KSampler n=1 mean=3000 min=3000 max=3000\n");
    client_has("bob", GROUP_BACKEND, "", "one n=1 mean=3000 min=3000 max=3000\n");
    client_has("ann/b", GROUP_NODE, "h2", "h2/9 n=1 mean=500 min=500 max=500\n");
    client_has("an", GROUP_WORKFLOW, "", "");
    client_has("", GROUP_WORKFLOW, "", "");
}
END_TEST

Suite *store_rollups_suite(void)
{
    Suite *suite = suite_create("store: roll-ups");
    TCase *folds = tcase_create("folds");
    tcase_add_checked_fixture(folds, set_up, tear_down);
    tcase_set_timeout(folds, 60);
    tcase_add_test(folds, a_summary_is_of_all_measurements);
    tcase_add_test(folds, a_summary_is_of_one_workflow_and_of_a_time);
    tcase_add_test(folds, folds_add_up);
    tcase_add_test(folds, a_broken_measurement_is_let_go);
    tcase_add_test(folds, the_least_recently_seen_workflow_goes_into_other);
    tcase_add_test(folds, nodes_and_classes_are_bounded);
    tcase_add_test(folds, hours_become_days_when_they_are_a_week_old);
    tcase_add_test(folds, days_are_forgotten_after_400);
    tcase_add_test(folds, one_clients_runs);
    suite_add_tcase(suite, folds);
    TCase *kill = tcase_create("kill");
    tcase_set_timeout(kill, 60);
    tcase_add_loop_test(kill, each_end_counts_once_over_a_kill, 0, 4);
    suite_add_tcase(suite, kill);
    return suite;
}
