/* Order and fairness: clients, notBefore, after, limits, batches; seeds and chosen outputs. */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "suites.h"

static double wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A job that runs until it is cancelled, so that others wait. */
static char *plug(struct daemon *d)
{
    char *id = submit(d, sleep_body("plug", 60000, ""));
    AWAIT(is_at_node(d, id, "1"));
    return id;
}

static int started_before(struct sim *s, const char *tag, const char *prefix, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        count +=
            ledger_at(s, "started", text("%s%d", prefix, i)) < ledger_at(s, "started", tag) ? 1 : 0;
    }
    return count;
}

START_TEST(test_turns)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *first = plug(d);
    char *last = NULL;
    for (int i = 0; i < 9; i++) {
        (void)submit(d, sleep_body(text("a%d", i), 2, q(",'client':'a'")));
    }
    for (int i = 0; i < 3; i++) {
        last = submit(d, sleep_body(text("b%d", i), 2, q(",'client':'b'")));
    }
    char *urgent = submit(d, sleep_body("u0", 2, q(",'client':'a','priority':5")));
    CHECK(strcmp(str_at(job_now(d, last), "client"), "b") == 0);
    (void)cancel(d, first);
    (void)await_end(d, last);
    (void)await_end(d, urgent);
    AWAIT(ledger_count(s, "success", NULL) == 13);
    CHECK(started_before(s, "u0", "a", 9) == 0, "priority goes before turns");
    const int before = started_before(s, "b2", "a", 9);
    CHECK(before >= 2 && before <= 4, "%d of a went before the third of b", before);
}
END_TEST

static json_t *position(struct daemon *d, const char *id)
{
    return at(job_now(d, id), "position");
}

static void expect_positions(struct daemon *d, char *const *ids, const int *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *p = position(d, ids[i]);
        CHECK(json_is_integer(p) && json_integer_value(p) == want[i], "job %zu is at %s, not %d", i,
              p == NULL ? "nothing" : json_dumps(p, JSON_ENCODE_ANY), want[i]);
    }
}

/* How many are before a job: by priority, turns of clients and age, then those that wait for a
   time. */
START_TEST(test_positions)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *ids[6];
    for (int i = 0; i < 3; i++) {
        ids[i] = submit(d, sleep_body(text("a%d", i), 1, q(",'client':'a'")));
    }
    ids[3] = submit(d, sleep_body("b", 1, q(",'client':'b'")));
    ids[4] = submit(d, sleep_body("u", 1, q(",'priority':-1")));
    ids[5] = submit(d, sleep_body("l", 1, q(",'notBefore':%.0f,'priority':9", wall_ms() + 1e7)));
    expect_positions(d, ids, (const int[]){0, 2, 3, 1, 4, 5}, 6);
    struct answer *a = get(d, "/jobs/%s", ids[0]);
    char *etag = text("If-None-Match: %s", header_of(a, "ETag"));
    expect(ask(d, "PATCH", text("/jobs/%s", ids[4]), NULL, q("{'priority':5}")), 200, NULL);
    expect_positions(d, ids, (const int[]){1, 3, 4, 2, 0, 5}, 6);
    CHECK(ask(d, "GET", text("/jobs/%s", ids[0]), etag, NULL)->status == 304,
          "it changes nothing of the ETag");
    (void)cancel(d, ids[3]);
    (void)await_end(d, ids[3]);
    CHECK(position(d, ids[3]) == NULL, "of one that has ended");
    char *after = submit(d, sleep_body("z", 1, q(",'after':['%s']", ids[0])));
    CHECK(json_is_null(position(d, after)), "of one that waits for another job");
    /* Seconds are no milliseconds. */
    a = post(d, "/jobs", sleep_body("s", 1, q(",'notBefore':1796007564")));
    expect(a, 400, "member_invalid");
    CHECK(strcmp(str_at(a->json, "pointer"), "/notBefore") == 0 &&
          strstr(str_at(a->json, "detail"), "not seconds") != NULL);
    a = get(d, "/profiles?since=1796007564");
    expect(a, 400, "query_invalid");
    CHECK(strstr(str_at(a->json, "detail"), "not seconds") != NULL);
}
END_TEST

START_TEST(test_not_before)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    const double t = wall_ms() + 700;
    char *id = submit(d, sleep_body("later", 1, q(",'notBefore':%.3f,'queueTimeoutMs':300", t)));
    CHECK(strcmp(str_at(job_now(d, id), "waitingReason"), "not_before") == 0);
    CHECK(num_at(run_job(d, sleep_body("now", 1, "")), "completedAt") < t,
          "nobody waits behind it");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "its queue time counts from then");
    CHECK(num_at(j, "startedAt") >= t - 2 && num_at(j, "startedAt") < t + 5000);
}
END_TEST

START_TEST(test_not_before_over_a_kill)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const double t = wall_ms() + 1500;
    char *id = submit(d, sleep_body("later", 1, q(",'notBefore':%.3f", t)));
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    CHECK(strcmp(str_at(job_now(d, id), "waitingReason"), "not_before") == 0);
    CHECK(num_at(await_end(d, id), "startedAt") >= t - 2);
}
END_TEST

/* A chain of three, while the first one runs; the daemon is killed in the middle (_i 1). */
START_TEST(test_after)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *a = submit(d, sleep_body("a", 400, ""));
    char *b = submit(d, sleep_body("b", 1, q(",'after':['%s'],'priority':9", a)));
    char *c = submit(d, sleep_body("c", 1, q(",'after':['%s','%s'],'priority':10", b, a)));
    CHECK(strcmp(str_at(job_now(d, c), "waitingReason"), "dependency") == 0);
    CHECK(json_array_size(at(job_now(d, c), "after")) == 2);
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.sims = {s}, .no_profile = true);
    }
    json_t *end = await_end(d, c);
    CHECK(strcmp(str_at(end, "state"), "completed") == 0);
    CHECK(num_at(await_end(d, b), "startedAt") >= num_at(await_end(d, a), "completedAt") - 1);
    CHECK(num_at(end, "startedAt") >= num_at(await_end(d, b), "completedAt") - 1);
    end = run_job(d, sleep_body("d", 1, q(",'after':['%s']", a)));
    CHECK(strcmp(str_at(end, "state"), "completed") == 0, "what has completed already");
}
END_TEST

START_TEST(test_after_a_failure)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *first = plug(d);
    char *a = submit(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':"
                          "{'_error':'boom'}}},'maxAttempts':1}"));
    char *b = submit(d, sleep_body("b", 1, q(",'after':['%s']", a)));
    char *c = submit(d, sleep_body("c", 1, q(",'after':['%s']", b)));
    char *run = submit(d, sleep_body("run", 1, q(",'after':['%s'],'onFailure':'run'", a)));
    if (_i == 1) {
        (void)cancel(d, a);
    }
    (void)cancel(d, first);
    json_t *j = await_end(d, b);
    CHECK(strcmp(str_at(j, "error.code"), "dependency_failed") == 0);
    CHECK(strstr(str_at(j, "error.message"), a) != NULL, "%s", str_at(j, "error.message"));
    CHECK(strcmp(str_at(await_end(d, c), "error.code"), "dependency_failed") == 0);
    CHECK(strcmp(str_at(await_end(d, run), "state"), "completed") == 0);
    j = run_job(d, sleep_body("late", 1, q(",'after':['%s']", a)));
    CHECK(strcmp(str_at(j, "error.code"), "dependency_failed") == 0);
    CHECK(ledger_count(s, "posted", "b") + ledger_count(s, "posted", "c") == 0);
    struct answer *none = post(d, "/jobs",
                               sleep_body("x", 1,
                                          q(",'after':['%s','00000000-0000-"
                                            "7000-8000-000000000000']",
                                            a)));
    expect(none, 404, "dependency_not_found");
    CHECK(strcmp(str_at(none->json, "pointer"), "/after/1") == 0);
}
END_TEST

/* One that failed with the job that it follows is tried again, when nothing else happens. The store
   is asked what became of the other one: a restart has emptied its memory. */
START_TEST(test_after_by_hand)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *first = plug(d);
    char *a = submit(d, sleep_body("a", 1, ""));
    char *b = submit(d, sleep_body("b", 1, q(",'after':['%s']", a)));
    (void)cancel(d, a);
    CHECK(strcmp(str_at(await_end(d, b), "error.code"), "dependency_failed") == 0);
    (void)cancel(d, first);
    expect(post(d, text("/jobs/%s/retry", a), ""), 202, NULL);
    CHECK(strcmp(str_at(await_end(d, a), "state"), "completed") == 0);
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    expect(post(d, text("/jobs/%s/retry", b), ""), 202, NULL);
    CHECK(strcmp(str_at(await_end(d, b), "state"), "completed") == 0);
}
END_TEST

/* What was known of a job when another one was accepted counts no more when it was deleted. */
START_TEST(test_after_a_deleted_one)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const char *a = str_at(run_job(d, sleep_body("a", 1, "")), "id");
    char *first = plug(d);
    const char *after = q(",'after':['%s']", a);
    const int waits = raw_request(d, "POST", "/jobs?wait=30", sleep_body("b", 1, after));
    AWAIT(num_at(get(d, "/stats")->json, "http.waits") == 1 &&
          num_at(get(d, "/stats")->json, "queue.depth") == 1);
    expect(ask(d, "DELETE", text("/jobs/%s", a), NULL, NULL), 204, NULL);
    expect(post(d, "/jobs", sleep_body("c", 1, after)), 404, "dependency_not_found");
    (void)cancel(d, first);
    struct answer *b = raw_answer(waits);
    CHECK(b != NULL && b->status == 200 && strcmp(str_at(b->json, "state"), "completed") == 0);
}
END_TEST

START_TEST(test_client_limits)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .no_profile = true,
                              .config = "jobs: {maxPerClient: 2, maxRunningPerClient: 1}\n");
    await_backends_up(d, 2);
    char *one = submit(d, sleep_body("one", 60000, q(",'client':'a'")));
    AWAIT(is_at_node(d, one, "1"));
    char *two = submit(d, sleep_body("two", 1, q(",'client':'a'")));
    CHECK(strcmp(str_at(job_now(d, two), "waitingReason"), "client_limit") == 0);
    struct answer *full = post(d, "/jobs", sleep_body("three", 1, q(",'client':'a'")));
    expect(full, 429, "queue_full");
    CHECK(*header_of(full, "Retry-After") != '\0');
    expect(post(d, "/batches",
                q("{'client':'c','workflow':{'1':{'class_type':'T_SleepOut','inputs':{'n':1}}},"
                  "'overrides':[{},{},{}]}")),
           429, "queue_full");
    (void)run_job(d, sleep_body("other", 1, q(",'client':'b'")));
    CHECK(is_state(d, two, "queued"), "a free backend and another client's turn");
    (void)cancel(d, one);
    CHECK(strcmp(str_at(await_end(d, two), "state"), "completed") == 0);
    (void)submit(d, sleep_body("four", 60000, q(",'client':'a'")));
    (void)submit(d, sleep_body("five", 1, q(",'client':'a'")));
    expect(post(d, text("/jobs/%s/retry", one), ""), 429, "queue_full");
}
END_TEST

/* ---- seeds and outputs ----------------------------------------------------------------------- */

static json_t *posted(struct sim *s)
{
    json_t *history = sim_get(s, "/history?max_items=1");
    return json_array_get(at(json_object_iter_value(json_object_iter(history)), "prompt"), 2);
}

START_TEST(test_seeds)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const char *body = q("{'workflow':{'3':{'class_type':'KSampler','inputs':{'seed':-1,'_ms':1}},"
                         "'5':{'class_type':'T_Sleep','inputs':{'noise_seed':-1,'seed':-1,"
                         "'m':['3',0]}},'6':{'class_type':'T_SleepOut','inputs':{'a':['5',0],"
                         "'seed':18446744073709551615}}}%s}",
                         _i == 0 ? "" : ",\"autoSeed\":false");
    json_t *j = run_job(d, body);
    json_t *prompt = posted(s);
    if (_i == 1) {
        CHECK(!has(j, "autoSeeds") && num_at(prompt, "3.inputs.seed") == -1);
        return;
    }
    CHECK(json_object_size(at(j, "autoSeeds")) == 2);
    CHECK(num_at(prompt, "3.inputs.seed") == num_at(j, "autoSeeds.3"));
    CHECK(num_at(prompt, "5.inputs.seed") == num_at(j, "autoSeeds.5") &&
          num_at(prompt, "5.inputs.noise_seed") == num_at(j, "autoSeeds.5"));
    CHECK(num_at(j, "autoSeeds.3") >= 0 && num_at(j, "autoSeeds.3") < 9007199254740992.0);
    struct answer *w = get(d, "/jobs/%s/workflow", str_at(j, "id"));
    CHECK(strstr(w->body, "\"seed\":-1") != NULL, "as submitted");
    CHECK(num_at(run_job(d, body), "autoSeeds.3") != num_at(j, "autoSeeds.3"));
}
END_TEST

START_TEST(test_included_outputs)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    const char *graph = "{'1':{'class_type':'T_Sleep','inputs':{}},'2':{'class_type':'SaveImage',"
                        "'inputs':{'images':['1',0]}},'3':{'class_type':'PreviewImage','inputs':"
                        "{'images':['1',0]}}}";
    json_t *j = run_job(d, q("{'workflow':%s,'includeOutputs':['3']}", graph));
    CHECK(json_object_size(at(j, "outputs")) == 1 && has(j, "outputs.3"));
    CHECK(num_at(j, "profileStats.summary.pendingNodes") == 1, "node 2 did not run");
    static const char *const wrong[] = {"['9']", "['1']", "[]", "'3'", "[3]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect(post(d, "/jobs", q("{'workflow':%s,'includeOutputs':%s}", graph, wrong[i])), 400,
               "member_invalid");
    }
}
END_TEST

/* Older servers run every output of what they are sent. */
START_TEST(test_included_outputs_of_old)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'older':'0.3.40'}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    AWAIT(strcmp(str_at(get(d, "/backends/s0")->json, "version"), "0.3.40") == 0);
    json_t *j = run_job(d, q("{'workflow':{'2':{'class_type':'SaveImage','inputs':{'images':['1',0]"
                             "}},'4':{'class_type':'SaveImage','inputs':{'images':['3',0]}},'1':{"
                             "'class_type':'T_Sleep','inputs':{}},'3':{'class_type':'T_Sleep',"
                             "'inputs':{'seed':-1,'deep':{'a':[1,2]}}}},'includeOutputs':['4']}"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    CHECK(json_object_size(at(j, "outputs")) == 1 && has(j, "outputs.4"));
    CHECK(num_at(j, "profileStats.summary.pendingNodes") == 2);
    json_t *history = sim_get(s, "/history?max_items=1");
    json_t *prompt =
        json_array_get(at(json_object_iter_value(json_object_iter(history)), "prompt"), 2);
    CHECK(json_object_size(prompt) == 2 && has(prompt, "3") && has(prompt, "4"));
    CHECK(num_at(prompt, "3.inputs.seed") == num_at(j, "autoSeeds.3") &&
          json_array_size(at(prompt, "3.inputs.deep.a")) == 2);
}
END_TEST

/* ---- batches --------------------------------------------------------------------------------- */

static double count(struct daemon *d, const char *batch, const char *state)
{
    return num_at(get(d, "/batches/%s", batch)->json, text("counts.%s", state));
}

static char *overrides(int n)
{
    char *list = text("%s", "");
    for (int i = 0; i < n; i++) {
        list = text("%s%s{\"1.deep.n\":%d}", list, i == 0 ? "" : ",", i);
    }
    return list;
}

START_TEST(test_batch)
{
    enum { N = 40 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    const char *body = text("{\"workflow\":{\"1\":{\"class_type\":\"T_Sleep\",\"inputs\":{}},"
                            "\"1.deep\":{\"class_type\":\"T_SleepOut\",\"inputs\":{\"n\":-5,"
                            "\"_ms\":1,\"a\":[\"1\",0]}}},\"metadata\":{\"k\":1},"
                            "\"overrides\":[%s]}",
                            overrides(N));
    struct answer *a = ask(d, "POST", "/batches", "Idempotency-Key: k1", body);
    expect(a, 202, NULL);
    char *id = text("%s", str_at(a->json, "id"));
    CHECK(num_at(a->json, "total") == N);
    CHECK(strcmp(header_of(a, "Location"), text("/batches/%s", id)) == 0);
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.sims = {s}, .no_profile = true);
    }
    a = ask(d, "POST", "/batches", "Idempotency-Key: k1", body);
    CHECK(a->status == 202 && strcmp(str_at(a->json, "id"), id) == 0, "once a key");
    AWAIT(count(d, id, "completed") == N);
    CHECK(ledger_count(s, "posted", NULL) == N);
    json_t *list = get(d, "/jobs?batch=%s&limit=1000", id)->json;
    CHECK(json_array_size(at(list, "jobs")) == N);
    json_t *last = json_array_get(at(list, "jobs"), 0);
    CHECK(strcmp(str_at(last, "batchId"), id) == 0 && num_at(last, "metadata.k") == 1);
    struct answer *w = get(d, "/jobs/%s/workflow", str_at(last, "id"));
    CHECK(num_at(json_object_get(w->json, "1.deep"), "inputs.n") == N - 1, "%s", w->body);
    CHECK(json_array_size(at(get(d, "/jobs?batch=%s&state=failed", id)->json, "jobs")) == 0);
    /* It goes with its last job. */
    for (size_t i = 0; i < N; i++) {
        const char *one = str_at(json_array_get(at(list, "jobs"), i), "id");
        expect(ask(d, "DELETE", text("/jobs/%s", one), NULL, NULL), 204, NULL);
    }
    expect(get(d, "/batches/%s", id), 404, "batch_not_found");
}
END_TEST

START_TEST(test_batch_cancel)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *first = plug(d);
    struct answer *a =
        post(d, "/batches",
             text("{\"workflow\":{\"1.deep\":{\"class_type\":\"T_SleepOut\",\"inputs\":{\"n\":0}}},"
                  "\"overrides\":[%s]}",
                  overrides(300)));
    expect(a, 202, NULL);
    const char *id = str_at(a->json, "id");
    AWAIT(count(d, id, "queued") == 300);
    expect(post(d, text("/batches/%s/cancel", id), ""), 200, NULL);
    AWAIT(count(d, id, "cancelled") == 300);
    (void)cancel(d, first);
    CHECK(strcmp(str_at(run_job(d, sleep_body("after", 1, "")), "state"), "completed") == 0);
    CHECK(ledger_count(s, "posted", NULL) == 2);
    expect(get(d, "/batches/00000000-0000-7000-8000-000000000000"), 404, "batch_not_found");
    expect(post(d, "/batches/x/cancel", ""), 404, "batch_not_found");
}
END_TEST

static const struct {
    const char *rest;
    const char *code;
    const char *pointer;
} bad_batches[] = {
    {"'overrides':[{'1.n':1},{'77.n':1}]", "override_invalid", "/overrides/1/77.n"},
    {"'overrides':[{'n':1}]", "override_invalid", "/overrides/0/n"},
    {"'overrides':[{'1.m':1}]", "override_invalid", "/overrides/0/1.m"},
    {"'overrides':[5]", "member_invalid", "/overrides/0"},
    {"'overrides':[]", "member_invalid", "/overrides"},
    {"'overrides':{}", "member_invalid", "/overrides"},
    {"'priority':1", "member_invalid", "/overrides"},
    {"'overrides':[{}],'variants':[]", "member_invalid", "/variants"},
    {"'overrides':[{}],'moon':1", "member_unknown", "/moon"},
};

START_TEST(test_bad_batch)
{
    struct daemon *d = DAEMON(.no_profile = true);
    struct answer *a = post(d, "/batches",
                            q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'n':1}}},%s}",
                              q("%s", bad_batches[_i].rest)));
    expect(a, 400, bad_batches[_i].code);
    CHECK(strcmp(str_at(a->json, "pointer"), bad_batches[_i].pointer) == 0, "%s",
          str_at(a->json, "pointer"));
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0);
}
END_TEST

/* More text waits than is kept in memory: it is read back for whoever asks for the job, for the
   profile of one that is cancelled, and when its turn comes (_i 1: after a restart). */
START_TEST(test_more_text_than_memory)
{
    enum { JOBS = 13, BYTES = 7 << 20 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *ids[JOBS];
    char *pad = text("%0*d", BYTES, 0);
    await_backends_up(d, 1);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    for (int i = 0; i < JOBS; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), 1, q(",'extraData':{'pad':'%s'}", pad)));
    }
    if (_i == 1) {
        daemon_kill(d);
        d = DAEMON(.sims = {s});
        await_backends_up(d, 1);
    }
    for (int i = JOBS - 3; i < JOBS; i++) {
        struct answer *a = get(d, "/jobs/%s/workflow", ids[i]);
        CHECK(a->status == 200 && strstr(a->body, text("\"t%d\"", i)) != NULL);
        a = get(d, "/jobs/%s/profile?live=1", ids[i]);
        CHECK(a->status == 200 && json_array_size(at(a->json, "nodes")) == 2);
        CHECK(strcmp(str_at(a->json, "nodes.0.status"), "pending") == 0);
        expect(get(d, "/jobs/%s/profile?live=1&format=otlp", ids[i]), 200, NULL);
    }
    (void)cancel(d, ids[JOBS - 1]);
    CHECK(strcmp(str_at(await_end(d, ids[JOBS - 1]), "state"), "cancelled") == 0);
    CHECK(json_array_size(at(profile_of(d, ids[JOBS - 1]), "nodes")) == 2);
    expect(post(d, "/queue/resume", ""), 200, NULL);
    for (int i = 0; i < JOBS - 1; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
        CHECK(ledger_count(s, "success", text("t%d", i)) == 1);
        CHECK(i == 0 ||
              ledger_at(s, "posted", text("t%d", i)) > ledger_at(s, "posted", text("t%d", i - 1)));
    }
    CHECK(ledger_count(s, "posted", NULL) == JOBS - 1);
}
END_TEST

Suite *queue_suite(void)
{
    static const struct named_test tests[] = {
        {"turns", &test_turns, 1},
        {"positions", &test_positions, 1},
        {"notBefore", &test_not_before, 1},
        {"notBefore, killed", &test_not_before_over_a_kill, 1},
        {"after", &test_after, 2},
        {"after a failure", &test_after_a_failure, 2},
        {"after, by hand", &test_after_by_hand, 1},
        {"after a deleted one", &test_after_a_deleted_one, 1},
        {"limits of clients", &test_client_limits, 1},
        {"seeds", &test_seeds, 2},
        {"included outputs", &test_included_outputs, 1},
        {"batch", &test_batch, 2},
        {"batch, cancelled", &test_batch_cancel, 1},
        {"included outputs of old", &test_included_outputs_of_old, 1},
        {"more text than memory", &test_more_text_than_memory, 2},
        {"bad batch", &test_bad_batch, sizeof bad_batches / sizeof *bad_batches},
    };
    return SUITE("queue", 90, tests);
}
