/* Reads at run time: what is found of a job and of a batch, from memory and from the database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"
#include "store_fixture.h"
#include "suites.h"

struct seen {
    int calls;
    enum err error;
    enum err profile_error;
    enum job_state state;
    int priority;
    size_t attempts;
    char profile[64];
    char workflow[128];
};

static void on_found(void *ctx, const struct store_found *f)
{
    struct seen *s = ctx;
    s->calls++;
    s->error = f->error;
    s->profile_error = f->profile_error;
    s->state = f->job->state;
    s->priority = f->job->priority;
    s->attempts = f->attempts_len;
    (void)snprintf(s->profile, sizeof s->profile, "%.*s", (int)f->profile.n, f->profile.p);
    (void)snprintf(s->workflow, sizeof s->workflow, "%.*s", (int)f->workflow.n, f->workflow.p);
}

static struct seen find(const char *id, unsigned wants, unsigned attempt)
{
    struct seen s = {.calls = 0};
    struct store_wish wish = {.wants = wants, .attempt = attempt};
    memcpy(wish.id, id, sizeof wish.id);
    store_find_job(store, &wish, NULL, on_found, &s);
    while (s.calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(s.calls, 1);
    return s;
}

/* A job that failed with its first attempt. */
static void end_one(struct job_record *j)
{
    struct answer done = {0};
    *j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(j), ERR_NONE);
    set_running(j);
    struct attempt_record a = make_attempt(j);
    store_begin_attempt(store, j, &a, NULL, NULL, NULL);
    set_failed(j);
    a.outcome = ATTEMPT_FAILED;
    store_end_attempt(store, j, &a, STR("{\"profile\":1}"), NULL, NULL, on_kept, &done);
    (void)wait_for(&done);
    attempt_record_done(&a);
}

/* _i 0: from memory, as far as it goes; 1: by another daemon. */
START_TEST(a_job_is_found)
{
    struct job_record j;
    end_one(&j);
    if (_i == 1) {
        close_store();
        open_store();
    }
    const unsigned told = job_told_attempt(&j);
    struct seen s = find(j.id, STORE_WANT_PROFILE, 0);
    ck_assert(s.error == ERR_NONE && s.profile_error == ERR_NONE && s.state == JOB_FAILED);
    ck_assert_str_eq(s.profile, "{\"profile\":1}");
    s = find(j.id, 0, 0);
    ck_assert(s.error == ERR_NONE && s.priority == j.priority && s.profile[0] == '\0');
    s = find(j.id, STORE_WANT_PROFILE, told + 1);
    ck_assert(s.error == ERR_NONE && s.profile_error == ERR_PROFILING_DISABLED);
    s = find(j.id, STORE_WANT_PROFILE | STORE_WANT_ATTEMPTS | STORE_WANT_WORKFLOW, told);
    ck_assert(s.error == ERR_NONE && s.profile_error == ERR_NONE && s.attempts == 1);
    ck_assert_str_eq(s.workflow, WORKFLOW);
    s = find("00000000-0000-7000-8000-000000000000", STORE_WANT_PROFILE, 0);
    ck_assert_int_eq(s.error, ERR_JOB_NOT_FOUND);
    job_record_done(&j);
}
END_TEST

static void must_not_come(void *ctx, const struct store_found *f)
{
    (void)ctx;
    (void)f;
    ck_abort_msg("it was forgotten");
}

/* Who asked is gone: neither the answer nor the end of the store comes to it. */
START_TEST(a_read_is_forgotten)
{
    struct job_record j;
    struct store_read kept = {NULL};
    struct seen s = {.calls = 0};
    end_one(&j);
    struct store_wish wish = {.wants = STORE_WANT_ATTEMPTS};
    memcpy(wish.id, j.id, sizeof wish.id);
    struct store_read *gone = calloc(1, sizeof *gone);
    store_find_job(store, &wish, gone, must_not_come, NULL);
    store_find_job(store, &wish, &kept, on_found, &s);
    ck_assert(gone->find != NULL && kept.find != NULL);
    store_read_forget(gone);
    ck_assert(gone->find == NULL);
    free(gone);
    while (s.calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert(s.calls == 1 && kept.find == NULL);
    store_read_forget(&kept); /* it was answered */
    store_find_job(store, &wish, &kept, must_not_come, NULL);
    store_read_forget(&kept);
    job_record_done(&j);
}
END_TEST

/* All profiles, the stamps, the texts and the batch of a job, as far as they are there. */
static void on_all(void *ctx, const struct store_found *f)
{
    struct seen *s = ctx;
    s->calls++;
    s->error = f->error;
    ck_assert_uint_eq(f->profiles_len, 1);
    ck_assert_uint_eq(f->profiles[0].attempt, 1);
    ck_assert(str_is(f->profiles[0].json, "{\"profile\":1}"));
    ck_assert(str_is(f->stamps, "[7]"));
    ck_assert_ptr_eq(f->job, &f->whole->job);
    ck_assert_str_eq(f->whole->workflow, WORKFLOW);
    ck_assert_ptr_null(f->batch);
    free(f->whole->workflow); /* it may be taken */
    f->whole->workflow = NULL;
}

START_TEST(a_job_is_found_with_all_that_belongs_to_it)
{
    struct job_record j;
    struct seen s = {.calls = 0};
    end_one(&j);
    char files[] = "[7]";
    struct kept_record stamps = {.seq = j.seq, .ended_at = j.completed_at, .files = files};
    memcpy(stamps.job_id, j.id, sizeof stamps.job_id);
    store_put_stamps(store, &stamps);
    struct answer done = {0};
    store_put_setting(store, "a", "b", on_kept, &done);
    (void)wait_for(&done);
    struct store_wish wish = {.wants = STORE_WANT_PROFILES | STORE_WANT_STAMPS | STORE_WANT_TEXTS |
                                       STORE_WANT_BATCH};
    memcpy(wish.id, j.id, sizeof wish.id);
    store_find_job(store, &wish, NULL, on_all, &s);
    while (s.calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert(s.calls == 1 && s.error == ERR_NONE);
    job_record_done(&j);
}
END_TEST

/* What is in memory is as the database has it: a write about the job takes it away. */
START_TEST(memory_is_never_behind)
{
    struct job_record j;
    struct answer done[2] = {{0}};
    end_one(&j);
    j.priority = 55;
    store_update_job(store, &j, NULL, on_kept, &done[0]);
    (void)wait_for(&done[0]);
    ck_assert_int_eq(find(j.id, 0, 0).priority, 55);
    store_delete(store, j.seq, on_kept, &done[1]);
    (void)wait_for(&done[1]);
    ck_assert_int_eq(find(j.id, 0, 0).error, ERR_JOB_NOT_FOUND);
    job_record_done(&j);
}
END_TEST

static void on_pruned(void *ctx, unsigned deleted, bool more)
{
    (void)more;
    *(int *)ctx = (int)deleted;
}

START_TEST(memory_forgets_what_is_pruned)
{
    struct job_record j;
    int deleted = -1;
    end_one(&j);
    store_prune(store, (struct wall_us){INT64_MAX}, INT64_MAX, on_pruned, &deleted);
    while (deleted < 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(deleted, 1);
    ck_assert_int_eq(find(j.id, 0, 0).error, ERR_JOB_NOT_FOUND);
    job_record_done(&j);
}
END_TEST

/* More than memory holds; each is found all the same. */
START_TEST(many_are_found)
{
    enum { JOBS = 80 };
    static struct job_record j[JOBS];
    for (int i = 0; i < JOBS; i++) {
        end_one(&j[i]);
    }
    for (int i = 0; i < JOBS; i++) {
        ck_assert_str_eq(find(j[i].id, STORE_WANT_PROFILE, 0).profile, "{\"profile\":1}");
        job_record_done(&j[i]);
    }
}
END_TEST

/* Deletes the job while it looks at what memory has of it. */
static void delete_it(void *ctx, const struct store_found *f)
{
    struct answer *done = ctx;
    store_delete(store, f->job->seq, on_kept, done);
    ck_assert_int_eq(f->job->state, JOB_FAILED);
    ck_assert(str_is(f->profile, "{\"profile\":1}"));
}

START_TEST(what_is_looked_at_stays)
{
    struct job_record j;
    struct answer done = {0};
    struct store_wish wish = {.wants = STORE_WANT_PROFILE};
    end_one(&j);
    memcpy(wish.id, j.id, sizeof wish.id);
    store_find_job(store, &wish, NULL, delete_it, &done);
    (void)wait_for(&done);
    ck_assert_int_eq(find(j.id, 0, 0).error, ERR_JOB_NOT_FOUND);
    job_record_done(&j);
}
END_TEST

struct telling {
    struct job_record job;
    struct seen seen;
    bool over;
};

/* Asks for the profile while it is told that the job has ended. */
static void ask_at_once(void *ctx)
{
    struct telling *t = ctx;
    struct store_wish wish = {.wants = STORE_WANT_PROFILE, .attempt = 1};
    memcpy(wish.id, t->job.id, sizeof wish.id);
    store_find_job(store, &wish, NULL, on_found, &t->seen);
    ck_assert_int_eq(t->seen.calls, 1);
    t->over = true;
}

/* However large a profile is: who is told of the end has it at once. */
START_TEST(what_is_told_is_in_memory)
{
    enum { LARGE = 1 << 20 };
    struct telling t = {.job = make_job(JOB_QUEUED)};
    ck_assert_int_eq(insert(&t.job), ERR_NONE);
    set_running(&t.job);
    struct attempt_record a = make_attempt(&t.job);
    store_begin_attempt(store, &t.job, &a, NULL, NULL, NULL);
    set_failed(&t.job);
    a.outcome = ATTEMPT_FAILED;
    char *profile = malloc(LARGE);
    memset(profile, 'p', LARGE);
    store_end_attempt(store, &t.job, &a, (struct str){profile, LARGE}, NULL, NULL, ask_at_once, &t);
    while (!t.over) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert(t.seen.error == ERR_NONE && strlen(t.seen.profile) == sizeof t.seen.profile - 1);
    ck_assert_int_eq(find(t.job.id, STORE_WANT_PROFILE, 1).profile_error, ERR_NONE);
    free(profile);
    attempt_record_done(&a);
    job_record_done(&t.job);
}
END_TEST

/* What is asked for is answered, also when the store is closed before it was read. */
START_TEST(a_close_answers_all)
{
    struct seen s[3] = {{.calls = 0}};
    struct store_wish wish = {.wants = 0};
    (void)snprintf(wish.id, sizeof wish.id, "00000000-0000-7000-8000-000000000000");
    for (int i = 0; i < 3; i++) {
        store_find_job(store, &wish, NULL, on_found, &s[i]);
    }
    close_store();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(s[i].calls, 1);
        ck_assert(s[i].error == ERR_JOB_NOT_FOUND || s[i].error == ERR_STORE_UNAVAILABLE);
    }
    open_store();
}
END_TEST

struct batch_seen {
    int calls;
    enum err error;
    int64_t total;
    int64_t queued;
};

static void on_batch(void *ctx, enum err e, const struct batch_record *r,
                     const int64_t counts[JOB_STATE_COUNT])
{
    *(struct batch_seen *)ctx = (struct batch_seen){1, e, r->total, counts[JOB_QUEUED]};
}

START_TEST(a_batch_is_found)
{
    struct batch_record b = {.total = 1};
    uuid_v7((struct wall_us){1}, b.id);
    struct job_record j = make_job(JOB_QUEUED);
    memcpy(j.batch_id, b.id, sizeof j.batch_id);
    const struct job_record *jobs[] = {&j};
    struct answer done = {0};
    store_insert_batch(store, &b, jobs, 1, STR("{}"), STR(""), NULL, NULL, on_done, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    const char *const ids[] = {b.id, "00000000-0000-7000-8000-000000000000"};
    for (int i = 0; i < 2; i++) {
        struct batch_seen s = {.calls = 0};
        store_find_batch(store, ids[i], NULL, on_batch, &s);
        while (s.calls == 0) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
        ck_assert_int_eq(s.error, i == 0 ? ERR_NONE : ERR_BATCH_NOT_FOUND);
        ck_assert(i == 1 || (s.total == 1 && s.queued == 1));
    }
    job_record_done(&j);
    batch_record_done(&b);
}
END_TEST

Suite *store_finds_suite(void)
{
    Suite *s = suite_create("store: finds");
    TCase *t = tcase_create("open");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, a_job_is_found, 0, 2);
    tcase_add_test(t, a_read_is_forgotten);
    tcase_add_test(t, a_job_is_found_with_all_that_belongs_to_it);
    tcase_add_test(t, memory_is_never_behind);
    tcase_add_test(t, memory_forgets_what_is_pruned);
    tcase_add_test(t, many_are_found);
    tcase_add_test(t, what_is_looked_at_stays);
    tcase_add_test(t, what_is_told_is_in_memory);
    tcase_add_test(t, a_close_answers_all);
    tcase_add_test(t, a_batch_is_found);
    suite_add_tcase(s, t);
    return s;
}
