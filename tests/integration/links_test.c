/*
 * What goes wrong between the daemon and a backend. A table of faults: with each, a job ends as it
 * should, in as many attempts as it should take, and the profile says what was missed. That no
 * prompt id is POSTed twice and nothing succeeds twice is checked by the harness for all of them.
 */
#include "harness.h"

#include <string.h>

#include "suites.h"

/* WHOLE: complete; TOLD: it says what is missing; HOLED: and history told a part. */
enum evidence { ANY, WHOLE, TOLD, HOLED };

struct fault {
    const char *fault;
    int sims;
    const char *more; /* configuration in link: */
    const char *state, *code;
    int attempts; /* -n: at least n */
    enum evidence evidence;
};

#define QUICK "quietPollMs: 300, submitSettleMs: 600, pingIntervalMs: 300, pongTimeoutMs: 300"

static const struct fault faults[] = {
    {"drop-ws", 1, QUICK, "completed", "", 1, HOLED},
    {"silent-ws", 1, QUICK, "completed", "", 1, HOLED},
    {"half-open", 1, QUICK, "completed", "", 1, HOLED},
    {"garbage", 1, QUICK, "completed", "", 1, WHOLE},
    {"dup", 1, QUICK, "completed", "", 1, WHOLE},
    {"reorder", 1, QUICK, "completed", "", 1, ANY},
    {"late-finish@1:500", 1, QUICK, "completed", "", 1, ANY},
    {"oom", 1, QUICK, "completed", "", 2, ANY},
    {"oom@*", 1, QUICK, "failed", "out_of_memory", 2, WHOLE},
    {"crash@1:400", 1, QUICK, "completed", "", 2, ANY},
    {"crash@1:60000", 2, QUICK ", backendLostMs: 500", "completed", "", 2, ANY},
    {"refuse@1:400", 1, QUICK, "completed", "", 2, ANY},
    {"http500-accepted", 1, QUICK, "completed", "", 1, ANY},
    {"page-accepted", 1, QUICK, "completed", "", 1, ANY},
    {"lost-accept", 1, QUICK, "completed", "", 1, ANY},
    {"late-accept@1:800", 1, QUICK, "completed", "", 1, WHOLE},
    {"late-accept@1:800", 1, QUICK ", submitTimeoutMs: 200", "completed", "", 1, ANY},
    {"slow-accept@1:600", 1, QUICK, "completed", "", 1, WHOLE},
    {"slow-accept@1:600", 1, "quietPollMs: 300, submitSettleMs: 5000, submitTimeoutMs: 200",
     "completed", "", 1, ANY},
    {"http500", 1, QUICK, "completed", "", 2, ANY},
    {"http429", 1, QUICK, "completed", "", 2, ANY},
    {"http429@*", 1, QUICK, "failed", "backend_error", 3, ANY},
    {"http500@*", 1, "quietPollMs: 100, submitSettleMs: 100", "failed", "backend_error", 3, ANY},
    {"reject", 1, QUICK, "failed", "workflow_not_supported", 1, ANY},
    {"hold@1:1200", 1, QUICK, "completed", "", 1, ANY},
    {"clock-step@1:-3000", 1, QUICK, "completed", "", 1, TOLD},
};

enum { FAULTS = sizeof faults / sizeof *faults };

static void check_evidence(const struct fault *f, json_t *j)
{
    json_t *e = at(j, "profileStats.evidence");
    CHECK(f->evidence == ANY || is_true(e, "complete") == (f->evidence == WHOLE), "%s", f->fault);
    CHECK(f->evidence != TOLD || json_array_size(at(e, "gaps")) > 0, "%s", f->fault);
    if (f->evidence == HOLED) {
        CHECK(json_array_size(at(e, "gaps")) > 0 && strcmp(str_at(e, "source"), "events") != 0,
              "%s", f->fault);
    }
}

START_TEST(test_fault)
{
    const struct fault *f = &faults[_i];
    struct sim *s =
        sim_start("--fault", f->fault, "--version-as", _i % 2 == 0 ? "0.28" : "0.3", NULL);
    struct sim *other = f->sims == 2 ? sim_plain() : NULL;
    /* The heavier one comes first among idle ones. */
    char *config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n%s%s%slink: {%s}\n"
                        "jobs: {retryDelayMs: 30}\n",
                        s->url, other == NULL ? "" : "  - {name: s1, url: '",
                        other == NULL ? "" : other->url, other == NULL ? "" : "'}\n", f->more);
    struct daemon *d = DAEMON(.config = config);
    await_backends_up(d, f->sims);
    char *id = submit(d, q("{'1':{'class_type':'KSampler','inputs':{'_ms':300,'_steps':6,"
                           "'_tag':'a'}},"
                           "'2':{'class_type':'SaveImage','inputs':{'images':['1',0],'_ms':50}}}"));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), f->state) == 0, "%s: %s", f->fault, f->state);
    CHECK(strcmp(str_at(j, "error.code"), f->code) == 0, "%s: '%s'", f->fault, f->code);
    CHECK(num_at(j, "attempts") == f->attempts, "%s: %d attempts", f->fault, f->attempts);
    check_evidence(f, j);
    if (strcmp(f->state, "completed") == 0) {
        CHECK(json_array_size(at(j, "outputs.2.images")) == 1, "%s: its outputs", f->fault);
        const int n = ledger_count(s, "success", "a") +
                      (other == NULL ? 0 : ledger_count(other, "success", "a"));
        CHECK(n == 1, "%s: succeeded %d times", f->fault, n);
    }
    /* And the next one has no trouble. */
    if (f->sims == 1) { /* else it is still down */
        sim_control(s, "{'fault':null}");
    }
    j = run_job(d, sleep_body("b", 10, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1,
          "%s: after it", f->fault);
    /* A deaf socket was replaced: the next job is seen whole. */
    CHECK(f->sims != 1 || is_true(at(j, "profileStats.evidence"), "complete"), "%s: after it",
          f->fault);
    CHECK(num_at(get(d, "/stats")->json, "badTransitions") == 0);
}
END_TEST

/* The second POST of a kept-alive connection is read, then the connection is closed. libcurl would
   send it again by itself; one prompt id must not be POSTed twice. */
START_TEST(test_keepalive_cut)
{
    struct sim *s = sim_start("--fault", "keepalive-cut@*", NULL);
    struct daemon *d =
        DAEMON(.sims = {s}, .config = "link: {quietPollMs: 100, submitSettleMs: 100}\n"
                                      "jobs: {retryDelayMs: 10}\n");
    for (int i = 0; i < 6; i++) {
        json_t *j = run_job(d, sleep_body(text("t%d", i), 1, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0, "job %d", i);
        CHECK(ledger_count(s, "success", text("t%d", i)) == 1);
        CHECK(ledger_count(s, "posted", text("t%d", i)) == num_at(j, "attempts"), "job %d", i);
    }
}
END_TEST

/* Sockets cut while nothing runs, and a backend that restarts between two jobs. */
START_TEST(test_reconnects)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, sleep_body("a", 1, ""));
    sim_control(s, "{'drop':true}");
    json_t *j = run_job(d, sleep_body("b", 1, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    sim_control(s, "{'crash':300}");
    AWAIT(get(d, "/readyz")->status == 503);
    j = run_job(d, sleep_body("c", 1, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
}
END_TEST

/* A name that nobody has (RFC 6761 keeps .invalid free): the reason is told. */
START_TEST(test_unknown_name)
{
    struct daemon *d =
        DAEMON(.config = "backends: [{name: s0, url: 'http://no-such-host.invalid'}]\n");
    AWAIT(strstr(str_at(get(d, "/backends")->json, "backends.0.lastError"), "cannot be resolved") !=
          NULL);
}
END_TEST

/* Cut again and again while jobs run: each completes, once. */
START_TEST(test_cut_often)
{
    struct sim *s = sim_start("--fault", "drop-ws@%2", NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "link: {" QUICK "}\n");
    for (int i = 0; i < 6; i++) {
        json_t *j = run_job(d, sleep_body(text("t%d", i), 30, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1, "job %d",
              i);
    }
}
END_TEST

/* Two prompts are in flight when the socket is cut or falls silent: both are told their ends. */
START_TEST(test_two_in_flight)
{
    static const char *const modes[] = {"drop-ws", "silent-ws", "half-open"};
    struct sim *s = sim_start("--fault", modes[_i], NULL);
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', maxInFlight: 2}\n"
                              "link: {" QUICK "}\n",
                              s->url));
    char *ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 100, ""));
    }
    for (int i = 0; i < 4; i++) {
        json_t *j = await_end(d, ids[i]);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1,
              "%s, job %d", modes[_i], i);
    }
    CHECK(ledger_count(s, "posted", NULL) == 4);
}
END_TEST

/* A backend that never comes back: its attempt is lost, a retry goes elsewhere; with nobody else
   and no attempts left the job fails as lost. */
START_TEST(test_lost_for_good)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "link: {backendLostMs: 400, " QUICK "}\n");
    char *id = submit(d, sleep_body("a", 60000, ",'maxAttempts':1"));
    AWAIT(is_at_node(d, id, "1"));
    sim_kill(s);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "lost") == 0);
    json_t *p = at(j, "profileStats");
    CHECK(strcmp(str_at(p, "outcome"), "lost") == 0 && num_at(p, "summary.failedNodes") == 0);
    CHECK(strcmp(str_at(node_of(p, "1"), "status"), "executing") == 0);
}
END_TEST

Suite *links_suite(void)
{
    static const struct named_test tests[] = {
        {"fault", &test_fault, FAULTS},
        {"keepalive-cut", &test_keepalive_cut, 1},
        {"reconnects", &test_reconnects, 1},
        {"unknown name", &test_unknown_name, 1},
        {"cut often", &test_cut_often, 1},
        {"two in flight", &test_two_in_flight, 3},
        {"lost for good", &test_lost_for_good, 1},
    };
    return SUITE("links", 90, tests);
}
