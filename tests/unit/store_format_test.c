/*
 * What lies on disk: a store of each older format is brought up to date with all that is in it, and
 * a write-ahead log that ends anywhere (or is damaged from anywhere on) leaves a beginning of what
 * was committed: each transaction is there as a whole, or neither it nor any later one.
 *
 * "The same" is judged by a text of all rows of all tables, read with a connection of the test's
 * own.
 */
#include "store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comfypool/core/credentials.h"
#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/profiles.h"
#include "comfypool/store/rollups.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"
#include "comfypool/store/uploads.h"
#include "suites.h"
#include "comfypool/store/finds.h"

/* ---- files ----------------------------------------------------------------------------------- */

static void read_into(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    char piece[65536];
    size_t n = 0;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        buf_add(out, piece, n);
    }
    ck_assert_int_eq(fclose(f), 0);
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_bytes(const char *name, const char *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

/* ---- older formats --------------------------------------------------------------------------- */

static void make_old(const char *sample)
{
    AUTO_BUF struct buf sql;
    buf_init(&sql, BUF_NO_LIMIT);
    read_into(sample, &sql);
    sqlite3 *db = open_database();
    ck_assert_msg(sqlite3_exec(db, buf_text(&sql), NULL, NULL, NULL) == SQLITE_OK, "%s",
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* What becomes of a job of the sample. */
static const struct old_row {
    const char *id;
    enum job_state state;
    int priority;
    int64_t queued_at;
    unsigned attempts;
    int64_t max_attempts;
    unsigned cut_off;
    size_t attempt_rows;
    enum err error;
} old_rows[] = {
    {"0199aaaa-0000-7000-8000-000000000001", JOB_COMPLETED, 5, 1700000000000001, 2, 7, 0, 2,
     ERR_NONE},
    {"0199aaaa-0000-7000-8000-000000000002", JOB_QUEUED, -3, 1700000000000101, 0, 3, 0, 0,
     ERR_NONE},
    {"0199aaaa-0000-7000-8000-000000000003", JOB_RUNNING, 0, 1700000000000201, 2, 1, 1, 2,
     ERR_NONE},
    {"0199aaaa-0000-7000-8000-000000000004", JOB_FAILED, 0, 1700000000000301, 1, 3, 0, 1,
     ERR_NODE_FAILED},
};

/* What no format before the third had. */
static void is_plain(const char *id, const struct job_record *j)
{
    ck_assert_msg(j->cost_key[0] == '\0' && j->executed == -1 && j->trace == NULL &&
                      j->hook.url == NULL && j->hook.events == 0 && j->hook.secret == NULL,
                  "%s", id);
}

static void is_migrated(const struct old_row *r, const struct job_record *j)
{
    struct job_policy policy = job_policy_default();
    policy.max_attempts = r->max_attempts;
    ck_assert_msg(j->state == r->state && j->priority == r->priority, "%s", r->id);
    ck_assert_msg(j->queued_at.us == r->queued_at && j->waiting_since.us == r->queued_at &&
                      j->budget_since.us == r->queued_at,
                  "%s: times", r->id);
    ck_assert_msg(j->attempts == r->attempts && j->lost_by_restart == r->cut_off &&
                      j->free_attempts == r->cut_off && j->oom == 0 && j->left_dead == 0,
                  "%s: attempts", r->id);
#define X(symbol, name, member, least, most, value)                                                \
    ck_assert_msg(j->policy.member == policy.member, "%s: %s", r->id, name);
    JOB_POLICY_TABLE(X)
#undef X
    if (r->state == JOB_COMPLETED) { /* nobody asks for it any more */
        policy.retry_on &= ~(1u << RETRY_SERVER_FAULT);
    }
    ck_assert_msg(j->policy.retry_on == policy.retry_on, "%s: retryOn", r->id);
    ck_assert_msg(j->error.code == r->error, "%s: error", r->id);
    is_plain(r->id, j);
}

static void attempts_are_migrated(const struct old_row *r, int64_t seq)
{
    struct attempt_record *list = NULL;
    size_t len = 0;
    ck_assert_int_eq(store_get_attempts(store, seq, &list, &len), ERR_NONE);
    ck_assert_msg(len == r->attempt_rows, "%s: %zu attempts", r->id, len);
    for (size_t i = 0; i < len; i++) {
        ck_assert_msg(list[i].late == ATTEMPT_OPEN && list[i].number == i + 1, "%s", r->id);
        ck_assert_ptr_nonnull(list[i].backend_url);
        attempt_record_done(&list[i]);
    }
    free(list);
}

START_TEST(format_1_is_brought_up_to_date)
{
    make_old("tests/samples/store_format_1.sql");
    for (int round = 0; round < 2; round++) { /* the second one finds nothing to do */
        open_store();
        for (size_t i = 0; i < sizeof old_rows / sizeof *old_rows; i++) {
            struct job_record j = {0};
            ck_assert_int_eq(store_get_job(store, str_of(old_rows[i].id), &j), ERR_NONE);
            is_migrated(&old_rows[i], &j);
            attempts_are_migrated(&old_rows[i], j.seq);
            job_record_done(&j);
        }
        counts_are(1, 1, 1, 1, 0);
        ck_assert_int_eq(active_jobs(), 2);
        AUTO_BUF struct buf text;
        buf_init(&text, BUF_NO_LIMIT);
        ck_assert_int_eq(store_get_profile(store, 1, 1, &text), ERR_NONE);
        ck_assert_int_eq(store_get_profile(store, 1, 2, &text), ERR_NONE);
        ck_assert_int_eq(store_get_workflow(store, 2, &text), ERR_NONE);
        ck_assert_str_eq(buf_text(&text), "{\"attempt\":1}{\"attempt\":2}{\"2\":{\"inputs\":{}}}");
        close_store();
    }
    open_store();
}
END_TEST

static void take_stray(void *ctx, struct stray_record *r)
{
    *(struct stray_record *)ctx = *r;
    *r = (struct stray_record){.seq = 0};
}

static void take_backend(void *ctx, struct backend_record *r)
{
    *(struct backend_record *)ctx = *r;
    *r = (struct backend_record){.name = NULL};
}

/* What the second format brought is as it was left. */
static void policies_are_kept(void)
{
    struct job_record j = {0};
    ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000001"), &j),
                     ERR_NONE);
    ck_assert(j.state == JOB_COMPLETED && j.policy.retry_delay_ms == 250 &&
              j.policy.queue_timeout_ms == 11 && j.policy.start_timeout_ms == 12 &&
              j.policy.node_timeout_ms == 13 && j.policy.job_timeout_ms == 14 &&
              j.policy.retry_on == 3 && j.policy.max_attempts == 7);
    is_plain("1", &j);
    job_record_done(&j);
    ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000002"), &j),
                     ERR_NONE);
    ck_assert(j.state == JOB_QUEUED && j.waiting_since.us == 1700000000000150 &&
              j.budget_since.us == 1700000000000101 && j.free_attempts == 1);
    is_plain("2", &j);
    job_record_done(&j);
    struct attempt_record *list = NULL;
    size_t len = 0;
    ck_assert_int_eq(store_get_attempts(store, 3, &list, &len), ERR_NONE);
    ck_assert(len == 1 && list[0].late == ATTEMPT_COMPLETED &&
              list[0].outcome == ATTEMPT_TIMED_OUT);
    attempt_record_done(&list[0]);
    free(list);
}

START_TEST(format_2_is_brought_up_to_date)
{
    make_old("tests/samples/store_format_2.sql");
    for (int round = 0; round < 2; round++) {
        open_store();
        policies_are_kept();
        counts_are(1, 0, 1, 1, 0);
        struct stray_record r = {.seq = 0};
        ck_assert_int_eq(store_load_strays(store, take_stray, &r), ERR_NONE);
        ck_assert(r.holds_slot && r.seq == 3 && r.number == 1);
        stray_record_done(&r);
        struct backend_record b = {.name = NULL};
        ck_assert_int_eq(store_load_backends(store, take_backend, &b), ERR_NONE);
        ck_assert_str_eq(b.url, "http://u:p@h:3");
        ck_assert_str_eq(b.labels, "[\"gpu=4090\"]");
        backend_record_done(&b);
        AUTO_FREE char *paused = NULL;
        ck_assert_int_eq(store_load_setting(store, "queue.paused", &paused), ERR_NONE);
        ck_assert_str_eq(paused, "true");
        struct key_record k = {.key = NULL};
        ck_assert_int_eq(store_get_key(store, "/order-1", (struct wall_us){1700000000000002}, &k),
                         ERR_NONE);
        ck_assert_str_eq(k.digest, "d1");
        key_record_done(&k);
        close_store();
    }
    open_store();
}
END_TEST

static void take_due(void *ctx, struct delivery_record *d)
{
    *(struct delivery_record *)ctx = *d;
    *d = (struct delivery_record){.n = 0};
}

START_TEST(format_3_is_brought_up_to_date)
{
    make_old("tests/samples/store_format_3.sql");
    for (int round = 0; round < 2; round++) {
        open_store();
        struct job_record j = {0};
        ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000001"), &j),
                         ERR_NONE);
        ck_assert_str_eq(j.cost_key, "aaaa");
        ck_assert(j.executed == 3 && j.hook.events == 3);
        ck_assert_str_eq(j.hook.secret, "whsec_eA==");
        ck_assert_msg(j.client == NULL && j.batch_id[0] == '\0' && j.not_before.us == 0 &&
                          j.after == NULL && j.spec == NULL && j.attachments == NULL &&
                          j.overrides == NULL && j.auto_seeds == NULL && j.placement == NULL &&
                          !j.keep,
                      "what only the fourth format has");
        job_record_done(&j);
        struct delivery_record d = {.n = 0};
        bool later = false;
        ck_assert_int_eq(store_load_due(store, "h:443", (struct wall_us){1700000000000003}, 9,
                                        take_due, &d, &later),
                         ERR_NONE);
        ck_assert_uint_eq(d.last_status, 500);
        delivery_record_done(&d);
        counts_are(1, 0, 1, 1, 0);
        close_store();
    }
    open_store();
}
END_TEST

START_TEST(format_4_is_brought_up_to_date)
{
    make_old("tests/samples/store_format_4.sql");
    for (int round = 0; round < 2; round++) {
        open_store();
        struct job_record j = {0};
        ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000001"), &j),
                         ERR_NONE);
        ck_assert_str_eq(j.client, "ann");
        ck_assert_msg(j.faults == 0 && j.faulted_on == NULL && j.result_of == 0,
                      "what only the fifth format has");
        ck_assert_uint_eq(j.policy.retry_on, 3); /* as it asked */
        job_record_done(&j);
        ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000002"), &j),
                         ERR_NONE);
        ck_assert_uint_eq(j.policy.retry_on, job_policy_default().retry_on);
        job_record_done(&j);
        struct stray_record r = {.seq = 0};
        ck_assert_int_eq(store_load_strays(store, take_stray, &r), ERR_NONE);
        ck_assert(r.number == 1 && r.holds_slot && !r.stopped && !r.silent && !r.started);
        stray_record_done(&r);
        counts_are(1, 0, 1, 1, 0);
        close_store();
    }
    open_store();
}
END_TEST

/* In the database, or its log. */
static bool lies_about(const char *word)
{
    bool found = false;
    static const char *const files[] = {"comfypoold.db", "comfypoold.db-wal"};
    for (size_t i = 0; i < 2; i++) {
        if (access(path_of(files[i]), R_OK) == 0) {
            AUTO_BUF struct buf b;
            buf_init(&b, BUF_NO_LIMIT);
            read_into(path_of(files[i]), &b);
            found = found || (b.len > 0 && memmem(b.data, b.len, word, strlen(word)) != NULL);
        }
    }
    return found;
}

static void client_of_is(enum store_owned what, const char *id, const char *want)
{
    AUTO_FREE char *client = NULL;
    ck_assert_int_eq(store_get_client(store, what, id, &client), ERR_NONE);
    ck_assert_msg(strcmp(client == NULL ? "-" : client, want) == 0, "%s: %s", id, client);
}

static void note_an_owner(void *ctx, const struct owner_record *r)
{
    buf_printf(ctx, "%s=%s ", r->sha256, r->client);
}

#define EXTRA(key, token)                                                                          \
    "{\"a\" : 1, \"api_key_comfy_org\": " key ", \"n\": 18446744073709551615, "                    \
    "\"auth_token_comfy_org\":" token "}"

/* What an active job has of its own: its extra data, its keys, its bits. */
static void note_active(void *ctx, struct store_active *a)
{
    buf_printf(ctx, "%d %s %s %x\n", (int)a->job.seq, a->extra_data == NULL ? "-" : a->extra_data,
               a->credentials == NULL ? "-" : a->credentials, a->job.credentials);
}

static void note_batch(void *ctx, struct store_batch *b)
{
    buf_printf(ctx, "%s %s %s %s\n", b->r.id + 35, b->extra_data, b->credentials, b->r.client);
}

START_TEST(format_5_is_brought_up_to_date)
{
    make_old("tests/samples/store_format_5.sql");
    ck_assert(lies_about("old-key-ended"));
    for (int round = 0; round < 2; round++) {
        open_store();
        client_of_is(STORE_BATCH, "0199cccc-0000-7000-8000-000000000001", "ann");
        client_of_is(STORE_BATCH, "0199cccc-0000-7000-8000-000000000002", "bob");
        client_of_is(STORE_DELIVERY, "0199dddd-0000-7000-8000-000000000002", "ann");
        client_of_is(STORE_DELIVERY, "0199dddd-0000-7000-8000-000000000003", "bob");
        client_of_is(STORE_DELIVERY, "0199dddd-0000-7000-8000-000000000004", "-");
        client_of_is(STORE_DELIVERY, "0199dddd-0000-7000-8000-000000000005", "-");
        AUTO_BUF struct buf got;
        buf_init(&got, BUF_NO_LIMIT);
        ck_assert_int_eq(store_load_owners(store, note_an_owner, &got), ERR_NONE);
        ck_assert_str_eq(buf_text(&got), "aa= ");
        buf_clear(&got);
        ck_assert_int_eq(store_load_active(store, note_active, &got), ERR_NONE);
        ck_assert_str_eq(
            buf_text(&got),
            "2 - - 0\n"
            "4 " EXTRA("null", "null") " {\"api_key_comfy_org\":\"old-key-waits\","
                                       "\"auth_token_comfy_org\":\"old-token-waits\"} 3\n"
                                       "7 - - 1\n"
                                       "8 - {\"api_key_comfy_org\":\"old-key-told\"} 1\n");
        buf_clear(&got);
        ck_assert_int_eq(store_load_batches(store, note_batch, &got), ERR_NONE);
        ck_assert_str_eq(buf_text(&got), "2 {\"api_key_comfy_org\":null} "
                                         "{\"api_key_comfy_org\":\"old-key-batch\"} bob\n");
        struct job_record j = {0};
        ck_assert_int_eq(store_get_job(store, STR("0199bbbb-0000-7000-8000-000000000005"), &j),
                         ERR_NONE);
        ck_assert_uint_eq(j.credentials, 3u | CREDENTIALS_GONE);
        job_record_done(&j);
        close_store();
        ck_assert(!lies_about("old-key-ended") && !lies_about("old-token-ended"));
        ck_assert(lies_about("old-key-waits") && lies_about("old-key-batch"));
    }
    open_store();
}
END_TEST

/* Where no name lies in the file as it is, it is written anew all the same for what a row had. */
START_TEST(escaped_names_of_format_5_leave_too)
{
    make_old("tests/samples/store_format_5.sql");
    sqlite3 *db = open_database();
    ck_assert_int_eq(sqlite3_exec(db,
                                  "UPDATE workflows SET extra_data ="
                                  " replace(extra_data, '_comfy_org', '\\u005fcomfy\\u005forg');"
                                  "UPDATE batches SET extra_data ="
                                  " replace(extra_data, '_comfy_org', '\\u005fcomfy\\u005forg');"
                                  "VACUUM;"
                                  "PRAGMA secure_delete = OFF;"
                                  "CREATE TABLE t (a);"
                                  "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)"
                                  " INSERT INTO t SELECT hex(zeroblob(900)) || 'left between rows'"
                                  " FROM n;"
                                  "DROP TABLE t;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    ck_assert(!lies_about("_comfy_org") && lies_about("old-key-ended"));
    ck_assert(lies_about("left between rows"));
    open_store();
    close_store();
    ck_assert(!lies_about("left between rows"));
    ck_assert(!lies_about("old-key-ended") && !lies_about("old-token-ended"));
    ck_assert(lies_about("old-key-waits"));
    open_store();
}
END_TEST

/* ---- all that is in a database, as a text ---------------------------------------------------- */

static const char *const everything[] = {
    "SELECT * FROM jobs ORDER BY seq",
    "SELECT seq, length(text), hex(substr(text, 1, 40)), extra_data FROM workflows ORDER BY seq",
    "SELECT * FROM attempts ORDER BY seq, number",
    "SELECT * FROM profiles ORDER BY seq, number",
    "SELECT * FROM keys ORDER BY key",
    "SELECT * FROM strays ORDER BY prompt_id",
    "SELECT * FROM backends ORDER BY name",
    "SELECT * FROM settings ORDER BY name",
    "SELECT n, hex(data) FROM measurements ORDER BY n",
    "SELECT kind, key, start, span, label, hex(data) FROM rollups ORDER BY kind, key, start, span",
    "SELECT * FROM rollup_keys ORDER BY kind, key",
    "SELECT * FROM deliveries ORDER BY n",
    "SELECT * FROM batches ORDER BY id",
    "SELECT * FROM uploads ORDER BY sha256",
    "SELECT * FROM upload_owners ORDER BY sha256, client",
    "SELECT owner, trim(text) FROM credentials ORDER BY owner",
    "SELECT * FROM kept ORDER BY seq",
};

static void add_row(sqlite3_stmt *q, struct buf *out)
{
    for (int i = 0; i < sqlite3_column_count(q); i++) {
        const char *text = (const char *)sqlite3_column_text(q, i);
        buf_printf(out, "|%.64s", text == NULL ? "-" : text);
    }
    buf_add_char(out, '\n');
}

/* Owner: the caller. */
static char *snapshot(void)
{
    struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    sqlite3 *db = open_database();
    for (size_t i = 0; i < sizeof everything / sizeof *everything; i++) {
        sqlite3_stmt *q = NULL;
        ck_assert_msg(sqlite3_prepare_v2(db, everything[i], -1, &q, NULL) == SQLITE_OK, "%s",
                      sqlite3_errmsg(db));
        int rc = SQLITE_ROW;
        while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
            add_row(q, &out);
        }
        ck_assert_int_eq(rc, SQLITE_DONE);
        (void)sqlite3_finalize(q);
        buf_add_text(&out, "--\n");
    }
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return buf_take(&out);
}

/* ---- a history ------------------------------------------------------------------------------- */

static struct job_record one, two, three;
static struct attempt_record first, second;
static struct stray_record stray;
static struct answer stepped;

/* With a delivery of its webhook. */
static void insert_one(void)
{
    one = make_job(JOB_QUEUED);
    const struct delivery_record d = {.id = "d",
                                      .job_id = "j",
                                      .type = "job:queued",
                                      .url = "http://h/",
                                      .host = "h:80",
                                      .body = "{}"};
    store_insert(store, &one, str_of(WORKFLOW), STR("{}"), NULL,
                 &(struct store_beside){.deliveries = &d, .deliveries_len = 1}, on_done, &stepped);
}

static void insert_with_key(void)
{
    two = make_job(JOB_QUEUED);
    struct key_record k = {.key = "me/k", .digest = "d", .status = 202, .at = {7}};
    memcpy(k.job_id, two.id, sizeof k.job_id);
    store_insert(store, &two, str_of(WORKFLOW), STR(""), &k, NULL, on_done, &stepped);
}

/* Its workflow takes pages of its own. */
static void insert_large(void)
{
    static char large[20000];
    memset(large, 'w', sizeof large);
    three = make_job(JOB_QUEUED);
    store_insert(store, &three, (struct str){large, sizeof large}, STR(""), NULL, NULL, on_done,
                 &stepped);
}

static void begin_first(void)
{
    set_running(&one);
    first = make_attempt(&one);
    store_begin_attempt(store, &one, &first, NULL, on_kept, &stepped);
}

static void give_first_up(void)
{
    one.state = JOB_QUEUED;
    first.outcome = ATTEMPT_LOST;
    stray = (struct stray_record){.backend = mem_strdup("one"), .seq = one.seq, .number = 1};
    memcpy(stray.prompt_id, first.prompt_id, sizeof stray.prompt_id);
    store_end_attempt(store, &one, &first, STR("{\"attempt\":1}"), &stray, NULL, on_kept, &stepped);
}

static void begin_second(void)
{
    set_running(&one);
    second = make_attempt(&one);
    store_begin_attempt(store, &one, &second, NULL, on_kept, &stepped);
}

/* Nobody is told when it is done; the write behind it changes nothing. */
static void end_stray(void)
{
    store_end_stray(store, &stray, ATTEMPT_COMPLETED);
    store_mark_cancel(store, &one, on_kept, &stepped);
}

static void put_setting(void)
{
    store_put_setting(store, "queue.paused", "true", on_kept, &stepped);
}

static void end_second(void)
{
    set_failed(&one);
    second.outcome = ATTEMPT_FAILED;
    const struct node_run run = {STR("3"), STR("KSampler"), RUN_EXECUTED, 1000};
    const struct measurement m = {
        .at = {7}, .state = JOB_COMPLETED, .execution_us = 5, .runs = &run, .runs_len = 1};
    AUTO_BUF struct buf bytes;
    buf_init(&bytes, BUF_NO_LIMIT);
    measurement_write(&m, &bytes);
    store_end_attempt(store, &one, &second, STR("{\"attempt\":2}"), NULL,
                      &(struct store_beside){.measurement = buf_str(&bytes)}, on_kept, &stepped);
}

static void folded(void *ctx, bool more)
{
    ck_assert(!more);
    on_done(ctx, ERR_NONE);
}

static void fold_second(void)
{
    store_fold(store, folded, &stepped);
}

static void drop_delivery(void)
{
    store_delete_delivery(store, "d", on_kept, &stepped);
}

static void retry_one(void)
{
    one.state = JOB_QUEUED;
    one.completed_at.us = 0;
    store_update_job(store, &one, NULL, on_kept, &stepped);
}

static void put_backend(void)
{
    store_put_backend(store, &(struct backend_record){.name = "b", .admin = 1}, on_kept, &stepped);
}

static void cancel_two(void)
{
    two.state = JOB_CANCELLED;
    two.completed_at.us = 5;
    store_end_attempt(store, &two, NULL, STR("{}"), NULL, NULL, on_kept, &stepped);
}

static void delete_two(void)
{
    store_delete(store, two.seq, on_kept, &stepped);
}

static void (*const history[])(void) = {
    insert_one,   insert_with_key, begin_first, insert_large,  give_first_up,
    begin_second, end_stray,       end_second,  retry_one,     put_backend,
    fold_second,  put_setting,     cancel_two,  drop_delivery, delete_two,
};

enum { STEPS = sizeof history / sizeof *history };

/* What was committed: [0] before the first step, [i] after step i. */
static char *committed[STEPS + 1];
static struct buf database; /* as it lay below the log */
static struct buf wal;

/* Steps one and two are in the database file, the rest is in the log. */
static void live_history(void)
{
    make_dir();
    open_store();
    committed[0] = snapshot();
    for (int i = 0; i < STEPS; i++) {
        if (i == 2) {
            close_store();
            open_store();
        }
        stepped = (struct answer){0};
        history[i]();
        ck_assert_int_eq(wait_for(&stepped), ERR_NONE);
        committed[i + 1] = snapshot();
    }
    buf_init(&database, BUF_NO_LIMIT);
    buf_init(&wal, BUF_NO_LIMIT);
    read_into(path_of("comfypoold.db"), &database);
    read_into(path_of("comfypoold.db-wal"), &wal);
    close_store();
}

static void forget_history(void)
{
    for (int i = 0; i <= STEPS; i++) {
        free(committed[i]);
    }
    buf_done(&database);
    buf_done(&wal);
    attempt_record_done(&first);
    attempt_record_done(&second);
    stray_record_done(&stray);
    job_record_done(&one);
    job_record_done(&two);
    job_record_done(&three);
    remove_dir();
}

/* ---- a log that is cut or damaged ------------------------------------------------------------ */

enum { WAL_HEADER = 32, FRAME_HEADER = 24, FRAME = FRAME_HEADER + 4096 };

static void put_files(const struct buf *log)
{
    (void)unlink(path_of("comfypoold.db-shm"));
    write_bytes("comfypoold.db", database.data, database.len);
    write_bytes("comfypoold.db-wal", log->data, log->len);
}

static void counts_are_right(size_t at)
{
    int64_t n[JOB_STATE_COUNT];
    store_counts(store, n);
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        char where[32];
        (void)snprintf(where, sizeof where, "jobs WHERE state = %d", i);
        ck_assert_msg(n[i] == rows_in(where), "byte %zu: the count of state %d", at, i);
    }
}

/* Opens what the files hold; how many steps of the history are in it. */
static int steps_found(size_t at)
{
    ck_assert_msg(store_open(dir, &loop, &store, why, sizeof why), "byte %zu: %s", at, why);
    counts_are_right(at);
    AUTO_FREE char *now = snapshot();
    close_store();
    for (int i = 2; i <= STEPS; i++) {
        if (strcmp(now, committed[i]) == 0) {
            return i;
        }
    }
    ck_abort_msg("byte %zu: a state that never was committed:\n%s", at, now);
    return -1;
}

/* Every byte of the headers of the log and of its first frames; then a few of each frame. */
static size_t next_offset(size_t at)
{
    const size_t in_frame = at < WAL_HEADER ? 0 : (at - WAL_HEADER) % FRAME;
    const bool early = at < WAL_HEADER + 2 * FRAME;
    if (at < WAL_HEADER || (early && in_frame < FRAME_HEADER)) {
        return at + 1;
    }
    static const size_t stops[] = {1, FRAME_HEADER - 1, FRAME_HEADER, 2000, FRAME - 1, FRAME};
    size_t i = 0;
    while (stops[i] <= in_frame) {
        i++;
    }
    return at - in_frame + stops[i];
}

START_TEST(a_log_cut_anywhere_is_a_beginning)
{
    int before = 2;
    int opened = 0;
    for (size_t at = 0; at < wal.len; at = next_offset(at)) {
        put_files(&(struct buf){.data = wal.data, .len = at});
        const int found = steps_found(at);
        ck_assert_msg(found >= before, "byte %zu: %d steps, fewer than in a shorter log", at,
                      found);
        before = found;
        opened++;
    }
    put_files(&wal);
    ck_assert_int_eq(steps_found(wal.len), STEPS);
    ck_assert_int_gt(opened, 100);
}
END_TEST

START_TEST(a_damaged_log_is_a_beginning)
{
    int before = 2;
    for (size_t at = 0; at < wal.len; at = next_offset(at)) {
        wal.data[at] = (char)(wal.data[at] ^ 0x5a);
        put_files(&wal);
        wal.data[at] = (char)(wal.data[at] ^ 0x5a);
        const int found = steps_found(at);
        ck_assert_msg(found >= before && found < STEPS, "byte %zu: %d steps", at, found);
        before = found;
    }
}
END_TEST

/* ---- a database that is damaged -------------------------------------------------------------- */

static void saw_active(void *ctx, struct store_active *found)
{
    (void)ctx;
    ck_assert(found->job.state < JOB_STATE_COUNT);
}

static void saw_stray(void *ctx, struct stray_record *r)
{
    (void)ctx;
    (void)r;
}

static void saw_backend(void *ctx, struct backend_record *r)
{
    (void)ctx;
    ck_assert(r->admin >= 0 && r->admin <= 2);
}

/* Whatever is read of it: an error, or a record that is within its bounds. */
static void read_everything(void)
{
    struct job_record j = {0};
    struct attempt_record *attempts = NULL;
    size_t len = 0;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    (void)!store_load_active(store, saw_active, NULL);
    (void)!store_load_strays(store, saw_stray, NULL);
    (void)!store_load_backends(store, saw_backend, NULL);
    if (store_get_job(store, str_of(one.id), &j) == ERR_NONE) {
        ck_assert(j.state < JOB_STATE_COUNT);
    }
    job_record_done(&j);
    if (store_get_attempts(store, one.seq, &attempts, &len) == ERR_NONE) {
        for (size_t i = 0; i < len; i++) {
            ck_assert(attempts[i].outcome < ATTEMPT_OUTCOME_COUNT);
        }
    }
    for (size_t i = 0; i < len; i++) {
        attempt_record_done(&attempts[i]);
    }
    free(attempts);
    (void)!store_get_workflow(store, one.seq, &text);
    (void)!store_get_profile(store, one.seq, 1, &text);
}

enum { FLIPS_A_PAGE = 12, PAGE = 4096 };

/* All of the history in one file, as a clean end leaves it. */
static void read_whole(struct buf *ret)
{
    put_files(&wal);
    open_store();
    close_store();
    buf_init(ret, BUF_NO_LIMIT);
    read_into(path_of("comfypoold.db"), ret);
}

/* A daemon that was killed before its first write leaves a log without a byte. */
START_TEST(a_page_is_overwritten_after_a_kill)
{
    const struct buf nothing = {.data = (char[]){""}, .len = 0};
    AUTO_BUF struct buf whole;
    read_whole(&whole);
    char page[PAGE];
    size_t refused = 0;
    for (size_t at = PAGE; at < whole.len; at += PAGE) {
        memcpy(page, whole.data + at, PAGE);
        memset(whole.data + at, 0xa5, PAGE);
        write_bytes("comfypoold.db", whole.data, whole.len);
        write_bytes("comfypoold.db-wal", nothing.data, nothing.len);
        memcpy(whole.data + at, page, PAGE);
        if (store_open(dir, &loop, &store, why, sizeof why)) {
            close_store();
        } else {
            ck_assert_msg(strstr(why, ": restore a backup, or move it away") != NULL,
                          "byte %zu: %s", at, why);
            refused++;
        }
    }
    /* A page of the pointer map, or one that is free, may hold anything. */
    ck_assert_msg(refused + 2 >= whole.len / PAGE - 1, "%zu of %zu", refused, whole.len / PAGE);
}
END_TEST

/* Some bits of each page, as many in its first bytes as in all the others. */
START_TEST(flipped_bits_are_an_error_or_none)
{
    unsigned random = 1;
    int opened = 0;
    AUTO_BUF struct buf whole;
    read_whole(&whole);
    for (size_t i = 0; i < whole.len / PAGE * FLIPS_A_PAGE; i++) {
        random = random * 1103515245u + 12345u;
        const size_t in_page = (random >> 8) % (i % 2 == 0 ? 128 : PAGE);
        char *byte = &whole.data[i / FLIPS_A_PAGE * PAGE + in_page];
        const char was = *byte;
        *byte = (char)(was ^ (1 << (random >> 24 & 7)));
        (void)unlink(path_of("comfypoold.db-shm"));
        (void)unlink(path_of("comfypoold.db-wal"));
        write_bytes("comfypoold.db", whole.data, whole.len);
        if (store_open(dir, &loop, &store, why, sizeof why)) {
            read_everything();
            close_store();
            opened++;
        } else {
            ck_assert_msg(strlen(why) > 0 && strstr(why, "syntax error") == NULL, "%s", why);
        }
        *byte = was;
    }
    ck_assert_int_gt(opened, 0);
}
END_TEST

Suite *store_format_suite(void)
{
    Suite *suite = suite_create("store: format");
    TCase *old = tcase_create("old");
    tcase_add_checked_fixture(old, make_dir, tear_down);
    tcase_add_test(old, format_1_is_brought_up_to_date);
    tcase_add_test(old, format_2_is_brought_up_to_date);
    tcase_add_test(old, format_3_is_brought_up_to_date);
    tcase_add_test(old, format_4_is_brought_up_to_date);
    tcase_add_test(old, format_5_is_brought_up_to_date);
    tcase_add_test(old, escaped_names_of_format_5_leave_too);
    suite_add_tcase(suite, old);
    TCase *cut = tcase_create("cut");
    tcase_add_checked_fixture(cut, live_history, forget_history);
    tcase_set_timeout(cut, 60);
    tcase_add_test(cut, a_log_cut_anywhere_is_a_beginning);
    tcase_add_test(cut, a_damaged_log_is_a_beginning);
    tcase_add_test(cut, a_page_is_overwritten_after_a_kill);
    tcase_add_test(cut, flipped_bits_are_an_error_or_none);
    suite_add_tcase(suite, cut);
    return suite;
}
