/*
 * Timers, and what is left behind: each timeout, told over restarts; prompts that do not stop;
 * prompts that nobody waits for any more; dead workers and deaf sockets.
 */
#include "harness.h"

#include <string.h>

#include "suites.h"

static char *config_of(struct sim *s, const char *more)
{
    return text("backends: [{name: s0, url: '%s'}]\n"
                "link: {submitSettleMs: 300, quietPollMs: 200}\n%s",
                s->url, more);
}

static const char *backend_state(struct daemon *d)
{
    return str_at(get(d, "/backends/s0")->json, "state");
}

START_TEST(test_queue_timeout)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *held = submit(d, sleep_body("held", 60000, ""));
    AWAIT(is_at_node(d, held, "1"));
    char *id = submit(d, sleep_body("a", 1, ", \"queueTimeoutMs\": 300"));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "queue_timeout") == 0);
    CHECK(num_at(j, "attempts") == 0 && num_at(j, "profileStats.attempt") == 0);
    CHECK(strcmp(str_at(j, "profileStats.outcome"), "timed_out") == 0);
    CHECK(ledger_count(s, "posted", "a") == 0);
    /* It does not strike a job that runs. */
    cancel(d, held);
    CHECK(strcmp(str_at(run_job(d, sleep_body("b", 800, ", \"queueTimeoutMs\": 500")), "state"),
                 "completed") == 0);
}
END_TEST

START_TEST(test_job_timeout)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    json_t *j = run_job(d, sleep_body("a", 60000, ", \"jobTimeoutMs\": 500"));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "job_timeout") == 0);
    CHECK(strcmp(str_at(j, "profileStats.outcome"), "timed_out") == 0);
    CHECK(num_at(j, "attempts") == 1 && ledger_count(s, "interrupted", "a") == 1);
    CHECK(num_at(j, "profileStats.summary.failedNodes") == 0, "a timeout fails no node");
}
END_TEST

/* The success that comes after the prompt was told to stop is the truth. */
START_TEST(test_success_wins_over_a_timeout)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, ""));
    json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':1500,"
                             "'_uninterruptible':true,'_tag':'a'}}}, 'jobTimeoutMs': 400}"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && !has(j, "error"));
}
END_TEST

START_TEST(test_start_timeout)
{
    struct sim *bad = sim_plain();
    struct sim *good = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                                             "  - {name: s1, url: '%s'}\n"
                                             "jobs: {retryDelayMs: 20}\n",
                                             bad->url, good->url));
    await_backends_up(d, 2);
    sim_control(bad, "{'pause': true}");
    json_t *j = run_job(d, sleep_body("a", 5, ", \"executionStartTimeoutMs\": 400"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    json_t *first =
        json_array_get(at(get(d, "/jobs/%s/attempts", str_at(j, "id"))->json, "attempts"), 0);
    CHECK(strcmp(str_at(first, "outcome"), "timed_out") == 0 &&
          strcmp(str_at(first, "error.code"), "start_timeout") == 0);
    CHECK(ledger_count(bad, "deleted", "a") == 1);
}
END_TEST

/* While something else runs there, waiting is no fault. */
START_TEST(test_no_start_timeout_behind_others)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    CHECK(sim_post(s, "/prompt",
                   q("{'prompt':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':1500,'_tag':'x'}}},"
                     "'client_id':'somebody'}")) == 200);
    json_t *j = run_job(d, sleep_body("a", 5, ", \"executionStartTimeoutMs\": 400"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
}
END_TEST

START_TEST(test_node_timeout)
{
    struct sim *s = sim_start("--fault", "hang@1", NULL);
    struct daemon *d = DAEMON(.config = config_of(s, "jobs: {retryDelayMs: 20}\n"));
    json_t *j = run_job(d, sleep_body("a", 5, ", \"nodeExecutionTimeoutMs\": 400"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    /* Signs of life keep it. */
    j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':2500,'_steps':25,"
                     "'_tag':'b'}}}, 'nodeExecutionTimeoutMs': 1000}"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
}
END_TEST

/* No timer is lost over a restart. */
START_TEST(test_timers_over_a_kill)
{
    struct sim *s = sim_start("--fault", "hang@1", NULL);
    char *config = config_of(s, "");
    struct daemon *d = DAEMON(.config = config);
    const double from = now_s();
    char *hung = submit(d, sleep_body("hung", 5, ", \"jobTimeoutMs\": 3000"));
    AWAIT(ledger_count(s, "started", "hung") == 1);
    char *queued = submit(d, sleep_body("queued", 5, ", \"queueTimeoutMs\": 600"));
    daemon_kill(d);
    d = DAEMON(.config = config);
    CHECK(strcmp(str_at(await_end(d, queued), "error.code"), "queue_timeout") == 0);
    json_t *j = await_end(d, hung);
    CHECK(strcmp(str_at(j, "error.code"), "job_timeout") == 0);
    CHECK(now_s() - from > 2.9, "it ended after %.1f s", now_s() - from);
    CHECK(ledger_count(s, "interrupted", "hung") == 1 && ledger_count(s, "posted", "queued") == 0);
}
END_TEST

/* Our own interrupt, found by the next daemon, is no stranger's. */
START_TEST(test_timeout_over_a_kill)
{
    struct sim *s = sim_plain();
    char *config = config_of(s, "");
    struct daemon *d = DAEMON(.config = config);
    char *id = submit(d, q("{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':2500,"
                           "'_uninterruptible':true,'_tag':'a'}},'2':{'class_type':'T_SleepOut',"
                           "'inputs':{'a':['1',0]}}},'nodeExecutionTimeoutMs':300,"
                           "'maxAttempts':1}"));
    AWAIT(sim_says(s, "http.POST /jobs") >= 1); /* it was told */
    daemon_kill(d);
    AWAIT(ledger_count(s, "interrupted", "a") == 1);
    d = DAEMON(.config = config);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "node_timeout") == 0);
    CHECK(strcmp(str_at(j, "profileStats.outcome"), "timed_out") == 0);
}
END_TEST

/* Told to stop, and it goes on: the backend is out of use until it ends; the success that comes
   later is noted and changes nothing. Over a kill as well. */
START_TEST(test_it_does_not_stop)
{
    const bool killed = _i == 1;
    struct sim *s = sim_plain();
    char *config = config_of(s, "jobs: {cancelGraceMs: 300}\n");
    struct daemon *d = DAEMON(.config = config);
    char *id = submit(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':4000,"
                           "'_uninterruptible':true,'_tag':'a'}}}"));
    AWAIT(is_at_node(d, id, "1"));
    cancel(d, id);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 && !has(j, "error"));
    CHECK(strcmp(backend_state(d), "quarantined") == 0);
    CHECK(strstr(str_at(get(d, "/backends/s0")->json, "quarantineReason"), "goes on") != NULL);
    char *next = submit(d, sleep_body("b", 1, ""));
    if (killed) {
        daemon_kill(d);
        d = DAEMON(.config = config);
    }
    AWAIT(strcmp(str_at(job_now(d, next), "waitingReason"),
                 killed ? "backends_quarantined" : "backends_quarantined") == 0 ||
          !is_state(d, next, "queued"));
    CHECK(strcmp(str_at(await_end(d, next), "state"), "completed") == 0);
    CHECK(ledger_at(s, "posted", "b") >= ledger_at(s, "success", "a"), "it waited for the slot");
    CHECK(is_state(d, id, "cancelled"));
    json_t *a = json_array_get(at(get(d, "/jobs/%s/attempts", id)->json, "attempts"), 0);
    CHECK(strcmp(str_at(a, "outcome"), "lost") == 0 &&
          strcmp(str_at(a, "lateOutcome"), "completed") == 0);
}
END_TEST

/* Accepted after it was given up: told to stop there, at once. */
START_TEST(test_late_accept)
{
    struct sim *s = sim_start("--fault", "late-turn-up@1:1500", NULL);
    struct daemon *d = DAEMON(.config = config_of(s, "jobs: {retryDelayMs: 20}\n"));
    char *id = submit(d, sleep_body("a", 3000, ", \"maxAttempts\": 1"));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "lost") == 0);
    AWAIT(ledger_count(s, "interrupted", "a") + ledger_count(s, "deleted", "a") == 1);
    CHECK(ledger_count(s, "success", "a") == 0 && is_state(d, id, "failed"));
}
END_TEST

/* Nothing after execution_start, ever, and HTTP is healthy. */
START_TEST(test_dead_worker)
{
    struct sim *s = sim_start("--fault", "dead-worker@1", NULL);
    struct sim *other = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                              "  - {name: s1, url: '%s'}\n"
                              "quarantine: {deadWorkerMs: 700}\njobs: {retryDelayMs: 20}\n",
                              s->url, other->url));
    await_backends_up(d, 2);
    json_t *j = run_job(d, sleep_body("a", 5, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2 &&
          strcmp(str_at(j, "backend"), "s1") == 0);
    CHECK(strcmp(backend_state(d), "quarantined") == 0);
    CHECK(strstr(str_at(get(d, "/backends/s0")->json, "quarantineReason"), "worker") != NULL);
    /* Restarted, it is as good as any. */
    sim_control(s, "{'crash': 200}");
    AWAIT(strcmp(backend_state(d), "up") == 0);
    CHECK(strcmp(str_at(run_job(d, sleep_body("b", 5, "")), "state"), "completed") == 0);
}
END_TEST

/* The same when its socket was cut after execution_start, or the daemon killed: a new connection
   is not told of any node. */
START_TEST(test_dead_worker_unseen)
{
    struct sim *s = sim_start("--fault", "dead-worker@1", NULL);
    struct sim *other = sim_plain();
    char *config = text("backends:\n  - {name: s0, url: '%s', weight: 9}\n"
                        "  - {name: s1, url: '%s'}\n"
                        "quarantine: {deadWorkerMs: 700}\njobs: {retryDelayMs: 20}\n",
                        s->url, other->url);
    struct daemon *d = DAEMON(.config = config);
    await_backends_up(d, 2);
    char *id = submit(d, sleep_body("a", 5, ""));
    AWAIT(
        has(json_array_get(at(get(d, "/jobs/%s/attempts", id)->json, "attempts"), 0), "startedAt"));
    if (_i == 0) {
        sim_control(s, "{'drop': true}");
    } else {
        daemon_kill(d);
        d = DAEMON(.config = config);
    }
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    CHECK(strcmp(backend_state(d), "quarantined") == 0);
}
END_TEST

/* A node that runs in silence is not taken for a dead worker, cut socket or not. */
START_TEST(test_silent_node_unseen)
{
    struct sim *s = sim_start("--version-as", _i == 0 ? "0.3" : "0.28", NULL);
    struct daemon *d = DAEMON(.config = config_of(s, "quarantine: {deadWorkerMs: 400}\n"));
    char *id = submit(d, sleep_body("a", 5000, ""));
    AWAIT(is_at_node(d, id, "1"));
    sim_control(s, "{'drop': true}");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
}
END_TEST

/* What stands behind a dead worker goes elsewhere. */
START_TEST(test_behind_a_dead_worker)
{
    struct sim *s = sim_start("--fault", "dead-worker@1", NULL);
    struct sim *other = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s', weight: 9, maxInFlight: 2}\n"
                              "  - {name: s1, url: '%s'}\n"
                              "quarantine: {deadWorkerMs: 700}\n"
                              "jobs: {retryDelayMs: 20}\nlink: {quietPollMs: 500}\n",
                              s->url, other->url));
    await_backends_up(d, 2);
    char *a = submit(d, sleep_body("a", 5, ""));
    char *b = submit(d, sleep_body("b", 5, ""));
    for (int i = 0; i < 2; i++) {
        json_t *j = await_end(d, i == 0 ? a : b);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 &&
              strcmp(str_at(j, "backend"), "s1") == 0);
    }
}
END_TEST

/* A long silence of a node proves nothing. */
START_TEST(test_silent_node)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_of(s, "quarantine: {deadWorkerMs: 400}\n"));
    json_t *j = run_job(d, sleep_body("a", 2000, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    CHECK(strcmp(backend_state(d), "up") == 0);
}
END_TEST

/* The server has unregistered our socket: the next POST yields no status, and that is enough. */
START_TEST(test_mute)
{
    struct sim *s = sim_start("--fault", "mute@1", NULL);
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s', maxInFlight: 2}]\n"
                                             "link: {quietPollMs: 600000}\n",
                                             s->url));
    char *a = submit(d, sleep_body("a", 5000, ""));
    AWAIT(is_at_node(d, a, "1"));
    char *b = submit(d, sleep_body("b", 20, ""));
    AWAIT(strstr(read_file(d->err), "is deaf") != NULL);
    for (int i = 0; i < 2; i++) {
        json_t *j = await_end(d, i == 0 ? a : b);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
        CHECK(!is_true(j, "profileStats.evidence.complete"));
    }
    CHECK(is_true(run_job(d, sleep_body("c", 20, "")), "profileStats.evidence.complete"),
          "the fresh connection hears");
}
END_TEST

/* Five different workflows in a row: something is wrong with the backend. */
START_TEST(test_quarantine)
{
    struct sim *s = sim_start("--fault", "http500@*", NULL);
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {submitSettleMs: 50}\n",
                                             s->url));
    for (int i = 0; i < 5; i++) {
        CHECK(strcmp(backend_state(d), "up") == 0 || i == 0);
        run_job(d, q("{'workflow':{'n%d':{'class_type':'T_SleepOut','inputs':{}}},"
                     "'maxAttempts':1}",
                     i));
    }
    AWAIT(strcmp(backend_state(d), "quarantined") == 0);
    char *id = submit(d, sleep_body("a", 1, ""));
    AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "backends_quarantined") == 0);
    sim_control(s, "{'fault': null}");
    expect(post(d, "/backends/s0/resume", ""), 200, NULL);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
}
END_TEST

Suite *timeouts_suite(void)
{
    static const struct named_test tests[] = {
        {"queue", &test_queue_timeout, 0},
        {"job", &test_job_timeout, 0},
        {"success wins", &test_success_wins_over_a_timeout, 0},
        {"start", &test_start_timeout, 0},
        {"behind others", &test_no_start_timeout_behind_others, 0},
        {"node", &test_node_timeout, 0},
        {"over a kill", &test_timers_over_a_kill, 0},
        {"timeout over a kill", &test_timeout_over_a_kill, 0},
        {"it does not stop", &test_it_does_not_stop, 2},
        {"late accept", &test_late_accept, 0},
        {"dead worker", &test_dead_worker, 0},
        {"dead worker, unseen", &test_dead_worker_unseen, 2},
        {"behind a dead worker", &test_behind_a_dead_worker, 0},
        {"silent node", &test_silent_node, 0},
        {"silent node, unseen", &test_silent_node_unseen, 2},
        {"mute", &test_mute, 0},
        {"quarantine", &test_quarantine, 0},
    };
    return SUITE("timeouts", 90, tests);
}
