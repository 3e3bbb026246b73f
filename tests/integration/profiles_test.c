/*
 * Profiles against the simulator's own account. Tolerances: a time is that of a frame's arrival, so
 * it is late by what the machine makes of it. 150 ms is what two cores under sanitizers, with three
 * suites at a time, keep; nodes that are compared last longer than that.
 */
#include "harness.h"

#include <math.h>
#include <string.h>

#include "suites.h"

static const double SLACK_MS = 150;
static const char *const versions[] = {"0.3", "0.28"};

static json_t *profiled(int version, const char *graph, struct sim **ret_sim)
{
    struct sim *s = sim_start("--version-as", versions[version], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    json_t *j = run_job(d, graph);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    json_t *p = at(j, "profileStats");
    CHECK(is_true(p, "evidence.complete") && strcmp(str_at(p, "evidence.source"), "events") == 0);
    if (ret_sim != NULL) {
        *ret_sim = s;
    }
    return p;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= SLACK_MS;
}

/* Sum of its entries in the truth, ms. */
static double truth_ms(json_t *truth, const char *id)
{
    double sum = 0;
    json_t *nodes = at(truth, "nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        json_t *n = json_array_get(nodes, i);
        if (strcmp(str_at(n, "id"), id) == 0) {
            sum += (num_at(n, "t1_ns") - num_at(n, "t0_ns")) / 1e6;
        }
    }
    return sum;
}

START_TEST(test_plain)
{
    struct sim *s = NULL;
    json_t *p = profiled(_i,
                         q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':200},'_meta':{'title':"
                           "'One'}},"
                           "'2':{'class_type':'KSampler','inputs':{'a':['1',0],'_ms':400,"
                           "'_steps':8}},"
                           "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'b':['1',0],"
                           "'_ms':10}}}"),
                         &s);
    json_t *truth = truth_of(s, str_at(p, "promptId"));
    CHECK(truth != NULL);
    static const char *const ids[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        json_t *n = node_of(p, ids[i]);
        CHECK(strcmp(str_at(n, "status"), "completed") == 0 && num_at(n, "order") == i);
        CHECK(near(num_at(n, "duration"), truth_ms(truth, ids[i])), "node %s", ids[i]);
        CHECK(num_at(n, "selfDuration") == num_at(n, "duration"));
    }
    CHECK(near(num_at(p, "executionTime"),
               (num_at(truth, "end_ns") - num_at(truth, "start_ns")) / 1e6));
    /* Epoch times: the machine is the same. */
    CHECK(near(num_at(p, "startedAt"), num_at(truth, "start_ms")) &&
          near(num_at(p, "completedAt"), num_at(truth, "end_ms")));
    CHECK(strcmp(str_at(node_of(p, "1"), "title"), "One") == 0 &&
          strcmp(str_at(node_of(p, "2"), "type"), "KSampler") == 0 &&
          !has(node_of(p, "2"), "title"));
    json_t *deps = at(node_of(p, "3"), "dependsOn");
    CHECK(json_array_size(deps) == 2);
    json_t *events = at(node_of(p, "2"), "progressEvents");
    CHECK(json_array_size(events) >= 8);
    CHECK(num_at(json_array_get(events, json_array_size(events) - 1), "value") == 8);
    CHECK(strcmp(str_at(p, "summary.slowestNodes.0.nodeId"), "2") == 0 &&
          json_array_size(at(p, "summary.slowestNodes")) == 3);
    CHECK(json_array_size(at(p, "summary.progressNodes")) >= 1);
    CHECK(num_at(p, "attempt") == 1 && strcmp(str_at(p, "backend"), "s0") == 0);
}
END_TEST

START_TEST(test_lazy)
{
    struct sim *s = NULL;
    json_t *p = profiled(_i,
                         q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':300}},"
                           "'2':{'class_type':'T_Lazy','inputs':{'a':['1',0],'_lazy':true,"
                           "'_ms':200}},"
                           "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':1}}}"),
                         &s);
    json_t *truth = truth_of(s, str_at(p, "promptId"));
    json_t *n = node_of(p, "2");
    CHECK(json_array_size(at(n, "slices")) == 2, "a lazy node runs in two slices");
    CHECK(near(num_at(n, "duration"), truth_ms(truth, "2")));
    CHECK(num_at(n, "duration") < num_at(n, "completedAt") - num_at(n, "startedAt") - 100,
          "its inputs' time is not its own");
    CHECK(near(num_at(node_of(p, "1"), "duration"), 300));
    CHECK(num_at(n, "order") == 0 && num_at(node_of(p, "1"), "order") == 1);
}
END_TEST

START_TEST(test_expand)
{
    struct sim *s = NULL;
    json_t *p = profiled(_i,
                         q("{'8':{'class_type':'T_Expand','inputs':{'_ms':200,'_expand':2,"
                           "'_child_ms':200}},"
                           "'9':{'class_type':'T_SleepOut','inputs':{'a':['8',0],'_ms':1}}}"),
                         &s);
    CHECK(num_at(p, "summary.totalNodes") == 2 && num_at(p, "summary.expandedNodes") == 2);
    json_t *parent = node_of(p, "8");
    double children = 0;
    json_t *nodes = at(p, "nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        json_t *n = json_array_get(nodes, i);
        if (has(n, "parentNodeId")) {
            CHECK(strcmp(str_at(n, "parentNodeId"), "8") == 0 &&
                  strcmp(str_at(n, "displayNodeId"), "8") == 0);
            CHECK(near(num_at(n, "duration"), 200));
            CHECK(num_at(n, "completedAt") <= num_at(parent, "completedAt") + 0.01);
            children += num_at(n, "duration");
        }
    }
    CHECK(near(num_at(parent, "duration"), 600), "its wall time");
    CHECK(fabs(num_at(parent, "duration") - children - num_at(parent, "selfDuration")) < 30,
          "selfDuration excludes the children");
}
END_TEST

START_TEST(test_async)
{
    json_t *p = profiled(_i,
                         q("{'1':{'class_type':'T_Async','inputs':{'_async':600}},"
                           "'2':{'class_type':'T_Sleep','inputs':{'_ms':300}},"
                           "'3':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'b':['2',0],"
                           "'_ms':1}}}"),
                         NULL);
    json_t *a = node_of(p, "1");
    json_t *b = node_of(p, "2");
    CHECK(near(num_at(a, "duration"), 600) && near(num_at(b, "duration"), 300));
    CHECK(num_at(a, "completedAt") > num_at(b, "startedAt") + 100, "they overlap");
    CHECK(num_at(p, "summary.unaccounted") < 100);
    CHECK(near(num_at(p, "executionTime"), 600));
}
END_TEST

START_TEST(test_waiting_and_dispatch)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    sim_control(s, "{'fault':'slow-accept@2:400'}");
    char *first = submit(d, sleep_body("a", 400, ""));
    json_t *j = run_job(d, sleep_body("b", 10, ""));
    (void)await_end(d, first);
    json_t *p = at(j, "profileStats");
    CHECK(num_at(p, "phases.waiting") > 200, "behind the first job");
    CHECK(num_at(p, "phases.dispatch") > 390 && num_at(p, "phases.dispatch") < 400 + 3 * SLACK_MS);
    CHECK(num_at(p, "phases.backendQueue") < SLACK_MS);
}
END_TEST

START_TEST(test_capped_progress)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = DAEMON(.sims = {s}, .config = "profiling: {maxProgressEvents: 5}\n");
    json_t *j = run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':50,'_steps':20}}}"));
    json_t *n = node_of(at(j, "profileStats"), "1");
    CHECK(json_array_size(at(n, "progressEvents")) == 5);
    CHECK(num_at(n, "progressEventsDropped") >= 15);
}
END_TEST

Suite *profiles_suite(void)
{
    static const struct named_test tests[] = {
        {"plain", &test_plain, 2},
        {"lazy", &test_lazy, 2},
        {"expand", &test_expand, 2},
        {"async", &test_async, 2},
        {"waiting and dispatch", &test_waiting_and_dispatch, 2},
        {"capped progress", &test_capped_progress, 2},
    };
    return SUITE("profiles", 60, tests);
}
