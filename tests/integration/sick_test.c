/*
 * Sick servers: faults of devices and disks, servers that fail whatever they are given, and wrong
 * prompts, which are none of their fault. Who pays, who gets the next job, and what people are
 * told.
 */
#include "harness.h"

#include <string.h>

#include "suites.h"

/* Two backends, the sick one preferred while both are idle. */
static struct daemon *two(struct sim *sick, struct sim *well, const char *more)
{
    return DAEMON(.config = text("backends:\n  - {name: sick, url: '%s', weight: 9}\n"
                                 "  - {name: well, url: '%s'}\n"
                                 "jobs: {retryDelayMs: 20}\n%s",
                                 sick->url, well->url, more));
}

static json_t *backend_of(struct daemon *d, const char *name)
{
    return get(d, "/backends/%s", name)->json;
}

static bool backend_is(struct daemon *d, const char *name, const char *state)
{
    return strcmp(str_at(backend_of(d, name), "state"), state) == 0;
}

static bool ended_as(json_t *j, const char *state, const char *code)
{
    return strcmp(str_at(j, "state"), state) == 0 && strcmp(str_at(j, "error.code"), code) == 0;
}

/* Another structure for each n >= 0. */
static char *other_body(int n, const char *tag, int ms, const char *more)
{
    char *node = n < 0 ? "" : text(",\"x%d\":{\"class_type\":\"T_Sleep\",\"inputs\":{}}", n);
    char *graph = sleeper(tag, ms);
    graph[strlen(graph) - 1] = '\0';
    return text("{\"workflow\":%s%s}%s}", graph, node, more);
}

/* ---- faults of a server ---------------------------------------------------------------------- */

static const struct {
    const char *type, *message;
    const char *word; /* of what to do */
    bool equal;       /* all jobs are of one workflow */
} sticky[] = {
    {"torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", "restart",
     true},
    {"RuntimeError", "No CUDA GPUs are available", "driver", false},
    {"OSError", "[Errno 28] No space left on device", "space", true},
    {"MemoryError", "", "memory", false},
};

/* It takes as many as it needs to be found out, and no job is the worse for it. */
START_TEST(test_a_sticky_fault)
{
    struct sim *sick = sim_plain();
    struct sim *well = sim_plain();
    sim_control(sick, text("{'sick': {'type': '%s', 'message': '%s'}}", sticky[_i].type,
                           sticky[_i].message));
    struct daemon *d = two(sick, well, "quarantine: {failures: 2}\n");
    await_backends_up(d, 2);
    char *ids[12];
    for (int i = 0; i < 12; i++) {
        ids[i] = submit(
            d, other_body(sticky[_i].equal ? -1 : i, text("t%d", i), 20, ", \"maxAttempts\": 1"));
    }
    for (int i = 0; i < 12; i++) {
        json_t *j = await_end(d, ids[i]);
        CHECK(ended_as(j, "completed", "") && strcmp(str_at(j, "backend"), "well") == 0,
              "job %d: %s %s", i, str_at(j, "state"), str_at(j, "error.message"));
    }
    CHECK(ledger_count(sick, "posted", NULL) == 2);
    json_t *first = get(d, "/jobs/%s/attempts", ids[0])->json;
    CHECK(strcmp(str_at(first, "attempts.0.outcome"), "failed") == 0 &&
          strcmp(str_at(first, "attempts.0.error.code"), "server_fault") == 0);
    CHECK(backend_is(d, "sick", "quarantined"));
    const char *why = str_at(backend_of(d, "sick"), "lastError");
    CHECK(strstr(why, sticky[_i].type) != NULL && strstr(why, sticky[_i].word) != NULL, "%s", why);
    CHECK(strstr(read_file(d->err), sticky[_i].word) != NULL, "the log says what to do");
}
END_TEST

START_TEST(test_the_only_server_is_sick)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'sick': {'type': 'torch.AcceleratorError', 'message': 'CUDA error: x'}}");
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "jobs: {retryDelayMs: 20}\n"
                                             "quarantine: {failures: 3}\n",
                                             s->url));
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = submit(d, other_body(i, text("t%d", i), 1, ", \"maxAttempts\": 1"));
    }
    AWAIT(backend_is(d, "s0", "quarantined"));
    for (int i = 0; i < 3; i++) {
        AWAIT(is_state(d, ids[i], "queued"));
    }
    CHECK(ledger_count(s, "posted", NULL) == 3);
    sim_control(s, "{'sick': null}");
    expect(post(d, "/backends/s0/resume", ""), 200, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(ended_as(await_end(d, ids[i]), "completed", ""));
    }
    CHECK(json_is_null(at(backend_of(d, "s0"), "lastError")), "that is over");
}
END_TEST

static const char own_fault[] =
    "{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_tag':'own',"
    "'_exception':'torch.AcceleratorError: CUDA error: device-side assert triggered'}}}%s}";

/* A restart mends it: tried at once, one prompt at a time; one that fails costs nothing. */
START_TEST(test_a_restart_is_tried)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s', maxInFlight: 3}]\n"
                                             "jobs: {retryDelayMs: 20}\nquarantine: {failures: 2}\n"
                                             "breaker: {failures: 100}\n",
                                             s->url));
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = submit(d, q(own_fault, ", 'maxAttempts': 1"));
    }
    AWAIT(backend_is(d, "s0", "quarantined"));
    AWAIT(num_at(backend_of(d, "s0"), "inFlight") == 0);
    const int before = ledger_count(s, "posted", NULL);
    sim_control(s, "{'crash': 1500}");
    AWAIT(ledger_count(s, "posted", NULL) > before);
    AWAIT(backend_is(d, "s0", "quarantined") && num_at(backend_of(d, "s0"), "inFlight") == 0);
    CHECK(ledger_count(s, "posted", NULL) == before + 1, "%d prompts more",
          ledger_count(s, "posted", NULL) - before);
    for (int i = 0; i < 3; i++) {
        AWAIT(is_state(d, ids[i], "queued"));
    }
    /* Something completes: all its places are there again. */
    sim_control(s, "{'crash': 1500}");
    for (int i = 0; i < 3; i++) {
        cancel(d, ids[i]);
    }
    CHECK(ended_as(run_job(d, sleep_body("a", 1, "")), "completed", ""));
    CHECK(num_at(backend_of(d, "s0"), "maxInFlight") == 3);
    CHECK(json_is_null(at(backend_of(d, "s0"), "lastError")));
}
END_TEST

/* What tries it fails in another way: that is no success either, and costs as little. */
START_TEST(test_a_probe_fails_otherwise)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\nlink: {submitSettleMs: 50}\n"
                              "jobs: {retryDelayMs: 1}\nquarantine: {failures: 2}\n"
                              "breaker: {failures: 100}\n",
                              s->url));
    char *ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = submit(d, q(own_fault, ", 'maxAttempts': 1"));
    }
    AWAIT(backend_is(d, "s0", "quarantined") && num_at(backend_of(d, "s0"), "inFlight") == 0);
    const int before = ledger_count(s, "posted", NULL);
    sim_control(s, "{'fault': 'http500@*', 'drop': true}");
    AWAIT(ledger_count(s, "posted", NULL) > before);
    AWAIT(backend_is(d, "s0", "quarantined") && num_at(backend_of(d, "s0"), "inFlight") == 0);
    /* The slot is free before the requeue is durable. */
    AWAIT(is_state(d, ids[0], "queued") && is_state(d, ids[1], "queued"));
    CHECK(ledger_count(s, "posted", NULL) == before + 1);
}
END_TEST

/* Two servers that were well before have it with this job alone. */
START_TEST(test_the_fault_is_the_jobs_own)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = two(s[0], s[1], "quarantine: {failures: 2}\n");
    await_backends_up(d, 2);
    char *a = submit(d, sleep_body("a", 100, ""));
    char *b = submit(d, sleep_body("b", 100, ""));
    await_end(d, a);
    await_end(d, b);
    CHECK(ledger_count(s[0], "success", NULL) == 1 && ledger_count(s[1], "success", NULL) == 1);
    json_t *j = run_job(d, q(own_fault, ", 'maxAttempts': 9"));
    CHECK(ended_as(j, "failed", "server_fault") && num_at(j, "attempts") == 2);
    /* It holds nobody, however often it comes: neither server nor workflow. */
    for (int i = 0; i < 3; i++) {
        a = submit(d, sleep_body(text("a%d", i), 100, ""));
        b = submit(d, sleep_body(text("b%d", i), 100, ""));
        CHECK(ended_as(await_end(d, a), "completed", "") &&
              ended_as(await_end(d, b), "completed", ""));
        CHECK(ended_as(run_job(d, q(own_fault, "")), "failed", "server_fault"));
    }
    const char *message = str_at(j, "error.message");
    CHECK(strstr(message, "sick and well") != NULL || strstr(message, "well and sick") != NULL,
          "%s", message);
}
END_TEST

/* On the only server, which is restarted after each fault: whoever is well gets its turn, and the
   one that brings the fault ends. */
START_TEST(test_who_brings_the_fault_ends)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "jobs: {retryDelayMs: 1}\nbreaker: {failures: 1}\n",
                                             s->url));
    await_backends_up(d, 1);
    char *bad = submit(d, q(own_fault, ", 'priority': 9"));
    char *well = NULL;
    int faults = 0;
    for (; !is_state(d, bad, "failed"); faults++) {
        CHECK(faults < 9, "it goes on for ever");
        AWAIT(ledger_count(s, "error", "own") == faults + 1);
        AWAIT(num_at(job_now(d, bad), "attempts") == faults + 1 && !is_state(d, bad, "running"));
        if (well == NULL) {
            well = submit(d, sleep_body("well", 1, ""));
        }
        if (is_state(d, bad, "queued")) {
            CHECK(faults < 3 || is_state(d, well, "completed"), "the other one has its turn");
            AWAIT(backend_is(d, "s0", "quarantined") || is_state(d, bad, "failed"));
            sim_control(s, "{'crash': 300}");
        }
    }
    CHECK(ended_as(await_end(d, bad), "failed", "server_fault"));
    CHECK(ended_as(await_end(d, well), "completed", ""));
}
END_TEST

/* It tried the sick one, and waits for the able one, which is merely busy: however often the sick
   one is restarted meanwhile. */
START_TEST(test_a_busy_one_is_able)
{
    struct sim *sick = sim_plain();
    struct sim *well = sim_plain();
    sim_control(sick,
                "{'sick': {'type': 'RuntimeError', 'message': 'No CUDA GPUs are available'}}");
    struct daemon *d = two(sick, well, "quarantine: {failures: 1}\n");
    await_backends_up(d, 2);
    char *busy = submit(d, sleep_body("busy", 60000, ", \"backends\": {\"only\": [\"well\"]}"));
    AWAIT(is_at_node(d, busy, "1"));
    char *first = submit(d, sleep_body("first", 1, ""));
    AWAIT(backend_is(d, "sick", "quarantined"));
    sim_control(sick, "{'drop': true}");
    char *second = submit(d, sleep_body("second", 1, "")); /* it is the probe */
    AWAIT(ledger_count(sick, "error", "second") == 1);
    AWAIT(backend_is(d, "sick", "quarantined"));
    sim_control(sick, "{'drop': true}");
    AWAIT(backend_is(d, "sick", "up"));
    pause_a_moment();
    cancel(d, busy);
    CHECK(ended_as(await_end(d, first), "completed", ""));
    json_t *j = await_end(d, second);
    CHECK(ended_as(j, "completed", "") && num_at(j, "attempts") == 2, "%g attempts",
          num_at(j, "attempts"));
    CHECK(ledger_count(sick, "posted", NULL) == 2);
}
END_TEST

START_TEST(test_five_faults_are_enough)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\njobs: {retryDelayMs: 5}\n"
                              "quarantine: {failures: 100}\nbreaker: {failures: 100}\n",
                              s->url));
    json_t *j = run_job(d, q(own_fault, ", 'maxAttempts': 1"));
    CHECK(ended_as(j, "failed", "server_fault") && num_at(j, "attempts") == 5);
    j = run_job(d, q(own_fault, ", 'retryOn': ['lost']"));
    CHECK(ended_as(j, "failed", "server_fault") && num_at(j, "attempts") == 1);
    CHECK(ended_as(run_job(d, sleep_body("a", 1, ", \"retryOn\": [\"server_fault\"]")), "completed",
                   ""));
}
END_TEST

/* ---- errors of no list ----------------------------------------------------------------------- */

/* It fails whatever it is given, and the other one does not. */
START_TEST(test_it_fails_everything)
{
    const bool equal = _i % 2 == 0;
    const char *client = _i < 2 ? "" : ", \"client\": \"studio\""; /* all are of one */
    struct sim *sick = sim_plain();
    struct sim *well = sim_plain();
    sim_control(sick, "{'sick': {'type': 'ImportError', 'message': 'libGL.so.1: not found'}}");
    struct daemon *d = two(sick, well, "quarantine: {failures: 3}\n");
    await_backends_up(d, 2);
    char *ids[16];
    int failed = 0;
    expect(post(d, "/queue/pause", ""), 200, NULL); /* both begin together */
    for (int i = 0; i < 16; i++) {
        ids[i] = submit(d, other_body(equal ? -1 : i, text("t%d", i), 30, client));
    }
    expect(post(d, "/queue/resume", ""), 200, NULL);
    for (int i = 0; i < 16; i++) {
        failed += ended_as(await_end(d, ids[i]), "failed", "node_failed") ? 1 : 0;
    }
    CHECK(failed >= 3 && failed <= 5, "%d failed", failed);
    CHECK(backend_is(d, "sick", "quarantined"));
    const char *why = str_at(backend_of(d, "sick"), "lastError");
    CHECK(strstr(why, "ImportError: libGL.so.1") != NULL && strstr(why, "restart") != NULL, "%s",
          why);
}
END_TEST

static const struct {
    const char *name;
    const char *exception;
    bool equal;
    const char *client;
} mistakes[] = {
    {"one wrong workflow", "RuntimeError: shapes cannot be multiplied", true, NULL},
    {"one author's wrong workflows", "RuntimeError: shapes cannot be multiplied", false, "ann"},
    {"too large a picture", "torch.OutOfMemoryError: Allocation would exceed memory", true, NULL},
    {"one author's too large pictures", "torch.OutOfMemoryError: Allocation on device", false,
     "ann"},
};

/* Wrong prompts take no server and no workflow from anybody. */
START_TEST(test_mistakes_of_users)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = two(s[0], s[1], "quarantine: {failures: 3}\nbreaker: {failures: 3}\n");
    await_backends_up(d, 2);
    for (int i = 0; i < 8; i++) {
        char *node =
            mistakes[_i].equal ? "" : text(",'x%d':{'class_type':'T_Sleep','inputs':{}}", i);
        json_t *j = run_job(
            d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_tag':'w%d',"
                 "'_exception':'%s'}}%s}%s}",
                 i, mistakes[_i].exception, node,
                 mistakes[_i].client == NULL ? "" : text(",'client':'%s'", mistakes[_i].client)));
        CHECK(strcmp(str_at(j, "state"), "failed") == 0, "%s", mistakes[_i].name);
    }
    CHECK(backend_is(d, "sick", "up") && backend_is(d, "well", "up"), "%s", mistakes[_i].name);
    const double from = now_s();
    for (int i = 0; i < 4; i++) {
        json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':"
                                 "{'_tag':'r%d'}}}}",
                                 i));
        CHECK(ended_as(j, "completed", ""), "%s", mistakes[_i].name);
    }
    CHECK(now_s() - from < 10, "%s: nobody waits for them", mistakes[_i].name);
}
END_TEST

/* One client's wrong workflow on a server that is well: its other work waits for the word of those
   elsewhere, and then has both servers again. */
START_TEST(test_an_author_keeps_its_servers)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.config = text("backends:\n  - {name: a, url: '%s'}\n"
                                             "  - {name: b, url: '%s', maxInFlight: 2}\n"
                                             "quarantine: {failures: 3}\n",
                                             s[0]->url, s[1]->url));
    await_backends_up(d, 2);
    const char *on_b = q(",'client':'ann','backends':{'only':['b']}");
    char *word = submit(d, sleep_body("word", 4000, on_b));
    char *later = submit(d, sleep_body("later", 60000, on_b));
    AWAIT(is_at_node(d, word, "1"));
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{"
                                 "'_tag':'w%d','_exception':'ValueError: no such sampler'}}},"
                                 "'client':'ann','backends':{'only':['a']}}",
                                 i));
        CHECK(ended_as(j, "failed", "node_failed"));
    }
    char *id = submit(d, sleep_body("right", 1, q(",'client':'ann','backends':{'only':['a']}")));
    CHECK(is_state(d, word, "running") && is_state(d, id, "queued"));
    CHECK(ended_as(await_end(d, id), "completed", ""));
    CHECK(is_state(d, word, "completed") && is_state(d, later, "running"));
    cancel(d, later);
}
END_TEST

Suite *sick_suite(void)
{
    static const struct named_test tests[] = {
        {"a sticky fault", &test_a_sticky_fault, sizeof sticky / sizeof *sticky},
        {"the only server is sick", &test_the_only_server_is_sick, 0},
        {"a restart is tried", &test_a_restart_is_tried, 0},
        {"a probe fails otherwise", &test_a_probe_fails_otherwise, 0},
        {"the fault is the job's own", &test_the_fault_is_the_jobs_own, 0},
        {"who brings the fault ends", &test_who_brings_the_fault_ends, 0},
        {"a busy one is able", &test_a_busy_one_is_able, 0},
        {"five faults are enough", &test_five_faults_are_enough, 0},
        {"it fails everything", &test_it_fails_everything, 4},
        {"an author keeps its servers", &test_an_author_keeps_its_servers, 0},
        {"mistakes of users", &test_mistakes_of_users, sizeof mistakes / sizeof *mistakes},
    };
    return SUITE("sick", 90, tests);
}
