/*
 * What is tried again, where, how often and what is not: the failure classes, the record of each
 * attempt, the breaker, and POST /retry.
 */
#include "harness.h"

#include <string.h>

#include "suites.h"

/* Two backends, the first one preferred while both are idle. */
static struct daemon *two(struct sim *preferred, struct sim *other, const char *more)
{
    return DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                                 "  - {name: s1, url: '%s'}\n"
                                 "link: {submitSettleMs: 300, quietPollMs: 300}\n"
                                 "jobs: {retryDelayMs: 20}\n%s",
                                 preferred->url, other->url, more));
}

static json_t *attempts_of(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s/attempts", id);
    expect(a, 200, NULL);
    return at(a->json, "attempts");
}

static void check_attempt(json_t *list, size_t i, const char *backend, const char *outcome,
                          const char *code)
{
    json_t *a = json_array_get(list, i);
    CHECK(num_at(a, "attempt") == (double)i + 1);
    CHECK(strcmp(str_at(a, "backend"), backend) == 0, "attempt %zu on %s", i + 1, backend);
    CHECK(strcmp(str_at(a, "outcome"), outcome) == 0, "attempt %zu %s", i + 1, outcome);
    CHECK(strcmp(str_at(a, "error.code"), code) == 0, "attempt %zu: '%s'", i + 1, code);
}

START_TEST(test_each_attempt_is_kept)
{
    struct sim *bad = sim_start("--fault", "http500@*", NULL);
    struct sim *good = sim_plain();
    struct daemon *d = two(bad, good, "");
    await_backends_up(d, 2);
    json_t *j = run_job(d, sleep_body("a", 20, ""));
    const char *id = str_at(j, "id");
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && !has(j, "error"));
    CHECK(num_at(j, "attempts") == 2);
    json_t *list = attempts_of(d, id);
    CHECK(json_array_size(list) == 2);
    check_attempt(list, 0, "s0", "failed", "backend_error");
    check_attempt(list, 1, "s1", "completed", "");
    for (int n = 1; n <= 2; n++) {
        struct answer *a = get(d, "/jobs/%s/attempts/%d/profile", id, n);
        expect(a, 200, NULL);
        check_profile(a->json);
        CHECK(num_at(a->json, "attempt") == n);
        CHECK(strcmp(str_at(a->json, "outcome"), n == 1 ? "failed" : "completed") == 0);
        CHECK(strcmp(str_at(a->json, "promptId"),
                     str_at(json_array_get(list, (size_t)n - 1), "promptId")) == 0);
    }
    expect(get(d, "/jobs/%s/attempts/3/profile", id), 404, "attempt_not_found");
    expect(get(d, "/jobs/%s/attempts/0/profile", id), 404, "attempt_not_found");
    expect(get(d, "/jobs/%s/attempts/x/profile", id), 404, "attempt_not_found");
    /* All of it outlives the daemon. */
    daemon_stop(d);
    d = two(bad, good, "");
    CHECK(json_equal(attempts_of(d, id), list));
}
END_TEST

START_TEST(test_open_attempt)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    json_t *a = json_array_get(attempts_of(d, id), 0);
    CHECK(!has(a, "outcome") && !has(a, "completedAt") && has(a, "submittedAt") &&
          has(a, "startedAt"));
    expect(get(d, "/jobs/%s/attempts/1/profile", id), 409, "job_not_finished");
    cancel(d, id);
    await_end(d, id);
    expect(get(d, "/jobs/%s/attempts/1/profile", id), 200, NULL);
}
END_TEST

/* A verdict of one backend does not use up the attempts, and the pool remembers it. */
START_TEST(test_elsewhere)
{
    struct sim *lame = sim_start("--version-as", _i == 0 ? "0.3" : "0.28", NULL);
    struct sim *able = sim_plain();
    sim_control(lame, "{'missing': ['T_Sleep'], 'secret': true}");
    struct daemon *d = two(lame, able, "");
    await_backends_up(d, 2);
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, sleep_body(text("a%d", i), 1 + i, ", \"maxAttempts\": 1"));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        CHECK(num_at(j, "attempts") == (i == 0 ? 2 : 1), "only the first one is refused");
        if (i == 0) {
            check_attempt(attempts_of(d, str_at(j, "id")), 0, "s0", "rejected", "workflow_invalid");
        }
    }
    CHECK(ledger_count(lame, "posted", NULL) == 1 && ledger_count(able, "started", NULL) == 3);
    /* It starts anew and has the class: what was remembered is forgotten. */
    sim_control(lame, "{'missing': null, 'crash': 1500}");
    AWAIT(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") != 0);
    AWAIT(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") == 0);
    json_t *j = run_job(d, sleep_body("again", 1, ""));
    CHECK(strcmp(str_at(j, "backend"), "s0") == 0 && num_at(j, "attempts") == 1);
}
END_TEST

START_TEST(test_nowhere)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    for (int i = 0; i < 2; i++) {
        sim_control(s[i], "{'models': ['other.safetensors'], 'secret': true}");
    }
    struct daemon *d = two(s[0], s[1], "");
    await_backends_up(d, 2);
    const char *body = q("{'workflow':{'1':{'class_type':'CheckpointLoaderSimple','inputs':"
                         "{'ckpt_name':'rare.safetensors','_tag':'a'}},'2':{'class_type':"
                         "'SaveImage','inputs':{'images':['1',0]}}}, 'maxAttempts': 1}");
    json_t *j = run_job(d, body);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "workflow_not_supported") == 0);
    const char *message = str_at(j, "error.message");
    CHECK(strstr(message, "s0: ") != NULL && strstr(message, "s1: ") != NULL, "%s", message);
    CHECK(has(j, "error.nodeErrors.1"), "where, as the last one said");
    CHECK(num_at(j, "attempts") == 2);
    CHECK(strcmp(str_at(j, "profileStats.outcome"), "rejected") == 0);
    /* Somebody copies the model there: the next job is not refused out of memory. */
    sim_control(s[1], "{'models': null}");
    j = run_job(d, body);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && strcmp(str_at(j, "backend"), "s1") == 0);
}
END_TEST

/* Many of them: each fails, none waits for ever behind another. */
START_TEST(test_many_nowhere)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'missing': ['T_Sleep'], 'secret': true}");
    struct daemon *d = DAEMON(.sims = {s});
    char *ids[6];
    for (int i = 0; i < 6; i++) {
        ids[i] = submit(d, sleep_body(text("a%d", i), 1, ""));
    }
    for (int i = 0; i < 6; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "error.code"), "workflow_not_supported") == 0);
    }
    CHECK(strcmp(str_at(run_job(d, sleep_body("late", 1, "")), "error.code"),
                 "workflow_not_supported") == 0);
}
END_TEST

/* One backend refused it, the other one is down: that one has refused nothing, however long that
   lasts. It is back, is removed, or is back and as unable as before. */
START_TEST(test_the_other_one_is_down)
{
    const bool comes_back = _i != 1;
    const bool knows_it = _i == 0; /* when it is back */
    struct sim *s[2] = {sim_plain(), sim_plain()};
    sim_control(s[0], "{'missing': ['T_Sleep'], 'secret': true}");
    sim_control(s[1], "{'missing': ['T_Sleep']}"); /* until it is back */
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .config = "link: {backendLostMs: 500}\n");
    await_backends_up(d, 2);
    sim_control(s[1], comes_back
                          ? text("{'crash': 2500, 'missing': [%s]}", knows_it ? "" : "'T_Sleep'")
                          : "{'crash': 60000}");
    AWAIT(strcmp(str_at(get(d, "/backends/s1")->json, "state"), "up") != 0);
    const double down_at = now_s();
    char *id = submit(d, sleep_body("a", 1, ""));
    AWAIT(num_at(job_now(d, id), "attempts") == 1 && is_state(d, id, "queued"));
    AWAIT(now_s() - down_at > 1.5);
    CHECK(strcmp(str_at(job_now(d, id), "waitingReason"), "no_backend_up") == 0);
    if (knows_it) {
        json_t *j = await_end(d, id);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 &&
              strcmp(str_at(j, "backend"), "s1") == 0);
    } else {
        if (!comes_back) {
            expect(ask(d, "DELETE", "/backends/s1", NULL, NULL), 204, NULL);
        }
        CHECK(strcmp(str_at(await_end(d, id), "error.code"), "workflow_not_supported") == 0);
    }
}
END_TEST

/* Out of memory: once more, where there is more, whatever maxAttempts says. */
START_TEST(test_out_of_memory)
{
    struct sim *s[2] = {sim_start("--fault", "oom@*", NULL), sim_start("--fault", "oom@*", NULL)};
    struct daemon *d = two(s[0], s[1], "");
    await_backends_up(d, 2);
    json_t *j = run_job(d, sleep_body("a", 5, ", \"maxAttempts\": 5"));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "out_of_memory") == 0 && has(j, "error.nodeId"));
    json_t *list = attempts_of(d, str_at(j, "id"));
    CHECK(json_array_size(list) == 2);
    check_attempt(list, 0, "s0", "failed", "out_of_memory");
    check_attempt(list, 1, "s1", "failed", "out_of_memory");
}
END_TEST

/* Where there is more memory, else where there is as much: on itself rather than on a smaller one.
 */
START_TEST(test_more_memory)
{
    struct sim *first = sim_start("--fault", "oom@1", "--vram", "12e9", NULL);
    struct sim *smaller = sim_start("--vram", "8e9", NULL);
    struct sim *larger = _i == 0 ? sim_start("--vram", "24e9", NULL) : NULL;
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                              "  - {name: s1, url: '%s', weight: 5}\n%s%s%s"
                              "jobs: {retryDelayMs: 20}\n",
                              first->url, smaller->url, _i == 0 ? "  - {name: s2, url: '" : "",
                              _i == 0 ? larger->url : "", _i == 0 ? "'}\n" : ""));
    await_backends_up(d, _i == 0 ? 3 : 2);
    for (int i = 0; i < (_i == 0 ? 3 : 2); i++) {
        AWAIT(has(get(d, "/backends/s%d", i)->json, "devices.0"));
    }
    json_t *j = run_job(d, sleep_body("a", 5, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    CHECK(strcmp(str_at(j, "backend"), _i == 0 ? "s2" : "s0") == 0);
}
END_TEST

static const struct {
    const char *name;
    const char *fault;
    const char *more;
    const char *code;
    int attempts;
} asked[] = {
    {"a node error, as a rule", NULL, "", "node_failed", 1},
    {"a node error, asked for", NULL, ", \"retryOn\": [\"node_error\"], \"maxAttempts\": 2",
     "node_failed", 2},
    {"nothing at all", "http500@*", ", \"retryOn\": []", "backend_error", 1},
    {"one attempt", "http500@*", ", \"maxAttempts\": 1", "backend_error", 1},
    {"429", "http429@*", ", \"maxAttempts\": 2", "backend_error", 2},
};

START_TEST(test_as_the_job_asks)
{
    const char *fault = asked[_i].fault;
    struct sim *s = sim_start(fault == NULL ? NULL : "--fault", fault, NULL);
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {submitSettleMs: 200}\n"
                                             "jobs: {retryDelayMs: 20}\n",
                                             s->url));
    const char *graph = fault == NULL ? "{'1':{'class_type':'T_SleepOut','inputs':"
                                        "{'_tag':'a','_error':'kaboom'}}}"
                                      : "{'1':{'class_type':'T_SleepOut','inputs':{'_tag':'a'}}}";
    json_t *j = run_job(d, text("{\"workflow\":%s%s}", q("%s", graph), asked[_i].more));
    CHECK(strcmp(str_at(j, "error.code"), asked[_i].code) == 0, "%s", asked[_i].name);
    CHECK(num_at(j, "attempts") == asked[_i].attempts, "%s", asked[_i].name);
    CHECK(ledger_count(s, "posted", "a") == asked[_i].attempts, "%s", asked[_i].name);
}
END_TEST

/* Three failures in a row of one workflow on one backend: it waits there, others go on. */
START_TEST(test_breaker)
{
    struct sim *s = sim_start("--fault", "http500@*", NULL);
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {submitSettleMs: 50}\n"
                                             "breaker: {failures: 3, openMs: 1500}\n",
                                             s->url));
    for (int i = 0; i < 3; i++) {
        run_job(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    }
    sim_control(s, "{'fault': null}");
    const double from = now_s();
    char *id = submit(d, sleep_body("a", 1, ", \"maxAttempts\": 1"));
    AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "breaker_open") == 0);
    json_t *other = run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_tag':'b'}}}"));
    CHECK(strcmp(str_at(other, "state"), "completed") == 0);
    CHECK(is_state(d, id, "queued") && ledger_count(s, "posted", "a") == 3);
    /* Its expiry wakes the queue. */
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(now_s() - from > 0.5);
}
END_TEST

START_TEST(test_retry_by_hand)
{
    struct sim *s = sim_start("--fault", "http500@*", NULL);
    const char *config = text("backends: [{name: s0, url: '%s'}]\nlink: {submitSettleMs: 50}\n"
                              "jobs: {retryDelayMs: 10}\nbreaker: {failures: 100}\n",
                              s->url);
    struct daemon *d = DAEMON(.config = config);
    json_t *j = run_job(d, sleep_body("a", 1, ", \"maxAttempts\": 2, \"metadata\": {\"k\": 1}"));
    const char *id = str_at(j, "id");
    CHECK(num_at(j, "attempts") == 2 && strcmp(str_at(j, "state"), "failed") == 0);
    sim_control(s, "{'fault': 'http500@1'}"); /* once more: the budget is a fresh one */
    struct answer *a = post(d, text("/jobs/%s/retry", id), "");
    expect(a, 202, NULL);
    CHECK(!has(a->json, "error") && !has(a->json, "completedAt"));
    j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 4);
    CHECK(num_at(j, "metadata.k") == 1 && json_array_size(attempts_of(d, id)) == 4);
    expect(post(d, text("/jobs/%s/retry", id), ""), 409, "job_not_retriable");
    expect(post(d, "/jobs/00000000-0000-7000-8000-000000000000/retry", ""), 404, "job_not_found");
    /* A cancelled one, over a kill. */
    sim_control(s, "{'pause': true}");
    id = submit(d, sleep_body("c", 1, ""));
    cancel(d, id);
    await_end(d, id);
    expect(post(d, text("/jobs/%s/retry", id), ""), 202, NULL);
    daemon_kill(d);
    sim_control(s, "{'pause': false}");
    d = DAEMON(.config = config);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
}
END_TEST

/* Two servers die under it: no third one gets it, whatever maxAttempts says. */
START_TEST(test_poison)
{
    struct sim *s[2] = {sim_start("--fault", "crash@*:200", NULL),
                        sim_start("--fault", "crash@*:200", NULL)};
    struct daemon *d = two(s[0], s[1], "");
    await_backends_up(d, 2);
    json_t *j = run_job(d, sleep_body("a", 500, ", \"maxAttempts\": 9"));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "backend_error") == 0);
    json_t *list = attempts_of(d, str_at(j, "id"));
    CHECK(json_array_size(list) == 2);
    check_attempt(list, 0, "s0", "lost", "lost");
    check_attempt(list, 1, "s1", "lost", "lost");
    struct answer *a = get(d, "/backends");
    CHECK(strcmp(str_at(a->json, "poison.0"), str_at(j, "workflowHash")) == 0);
}
END_TEST

Suite *retry_suite(void)
{
    static const struct named_test tests[] = {
        {"each attempt is kept", &test_each_attempt_is_kept, 0},
        {"open attempt", &test_open_attempt, 0},
        {"elsewhere", &test_elsewhere, 2},
        {"nowhere", &test_nowhere, 0},
        {"many, nowhere", &test_many_nowhere, 0},
        {"the other one is down", &test_the_other_one_is_down, 3},
        {"out of memory", &test_out_of_memory, 0},
        {"more memory", &test_more_memory, 2},
        {"as the job asks", &test_as_the_job_asks, sizeof asked / sizeof *asked},
        {"breaker", &test_breaker, 0},
        {"retry by hand", &test_retry_by_hand, 0},
        {"poison", &test_poison, 0},
    };
    return SUITE("retry", 90, tests);
}
