/* Pages of profiles, the runs of a baseline, and deliveries of webhooks. */
#include "store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/profiles.h"
#include "comfypool/store/store.h"
#include "comfypool/store/finds.h"

/* ---- profiles -------------------------------------------------------------------------------- */

/* A job that ended as this says; its profile is {"seq":N}. */
struct ended {
    enum job_state state;
    int64_t completed_at;
    const char *backend;
    const char *cost_key;
    int executed;
    bool not_profiled;
};

static void end_one(const struct ended *e)
{
    struct job_record j = make_job(JOB_QUEUED);
    j.profiled = !e->not_profiled;
    (void)snprintf(j.cost_key, sizeof j.cost_key, "%s", e->cost_key);
    ck_assert_int_eq(insert(&j), ERR_NONE);
    set_running(&j);
    free(j.backend);
    j.backend = mem_strdup(e->backend);
    struct attempt_record a = make_attempt(&j);
    j.state = e->state;
    j.completed_at.us = e->completed_at;
    j.executed = e->executed;
    char profile[32];
    const int n = snprintf(profile, sizeof profile, "{\"seq\":%d}", (int)j.seq);
    struct answer done = {0};
    store_end_attempt(store, &j, &a, (struct str){profile, e->not_profiled ? 0 : (size_t)n}, NULL,
                      NULL, on_kept, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    attempt_record_done(&a);
    job_record_done(&j);
}

/* Cost keys of two structures; in the first, two different costs. */
static const char A1[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111";
static const char A2[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-2222222222222222";
static const char B1[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab-1111111111111111";

struct rows {
    bool came;
    enum err error;
    bool more;
    struct profile_place last;
    struct buf seqs; /* "1 2 3 " */
};

static void note_rows(void *ctx, enum err e, const struct profile_row *list, size_t n, bool more,
                      struct profile_place last)
{
    struct rows *r = ctx;
    r->came = true;
    r->error = e;
    r->more = more;
    r->last = last;
    for (size_t i = 0; i < n; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "{\"seq\":%d}", (int)list[i].seq);
        ck_assert(list[i].json.n > 64 || str_is(list[i].json, want));
        ck_assert_uint_eq(strlen(list[i].job_id), UUID_TEXT);
        buf_printf(&r->seqs, "%d ", (int)list[i].seq);
    }
}

static void wait_for_rows(struct rows *r)
{
    while (!r->came) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(r->error, ERR_NONE);
    r->came = false;
}

static void page_is(const struct profile_query *q, const char *want)
{
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list_profiles(store, q, (struct profile_place){.seq = 0}, NULL, note_rows, &r);
    wait_for_rows(&r);
    ck_assert(!r.more);
    ck_assert_str_eq(buf_text(&r.seqs), want);
    buf_done(&r.seqs);
}

static const struct ended six[] = {
    {JOB_COMPLETED, 30, "one", A1, 3, false}, {JOB_COMPLETED, 10, "two", A1, 3, false},
    {JOB_FAILED, 20, "one", A1, 3, false},    {JOB_COMPLETED, 20, "one", A2, 1, false},
    {JOB_COMPLETED, 40, "one", B1, 1, false}, {JOB_COMPLETED, 50, "two", A1, 0, true},
};

static void end_six(void)
{
    for (size_t i = 0; i < sizeof six / sizeof *six; i++) {
        end_one(&six[i]);
    }
}

START_TEST(pages_are_in_order_of_their_end)
{
    end_six();
    page_is(&(struct profile_query){{0}, {100}, "", "", NULL}, "2 3 4 1 5 ");
    page_is(&(struct profile_query){{20}, {40}, "", "", NULL}, "3 4 1 ");
    page_is(&(struct profile_query){{0}, {100}, "", "two", NULL}, "2 ");
    page_is(&(struct profile_query){{41}, {100}, "", "", NULL}, "");
    char hash[DIGEST_HEX_SIZE];
    memset(hash, 'a', sizeof hash - 1); /* as make_job has it */
    hash[sizeof hash - 1] = '\0';
    page_is(&(struct profile_query){{0}, {100}, hash, "one", NULL}, "3 4 1 5 ");
    hash[0] = 'b';
    page_is(&(struct profile_query){{0}, {100}, hash, "", NULL}, "");
}
END_TEST

/* Every job once, over pages that end in the middle of a moment. */
START_TEST(pages_join)
{
    struct ended e = six[0];
    for (int i = 0; i < 150; i++) {
        e.completed_at = 100 - i / 40; /* some at one moment, later ones first */
        end_one(&e);
    }
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    int pages = 0;
    do {
        store_list_profiles(store, &(struct profile_query){{0}, {1000}, "", "", NULL}, r.last, NULL,
                            note_rows, &r);
        wait_for_rows(&r);
        pages++;
    } while (r.more && pages < 100);
    ck_assert_int_gt(pages, 2);
    AUTO_BUF struct buf want;
    buf_init(&want, BUF_NO_LIMIT);
    for (int moment = 3; moment >= 0; moment--) {
        for (int i = 40 * moment; i < 40 * moment + 40 && i < 150; i++) {
            buf_printf(&want, "%d ", i + 1);
        }
    }
    ck_assert_str_eq(buf_text(&r.seqs), buf_text(&want));
    buf_done(&r.seqs);
}
END_TEST

static void baseline_is(const char *key, const char *backend, int64_t except, unsigned limit,
                        const char *want)
{
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list_baseline(store, &(struct baseline_query){key, backend, except, limit, NULL}, NULL,
                        note_rows, &r);
    wait_for_rows(&r);
    ck_assert_str_eq(buf_text(&r.seqs), want);
    buf_done(&r.seqs);
}

START_TEST(a_baseline_is_of_runs_that_cost_the_same)
{
    end_six();
    char structure[WORKFLOW_KEY_PREFIX + 1];
    (void)snprintf(structure, sizeof structure, "%.*s", WORKFLOW_KEY_PREFIX, A1);
    baseline_is(A1, "", 0, 20, "1 2 ");
    baseline_is(A1, "two", 0, 20, "2 ");
    baseline_is(A1, "", 1, 20, "2 "); /* never itself */
    baseline_is(A2, "", 0, 20, "4 ");
    baseline_is(structure, "", 0, 20, "1 4 2 ");
    baseline_is(structure, "", 0, 2, "1 4 ");
    baseline_is(structure, "one", 4, 2, "1 ");
    baseline_is("cccccccccccccccccccccccccccccccc", "", 0, 20, "");
}
END_TEST

/* ---- deliveries ------------------------------------------------------------------------------ */

static struct delivery_record delivery(const char *type, int64_t at)
{
    struct delivery_record d = {
        .type = mem_strdup(type),
        .url = mem_strdup("https://example.org/"),
        .host = mem_strdup(at == 300 ? "elsewhere:80" : "example.org:443"),
        .secret = mem_strdup("whsec_c2VjcmV0"),
        .body = mem_strdup("{\"type\":\"job:queued\"}"),
        .made_at = {at},
        .next_at = {at},
    };
    uuid_v7((struct wall_us){at * 1000}, d.id);
    uuid_v7((struct wall_us){1}, d.job_id);
    return d;
}

static void note_due(void *ctx, struct delivery_record *d)
{
    ck_assert_ptr_null(d->body);
    ck_assert_str_eq(d->url, "https://example.org/");
    buf_printf(ctx, "%s %d %d %s|", d->type, (int)d->state, (int)d->tries,
               d->last_error == NULL ? "-" : d->last_error);
}

static void note_host(void *ctx, const char *host)
{
    buf_printf(ctx, "%s|", host);
}

static void due_are(const char *host, unsigned limit, const char *want)
{
    AUTO_BUF struct buf got;
    buf_init(&got, BUF_NO_LIMIT);
    static const struct wall_us never = {INT64_MAX};
    bool later = true;
    ck_assert_int_eq(store_load_due(store, host, never, limit, note_due, &got, &later), ERR_NONE);
    ck_assert_str_eq(buf_text(&got), want);
    ck_assert(!later);
    /* What is due later is told as that. */
    const struct wall_us at_once = {0};
    buf_clear(&got);
    ck_assert_int_eq(store_load_due(store, host, at_once, limit, note_due, &got, &later), ERR_NONE);
    ck_assert_uint_eq(got.len, 0);
    ck_assert_int_eq(later, want[0] != '\0');
}

static void note_listed(void *ctx, enum err e, const struct delivery_record *list, size_t n)
{
    ck_assert_int_eq(e, ERR_NONE);
    struct rows *r = ctx;
    r->came = true;
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_null(list[i].body);
        buf_printf(&r->seqs, "%d:%s ", (int)list[i].n, list[i].type);
    }
}

static void listed_are(unsigned mask, int64_t before, unsigned limit, const char *want)
{
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list_deliveries(store, NULL, mask, before, limit, note_listed, &r);
    wait_for_rows(&r);
    ck_assert_str_eq(buf_text(&r.seqs), want);
    buf_done(&r.seqs);
}

START_TEST(deliveries_are_written_with_what_they_tell)
{
    struct delivery_record d[3] = {delivery("a", 300), delivery("b", 100), delivery("c", 200)};
    const struct store_beside two = {.deliveries = d, .deliveries_len = 2};
    struct job_record j = make_job(JOB_QUEUED);
    struct answer done[3] = {{0}};
    store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL, &two, on_done, &done[0]);
    ck_assert_int_eq(wait_for(&done[0]), ERR_NONE);
    /* One that is refused leaves none. */
    store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL,
                 &(struct store_beside){.deliveries = &d[2], .deliveries_len = 1}, on_done,
                 &done[1]);
    ck_assert_int_eq(wait_for(&done[1]), ERR_STORE_UNAVAILABLE);
    ck_assert_int_eq(rows_in("deliveries"), 2);
    set_running(&j);
    struct attempt_record a = make_attempt(&j);
    store_add_deliveries(store, &(struct store_beside){.deliveries_len = 0}, NULL, NULL);
    store_begin_attempt(store, &j, &a,
                        &(struct store_beside){.deliveries = &d[2], .deliveries_len = 1}, on_kept,
                        &done[2]);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    due_are("example.org:443", 10, "b 0 0 -|c 0 0 -|");
    due_are("example.org:443", 1, "b 0 0 -|");
    due_are("elsewhere:80", 2, "a 0 0 -|");
    AUTO_BUF struct buf hosts;
    buf_init(&hosts, BUF_NO_LIMIT);
    ck_assert_int_eq(store_load_due_hosts(store, note_host, &hosts), ERR_NONE);
    ck_assert_str_eq(buf_text(&hosts), "elsewhere:80|example.org:443|");
    struct delivery_record got;
    ck_assert_int_eq(store_get_delivery(store, d[0].id, &got), ERR_NONE);
    ck_assert_str_eq(got.body, d[0].body);
    ck_assert_str_eq(got.secret, d[0].secret);
    ck_assert_str_eq(got.job_id, d[0].job_id);
    delivery_record_done(&got);
    ck_assert_int_eq(store_get_delivery(store, "nobody", &got), ERR_DELIVERY_NOT_FOUND);
    for (int i = 0; i < 3; i++) {
        delivery_record_done(&d[i]);
    }
    attempt_record_done(&a);
    job_record_done(&j);
}
END_TEST

static void insert_deliveries(struct delivery_record *d, size_t n)
{
    struct job_record j = make_job(JOB_QUEUED);
    struct answer done = {0};
    store_insert(store, &j, str_of(WORKFLOW), STR(""), NULL,
                 &(struct store_beside){.deliveries = d, .deliveries_len = n}, on_done, &done);
    ck_assert_int_eq(wait_for(&done), ERR_NONE);
    job_record_done(&j);
}

START_TEST(deliveries_go_on_until_they_are_over)
{
    struct delivery_record d[4] = {delivery("a", 1), delivery("b", 2), delivery("c", 3),
                                   delivery("d", 4)};
    insert_deliveries(d, 4);
    struct answer done[3] = {{0}};
    d[0].state = DELIVERY_FAILING;
    d[0].tries = 2;
    d[0].next_at.us = 50;
    d[0].last_status = 503;
    d[0].last_error = mem_strdup("HTTP 503");
    store_update_delivery(store, &d[0], on_kept, &done[0]);
    d[1].state = DELIVERY_DEAD;
    d[1].next_at = time_wall();
    store_update_delivery(store, &d[1], on_kept, &done[1]);
    store_delete_delivery(store, d[2].id, on_kept, &done[2]);
    ck_assert_int_eq(wait_for(&done[2]), ERR_NONE);
    close_store();
    open_store();
    due_are("example.org:443", 10, "d 0 0 -|a 1 2 HTTP 503|");
    listed_are((1u << DELIVERY_STATE_COUNT) - 1, 0, 10, "2:b 1:a 4:d ");
    listed_are(1u << DELIVERY_DEAD | 1u << DELIVERY_FAILING, 0, 10, "2:b 1:a ");
    d[0].n = 1;
    d[1].n = 2;
    listed_are((1u << DELIVERY_STATE_COUNT) - 1, store_delivery_cursor(&d[1]), 1, "1:a ");
    listed_are((1u << DELIVERY_STATE_COUNT) - 1, store_delivery_cursor(&d[0]), 2, "4:d ");
    d[3].n = 4;
    listed_are((1u << DELIVERY_STATE_COUNT) - 1, store_delivery_cursor(&d[3]), 2, "");
    int64_t waiting = 0;
    ck_assert_int_eq(store_count_waiting(store, &waiting), ERR_NONE);
    ck_assert_int_eq(waiting, 2); /* one is dead */
    for (int i = 0; i < 4; i++) {
        delivery_record_done(&d[i]);
    }
}
END_TEST

static void note_pruned(void *ctx, unsigned deleted, bool more)
{
    (void)deleted;
    (void)more;
    *(bool *)ctx = true;
}

START_TEST(dead_ones_are_kept_for_a_week)
{
    struct delivery_record d[3] = {delivery("old", 1), delivery("new", 2), delivery("due", 3)};
    const int64_t now = time_wall().us;
    const int64_t day = INT64_C(86400) * 1000000;
    d[0].state = d[1].state = DELIVERY_DEAD;
    d[0].next_at.us = now - 7 * day - 1000000;
    d[1].next_at.us = now - 6 * day;
    d[2].next_at.us = now - 30 * day; /* still to be tried */
    insert_deliveries(d, 3);
    bool pruned = false;
    store_prune(store, (struct wall_us){0}, INT64_MAX, note_pruned, &pruned);
    while (!pruned) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    listed_are((1u << DELIVERY_STATE_COUNT) - 1, 0, 10, "2:new 3:due ");
    for (int i = 0; i < 3; i++) {
        delivery_record_done(&d[i]);
    }
}
END_TEST

/* ---- of one client --------------------------------------------------------------------------- */

static void note_jobs(void *ctx, enum err e, struct job_record *jobs, size_t n)
{
    struct rows *r = ctx;
    r->came = true;
    r->error = e;
    for (size_t i = 0; i < n; i++) {
        buf_printf(&r->seqs, "%d ", (int)jobs[i].seq);
    }
}

static void jobs_are(const struct job_query *q, const char *want)
{
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list(store, q, note_jobs, &r);
    wait_for_rows(&r);
    ck_assert_str_eq(buf_text(&r.seqs), want);
    buf_done(&r.seqs);
}

static void client_is(enum store_owned what, const char *id, enum err error, const char *want)
{
    AUTO_FREE char *client = NULL;
    ck_assert_int_eq(store_get_client(store, what, id, &client), error);
    ck_assert_str_eq(client == NULL ? "-" : client, want);
}

/* Jobs 1 to 6 are ann's and bob's in turn. */
static void insert_of_two(void)
{
    end_six();
    sqlite3 *db = open_database();
    ck_assert_int_eq(sqlite3_exec(db,
                                  "UPDATE jobs SET client = iif(seq % 2 = 1, 'ann', 'bob');"
                                  "UPDATE jobs SET client = NULL WHERE seq = 6",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(what_is_of_one_client)
{
    insert_of_two();
    jobs_are(&(struct job_query){31, "", NULL, 0, 10}, "6 5 4 3 2 1 ");
    jobs_are(&(struct job_query){31, "", "ann", 0, 10}, "5 3 1 ");
    jobs_are(&(struct job_query){31, "", "ann", 5, 1}, "3 ");
    jobs_are(&(struct job_query){1u << JOB_COMPLETED, "", "bob", 0, 10}, "4 2 ");
    jobs_are(&(struct job_query){1u << JOB_FAILED, "", "bob", 0, 10}, "");
    jobs_are(&(struct job_query){31, "", "an", 0, 10}, "");
    jobs_are(&(struct job_query){31, "", "' OR 1 --", 0, 10}, "");
    page_is(&(struct profile_query){{0}, {100}, "", "", "ann"}, "3 1 5 ");
    page_is(&(struct profile_query){{0}, {100}, "", "one", "bob"}, "4 ");
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list_baseline(store, &(struct baseline_query){A1, "", 0, 20, "bob"}, NULL, note_rows, &r);
    wait_for_rows(&r);
    ck_assert_str_eq(buf_text(&r.seqs), "2 ");
    buf_done(&r.seqs);
    client_is(STORE_JOB, "nobody", ERR_JOB_NOT_FOUND, "-");
    client_is(STORE_BATCH, "nobody", ERR_BATCH_NOT_FOUND, "-");
    client_is(STORE_DELIVERY, "nobody", ERR_DELIVERY_NOT_FOUND, "-");
}
END_TEST

START_TEST(deliveries_of_one_client)
{
    struct delivery_record d[3] = {delivery("a", 1), delivery("b", 2), delivery("c", 3)};
    d[0].client = mem_strdup("ann");
    d[2].client = mem_strdup("ann");
    d[2].state = DELIVERY_DEAD;
    d[2].next_at = time_wall();
    insert_deliveries(d, 3);
    struct rows r = {.came = false};
    buf_init(&r.seqs, BUF_NO_LIMIT);
    store_list_deliveries(store, "ann", 15, 0, 10, note_listed, &r);
    wait_for_rows(&r);
    store_list_deliveries(store, "bob", 15, 0, 10, note_listed, &r);
    wait_for_rows(&r);
    d[2].n = 3;
    store_list_deliveries(store, "ann", 15, store_delivery_cursor(&d[2]), 10, note_listed, &r);
    wait_for_rows(&r);
    ck_assert_str_eq(buf_text(&r.seqs), "3:c 1:a 1:a ");
    buf_done(&r.seqs);
    client_is(STORE_DELIVERY, d[0].id, ERR_NONE, "ann");
    client_is(STORE_DELIVERY, d[1].id, ERR_NONE, "-");
    for (int i = 0; i < 3; i++) {
        delivery_record_done(&d[i]);
    }
}
END_TEST

/* So many of somebody else's are of no account: a look at each of them would take a minute. */
START_TEST(a_list_costs_its_own_rows)
{
    enum { LOOKS = 2000 };
    insert_of_two();
    sqlite3 *db = open_database();
    const int rc = sqlite3_exec(
        db,
        "INSERT INTO jobs (seq, id, state, priority, queued_at, started_at, completed_at, "
        "attempts, max_attempts, cut_off, nodes_total, profiled, cancel_requested, partial, "
        "workflow_hash, client) "
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
        "SELECT i, 'x' || i, i % 5, 0, 1, 1, 60, 1, 1, 0, 1, 1, 0, 0, 'h', 'eve' FROM n",
        NULL, NULL, NULL);
    ck_assert_msg(rc == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    const struct mono_us began = time_mono();
    for (int i = 0; i < LOOKS; i++) {
        jobs_are(&(struct job_query){31, "", "ann", 0, 10}, "5 3 1 ");
        page_is(&(struct profile_query){{0}, {100}, "", "", "ann"}, "3 1 5 ");
    }
    ck_assert_int_lt(mono_diff(time_mono(), began).us, 10000000);
}
END_TEST

Suite *store_lists_suite(void)
{
    Suite *suite = suite_create("store: lists");
    TCase *tcase = tcase_create("lists");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, pages_are_in_order_of_their_end);
    tcase_add_test(tcase, pages_join);
    tcase_add_test(tcase, a_baseline_is_of_runs_that_cost_the_same);
    tcase_add_test(tcase, deliveries_are_written_with_what_they_tell);
    tcase_add_test(tcase, deliveries_go_on_until_they_are_over);
    tcase_add_test(tcase, dead_ones_are_kept_for_a_week);
    tcase_add_test(tcase, what_is_of_one_client);
    tcase_add_test(tcase, deliveries_of_one_client);
    tcase_add_test(tcase, a_list_costs_its_own_rows);
    suite_add_tcase(suite, tcase);
    return suite;
}
