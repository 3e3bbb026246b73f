/* Each end of a job, on both kinds of server: what the Job says, and what its profile says. */
#include "harness.h"

#include <string.h>

#include "suites.h"

static const char *const versions[] = {"0.3", "0.28"};
enum { VERSIONS = 2 };

struct end {
    const char *name;
    const char *graph; /* as in q() */
    const char *state, *code, *node_id, *node_type, *message, *outcome;
    int executed, cached, failed, pending;
};

static const struct end ends[] = {
    {"completed",
     "{'1':{'class_type':'T_Sleep','inputs':{'_ms':5}},"
     "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':5}}}",
     "completed", "", "", "", "", "completed", 2, 0, 0, 0},
    {"node_failed",
     "{'1':{'class_type':'T_Sleep','inputs':{'_ms':5}},"
     "'7':{'class_type':'KSampler','inputs':{'m':['1',0],'_ms':5,'_error':'tensor <\\u00e9> \\n "
     "odd'}},"
     "'2':{'class_type':'T_SleepOut','inputs':{'a':['7',0],'_ms':5}}}",
     "failed", "node_failed", "7", "KSampler", "tensor <\xc3\xa9> \n odd", "failed", 1, 0, 1, 1},
    {"out_of_memory", "{'1':{'class_type':'T_SleepOut','inputs':{'_ms':5,'_error':'OOM: 24 GiB'}}}",
     "failed", "out_of_memory", "1", "T_SleepOut", "OOM", "failed", 0, 0, 1, 0},
    {"required_input_missing", "{'1':{'class_type':'T_SleepOut','inputs':{'_lacks':'image'}}}",
     "failed", "workflow_invalid", NULL, NULL, NULL, "rejected", 0, 0, 0, 1},
    {"unknown class", "{'1':{'class_type':'NoSuchNode','inputs':{}}}", "failed",
     "workflow_not_supported", NULL, NULL, NULL, "rejected", 0, 0, 0, 1},
    {"no outputs", "{'1':{'class_type':'T_Sleep','inputs':{}}}", "failed", "workflow_invalid", NULL,
     NULL, NULL, "rejected", 0, 0, 0, 1},
    {"link to nowhere", "{'1':{'class_type':'T_SleepOut','inputs':{'a':['99',0]}}}", "failed",
     "workflow_invalid", NULL, NULL, NULL, "rejected", 0, 0, 0, 1},
    {"blocked",
     "{'1':{'class_type':'T_Block','inputs':{'_block':'not today'}},"
     "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0]}},"
     "'3':{'class_type':'T_SleepOut','inputs':{'_ms':5}}}",
     "completed", "", "", "", "", "completed", -1, 0, 0, -1},
};

enum { ENDS = sizeof ends / sizeof *ends };

static void check_error(const struct end *e, json_t *j)
{
    CHECK(strcmp(str_at(j, "error.code"), e->code) == 0, "%s", e->name);
    CHECK((*e->code != '\0') == has(j, "error"), "%s", e->name);
    if (e->node_id != NULL) {
        CHECK(strcmp(str_at(j, "error.nodeId"), e->node_id) == 0 &&
                  strcmp(str_at(j, "error.nodeType"), e->node_type) == 0,
              "%s", e->name);
        CHECK(strstr(str_at(j, "error.message"), e->message) != NULL, "%s: %s", e->name,
              e->message);
    }
}

static void check_summary(const struct end *e, json_t *p)
{
    CHECK(strcmp(str_at(p, "outcome"), e->outcome) == 0, "%s", e->name);
    CHECK(is_true(p, "evidence.complete"), "%s: nothing was missed", e->name);
    const int want[] = {e->executed, e->cached, e->failed, e->pending};
    static const char *const names[] = {"executedNodes", "cachedNodes", "failedNodes",
                                        "pendingNodes"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(want[i] < 0 || num_at(p, text("summary.%s", names[i])) == want[i], "%s: %s is not %d",
              e->name, names[i], want[i]);
    }
    CHECK(has(p, "startedAt") == (strcmp(e->outcome, "rejected") != 0), "%s", e->name);
}

START_TEST(test_end)
{
    const struct end *e = &ends[_i % ENDS];
    struct sim *s = sim_start("--version-as", versions[_i / ENDS], NULL);
    sim_control(s, "{'secret': true}"); /* what it lacks shows when it refuses */
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, q("{'workflow':%s}", e->graph));
    CHECK(strcmp(str_at(j, "state"), e->state) == 0, "%s", e->name);
    /* Out of memory: once more. */
    const int attempts = strcmp(e->code, "out_of_memory") == 0 ? 2 : 1;
    CHECK(num_at(j, "attempts") == attempts, "%s", e->name);
    check_error(e, j);
    check_summary(e, at(j, "profileStats"));
    CHECK(!has(j, "error.traceback"), "only on request");
    struct answer *a = get(d, "/jobs/%s?traceback=1", str_at(j, "id"));
    const bool traced = strcmp(e->outcome, "failed") == 0;
    CHECK((json_array_size(at(a->json, "error.traceback")) > 0) == traced, "%s", e->name);
    if (strcmp(e->outcome, "rejected") == 0) {
        /* What the server says about the same graph, verbatim. */
        json_t *said = sim_ask(s, "/prompt", q("{'prompt':%s}", e->graph));
        json_t *errors = at(said, "node_errors");
        CHECK(json_object_size(errors) == 0 || json_equal(errors, at(j, "error.nodeErrors")),
              "%s: nodeErrors", e->name);
        CHECK(strstr(str_at(j, "error.message"), str_at(said, "error.message")) != NULL, "%s: %s",
              e->name, str_at(said, "error.message"));
    }
    if (traced) {
        json_t *n = node_of(at(j, "profileStats"), e->node_id);
        CHECK(strcmp(str_at(n, "status"), "failed") == 0 && *str_at(n, "error") != '\0', "%s",
              e->name);
    }
}
END_TEST

START_TEST(test_cached)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    const char *graph = "{'1':{'class_type':'EmptyImage','inputs':{'_ms':5}},"
                        "'2':{'class_type':'SaveImage','inputs':{'images':['1',0],'_ms':5}}}";
    json_t *first = run_job(d, q("%s", graph));
    json_t *second = run_job(d, q("%s", graph));
    CHECK(strcmp(str_at(second, "state"), "completed") == 0);
    json_t *p = at(second, "profileStats");
    CHECK(num_at(p, "summary.cachedNodes") == 2 && num_at(p, "summary.executedNodes") == 0);
    CHECK(num_at(p, "summary.pendingNodes") == 0 && is_true(p, "evidence.complete"));
    CHECK(json_equal(at(first, "outputs"), at(second, "outputs")), "cached outputs are outputs");
    CHECK(json_array_size(at(second, "outputs.2.images")) == 1);
    CHECK(num_at(node_of(p, "1"), "order") == 0 && num_at(node_of(p, "2"), "order") == 1);
}
END_TEST

START_TEST(test_partial)
{
    struct sim *s = sim_start("--version-as", versions[_i], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    char *graph = q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':5}},"
                    "'2':{'class_type':'T_SleepOut','inputs':{'_invalid':true}}}");
    json_t *j = run_job(d, graph);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && is_true(j, "partial"));
    CHECK(json_array_size(at(j, "nodeErrors.2.errors")) > 0);
    CHECK(!has(j, "error") && json_array_size(at(j, "outputs.1.images")) == 1);
    json_t *p = at(j, "profileStats");
    CHECK(num_at(p, "summary.executedNodes") == 1 && num_at(p, "summary.pendingNodes") == 1);
    CHECK(strcmp(str_at(node_of(p, "2"), "status"), "pending") == 0);
}
END_TEST

/* The end comes before the answer to the POST, or long after its own timestamp. */
START_TEST(test_odd_timing)
{
    static const char *const faults[] = {"late-accept@1:300", "late-finish@1:300"};
    struct sim *s = sim_start("--fault", faults[_i], NULL);
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, sleep_body("a", 20, ""));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
    json_t *truth = truth_of(s, str_at(j, "promptId"));
    json_t *p = at(j, "profileStats");
    CHECK(is_true(p, "evidence.complete"), "%s", faults[_i]);
    const double took = (num_at(truth, "end_ns") - num_at(truth, "start_ns")) / 1e6;
    /* The end is the server's own stamp: not 300 ms late. 200 ms of slack for a loaded machine. */
    CHECK(num_at(p, "executionTime") < took + 200, "%s: %f", faults[_i], took);
}
END_TEST

Suite *ends_suite(void)
{
    static const struct named_test tests[] = {
        {"end", &test_end, ENDS * VERSIONS},
        {"cached", &test_cached, VERSIONS},
        {"partial", &test_partial, VERSIONS},
        {"odd timing", &test_odd_timing, 2},
    };
    return SUITE("ends", 60, tests);
}
