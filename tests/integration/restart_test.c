/* The daemon ends, one way or another, and begins again: no accepted job is lost, none runs twice.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "suites.h"

enum end { STOP, KILL, ENDS };

static void end_it(struct daemon *d, enum end how)
{
    if (how == STOP) {
        daemon_stop(d);
    } else {
        daemon_kill(d);
    }
}

static char *config_for(struct sim *s)
{
    return text("backends:\n  - {name: s0, url: '%s', maxInFlight: 2}\n"
                "link: {quietPollMs: 300, submitSettleMs: 500, requestTimeoutMs: 3000}\n"
                "jobs: {retryDelayMs: 20}\n",
                s->url);
}

struct kept {
    char *job, *profile, *workflow;
};

static struct kept read_job(struct daemon *d, const char *id)
{
    return (struct kept){get(d, "/jobs/%s", id)->body, get(d, "/jobs/%s/profile", id)->body,
                         get(d, "/jobs/%s/workflow", id)->body};
}

static void check_kept(struct daemon *d, const char *id, const struct kept *k)
{
    const struct kept now = read_job(d, id);
    CHECK(strcmp(now.job, k->job) == 0 && strcmp(now.profile, k->profile) == 0 &&
              strcmp(now.workflow, k->workflow) == 0,
          "an ended job is byte for byte the same");
}

static void check_adopted(json_t *j)
{
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    json_t *e = at(j, "profileStats.evidence");
    CHECK(!is_true(e, "complete") && json_array_size(at(e, "gaps")) > 0);
    CHECK(strcmp(str_at(e, "source"), "mixed") == 0 || strcmp(str_at(e, "source"), "history") == 0);
}

/* One ended, one running, one in the backend's queue, two in ours, one cancelled. */
START_TEST(test_everything_at_once)
{
    struct sim *s = sim_start("--version-as", _i / ENDS == 0 ? "0.28" : "0.3", NULL);
    struct daemon *d = DAEMON(.config = config_for(s));
    char *ended = text("%s", str_at(run_job(d, sleep_body("ended", 5, "")), "id"));
    char *failed = text("%s", str_at(run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':"
                                                  "{'_error':'x','_tag':'f'}}}")),
                                     "id"));
    char *running = submit(d, sleep_body("running", 1200, ""));
    AWAIT(is_at_node(d, running, "1"));
    char *pending = submit(d, sleep_body("pending", 50, ""));
    AWAIT(ledger_count(s, "accepted", "pending") == 1);
    char *low = submit(d, sleep_body("low", 5, ",'priority':-1,'metadata':{'k':1.0}"));
    char *high = submit(d, sleep_body("high", 5, ",'priority':1"));
    char *gone = submit(d, sleep_body("gone", 5, ""));
    (void)cancel(d, gone);
    const struct kept kept[3] = {read_job(d, ended), read_job(d, failed), read_job(d, gone)};
    AWAIT(*str_at(job_now(d, pending), "promptId") != '\0');
    char *prompt = text("%s", str_at(job_now(d, running), "promptId"));
    end_it(d, (enum end)(_i % ENDS));
    d = DAEMON(.config = config_for(s));
    check_kept(d, ended, &kept[0]);
    check_kept(d, failed, &kept[1]);
    check_kept(d, gone, &kept[2]);
    json_t *j = await_end(d, running);
    check_adopted(j);
    CHECK(strcmp(str_at(j, "promptId"), prompt) == 0, "the same prompt");
    json_t *p = at(j, "profileStats");
    CHECK(num_at(p, "executionTime") > 1100, "times are the server's");
    j = await_end(d, pending);
    check_adopted(j);
    CHECK(strcmp(str_at(await_end(d, low), "state"), "completed") == 0);
    CHECK(strcmp(str_at(await_end(d, high), "state"), "completed") == 0);
    CHECK(ledger_at(s, "started", "high") < ledger_at(s, "started", "low"), "priorities are kept");
    CHECK(ledger_count(s, "posted", NULL) == 6);
    CHECK(strstr(get(d, "/jobs/%s", low)->body, q("'metadata':{'k':1.0}")) != NULL);
    check_kept(d, ended, &kept[0]);
}
END_TEST

/* It ends on the backend while no daemon is there. */
START_TEST(test_ends_meanwhile)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_for(s));
    char *good =
        submit(d, q("{'1':{'class_type':'SaveImage','inputs':{'_ms':300,'_tag':'good'}}}"));
    char *bad = submit(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':5,'_error':'broken',"
                            "'_tag':'bad'}}}"));
    AWAIT(ledger_count(s, "accepted", "bad") == 1);
    AWAIT(is_at_node(d, good, "1"));
    end_it(d, (enum end)_i);
    AWAIT(sim_says(s, "jobs") == 2);
    d = DAEMON(.config = config_for(s));
    json_t *j = await_end(d, good);
    check_adopted(j);
    CHECK(json_array_size(at(j, "outputs.1.images")) == 1, "outputs come from history");
    json_t *n = node_of(at(j, "profileStats"), "1");
    CHECK(strcmp(str_at(n, "status"), "completed") == 0 && !has(n, "duration"),
          "never invent a number");
    json_t *p = at(j, "profileStats");
    CHECK(num_at(p, "executionTime") > 200 && num_at(p, "executionTime") < 600,
          "times of the attempt come from the server");
    j = await_end(d, bad);
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strcmp(str_at(j, "error.code"), "node_failed") == 0 &&
          strcmp(str_at(j, "error.nodeId"), "1") == 0);
    CHECK(num_at(j, "profileStats.summary.failedNodes") == 1);
    CHECK(ledger_count(s, "posted", NULL) == 2);
}
END_TEST

/* Killed when the POST was sent and not answered: it is accepted later, and adopted. */
START_TEST(test_killed_in_the_post)
{
    struct sim *s = sim_start("--fault", "slow-accept@1:900", NULL);
    char *config = text("backends:\n  - {name: s0, url: '%s'}\n"
                        "link: {quietPollMs: 300, submitSettleMs: 5000}\n",
                        s->url);
    struct daemon *d = DAEMON(.config = config);
    char *id = submit(d, sleep_body("a", 300, ""));
    AWAIT(ledger_count(s, "posted", "a") == 1);
    end_it(d, (enum end)_i);
    d = DAEMON(.config = config);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    CHECK(ledger_count(s, "success", "a") == 1 && ledger_count(s, "posted", "a") == 1);
}
END_TEST

/* Killed when the POST was sent; the backend never takes it: a new attempt, free of charge. */
START_TEST(test_killed_before_it_was_taken)
{
    struct sim *s = sim_start("--fault", "slow-accept@1:100000000", NULL);
    struct daemon *d = DAEMON(.config = config_for(s));
    char *id = submit(d, sleep_body("a", 10, ",'maxAttempts':1"));
    AWAIT(ledger_count(s, "posted", "a") == 1);
    daemon_kill(d);
    d = DAEMON(.config = config_for(s));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2,
          "what the restart cut off does not use up maxAttempts");
    CHECK(ledger_count(s, "posted", "a") == 2 && ledger_count(s, "success", "a") == 1);
}
END_TEST

/* A cancel that was asked for just before the end is not forgotten. */
START_TEST(test_cancel_survives)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_for(s));
    char *id = submit(d, q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':900,'_tag':'a',"
                           "'_uninterruptible':true}},"
                           "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':60000}}}"));
    AWAIT(is_at_node(d, id, "1"));
    CHECK(is_true(cancel(d, id), "cancelRequested"));
    end_it(d, (enum end)_i);
    d = DAEMON(.config = config_for(s));
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 && !has(j, "error"));
}
END_TEST

/* Killed again and again at moments of chance while jobs come in. */
START_TEST(test_killed_often)
{
    const unsigned seed = (unsigned)time(NULL);
    srand(seed);
    struct sim *a = sim_plain();
    struct sim *b = sim_start("--version-as", "0.3", NULL);
    char *config = q("link: {quietPollMs: 300, submitSettleMs: 500}\njobs: {retryDelayMs: 20}\n");
    enum { JOBS = 60, KILLS = 5 };
    char *ids[JOBS];
    struct daemon *d = DAEMON(.sims = {a, b}, .config = config);
    int kills = 0;
    for (int i = 0; i < JOBS; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), rand() % 40, ""));
        if (kills < KILLS && rand() % (JOBS / KILLS) == 0) {
            daemon_kill(d);
            d = DAEMON(.sims = {a, b}, .config = config);
            kills++;
        }
    }
    for (int i = 0; i < JOBS; i++) {
        json_t *j = await_end(d, ids[i]);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0, "job %d, seed %u", i, seed);
        char *tag = text("t%d", i);
        CHECK(ledger_count(a, "success", tag) + ledger_count(b, "success", tag) == 1,
              "job %d, seed %u", i, seed);
    }
    CHECK(num_at(get(d, "/stats")->json, "jobs.completed") == JOBS);
}
END_TEST

/* The backend restarts, too, and knows nothing any more. */
START_TEST(test_backend_restarts_meanwhile)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = config_for(s));
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    char *queued = submit(d, sleep_body("b", 5, ""));
    AWAIT(ledger_count(s, "accepted", "b") == 1);
    end_it(d, (enum end)_i);
    sim_control(s, "{'crash':300,'node_ms':5}");
    d = DAEMON(.config = config_for(s));
    AWAIT(ledger_count(s, "started", "a") == 2);
    (void)cancel(d, id);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "cancelled") == 0);
    json_t *j = await_end(d, queued);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
}
END_TEST

START_TEST(test_second_daemon)
{
    struct daemon *d = DAEMON(.no_profile = true);
    struct daemon *other = DAEMON(.no_profile = true, .may_fail = true);
    CHECK(other->port == 0, "it must not start");
    CHECK(daemon_wait(other) == 1, "exit status %#x", (unsigned)other->status);
    char *log = read_file(other->err);
    CHECK(strstr(log, "in use by another comfypoold") != NULL &&
              strstr(log, text("pid %d", (int)d->pid)) != NULL,
          "%s", log);
    other->status = 0;
    expect(get(d, "/healthz"), 200, NULL);
}
END_TEST

/* Its backend is not there any more in the next configuration. */
START_TEST(test_backend_leaves_the_configuration)
{
    struct sim *a = sim_plain();
    struct daemon *d = DAEMON(.sims = {a});
    char *id = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    daemon_stop(d);
    sim_kill(a);
    struct sim *b = sim_plain();
    d = DAEMON(.arguments = {"--backend", text("new=%s", b->url)},
               .config = "jobs: {retryDelayMs: 20}\n");
    AWAIT(ledger_count(b, "started", "a") == 1);
    json_t *j = cancel(d, id);
    j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0 && num_at(j, "attempts") == 2);
}
END_TEST

/* What was asked for before the stop is answered, though it is read on another thread. */
START_TEST(test_reads_are_answered)
{
    static const struct {
        const char *before, *after;
        bool twice; /* the id stands behind it, too */
    } paths[] = {{"/jobs/", "", false},
                 {"/jobs/", "/profile", false},
                 {"/jobs/", "/workflow", false},
                 {"/jobs/", "/attempts", false},
                 {"/profiles/compare?target=", "&base=", true}};
    enum { READS = 40 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 1, ""));
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    daemon_stop(d);
    d = DAEMON(.sims = {s});
    for (int i = 0; i < 3; i++) { /* the first read of all opens a connection */
        expect(get(d, "/jobs/%s", id), 200, NULL);
    }
    const char *path =
        text("%s%s%s%s", paths[_i].before, id, paths[_i].after, paths[_i].twice ? id : "");
    int fds[READS];
    for (int i = 0; i < READS; i++) {
        fds[i] = raw_open(d->port);
    }
    expect(get(d, "/healthz"), 200, NULL); /* it was accepted behind all of them */
    const char *request =
        text("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    for (int i = 0; i < READS; i++) {
        raw_send(fds[i], request, strlen(request));
    }
    daemon_stop(d);
    for (int i = 0; i < READS; i++) {
        const struct answer *a = raw_answer(fds[i]);
        CHECK(a != NULL && a->status == 200, "%s: request %d of %d has no answer", path, i, READS);
    }
}
END_TEST

Suite *restart_suite(void)
{
    static const struct named_test tests[] = {
        {"everything at once", &test_everything_at_once, ENDS * 2},
        {"ends meanwhile", &test_ends_meanwhile, ENDS},
        {"killed in the POST", &test_killed_in_the_post, ENDS},
        {"killed before it was taken", &test_killed_before_it_was_taken, 1},
        {"a cancel survives", &test_cancel_survives, ENDS},
        {"killed often", &test_killed_often, 1},
        {"the backend restarts meanwhile", &test_backend_restarts_meanwhile, ENDS},
        {"a second daemon", &test_second_daemon, 1},
        {"reads are answered", &test_reads_are_answered, 5},
        {"a backend leaves", &test_backend_leaves_the_configuration, 1},
    };
    return SUITE("restart", 90, tests);
}
