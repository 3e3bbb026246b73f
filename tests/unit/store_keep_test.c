/*
 * What the store keeps beside jobs: Idempotency-Keys, strays, backends and settings; and what it
 * keeps of a job that is changed as a whole, or whose attempts are asked for. Everything is read
 * again from a store that was closed and opened, and written while the disk was full.
 */
#include "store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"
#include "comfypool/store/uploads.h"

static const int64_t DAY = INT64_C(24) * 3600 * 1000000;

static void note_owner(void *ctx, const struct owner_record *r)
{
    buf_printf(ctx, "%.2s=%s ", r->sha256, r->client);
}

static void owners_are(const char *want)
{
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    ck_assert_int_eq(store_load_owners(store, note_owner, &got), ERR_NONE);
    ck_assert_str_eq(buf_text(&got), want);
}

static void reopen(void)
{
    close_store();
    open_store();
}

/* ---- keys ------------------------------------------------------------------------------------ */

static struct key_record make_key(const char *key, const struct job_record *j, int64_t at)
{
    struct key_record k = {.key = mem_strdup(key), .status = 202, .at = {at}};
    memset(k.digest, 'd', sizeof k.digest - 1);
    memcpy(k.job_id, j->id, sizeof k.job_id);
    return k;
}

static enum err insert_with_key(const struct job_record *j, const char *key, int64_t at)
{
    struct key_record k = make_key(key, j, at);
    struct answer a = {0};
    store_insert(store, j, str_of(WORKFLOW), STR(""), &k, NULL, on_done, &a);
    key_record_done(&k);
    return wait_for(&a);
}

/* The status that the key has at `now`; 0: there is no such key. */
static unsigned status_of(const char *key, int64_t now, const char *job_id)
{
    struct key_record k = {0};
    ck_assert_int_eq(store_get_key(store, key, (struct wall_us){now}, &k), ERR_NONE);
    const unsigned status = k.key == NULL ? 0 : k.status;
    if (k.key != NULL) {
        ck_assert_str_eq(k.key, key);
        ck_assert_str_eq(k.job_id, job_id);
        ck_assert_uint_eq(strlen(k.digest), DIGEST_HEX_SIZE - 1);
    }
    key_record_done(&k);
    return status;
}

START_TEST(a_key_comes_with_its_job)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert_with_key(&j, "me/one", 5 * DAY), ERR_NONE);
    reopen();
    stored_as(&j);
    ck_assert_uint_eq(status_of("me/one", 5 * DAY, j.id), 202);
    ck_assert_uint_eq(status_of("me/two", 5 * DAY, j.id), 0);
    store_set_key_status(store, "me/one", 200);
    store_set_key_status(store, "me/two", 200); /* nothing to set */
    struct answer a = {0};
    store_mark_cancel(store, &j, on_kept, &a);
    ck_assert_int_eq(wait_for(&a), ERR_NONE);
    ck_assert_uint_eq(status_of("me/one", 5 * DAY, j.id), 200);
    ck_assert_uint_eq(status_of("me/two", 5 * DAY, j.id), 0);
    job_record_done(&j);
}
END_TEST

/* A key of time 10 days is asked for, or put again, so much later. */
static const struct age_row {
    const char *name;
    int64_t later;
    unsigned status; /* what is found */
    enum err again;  /* putting it again with another job */
} age_rows[] = {
    {"at once", 0, 202, ERR_STORE_UNAVAILABLE},
    {"the clock was set back", -3600, 202, ERR_STORE_UNAVAILABLE},
    {"a day", INT64_C(24) * 3600 * 1000000, 202, ERR_STORE_UNAVAILABLE},
    {"more than a day", INT64_C(24) * 3600 * 1000000 + 1, 0, ERR_NONE},
};

START_TEST(a_key_lives_for_a_day)
{
    for (size_t i = 0; i < sizeof age_rows / sizeof *age_rows; i++) {
        const struct age_row *r = &age_rows[i];
        char key[32];
        (void)snprintf(key, sizeof key, "me/%zu", i);
        struct job_record j = make_job(JOB_QUEUED);
        struct job_record other = make_job(JOB_QUEUED);
        ck_assert_int_eq(insert_with_key(&j, key, 10 * DAY), ERR_NONE);
        const int64_t now = 10 * DAY + r->later;
        ck_assert_msg(status_of(key, now, j.id) == r->status, "%s", r->name);
        ck_assert_msg(insert_with_key(&other, key, now) == r->again, "%s: again", r->name);
        struct job_record got = {0};
        const bool there = store_get_job(store, str_of(other.id), &got) == ERR_NONE;
        ck_assert_msg(there == (r->again == ERR_NONE), "%s: the job without its key", r->name);
        ck_assert_msg(status_of(key, now, r->again == ERR_NONE ? other.id : j.id) == 202, "%s",
                      r->name);
        job_record_done(&got);
        job_record_done(&other);
        job_record_done(&j);
    }
}
END_TEST

static void on_pruned(void *ctx, unsigned deleted, bool more)
{
    ck_assert_uint_eq(deleted, 0);
    *(int *)ctx = more ? 2 : 1;
}

static int prune_step(void)
{
    int step = 0;
    store_prune(store, (struct wall_us){0}, INT64_MAX, on_pruned, &step);
    while (step == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return step;
}

START_TEST(old_keys_are_pruned)
{
    const int64_t now = time_wall().us;
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert_with_key(&j, "young", now), ERR_NONE);
    job_record_done(&j);
    struct answer a = {0};
    for (int i = 0; i < 201; i++) {
        j = make_job(JOB_QUEUED);
        char key[32];
        (void)snprintf(key, sizeof key, "old/%d", i);
        struct key_record k = make_key(key, &j, now - DAY - 1000000 - i);
        store_insert(store, &j, str_of(WORKFLOW), STR(""), &k, NULL, i == 200 ? on_done : NULL, &a);
        key_record_done(&k);
        job_record_done(&j);
    }
    ck_assert_int_eq(wait_for(&a), ERR_NONE);
    ck_assert_int_eq(rows_in("keys"), 202);
    ck_assert_int_eq(prune_step(), 2);
    ck_assert_int_eq(rows_in("keys"), 2);
    ck_assert_int_eq(prune_step(), 1);
    ck_assert_int_eq(rows_in("keys"), 1);
    ck_assert_int_eq(rows_in("jobs"), 202);
}
END_TEST

/* ---- strays ---------------------------------------------------------------------------------- */

static struct stray_record make_stray(const struct job_record *j, const struct attempt_record *a)
{
    struct stray_record r = {.backend = mem_strdup(a->backend),
                             .backend_url = mem_strdup(a->backend_url),
                             .seq = j->seq,
                             .number = a->number,
                             .since = {1700000000000900},
                             .holds_slot = true,
                             .silent = true,
                             .started = true};
    memcpy(r.prompt_id, a->prompt_id, sizeof r.prompt_id);
    memcpy(r.client_id, a->client_id, sizeof r.client_id);
    return r;
}

struct strays {
    int len;
    struct stray_record last;
};

static void on_stray(void *ctx, struct stray_record *r)
{
    struct strays *found = ctx;
    found->len++;
    stray_record_done(&found->last);
    found->last = *r;
    *r = (struct stray_record){0};
}

static void strays_are(int len, const struct stray_record *last)
{
    struct strays found = {0};
    ck_assert_int_eq(store_load_strays(store, on_stray, &found), ERR_NONE);
    ck_assert_int_eq(found.len, len);
    if (last != NULL) {
        ck_assert_str_eq(found.last.prompt_id, last->prompt_id);
        ck_assert_str_eq(found.last.client_id, last->client_id);
        same_text("backend", found.last.backend, last->backend);
        same_text("backend_url", found.last.backend_url, last->backend_url);
        ck_assert_int_eq(found.last.seq, last->seq);
        ck_assert_uint_eq(found.last.number, last->number);
        ck_assert_int_eq(found.last.since.us, last->since.us);
        ck_assert(found.last.holds_slot == last->holds_slot &&
                  found.last.stopped == last->stopped && found.last.silent == last->silent &&
                  found.last.started == last->started);
    }
    stray_record_done(&found.last);
}

/* A job whose first attempt was given up: queued again, with a stray. */
static void give_up(struct job_record *j, struct attempt_record *a, struct stray_record *stray)
{
    *j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(j), ERR_NONE);
    set_running(j);
    *a = make_attempt(j);
    struct answer done[2] = {{0}};
    store_begin_attempt(store, j, a, NULL, on_kept, &done[0]);
    j->state = JOB_QUEUED;
    a->outcome = ATTEMPT_LOST;
    a->completed_at.us = 1700000000000800;
    a->error = (struct job_error){.code = ERR_LOST, .message = mem_strdup("gone")};
    *stray = make_stray(j, a);
    store_end_attempt(store, j, a, STR(""), stray, NULL, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
}

static void late_is(int64_t seq, enum attempt_outcome late)
{
    struct attempt_record *list = NULL;
    size_t len = 0;
    ck_assert_int_eq(store_get_attempts(store, seq, &list, &len), ERR_NONE);
    ck_assert_uint_eq(len, 1);
    ck_assert_int_eq(list[0].late, late);
    attempt_record_done(&list[0]);
    free(list);
}

START_TEST(a_stray_is_there_until_it_ends)
{
    static const enum attempt_outcome ends[] = {ATTEMPT_OPEN, ATTEMPT_COMPLETED, ATTEMPT_CANCELLED};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct job_record j;
        struct attempt_record a;
        struct stray_record stray;
        give_up(&j, &a, &stray);
        reopen();
        strays_are(1, &stray);
        late_is(j.seq, ATTEMPT_OPEN);
        store_end_stray(store, &stray, ends[i]);
        reopen();
        strays_are(0, NULL);
        late_is(j.seq, ends[i]);
        stray_record_done(&stray);
        attempt_record_done(&a);
        job_record_done(&j);
    }
}
END_TEST

/* The same prompt again (its slot is now taken) is one stray. */
START_TEST(a_stray_is_told_by_its_prompt)
{
    struct job_record j;
    struct attempt_record a;
    struct stray_record stray;
    give_up(&j, &a, &stray);
    stray.holds_slot = false;
    stray.since.us++;
    struct answer done = {0};
    store_end_attempt(store, &j, &a, STR(""), &stray, NULL, on_kept, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    strays_are(1, &stray);
    stray_record_done(&stray);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

/* It went well after all, while the job's retry was about to be POSTed: one write ends the job with
   it, forgets the retry and the stray. */
START_TEST(a_stray_that_went_well_ends_its_job)
{
    struct job_record j;
    struct attempt_record a;
    struct stray_record stray;
    give_up(&j, &a, &stray);
    set_running(&j);
    struct attempt_record retry = make_attempt(&j);
    struct answer done[2] = {{0}};
    store_begin_attempt(store, &j, &retry, NULL, on_kept, &done[0]);
    j.state = JOB_COMPLETED;
    j.attempts--;
    j.completed_at.us = 1700000000000950;
    memcpy(j.prompt_id, a.prompt_id, sizeof j.prompt_id);
    a.late = ATTEMPT_COMPLETED;
    store_end_attempt(store, &j, &a, STR("{\"attempt\":1}"), NULL,
                      &(struct store_beside){.withdraw = retry.number}, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    reopen();
    strays_are(0, NULL);
    late_is(j.seq, ATTEMPT_COMPLETED); /* there is one attempt */
    stored_as(&j);
    stray_record_done(&stray);
    attempt_record_done(&retry);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

/* Its job was deleted, and another one has its number by now: that one is left alone. */
START_TEST(a_stray_outlives_its_job)
{
    struct job_record j;
    struct attempt_record a;
    struct stray_record stray;
    give_up(&j, &a, &stray);
    j.state = JOB_FAILED;
    struct answer done[2] = {{0}};
    store_update_job(store, &j, NULL, on_kept, &done[0]);
    store_delete(store, j.seq, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    reopen();
    strays_are(1, &stray);
    struct job_record other = make_job(JOB_QUEUED);
    ck_assert_int_eq(other.seq, j.seq);
    ck_assert_int_eq(insert(&other), ERR_NONE);
    set_running(&other);
    struct attempt_record b = make_attempt(&other);
    struct answer begun = {0};
    store_begin_attempt(store, &other, &b, NULL, on_kept, &begun);
    store_end_stray(store, &stray, ATTEMPT_COMPLETED);
    reopen();
    strays_are(0, NULL);
    late_is(other.seq, ATTEMPT_OPEN);
    attempt_record_done(&b);
    job_record_done(&other);
    stray_record_done(&stray);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

/* ---- jobs as a whole ------------------------------------------------------------------------- */

START_TEST(a_failed_job_is_queued_again)
{
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_running(&j);
    struct attempt_record a = make_attempt(&j);
    struct answer done[4] = {{0}};
    store_begin_attempt(store, &j, &a, NULL, on_kept, &done[0]);
    set_failed(&j);
    a.outcome = ATTEMPT_FAILED;
    store_end_attempt(store, &j, &a, STR("{}"), NULL, NULL, on_kept, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    counts_are(0, 0, 0, 1, 0);
    job_error_done(&j.error);
    j.state = JOB_QUEUED;
    j.completed_at.us = 0;
    j.budget_since.us = j.waiting_since.us = 1700000000009999;
    j.free_attempts = 1;
    j.priority = 12;
    store_update_job(store, &j, NULL, on_kept, &done[2]);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    counts_are(1, 0, 0, 0, 0);
    reopen();
    counts_are(1, 0, 0, 0, 0);
    stored_as(&j);
    ck_assert_int_eq(active_jobs(), 1);
    j.seq = 99;
    store_update_job(store, &j, NULL, on_kept, &done[3]);
    (void)wait_for(&done[3]); /* there is no such job: it is dropped */
    counts_are(1, 0, 0, 0, 0);
    ck_assert_int_eq(rows_in("jobs"), 1);
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

START_TEST(a_job_is_loaded_with_its_workflow)
{
    struct job_record j = make_job(JOB_FAILED);
    set_failed(&j);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    struct store_active got = {0};
    ck_assert_int_eq(store_load_job(store, STR("nobody"), &got), ERR_JOB_NOT_FOUND);
    ck_assert_int_eq(store_load_job(store, str_of(j.id), &got), ERR_NONE);
    same_job(&j, &got.job);
    ck_assert_uint_eq(got.workflow_len, strlen(WORKFLOW));
    ck_assert_str_eq(got.workflow, WORKFLOW);
    ck_assert_str_eq(got.extra_data, "{\"x\":1}");
    ck_assert(!got.has_attempt);
    free(got.workflow);
    free(got.extra_data);
    job_record_done(&got.job);
    job_record_done(&j);
}
END_TEST

static void same_attempt(const struct attempt_record *a, const struct attempt_record *b)
{
    ck_assert_uint_eq(a->number, b->number);
    ck_assert_int_eq(a->outcome, b->outcome);
    same_text("backend", a->backend, b->backend);
    same_text("backend_url", a->backend_url, b->backend_url);
    ck_assert_str_eq(a->prompt_id, b->prompt_id);
    ck_assert_str_eq(a->client_id, b->client_id);
    ck_assert_int_eq(a->intent_at.us, b->intent_at.us);
    ck_assert_int_eq(a->submitted_at.us, b->submitted_at.us);
    ck_assert_int_eq(a->started_at.us, b->started_at.us);
    ck_assert_int_eq(a->completed_at.us, b->completed_at.us);
    ck_assert_int_eq(a->late, b->late);
    ck_assert_int_eq(a->error.code, b->error.code);
    same_text("error.message", a->error.message, b->error.message);
}

START_TEST(attempts_come_in_order)
{
    enum { MANY = 12 };
    struct job_record j = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    struct attempt_record made[MANY];
    struct answer done[MANY] = {{0}};
    for (int i = 0; i < MANY; i++) {
        set_running(&j);
        made[i] = make_attempt(&j);
        made[i].outcome = (enum attempt_outcome)(i % ATTEMPT_OUTCOME_COUNT);
        made[i].submitted_at.us = i;
        made[i].started_at.us = 2 * i;
        made[i].completed_at.us = 3 * i;
        made[i].late = (enum attempt_outcome)((i + 1) % ATTEMPT_OUTCOME_COUNT);
        made[i].error = (struct job_error){.code = ERR_LOST, .message = mem_strdup("gone")};
        store_begin_attempt(store, &j, &made[i], NULL, on_kept, &done[i]);
    }
    ck_assert_int_eq(wait_for(&done[MANY - 1]), ERR_NONE);
    struct attempt_record *list = NULL;
    size_t len = 0;
    ck_assert_int_eq(store_get_attempts(store, j.seq, &list, &len), ERR_NONE);
    ck_assert_uint_eq(len, MANY);
    for (int i = 0; i < MANY; i++) {
        same_attempt(&made[i], &list[i]);
        attempt_record_done(&list[i]);
        attempt_record_done(&made[i]);
    }
    free(list);
    ck_assert_int_eq(store_get_attempts(store, 99, &list, &len), ERR_NONE);
    ck_assert(list == NULL && len == 0);
    job_record_done(&j);
}
END_TEST

/* ---- backends and settings ------------------------------------------------------------------- */

static struct backend_record backend_rows[] = {
    {.name = "a",
     .url = "http://u:p@h:1/x",
     .weight = 3,
     .max_in_flight = 2,
     .labels = "[\"gpu\"]"},
    {.name = "b", .weight = -1, .max_in_flight = -1, .removed = true},
    {.name = "c", .weight = -1, .max_in_flight = -1, .admin = 2},
};

static void on_backend(void *ctx, struct backend_record *r)
{
    const struct backend_record *want = &backend_rows[(*(int *)ctx)++];
    same_text("name", want->name, r->name);
    same_text("url", want->url, r->url);
    same_text("labels", want->labels, r->labels);
    ck_assert_int_eq(want->weight, r->weight);
    ck_assert_int_eq(want->max_in_flight, r->max_in_flight);
    ck_assert_int_eq(want->removed, r->removed);
    ck_assert_int_eq(want->admin, r->admin);
}

static int load_backends(void)
{
    int n = 0;
    ck_assert_int_eq(store_load_backends(store, on_backend, &n), ERR_NONE);
    return n;
}

START_TEST(backends_are_kept)
{
    struct answer done[5] = {{0}};
    struct backend_record first = {.name = "a", .weight = 1, .max_in_flight = 1, .labels = "[]"};
    store_put_backend(store, &first, on_kept, &done[0]);
    for (int i = 2; i >= 0; i--) { /* the first one replaces what was put */
        store_put_backend(store, &backend_rows[i], on_kept, &done[1 + i]);
    }
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    reopen();
    ck_assert_int_eq(load_backends(), 3);
    store_delete_backend(store, "c", on_kept, &done[4]);
    store_delete_backend(store, "nobody", NULL, NULL);
    ck_assert_int_eq(wait_for(&done[4]), ERR_NONE);
    reopen();
    ck_assert_int_eq(load_backends(), 2);
}
END_TEST

static void setting_is(const char *name, const char *want)
{
    AUTO_FREE char *value = NULL;
    ck_assert_int_eq(store_load_setting(store, name, &value), ERR_NONE);
    same_text(name, want, value);
}

START_TEST(settings_are_kept)
{
    struct answer done = {0};
    setting_is("queue.paused", NULL);
    store_put_setting(store, "queue.paused", "true", NULL, NULL);
    store_put_setting(store, "empty", "", NULL, NULL);
    reopen();
    setting_is("queue.paused", "true");
    setting_is("empty", "");
    store_put_setting(store, "queue.paused", "false", on_kept, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    setting_is("queue.paused", "false");
}
END_TEST

/* ---- a full disk ----------------------------------------------------------------------------- */

/* All but the insert is kept, in order, and written when there is room. */
static void kept_over_a_full_disk(void)
{
    open_store();
    struct job_record j;
    struct attempt_record a;
    struct stray_record stray;
    give_up(&j, &a, &stray);
    struct job_record keyed = make_job(JOB_QUEUED);
    const int64_t now = time_wall().us;
    ck_assert_int_eq(insert_with_key(&keyed, "k", now), ERR_NONE);
    fill_disk();
    struct job_record refused = make_job(JOB_QUEUED);
    ck_assert_int_eq(insert_with_key(&refused, "refused", now), ERR_STORE_UNAVAILABLE);
    store_set_key_status(store, "k", 200);
    store_set_key_status(store, "refused", 200);
    store_end_stray(store, &stray, ATTEMPT_COMPLETED);
    struct answer done[4] = {{0}};
    store_put_backend(store, &backend_rows[0], on_kept, &done[0]);
    store_put_setting(store, "s", "1", on_kept, &done[1]);
    store_put_setting(store, "s", "2", on_kept, &done[2]);
    j.priority = 77;
    store_update_job(store, &j, NULL, on_kept, &done[3]);
    ck_assert_int_eq(insert(&refused), ERR_STORE_UNAVAILABLE);
    ck_assert(done[0].order == 0 && done[3].order == 0);
    make_room();
    ck_assert_int_eq(wait_for(&done[3]), ERR_NONE);
    ck_assert(done[0].order < done[1].order && done[2].order < done[3].order);
    reopen();
    stored_as(&j);
    strays_are(0, NULL);
    late_is(j.seq, ATTEMPT_COMPLETED);
    ck_assert_int_eq(load_backends(), 1);
    setting_is("s", "2");
    ck_assert_uint_eq(status_of("k", now, keyed.id), 200);
    ck_assert_uint_eq(status_of("refused", now, ""), 0);
    stray_record_done(&stray);
    attempt_record_done(&a);
    job_record_done(&j);
    job_record_done(&keyed);
    job_record_done(&refused);
    close_store();
}

/* A batch is an insert, too: its client is told at once, and waits for nobody. */
static void batch_on_a_full_disk(void)
{
    open_store();
    fill_disk();
    struct batch_record b = {.total = 1};
    uuid_v7((struct wall_us){1}, b.id);
    struct job_record j = make_job(JOB_QUEUED);
    memcpy(j.batch_id, b.id, sizeof j.batch_id);
    const struct job_record *jobs[] = {&j};
    struct answer kept = {0};
    struct answer done[2] = {{0}};
    store_put_setting(store, "s", "1", on_kept, &kept);
    store_insert_batch(store, &b, jobs, 1, STR("{}"), STR(""), NULL, NULL, on_done, &done[0]);
    ck_assert_int_eq(wait_for(&done[0]), ERR_STORE_UNAVAILABLE);
    ck_assert_int_eq(kept.order, 0);
    make_room();
    store_insert_batch(store, &b, jobs, 1, STR("{}"), STR(""), NULL, NULL, on_done, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE); /* a try of its own, and takes others along */
    ck_assert(kept.order != 0 && kept.order < done[1].order);
    batch_record_done(&b);
    job_record_done(&j);
    close_store();
}

START_TEST(a_full_disk_refuses_a_batch_at_once)
{
    ck_assert_int_eq(in_child(batch_on_a_full_disk), 0);
}
END_TEST

START_TEST(a_full_disk_keeps_all_but_inserts)
{
    ck_assert_int_eq(in_child(kept_over_a_full_disk), 0);
}
END_TEST

/* ---- account keys ---------------------------------------------------------------------------- */

enum { KEYED_JOBS = 600 };

/* How often the word is in a file of the store; *ret_size: the size of its log. */
static int finds(const char *word, size_t *ret_size)
{
    static const char *const names[] = {"comfypoold.db", "comfypoold.db-wal"};
    int n = 0;
    *ret_size = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        FILE *f = fopen(path, "rb");
        if (f == NULL) {
            continue; /* a closed store has no log */
        }
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        static char piece[65536];
        size_t got = 0;
        while ((got = fread(piece, 1, sizeof piece, f)) > 0) {
            buf_add(&b, piece, got);
        }
        ck_assert_int_eq(fclose(f), 0);
        *ret_size = b.len;
        const char *at = b.data;
        const char *end = b.data + b.len;
        while (b.len > 0 && (at = memmem(at, (size_t)(end - at), word, strlen(word))) != NULL) {
            n++;
            at++;
        }
    }
    return n;
}

/* Some are short, some of many pages. */
static void insert_keyed(struct job_record *j, int i, struct answer *done)
{
    AUTO_BUF struct buf keys;
    buf_init(&keys, BUF_NO_LIMIT);
    *j = make_job(JOB_QUEUED);
    j->credentials = 1;
    buf_add_text(&keys, "{\"api_key_comfy_org\":\"");
    for (int k = 0; k < (i % 7 == 0 ? 500 : i % 3 + 1); k++) {
        buf_printf(&keys, "made-up-key-%d.", i);
    }
    buf_add_text(&keys, "\"}");
    store_insert(store, j, str_of(WORKFLOW), STR("{}"), NULL,
                 &(struct store_beside){.credentials = buf_str(&keys)}, on_done, done);
}

static void end_keyed(struct job_record *j, struct answer *done)
{
    j->state = JOB_CANCELLED;
    store_end_attempt(store, j, NULL, STR(""), NULL, NULL, on_kept, done);
}

/* In an order in which the tree is balanced again and again, between other writes. */
START_TEST(account_keys_leave_with_the_job)
{
    static struct job_record j[KEYED_JOBS];
    static struct answer inserted[KEYED_JOBS];
    static struct answer ended[KEYED_JOBS];
    size_t log = 0;
    for (int i = 0; i < KEYED_JOBS; i++) {
        insert_keyed(&j[i], i, &inserted[i]);
        if (i % 50 == 0) {
            ck_assert_int_eq(wait_for(&inserted[i]), ERR_NONE);
        }
        if (i >= 100 && i % 2 == 0) {
            end_keyed(&j[i - 100], &ended[i - 100]);
        }
    }
    reopen();
    struct store_active found = {.has_attempt = false};
    ck_assert_int_eq(store_load_job(store, str_of(j[1].id), &found), ERR_NONE);
    ck_assert_str_eq(found.credentials, "{\"api_key_comfy_org\":\"made-up-key-1.made-up-key-1.\"}");
    job_record_done(&found.job);
    free(found.workflow);
    free(found.extra_data);
    free(found.credentials);
    ck_assert_int_gt(finds("made-up-key-1.", &log), 0);
    ck_assert_int_eq(finds("made-up-key-0.", &log), 0);
    for (int k = 0; k < KEYED_JOBS; k++) {
        const int i = k * 7 % KEYED_JOBS; /* 7 and 600 have no divisor in common */
        if (ended[i].order == 0) {
            end_keyed(&j[i], &ended[i]);
            ck_assert_int_eq(wait_for(&ended[i]), ERR_NONE);
        }
    }
    /* Soon, while the store is open and has nothing else to do. */
    const struct mono_us began = time_mono();
    while (finds("made-up-key", &log) > 0 || log > 0) {
        ck_assert_int_lt(mono_diff(time_mono(), began).us, 20000000);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_int_eq(rows_in("credentials"), 0);
    close_store();
    ck_assert_int_eq(finds("made-up-key", &log), 0);
    open_store();
    for (int i = 0; i < KEYED_JOBS; i++) {
        job_record_done(&j[i]);
    }
}
END_TEST

struct revival {
    bool is_over;
    bool found;
};

static void on_revived(void *ctx, bool found)
{
    *(struct revival *)ctx = (struct revival){true, found};
}

static bool revive(const struct job_record *j)
{
    struct revival r = {.is_over = false};
    store_revive_job(store, j, &(struct store_beside){.credentials = STR("{\"k\":\"again\"}")},
                     on_revived, &r);
    while (!r.is_over) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return r.found;
}

/* One whose row was deleted meanwhile stays deleted, and leaves nothing behind. */
START_TEST(a_deleted_job_is_not_revived)
{
    struct job_record j = make_job(JOB_QUEUED);
    struct answer deleted = {0};
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_failed(&j);
    store_end_attempt(store, &j, NULL, STR(""), NULL, NULL, NULL, NULL);
    j.state = JOB_QUEUED;
    ck_assert(revive(&j));
    stored_as(&j);
    ck_assert_int_eq(rows_in("credentials"), 1);
    counts_are(1, 0, 0, 0, 0);
    j.state = JOB_FAILED;
    j.credentials = 1;
    store_end_attempt(store, &j, NULL, STR(""), NULL, NULL, NULL, NULL);
    store_delete(store, j.seq, on_kept, &deleted);
    ck_assert_int_eq(wait_for(&deleted), ERR_NONE);
    j.state = JOB_QUEUED;
    ck_assert(!revive(&j));
    ck_assert_int_eq(rows_in("credentials"), 0);
    ck_assert_int_eq(rows_in("jobs"), 0);
    counts_are(0, 0, 0, 0, 0);
    job_record_done(&j);
}
END_TEST

/* A batch keeps its own until its end is told; a job of it that is tried again has its own. */
START_TEST(account_keys_of_a_batch)
{
    struct batch_record b = {.total = 1, .client = mem_strdup("ann")};
    uuid_v7((struct wall_us){1}, b.id);
    struct job_record j = make_job(JOB_QUEUED);
    memcpy(j.batch_id, b.id, sizeof j.batch_id);
    j.credentials = 1;
    const struct job_record *jobs[] = {&j};
    struct answer done[4] = {{0}};
    store_insert_batch(store, &b, jobs, 1, STR("{}"), STR("{}"), NULL,
                       &(struct store_beside){.credentials = STR("{\"k\":\"of-the-batch\"}")},
                       on_done, &done[0]);
    ck_assert_int_eq(wait_for(&done[0]), ERR_NONE);
    end_keyed(&j, &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_NONE);
    reopen();
    struct store_batch found;
    ck_assert_int_eq(store_load_batch(store, b.id, &found), ERR_NONE);
    ck_assert_str_eq(found.credentials, "{\"k\":\"of-the-batch\"}");
    ck_assert_str_eq(found.r.client, "ann");
    store_batch_done(&found);
    store_end_batch(store, b.id, NULL, on_kept, &done[2]);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    j.state = JOB_QUEUED;
    store_update_job(store, &j,
                     &(struct store_beside){.credentials = STR("{\"k\":\"of-the-job\"}")}, on_kept,
                     &done[3]);
    ck_assert_int_eq(wait_for(&done[3]), ERR_NONE);
    close_store();
    size_t log = 0;
    ck_assert_int_eq(finds("of-the-batch", &log), 0);
    ck_assert_int_gt(finds("of-the-job", &log), 0);
    open_store();
    batch_record_done(&b);
    job_record_done(&j);
}
END_TEST

/* ---- who has sent a file --------------------------------------------------------------------- */

START_TEST(a_file_has_owners)
{
    struct upload_record u[2] = {{"aa", 5, {1}}, {"bb", 6, {2}}};
    const struct owner_record ann = {"aa", (char[]){"ann"}};
    const struct owner_record bob = {"aa", (char[]){"bob"}};
    const struct owner_record nobody = {"bb", (char[]){""}};
    store_put_upload(store, &u[0]);
    store_put_upload(store, &u[1]);
    store_put_owner(store, &ann, NULL, NULL);
    store_put_owner(store, &ann, NULL, NULL);
    store_put_owner(store, &bob, NULL, NULL);
    store_put_owner(store, &nobody, NULL, NULL);
    store_put_upload(store, &u[0]); /* it was used */
    reopen();
    owners_are("aa=ann aa=bob bb= ");
    store_delete_owner(store, &ann, NULL, NULL);
    reopen();
    owners_are("aa=bob bb= ");
    store_delete_upload(store, "aa");
    reopen();
    owners_are("bb= ");
}
END_TEST

Suite *store_keep_suite(void)
{
    Suite *suite = suite_create("store: keep");
    TCase *open = tcase_create("open");
    tcase_add_checked_fixture(open, set_up, tear_down);
    tcase_add_test(open, a_key_comes_with_its_job);
    tcase_add_test(open, a_key_lives_for_a_day);
    tcase_add_test(open, old_keys_are_pruned);
    tcase_add_test(open, a_stray_is_there_until_it_ends);
    tcase_add_test(open, a_stray_is_told_by_its_prompt);
    tcase_add_test(open, a_stray_that_went_well_ends_its_job);
    tcase_add_test(open, a_stray_outlives_its_job);
    tcase_add_test(open, a_failed_job_is_queued_again);
    tcase_add_test(open, a_deleted_job_is_not_revived);
    tcase_add_test(open, a_job_is_loaded_with_its_workflow);
    tcase_add_test(open, attempts_come_in_order);
    tcase_add_test(open, backends_are_kept);
    tcase_add_test(open, settings_are_kept);
    tcase_add_test(open, a_file_has_owners);
    tcase_set_timeout(open, 60);
    tcase_add_test(open, account_keys_leave_with_the_job);
    tcase_add_test(open, account_keys_of_a_batch);
    suite_add_tcase(suite, open);
    TCase *hard = tcase_create("hard");
    tcase_add_checked_fixture(hard, make_dir, remove_dir);
    tcase_set_timeout(hard, 30);
    tcase_add_test(hard, a_full_disk_keeps_all_but_inserts);
    tcase_add_test(hard, a_full_disk_refuses_a_batch_at_once);
    suite_add_tcase(suite, hard);
    return suite;
}
