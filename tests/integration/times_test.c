/*
 * Times that are true, or not told: servers whose clocks are set, drift or are an hour off, frames
 * that come late, a start that nobody saw, a daemon that stands still. Each node of a profile has
 * the time that it took, by the simulator's word, or none.
 */
#include "harness.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#include "suites.h"

/* What a busy machine adds to a time under sanitizers. */
enum { TOLERANCE_MS = 60 };

/* Three nodes, each of `ms`; as ids '1' to '3'. */
static char *line(const char *tag, int first, int second, int third)
{
    return q("{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':%d,'_tag':'%s'}},"
             "'2':{'class_type':'T_Sleep','inputs':{'a':['1',0],'_ms':%d}},"
             "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':%d}}}}",
             first, tag, second, third);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= TOLERANCE_MS;
}

/* No node has another time than it took; told: how many have one. */
static int told_nodes(json_t *p, const int ms[3], const char *what)
{
    int told = 0;
    for (int i = 0; i < 3; i++) {
        json_t *n = node_of(p, text("%d", i + 1));
        if (has(n, "duration")) {
            CHECK(is_near(num_at(n, "duration"), ms[i]), "%s: node %d took %d ms, not %f", what,
                  i + 1, ms[i], num_at(n, "duration"));
            told++;
        }
        if (has(n, "durationMin")) {
            CHECK(num_at(n, "durationMin") <= ms[i] + TOLERANCE_MS &&
                      num_at(n, "durationMax") >= ms[i] - TOLERANCE_MS,
                  "%s: node %d took %d ms", what, i + 1, ms[i]);
        }
    }
    CHECK(told == 3 || !is_true(p, "evidence.complete"), "%s: who hides it says so", what);
    return told;
}

static bool has_gap(json_t *p, const char *reason)
{
    json_t *gaps = at(p, "evidence.gaps");
    for (size_t i = 0; i < json_array_size(gaps); i++) {
        if (strcmp(str_at(json_array_get(gaps, i), "reason"), reason) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *run_line(struct daemon *d, const char *tag, const int ms[3])
{
    json_t *j = run_job(d, line(tag, ms[0], ms[1], ms[2]));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", tag);
    return profile_of(d, str_at(j, "id"));
}

/* What waits, waits so long: that is what is looked at. */
static void let_pass(double seconds)
{
    const double since = now_s();
    AWAIT(now_s() - since > seconds);
}

static const int usual[3] = {200, 100, 50};

/* ---- clocks ---------------------------------------------------------------------------------- */

static const int steps[] = {-5000, -200, 5000, 300};

/* A step between two jobs: the next profiles are whole, also over a new connection. */
START_TEST(test_set_between)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)told_nodes(run_line(d, "before", usual), usual, "before");
    sim_control(s, text("{\"skew\":%d}", steps[_i]));
    for (int i = 0; i < 2; i++) {
        json_t *p = run_line(d, text("after-%d", i), usual);
        CHECK(told_nodes(p, usual, "after it") == 3 || has_gap(p, "frames_late"), "%d", steps[_i]);
        CHECK(!has_gap(p, "clock_changed"), "%d", steps[_i]);
        CHECK(is_near(num_at(p, "executionTime"), 350), "%f", num_at(p, "executionTime"));
    }
    sim_control(s, "{'drop':true}");
    await_backends_up(d, 1);
    (void)told_nodes(run_line(d, "again", usual), usual, "after a reconnect");
}
END_TEST

START_TEST(test_drift)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    int whole = 0;
    for (int i = 0; i < 6; i++) {
        sim_control(s, text("{\"skew\":%d}", (_i == 0 ? -40 : 40) * i));
        whole += told_nodes(run_line(d, text("%d", i), usual), usual, "drift") == 3;
    }
    CHECK(whole >= 4, "%d of 6", whole);
}
END_TEST

static double counted(struct daemon *d)
{
    json_t *groups = at(get(d, "/profiles/summary?groupBy=classType")->json, "groups");
    double n = 0;
    for (size_t i = 0; i < json_array_size(groups); i++) {
        n += num_at(json_array_get(groups, i), "count");
    }
    return n;
}

/* In the middle: it is told, times are ours, and nobody learns from it. */
START_TEST(test_set_in_the_middle)
{
    static const int ms[3] = {300, 300, 100};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_line(d, "before", ms);
    AWAIT(counted(d) == 3);
    char *id = submit(d, line("during", ms[0], ms[1], ms[2]));
    AWAIT(is_at_node(d, id, "2"));
    sim_control(s, _i == 0 ? "{'skew':-5000}" : "{'skew':5000}");
    (void)await_end(d, id);
    json_t *p = profile_of(d, id);
    (void)told_nodes(p, ms, "during");
    CHECK(has_gap(p, "clock_changed") && !is_true(p, "evidence.complete"));
    CHECK(!has(p, "evidence.clockOffset"));
    CHECK(fabs(num_at(p, "executionTime") - 700) <= 2 * TOLERANCE_MS);
    p = run_line(d, "after", ms);
    CHECK(told_nodes(p, ms, "after") == 3 || has_gap(p, "frames_late"));
    AWAIT(counted(d) == 6);
}
END_TEST

/* The first prompt of a server, whose frames wait. Row 1: nothing bounds its clock. */
START_TEST(test_first_frames_late)
{
    struct sim *s = sim_start("--version-as", _i == 0 ? "0.28" : "0.3", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    sim_control(s, "{'hold':true}");
    char *id = submit(d, line("first", 1, 1, 1));
    AWAIT(ledger_count(s, "success", "first") == 1);
    let_pass(0.25);
    sim_control(s, "{'hold':false}");
    (void)await_end(d, id);
    json_t *p = profile_of(d, id);
    CHECK(has_gap(p, "frames_late") && !is_true(p, "evidence.complete"));
    CHECK(has(p, "evidence.clockOffset") == (_i == 0), "0.28 says when it was created");
    CHECK(_i == 1 || fabs(num_at(p, "evidence.clockOffset")) <= TOLERANCE_MS);
    CHECK(_i == 1 || is_near(num_at(p, "startedAt"), ledger_at(s, "started", "first")));
    const double asked = sim_says(s, "http.GET /history");
    p = run_line(d, "second", usual);
    CHECK(told_nodes(p, usual, "second") == 3 || has_gap(p, "frames_late"));
    CHECK(isnan(asked) || sim_says(s, "http.GET /history") == asked, "it was asked for once");
}
END_TEST

/* ---- late ------------------------------------------------------------------------------------ */

/* Row 0: the first frames wait, until node 1 runs; row 1: the last ones, from when node 2 runs. */
START_TEST(test_held)
{
    static const int ms[3] = {400, 300, 100};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_line(d, "before", usual);
    if (_i == 0) {
        sim_control(s, "{'hold':true}");
    }
    char *id = submit(d, line("held", ms[0], ms[1], ms[2]));
    if (_i == 0) {
        AWAIT(ledger_count(s, "started", "held") == 1);
        let_pass(0.2);
    } else {
        AWAIT(is_at_node(d, id, "2"));
        sim_control(s, "{'hold':true}");
        AWAIT(ledger_count(s, "success", "held") == 1);
        let_pass(0.2);
    }
    sim_control(s, "{'hold':false}");
    (void)await_end(d, id);
    json_t *p = profile_of(d, id);
    (void)told_nodes(p, ms, "held");
    CHECK(has_gap(p, "frames_late"));
    CHECK(has(node_of(p, _i == 0 ? "2" : "1"), "duration"), "that one was watched");
    CHECK(!has(node_of(p, _i == 0 ? "1" : "2"), "duration"), "and that one was not");
    CHECK(strstr(get(d, "/jobs/%s/profile?format=text", id)->body, "not seen") != NULL);
    CHECK(!has(p, "summary.unaccounted"));
}
END_TEST

START_TEST(test_standstill)
{
    static const int ms[3] = {300, 300, 600};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_line(d, "before", usual);
    char *id = submit(d, line("stopped", ms[0], ms[1], ms[2]));
    AWAIT(is_at_node(d, id, "2"));
    (void)kill(d->pid, SIGSTOP);
    let_pass(0.6);
    (void)kill(d->pid, SIGCONT);
    (void)await_end(d, id);
    json_t *p = profile_of(d, id);
    (void)told_nodes(p, ms, "stopped");
    CHECK(has_gap(p, "daemon_busy") && !is_true(p, "evidence.complete"));
    CHECK(has(node_of(p, "1"), "duration"), "that one was watched");
    CHECK(!has(node_of(p, "2"), "duration") && has(node_of(p, "2"), "durationMax"));
}
END_TEST

/* Too short for a beat, but the second node is gone in it: the kernel knows when it was told. It is
   tried until it hits that node. */
START_TEST(test_short_standstill)
{
    static const int ms[3] = {200, 10, 200};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_line(d, "before", usual);
    bool seen = false;
    for (int i = 0; i < 10 && !seen; i++) {
        char *id = submit(d, line(text("short-%d", i), ms[0], ms[1], ms[2]));
        AWAIT(is_at_node(d, id, "1"));
        let_pass(0.155 + 0.004 * i);
        (void)kill(d->pid, SIGSTOP);
        let_pass(0.045);
        (void)kill(d->pid, SIGCONT);
        (void)await_end(d, id);
        json_t *p = profile_of(d, id);
        (void)told_nodes(p, ms, "stopped");
        seen = has_gap(p, "daemon_busy");
    }
    CHECK(seen);
}
END_TEST

/* What was lost is in the history: the attempt's own times are true. */
START_TEST(test_start_unseen)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_line(d, "before", usual);
    sim_control(s, "{'unseen':['execution_start']}");
    json_t *p = run_line(d, "unseen", usual);
    (void)told_nodes(p, usual, "unseen");
    CHECK(has_gap(p, "start_unseen") && !is_true(p, "evidence.complete"));
    CHECK(strcmp(str_at(p, "evidence.source"), "mixed") == 0);
    CHECK(is_near(num_at(p, "startedAt"), ledger_at(s, "started", "unseen")));
}
END_TEST

/* What was cached is in the history as well. */
START_TEST(test_plan_unseen)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    static const char *const format =
        "{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':10}},"
        "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':%d}}}}";
    (void)run_job(d, q(format, 10));
    sim_control(s, "{'unseen':['execution_cached']}");
    json_t *j = run_job(d, q(format, 70));
    json_t *p = profile_of(d, str_at(j, "id"));
    CHECK(has_gap(p, "plan_unseen") && !is_true(p, "evidence.complete"));
    CHECK(num_at(p, "summary.cachedNodes") == 1, "%f", num_at(p, "summary.cachedNodes"));
    CHECK(num_at(p, "analysis.cacheHitRate") == 0.5);
    CHECK(is_near(num_at(node_of(p, "2"), "duration"), 70));
}
END_TEST

/* An older server passes on what the client calls create_time: nobody believes that. */
START_TEST(test_the_clients_create_time)
{
    struct sim *s = sim_start("--version-as", "0.3", NULL);
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    (void)run_line(d, "before", usual);
    sim_control(s, "{'unseen':['execution_start']}");
    json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':100}}},"
                             "'extraData':{'create_time':%lld}}",
                             (long long)(now_s() * 1000) - 3600000));
    json_t *p = profile_of(d, str_at(j, "id"));
    CHECK(has_gap(p, "start_unseen") && !has_gap(p, "clock_changed"));
    CHECK(fabs(num_at(p, "evidence.clockOffset")) <= TOLERANCE_MS);
}
END_TEST

/* Timers run before sockets when the process goes on: signs of life that came meanwhile count, and
   so does the pong. */
START_TEST(test_a_standstill_times_nobody_out)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends: [{name: s0, url: '%s'}]\n"
                                             "link: {pingIntervalMs: 300, pongTimeoutMs: 300}\n",
                                             s->url));
    await_backends_up(d, 1);
    char *id = submit(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_ms':4000,"
                           "'_steps':40}}},'nodeExecutionTimeoutMs':700,'maxAttempts':1}"));
    AWAIT(is_at_node(d, id, "1"));
    (void)kill(d->pid, SIGSTOP);
    let_pass(1.5);
    (void)kill(d->pid, SIGCONT);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", str_at(j, "error.message"));
    CHECK(strstr(read_file(d->err), "did not answer a ping") == NULL);
}
END_TEST

Suite *times_suite(void)
{
    static const struct named_test tests[] = {
        {"set between two", &test_set_between, sizeof steps / sizeof *steps},
        {"drift", &test_drift, 2},
        {"set in the middle", &test_set_in_the_middle, 2},
        {"the first frames late", &test_first_frames_late, 2},
        {"held", &test_held, 2},
        {"a standstill", &test_standstill, 1},
        {"a standstill times nobody out", &test_a_standstill_times_nobody_out, 1},
        {"a short standstill", &test_short_standstill, 1},
        {"an unseen start", &test_start_unseen, 1},
        {"an unseen plan", &test_plan_unseen, 1},
        {"the client's create_time", &test_the_clients_create_time, 1},
    };
    return SUITE("times", 90, tests);
}
