/*
 * What the daemon makes of many runs: comparisons and baselines, roll-ups that survive a kill,
 * estimates, and the analysis in each profile. Expected numbers are made from the profiles
 * themselves, so that a loaded machine changes both sides.
 */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "suites.h"

#define NOWHERE "00000000-0000-7000-8000-000000000000"

/* Numbers have three decimals. */
static bool same(double a, double b)
{
    return fabs(a - b) <= 0.0021;
}

static double wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static char *run(struct daemon *d, const char *body)
{
    return text("%s", str_at(run_job(d, body), "id"));
}

/* Two nodes; how long is the simulator's node_ms. more: inputs of the first. */
static char *pair(const char *tag, const char *more)
{
    return q("{'workflow':{'1':{'class_type':'KSampler','inputs':{'_steps':0,'_tag':'%s'%s}},"
             "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}}}",
             tag, more);
}

static struct daemon *start(struct sim *a, struct sim *b)
{
    struct daemon *d =
        DAEMON(.sims = {a, b}, .config = "jobs: {maxAttempts: 1}\n"
                                         "link: {quietPollMs: 300, submitSettleMs: 500}\n");
    await_backends_up(d, b == NULL ? 1 : 2);
    return d;
}

static void only(struct daemon *d, const char *backend, const char *other)
{
    expect(post(d, text("/backends/%s/resume", backend), ""), 200, NULL);
    expect(post(d, text("/backends/%s/drain", other), ""), 200, NULL);
}

/* ---- one run beside another ------------------------------------------------------------------ */

static json_t *compare(struct daemon *d, const char *base, const char *target)
{
    struct answer *a = get(d, "/profiles/compare?base=%s&target=%s", base, target);
    expect(a, 200, NULL);
    return a->json;
}

static void check_change(json_t *c, double base, double target, const char *verdict)
{
    CHECK(same(num_at(c, "delta"), target - base), "%g to %g: %g", base, target,
          num_at(c, "delta"));
    CHECK(fabs(num_at(c, "ratio") - target / base) < 0.001, "%g to %g: %g", base, target,
          num_at(c, "ratio"));
    CHECK(strcmp(str_at(c, "verdict"), verdict) == 0, "%g to %g: %s", base, target,
          str_at(c, "verdict"));
}

static void check_comparison(struct daemon *d, const char *base, const char *target,
                             const char *verdict)
{
    json_t *b = profile_of(d, base);
    json_t *t = profile_of(d, target);
    json_t *c = compare(d, base, target);
    CHECK(strcmp(str_at(c, "base.jobId"), base) == 0 &&
          strcmp(str_at(c, "target.jobId"), target) == 0);
    json_t *n = node_of(c, "1");
    const double of_base = num_at(node_of(b, "1"), "duration");
    const double of_target = num_at(node_of(t, "1"), "duration");
    CHECK(num_at(n, "base.duration") == of_base && num_at(n, "target.duration") == of_target);
    check_change(n, of_base, of_target, verdict);
    check_change(at(c, "total"), num_at(b, "executionTime"), num_at(t, "executionTime"), verdict);
    CHECK(json_array_size(at(c, "nodes")) == 2 && json_array_size(at(c, "added")) == 0 &&
          json_array_size(at(c, "removed")) == 0);
}

START_TEST(test_two_jobs)
{
    struct sim *s = sim_start("--no-cache", NULL);
    struct daemon *d = start(s, NULL);
    sim_control(s, "{'node_ms':40}");
    char *fast = run(d, pair("a", ""));
    sim_control(s, "{'node_ms':200}");
    char *slow = run(d, pair("b", ""));
    check_comparison(d, fast, slow, "slower");
    check_comparison(d, slow, fast, "faster");
    check_comparison(d, slow, slow, "same");
    struct answer *a = get(d, "/profiles/compare?base=%s&target=%s&format=text", fast, slow);
    CHECK(a->status == 200 &&
          strcmp(header_of(a, "Content-Type"), "text/plain; charset=utf-8") == 0);
    CHECK(strstr(a->body, fast) != NULL && strstr(a->body, slow) != NULL &&
              strstr(a->body, "KSampler") != NULL && strstr(a->body, "slower") != NULL,
          "%s", a->body);
    const char *path = text("/profiles/compare?base=%s&target=%s", fast, slow);
    CHECK(strcmp(ask(d, "GET", path, "Accept: text/plain", NULL)->body, a->body) == 0);
    expect(ask(d, "GET", path, "Accept: text/csv", NULL), 406, "not_acceptable");
    a = get(d, "%s", path);
    CHECK(ask(d, "GET", path, text("If-None-Match: %s", header_of(a, "ETag")), NULL)->status ==
          304);
}
END_TEST

static bool lists(json_t *list, const char *only_one)
{
    return json_array_size(list) == 1 &&
           strcmp(json_string_value(json_array_get(list, 0)), only_one) == 0;
}

/* The target calls its nodes otherwise, lacks one and has another. */
START_TEST(test_renamed)
{
    struct sim *s = sim_start("--no-cache", NULL);
    struct daemon *d = start(s, NULL);
    char *base =
        run(d, q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':5}},"
                 "'2':{'class_type':'KSampler','inputs':{'a':['1',0],'_ms':5,'_steps':0}},"
                 "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':5}},"
                 "'x':{'class_type':'PreviewImage','inputs':{'images':['2',0],'_ms':5}}}"));
    char *target =
        run(d, q("{'11':{'class_type':'T_Sleep','inputs':{'_ms':5}},"
                 "'12':{'class_type':'KSampler','inputs':{'a':['11',0],'_ms':5,'_steps':0}},"
                 "'13':{'class_type':'T_SleepOut','inputs':{'a':['12',0],'_ms':5}},"
                 "'y':{'class_type':'SaveImage','inputs':{'images':['12',0],'_ms':5}}}"));
    json_t *c = compare(d, base, target);
    CHECK(lists(at(c, "added"), "y") && lists(at(c, "removed"), "x"));
    CHECK(json_array_size(at(c, "nodes")) == 3);
    for (int i = 1; i <= 3; i++) {
        CHECK(strcmp(str_at(node_of(c, text("1%d", i)), "baseNodeId"), text("%d", i)) == 0);
    }
    c = compare(d, target, target);
    CHECK(!has(node_of(c, "11"), "baseNodeId") && json_array_size(at(c, "nodes")) == 4);
    struct answer *a = get(d, "/profiles/compare?base=%s&target=%s&format=text", base, target);
    CHECK(strstr(a->body, "Base node") != NULL && strstr(a->body, "added") != NULL &&
          strstr(a->body, "removed") != NULL);
}
END_TEST

/* ---- the baseline ---------------------------------------------------------------------------- */

static void check_baseline(struct daemon *d, const char *target, const char *more,
                           const char *baseline, const char *const *ids, size_t n)
{
    struct answer *a = get(d, "/profiles/compare?base=baseline&target=%s%s", target, more);
    expect(a, 200, NULL);
    CHECK(strcmp(str_at(a->json, "base.baseline"), baseline) == 0, "%s, not %s",
          str_at(a->json, "base.baseline"), baseline);
    CHECK(num_at(a->json, "base.runs") == (double)n &&
          json_array_size(at(a->json, "base.jobIds")) == n);
    double oldest = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double ended = num_at(profile_of(d, ids[i]), "completedAt");
        CHECK(strcmp(str_at(a->json, text("base.jobIds.%zu", i)), ids[i]) == 0 && ended < oldest,
              "the newest first");
        oldest = ended;
    }
    CHECK(num_at(a->json, "base.from") == oldest);
}

#define IDS(...)                                                                                   \
    ((const char *const[]){__VA_ARGS__}), sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)

START_TEST(test_baseline)
{
    struct sim *s[2] = {sim_start("--no-cache", NULL), sim_start("--no-cache", NULL)};
    struct daemon *d = start(s[0], s[1]);
    only(d, "s0", "s1");
    char *first = run(d, pair("a", ",'seed':1"));
    expect(get(d, "/profiles/compare?base=baseline&target=%s", first), 404, "profile_not_found");
    char *second = run(d, pair("b", ",'seed':2"));
    check_baseline(d, second, "", "costKeyAndBackend", IDS(first));
    char *third = run(d, pair("c", ",'seed':3"));
    check_baseline(d, third, "", "costKeyAndBackend", IDS(second, first));
    check_baseline(d, first, "", "costKeyAndBackend", IDS(third, second));
    only(d, "s1", "s0");
    char *other = run(d, pair("d", ",'seed':4"));
    check_baseline(d, other, "", "costKey", IDS(third, second, first));
    check_baseline(d, third, "", "costKey", IDS(other, second, first));
    char *larger = run(d, pair("e", ",'steps':30"));
    check_baseline(d, larger, "", "workflowHash", IDS(other, third, second, first));
    only(d, "s0", "s1");
    char *fourth = run(d, pair("f", ",'seed':5"));
    check_baseline(d, fourth, "", "costKeyAndBackend", IDS(third, second, first));
    check_baseline(d, fourth, "&n=3", "costKeyAndBackend", IDS(third, second, first));
    check_baseline(d, fourth, "&n=1", "costKeyAndBackend", IDS(third));
    check_baseline(d, larger, "&n=2", "workflowHash", IDS(fourth, other));
    struct answer *a = get(d, "/profiles/compare?base=baseline&target=%s&format=text", fourth);
    CHECK(strstr(a->body, "median of 3 runs") != NULL, "%s", a->body);
}
END_TEST

static double median(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* Its numbers are medians; failed and wholly cached runs are none. */
START_TEST(test_baseline_runs)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        sim_control(s, text("{'node_ms':%d}", 30 * (i + 1)));
        ids[i] = run(d, pair(text("t%d", i), ",'seed':0"));
    }
    (void)run(d, pair("bad", ",'seed':0,'_error':'broken'"));
    char *cached =
        run(d, q("{'1':{'class_type':'KSampler','inputs':{'_steps':0,'seed':0,'_cached':true}},"
                 "'2':{'class_type':'SaveImage','inputs':{'images':['1',0],'_cached':true}}}"));
    CHECK(strcmp(str_at(job_now(d, cached), "workflowHash"),
                 str_at(job_now(d, ids[0]), "workflowHash")) == 0);
    CHECK(num_at(profile_of(d, cached), "summary.cachedNodes") == 2);
    sim_control(s, "{'node_ms':300}");
    char *target = run(d, pair("last", ",'seed':0"));
    check_baseline(d, target, "", "costKeyAndBackend", IDS(ids[2], ids[1], ids[0]));
    json_t *c = get(d, "/profiles/compare?base=baseline&target=%s", target)->json;
    double took[3];
    double total[3];
    for (int i = 0; i < 3; i++) {
        took[i] = num_at(node_of(profile_of(d, ids[i]), "1"), "duration");
        total[i] = num_at(profile_of(d, ids[i]), "executionTime");
    }
    CHECK(same(num_at(node_of(c, "1"), "base.duration"), median(took[0], took[1], took[2])));
    CHECK(same(num_at(c, "total.base"), median(total[0], total[1], total[2])));
    CHECK(strcmp(str_at(node_of(c, "1"), "verdict"), "slower") == 0);
}
END_TEST

START_TEST(test_compare_refusals)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    char *good = run(d, pair("a", ""));
    char *bare = run(d, q("{'workflow':%s,'profile':false}", sleeper("b", 1)));
    char *running = submit(d, sleep_body("c", 60000, ""));
    AWAIT(is_at_node(d, running, "1"));
    const struct {
        const char *query;
        long status;
        const char *code;
    } refusals[] = {
        {text("base=%s&target=%s", good, NOWHERE), 404, "job_not_found"},
        {text("base=%s&target=%s", NOWHERE, good), 404, "job_not_found"},
        {text("base=baseline&target=%s", NOWHERE), 404, "job_not_found"},
        {text("base=%s&target=%s", good, running), 409, "job_not_finished"},
        {text("base=%s&target=%s", running, good), 409, "job_not_finished"},
        {text("base=baseline&target=%s", running), 409, "job_not_finished"},
        {text("base=%s&target=%s", good, bare), 404, "profiling_disabled"},
        {text("base=%s&target=%s", bare, good), 404, "profiling_disabled"},
        {text("target=%s", good), 400, "query_invalid"},
        {text("base=%s", good), 400, "query_invalid"},
        {text("base=first&target=%s", good), 400, "query_invalid"},
        {text("base=%s&target=baseline", good), 400, "query_invalid"},
        {text("base=baseline&target=%s&n=0", good), 400, "query_invalid"},
        {text("base=baseline&target=%s&n=101", good), 400, "query_invalid"},
        {text("base=%s&target=%s&format=csv", good, good), 400, "query_invalid"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct answer *a = get(d, "/profiles/compare?%s", refusals[i].query);
        expect(a, refusals[i].status, refusals[i].code);
        CHECK(a->status != 409 || *header_of(a, "Retry-After") != '\0');
    }
    (void)cancel(d, running);
    (void)await_end(d, running);
}
END_TEST

/* ---- roll-ups -------------------------------------------------------------------------------- */

static json_t *summary(struct daemon *d, const char *query)
{
    struct answer *a = get(d, "/profiles/summary%s", query);
    expect(a, 200, NULL);
    return a->json;
}

static json_t *group_of(json_t *sum, const char *key)
{
    json_t *groups = at(sum, "groups");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        if (strcmp(str_at(json_array_get(groups, i), "key"), key) == 0) {
            return json_array_get(groups, i);
        }
    }
    return NULL;
}

/* What runs took, of which they say so. */
struct runs {
    double list[16];
    size_t n;
};

static void check_numbers(json_t *g, const struct runs *r)
{
    double total = 0;
    double min = INFINITY;
    double max = 0;
    for (size_t i = 0; i < r->n; i++) {
        total += r->list[i];
        min = fmin(min, r->list[i]);
        max = fmax(max, r->list[i]);
    }
    const double mean = total / (double)r->n;
    double squares = 0;
    for (size_t i = 0; i < r->n; i++) {
        squares += (r->list[i] - mean) * (r->list[i] - mean);
    }
    const double stddev = num_at(g, "stddev");
    CHECK(g != NULL && num_at(g, "count") == (double)r->n);
    CHECK(fabs(num_at(g, "total") - total) < 0.02 && same(num_at(g, "mean"), mean));
    CHECK(same(num_at(g, "min"), min) && same(num_at(g, "max"), max));
    CHECK(fabs(stddev - sqrt(squares / (double)r->n)) < 0.01 ||
              fabs(stddev - sqrt(squares / (double)(r->n - 1))) < 0.01,
          "stddev %g", stddev);
    CHECK(num_at(g, "p50") >= min * 0.95 && num_at(g, "p50") <= num_at(g, "p90") &&
          num_at(g, "p90") <= num_at(g, "p99") && num_at(g, "p99") <= max * 1.05);
    CHECK(num_at(g, "cold.count") + num_at(g, "warm.count") == (double)r->n);
}

struct summed {
    struct daemon *d;
    struct sim *s;
    struct runs sampler, jobs;
    char *hash, *other_hash;
};

/* Three good runs, one with a cached node, one that fails; then one of another workflow, and one of
   the first again, which is cold. */
static struct summed run_some(void)
{
    static const char *const inputs[] = {"", "", "", ",'_cached':true", ",'_error':'broken'"};
    struct summed r = {.s = sim_start("--no-cache", NULL)};
    r.d = start(r.s, NULL);
    sim_control(r.s, "{'node_ms':20}");
    for (int i = 0; i < 7; i++) {
        json_t *j = run_job(r.d, i == 5 ? sleep_body("other", 1, "")
                                        : pair(text("t%d", i), i < 5 ? inputs[i] : ""));
        json_t *p = at(j, "profileStats");
        if (i == 5) {
            r.other_hash = text("%s", str_at(j, "workflowHash"));
            continue;
        }
        r.hash = text("%s", str_at(j, "workflowHash"));
        if (i != 3 && i != 4) {
            r.sampler.list[r.sampler.n++] = num_at(node_of(p, "1"), "duration");
        }
        if (i != 4) {
            r.jobs.list[r.jobs.n++] = num_at(p, "executionTime");
        }
    }
    return r;
}

static void check_summary(const struct summed *r)
{
    json_t *g = group_of(summary(r->d, ""), "KSampler");
    check_numbers(g, &r->sampler);
    CHECK(num_at(g, "failures") == 1 && fabs(num_at(g, "cacheHitRate") - 0.2) < 0.001, "%g",
          num_at(g, "cacheHitRate"));
    CHECK(num_at(g, "cold.count") == 2 && num_at(g, "warm.count") == 2, "%g cold",
          num_at(g, "cold.count"));
    g = group_of(summary(r->d, "?groupBy=node"), text("%s/1", r->hash));
    check_numbers(g, &r->sampler);
    g = group_of(summary(r->d, "?groupBy=workflow"), r->hash);
    check_numbers(g, &r->jobs);
    CHECK(num_at(g, "failures") == 1 && fabs(num_at(g, "cacheHitRate") - 0.1) < 0.001, "%g",
          num_at(g, "cacheHitRate"));
    g = group_of(summary(r->d, "?groupBy=backend"), "s0");
    CHECK(num_at(g, "count") == (double)r->jobs.n + 1 && num_at(g, "failures") == 1);
    CHECK(num_at(g, "cold.count") == 3 && num_at(g, "warm.count") == 3, "%g cold",
          num_at(g, "cold.count"));
}

START_TEST(test_summary)
{
    const struct summed r = run_some();
    check_summary(&r);
    json_t *all = summary(r.d, "");
    json_t *groups = at(all, "groups");
    for (size_t i = 1; i < json_array_size(groups); i++) {
        CHECK(num_at(json_array_get(groups, i - 1), "total") >=
                  num_at(json_array_get(groups, i), "total"),
              "the greatest total first");
    }
    CHECK(json_array_size(groups) == 4 && num_at(all, "relativeError") <= 0.05);
    json_t *one = summary(r.d, "?limit=1");
    CHECK(json_array_size(at(one, "groups")) == 1 &&
          json_equal(at(one, "groups.0"), at(all, "groups.0")));
    one = summary(r.d, text("?workflowHash=%s", r.other_hash));
    CHECK(json_array_size(at(one, "groups")) == 2 && group_of(one, "KSampler") == NULL &&
          num_at(group_of(one, "T_Sleep"), "count") == 1);
    one = summary(r.d, text("?groupBy=backend&workflowHash=%s", r.other_hash));
    CHECK(json_array_size(at(one, "groups")) == 1 && num_at(group_of(one, "s0"), "count") == 1);
    expect(get(r.d, "/profiles/summary?groupBy=colour"), 400, "query_invalid");
    expect(get(r.d, "/profiles/summary?groupBy="), 400, "query_invalid");
    expect(get(r.d, "/profiles/summary?limit=0"), 400, "query_invalid");
}
END_TEST

START_TEST(test_since)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    (void)run(d, pair("a", ""));
    const double hour = 3600e3;
    const double now = wall_ms();
    json_t *sum = summary(d, text("?since=%.0f", now - hour));
    CHECK(num_at(sum, "since") == floor((now - hour) / hour) * hour &&
          json_array_size(at(sum, "groups")) == 2);
    sum = summary(d, text("?since=%.0f", now - 10 * 24 * hour));
    CHECK(num_at(sum, "since") == floor((now - 10 * 24 * hour) / (24 * hour)) * 24 * hour);
    sum = summary(d, text("?since=%.0f", now + 2 * hour));
    CHECK(json_array_size(at(sum, "groups")) == 0, "nothing ended since");
    CHECK(num_at(summary(d, ""), "since") == 0);
}
END_TEST

/* Killed when the ends are stored and perhaps not yet folded; after that, and again. */
START_TEST(test_summary_after_kills)
{
    struct summed r = run_some();
    for (int i = 0; i < 3; i++) {
        daemon_kill(r.d);
        r.d = start(r.s, NULL);
        check_summary(&r);
    }
    char *before = get(r.d, "/profiles/summary?groupBy=node")->body;
    daemon_stop(r.d);
    r.d = start(r.s, NULL);
    CHECK(strcmp(get(r.d, "/profiles/summary?groupBy=node")->body, before) == 0);
    json_t *j = run_job(r.d, pair("after", ""));
    r.sampler.list[r.sampler.n++] = num_at(node_of(at(j, "profileStats"), "1"), "duration");
    json_t *g = group_of(summary(r.d, ""), "KSampler");
    check_numbers(g, &r.sampler);
    CHECK(num_at(g, "cold.count") == 3, "a restart makes cold");
}
END_TEST

/* A prompt of somebody else's between two of ours: the second is cold again. */
START_TEST(test_foreign)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    (void)run(d, sleep_body("a", 1, ""));
    (void)run(d, sleep_body("b", 1, ""));
    json_t *g = group_of(summary(d, "?groupBy=backend"), "s0");
    CHECK(num_at(g, "cold.count") == 1 && num_at(g, "warm.count") == 1);
    CHECK(sim_post(s, "/prompt", q("{'prompt':%s}", sleeper("foreign", 300))) == 200);
    AWAIT(num_at(get(d, "/backends")->json, "backends.0.queue") == 1);
    (void)run(d, sleep_body("c", 1, ""));
    g = group_of(summary(d, "?groupBy=backend"), "s0");
    CHECK(num_at(g, "cold.count") == 2 && num_at(g, "warm.count") == 1, "%g cold",
          num_at(g, "cold.count"));
}
END_TEST

/* Killed at moments of chance: each job counts once. */
START_TEST(test_killed_often)
{
    enum { JOBS = 40, KILLS = 5 };
    const unsigned seed = (unsigned)time(NULL);
    srand(seed);
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    char *ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        ids[i] = submit(d, sleep_body(text("t%d", i), rand() % 40, ""));
        if (i % (JOBS / KILLS) == JOBS / KILLS - 1) {
            const int until = rand() % (i + 1);
            AWAIT(ledger_count(s, "success", NULL) >= until);
            daemon_kill(d);
            d = start(s, NULL);
        }
    }
    for (int i = 0; i < JOBS; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0, "seed %u", seed);
    }
    json_t *g = group_of(summary(d, "?groupBy=backend"), "s0");
    CHECK(num_at(g, "count") == JOBS && num_at(g, "cold.count") + num_at(g, "warm.count") == JOBS,
          "%g, seed %u", num_at(g, "count"), seed);
    daemon_kill(d);
    d = start(s, NULL);
    CHECK(json_equal(group_of(summary(d, "?groupBy=backend"), "s0"), g), "seed %u", seed);
}
END_TEST

/* Jobs count, profiled or not; nodes only of profiled ones. */
START_TEST(test_unprofiled_summary)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    (void)run(d, pair("a", ""));
    CHECK(json_array_size(at(summary(d, ""), "groups")) == 0);
    CHECK(num_at(group_of(summary(d, "?groupBy=backend"), "s0"), "count") == 1);
}
END_TEST

/* ---- estimates ------------------------------------------------------------------------------- */

START_TEST(test_no_eta)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    char *running = submit(d, sleep_body("a", 60000, ""));
    AWAIT(is_at_node(d, running, "1"));
    char *queued = submit(d, sleep_body("b", 60000, ""));
    CHECK(json_is_null(at(job_now(d, running), "eta")) &&
              json_is_null(at(job_now(d, queued), "eta")),
          "nothing was measured");
    (void)cancel(d, queued);
    json_t *j = await_end(d, queued);
    CHECK(at(j, "eta") == NULL, "it has ended");
    (void)cancel(d, running);
    (void)await_end(d, running);
}
END_TEST

static struct answer *answer_of(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s", id);
    expect(a, 200, NULL);
    return a;
}

static void check_no_eta_in_list(struct daemon *d)
{
    json_t *jobs = at(get(d, "/jobs")->json, "jobs");
    CHECK(json_array_size(jobs) > 3);
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        CHECK(at(json_array_get(jobs, i), "eta") == NULL);
    }
}

/* Runs of 400 ms were measured; now such a one hangs, and two wait. */
static char *hanging(struct daemon *d, struct sim *s)
{
    sim_control(s, "{'node_ms':400}");
    for (int i = 0; i < 3; i++) {
        CHECK(at(run_job(d, pair(text("t%d", i), "")), "eta") == NULL);
    }
    sim_control(s, "{'node_ms':20000}");
    char *id = submit(d, pair("hangs", ""));
    AWAIT(is_at_node(d, id, "1"));
    return id;
}

START_TEST(test_eta)
{
    struct sim *s = sim_start("--no-cache", NULL);
    struct daemon *d = start(s, NULL);
    const double before = wall_ms();
    char *running = hanging(d, s);
    char *second = submit(d, pair("second", ""));
    char *third = submit(d, pair("third", ",'seed':3"));
    const double now = wall_ms();
    json_t *eta = at(job_now(d, running), "eta");
    CHECK(num_at(eta, "startsAt") > before && num_at(eta, "startsAt") <= now + 1);
    /* Each run took two nodes of 400 ms, and was seen to be no shorter. */
    CHECK(num_at(eta, "completesAt") - num_at(eta, "startsAt") >= 790, "%g ms",
          num_at(eta, "completesAt") - num_at(eta, "startsAt"));
    const double free_at = num_at(eta, "completesAt");
    eta = at(job_now(d, second), "eta");
    const double starts = num_at(eta, "startsAt");
    const double completes = num_at(eta, "completesAt");
    CHECK(starts >= free_at - 1 && completes - starts >= 790 && completes - starts < 5000,
          "behind the first: %g, %g, %g", free_at, starts, completes);
    eta = at(job_now(d, third), "eta");
    CHECK(num_at(eta, "startsAt") >= completes - 1, "behind the second");
    check_no_eta_in_list(d);
    /* They are late: another estimate, the same job. */
    struct answer *a = answer_of(d, second);
    char *etag = header_of(a, "ETag");
    AWAIT(num_at(answer_of(d, second)->json, "eta.startsAt") > starts + 100);
    a = ask(d, "GET", text("/jobs/%s", second), text("If-None-Match: %s", etag), NULL);
    CHECK(a->status == 304, "the estimate is no part of the ETag");
    (void)cancel(d, third);
    (void)cancel(d, second);
    (void)cancel(d, running);
    CHECK(at(await_end(d, running), "eta") == NULL);
}
END_TEST

/* Measurements are still there after a restart; without a backend nobody knows anything. */
START_TEST(test_eta_after_a_kill)
{
    struct sim *s = sim_start("--no-cache", NULL);
    struct daemon *d = start(s, NULL);
    char *running = hanging(d, s);
    char *second = submit(d, pair("second", ""));
    AWAIT(has(job_now(d, second), "eta"));
    daemon_kill(d);
    d = start(s, NULL);
    AWAIT(has(job_now(d, second), "eta"));
    (void)cancel(d, second);
    (void)cancel(d, running);
    (void)await_end(d, running);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *paused = submit(d, pair("paused", ""));
    CHECK(json_is_null(at(job_now(d, paused), "eta")), "nobody knows for how long");
    (void)cancel(d, paused);
}
END_TEST

/* ---- the analysis in a profile --------------------------------------------------------------- */

START_TEST(test_analysis)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    json_t *p =
        at(run_job(d, q("{'1':{'class_type':'CheckpointLoaderSimple','inputs':{'_ms':150,"
                        "'ckpt_name':'v1-5-pruned-emaonly.safetensors'}},"
                        "'2':{'class_type':'T_Sleep','inputs':{'_ms':20}},"
                        "'3':{'class_type':'KSampler','inputs':{'model':['1',0],'b':['2',0],"
                        "'_ms':400,'_steps':20,'_gap':120}},"
                        "'4':{'class_type':'T_Sleep','inputs':{'_cached':true}},"
                        "'5':{'class_type':'T_SleepOut','inputs':{'a':['3',0],'b':['4',0],"
                        "'_ms':5}}}")),
           "profileStats");
    json_t *a = at(p, "analysis");
    static const char *const path[] = {"1", "3", "5"};
    double length = 0;
    CHECK(json_array_size(at(a, "criticalPath.nodes")) == 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(strcmp(str_at(a, text("criticalPath.nodes.%zu", i)), path[i]) == 0, "%zu", i);
        length += num_at(node_of(p, path[i]), "duration");
    }
    CHECK(fabs(num_at(a, "criticalPath.length") - length) < 0.005);
    CHECK(fabs(num_at(a, "criticalPath.share") - length / num_at(p, "executionTime")) < 0.001);
    CHECK(num_at(a, "modelLoading") == num_at(node_of(p, "1"), "duration"));
    CHECK(fabs(num_at(a, "cacheHitRate") - 0.2) < 0.001);
    double sum = 0;
    bool found = false;
    for (size_t i = 0; i < json_array_size(at(a, "gaps")); i++) {
        json_t *gap = json_array_get(at(a, "gaps"), i);
        sum += num_at(gap, "duration");
        found |= num_at(gap, "duration") > 110 && strcmp(str_at(gap, "before"), "3") == 0 &&
                 *str_at(gap, "after") != '\0';
    }
    CHECK(found, "the pause before 3");
    CHECK(fabs(sum - num_at(p, "summary.unaccounted")) < 0.01 && sum > 110);
    CHECK(json_array_size(at(node_of(p, "5"), "dependsOn")) == 2);
}
END_TEST

START_TEST(test_steps)
{
    struct sim *s = sim_plain();
    struct daemon *d = start(s, NULL);
    json_t *p = at(run_job(d, q("{'3':{'class_type':'KSampler','inputs':{'_ms':1000,'_steps':20}},"
                                "'5':{'class_type':'T_SleepOut','inputs':{'a':['3',0],'_ms':5}}}")),
                   "profileStats");
    json_t *steps = at(node_of(p, "3"), "steps");
    const double duration = num_at(node_of(p, "3"), "duration");
    CHECK(num_at(steps, "count") == 20, "%g", num_at(steps, "count"));
    CHECK(num_at(steps, "perSecond") > 1 && num_at(steps, "perSecond") < 30);
    CHECK(num_at(steps, "median") > 20 && num_at(steps, "median") < duration);
    CHECK(num_at(steps, "p95") >= num_at(steps, "median") && num_at(steps, "p95") < duration);
    CHECK(num_at(steps, "first") >= 0 && num_at(steps, "first") < duration);
    CHECK(!has(node_of(p, "5"), "steps"));
    CHECK(num_at(p, "analysis.modelLoading") == 0 && num_at(p, "analysis.cacheHitRate") == 0);
}
END_TEST

Suite *numbers_suite(void)
{
    static const struct named_test tests[] = {
        {"two jobs", &test_two_jobs, 1},
        {"renamed", &test_renamed, 1},
        {"baseline", &test_baseline, 1},
        {"runs of a baseline", &test_baseline_runs, 1},
        {"compare refusals", &test_compare_refusals, 1},
        {"summary", &test_summary, 1},
        {"since", &test_since, 1},
        {"a summary after kills", &test_summary_after_kills, 1},
        {"foreign prompts", &test_foreign, 1},
        {"killed often", &test_killed_often, 1},
        {"an unprofiled summary", &test_unprofiled_summary, 1},
        {"no estimate", &test_no_eta, 1},
        {"estimates", &test_eta, 1},
        {"estimates after a kill", &test_eta_after_a_kill, 1},
        {"analysis", &test_analysis, 1},
        {"steps", &test_steps, 1},
    };
    return SUITE("numbers", 90, tests);
}
