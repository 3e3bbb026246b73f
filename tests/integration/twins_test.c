/*
 * Twins: two requests that decide by the same thing, in every order of their steps. The database is
 * locked by the test meanwhile, so that what each of them writes is not durable while the other one
 * decides.
 */
#include "harness.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"

/* ---- the lock -------------------------------------------------------------------------------- */

/* The writer waits 2 s for it: what is done under it must be short. */
static sqlite3 *lock(const struct daemon *d)
{
    sqlite3 *db = NULL;
    CHECK(sqlite3_open(text("%s/comfypoold.db", d->state), &db) == SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 2000);
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    return db;
}

static void unlock(sqlite3 *db)
{
    CHECK(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

/* A request whose answer is read later, with raw_answer. */
static int begin(struct daemon *d, const char *method, const char *path, const char *headers,
                 const char *body)
{
    const int fd = raw_open(d->port);
    char *request = text("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s"
                         "Content-Length: %zu\r\n\r\n%s",
                         method, path, headers, strlen(body), body);
    raw_send(fd, request, strlen(request));
    return fd;
}

/* What came before has been decided: the daemon takes requests in the order in which they come. */
static void await_taken(struct daemon *d)
{
    (void)get(d, "/healthz");
    (void)get(d, "/healthz");
}

#define JSON "Content-Type: application/json\r\n"

/* ---- one Idempotency-Key --------------------------------------------------------------------- */

#define KEYED JSON "Idempotency-Key: k\r\n"

static struct answer *keyed(struct daemon *d, const char *path, const char *body)
{
    return ask(d, "POST", path, "Content-Type: application/json\nIdempotency-Key: k", body);
}

/* While the first one's insert is under way (_i 1: and its client has hung up), and after. */
START_TEST(test_key_at_the_insert)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *body = sleep_body("a", 1, "");
    sqlite3 *db = lock(d);
    const int first = begin(d, "POST", "/jobs", KEYED, body);
    await_taken(d);
    if (_i == 1) {
        (void)close(first);
        await_taken(d);
    }
    struct answer *twin = keyed(d, "/jobs", body);
    expect(twin, 409, "idempotency_in_progress");
    CHECK(strcmp(header_of(twin, "Retry-After"), "1") == 0);
    unlock(db);
    AWAIT((twin = keyed(d, "/jobs", body))->status != 409);
    expect(twin, 202, NULL);
    CHECK(strcmp(header_of(twin, "Idempotency-Replayed"), "true") == 0);
    if (_i == 0) {
        struct answer *a = raw_answer(first);
        CHECK(a != NULL && a->status == 202 && strstr(a->body, str_at(twin->json, "id")) != NULL);
    }
    (void)await_end(d, str_at(twin->json, "id"));
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 1);
}
END_TEST

START_TEST(test_key_of_a_batch)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *body = q("{'workflow':%s,'overrides':[{}]}", sleeper("a", 1));
    sqlite3 *db = lock(d);
    const int first = begin(d, "POST", "/batches", KEYED, body);
    await_taken(d);
    expect(keyed(d, "/batches", body), 409, "idempotency_in_progress");
    expect(keyed(d, "/jobs", sleep_body("a", 1, "")), 409, "idempotency_in_progress");
    unlock(db);
    struct answer *a = raw_answer(first);
    CHECK(a != NULL && a->status == 202);
    struct answer *again = keyed(d, "/batches", body);
    expect(again, 202, NULL);
    CHECK(strstr(a->body, str_at(again->json, "id")) != NULL);
    AWAIT(json_array_size(at(get(d, "/jobs?state=completed")->json, "jobs")) == 1);
}
END_TEST

/* Many send once more what was stored long ago, at one time: each is told the same. */
START_TEST(test_key_looked_for_by_many)
{
    enum { TWINS = 24 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const bool batch = _i == 1;
    char *path = batch ? "/batches" : "/jobs";
    char *body =
        batch ? q("{'workflow':%s,'overrides':[{}]}", sleeper("a", 1)) : sleep_body("a", 1, "");
    struct answer *first = keyed(d, path, body);
    expect(first, 202, NULL);
    AWAIT(json_array_size(at(get(d, "/jobs?state=completed")->json, "jobs")) == 1);
    int twins[TWINS];
    for (int i = 0; i < TWINS; i++) {
        twins[i] = begin(d, "POST", path, KEYED, body);
    }
    (void)close(twins[0]); /* perhaps the one that looks for all */
    for (int i = 1; i < TWINS; i++) {
        struct answer *a = raw_answer(twins[i]);
        CHECK(a != NULL && a->status < 300, "%ld", a == NULL ? 0 : a->status);
        CHECK(strcmp(header_of(a, "Idempotency-Replayed"), "true") == 0);
        CHECK(strstr(a->body, str_at(first->json, "id")) != NULL);
    }
    char *other =
        batch ? q("{'workflow':%s,'overrides':[{}]}", sleeper("b", 1)) : sleep_body("b", 1, "");
    expect(keyed(d, path, other), 422, "idempotency_key_reused");
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 1);
}
END_TEST

/* While backends are asked whether they know a class: long before anything is inserted. The first
   one is refused then (_i 1: its client has hung up meanwhile), and the key is free. */
START_TEST(test_key_before_the_insert)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *body = q("{'workflow':{'1':{'class_type':'T_Unheard','inputs':{}}}}");
    CHECK(kill(s->pid, SIGSTOP) == 0);
    const int first = begin(d, "POST", "/jobs", KEYED, body);
    await_taken(d);
    expect(keyed(d, "/jobs", sleep_body("a", 1, "")), 409, "idempotency_in_progress");
    if (_i == 1) {
        (void)close(first);
    }
    CHECK(kill(s->pid, SIGCONT) == 0);
    if (_i == 0) {
        struct answer *a = raw_answer(first);
        CHECK(a != NULL && a->status == 422);
    }
    struct answer *twin = NULL;
    AWAIT((twin = keyed(d, "/jobs", sleep_body("a", 1, "")))->status != 409);
    expect(twin, 202, NULL);
    CHECK(*header_of(twin, "Idempotency-Replayed") == '\0');
    (void)await_end(d, str_at(twin->json, "id"));
}
END_TEST

/* ---- a job, and the deletion of the one that it is to follow --------------------------------- */

static char *follower(const char *tag, const char *id)
{
    return sleep_body(tag, 1, q(",'after':['%s']", id));
}

/* Both are written at once (_i 0: the deletion first). The one that is to be followed has
   completed, and was there when the job came: it follows it. */
START_TEST(test_deleted_while_inserted)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const char *id = str_at(run_job(d, sleep_body("a", 1, "")), "id");
    char *path = text("/jobs/%s", id);
    const bool batch = _i >= 2;
    char *body = batch ? q("{'workflow':%s,'after':['%s'],'overrides':[{}]}", sleeper("b", 1), id)
                       : follower("b", id);
    int deletion = -1;
    sqlite3 *db = lock(d);
    if (_i % 2 == 0) {
        deletion = begin(d, "DELETE", path, "", "");
        await_taken(d);
    }
    const int insert = begin(d, "POST", batch ? "/batches" : "/jobs", JSON, body);
    await_taken(d);
    if (_i % 2 == 1) {
        deletion = begin(d, "DELETE", path, "", "");
        await_taken(d);
    }
    unlock(db);
    struct answer *a = raw_answer(insert);
    CHECK(a != NULL && a->status == 202);
    struct answer *gone = raw_answer(deletion);
    CHECK(gone != NULL && gone->status == 204);
    expect(get(d, "/jobs/%s", id), 404, "job_not_found");
    AWAIT(json_array_size(at(get(d, "/jobs?state=completed")->json, "jobs")) == 1);
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 1);
    expect(post(d, "/jobs", follower("c", id)), 404, "dependency_not_found");
}
END_TEST

/* A job is deleted and queued again at once: the first one wins. */
START_TEST(test_deleted_and_retried)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *id = submit(d, sleep_body("a", 600000, ""));
    AWAIT(is_at_node(d, id, "1"));
    (void)cancel(d, id);
    (void)await_end(d, id);
    char *again = text("/jobs/%s/retry", id);
    char *gone = text("/jobs/%s", id);
    const bool deleted_first = _i == 0;
    sqlite3 *db = lock(d);
    const int first =
        deleted_first ? begin(d, "DELETE", gone, "", "") : begin(d, "POST", again, JSON, "{}");
    await_taken(d);
    const int second =
        deleted_first ? begin(d, "POST", again, JSON, "{}") : begin(d, "DELETE", gone, "", "");
    await_taken(d);
    unlock(db);
    struct answer *one = raw_answer(first);
    struct answer *two = raw_answer(second);
    CHECK(one != NULL && one->status == (deleted_first ? 204 : 202));
    CHECK(two != NULL && two->status == (deleted_first ? 404 : 409), "%ld", two->status);
    expect(get(d, "/jobs/%s", id), deleted_first ? 404 : 200, NULL);
    if (!deleted_first) {
        (void)cancel(d, id);
        (void)await_end(d, id);
    }
}
END_TEST

/* It ends, and is deleted, while the other's insert is under way (_i 0), or after it; the daemon is
   killed then. */
START_TEST(test_ended_while_inserted)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *a = submit(d, sleep_body("a", 300, ""));
    AWAIT(is_at_node(d, a, "1"));
    sqlite3 *db = lock(d);
    if (_i == 1) { /* its end is being written already */
        AWAIT(ledger_count(s, "success", "a") == 1);
        await_taken(d);
    }
    const int insert = begin(d, "POST", "/jobs", JSON, follower("b", a));
    await_taken(d);
    if (_i == 0) {
        AWAIT(ledger_count(s, "success", "a") == 1);
        await_taken(d);
    }
    unlock(db);
    AWAIT(ask(d, "DELETE", text("/jobs/%s", a), NULL, NULL)->status == 204);
    struct answer *b = raw_answer(insert);
    CHECK(b != NULL && b->status == 202);
    const char *id = str_at(json_of(b->body), "id");
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(ledger_count(s, "posted", "b") == 1);
}
END_TEST

/* ---- two owners of one file ------------------------------------------------------------------ */

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static const char tokens[] =
    "alice:submit:a3c62fd0f995c25ba39f2dee98cc19183897e7fcad5bafc7790c5da6428cbd14\n"
    "bob:submit:4c8fb71701418ca87ba222646e9cd067b68246a0410168f8810464f18166601d\n";

static char *bearer(char who, const char *end)
{
    return text("Authorization: Bearer %s-token-0123456789abcdef0123456789%s",
                who == 'a' ? "alice" : "bob", end);
}

static long opened(struct daemon *d, char who)
{
    return ask(d, "GET", "/uploads/" HELLO, bearer(who, ""), NULL)->status;
}

static struct daemon *daemon_with_walls(struct sim *s)
{
    const char *file = write_file("tokens", tokens);
    struct daemon *d = DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'}\n"
                                             "auth: {tokensFile: '%s'}\n",
                                             s->url, file));
    await_ready(d);
    return d;
}

/* "a", "b": alice or bob sends it; "A", "B": forgets it. Who has it in the end. */
static const struct {
    const char *steps, *owners;
} orders[] = {
    {"ab", "ab"},  {"abA", "b"},   {"aAb", "b"},   {"baA", "b"},   {"abB", "a"},
    {"aA", ""},    {"abAB", ""},   {"aAa", "a"},   {"abAa", "ab"}, {"aAbB", ""},
    {"bAa", "ab"}, {"abABa", "a"}, {"aAbBb", "b"},
};

START_TEST(test_two_owners)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_with_walls(s);
    int sent[8];
    size_t n = 0;
    sqlite3 *db = lock(d);
    for (const char *step = orders[_i].steps; *step != '\0'; step++) {
        const char who = (char)(*step | 0x20);
        const bool sends = *step == who;
        sent[n++] = begin(d, sends ? "PUT" : "DELETE", "/uploads/" HELLO, bearer(who, "\r\n"),
                          sends ? "hello" : "");
        if (sends) { /* it is the sender's before that is durable */
            AWAIT(opened(d, who) == 200);
        } else {
            AWAIT(opened(d, who) == 404);
        }
    }
    unlock(db);
    for (size_t i = 0; i < n; i++) {
        struct answer *a = raw_answer(sent[i]);
        CHECK(a != NULL && a->status < 500, "step %zu of %s", i, orders[_i].steps);
    }
    for (int start = 0; start < 2; start++) {
        for (const char *who = "ab"; *who != '\0'; who++) {
            const long want = strchr(orders[_i].owners, *who) != NULL ? 200 : 404;
            CHECK(opened(d, *who) == want, "%c after %s", *who, orders[_i].steps);
        }
        daemon_kill(d);
        d = daemon_with_walls(s);
    }
}
END_TEST

/* ---- two who try a job again ----------------------------------------------------------------- */

/* The second one is looked at while the store counts a large batch over and over: the job has run,
   and completed, when it comes to that. */
START_TEST(test_retried_twice)
{
    enum { JOBS = 9900, COUNTS = 107, SECOND_AT = 67 };
    struct sim *s = sim_start("--zero", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    post(d, "/queue/pause", "");
    char *id = submit(d, sleep_body("a", 0, ""));
    (void)cancel(d, id);
    char *overrides = text("%0*d", JOBS * 3, 0);
    for (size_t i = 0; i < JOBS; i++) {
        memcpy(overrides + i * 3, "{},", 3);
    }
    overrides[JOBS * 3 - 1] = '\0';
    struct answer *made = post(
        d, "/batches", text("{\"workflow\":%s,\"overrides\":[%s]}", sleeper("b", 0), overrides));
    expect(made, 202, NULL);
    char *batch = text("/batches/%s", str_at(made->json, "id"));
    post(d, text("%s/cancel", batch), "");
    AWAIT(num_at(get(d, "%s", batch)->json, "counts.cancelled") == JOBS);
    post(d, "/queue/resume", "");
    char *retry = text("/jobs/%s/retry", id);
    int counts[COUNTS];
    int twins[2] = {-1, -1};
    for (int i = 0; i < COUNTS; i++) {
        if (i == 4 || i == SECOND_AT) {
            twins[i == 4 ? 0 : 1] = begin(d, "POST", retry, "", "");
        }
        counts[i] = begin(d, "GET", batch, "", "");
    }
    for (int i = 0; i < COUNTS; i++) {
        struct answer *a = raw_answer(counts[i]);
        CHECK(a != NULL && a->status == 200);
    }
    struct answer *first = raw_answer(twins[0]);
    struct answer *second = raw_answer(twins[1]);
    CHECK(first != NULL && first->status == 202);
    CHECK(second != NULL);
    expect(second, 409, "job_not_retriable");
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(ledger_count(s, "posted", "a") == 1);
}
END_TEST

Suite *twins_suite(void)
{
    static const struct named_test tests[] = {
        {"key at the insert", &test_key_at_the_insert, 2},
        {"key looked for by many", &test_key_looked_for_by_many, 2},
        {"key of a batch", &test_key_of_a_batch, 0},
        {"key before the insert", &test_key_before_the_insert, 2},
        {"deleted while inserted", &test_deleted_while_inserted, 4},
        {"deleted and retried", &test_deleted_and_retried, 2},
        {"ended while inserted", &test_ended_while_inserted, 2},
        {"retried twice", &test_retried_twice, 0},
        {"two owners", &test_two_owners, (int)(sizeof orders / sizeof *orders)},
    };
    return SUITE("twins", 120, tests);
}
