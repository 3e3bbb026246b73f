/* Which job goes where and when. */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "suites.h"

/* Starts of the jobs t0, t1..., in the order of `want` (indices). */
static void check_order(struct sim *s, const int *want, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const double before = ledger_at(s, "started", text("t%d", want[i - 1]));
        const double after = ledger_at(s, "started", text("t%d", want[i]));
        CHECK(before <= after, "t%d should start before t%d", want[i - 1], want[i]);
    }
}

static const struct {
    const char *name;
    int priority[8];
    int order[8];
} orders[] = {
    {"first come, first served", {0, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 2, 3, 4, 5, 6, 7}},
    {"by priority", {0, 5, -5, 1000, 5, 0, -1000, 7}, {3, 7, 1, 4, 0, 5, 2, 6}},
};

START_TEST(test_order)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *plug = submit(d, sleep_body("plug", 60000, ""));
    AWAIT(is_at_node(d, plug, "1"));
    char *ids[8];
    for (int i = 0; i < 8; i++) {
        ids[i] =
            submit(d, sleep_body(text("t%d", i), 3, q(",'priority':%d", orders[_i].priority[i])));
    }
    CHECK(num_at(get(d, "/stats")->json, "queue.depth") == 8);
    (void)cancel(d, plug);
    for (int i = 0; i < 8; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
    }
    check_order(s, orders[_i].order, 8);
}
END_TEST

START_TEST(test_two_backends)
{
    struct sim *a = sim_start("--version-as", "0.3", NULL);
    struct sim *b = sim_start("--version-as", "0.28", NULL);
    struct daemon *d = DAEMON(.sims = {a, b}, .no_profile = true);
    await_backends_up(d, 2);
    char *ids[6];
    const double from = now_s();
    for (int i = 0; i < 6; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 200, ""));
    }
    for (int i = 0; i < 6; i++) {
        (void)await_end(d, ids[i]);
    }
    CHECK(now_s() - from < 1.15, "six times 200 ms side by side");
    CHECK(ledger_count(a, "success", NULL) == 3 && ledger_count(b, "success", NULL) == 3);
    json_t *j = get(d, "/backends")->json;
    CHECK(num_at(j, "backends.0.inFlight") == 0 && num_at(j, "backends.1.inFlight") == 0);
}
END_TEST

START_TEST(test_max_in_flight)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends:\n  - url: %s\n    name: s0\n"
                                             "    maxInFlight: 3\n",
                                             s->url));
    await_ready(d);
    char *ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 250, ""));
    }
    AWAIT(sim_says(s, "queue") == 2 && sim_says(s, "running") == 1);
    CHECK(num_at(get(d, "/backends")->json, "backends.0.inFlight") == 3);
    CHECK(num_at(get(d, "/stats")->json, "queue.depth") == 2);
    for (int i = 0; i < 5; i++) {
        json_t *j = await_end(d, ids[i]);
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        CHECK(is_true(j, "profileStats.evidence.complete"));
        CHECK(i != 1 || num_at(j, "profileStats.phases.backendQueue") > 100,
              "the second waits in the backend's queue");
    }
    CHECK(ledger_count(s, "posted", NULL) == 5);
}
END_TEST

START_TEST(test_weight)
{
    struct sim *light = sim_plain();
    struct sim *heavy = sim_plain();
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {url: '%s', name: s0, maxInFlight: 4}\n"
                              "  - {url: '%s', name: s1, maxInFlight: 4, weight: 3}\n",
                              light->url, heavy->url));
    await_backends_up(d, 2);
    sim_control(light, "{'pause':true}");
    sim_control(heavy, "{'pause':true}");
    char *ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 1, ""));
    }
    AWAIT(ledger_count(light, "accepted", NULL) + ledger_count(heavy, "accepted", NULL) == 4);
    CHECK(ledger_count(heavy, "accepted", NULL) == 3, "three of four for a weight of 3 to 1");
    sim_control(light, "{'pause':false}");
    sim_control(heavy, "{'pause':false}");
    for (int i = 0; i < 4; i++) {
        (void)await_end(d, ids[i]);
    }
}
END_TEST

START_TEST(test_dead_backend)
{
    struct sim *dead = sim_plain();
    struct sim *s = sim_plain();
    sim_kill(dead);
    struct daemon *d = DAEMON(.sims = {dead, s},
                              .arguments = {"--backend", "nowhere=http://127.0.0.1:1", "--backend",
                                            "noname=http://no-such-host.invalid:8188"});
    for (int i = 0; i < 4; i++) {
        json_t *j = run_job(d, sleep_body(text("t%d", i), 1, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
        CHECK(strcmp(str_at(j, "backend"), "s1") == 0);
    }
    AWAIT(*str_at(get(d, "/backends")->json, "backends.0.lastError") != '\0');
    json_t *j = get(d, "/backends")->json;
    CHECK(strcmp(str_at(j, "backends.0.state"), "up") != 0 &&
          strcmp(str_at(j, "backends.1.state"), "up") == 0);
    expect(get(d, "/readyz"), 200, NULL);
}
END_TEST

START_TEST(test_disabled_backend)
{
    struct sim *off = sim_plain();
    struct sim *on = sim_plain();
    struct daemon *d = DAEMON(.config = text("backends:\n  - {url: '%s', enabled: false}\n"
                                             "  - {url: '%s'}\n",
                                             off->url, on->url));
    for (int i = 0; i < 3; i++) {
        (void)run_job(d, sleep_body(text("t%d", i), 1, ""));
    }
    CHECK(ledger_count(off, "posted", NULL) == 0 && ledger_count(on, "posted", NULL) == 3);
}
END_TEST

/* Two thousand jobs of no length over four backends: each once, each profiled. Under a sanitizer
   five hundred. */
START_TEST(test_many)
{
#ifdef __SANITIZE_ADDRESS__
    enum { MANY = 500 };
#else
    enum { MANY = 2000 };
#endif
    struct sim *s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = sim_start("--zero", "--version-as", i % 2 == 0 ? "0.28" : "0.3", NULL);
    }
    struct daemon *d = DAEMON(.sims = {s[0], s[1], s[2], s[3]});
    await_backends_up(d, 4);
    for (int i = 0; i < MANY; i++) {
        (void)submit(d, sleep_body(text("t%d", i), 0, ""));
    }
    AWAIT(num_at(get(d, "/stats")->json, "jobs.completed") == MANY);
    int profiles = 0;
    char *path = text("/jobs?limit=100");
    while (path != NULL) {
        struct answer *a = get(d, "%s", path);
        for (size_t i = 0; i < json_array_size(at(a->json, "jobs")); i++) {
            json_t *p = profile_of(d, str_at(a->json, text("jobs.%zu.id", i)));
            CHECK(is_true(p, "evidence.complete") && num_at(p, "attempt") == 1 &&
                  num_at(p, "summary.executedNodes") == 2);
            profiles++;
        }
        path = has(a->json, "nextCursor")
                   ? text("/jobs?limit=100&cursor=%s", str_at(a->json, "nextCursor"))
                   : NULL;
    }
    CHECK(profiles == MANY, "%d", profiles);
    int successes = 0;
    for (int i = 0; i < 4; i++) {
        const int n = ledger_count(s[i], "success", NULL);
        CHECK(n > 0 && n == ledger_count(s[i], "posted", NULL), "backend %d", i);
        successes += n;
    }
    CHECK(successes == MANY);
}
END_TEST

Suite *dispatch_suite(void)
{
    static const struct named_test tests[] = {
        {"order", &test_order, 2},
        {"two backends", &test_two_backends, 1},
        {"maxInFlight", &test_max_in_flight, 1},
        {"weight", &test_weight, 1},
        {"dead backend", &test_dead_backend, 1},
        {"disabled backend", &test_disabled_backend, 1},
        {"many", &test_many, 1},
    };
    return SUITE("dispatch", 60, tests);
}
